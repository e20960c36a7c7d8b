import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.formats.strategies import spans

from pilothouse.formats.jaeger.model import NO_SERVICE_NAME, JaegerSpan, Log, Process, Reference, TagValue
from pilothouse.formats.jaeger.translate import WARNINGS, from_otlp, to_otlp
from pilothouse.formats.otlp.model import Attributes, Event, Link, Resource, Scope, Span, Value

TRACE, SPAN, PARENT, OTHER = bytes(15) + b"1", bytes(7) + b"2", bytes(7) + b"3", bytes(7) + b"4"


def otlp(**fields: Any) -> Span:
    defaults: dict[str, Any] = {
        "resource": Resource({"service.name": "shop"}),
        "scope": Scope(),
        "name": "buy",
        "start": 1000,
        "end": 3000,
    }
    return Span(TRACE, SPAN, **(defaults | fields))


def jaeger(*tags: tuple[str, TagValue], **fields: Any) -> JaegerSpan:
    return JaegerSpan(TRACE, SPAN, "buy", 1000, 2000, **({"process": Process("shop")} | fields), tags=tags)


def there(span: Span) -> JaegerSpan:
    (translated,) = from_otlp([span])
    return translated


def back(span: JaegerSpan) -> Span:
    (translated,) = to_otlp([span])
    return translated


def test_fields_become_tags_in_the_collectors_order() -> None:
    span = otlp(
        scope=Scope("lib", "2"),
        kind=2,
        status_code=2,
        status_message="no",
        trace_state="a=b",
        flags=0x101,
        attributes={"k": 1},
        parent_span_id=PARENT,
        events=(Event(1500, "paid", {"sum": 1.5}), Event(1600, "", {"x": True}), Event(1700, "name", {"event": "own"})),
        links=(Link(bytes(15) + b"9", OTHER),),
    )
    assert there(span) == JaegerSpan(
        TRACE,
        SPAN,
        "buy",
        1000,
        2000,
        Process("shop"),
        references=(Reference("CHILD_OF", TRACE, PARENT), Reference("FOLLOWS_FROM", bytes(15) + b"9", OTHER)),
        flags=1,
        tags=(
            ("otel.scope.name", "lib"),
            ("otel.scope.version", "2"),
            ("k", 1),
            ("span.kind", "server"),
            ("otel.status_code", "ERROR"),
            ("error", True),
            ("otel.status_description", "no"),
            ("w3c.tracestate", "a=b"),
        ),
        logs=(
            Log(1500, (("event", "paid"), ("sum", 1.5))),
            Log(1600, (("x", True),)),
            Log(1700, (("event", "own"),)),
        ),
    )


@pytest.mark.parametrize(
    ("value", "tag"),
    [
        (None, ""),
        (b"\x01", b"\x01"),
        ([1, "a", b"\xff", None, math.nan], '[1,"a","/w==",null,"NaN"]'),
        ({"a": {"b": [True]}, "c": -math.inf}, '{"a":{"b":[true]},"c":"-Infinity"}'),
    ],
)
def test_values_jaeger_has_no_type_for(value: Value, tag: TagValue) -> None:
    assert there(otlp(attributes={"k": value})).tags == (("k", tag),)


def test_resource_becomes_process() -> None:
    assert there(otlp(resource=Resource({"host": "h", "service.name": "s"}))).process == Process("s", (("host", "h"),))
    assert there(otlp(resource=Resource())).process == Process(NO_SERVICE_NAME)
    assert there(otlp(resource=Resource({"service.name": 3}))).process == Process(NO_SERVICE_NAME)
    first, second = from_otlp([otlp(resource=(resource := Resource({"service.name": "s"}))), otlp(resource=resource)])
    assert first.process is second.process


def test_process_becomes_resource() -> None:
    process = Process("s", (("hostname", "h"), ("jaeger.version", "Go-2")))
    assert back(jaeger(process=process)).resource == Resource(
        {"service.name": "s", "host.name": "h", "opencensus.exporterversion": "Jaeger-Go-2"}
    )
    kept = Process("s", (("hostname", "h"), ("host.name", "own")))
    assert back(jaeger(process=kept)).resource.attributes == {"service.name": "s", "hostname": "h", "host.name": "own"}
    assert back(jaeger(process=Process(NO_SERVICE_NAME, (("a", 1),)))).resource == Resource({"a": 1})


def test_warnings_have_their_own_place() -> None:
    span = otlp(attributes={WARNINGS: ["late", "odd"], "k": 1})
    assert there(span).warnings == ("late", "odd")
    assert there(span).tags == (("k", 1),)
    assert back(there(span)).attributes == {"k": 1, WARNINGS: ["late", "odd"]}
    assert there(otlp(attributes={WARNINGS: "text"})).tags == ((WARNINGS, "text"),)


def test_references() -> None:
    assert there(otlp(parent_span_id=bytes(8))).references == ()
    to_parent = otlp(parent_span_id=PARENT, links=(Link(TRACE, PARENT),))
    assert there(to_parent).references == (Reference("FOLLOWS_FROM", TRACE, PARENT),)
    child = otlp(links=(Link(TRACE, OTHER, attributes={"opentracing.ref_type": "child_of"}),))
    assert there(child).references == (Reference("CHILD_OF", TRACE, OTHER),)


def test_the_parent_is_the_first_child_of_in_the_same_trace() -> None:
    references = (
        Reference("CHILD_OF", bytes(15) + b"9", OTHER),
        Reference("FOLLOWS_FROM", TRACE, OTHER),
        Reference("CHILD_OF", TRACE, PARENT),
    )
    span = back(jaeger(references=references))
    assert span.parent_span_id == PARENT
    assert [(link.trace_id, link.span_id, link.attributes) for link in span.links] == [
        (bytes(15) + b"9", OTHER, {"opentracing.ref_type": "child_of"}),
        (TRACE, OTHER, {"opentracing.ref_type": "follows_from"}),
    ]


@pytest.mark.parametrize(
    ("tags", "status", "left"),
    [
        ([], (0, ""), {}),
        ([("error", True)], (2, ""), {}),
        ([("error", True), ("otel.status_code", "OK"), ("otel.status_description", "d")], (2, "d"), {}),
        ([("error", True), ("http.status_message", "Bad")], (2, "Bad"), {"http.status_message": "Bad"}),
        ([("error", False), ("otel.status_code", "ok")], (1, ""), {"error": False}),
        ([("error", "true")], (0, ""), {"error": "true"}),
        ([("otel.status_code", "ERROR"), ("http.status_code", 200)], (2, ""), {"http.status_code": 200}),
        ([("otel.status_code", "odd")], (0, ""), {}),
        ([("http.status_code", 500)], (2, ""), {"http.status_code": 500}),
        ([("http.status_code", "503")], (2, ""), {"http.status_code": "503"}),
        ([("http.status_code", 404)], (0, ""), {"http.status_code": 404}),
        ([("http.status_code", 404), ("span.kind", "client")], (2, ""), {"http.status_code": 404}),
        ([("http.status_code", 404), ("span.kind", "server")], (0, ""), {"http.status_code": 404}),
        ([("http.status_code", "many")], (0, ""), {"http.status_code": "many"}),
        ([("http.status_code", True)], (0, ""), {"http.status_code": True}),
    ],
)
def test_status_is_decided_by_the_strongest_tag(
    tags: list[tuple[str, TagValue]], status: tuple[int, str], left: Attributes
) -> None:
    span = back(jaeger(*tags))
    assert (span.status_code, span.status_message) == status
    assert span.attributes == left


def test_tags_that_only_look_like_fields_stay() -> None:
    span = back(jaeger(("span.kind", "boss"), ("w3c.tracestate", 7), ("otel.scope.name", 1)))
    assert span.attributes == {"span.kind": "boss", "w3c.tracestate": 7, "otel.scope.name": 1}
    assert (span.kind, span.trace_state, span.scope) == (0, "", Scope())
    assert back(jaeger(("otel.library.name", "old"), ("otel.library.version", "1"))).scope == Scope("old", "1")


def test_an_event_without_a_textual_name_keeps_its_field() -> None:
    span = back(jaeger(logs=(Log(5, (("event", 3),)), Log(6, (("event", "e"), ("a", 1))))))
    assert span.events == (Event(5, "", {"event": 3}), Event(6, "e", {"a": 1}))


@given(st.lists(spans(), max_size=3))
def test_any_span_translates_and_its_core_survives(batch: list[Span]) -> None:
    for span, again in zip(batch, to_otlp(from_otlp(batch)), strict=True):
        assert (again.trace_id, again.span_id, again.name) == (span.trace_id, span.span_id, span.name)
        assert (again.start, again.end) == (span.start, span.end)
        assert len(again.events) == len(span.events)


def test_what_jaeger_can_say_survives_the_round_trip() -> None:
    span = otlp(
        scope=Scope("lib", "2"),
        kind=3,
        status_code=2,
        status_message="no",
        trace_state="a=b",
        flags=1,
        attributes={"s": "", "i": -1, "f": 1.0, "b": False, "x": b"\x00", WARNINGS: ["w"]},
        parent_span_id=PARENT,
        events=(Event(1500, "paid", {"sum": 1.5}),),
        links=(Link(bytes(15) + b"9", OTHER, attributes={"opentracing.ref_type": "follows_from"}),),
    )
    assert back(there(span)) == span
