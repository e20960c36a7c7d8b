import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.formats.jaeger.strategies import jaeger_spans

from pilothouse.formats.jaeger import ui
from pilothouse.formats.jaeger.model import JaegerSpan
from pilothouse.formats.jaeger.translate import from_otlp, to_otlp
from pilothouse.formats.otlp.model import Event, Link, Resource, Scope, Span, Value
from pilothouse.kit.errors import InvalidInput

TRACE, SPAN, PARENT = (
    bytes(8) + bytes.fromhex("463ac35c9f6413ad"),
    bytes.fromhex("72485a3953bb6124"),
    bytes(7) + b"\x03",
)


def span(**fields: Any) -> Span:
    defaults: dict[str, Any] = {"resource": Resource({"service.name": "shop"}), "scope": Scope(), "name": "buy"}
    return Span(
        TRACE, SPAN, **(defaults | {"start": 1_700_000_000_123_456_789, "end": 1_700_000_000_124_458_000} | fields)
    )


def document(*spans: Span, **trace: Any) -> dict[str, Any]:
    written: dict[str, Any] = json.loads(ui.encode([ui.to_trace(spans, **trace)]))
    return written


def test_the_written_form_is_what_the_ui_reads() -> None:
    written = document(
        span(
            parent_span_id=PARENT,
            flags=1,
            attributes={
                "s": "x",
                "b": False,
                "i": 2**53 - 1,
                "big": 2**53,
                "f": 1.5,
                "n": math.nan,
                "bin": b"\xff",
                "@jaeger@warnings": ["late"],
            },
            events=(Event(1_700_000_000_123_999_999, "paid"),),
            links=(Link(b"\x01" * 16, b"\x02" * 8),),
        ),
        warnings=["cut"],
    )
    assert written == {
        "data": [
            {
                "traceID": "463ac35c9f6413ad",
                "spans": [
                    {
                        "traceID": "463ac35c9f6413ad",
                        "spanID": "72485a3953bb6124",
                        "flags": 1,
                        "operationName": "buy",
                        "references": [
                            {"refType": "CHILD_OF", "traceID": "463ac35c9f6413ad", "spanID": "0000000000000003"},
                            {"refType": "FOLLOWS_FROM", "traceID": "01" * 16, "spanID": "02" * 8},
                        ],
                        "startTime": 1_700_000_000_123_456,
                        "duration": 1001,
                        "tags": [
                            {"key": "s", "type": "string", "value": "x"},
                            {"key": "b", "type": "bool", "value": False},
                            {"key": "i", "type": "int64", "value": 2**53 - 1},
                            {"key": "big", "type": "int64", "value": "9007199254740992"},
                            {"key": "f", "type": "float64", "value": 1.5},
                            {"key": "n", "type": "float64", "value": "NaN"},
                            {"key": "bin", "type": "binary", "value": "/w=="},
                        ],
                        "logs": [
                            {
                                "timestamp": 1_700_000_000_123_999,
                                "fields": [{"key": "event", "type": "string", "value": "paid"}],
                            }
                        ],
                        "processID": "p1",
                        "warnings": ["late"],
                    }
                ],
                "processes": {"p1": {"serviceName": "shop", "tags": []}},
                "warnings": ["cut"],
            }
        ],
        "total": 1,
        "limit": 0,
        "offset": 0,
        "errors": None,
    }


def test_equal_resources_are_one_process_and_only_equal_ones() -> None:
    resources = [{"service.name": "a", "n": value} for value in (1, 1, 1.0, True, 1)]
    (trace,) = document(*(span(resource=Resource(attributes)) for attributes in resources))["data"]
    assert [item["processID"] for item in trace["spans"]] == ["p1", "p1", "p2", "p3", "p1"]
    assert set(trace["processes"]) == {"p1", "p2", "p3"}


def test_a_negative_duration_is_written_as_zero() -> None:
    assert document(span(end=5))["data"][0]["spans"][0]["duration"] == 0


def microseconds(item: JaegerSpan) -> object:
    """What microseconds, and 64-bit trace ids in references, leave of a span."""
    return [(log.time // 1000, log.fields) for log in item.logs], (
        item.start // 1000,
        max(0, item.duration) // 1000,
        item.operation,
        item.process,
        item.tags,
        item.warnings,
    )


@given(jaeger_spans.filter(lambda item: any(item.trace_id) and any(item.span_id)))
def test_the_jaeger_model_survives_in_microseconds(item: JaegerSpan) -> None:
    otlp = to_otlp([item])
    (once,) = from_otlp(otlp)
    (again,) = from_otlp(ui.decode(ui.encode([ui.to_trace(otlp)])))
    assert repr(microseconds(again)) == repr(microseconds(once))
    assert (again.trace_id, again.span_id, again.flags) == (once.trace_id, once.span_id, once.flags)


def tag(**members: object) -> Value:
    text = json.dumps(
        {
            "traceID": "1",
            "processes": {"p1": {"serviceName": "s"}},
            "spans": [
                {
                    "traceID": "1",
                    "spanID": "2",
                    "operationName": "o",
                    "startTime": 1,
                    "duration": 2,
                    "processID": "p1",
                    "tags": [{"key": "k", **members}],
                }
            ],
        }
    )
    (decoded,) = ui.decode(text.encode())
    return decoded.attributes["k"]


@pytest.mark.parametrize(
    ("members", "value"),
    [
        ({"type": "string", "value": "x"}, "x"),
        ({"type": "string", "value": {"a": 1}}, '{"a":1}'),
        ({"type": "bool", "value": True}, True),
        ({"type": "bool", "value": "false"}, False),
        ({"type": "int64", "value": 5}, 5),
        ({"type": "int64", "value": "-9223372036854775808"}, -(2**63)),
        ({"type": "int64", "value": 5.0}, 5),
        ({"type": "float64", "value": 5}, 5.0),
        ({"type": "float64", "value": "Infinity"}, math.inf),
        ({"type": "binary", "value": "/w=="}, b"\xff"),
        ({"value": 7}, 7),
        ({"value": 7.5}, 7.5),
        ({"value": True}, True),
        ({"value": "t"}, "t"),
    ],
)
def test_tags_are_read_by_their_type(members: dict[str, Any], value: Value) -> None:
    assert repr(tag(**members)) == repr(value)


@pytest.mark.parametrize(
    "members",
    [
        {"type": "bool", "value": "yes"},
        {"type": "bool", "value": 1},
        {"type": "int64", "value": 2**63},
        {"type": "int64", "value": "many"},
        {"type": "int64", "value": 1.5},
        {"type": "int64", "value": True},
        {"type": "int64", "value": "9" * 5000},
        {"type": "float64", "value": True},
        {"type": "float64", "value": "x"},
        {"type": "binary", "value": "*"},
        {"type": "binary", "value": 3},
        {"type": "decimal", "value": "1"},
        {"value": None},
        {"value": [1]},
    ],
)
def test_tags_that_are_not_of_their_type_are_refused_with_their_place(members: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as caught:
        tag(**members)
    assert caught.value.where == "spans[0]"
    assert "'k'" in caught.value.what


def one(**members: object) -> dict[str, Any]:
    base = {"traceID": "1", "spanID": "2", "operationName": "o", "startTime": 1, "duration": 2, "processID": "p1"}
    return {"traceID": "1", "spans": [base | members], "processes": {"p1": {"serviceName": "s", "tags": None}}}


def decode(value: object) -> list[Span]:
    return ui.decode(json.dumps(value).encode())


def test_documents_and_single_traces_are_read() -> None:
    assert len(decode({"data": [one(), one()]})) == 2
    assert len(decode(one())) == 1
    assert decode({"data": []}) == []


def test_old_forms_of_parent_and_process() -> None:
    (decoded,) = decode(one(parentSpanID="3", process={"serviceName": "inner"}, processID="gone"))
    assert decoded.parent_span_id == PARENT
    assert decoded.service == "inner"
    (root,) = decode(one(parentSpanID="0"))
    assert root.parent_span_id == b""


def test_references_to_nothing_are_dropped() -> None:
    (decoded,) = decode(one(references=[{"refType": "CHILD_OF", "traceID": "0", "spanID": "0"}]))
    assert (decoded.parent_span_id, decoded.links) == (b"", ())


@pytest.mark.parametrize(
    "members",
    [
        {"traceID": "0"},
        {"traceID": "zz"},
        {"spanID": ""},
        {"startTime": -1},
        {"startTime": 2**62},
        {"duration": -1},
        {"startTime": "now"},
        {"processID": "p9"},
        {"logs": [{"timestamp": -1}]},
        {"operationName": None},
    ],
)
def test_malformed_spans(members: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        decode(one(**members))


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"{}", b'{"data": 1}', b'{"data": [1]}', b"\xff", b"[" * 100_000, b"3"]
)
def test_malformed_documents(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        ui.decode(body)


@given(st.data())
def test_truncated_documents(data: st.DataObject) -> None:
    encoded = ui.encode([ui.to_trace([span(attributes={"k": 1})])])
    with pytest.raises(InvalidInput):
        ui.decode(encoded[: data.draw(st.integers(0, len(encoded) - 1))])
