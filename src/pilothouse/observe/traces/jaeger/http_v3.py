"""Jaeger's second-generation HTTP API, ``/api/v3``: the JSON that grpc-gateway makes of ``jaeger.api_v3.QueryService``.

Fields are camelCase, zeros are left away, 64-bit integers are strings. Errors are ``{"error":{"httpCode","message"}}``.
Jaeger UI reads search results here; Grafana does when its data source is told to.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pilothouse.formats.expression import FIELDS
from pilothouse.formats.otlp.json import to_object
from pilothouse.formats.otlp.model import KINDS
from pilothouse.kit.errors import NotFound, PilothouseError
from pilothouse.observe.traces.jaeger import params_v3
from pilothouse.observe.traces.jaeger.answers import begun, json_response, pairs, route, stream
from pilothouse.observe.traces.jaeger.params import V3, Params, kind
from pilothouse.observe.traces.jaeger.reader import Reader
from pilothouse.observe.traces.model import Trace, TraceSummary

#: What the structured filter evaluates, all of it in every store of ours.
_OPERATORS = ("and", "or", "not", "eq", "ne", "gt", "lt", "gte", "lte", "regex", "exists", "in", "not_in", "some")
#: Spans encoded in one go; more of one trace follow under the same resource again, which OTLP allows.
_CHUNK = 1000


def routes(reader: Reader, *, max_limit: int) -> list[Route]:
    """The routes of this generation."""
    api = _Api(reader, max_limit)
    return [
        route("/api/v3/services", api.services, refuse),
        route("/api/v3/operations", api.operations, refuse),
        route("/api/v3/traces", api.find_traces, refuse),
        route("/api/v3/trace-summaries", api.find_summaries, refuse),
        route("/api/v3/dependencies", api.dependencies, refuse),
        route("/api/v3/capabilities", api.capabilities, refuse),
        # Base64 has slashes in it.
        route("/api/v3/traces/{trace_id:path}", api.get_trace, refuse),
    ]


def refuse(error: PilothouseError) -> Response:
    """An error in this generation's shape."""
    return json_response(_error(error), status=error.status)


class _Api:
    """The handlers; one instance serves all requests."""

    def __init__(self, reader: Reader, max_limit: int) -> None:
        self._reader, self._max_limit = reader, max_limit

    async def services(self, request: Request) -> Response:
        return json_response({"services": await self._reader.services()})

    async def operations(self, request: Request) -> Response:
        params = Params(pairs(request), V3)
        wanted = params.read(kind, None, "spanKind", "span_kind")
        found = await self._reader.operations(params.get("service"), wanted)
        # An operation without a kind reads as internal, as everything in Jaeger's model has a kind.
        return json_response({"operations": [{"name": o.name, "spanKind": KINDS[o.kind or 1]} for o in found]})

    async def get_trace(self, request: Request) -> Response:
        wanted = params_v3.get_trace(Params(pairs(request), V3), request.path_params["trace_id"])
        trace = await self._reader.trace(wanted.trace_id, wanted.start, wanted.end, raw=wanted.raw)
        if trace is None:
            raise NotFound("No traces found")
        return stream(_traces(_one(trace)))

    async def find_traces(self, request: Request) -> Response:
        search = params_v3.search(Params(pairs(request), V3), max_limit=self._max_limit)
        found = await begun(self._reader.find(search.query, raw=search.raw))
        if found is None:
            raise NotFound("No traces found")
        return stream(_traces(found))

    async def find_summaries(self, request: Request) -> Response:
        params = Params(pairs(request), V3)
        search = params_v3.search(params, max_limit=self._max_limit)
        page = await self._reader.summaries(search.query)
        answer: dict[str, object] = {"summaries": [_summary(trace) for trace in page.traces]}
        if page.next and params_v3.paginated(params):
            answer["nextPageToken"] = page.next
        return json_response(answer)

    async def dependencies(self, request: Request) -> Response:
        start, end = params_v3.dependencies(Params(pairs(request), V3))
        found = await self._reader.dependencies(start, end)
        edges = [{"parent": d.parent, "child": d.child, "callCount": str(d.call_count)} for d in found]
        return json_response({"dependencies": edges})

    async def capabilities(self, request: Request) -> Response:
        return json_response({"search": capabilities()})


def capabilities() -> dict[str, object]:
    """What a search can do here, as ``jaeger.api_v3.SearchCapabilities``; false is left away."""
    return {
        "withoutServiceName": True,
        "sameSpanConjunction": True,
        "filter": {"levels": list(FIELDS), "operators": list(_OPERATORS)},
        "paginated": True,
    }


def _error(error: PilothouseError) -> dict[str, object]:
    return {"error": {"httpCode": error.status, "message": error.sentence()}}


def _summary(trace: TraceSummary) -> dict[str, object]:
    return _present(
        traceId=trace.trace_id.hex(),
        rootServiceName=trace.root_service,
        rootOperationName=trace.root_name,
        minStartTimeUnixNano=str(trace.start) if trace.start else "",
        maxEndTimeUnixNano=str(trace.end) if trace.end else "",
        spanCount=trace.span_count,
        errorSpanCount=trace.error_count,
        orphanSpanCount=trace.orphan_count,
        services=[_present(name=s.name, spanCount=s.span_count, errorSpanCount=s.error_count) for s in trace.services],
    )


def _present(**members: object) -> dict[str, object]:
    return {name: value for name, value in members.items() if value}


async def _one(trace: Trace) -> AsyncGenerator[Trace, None]:
    yield trace


async def _traces(traces: AsyncGenerator[Trace, None]) -> AsyncGenerator[bytes, None]:
    """The document ``{"result":{"resourceSpans":[…]}}``, and an ``error`` beside ``result`` if it had to end early."""
    yield b'{"result":{"resourceSpans":['
    separator, end = b"", b"]}}"
    try:
        async with aclosing(traces):
            async for trace in traces:
                pieces = _pieces(trace)
                while piece := await asyncio.to_thread(next, pieces, b""):
                    yield separator + piece
                    separator = b","
    except PilothouseError as error:
        end = b"]}," + msgspec.json.encode(_error(error))[1:]
    yield end


def _pieces(trace: Trace) -> Iterator[bytes]:
    """The trace's ``ResourceSpans``, comma-separated, some spans at a time."""
    for first in range(0, len(trace.spans), _CHUNK):
        groups = to_object(trace.spans[first : first + _CHUNK])["resourceSpans"]
        yield msgspec.json.encode(groups)[1:-1]
