import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.formats.expression.strategies import call, expressions, op_call
from tests.formats.strategies import spans

from pilothouse.formats.expression import And, Expression, Not, Or, decode_json, decode_text, matches, readings
from pilothouse.formats.otlp.model import Event, Link, Resource, Scope, Span

SPAN = Span(
    trace_id=bytes.fromhex("0000000000000000463ac35c9f6413ad"),
    span_id=bytes.fromhex("72485a3953bb6124"),
    resource=Resource({"service.name": "shop", "both": "resource", "only": "here", "n": 1}, schema_url="https://r"),
    scope=Scope("lib", "2", {"s": "scoped"}),
    name="GET /items",
    start=1_000_000_000,
    end=1_250_000_000,
    parent_span_id=b"",
    kind=2,
    status_code=2,
    attributes={
        "text": "200",
        "int": 200,
        "double": 200.0,
        "half": 0.5,
        "true": True,
        "word": "true",
        "both": "span",
        "big": 2**53 + 1,
        "nan": math.nan,
        "bytes": b"200",
        "list": ["200"],
        "map": {"a": 1},
        "none": None,
        "empty": "",
    },
    events=(
        Event(1_000_000_050, "start", {"code": 1}),
        Event(1_100_000_000, "exception", {"code": 2, "exception.type": "IOError"}),
    ),
    links=(Link(b"\x01" * 16, b"\x02" * 8, "a=b", {"l": 1}),),
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Text from a query matches every stored type.
        ("text = 200", True),
        ("int = 200", True),
        ("double = 200", True),
        ("double = 2e2", True),
        ("int = 200.0", True),
        ("text = 200.0", False),
        ("true = true", True),
        ("word = true", True),
        ("int != 200", False),
        ("int != 201", True),
        ("big = 9007199254740993", True),
        ("big = 9007199254740992", False),
        ("empty = ''", True),
        # Ordered comparison stays within a kind.
        ("int > 199", True),
        ("int > 199.5", True),
        ("int < 1000", True),
        ("text < 1000", False),
        ("text > 1", False),
        ("half < 1", True),
        ("both > a", True),
        ("both < zzz", True),
        ("int > a", False),
        ("nan > 0", False),
        ("nan = NaN", False),
        ("nan != 1", True),
        # What is absent is false, and only not inverts.
        ("missing = x", False),
        ("missing != x", False),
        ("not missing = x", True),
        ("missing not in (x)", False),
        ("not missing in (x)", True),
        ("missing !~ x", False),
        ("exists missing", False),
        ("exists none", False),
        ("none != x", False),
        ("exists list", True),
        ("exists bytes", True),
        # Values without an order or a text only exist.
        ("bytes = 200", False),
        ("list = 200", False),
        ("map != x", True),
        # Levels; without one, span or resource, and ne means none of both.
        ("both = resource", True),
        ("both = span", True),
        ("both != span", False),
        ("both != other", True),
        ("span.both = resource", False),
        ("resource.both = resource", True),
        ("only = here", True),
        ("span.only = here", False),
        ("scope.s = scoped", True),
        ("s = scoped", False),
        ("event.code = 2", True),
        ("event.code != 2", False),
        ("event.code != 3", True),
        ("event.code not in (3, 4)", True),
        ("event.code not in (2)", False),
        ("link.l = 1", True),
        # Patterns.
        ("name ~ item", True),
        ("name ~ ITEM", False),
        ("name !~ x", True),
        ("int ~ 20", True),
        ("true ~ ru", True),
        ("double ~ 200", False),
        ("kind ~ serv", True),
        # Fields.
        ("service = shop and name = 'GET /items' and kind = server and status = error", True),
        ("duration = 250ms", True),
        ("duration > 250ms", False),
        ("duration in (1s, 250ms)", True),
        ("span.startTime = 1970-01-01T00:00:01Z and span.endTime > 1970-01-01T00:00:01Z", True),
        ("span.traceID = 463AC35C9F6413AD", True),
        ("span.spanID = 72485a3953bb6124", True),
        ("exists span.parentSpanID", False),
        ("exists span.statusMessage", False),
        ("span.statusMessage = ''", False),
        ("exists span.traceState", False),
        ("resource.schemaURL = https://r", True),
        ("scope.name = lib and scope.version = 2", True),
        ("exists scope.schemaURL", False),
        ("event.name = exception", True),
        ("event.name != exception", False),
        ("event.timeSinceStart = 50ns", True),
        ("event.time >= 1970-01-01T00:00:01.1Z", True),
        ("link.traceID = 01010101010101010101010101010101 and link.traceState = a=b", True),
        # Combination.
        ("missing = 1 or int = 200", True),
        ("missing = 1 and int = 200", False),
        ("not (int = 200 and text = 200)", False),
    ],
)
def test_meaning(text: str, expected: bool) -> None:
    assert matches(decode_text(text), SPAN) is expected


@pytest.mark.parametrize(
    ("key", "declared", "expected"),
    [
        ("text", "string", True),
        ("text", "int", False),
        ("int", "int", True),
        ("int", "string", False),
        ("int", "double", False),
        ("double", "double", True),
        ("double", "int", False),
    ],
)
def test_a_declared_type_is_authoritative(key: str, declared: str, expected: bool) -> None:
    reference, scalar = {"attr": {"key": key}}, {"scalar": {"value": "200", "type": declared}}
    assert matches(decode_json(op_call("eq", reference, scalar)), SPAN) is expected
    listed = {"list": {"values": ["1", "200"], "type": declared}}
    assert matches(decode_json(op_call("in", reference, listed)), SPAN) is expected


def compare(op: str, left: dict[str, Any], right: dict[str, Any]) -> bool:
    return matches(decode_json(op_call(op, left, right)), SPAN)


def attr(key: str, **more: str) -> dict[str, Any]:
    return {"attr": {"key": key, **more}}


def field(level: str, name: str) -> dict[str, Any]:
    return {"field": {"level": level, "name": name}}


def test_two_references() -> None:
    assert compare("lt", field("span", "startTime"), field("span", "endTime"))
    assert compare("eq", attr("int"), attr("double"))
    assert not compare("eq", attr("int"), attr("text"))
    assert compare("gt", attr("int"), attr("half"))
    assert not compare("eq", attr("int"), attr("missing"))
    assert not compare("ne", attr("int"), attr("missing"))
    assert compare("ne", attr("int"), attr("text"))
    assert not compare("lt", attr("true"), attr("int"))
    assert compare("eq", attr("both"), attr("both", level="resource"))


def some(level: str, *calls: dict[str, Any]) -> dict[str, Any]:
    predicate = calls[0] if len(calls) == 1 else {"op": "and", "args": [{"call": call} for call in calls]}
    return {"op": "some", "args": [{"nested": {"level": level}}, {"call": predicate}]}


def eq(reference: dict[str, Any], value: str) -> dict[str, Any]:
    return {"op": "eq", "args": [reference, {"scalar": {"value": value}}]}


def test_some_binds_one_element() -> None:
    name, code = field("event", "name"), attr("code", level="event")
    apart = {"op": "and", "args": [{"call": eq(name, "exception")}, {"call": eq(code, "1")}]}
    assert matches(decode_json(encode(apart)), SPAN)
    assert not matches(decode_json(encode(some("event", eq(name, "exception"), eq(code, "1")))), SPAN)
    assert matches(decode_json(encode(some("event", eq(name, "exception"), eq(code, "2")))), SPAN)
    assert matches(decode_json(encode(some("event", eq(name, "start"), eq(attr("int"), "200")))), SPAN)
    unbound = some("link", eq(attr("l", level="link"), "1"), eq(code, "2"))
    assert matches(decode_json(encode(unbound)), SPAN)
    every = {"op": "not", "args": [{"call": some("link", eq(attr("l", level="link"), "2"))}]}
    assert matches(decode_json(encode(every)), SPAN)


def encode(value: object) -> str:
    return json.dumps(value)


@pytest.mark.parametrize(
    ("text", "number", "truth"),
    [
        ("200", 200, None),
        ("-7", -7, None),
        ("+7", 7, None),
        ("1.5", 1.5, None),
        ("1e3", 1000.0, None),
        (str(2**63 - 1), 2**63 - 1, None),
        (str(2**63), float(2**63), None),
        ("true", None, True),
        ("false", None, False),
        ("True", None, None),
        ("", None, None),
        ("NaN", None, None),
        ("inf", None, None),
        ("1e999", None, None),
        ("0x10", None, None),
        ("1_0", None, None),
        (" 1", None, None),
        ("\u0663", None, None),
        ("9" * 65, None, None),
    ],
)
def test_readings(text: str, number: float | None, truth: bool | None) -> None:
    meaning = readings(text)
    assert (meaning.string, repr(meaning.number), meaning.truth) == (text, repr(number), truth)


@given(expressions, spans())
def test_every_filter_answers_for_every_span(expression: Expression, span: Span) -> None:
    assert matches(expression, span) in (True, False)
    assert matches(Not(expression), span) is not matches(expression, span)


@given(st.lists(expressions, min_size=2, max_size=3).map(tuple), spans())
def test_de_morgan(parts: tuple[Expression, ...], span: Span) -> None:
    assert matches(Not(And(parts)), span) == matches(Or(tuple(Not(part) for part in parts)), span)


@given(expressions, spans())
def test_notations_do_not_change_the_answer(expression: Expression, span: Span) -> None:
    assert matches(decode_json(encode(call(expression))), span) == matches(expression, span)
