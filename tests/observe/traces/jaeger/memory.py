"""A trace store in a list, with the meaning the real one has to have; and spans to put into it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import httpx
from msgspec.structs import replace
from starlette.types import ASGIApp

from pilothouse.formats.expression import matches
from pilothouse.formats.expression.build import Scalar, attribute, compare
from pilothouse.formats.otlp.model import Attributes, Resource, Scope, Span
from pilothouse.kit.capability import Context
from pilothouse.kit.clock import ManualClock
from pilothouse.kit.config import Config
from pilothouse.kit.telemetry import Registry
from pilothouse.observe.traces.jaeger.reader import Reader
from pilothouse.observe.traces.jaeger.service import application
from pilothouse.observe.traces.model import (
    Dependency,
    Operation,
    ServiceCount,
    ServiceSeen,
    SummaryPage,
    Trace,
    TraceQuery,
    TraceSummary,
)

T0 = 1_700_000_000_000_000_000
MS = 1_000_000
S = 1_000_000_000

#: One value per service, as a decoder would give it.
RESOURCES: dict[str, Resource] = {}


def trace_id(number: int) -> bytes:
    return number.to_bytes(16, "big")


def span_id(number: int) -> bytes:
    return number.to_bytes(8, "big")


def make_span(
    number: int = 1,
    *,
    trace: int = 1,
    parent: int = 0,
    service: str = "shop",
    name: str = "buy",
    start: int = 0,
    duration: int = 10 * MS,
    kind: int = 2,
    status: int = 0,
    attributes: Attributes | None = None,
    resource: Resource | None = None,
    **more: Any,
) -> Span:
    """A span that starts ``start`` nanoseconds after T0."""
    shared = RESOURCES.setdefault(service, Resource({"service.name": service}))
    span = Span(
        trace_id=trace_id(trace),
        span_id=span_id(number),
        resource=resource or shared,
        scope=Scope("lib", "1.0"),
        name=name,
        start=T0 + start,
        end=T0 + start + duration,
        parent_span_id=span_id(parent) if parent else b"",
        kind=kind,
        status_code=status,
        attributes=attributes or {},
    )
    return replace(span, **more)


class MemoryStore:
    """``TraceSource`` over a list of spans."""

    def __init__(self, spans: Sequence[Span] = (), *, max_spans: int = 100_000) -> None:
        self.spans = list(spans)
        self.max_spans = max_spans
        self.queries: list[TraceQuery] = []
        self.lookups: list[tuple[bytes, int | None, int | None]] = []
        self.closed = 0

    def services(self) -> list[ServiceSeen]:
        names = sorted({span.service for span in self.spans})
        return [ServiceSeen(n, max(s.start for s in self.spans if s.service == n)) for n in names]

    def operations(self, service: str, kind: int | None = None) -> list[Operation]:
        found = {(s.name, s.kind) for s in self.spans if service in ("", s.service) and kind in (None, s.kind)}
        return [Operation(name, number, T0) for name, number in sorted(found)]

    def trace(self, trace_id: bytes, start: int | None = None, end: int | None = None) -> Trace | None:
        self.lookups.append((trace_id, start, end))
        first, last = start or 0, 2**63 if end is None else end
        inside = (s for s in self.spans if s.trace_id == trace_id and first <= s.start < last)
        found = sorted(inside, key=lambda s: s.start)
        return Trace(trace_id, tuple(found[: self.max_spans]), len(found) > self.max_spans) if found else None

    def find(self, query: TraceQuery) -> Iterator[Trace]:
        try:
            for found in self._ids(query)[: query.limit]:
                trace = self.trace(found)
                assert trace is not None
                yield trace
        finally:
            self.closed += 1

    def summaries(self, query: TraceQuery) -> SummaryPage:
        skip = int(query.cursor or 0)
        found = self._ids(query)
        page = found[skip : skip + query.limit]
        more = str(skip + query.limit) if len(found) > skip + query.limit else ""
        return SummaryPage(tuple(self._summary(i) for i in page), more)

    def dependencies(self, start: int, end: int) -> list[Dependency]:
        self.lookups.append((b"", start, end))
        return [Dependency("front", "shop", 3, 1), Dependency("shop", "bank", 2, 0)]

    def _ids(self, query: TraceQuery) -> list[bytes]:
        self.queries.append(query)
        found = {span.trace_id: span.start for span in self.spans if self._match(span, query)}
        return sorted(found, key=lambda i: (-found[i], i))

    @staticmethod
    def _match(span: Span, query: TraceQuery) -> bool:
        length = span.end - span.start
        return (
            query.start <= span.start < query.end
            and query.service in ("", span.service)
            and query.operation in ("", span.name)
            and (query.duration_min is None or length >= query.duration_min)
            and (query.duration_max is None or length <= query.duration_max)
            and all(matches(compare("eq", attribute(k), Scalar(v)), span) for k, v in query.attributes)
            and (query.filter is None or matches(query.filter, span))
        )

    def _summary(self, wanted: bytes) -> TraceSummary:
        spans = [s for s in self.spans if s.trace_id == wanted]
        known = {s.span_id for s in spans}
        root = next((s for s in spans if not s.parent_span_id), None)
        names = sorted({s.service for s in spans})
        counts = [(n, [s for s in spans if s.service == n]) for n in names]
        return TraceSummary(
            wanted,
            root.service if root else "",
            root.name if root else "",
            min(s.start for s in spans),
            max(s.end for s in spans),
            len(spans),
            sum(s.status_code == 2 for s in spans),
            sum(bool(s.parent_span_id) and s.parent_span_id not in known for s in spans),
            tuple(ServiceCount(n, len(own), sum(s.status_code == 2 for s in own)) for n, own in counts),
        )


def make_context(config: Config | None = None) -> Context:
    return Context(config or Config(), ManualClock(T0 + 60 * S), None, Registry(), "1.2.3")


class Client:
    """A client of an ASGI application, without a network."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def get(self, url: str, **params: str | list[str]) -> httpx.Response:
        return self.request("GET", url, params=params)

    def request(self, method: str, url: str, **options: Any) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self._app)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                return await client.request(method, url, **{k: v for k, v in options.items() if v})

        return asyncio.run(send())


def make_client(store: MemoryStore, config: Config | None = None) -> Client:
    """A client of the HTTP application over ``store``."""
    context = make_context(config)
    query = context.config.query
    reader = Reader(store, timeout=query.timeout, max_spans=store.max_spans, metrics=context.metrics)
    return Client(application(context, reader))


def shop() -> MemoryStore:
    """Two traces: a purchase through three services with an error, and a look around without one."""
    return MemoryStore(
        [
            make_span(1, name="GET /buy", service="front", duration=90 * MS, attributes={"http.status_code": 500}),
            make_span(2, parent=1, name="call", service="front", kind=3, start=5 * MS, duration=80 * MS),
            make_span(3, parent=2, name="buy", start=10 * MS, duration=60 * MS, status=2, status_message="no stock"),
            make_span(4, parent=3, name="charge", service="bank", start=20 * MS, kind=0, attributes={"a/b": "ä <x>"}),
            make_span(9, trace=2, name="GET /look", service="front", start=S, attributes={"http.status_code": "200"}),
        ]
    )
