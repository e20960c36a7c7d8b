"""Traces as pages read them: columns in display order, and every value with its type."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.formats.strategies import attributes, spans
from tests.observe.traces.spans import NOW, span, span_id, trace_id

from pilothouse.formats.otlp.model import Event, Link, Resource, Scope, Span, Value, type_name
from pilothouse.observe.traces import views
from pilothouse.observe.traces.model import ServiceCount, Trace, TraceSummary


def made(value: Any, type_: str) -> Value:
    """The value that an answer stands for."""
    match type_:
        case "int":
            return int(value)
        case "double":
            return float(value)
        case "bytes":
            return msgspec.convert(value, bytes)
        case "array":
            return [made(item["value"], item["type"]) for item in value]
        case "kvlist":
            return {item["key"]: made(item["value"], item["type"]) for item in value}
        case _:
            plain: Value = value
            return plain


@given(attributes)
def test_attributes_are_json_that_keeps_every_value_and_type(given_: dict[str, Value]) -> None:
    sent = msgspec.json.decode(msgspec.json.encode(views.attribute_views(given_)))
    assert [a["key"] for a in sent] == list(given_)
    for attribute, value in zip(sent, given_.values(), strict=True):
        assert attribute["type"] == type_name(value)
        assert repr(made(attribute["value"], attribute["type"])) == repr(value)


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (2**63 - 1, "9223372036854775807"),
        (math.inf, "Infinity"),
        (-math.inf, "-Infinity"),
        (math.nan, "NaN"),
        (b"\0\xff", "AP8="),
        (True, True),
        (None, None),
    ],
)
def test_what_json_cannot_hold_is_text(value: Value, sent: object) -> None:
    (attribute,) = views.attribute_views({"k": value})
    assert attribute.value == sent


def order_of(*given_: Span) -> tuple[list[int], list[int], list[bool]]:
    ordered, parents, orphans = views.display_order(given_)
    return [int.from_bytes(s.span_id) for s in ordered], parents, orphans


def test_children_stand_below_their_parents_by_start() -> None:
    found = order_of(
        span(1, 3, parent=1, at=2),
        span(1, 1),
        span(1, 4, parent=2, at=9),
        span(1, 2, parent=1, at=1),
        span(1, 5, at=-1),
    )
    assert found == ([5, 1, 2, 4, 3], [-1, -1, 1, 2, 1], [False] * 5)


def test_a_span_whose_parent_is_missing_is_an_orphan_on_top() -> None:
    assert order_of(span(1, 2, parent=9, at=5), span(1, 1)) == ([1, 2], [-1, -1], [False, True])


def test_circles_and_spans_that_are_their_own_parents_are_shown_once() -> None:
    ids, parents, orphans = order_of(
        span(1, 1, parent=1), span(1, 2, parent=3), span(1, 3, parent=2), span(1, 4, parent=3)
    )
    assert sorted(ids) == [1, 2, 3, 4]
    assert orphans[0]
    assert parents[0] == -1
    assert parents.count(-1) == 2


def test_spans_of_the_same_id_hang_on_the_first() -> None:
    ids, parents, _ = order_of(
        span(1, 1), span(1, 2, parent=1, name="a"), span(1, 2, parent=1, at=1), span(1, 3, parent=2)
    )
    assert ids == [1, 2, 3, 2]
    assert parents == [-1, 0, 1, 0]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 7), st.integers(0, 9), st.integers(0, 3)), max_size=12))
def test_any_trace_is_shown_whole_with_parents_before_children(places: list[tuple[int, int, int]]) -> None:
    given_ = tuple(span(1, number, parent=parent, at=at) for number, parent, at in places)
    ordered, parents, orphans = views.display_order(given_)
    assert sorted(map(id, ordered)) == sorted(map(id, given_))
    for i, (one, parent) in enumerate(zip(ordered, parents, strict=True)):
        assert parent < i
        assert orphans[i] == (parent < 0 and bool(one.parent_span_id))
        if parent >= 0:
            assert ordered[parent].span_id == one.parent_span_id


def test_a_very_deep_trace_needs_no_deep_stack() -> None:
    deep = tuple(span(1, n, parent=n - 1, at=n) for n in range(1, 20_001))
    _, parents, _ = views.display_order(deep)
    assert parents == list(range(-1, 19_999))


def test_a_trace_in_columns() -> None:
    shop, cart = Resource({"service.name": "shop"}), Resource({"service.name": "cart"}, schema_url="https://r")
    scope = Scope("lib", "1", {"s": 1}, schema_url="https://s")
    root = span(1, 1, at=10, duration=100, resource=shop, scope=scope, attributes={"a": 1, "b": 2})
    child = span(1, 2, parent=1, at=20, duration=200, status=2, kind=3, name="call", resource=cart, scope=scope,
                 events=[Event(NOW, "e")], links=[(5, 6)])  # fmt: skip
    view = views.trace_view(Trace(trace_id(1), (root, child)))
    assert (view.trace_id, view.start, view.duration_ns) == (trace_id(1).hex(), str(NOW + 10), 210)
    assert (view.span_count, view.truncated, view.warnings) == (2, False, [])
    assert [r.service for r in view.resources] == ["shop", "cart"]
    assert view.resources[1].schema_url == "https://r"
    assert [(s.name, s.version, s.schema_url) for s in view.scopes] == [("lib", "1", "https://s")]
    assert view.names == ["GET /", "call"]
    columns = msgspec.to_builtins(view.spans)
    assert columns == {
        "spanId": [span_id(1).hex(), span_id(2).hex()],
        "parent": [-1, 0],
        "orphan": [False, False],
        "name": [0, 1],
        "resource": [0, 1],
        "scope": [0, 0],
        "kind": [2, 3],
        "start": [0, 10],
        "duration": [100, 200],
        "status": [0, 2],
        "events": [0, 1],
        "links": [0, 1],
        "attributes": [2, 0],
    }


def test_a_cut_trace_says_so() -> None:
    view = views.trace_view(Trace(trace_id(1), (span(), span(1, 2)), truncated=True))
    assert view.truncated
    assert view.warnings == ["trace has more than 2 spans, showing first 2 spans only"]


def test_a_summary_keeps_nanoseconds() -> None:
    counts = (ServiceCount("a", 3, 1),)
    sent = views.summary(TraceSummary(trace_id(7), "a", "GET /", NOW + 1, NOW + 9, 3, 1, 2, counts))
    assert msgspec.to_builtins(sent) == {
        "traceId": f"{7:032x}",
        "rootService": "a",
        "rootOperation": "GET /",
        "start": str(NOW + 1),
        "durationNs": 8,
        "spanCount": 3,
        "errorCount": 1,
        "orphanCount": 2,
        "services": [{"name": "a", "spanCount": 3, "errorCount": 1}],
    }


@settings(max_examples=60, deadline=None)
@given(spans())
def test_a_span_in_full_keeps_every_field(one: Span) -> None:
    detail = msgspec.json.decode(msgspec.json.encode(views.span_detail(one)))
    assert detail["spanId"] == one.span_id.hex()
    assert detail["parentSpanId"] == one.parent_span_id.hex()
    assert int(detail["startTimeUnixNano"]) == one.start
    assert int(detail["endTimeUnixNano"]) == one.end
    for name in ("name", "kind", "statusMessage", "traceState", "flags", "droppedEvents", "droppedLinks"):
        plain = "".join(f"_{c.lower()}" if c.isupper() else c for c in name)
        assert detail[name] == getattr(one, plain)
    assert detail["status"] == one.status_code
    assert detail["droppedAttributes"] == one.dropped_attributes
    for sent, kept in ((detail, one), (detail["resource"], one.resource), (detail["scope"], one.scope)):
        assert {a["key"]: repr(made(a["value"], a["type"])) for a in sent["attributes"]} == {
            k: repr(v) for k, v in kept.attributes.items()
        }
    assert [(e["name"], int(e["timeUnixNano"]), e["droppedAttributes"]) for e in detail["events"]] == [
        (e.name, e.time, e.dropped_attributes) for e in one.events
    ]
    assert [(x["traceId"], x["spanId"], x["traceState"], x["flags"]) for x in detail["links"]] == [
        (x.trace_id.hex(), x.span_id.hex(), x.trace_state, x.flags) for x in one.links
    ]


def test_what_sanitizing_said_is_a_warning_and_no_attribute() -> None:
    one = replace(span(), attributes={"a": 1, "@jaeger@warnings": ["it was mended"]}, links=(Link(b"", b"\1"),))
    detail = views.span_detail(one)
    assert [a.key for a in detail.attributes] == ["a"]
    assert detail.warnings == ["it was mended"]
    assert (detail.links[0].trace_id, detail.links[0].span_id) == ("", "01")
