"""A store that is filled the real way, and spans of few words to fill it with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pilothouse.formats.otlp import proto
from pilothouse.formats.otlp.model import Attributes, Event, Link, Resource, Scope, Span
from pilothouse.kit.clock import SECOND, ManualClock
from pilothouse.kit.telemetry import Ledger
from pilothouse.observe.traces.ingest import Ingest, Outcome
from pilothouse.observe.traces.model import TraceQuery
from pilothouse.observe.traces.schema import SPANS, TABLES
from pilothouse.observe.traces.store import TraceStore
from pilothouse.signals.duckdb.segments import Segments
from pilothouse.signals.store import Settings, Signals

MB = 1 << 20
MILLISECOND = 1_000_000
DAY = 86_400 * SECOND
#: What the clock says at first; half a day after midnight.
NOW = 19_675 * DAY + DAY // 2
SCOPE = Scope("tests", "1")


def trace_id(number: int) -> bytes:
    return number.to_bytes(16)


def span_id(number: int) -> bytes:
    return number.to_bytes(8) if number else b""


def span(
    trace: int = 1,
    number: int = 1,
    *,
    parent: int = 0,
    at: int = 0,
    duration: int = 1000,
    service: str = "shop",
    name: str = "GET /",
    kind: int = 2,
    status: int = 0,
    attributes: Attributes | None = None,
    events: Iterable[Event] = (),
    links: Iterable[tuple[int, int]] = (),
    resource: Resource | None = None,
    scope: Scope = SCOPE,
) -> Span:
    """A span; ids are numbers, ``at`` is nanoseconds from ``NOW``, links are pairs of trace and span."""
    return Span(
        trace_id=trace_id(trace),
        span_id=span_id(number),
        resource=resource or Resource({"service.name": service}),
        scope=scope,
        name=name,
        start=NOW + at,
        end=NOW + at + duration,
        parent_span_id=span_id(parent),
        kind=kind,
        status_code=status,
        attributes=attributes or {},
        events=tuple(events),
        links=tuple(Link(trace_id(t), span_id(s)) for t, s in links),
    )


def query(**wanted: Any) -> TraceQuery:
    """A query over all times that a test uses, unless it says otherwise."""
    return TraceQuery(**{"start": 0, "end": NOW + 300 * DAY, "limit": 100} | wanted)


class Traces:
    """An open store with both its ends: ``ingest`` writes, ``store`` answers."""

    def __init__(
        self,
        directory: Path,
        *,
        segment_rows: int = 50,
        retention_age: int = 0,
        retention_bytes: int = 0,
        max_trace_spans: int = 1000,
        clock: ManualClock | None = None,
    ) -> None:
        self.clock = clock or ManualClock(NOW)
        self.ledger = Ledger()
        self._directory = directory
        self._settings = Settings(64 * MB, 1, 64 * MB, 64 * MB, segment_rows, retention_age, retention_bytes)
        self._max_trace_spans = max_trace_spans
        self._open()

    def _open(self) -> None:
        self.signals = Signals(self._directory, self._settings, self.clock, TABLES)
        self.signals.open()
        self.ingest = Ingest(self.signals, self.clock, self.ledger, dedupe_window=60 * SECOND)
        self.ingest.load()
        self.store = TraceStore(self.signals, timeout=60 * SECOND, max_trace_spans=self._max_trace_spans)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.signals.close()

    def restart(self) -> None:
        """As if the process had ended and begun again."""
        self.signals.close()
        self._open()

    @property
    def segments(self) -> Segments:
        return self.signals.segments[SPANS.name]

    def send(self, *requests: Sequence[Span]) -> list[Outcome | Exception]:
        """Commits requests together."""
        return self.ingest.commit(self.ingest.prepare([proto.encode(spans) for spans in requests]))

    def add(self, *spans: Span) -> None:
        """Commits spans in one request that must succeed."""
        (outcome,) = self.send(spans)
        assert isinstance(outcome, Outcome), outcome
        assert outcome.accepted == len(spans)

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        with self.signals.database.reading() as connection:
            return connection.execute(sql, list(values)).fetchall()
