"""Jaeger's first-generation HTTP API, ``/api``: what Grafana's data source and years of scripts use.

Everything is in the envelope ``{data, total, limit, offset, errors}``; times are microseconds. ``prettyPrint`` indents.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from typing import Final, Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pilothouse.formats import ids
from pilothouse.formats.jaeger.ui import to_trace
from pilothouse.formats.otlp.json import decode_request as decode_json
from pilothouse.formats.otlp.model import KINDS, Span
from pilothouse.formats.otlp.proto import decode_request as decode_protobuf
from pilothouse.kit.clock import Clock
from pilothouse.kit.errors import InvalidInput, NotFound, PilothouseError
from pilothouse.kit.http import read_body
from pilothouse.kit.units import HOUR
from pilothouse.observe.traces.jaeger import params_v1
from pilothouse.observe.traces.jaeger.answers import Handler, begun, json_response, pairs, route, stream
from pilothouse.observe.traces.jaeger.deep import Paths
from pilothouse.observe.traces.jaeger.params import V1, Params, integer, kind
from pilothouse.observe.traces.jaeger.params_v1 import ById
from pilothouse.observe.traces.jaeger.quality import Judge
from pilothouse.observe.traces.jaeger.reader import Reader
from pilothouse.observe.traces.model import Trace, TraceQuery

_INDENT: Final = 4
#: Traces read for an answer that sums traces up.
_SAMPLE: Final = 200
#: Spans encoded in one go.
_CHUNK: Final = 1000


class NoArchive(PilothouseError):
    """There is no second storage to copy traces to; retention is by age and size instead."""

    status, slug, title = 500, "no-archive", "No archive storage"


class NoMetrics(PilothouseError):
    """Service performance has no backend here."""

    status, slug, title = 501, "no-metrics", "No metrics storage"


class Settings(msgspec.Struct, frozen=True):
    """What this generation needs to know: how far a search looks back (ns), limits, the largest body to transform."""

    lookback: int
    max_limit: int
    max_body: int


def routes(reader: Reader, clock: Clock, settings: Settings) -> list[Route]:
    """The routes of this generation."""
    api = _Api(reader, clock, settings)

    def get(path: str, handler: Handler) -> Route:
        return route(path, handler, refuse)

    return [
        get("/api/services", api.services),
        get("/api/operations", api.operations),
        # A service's name may have slashes in it.
        get("/api/services/{service:path}/operations", api.operation_names),
        get("/api/traces", api.search),
        get("/api/traces/{trace_id:path}", api.get_trace),
        route("/api/archive/{trace_id:path}", api.archive, refuse, "POST"),
        route("/api/transform", api.transform, refuse, "POST"),
        get("/api/dependencies", api.dependencies),
        get("/api/deep-dependencies", api.deep_dependencies),
        get("/analytics/v1/dependencies", api.deep_dependencies),
        get("/api/quality-metrics", api.quality),
        *(get(f"/api/metrics/{name}", api.metrics) for name in ("latencies", "calls", "errors", "minstep")),
    ]


def refuse(error: PilothouseError) -> Response:
    """An error in this generation's shape."""
    return json_response(_envelope(None, errors=[_error(error)]), status=error.status)


class _Api:
    """The handlers; one instance serves all requests."""

    def __init__(self, reader: Reader, clock: Clock, settings: Settings) -> None:
        self._reader, self._clock, self._settings = reader, clock, settings

    async def services(self, request: Request) -> Response:
        return _answer(request, await self._reader.services())

    async def operation_names(self, request: Request) -> Response:
        found = await self._reader.operations(request.path_params["service"])
        return _answer(request, list(dict.fromkeys(operation.name for operation in found)))

    async def operations(self, request: Request) -> Response:
        params = Params(pairs(request), V1)
        service = _service(params)
        found = await self._reader.operations(service, params.read(kind, None, "spanKind"))
        return _answer(request, [{"name": o.name, "spanKind": KINDS[o.kind] if o.kind else ""} for o in found])

    async def search(self, request: Request) -> Response:
        settings = self._settings
        search = params_v1.search(
            Params(pairs(request), V1),
            now=self._clock.now_ns(),
            lookback=settings.lookback,
            max_limit=settings.max_limit,
        )
        items = self._by_id(search) if isinstance(search, ById) else self._found(search.query, raw=search.raw)
        return stream(_traces(await begun(items), indent=_indent(request)))

    async def get_trace(self, request: Request) -> Response:
        wanted = params_v1.get_trace(Params(pairs(request), V1), request.path_params["trace_id"])
        trace = await self._reader.trace(wanted.trace_ids[0], wanted.start, wanted.end, raw=wanted.raw)
        if trace is None:
            raise NotFound("trace not found")
        return stream(_traces(_one(trace), indent=_indent(request)))

    async def archive(self, request: Request) -> Response:
        params_v1.get_trace(Params(pairs(request), V1), request.path_params["trace_id"])
        raise NoArchive("archive span storage was not configured")

    async def transform(self, request: Request) -> Response:
        body = await read_body(request, self._settings.max_body)
        traces = await asyncio.to_thread(_parse_otlp, body)
        return stream(_traces(_each(traces), indent=_indent(request)))

    async def dependencies(self, request: Request) -> Response:
        params = Params(pairs(request), V1)
        found = await self._reader.dependencies(*params_v1.dependencies(params, now=self._clock.now_ns()))
        service = params.get("service")
        edges = [
            {"parent": d.parent, "child": d.child, "callCount": d.call_count}
            for d in found
            if service in ("", d.parent, d.child)
        ]
        return _answer(request, edges, total=0)

    async def deep_dependencies(self, request: Request) -> Response:
        params = Params(pairs(request), V1)
        paths = Paths(_service(params), params.get("operation"))
        await self._sample(params.get("service"), self._settings.lookback, paths)
        found = [
            {
                "path": [{"service": step.service, "operation": step.operation} for step in path.steps],
                "attributes": [{"key": "exemplar_trace_id", "value": example} for example in path.examples],
            }
            for path in paths.found()
        ]
        return json_response({"dependencies": found}, indent=_indent(request))

    async def quality(self, request: Request) -> Response:
        params = Params(pairs(request), V1)
        judge = Judge(_service(params))
        hours = params.read(integer, 0, "hours")
        await self._sample(params.get("service"), hours * HOUR if hours > 0 else self._settings.lookback, judge)
        return json_response(judge.report(), indent=_indent(request))

    async def metrics(self, request: Request) -> Response:
        raise NoMetrics("trace metrics are currently disabled - no metrics backend configured")

    async def _sample(self, service: str, lookback: int, into: _Collector) -> None:
        """Shows the newest traces of ``service``, as they were sent, to ``into``."""
        now = self._clock.now_ns()
        query = TraceQuery(start=max(0, now - lookback), end=now, service=service, limit=_SAMPLE)
        async with aclosing(self._reader.find(query, raw=True)) as traces:
            async for trace in traces:
                await asyncio.to_thread(into.add, trace)

    async def _found(self, query: TraceQuery, *, raw: bool) -> AsyncGenerator[_Item, None]:
        async with aclosing(self._reader.find(query, raw=raw)) as traces:
            async for trace in traces:
                yield trace

    async def _by_id(self, wanted: ById) -> AsyncGenerator[_Item, None]:
        found = self._reader.traces(wanted.trace_ids, wanted.start, wanted.end, raw=wanted.raw)
        async with aclosing(found):
            async for trace_id, trace in found:
                yield trace or _Missing(trace_id)


class _Collector(Protocol):
    """What takes in one trace after the other."""

    def add(self, trace: Trace) -> None: ...


class _Missing(msgspec.Struct, frozen=True):
    """Stands for a trace that was asked for by id and is not there."""

    trace_id: bytes


_Item = Trace | _Missing


def _service(params: Params) -> str:
    service = params.get("service")
    if not service:
        raise InvalidInput("parameter 'service' is required")
    return service


def _parse_otlp(body: bytes) -> list[Trace]:
    """The traces of an OTLP JSON document, in the order in which they begin."""
    grouped: dict[bytes, list[Span]] = {}
    for span in decode_protobuf(decode_json(body)):
        grouped.setdefault(span.trace_id, []).append(span)
    return [Trace(trace_id, tuple(spans)) for trace_id, spans in grouped.items()]


def _indent(request: Request) -> int:
    return _INDENT if Params(pairs(request), V1).get("prettyPrint") not in ("", "false") else 0


def _answer(request: Request, data: Sequence[object], total: int | None = None) -> Response:
    return json_response(_envelope(data, total=len(data) if total is None else total), indent=_indent(request))


def _envelope(data: object, *, total: int = 0, errors: list[dict[str, object]] | None = None) -> dict[str, object]:
    return {"data": data, "total": total, "limit": 0, "offset": 0, "errors": errors}


def _error(error: PilothouseError) -> dict[str, object]:
    return {"code": error.status, "msg": error.sentence()}


async def _one(trace: Trace) -> AsyncGenerator[_Item, None]:
    yield trace


async def _each(traces: list[Trace]) -> AsyncGenerator[_Item, None]:
    for trace in traces:
        yield trace


async def _traces(items: AsyncGenerator[_Item, None] | None, *, indent: int) -> AsyncGenerator[bytes, None]:
    """The envelope around traces; ids without a trace, and what went wrong on the way, are listed in ``errors``."""
    margin = b"\n" + b" " * indent if indent else b""
    errors: list[dict[str, object]] = []
    separator = b""
    yield b"{" + margin + (b'"data": [' if indent else b'"data":[')
    try:
        async with aclosing(items or _each([])) as traces:
            async for item in traces:
                if isinstance(item, _Missing):
                    errors.append({"msg": "trace not found", "traceID": ids.jaeger_trace_id(item.trace_id)})
                    continue
                yield separator
                pieces = _pieces(item, indent)
                while piece := await asyncio.to_thread(next, pieces, b""):
                    yield piece
                separator = b","
    except PilothouseError as error:
        errors.append(_error(error))
    rest = msgspec.json.encode({"total": 0, "limit": 0, "offset": 0, "errors": errors or None})
    yield (margin if separator else b"") + b"]," + (msgspec.json.format(rest, indent=indent) if indent else rest)[1:]


def _pieces(trace: Trace, indent: int) -> Iterator[bytes]:
    """One trace in UI JSON, some spans at a time."""
    model = to_trace(trace.spans)
    if indent:
        # Strings hold no raw line breaks, so every one is layout, which moves in by two levels.
        margin = b"\n" + b" " * (2 * indent)
        text = msgspec.json.format(msgspec.json.encode(model), indent=indent)
        yield margin + text.replace(b"\n", margin)
        return
    head, separator = {"traceID": model.trace_id}, b""
    yield msgspec.json.encode(head)[:-1] + b',"spans":['
    for first in range(0, len(model.spans), _CHUNK):
        yield separator + msgspec.json.encode(model.spans[first : first + _CHUNK])[1:-1]
        separator = b","
    tail = {"processes": model.processes, "warnings": model.warnings}
    yield b"]," + msgspec.json.encode(tail)[1:]
