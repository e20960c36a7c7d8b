"""Puts one process together: context, substrate, capabilities, listeners, in the order in which they start.

Health and metrics listen first, so that a probe sees ``StatusStarting`` while a large store opens; the console listens last,
when everything it shows is there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from pilothouse import __version__, signals
from pilothouse.kit.capability import Capability, Context, Listener, Signals, capabilities
from pilothouse.kit.clock import Clock, SystemClock
from pilothouse.kit.config import Config, Effective
from pilothouse.kit.errors import UsageError
from pilothouse.kit.health import Health
from pilothouse.kit.http import Endpoint, application, closed, http_listener, openapi, routes
from pilothouse.kit.service import Service, Supervisor
from pilothouse.kit.telemetry import Registry
from pilothouse.server.accounting import Accounting
from pilothouse.server.api import HouseApi
from pilothouse.server.console import console_routes
from pilothouse.server.demo import DemoShop
from pilothouse.server.health import HealthPages
from pilothouse.server.metrics import metrics_routes, register_process


class House:
    """Everything one process runs. Made, then started by its ``supervisor``.

    Args:
        effective: The configuration.
        demo: Also run the demo shop.
        clock: The time.
        found: The capabilities; by default every installed one.
        starting: Called with each service's name before it starts.
        open_signals: Opens the substrate that stores what happened; ``signals.open`` unless a test says otherwise.
    """

    def __init__(
        self,
        effective: Effective,
        *,
        demo: bool = False,
        clock: Clock | None = None,
        found: Sequence[Capability] | None = None,
        starting: Callable[[str], None] | None = None,
        open_signals: Callable[[Config, Clock, Sequence[Any]], Signals] | None = None,
    ) -> None:
        config = effective.config
        clock = clock or SystemClock()
        self.capabilities = tuple(capabilities() if found is None else found)
        registry = Registry()
        register_process(registry)
        store = (open_signals or signals.open)(
            config, clock, [table for c in self.capabilities for table in _tables(c)]
        )
        self.context = Context(config, clock, store, registry, __version__)
        self._groups: dict[str, list[Service]] = {c.name: list(c.services(self.context)) for c in self.capabilities}
        accounting = Accounting(self.context.ledgers, clock)
        self.api = HouseApi(self.context, self.capabilities, accounting, self.health, self.listeners)
        self._mounted = self._endpoints()
        pages = HealthPages(self.health, self._pipelines, clock.now_ns())
        services: list[Service | None] = [
            http_listener(self.context, "health", application(pages.routes()), "Health for probes", public=True),
            http_listener(self.context, "metrics", application(metrics_routes(registry)), "Own metrics (Prometheus)"),
            store.service,
            accounting,
            *(service for group in self._groups.values() for service in group),
            http_listener(
                self.context,
                "console",
                application(self._console_routes()),
                "Console and API",
                open_paths=lambda path: not path.startswith("/api/"),
            ),
        ]
        if demo:
            services.append(DemoShop(self._otlp_endpoint, config.server.token, effective.file, clock))
        self._services = [service for service in services if service is not None]
        self.supervisor = Supervisor(self._services, clock, starting=starting)

    def health(self) -> dict[str, Health]:
        """Every component's health by name."""
        return self.supervisor.health()

    def listeners(self) -> list[Listener]:
        """Every address as bound: the console first, then what data is sent to, then the rest."""
        order = ("console", "otlp_grpc", "otlp_http", "jaeger_http", "jaeger_grpc", "metrics", "health")
        found = [describe() for s in self._services if (describe := getattr(s, "listener", None)) is not None]
        return sorted(found, key=lambda x: order.index(x.name) if x.name in order else len(order))

    def document(self) -> dict[str, Any]:
        """The OpenAPI document of everything mounted."""
        return openapi(self._mounted, title="Pilothouse", version=__version__)

    def _endpoints(self) -> dict[str, tuple[str, Sequence[Endpoint]]]:
        mounted: dict[str, tuple[str, Sequence[Endpoint]]] = {"house": ("/api", self.api.endpoints())}
        for capability in self.capabilities:
            if endpoints := capability.endpoints(self.context):
                mounted[capability.name] = (f"/api/{capability.name}", endpoints)
        return mounted

    def _console_routes(self) -> list[BaseRoute]:
        async def document(request: Request) -> Response:
            return JSONResponse(self.document())

        api = [route for prefix, endpoints in self._mounted.values() for route in routes(prefix, endpoints)]
        api.append(Route("/api/openapi.json", document, methods=["GET"]))
        # Unknown addresses below /api are 404, never a page.
        return [*api, *closed("/api", api), *console_routes(enabled=self.context.config.console.enabled)]

    def _pipelines(self) -> Mapping[str, frozenset[str]]:
        return {name: frozenset(s.name for s in group) for name, group in self._groups.items() if group}

    def _otlp_endpoint(self) -> str:
        for listener in self.listeners():
            if listener.name == "otlp_grpc":
                return listener.url
        raise UsageError("the demo shop sends to listen.otlp_grpc, which is turned off", where="--demo")


def _tables(capability: Capability) -> Sequence[Any]:
    if not capability.tables:
        return ()
    module, _, attribute = capability.tables.partition(":")
    tables: Sequence[Any] = getattr(import_module(module), attribute)
    return tables
