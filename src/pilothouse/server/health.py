"""Health for probes: ``/status`` in the form of the OpenTelemetry Collector's health check extension (version 2).

The plain answer reveals nothing but the state, so this listener may listen beyond loopback without a token. ``verbose``
names components and their errors, so only this machine may ask for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pilothouse.formats import rfc3339
from pilothouse.kit.config import is_loopback
from pilothouse.kit.errors import Forbidden, NotFound
from pilothouse.kit.health import Health, Status, worst

#: Components that belong to no pipeline, as the collector calls them.
_REST = "extensions"


class HealthPages:
    """The listener's one page.

    Args:
        health: Every component's health by name, now.
        pipelines: Component names by pipeline; the rest are ``extensions``.
        started_ns: When the process started.
    """

    def __init__(
        self,
        health: Callable[[], Mapping[str, Health]],
        pipelines: Callable[[], Mapping[str, frozenset[str]]],
        started_ns: int,
    ) -> None:
        self._health, self._pipelines, self._started = health, pipelines, started_ns

    def routes(self) -> list[Route]:
        """``GET /status``; ``/`` is the same, for probes that cannot be given a path."""
        return [Route(path, self._status, methods=["GET"]) for path in ("/status", "/")]

    async def _status(self, request: Request) -> Response:
        verbose = request.query_params.get("verbose", "false").lower() not in ("false", "0")
        if verbose and not is_loopback(request.client.host if request.client else ""):
            raise Forbidden("verbose health is for this machine only", remedy="Leave out 'verbose'.")
        groups = self._groups()
        pipeline = request.query_params.get("pipeline")
        if pipeline is not None:
            if pipeline not in groups or pipeline == _REST:
                raise NotFound(f"there is no pipeline {pipeline[:80]!r}", where="query parameter 'pipeline'")
            parts = groups[pipeline]
            below: dict[str, Any] = {name: _document(h) for name, h in parts.items()}
        else:
            parts = {name: h for group in groups.values() for name, h in group.items()}
            below = {
                name if name == _REST else f"pipeline:{name}": {
                    **_document(worst(group.values())),
                    "components": {part: _document(h) for part, h in group.items()},
                }
                for name, group in groups.items()
            }
        overall = worst(parts.values())
        document = {"start_time": rfc3339.render(self._started), **_document(overall)}
        if verbose:
            document["components"] = below
        body = msgspec.json.encode(document)
        return Response(body, _http_status(overall.status), media_type="application/json")

    def _groups(self) -> dict[str, dict[str, Health]]:
        rest = dict(self._health())
        groups: dict[str, dict[str, Health]] = {}
        for pipeline, members in self._pipelines().items():
            groups[pipeline] = {name: rest.pop(name) for name in list(rest) if name in members}
        return {**groups, _REST: rest}


def _document(health: Health) -> dict[str, Any]:
    document: dict[str, Any] = {"healthy": _http_status(health.status) == 200, "status": health.status.wire}
    if health.reason:
        document["error"] = health.reason
    return {**document, "status_time": rfc3339.render(health.since_ns)}


def _http_status(status: Status) -> int:
    """Recoverable and permanent errors stay 200: a restart by a probe would not cure them."""
    return 200 if status.serving else 500 if status is Status.FATAL else 503
