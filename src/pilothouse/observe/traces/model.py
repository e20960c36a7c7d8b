"""The values the traces capability talks about: queries, pages, summaries, edges.

Spans themselves are OTLP's (``pilothouse.formats.otlp.model``). Times and durations are integer nanoseconds.
"""

from __future__ import annotations

from msgspec import Struct

from pilothouse.formats.expression import Expression
from pilothouse.formats.otlp.model import Span


class Operation(Struct, frozen=True):
    """A span name of a service, with the OTLP kind number it was seen under."""

    name: str
    kind: int
    last_seen: int


class ServiceSeen(Struct, frozen=True):
    """A service and when its newest span started."""

    name: str
    last_seen: int


class TraceQuery(Struct, frozen=True):
    """Which traces are wanted: those with at least one span for which *all* of this holds.

    ``start`` is inclusive, ``end`` exclusive, both on the span's start time. ``attributes`` are given as text and match
    every stored type of the key. Empty or ``None`` means "any".
    """

    start: int
    end: int
    service: str = ""
    operation: str = ""
    attributes: tuple[tuple[str, str], ...] = ()
    duration_min: int | None = None
    duration_max: int | None = None
    status: int | None = None
    kind: int | None = None
    filter: Expression | None = None
    limit: int = 20
    cursor: str = ""


class ServiceCount(Struct, frozen=True):
    """One service's share of a trace."""

    name: str
    span_count: int
    error_count: int


class TraceSummary(Struct, frozen=True):
    """A whole trace in one row; ``services`` is sorted by name.

    ``root_service`` and ``root_name`` are empty when the root span was not received; ``orphan_count`` counts spans whose
    parent was not.
    """

    trace_id: bytes
    root_service: str
    root_name: str
    start: int
    end: int
    span_count: int
    error_count: int
    orphan_count: int
    services: tuple[ServiceCount, ...]


class SummaryPage(Struct, frozen=True):
    """Newest first; ``next`` is the cursor of the following page, empty at the end."""

    traces: tuple[TraceSummary, ...]
    next: str


class Trace(Struct, frozen=True):
    """The spans of one trace by start time, at most ``max_trace_spans`` of them; ``truncated`` when there were more."""

    trace_id: bytes
    spans: tuple[Span, ...]
    truncated: bool = False


class Dependency(Struct, frozen=True):
    """Calls from one service to another, counted by the callee's spans; messages through a queue count too."""

    parent: str
    child: str
    call_count: int
    error_count: int


class AttributeKey(Struct, frozen=True):
    """A key seen at ``level`` (``span``, ``resource``, ``scope``, ``event`` or ``link``) with the OTLP types it had."""

    key: str
    level: str
    types: tuple[str, ...]
    count: int


class AttributeValue(Struct, frozen=True):
    """A value of a key, as text, with its OTLP type."""

    value: str
    type: str
    count: int
