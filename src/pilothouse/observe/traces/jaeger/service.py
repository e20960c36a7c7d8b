"""The two listeners of Jaeger's query surface: HTTP on ``listen.jaeger_http``, gRPC on ``listen.jaeger_grpc``."""

from __future__ import annotations

from collections.abc import Callable

from starlette.applications import Starlette
from starlette.requests import Request

from pilothouse.kit.capability import Context, Listener
from pilothouse.kit.config import split_address
from pilothouse.kit.grpc import GrpcService, grpc_listener
from pilothouse.kit.health import Health
from pilothouse.kit.http import CSP_STRICT, http_listener
from pilothouse.kit.service import Service
from pilothouse.observe.traces.jaeger import grpc_v2, grpc_v3, http_v1, http_v3, ui
from pilothouse.observe.traces.jaeger.grpc_common import GrpcHealth, register_all
from pilothouse.observe.traces.jaeger.reader import Reader
from pilothouse.observe.traces.jaeger.source import TraceSource


def services(context: Context, store: TraceSource) -> list[Service]:
    """The listeners that are not turned off, in starting order.

    Raises:
        ConfigError: ``server.ui_assets`` holds no Jaeger UI.
    """
    query = context.config.query
    reader = Reader(store, timeout=query.timeout, max_spans=query.max_trace_spans, metrics=context.metrics)
    health = GrpcHealth([grpc_v2.NAME, grpc_v3.NAME])
    grpc_services = [
        grpc_v2.service(reader, context.clock, lookback=query.lookback, max_limit=query.max_rows),
        grpc_v3.service(reader, max_limit=query.max_rows),
        health.handlers(),
    ]
    http = http_listener(
        context,
        "jaeger_http",
        application(context, reader),
        "Jaeger UI and Jaeger's HTTP query API",
        csp=ui.CSP if context.config.server.ui_assets else CSP_STRICT,
        open_paths=ui.holds_no_data,
    )
    grpc = grpc_listener(context, "jaeger_grpc", register_all(grpc_services), "Jaeger's gRPC query API")
    found: list[Service] = [] if http is None else [http]
    return found if grpc is None else [*found, _GrpcListener(grpc, health)]


class _GrpcListener:
    """The gRPC listener, which tells those who watch its health before it stops."""

    def __init__(self, listener: GrpcService, health: GrpcHealth) -> None:
        self._listener, self._grpc_health = listener, health
        self.name = listener.name

    @property
    def port(self) -> int:
        """As bound."""
        return self._listener.port

    def listener(self) -> Listener:
        """Where it listens."""
        return self._listener.listener()

    def health(self) -> Health:
        """Its state."""
        return self._listener.health()

    async def start(self) -> None:
        """Binds and serves."""
        await self._listener.start()

    async def stop(self) -> None:
        """Ends the watches, then stops."""
        self._grpc_health.stop()
        await self._listener.stop()


def application(context: Context, reader: Reader) -> Starlette:
    """The HTTP application, without a guard."""
    config = context.config
    settings = http_v1.Settings(config.query.lookback, config.query.max_rows, config.ingest.max_body)
    assets = config.server.ui_assets
    pages = ui.asset_routes(ui.Assets(assets, context.version)) if assets else ui.console_routes(_console(context))
    return Starlette(
        routes=[
            *http_v3.routes(reader, max_limit=config.query.max_rows),
            *http_v1.routes(reader, context.clock, settings),
            *ui.unknown_api(),
            *pages,
        ]
    )


def _console(context: Context) -> Callable[[Request], str]:
    """Where the console is, for a browser that came here; empty when there is none to name."""

    def locate(request: Request) -> str:
        address = context.config.listen.console
        if not address or not context.config.console.enabled:
            return ""
        host, port = split_address(address)
        if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
            host = request.url.hostname or "localhost"
        if not port:
            return ""
        shown = f"[{host}]" if ":" in host else host
        return f"{request.url.scheme}://{shown}:{port}"

    return locate
