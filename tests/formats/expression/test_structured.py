import json
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict, ParseDict
from hypothesis import given
from hypothesis import strategies as st
from tests.formats.expression.strategies import call, expressions

from pilothouse.formats.expression import (
    And,
    Attribute,
    Compare,
    Constant,
    Exists,
    Expression,
    Field,
    FilterError,
    Not,
    Reference,
    Some,
    decode_json,
    from_object,
)
from pilothouse.formats.expression.build import MAX_DEPTH, MAX_NODES
from pilothouse.formats.jaeger.protos.expression_v1_pb2 import Call


@given(expressions)
def test_round_trip(expression: Expression) -> None:
    assert repr(decode_json(json.dumps(call(expression)))) == repr(expression)


@given(expressions)
def test_the_protobuf_form_says_the_same(expression: Expression) -> None:
    message = Call.FromString(ParseDict(call(expression), Call()).SerializeToString())
    assert repr(from_object(MessageToDict(message))) == repr(expression)


def attr(key: str = "k", **more: str) -> dict[str, Any]:
    return {"attr": {"key": key, **more}}


def field(name: str, level: str = "span") -> dict[str, Any]:
    return {"field": {"name": name, "level": level}}


def scalar(value: object, **more: str) -> dict[str, Any]:
    return {"scalar": {"value": value, **more}}


def values(*items: object, **more: str) -> dict[str, Any]:
    return {"list": {"values": list(items), **more}}


def op(name: str, *args: dict[str, Any]) -> dict[str, Any]:
    return {"op": name, "args": list(args)}


def some(level: str, predicate: dict[str, Any]) -> dict[str, Any]:
    return op("some", {"nested": {"level": level}}, {"call": predicate})


def test_a_constant_on_the_left_changes_sides() -> None:
    expected = Compare("lt", Field("span", "duration"), Constant("duration", 2_000_000_000))
    assert from_object(op("gt", scalar("2s"), field("duration"))) == expected
    assert from_object(op("eq", scalar("x"), attr())) == Compare("eq", Attribute("k"), Constant("any", "x"))


def test_constants_are_read_as_what_they_stand_beside() -> None:
    def right(reference: dict[str, Any], **constant: str) -> Reference | Constant:
        compared = from_object(op("eq", reference, {"scalar": constant}))
        assert isinstance(compared, Compare)
        return compared.right

    assert right(attr(), value="200") == Constant("any", "200")
    assert right(attr(), value="200", type="int") == Constant("int", 200)
    assert repr(right(attr(), value="200", type="double")) == "Constant(type='double', value=200.0)"
    assert right(attr(), value="true", type="bool") == Constant("bool", True)
    assert right(attr()) == Constant("any", "")
    assert right(field("startTime"), value="1970-01-01T00:00:00.000000001Z") == Constant("time", 1)
    assert right(field("kind"), value="server") == Constant("string", "server")
    assert right(field("traceID"), value="463AC35C9F6413AD") == Constant("string", "0" * 16 + "463ac35c9f6413ad")
    assert right(field("spanID"), value="463AC35C9F6413AD") == Constant("string", "463ac35c9f6413ad")


def test_collections_are_bound_once_but_may_cross() -> None:
    crossed = some("event", some("link", op("exists", field("traceID", "link"))))
    assert from_object(crossed) == Some("event", Some("link", Exists(Field("link", "traceID"))))
    beside = op("and", {"call": some("event", op("exists", attr()))}, {"call": some("event", op("exists", attr()))})
    assert isinstance(from_object(beside), And)


DEEP = op("exists", attr())
for _ in range(MAX_DEPTH):
    DEEP = op("not", {"call": DEEP})
WIDE = op("in", attr(), values(*["x"] * MAX_NODES, type="string"))


@pytest.mark.parametrize(
    ("value", "where", "what"),
    [
        (None, "f", "an object is wanted, not nothing"),
        ([], "f", "not an array"),
        ({}, "f.op", "a string is wanted"),
        (op("like", attr(), scalar("x")), "f.op", "unknown operator 'like'"),
        ({"op": 3}, "f.op", "not a number"),
        ({"op": "eq", "args": {}}, "f.args", "an array is wanted"),
        (op("eq", attr()), "f.args", "takes 2"),
        (op("not"), "f.args", "takes 1"),
        (op("and", {"call": op("exists", attr())}), "f", "at least two"),
        (op("and", attr(), attr()), "f.args[0]", "a predicate is wanted"),
        (op("not", {"call": op("nope")}), "f.args[0].call.op", "unknown operator"),
        (op("exists", {}), "f.args[0]", "exactly one of"),
        (op("exists", attr() | scalar("x")), "f.args[0]", "exactly one of"),
        (op("exists", {"tag": {}}), "f.args[0]", "unknown field 'tag'"),
        (op("exists", scalar("x")), "f.args[0]", "a reference"),
        (op("exists", {"nested": {"level": "event"}}), "f.args[0]", "a reference"),
        (op("exists", attr("")), "f.args[0].attr.key", "no key"),
        (op("exists", attr(level="trace")), "f.args[0].attr.level", "'trace' is not one of"),
        (op("exists", field("service")), "f.args[0].field.name", "no built-in field"),
        (op("exists", {"field": {"name": "name"}}), "f.args[0].field.level", "a string is wanted"),
        (op("exists", attr(scope="x")), "f.args[0].attr", "unknown field 'scope'"),
        (op("eq", scalar("1"), scalar("1")), "f", "two constants"),
        (op("eq", field("duration"), field("name")), "f", "cannot be compared"),
        (op("eq", field("duration"), scalar("2", type="int")), "f", "cannot be compared"),
        (op("eq", field("duration"), scalar("2")), "f", "not a duration"),
        (op("eq", field("startTime"), scalar("now")), "f", "not an RFC 3339"),
        (op("eq", field("status"), scalar("bad")), "f", "is no status"),
        (op("gt", field("kind"), scalar("server")), "f", "no order"),
        (op("gt", attr(), scalar("true", type="bool")), "f", "no order"),
        (op("eq", attr(), scalar("x", type="int")), "f", "is no int"),
        (op("eq", attr(), scalar("9" * 20, type="int")), "f", "is no int"),
        (op("eq", attr(), scalar("1_0", type="double")), "f", "is no double"),
        (op("eq", attr(), scalar("NaN", type="double")), "f", "is no double"),
        (op("eq", attr(), scalar("yes", type="bool")), "f", "is no bool"),
        (op("eq", attr(), scalar("x", type="bytes")), "f.args[1].scalar.type", "'bytes' is not one of"),
        (op("eq", attr(), scalar(5)), "f.args[1].scalar.value", "a string is wanted, not a number"),
        (op("eq", attr(), values("x", type="string")), "f.args[1]", "a reference or a constant"),
        (op("in", attr(), scalar("x")), "f.args[1]", "a list is wanted"),
        (op("in", attr(), values("x")), "f.args[1].list.type", "declare its type"),
        (op("in", attr(), values(type="string")), "f.args[1].list", "empty"),
        (op("in", attr(), values("1", 2, type="int")), "f.args[1].list.values[1]", "not a number"),
        (op("in", attr(), values("1", "x", type="int")), "f.args[1].list", "'x' is no int"),
        (op("in", field("duration"), values("1s", "2")), "f.args[1].list", "not a duration"),
        (op("regex", field("duration"), scalar("x")), "f.args[1].scalar.value", "matches text"),
        (op("regex", attr(), scalar("1", type="int")), "f.args[1].scalar.value", "a pattern is a string"),
        (op("regex", attr(), scalar("^a")), "f.args[1].scalar.value", "an anchor"),
        (op("regex", attr(), attr()), "f.args[1]", "a scalar is wanted"),
        (op("some", attr(), {"call": op("exists", attr())}), "f.args[0]", "a collection"),
        (some("span", op("exists", attr())), "f.args[0].nested.level", "not one of event, link"),
        (some("event", some("event", op("exists", attr()))), "f.args[1].call", "inside another"),
        (op("some", {"nested": {"level": "event"}}, attr()), "f.args[1]", "a predicate is wanted"),
        (DEEP, "f" + ".args[0].call" * MAX_DEPTH, "nested deeper"),
        (WIDE, "f.args[1].list", "more than"),
    ],
)
def test_what_is_refused_and_where(value: object, where: str, what: str) -> None:
    with pytest.raises(FilterError) as caught:
        from_object(value, "f")
    assert caught.value.where == where
    assert what in caught.value.what


def test_depth_just_within_the_limit() -> None:
    assert isinstance(from_object(DEEP["args"][0]["call"]), Not)


@pytest.mark.parametrize(
    "data",
    ["", "{", "nil", b"\xff", '"\\ud800"', "[" * 60_000, "{" * 100_000, '{"op":"eq","args":[' * 3000, "9" * 5000],
)
def test_hostile_json_is_refused(data: str | bytes) -> None:
    with pytest.raises(FilterError):
        decode_json(data)


NAMES = [
    "op",
    "args",
    "attr",
    "field",
    "scalar",
    "list",
    "call",
    "nested",
    "key",
    "level",
    "name",
    "value",
    "values",
    "type",
]
hostile = st.recursive(
    st.none() | st.booleans() | st.text(max_size=4) | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
)


@given(hostile)
def test_any_json_is_a_filter_or_refused(value: object) -> None:
    with pytest.raises(FilterError):
        from_object(value)
