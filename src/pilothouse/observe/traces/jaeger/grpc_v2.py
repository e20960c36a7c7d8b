"""``jaeger.api_v2.QueryService``: the first generation over gRPC, in Jaeger's own span model."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Final

from google.protobuf.message import Message

from pilothouse.formats.jaeger.proto import from_duration, to_message
from pilothouse.formats.jaeger.protos import api_v2_model_pb2 as model
from pilothouse.formats.jaeger.protos import api_v2_query_pb2 as pb
from pilothouse.formats.jaeger.translate import from_otlp
from pilothouse.formats.otlp.model import KINDS, Span
from pilothouse.kit.clock import Clock
from pilothouse.kit.errors import InvalidInput, NotFound
from pilothouse.observe.traces.jaeger.grpc_common import (
    GrpcHandlers,
    chunked,
    search_limit,
    streaming,
    time_of,
    unary,
)
from pilothouse.observe.traces.jaeger.http_v1 import NoArchive
from pilothouse.observe.traces.jaeger.params import DEFAULT_LIMIT, Bounds, kind
from pilothouse.observe.traces.jaeger.reader import Reader
from pilothouse.observe.traces.model import Trace, TraceQuery

NAME: Final = "jaeger.api_v2.QueryService"


def service(reader: Reader, clock: Clock, *, lookback: int, max_limit: int) -> GrpcHandlers:
    """The service; ``lookback`` (ns) is where a search without times begins."""
    query = _Query(reader, clock, lookback, max_limit)
    return GrpcHandlers(
        NAME,
        {
            "GetTrace": streaming(pb.GetTraceRequest, query.get_trace),
            "ArchiveTrace": unary(pb.ArchiveTraceRequest, query.archive),
            "FindTraces": streaming(pb.FindTracesRequest, query.find_traces),
            "GetServices": unary(pb.GetServicesRequest, query.services),
            "GetOperations": unary(pb.GetOperationsRequest, query.operations),
            "GetDependencies": unary(pb.GetDependenciesRequest, query.dependencies),
        },
    )


class _Query:
    def __init__(self, reader: Reader, clock: Clock, lookback: int, max_limit: int) -> None:
        self._reader, self._clock, self._lookback, self._max_limit = reader, clock, lookback, max_limit

    async def get_trace(self, request: pb.GetTraceRequest) -> AsyncGenerator[bytes, None]:
        trace_id = _trace_id(request.trace_id)
        start, end = time_of(request, "start_time"), time_of(request, "end_time")
        trace = await self._reader.trace(trace_id, start, end, raw=request.raw_traces)
        if trace is None:
            raise NotFound("trace not found")
        async for message in chunked(one(trace), _chunk):
            yield message

    async def archive(self, request: pb.ArchiveTraceRequest) -> Message:
        _trace_id(request.trace_id)
        raise NoArchive("failed to archive trace: archive span storage was not configured")

    async def find_traces(self, request: pb.FindTracesRequest) -> AsyncGenerator[bytes, None]:
        if not request.HasField("query"):
            raise InvalidInput("missing query")
        found = self._reader.find(self._question(request.query), raw=request.query.raw_traces)
        async for message in chunked(found, _chunk):
            yield message

    async def services(self, request: pb.GetServicesRequest) -> Message:
        return pb.GetServicesResponse(services=await self._reader.services())

    async def operations(self, request: pb.GetOperationsRequest) -> Message:
        wanted = kind(request.span_kind) if request.span_kind else None
        found = await self._reader.operations(request.service, wanted)
        return pb.GetOperationsResponse(
            operationNames=dict.fromkeys(operation.name for operation in found),
            operations=[pb.Operation(name=o.name, span_kind=KINDS[o.kind] if o.kind else "") for o in found],
        )

    async def dependencies(self, request: pb.GetDependenciesRequest) -> Message:
        start, end = time_of(request, "start_time"), time_of(request, "end_time")
        if start is None or end is None:
            raise InvalidInput("StartTime and EndTime must be initialized.")
        found = await self._reader.dependencies(start, end)
        links = [model.DependencyLink(parent=d.parent, child=d.child, call_count=d.call_count) for d in found]
        return pb.GetDependenciesResponse(dependencies=links)

    def _question(self, query: pb.TraceQueryParameters) -> TraceQuery:
        now = self._clock.now_ns()
        start, end = time_of(query, "start_time_min"), time_of(query, "start_time_max")
        bounds = Bounds(
            start=max(0, now - self._lookback) if start is None else start,
            end=now if end is None else end,
            duration_min=from_duration(query.duration_min) or None,
            duration_max=from_duration(query.duration_max) or None,
            limit=search_limit(query.search_depth, DEFAULT_LIMIT, self._max_limit),
        )
        if bounds.start > bounds.end:
            raise InvalidInput("start_time_min must be before start_time_max")
        return bounds.query(query.service_name, query.operation_name, dict(query.tags))


async def one(trace: Trace) -> AsyncGenerator[Trace, None]:
    """A single trace where several are expected."""
    yield trace


def _trace_id(raw: bytes) -> bytes:
    if not any(raw):
        raise InvalidInput("uninitialized TraceID is not allowed")
    if len(raw) not in (8, 16):
        raise InvalidInput(f"a trace id has 16 bytes, not {len(raw)}")
    return raw.rjust(16, b"\0")


def _chunk(spans: Sequence[Span]) -> Message:
    return pb.SpansResponseChunk(spans=[to_message(span) for span in from_otlp(spans)])
