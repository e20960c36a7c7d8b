"""What this room asks of the trace store. ``observe.traces.store.TraceStore`` answers it; so does any reader of spans."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from pilothouse.observe.traces.model import Dependency, Operation, ServiceSeen, SummaryPage, Trace, TraceQuery


class TraceSource(Protocol):
    """Blocking questions, asked from several threads at once. Each may raise any ``PilothouseError``."""

    def services(self) -> Sequence[ServiceSeen]:
        """Every service, by name."""
        ...

    def operations(self, service: str, kind: int | None = None) -> Sequence[Operation]:
        """The span names of ``service`` (empty for all), one entry per name and kind."""
        ...

    def trace(self, trace_id: bytes, start: int | None = None, end: int | None = None) -> Trace | None:
        """The trace's spans that start in ``[start, end)``; ``None`` when there are none."""
        ...

    def find(self, query: TraceQuery) -> Iterator[Trace]:
        """Whole traces, newest first."""
        ...

    def summaries(self, query: TraceQuery) -> SummaryPage:
        """A page of summaries, newest first."""
        ...

    def dependencies(self, start: int, end: int) -> Sequence[Dependency]:
        """Calls between services whose callee's span started in the window."""
        ...
