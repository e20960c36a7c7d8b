import math
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.common.v1 import common_pb2
from tests.formats.strategies import identical, spans, values

from pilothouse.formats.otlp import proto
from pilothouse.formats.otlp.model import Resource, Scope, Span, Value
from pilothouse.kit.errors import InvalidInput, LimitExceeded


def nested(depth: int, wrap: Callable[[Value], Value]) -> Value:
    value: Value = "core"
    for _ in range(depth - 1):
        value = wrap(value)
    return value


@given(values)
def test_every_value_survives(value: Value) -> None:
    assert identical(proto.any_value_from_bytes(proto.any_value_to_bytes(value)), value)


def test_nan_survives() -> None:
    survived = proto.any_value_from_bytes(proto.any_value_to_bytes(math.nan))
    assert isinstance(survived, float)
    assert math.isnan(survived)


@given(spans())
def test_every_field_of_a_span_survives(span: Span) -> None:
    assert identical(proto.decode_request(proto.encode([span])), [span])


@given(st.lists(spans(), max_size=5))
def test_grouping_loses_and_invents_nothing(batch: list[Span]) -> None:
    decoded = proto.decode_request(proto.encode(batch))
    assert sorted(map(repr, decoded)) == sorted(map(repr, batch))


def test_spans_are_grouped_by_what_their_resource_says_not_by_what_python_calls_equal() -> None:
    def span(number: int, value: Value) -> Span:
        return Span(bytes(16), bytes([number] * 8), Resource({"n": value}), Scope("lib"), "s", 1, 2)

    data = proto.to_traces_data([span(1, 1), span(2, 1.0), span(3, True), span(4, 1)])
    sizes = [[len(scope.spans) for scope in group.scope_spans] for group in data.resource_spans]
    assert sizes == [[2], [1], [1]]


def test_traces_data_is_an_export_request() -> None:
    span = Span(bytes(16), bytes(8), Resource({"a": 1}), Scope("lib"), "s", 1, 2)
    request = trace_service_pb2.ExportTraceServiceRequest.FromString(proto.encode([span]))
    assert request.resource_spans[0].scope_spans[0].spans[0].name == "s"


def test_enum_numbers_from_the_future_are_kept() -> None:
    span = Span(bytes(16), bytes(8), Resource(), Scope(), "s", 1, 2, kind=77, status_code=9)
    assert proto.decode_request(proto.encode([span])) == [span]


def test_a_key_without_value_is_empty_and_the_last_of_equal_keys_counts() -> None:
    message = proto.to_traces_data([Span(b"t", b"s", Resource(), Scope(), "s", 1, 2)])
    pairs = message.resource_spans[0].resource.attributes
    pairs.add(key="none")
    pairs.add(key="twice", value=common_pb2.AnyValue(int_value=1))
    pairs.add(key="twice", value=common_pb2.AnyValue(int_value=2))
    (span,) = proto.decode_request(message.SerializeToString())
    assert span.resource.attributes == {"none": None, "twice": 2}
    assert span.trace_id == b"t"


@pytest.mark.parametrize("wrap", [lambda value: [value], lambda value: {"k": value}])
def test_nesting_is_limited_both_ways(wrap: Callable[[Value], Value]) -> None:
    deepest = nested(proto.MAX_VALUE_DEPTH, wrap)
    span = Span(bytes(16), bytes(8), Resource({"deep": deepest}), Scope(), "s", 1, 2)
    assert proto.decode_request(proto.encode([span])) == [span]
    with pytest.raises(LimitExceeded):
        proto.any_value_to_bytes(nested(proto.MAX_VALUE_DEPTH + 1, wrap))


def test_a_value_too_deep_for_us_is_a_limit_and_too_deep_for_protobuf_is_malformed() -> None:
    message = common_pb2.AnyValue(string_value="core")
    for depth in range(200):
        outer = common_pb2.AnyValue()
        outer.array_value.values.append(message)
        message = outer
        if depth == 40:
            with pytest.raises(LimitExceeded):
                proto.from_any_value(message)
            break
    data = message.SerializeToString()
    for _ in range(100):
        data = b"\x2a" + _varint(len(inner := b"\x0a" + _varint(len(data)) + data)) + inner
    with pytest.raises(InvalidInput, match="no OTLP value"):
        proto.any_value_from_bytes(data)


def _varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += bytes([number & 127 | 128])
        number >>= 7
    return out + bytes([number])


def test_unknown_fields_are_ignored() -> None:
    data = proto.encode([Span(bytes(16), bytes(8), Resource(), Scope(), "s", 1, 2)]) + b"\xfa\x7f\x03abc"
    assert len(proto.decode_request(data)) == 1


def test_invalid_utf8_is_malformed() -> None:
    with pytest.raises(InvalidInput):
        proto.decode_request(b"\x0a\x04\x1a\x02\xff\xfe")


@given(spans(), st.data())
def test_truncated_input_is_refused_or_a_prefix_never_a_crash(span: Span, data: st.DataObject) -> None:
    encoded = proto.encode([span])
    cut = data.draw(st.integers(0, len(encoded) - 1))
    try:
        decoded = proto.decode_request(encoded[:cut])
    except InvalidInput:
        return
    assert len(decoded) <= 1


@given(st.binary(max_size=200))
def test_garbage_is_refused_or_decoded_never_a_crash(data: bytes) -> None:
    for decode in (proto.decode_request, proto.any_value_from_bytes):
        with suppress(InvalidInput, LimitExceeded):
            decode(data)
