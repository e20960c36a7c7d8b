import json as stdlib
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.formats.strategies import identical, spans

from pilothouse.formats.otlp import json, proto
from pilothouse.formats.otlp.model import Event, Link, Resource, Scope, Span, Value
from pilothouse.kit.errors import InvalidInput, LimitExceeded


def decode(document: object) -> list[Span]:
    return proto.decode_request(json.decode_request(stdlib.dumps(document).encode()))


def wrap(span: dict[str, Any]) -> dict[str, Any]:
    return {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}


def value(document: object) -> Value:
    (span,) = decode(wrap({"attributes": [{"key": "k", "value": document}]}))
    return span.attributes["k"]


@given(spans())
def test_every_field_of_a_span_survives(span: Span) -> None:
    assert identical(proto.decode_request(json.decode_request(json.encode([span]))), [span])


@given(st.lists(spans(), max_size=4))
def test_json_and_protobuf_say_the_same(batch: list[Span]) -> None:
    assert json.decode_request(json.encode(batch)) == proto.encode(batch)


def test_the_written_form_is_the_specified_one() -> None:
    span = Span(
        trace_id=bytes.fromhex("5b8efff798038103d269b633813fc60c"),
        span_id=bytes.fromhex("eee19b7ec3c1b174"),
        resource=Resource({"service.name": "shop"}),
        scope=Scope("lib", "1"),
        name="buy",
        start=1544712660000000000,
        end=1544712661000000000,
        kind=2,
        status_code=2,
        attributes={
            "i": 2**60,
            "z": 0,
            "f": 1.0,
            "n": math.nan,
            "b": b"\xff",
            "e": None,
            "l": [True, ""],
            "m": {"k": -1},
        },
        events=(Event(5, "e"),),
        links=(Link(bytes(15) + b"1", bytes(7) + b"2", flags=256),),
    )
    assert stdlib.loads(json.encode([span])) == {
        "resourceSpans": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
                "scopeSpans": [
                    {
                        "scope": {"name": "lib", "version": "1"},
                        "spans": [
                            {
                                "traceId": "5b8efff798038103d269b633813fc60c",
                                "spanId": "eee19b7ec3c1b174",
                                "name": "buy",
                                "kind": 2,
                                "startTimeUnixNano": "1544712660000000000",
                                "endTimeUnixNano": "1544712661000000000",
                                "attributes": [
                                    {"key": "i", "value": {"intValue": "1152921504606846976"}},
                                    {"key": "z", "value": {"intValue": "0"}},
                                    {"key": "f", "value": {"doubleValue": 1.0}},
                                    {"key": "n", "value": {"doubleValue": "NaN"}},
                                    {"key": "b", "value": {"bytesValue": "/w=="}},
                                    {"key": "e", "value": {}},
                                    {
                                        "key": "l",
                                        "value": {"arrayValue": {"values": [{"boolValue": True}, {"stringValue": ""}]}},
                                    },
                                    {
                                        "key": "m",
                                        "value": {
                                            "kvlistValue": {"values": [{"key": "k", "value": {"intValue": "-1"}}]}
                                        },
                                    },
                                ],
                                "events": [{"timeUnixNano": "5", "name": "e"}],
                                "links": [
                                    {"traceId": "0" * 30 + "31", "spanId": "0" * 14 + "32", "flags": 256},
                                ],
                                "status": {"code": 2},
                            }
                        ],
                    }
                ],
            }
        ]
    }
    assert b"\n" not in json.encode([span])


def test_reading_is_lenient_where_proto3_json_is() -> None:
    (span,) = decode(
        wrap(
            {
                "traceId": "5B8EFFF798038103D269B633813FC60C",
                "spanId": "",
                "parentSpanId": None,
                "startTimeUnixNano": 1544712660000000000,
                "endTimeUnixNano": "1544712661000000000",
                "kind": "SPAN_KIND_SERVER",
                "status": {"code": "STATUS_CODE_ERROR", "future": 1},
                "droppedEventsCount": "7",
                "future": {"deep": [1]},
                "events": None,
            }
        )
    )
    assert span.trace_id.hex() == "5b8efff798038103d269b633813fc60c"
    assert (span.start, span.end) == (1544712660000000000, 1544712661000000000)
    assert (span.kind, span.status_code, span.dropped_events, span.events) == (2, 2, 7, ())


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"intValue": "-9223372036854775808"}, -(2**63)),
        ({"intValue": 5}, 5),
        ({"intValue": 5.0}, 5),
        ({"doubleValue": 1}, 1.0),
        ({"doubleValue": "1.5"}, 1.5),
        ({"doubleValue": "-Infinity"}, -math.inf),
        ({"bytesValue": "_-8"}, b"\xff\xef"),
        ({"bytesValue": "/+8="}, b"\xff\xef"),
        ({"bytesValue": ""}, b""),
        ({"stringValue": ""}, ""),
        ({"arrayValue": {}}, []),
        ({"kvlistValue": {"values": [{"key": "a"}]}}, {"a": None}),
        ({}, None),
        (None, None),
    ],
)
def test_values(document: object, expected: Value) -> None:
    assert identical(value(document), expected)


@pytest.mark.parametrize(
    ("span", "path"),
    [
        ({"traceId": "xyz"}, "spans[0].traceId"),
        ({"traceId": "abc"}, "spans[0].traceId"),
        ({"traceId": 5}, "spans[0].traceId"),
        ({"kind": "SERVER"}, "spans[0].kind"),
        ({"name": 1}, "spans[0].name"),
        ({"startTimeUnixNano": -1}, "spans[0].startTimeUnixNano"),
        ({"startTimeUnixNano": str(2**64)}, "spans[0].startTimeUnixNano"),
        ({"startTimeUnixNano": "9" * 5000}, "spans[0].startTimeUnixNano"),
        ({"startTimeUnixNano": 1.5}, "spans[0].startTimeUnixNano"),
        ({"flags": True}, "spans[0].flags"),
        ({"attributes": [{"key": "k", "value": {"intValue": str(2**63)}}]}, "attributes[0].value.intValue"),
        ({"attributes": [{"key": "k", "value": {"doubleValue": "many"}}]}, "attributes[0].value.doubleValue"),
        ({"attributes": [{"key": "k", "value": {"bytesValue": "*"}}]}, "attributes[0].value.bytesValue"),
        ({"attributes": [{"key": "k", "value": {"boolValue": "true"}}]}, "attributes[0].value.boolValue"),
        ({"attributes": {"k": "v"}}, "spans[0].attributes"),
    ],
)
def test_errors_name_the_field(span: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        decode(wrap(span))
    assert path in caught.value.what.replace("[...]", "[0]")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'"x"',
        b'{"resourceSpans": 3}',
        b"\xff",
        b'{"resourceSpans":[{"schemaUrl":"\xff"}]}',
        b"1" * 9999,
    ],
)
def test_malformed_bodies(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        json.decode_request(body)


def test_a_huge_number_is_an_error_not_a_crash() -> None:
    for number in (b"9" * 10_000, b"1e999999", b"-" + b"9" * 400):
        with pytest.raises(InvalidInput):
            json.decode_request(b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"flags":' + number + b"}]}]}]}")


def test_half_a_surrogate_pair_is_malformed() -> None:
    with pytest.raises(InvalidInput):
        json.decode_request(b'{"resourceSpans":[{"schemaUrl":"\\ud800"}]}')


@pytest.mark.parametrize("depth", [proto.MAX_VALUE_DEPTH + 1, 100, 100_000])
def test_nesting_is_limited(depth: int) -> None:
    body = b'{"arrayValue":{"values":[' * depth + b"{}" + b"]}}" * depth
    with pytest.raises(LimitExceeded):
        json.decode_request(
            b'{"resourceSpans":[{"resource":{"attributes":[{"key":"k","value":' + body + b"}]}}]}",
        )


def test_deep_nesting_in_an_unknown_field_is_no_crash() -> None:
    with pytest.raises((InvalidInput, LimitExceeded)):
        json.decode_request(b'{"future":' + b"[" * 200_000 + b"]" * 200_000 + b"}")


@given(spans(), st.data())
def test_truncated_input_is_refused(span: Span, data: st.DataObject) -> None:
    encoded = json.encode([span])
    with pytest.raises(InvalidInput):
        json.decode_request(encoded[: data.draw(st.integers(0, len(encoded) - 1))])
