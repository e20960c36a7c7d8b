"""``jaeger.api_v3.QueryService``: the second generation over gRPC, in OTLP."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Final

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from pilothouse.formats import ids
from pilothouse.formats.expression import Expression, from_object
from pilothouse.formats.jaeger.proto import from_duration
from pilothouse.formats.jaeger.protos import api_v3_query_service_pb2 as pb
from pilothouse.formats.otlp.model import KINDS
from pilothouse.formats.otlp.proto import to_traces_data
from pilothouse.kit.errors import InvalidInput, NotFound
from pilothouse.observe.traces.jaeger.grpc_common import (
    GrpcHandlers,
    chunked,
    search_limit,
    streaming,
    time_of,
    unary,
)
from pilothouse.observe.traces.jaeger.grpc_v2 import one
from pilothouse.observe.traces.jaeger.params import DEFAULT_LIMIT, Bounds, kind
from pilothouse.observe.traces.jaeger.params_v3 import exclude_legacy
from pilothouse.observe.traces.jaeger.reader import Reader
from pilothouse.observe.traces.model import TraceQuery, TraceSummary

NAME: Final = "jaeger.api_v3.QueryService"
_SUMMARIES: Final = 100
_LEGACY: Final = ("service_name", "operation_name", "attributes", "duration_min", "duration_max")


def service(reader: Reader, *, max_limit: int) -> GrpcHandlers:
    """The service."""
    query = _Query(reader, max_limit)
    return GrpcHandlers(
        NAME,
        {
            "GetTrace": streaming(pb.GetTraceRequest, query.get_trace),
            "FindTraces": streaming(pb.FindTracesRequest, query.find_traces),
            "FindTraceSummaries": streaming(pb.FindTraceSummariesRequest, query.find_summaries),
            "GetServices": unary(pb.GetServicesRequest, query.services),
            "GetOperations": unary(pb.GetOperationsRequest, query.operations),
            "GetDependencies": unary(pb.GetDependenciesRequest, query.dependencies),
        },
    )


class _Query:
    def __init__(self, reader: Reader, max_limit: int) -> None:
        self._reader, self._max_limit = reader, max_limit

    async def get_trace(self, request: pb.GetTraceRequest) -> AsyncGenerator[bytes, None]:
        try:
            trace_id = ids.trace_id(request.trace_id)
        except InvalidInput as error:
            raise InvalidInput(f"malformed trace ID: {error.sentence()}") from None
        start, end = time_of(request, "start_time"), time_of(request, "end_time")
        trace = await self._reader.trace(trace_id, start, end, raw=request.raw_traces)
        if trace is None:
            raise NotFound("No traces found")
        async for message in chunked(one(trace), to_traces_data):
            yield message

    async def find_traces(self, request: pb.FindTracesRequest) -> AsyncGenerator[bytes, None]:
        query = _given(request)
        found = self._reader.find(self._question(query), raw=query.raw_traces)
        async for message in chunked(found, to_traces_data):
            yield message

    async def find_summaries(self, request: pb.FindTraceSummariesRequest) -> AsyncGenerator[bytes, None]:
        page = await self._reader.summaries(self._question(_given(request)))
        for first in range(0, len(page.traces), _SUMMARIES):
            chunk = [_summary(trace) for trace in page.traces[first : first + _SUMMARIES]]
            yield pb.FindTraceSummariesResponse(summaries=chunk).SerializeToString()

    async def services(self, request: pb.GetServicesRequest) -> Message:
        return pb.GetServicesResponse(services=await self._reader.services())

    async def operations(self, request: pb.GetOperationsRequest) -> Message:
        wanted = kind(request.span_kind) if request.span_kind else None
        found = await self._reader.operations(request.service, wanted)
        # An operation without a kind reads as internal, as over HTTP.
        return pb.GetOperationsResponse(
            operations=[pb.Operation(name=o.name, span_kind=KINDS[o.kind or 1]) for o in found]
        )

    async def dependencies(self, request: pb.GetDependenciesRequest) -> Message:
        start, end = time_of(request, "start_time"), time_of(request, "end_time")
        if start is None or end is None:
            raise InvalidInput("startTime and endTime must be non-zero")
        if start > end:
            raise InvalidInput("startTime must be less than or equal to endTime")
        found = await self._reader.dependencies(start, end)
        return pb.DependenciesResponse(
            dependencies=[pb.Dependency(parent=d.parent, child=d.child, call_count=d.call_count) for d in found]
        )

    def _question(self, query: pb.TraceQueryParameters) -> TraceQuery:
        start, end = time_of(query, "start_time_min"), time_of(query, "start_time_max")
        if start is None or end is None:
            raise InvalidInput("start time min and max are required parameters")
        if start >= end:
            raise InvalidInput("start_time_min must be before start_time_max")
        bounds = Bounds(
            start=start,
            end=end,
            duration_min=from_duration(query.duration_min) or None,
            duration_max=from_duration(query.duration_max) or None,
            limit=search_limit(query.search_depth, DEFAULT_LIMIT, self._max_limit),
        )
        return bounds.query(query.service_name, query.operation_name, dict(query.attributes), _filter(query))


def _given(request: pb.FindTracesRequest | pb.FindTraceSummariesRequest) -> pb.TraceQueryParameters:
    if not request.HasField("query"):
        raise InvalidInput("missing query")
    return request.query


def _filter(query: pb.TraceQueryParameters) -> Expression | None:
    if not query.HasField("filter"):
        return None
    present = {field.name for field, _ in query.ListFields()}
    exclude_legacy([f"query.{name}" for name in _LEGACY if name in present])
    return from_object(MessageToDict(query.filter), "query.filter")


def _summary(trace: TraceSummary) -> pb.TraceSummary:
    return pb.TraceSummary(
        trace_id=trace.trace_id.hex(),
        root_service_name=trace.root_service,
        root_operation_name=trace.root_name,
        min_start_time_unix_nano=trace.start,
        max_end_time_unix_nano=trace.end,
        span_count=trace.span_count,
        error_span_count=trace.error_count,
        orphan_span_count=trace.orphan_count,
        services=[
            pb.ServiceSummary(name=s.name, span_count=s.span_count, error_span_count=s.error_count)
            for s in trace.services
        ],
    )
