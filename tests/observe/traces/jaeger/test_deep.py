"""Paths through a service, read from traces of any shape."""

from __future__ import annotations

from tests.observe.traces.jaeger.memory import make_span, trace_id

from pilothouse.formats.otlp.model import Span
from pilothouse.observe.traces.jaeger.deep import EXAMPLES, MAX_PATHS, MAX_STEPS, Paths
from pilothouse.observe.traces.model import Trace


def paths_of(*spans: Span, service: str = "shop", operation: str = "") -> list[list[str]]:
    paths = Paths(service, operation)
    paths.add(Trace(trace_id(1), spans))
    return [[f"{step.service}:{step.operation}" for step in path.steps] for path in paths.found()]


def test_branches_are_paths_and_inner_spans_are_no_steps() -> None:
    spans = [
        make_span(1, name="get", service="front"),
        make_span(2, parent=1, name="inner", service="front", kind=1),
        make_span(3, parent=2, name="buy"),
        make_span(4, parent=3, name="internal", kind=1),
        make_span(5, parent=4, name="charge", service="bank"),
        make_span(6, parent=3, name="send", kind=4),
        make_span(7, parent=6, name="receive", service="mail", kind=5),
        make_span(8, parent=1, name="other", service="ads"),
    ]
    assert paths_of(*spans) == [["front:get", "shop:buy", "bank:charge"], ["front:get", "shop:buy", "mail:receive"]]
    assert paths_of(*spans, operation="buy") == paths_of(*spans)
    assert paths_of(*spans, operation="sell") == []


def test_a_service_that_calls_itself_is_entered_again() -> None:
    spans = [make_span(1, name="a"), make_span(2, parent=1, name="call", kind=3), make_span(3, parent=2, name="b")]
    assert paths_of(*spans) == [["shop:a", "shop:b"]]


def test_orphans_begin_paths_and_rings_are_none() -> None:
    assert paths_of(make_span(1, parent=9, name="a")) == [["shop:a"]]
    assert paths_of(make_span(1, parent=2), make_span(2, parent=1)) == []
    assert paths_of(make_span(1, parent=1, name="a")) == [["shop:a"]]


def test_depth_costs_no_more_than_length() -> None:
    (path,) = paths_of(*[make_span(n, parent=n - 1, name=str(n)) for n in range(1, 20_001)])
    assert len(path) == MAX_STEPS
    assert paths_of(*[make_span(n, parent=n - 1, name=str(n), kind=1) for n in range(1, 20_001)]) == [["shop:1"]]


def test_an_answer_is_bounded() -> None:
    paths = Paths("shop")
    for number in range(MAX_PATHS + 5):
        paths.add(Trace(trace_id(number + 1), (make_span(1, name=str(number)),)))
        paths.add(Trace(trace_id(number + 1), (make_span(1, name="same"),)))
    found = paths.found()
    assert len(found) == MAX_PATHS
    assert max(len(path.examples) for path in found) == EXAMPLES
