import pytest
from google.protobuf.message import Message
from hypothesis import given
from tests.formats.jaeger.strategies import jaeger_spans
from tests.formats.strategies import identical

from pilothouse.formats.jaeger import proto
from pilothouse.formats.jaeger.model import JaegerSpan, Process
from pilothouse.formats.jaeger.protos import (
    api_v2_model_pb2,
    api_v2_query_pb2,
    api_v3_query_service_pb2,
    expression_v1_pb2,
)
from pilothouse.kit.errors import InvalidInput


@given(jaeger_spans)
def test_every_field_survives_the_wire(span: JaegerSpan) -> None:
    data = proto.to_message(span).SerializeToString()
    assert identical(proto.from_message(api_v2_model_pb2.Span.FromString(data)), span)


def test_a_spans_own_process_wins_over_the_batchs() -> None:
    message = api_v2_model_pb2.Span(trace_id=bytes(16), span_id=bytes(8))
    assert proto.from_message(message, Process("batch")).process == Process("batch")
    message.process.service_name = "own"
    assert proto.from_message(message, Process("batch")).process == Process("own")
    assert proto.from_message(api_v2_model_pb2.Span(trace_id=bytes(16), span_id=bytes(8))).process == Process("")


def test_short_trace_ids_are_extended_and_other_lengths_refused() -> None:
    message = api_v2_model_pb2.Span(trace_id=b"12345678", span_id=bytes(8))
    assert proto.from_message(message).trace_id == bytes(8) + b"12345678"
    for trace_id, span_id in ((b"1", bytes(8)), (bytes(16), b"1"), (b"", bytes(8))):
        with pytest.raises(InvalidInput):
            proto.from_message(api_v2_model_pb2.Span(trace_id=trace_id, span_id=span_id))


@pytest.mark.parametrize("ns", [0, 1, -1, 10**9, -(10**9) - 1, 2**63 - 1, -(2**63)])
def test_durations_are_exact_and_well_formed(ns: int) -> None:
    message = proto.to_duration(ns)
    assert proto.from_duration(message) == ns
    assert message.seconds * message.nanos >= 0


def numbers(message: type[Message]) -> dict[str, int]:
    return {field.name: field.number for field in message.DESCRIPTOR.fields}


def test_the_messages_are_jaegers() -> None:
    """Packages, names and numbers that clients have compiled in."""
    v2, v3 = api_v2_query_pb2.DESCRIPTOR, api_v3_query_service_pb2.DESCRIPTOR
    assert v2.services_by_name["QueryService"].full_name == "jaeger.api_v2.QueryService"
    assert v3.services_by_name["QueryService"].full_name == "jaeger.api_v3.QueryService"
    assert expression_v1_pb2.Call.DESCRIPTOR.full_name == "jaeger.expression.v1.Call"
    assert numbers(api_v2_model_pb2.Span) == {
        "trace_id": 1,
        "span_id": 2,
        "operation_name": 3,
        "references": 4,
        "flags": 5,
        "start_time": 6,
        "duration": 7,
        "tags": 8,
        "logs": 9,
        "process": 10,
        "process_id": 11,
        "warnings": 12,
    }
    assert numbers(api_v3_query_service_pb2.TraceQueryParameters) == {
        "service_name": 1,
        "operation_name": 2,
        "attributes": 3,
        "start_time_min": 4,
        "start_time_max": 5,
        "duration_min": 6,
        "duration_max": 7,
        "search_depth": 8,
        "raw_traces": 9,
        "filter": 10,
    }
    assert numbers(api_v3_query_service_pb2.TraceSummary) == {
        "trace_id": 1,
        "root_service_name": 2,
        "root_operation_name": 3,
        "min_start_time_unix_nano": 4,
        "max_end_time_unix_nano": 5,
        "span_count": 6,
        "error_span_count": 7,
        "orphan_span_count": 8,
        "services": 9,
    }
    streams = {
        method.full_name
        for file in (v2, v3)
        for method in file.services_by_name["QueryService"].methods
        if method.server_streaming
    }
    assert streams == {
        "jaeger.api_v2.QueryService.GetTrace",
        "jaeger.api_v2.QueryService.FindTraces",
        "jaeger.api_v3.QueryService.GetTrace",
        "jaeger.api_v3.QueryService.FindTraces",
        "jaeger.api_v3.QueryService.FindTraceSummaries",
    }
