"""Pilothouse's own API over traces, mounted at ``/api/traces/``: decode, ask the store, encode."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Annotated, Final, Literal, TypeVar

from msgspec import Meta, Struct
from starlette.responses import Response, StreamingResponse

from pilothouse.formats import goduration, ids, rfc3339
from pilothouse.formats.expression import decode_text
from pilothouse.formats.jaeger import ui
from pilothouse.formats.otlp import json as otlp_json
from pilothouse.formats.otlp.model import KINDS, STATUS_CODES, Span
from pilothouse.kit.clock import Clock
from pilothouse.kit.errors import InvalidInput, NotFound
from pilothouse.kit.http import Endpoint, Event
from pilothouse.kit.units import parse_duration
from pilothouse.observe.traces import views
from pilothouse.observe.traces.groups import service_of
from pilothouse.observe.traces.model import Trace, TraceQuery
from pilothouse.observe.traces.store import TraceStore

_T = TypeVar("_T")
_Limit = Annotated[int, Meta(ge=1, le=1000)]
_When = Annotated[str, Meta(description="RFC 3339, nanoseconds since the epoch, or relative to now such as -1h")]
_RELATIVE: Final = re.compile(r"[-+].+")
_LATEST: Final = (1 << 63) - 1
#: A live view looks for new spans this often (seconds), and is sent at most this many at a time.
_TAIL_INTERVAL: Final = 0.5
_TAIL_SPANS: Final = 500


class _Range(Struct, frozen=True, rename="camel"):
    start: _When = "-1h"
    end: _When = "now"


class _Prefix(_Range, frozen=True, rename="camel"):
    prefix: str = ""
    service: str = ""
    limit: _Limit = 50


class _Values(_Prefix, frozen=True, rename="camel"):
    key: str = ""


class _OfService(Struct, frozen=True, rename="camel"):
    service: str = ""


class _Search(_Range, frozen=True, rename="camel"):
    service: str = ""
    operation: str = ""
    filter: Annotated[str, Meta(description="Such as: http.status_code >= 500 and not service = cart")] = ""
    min_duration: Annotated[str, Meta(description="Of a matching span, such as 250ms")] = ""
    max_duration: str = ""
    status: Literal["", "unset", "ok", "error"] = ""
    limit: _Limit = 20
    cursor: str = ""


class _Export(_Search, frozen=True, rename="camel"):
    trace_id: list[str] = []
    format: Literal["otlp", "jaeger"] = "otlp"
    limit: Annotated[int, Meta(ge=1)] = 1000


class _TraceId(Struct, frozen=True, rename="camel"):
    trace_id: str


class _SpanId(Struct, frozen=True, rename="camel"):
    trace_id: str
    span_id: str


class Service(Struct, frozen=True, rename="camel"):
    """A service, and when its newest span started (RFC 3339)."""

    name: str
    last_seen: str


class Services(Struct, frozen=True):
    """All services, by name."""

    services: list[Service]


class OperationView(Struct, frozen=True, rename="camel"):
    """A span name of a service with its kind's name."""

    name: str
    kind: str
    last_seen: str


class Operations(Struct, frozen=True):
    """Operations by name and kind."""

    operations: list[OperationView]


class Page(Struct, frozen=True):
    """Matching traces, newest first; ``next`` is the cursor of the next page or null."""

    traces: list[views.Summary]
    next: str | None
    warnings: list[str]


class Key(Struct, frozen=True):
    """An attribute key, the level it is at, and the types it had."""

    key: str
    level: str
    types: list[str]
    count: int


class Keys(Struct, frozen=True):
    """Most frequent first."""

    keys: list[Key]


class AttributeValueView(Struct, frozen=True):
    """A value as text."""

    value: str
    type: str
    count: int


class Values(Struct, frozen=True):
    """Most frequent first."""

    values: list[AttributeValueView]


class Edge(Struct, frozen=True, rename="camel"):
    """Calls from ``parent`` to ``child``."""

    parent: str
    child: str
    call_count: int
    error_count: int


class Edges(Struct, frozen=True):
    """By parent and child."""

    edges: list[Edge]


class TailSpan(Struct, frozen=True, rename="camel"):
    """A span as it was stored."""

    trace_id: str
    span_id: str
    service: str
    name: str
    kind: str
    start: views.Nanoseconds
    duration_ns: int
    status: str


class TailSpans(Struct, frozen=True):
    """Spans of the last commits, in their order; ``skipped`` tells that there were more than are shown."""

    spans: list[TailSpan]
    skipped: bool


class TracesApi:
    """The endpoints over one store."""

    def __init__(self, store: TraceStore, clock: Clock) -> None:
        self._store, self._clock = store, clock

    def endpoints(self) -> Sequence[Endpoint]:
        """What is mounted."""
        return (
            Endpoint("GET", "/services", self.services, "List services", returns=Services),
            Endpoint("GET", "/operations", self.operations, "List operations", params=_OfService, returns=Operations),
            Endpoint("GET", "/search", self.search, "Find traces", params=_Search, returns=Page),
            Endpoint("GET", "/keys", self.keys, "List attribute keys", params=_Prefix, returns=Keys),
            Endpoint("GET", "/values", self.values, "List values of a key", params=_Values, returns=Values),
            Endpoint("GET", "/dependencies", self.dependencies, "Who calls whom", params=_Range, returns=Edges),
            Endpoint("GET", "/tail", self.tail, "Follow spans", params=_OfService, returns=TailSpans, stream=True),
            Endpoint("GET", "/export", self.export, "Export traces", params=_Export, produces="application/x-ndjson"),
            Endpoint("GET", "/{traceId}", self.trace, "Get a trace", params=_TraceId, returns=views.TraceView),
            Endpoint(
                "GET",
                "/{traceId}/spans/{spanId}",
                self.span,
                "Get a span",
                params=_SpanId,
                returns=views.SpanDetail,
            ),
        )

    async def services(self) -> Services:
        """All services."""
        found = await _off_loop(self._store.services)
        return Services([Service(s.name, rfc3339.render(s.last_seen)) for s in found])

    async def operations(self, asked: _OfService) -> Operations:
        """Operations of one service or of all."""
        found = await _off_loop(lambda: self._store.operations(asked.service))
        return Operations([OperationView(o.name, _word(KINDS, o.kind), rfc3339.render(o.last_seen)) for o in found])

    async def search(self, asked: _Search) -> Page:
        """One page of summaries."""
        query = self._query(asked)
        page = await _off_loop(lambda: self._store.summaries(query))
        return Page([views.summary(t) for t in page.traces], page.next or None, [])

    async def keys(self, asked: _Prefix) -> Keys:
        """Keys for completion."""
        start, end = self._range(asked)
        found = await _off_loop(
            lambda: self._store.attribute_keys(asked.prefix, asked.service, start, end, asked.limit)
        )
        return Keys([Key(k.key, k.level, list(k.types), k.count) for k in found])

    async def values(self, asked: _Values) -> Values:
        """Values for completion."""
        if not asked.key:
            raise InvalidInput("the key is missing", where="query parameter 'key'")
        start, end = self._range(asked)
        found = await _off_loop(
            lambda: self._store.attribute_values(asked.key, asked.prefix, asked.service, start, end, asked.limit)
        )
        return Values([AttributeValueView(v.value, v.type, v.count) for v in found])

    async def dependencies(self, asked: _Range) -> Edges:
        """Calls between services."""
        start, end = self._range(asked)
        found = await _off_loop(lambda: self._store.dependencies(start, end))
        return Edges([Edge(d.parent, d.child, d.call_count, d.error_count) for d in found])

    async def trace(self, asked: _TraceId) -> views.TraceView:
        """A trace in columns."""
        trace_id = ids.trace_id(asked.trace_id)

        def read() -> views.TraceView:
            trace = self._store.trace(trace_id)
            if trace is None:
                raise _unknown(f"trace {trace_id.hex()}")
            return views.trace_view(trace)

        return await _off_loop(read)

    async def span(self, asked: _SpanId) -> views.SpanDetail:
        """One span in full."""
        trace_id, span_id = ids.trace_id(asked.trace_id), ids.span_id(asked.span_id)
        found = await _off_loop(lambda: self._store.span(trace_id, span_id))
        if found is None:
            raise _unknown(f"span {span_id.hex()} of trace {trace_id.hex()}")
        return views.span_detail(found)

    async def tail(self, asked: _OfService) -> AsyncIterator[Event]:
        """Spans as they are committed, from now on."""
        seen = await _off_loop(self._store.last_commit)
        while True:
            newest = await _off_loop(self._store.last_commit)
            if newest > seen:
                read = partial(self._store.committed, seen, newest, asked.service, _TAIL_SPANS + 1)
                spans = await _off_loop(read)
                seen = newest
                if spans:
                    shown = [_tail_span(s) for s in spans[:_TAIL_SPANS]]
                    yield Event("spans", TailSpans(shown, len(spans) > _TAIL_SPANS))
            await asyncio.sleep(_TAIL_INTERVAL)

    async def export(self, asked: _Export) -> Response:
        """Whole traces, streamed: OTLP JSON, one trace a line, or one document in Jaeger UI's JSON."""
        if asked.trace_id:
            wanted = [ids.trace_id(text) for text in asked.trace_id]
            found: Iterator[Trace | None] = (self._store.trace(trace_id) for trace_id in wanted)
        else:
            found = self._store.find(self._query(asked))
        traces: Iterator[Trace] = (trace for trace in found if trace is not None)
        # The search is done with the first trace: what is wrong with it is told before an answer has begun.
        if (first := await _off_loop(lambda: next(traces, None))) is not None:
            traces = chain((first,), traces)
        if asked.format == "jaeger":
            return StreamingResponse(_jaeger_document(traces), media_type="application/json")
        return StreamingResponse((_line(t) for t in traces), media_type="application/x-ndjson")

    def _query(self, asked: _Search) -> TraceQuery:
        start, end = self._range(asked)
        return TraceQuery(
            start=start,
            end=end,
            service=asked.service,
            operation=asked.operation,
            duration_min=_duration("minDuration", asked.min_duration),
            duration_max=_duration("maxDuration", asked.max_duration),
            status=STATUS_CODES.index(asked.status) if asked.status else None,
            filter=decode_text(asked.filter) if asked.filter.strip() else None,
            limit=asked.limit,
            cursor=asked.cursor,
        )

    def _range(self, asked: _Range) -> tuple[int, int]:
        now = self._clock.now_ns()
        start, end = (
            min(max(_moment(name, text, now), 0), _LATEST)
            for name, text in (("start", asked.start), ("end", asked.end))
        )
        if start >= end:
            raise InvalidInput("the range ends before it starts", where="query parameter 'end'")
        return start, end


def _moment(name: str, text: str, now: int) -> int:
    """Nanoseconds of ``now``, ``-1h``, digits, or RFC 3339."""
    try:
        if text == "now":
            return now
        if text.isdecimal() and text.isascii() and len(text) < 20:
            return int(text)
        if _RELATIVE.fullmatch(text):
            distance = parse_duration(text[1:])
            return now - distance if text[0] == "-" else now + distance
        return rfc3339.parse(text)
    except ValueError as error:
        raise InvalidInput(f"{text!r} is no time: {error}", where=f"query parameter '{name}'") from error
    except InvalidInput as error:
        raise InvalidInput(error.what, where=f"query parameter '{name}'", remedy=error.remedy) from error


def _duration(name: str, text: str) -> int | None:
    if not text:
        return None
    try:
        return goduration.parse(text)
    except (ValueError, InvalidInput) as error:
        raise InvalidInput(
            f"{text!r} is no duration", where=f"query parameter '{name}'", remedy="Write 250ms."
        ) from error


def _tail_span(span: Span) -> TailSpan:
    return TailSpan(
        span.trace_id.hex(),
        span.span_id.hex(),
        service_of(span.resource),
        span.name,
        _word(KINDS, span.kind),
        str(span.start),
        span.end - span.start,
        _word(STATUS_CODES, span.status_code),
    )


def _line(trace: Trace) -> bytes:
    return otlp_json.encode(trace.spans) + b"\n"


def _jaeger_document(traces: Iterator[Trace]) -> Iterator[bytes]:
    """``ui.encode`` of all traces, one in memory at a time."""
    head, _, tail = ui.encode([]).partition(b"[]")
    yield head + b"["
    for i, trace in enumerate(traces):
        one = ui.encode([ui.to_trace(trace.spans)])
        yield (b"," if i else b"") + one[len(head) + 1 : len(one) - len(tail) - 1]
    yield b"]" + tail


def _word(words: Sequence[str], number: int) -> str:
    return words[number] if number < len(words) else str(number)


def _unknown(what: str) -> NotFound:
    return NotFound(f"there is no {what}", remedy="It may not have arrived yet, or retention has removed it.")


async def _off_loop(work: Callable[[], _T]) -> _T:
    return await asyncio.to_thread(work)
