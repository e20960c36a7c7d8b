"""Traces: OTLP in, answers out, by our own API, by Jaeger's, by SQL and in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pilothouse.kit.capability import Capability, Context, LazyCommand

if TYPE_CHECKING:
    from pilothouse.kit.http import Endpoint
    from pilothouse.kit.service import Service


def _services(context: Context) -> Sequence[Service]:
    from pilothouse.observe.traces.service import services

    return services(context)


def _endpoints(context: Context) -> Sequence[Endpoint]:
    from pilothouse.observe.traces.http import TracesApi
    from pilothouse.observe.traces.service import store

    return TracesApi(store(context), context.clock).endpoints()


capability = Capability(
    name="traces",
    title="Traces",
    plane="observe",
    summary="What happened in a request, across all services it touched.",
    endpoints=_endpoints,
    services=_services,
    commands={
        "traces": LazyCommand(
            "pilothouse.observe.traces.cli:traces", "Search, draw, follow, export and import traces."
        ),
    },
    tables="pilothouse.observe.traces.schema:TABLES",
)
