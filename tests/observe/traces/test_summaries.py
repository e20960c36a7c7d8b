"""Summaries and dependencies, as SQL computes them, against the same said in Python."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.observe.traces.spans import DAY, NOW, Traces, query, span, trace_id

from pilothouse.formats.otlp.model import Event, Resource, Span
from pilothouse.kit.clock import SECOND
from pilothouse.observe.traces.model import Dependency, ServiceCount, TraceSummary

MINUTE = 60 * SECOND
PRODUCER, CONSUMER, ERROR = 4, 5, 2


def distinct(spans: Iterable[Span]) -> list[Span]:
    """Spans without those that differ only in what no summary shows."""
    seen = {(s.trace_id, s.span_id, s.parent_span_id, s.start, s.end, s.service, s.name, s.kind, s.status_code): s
            for s in spans}  # fmt: skip
    return list(seen.values())


def summary_of(spans: Sequence[Span]) -> TraceSummary:
    """The summary of one trace's spans."""
    spans = distinct(spans)
    ids = {s.span_id for s in spans}
    roots = sorted((s for s in spans if not s.parent_span_id), key=lambda s: (s.start, s.span_id))
    errors = Counter(s.service for s in spans if s.status_code == ERROR)
    return TraceSummary(
        trace_id=spans[0].trace_id,
        root_service=roots[0].service if roots else "",
        root_name=roots[0].name if roots else "",
        start=min(s.start for s in spans),
        end=max(s.end for s in spans),
        span_count=len(spans),
        error_count=errors.total(),
        orphan_count=sum(bool(s.parent_span_id) and s.parent_span_id not in ids for s in spans),
        services=tuple(
            ServiceCount(name, count, errors[name]) for name, count in sorted(Counter(s.service for s in spans).items())
        ),
    )


def calls_of(spans: Sequence[Span], start: int, end: int) -> list[Dependency]:
    """Who calls whom: by parent, and by the links of consumers to producers."""
    spans = distinct(spans)
    calls: Counter[tuple[str, str]] = Counter()
    errors: Counter[tuple[str, str]] = Counter()
    for child in spans:
        if not start <= child.start < end:
            continue
        links = {(link.trace_id, link.span_id) for link in child.links} if child.kind == CONSUMER else set()
        for parent in spans:
            place = (parent.trace_id, parent.span_id)
            called = place == (child.trace_id, child.parent_span_id)
            if parent.service != child.service and (called or (parent.kind == PRODUCER and place in links)):
                calls[parent.service, child.service] += 1
                errors[parent.service, child.service] += child.status_code == ERROR
    return [Dependency(*edge, count, errors[edge]) for edge, count in sorted(calls.items())]


@st.composite
def some_spans(draw: st.DrawFn) -> list[Span]:
    """Spans of few traces, each id once; parents that are there, missing, or in a circle; links to any span."""
    spans = []
    for number in range(1, draw(st.integers(1, 14)) + 1):
        links = draw(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 14)), max_size=2))
        spans.append(
            span(
                draw(st.integers(1, 3)),
                number,
                parent=draw(st.integers(0, 16)),
                at=draw(st.sampled_from([0, 1, 2, 50 * DAY, MINUTE, -2 * DAY])),
                duration=draw(st.sampled_from([1, 5, MINUTE])),
                service=draw(st.sampled_from("abc")),
                name=draw(st.sampled_from("xy")),
                kind=draw(st.sampled_from([2, 3, PRODUCER, CONSUMER])),
                status=draw(st.sampled_from([0, 1, ERROR])),
                links=links,
            )
        )
    return spans


@settings(max_examples=15, deadline=None)
@given(spans=some_spans(), data=st.data(), segment_rows=st.integers(1, 8))
def test_summaries_and_dependencies_say_what_the_model_does(
    spans: list[Span], data: st.DataObject, segment_rows: int
) -> None:
    again = data.draw(st.lists(st.sampled_from(spans), max_size=4))
    with TemporaryDirectory() as directory, Traces(Path(directory), segment_rows=segment_rows) as traces:
        for batch in (spans[::2], spans[1::2], again):
            if batch:
                traces.add(*batch)
        ids = [trace_id(t) for t in (3, 1, 2, 9)]
        by_trace = {t: [s for s in spans if s.trace_id == t] for t in ids}
        assert traces.store.summaries_of(ids) == [summary_of(found) for found in by_trace.values() if found]
        page = traces.store.summaries(query())
        assert {s.trace_id: s for s in page.traces} == {t: summary_of(f) for t, f in by_trace.items() if f}
        start, end = NOW - DAY, NOW + data.draw(st.sampled_from([2, DAY]))
        near = [s for s in spans if start - 10 * MINUTE <= s.start < end]
        assert traces.store.dependencies(start, end) == calls_of(near, start, end)


def dependencies(traces: Traces, start: int = NOW, end: int = NOW + MINUTE) -> list[tuple[str, str, int, int]]:
    return [(d.parent, d.child, d.call_count, d.error_count) for d in traces.store.dependencies(start, end)]


def test_of_two_roots_the_earlier_names_the_trace_with_both_its_names(tmp_path: Path) -> None:
    with Traces(tmp_path) as traces:
        traces.add(span(1, 9, service="b", name="y"), span(1, 4, service="a", name="z"), span(1, 5, at=1, name="w"))
        (summary,) = traces.store.summaries_of([trace_id(1)])
        assert (summary.root_service, summary.root_name) == ("a", "z")


def test_a_trace_over_many_segments_has_one_summary(tmp_path: Path) -> None:
    with Traces(tmp_path, segment_rows=2) as traces:
        for number in range(1, 9):
            traces.add(span(1, number, parent=number - 1, at=number * DAY // 3, service=f"s{number % 3}"))
        assert len(traces.segments.all()) > 4
        (summary,) = traces.store.summaries(query()).traces
        assert (summary.span_count, summary.orphan_count) == (8, 0)
        assert [s.span_count for s in summary.services] == [2, 3, 3]
        assert summary.root_service == "s1"


def test_a_span_that_is_sent_twice_counts_once(tmp_path: Path) -> None:
    with Traces(tmp_path, segment_rows=1) as traces:
        root, call = span(1, 1, service="a", status=ERROR), span(1, 2, parent=1, service="b", status=ERROR)
        traces.add(root, call)
        traces.add(call)
        traces.add(root)
        (summary,) = traces.store.summaries_of([trace_id(1)])
        assert (summary.span_count, summary.error_count) == (2, 2)
        assert dependencies(traces) == [("a", "b", 1, 1)]
        found = traces.store.trace(trace_id(1))
        assert found is not None
        assert len(found.spans) == 2


def test_unknown_traces_have_no_summary_and_order_is_the_callers(tmp_path: Path) -> None:
    with Traces(tmp_path, segment_rows=1) as traces:
        traces.add(*(span(t, t) for t in (1, 2, 3)))
        found = traces.store.summaries_of([trace_id(t) for t in (2, 8, 3, 1)])
        assert [s.trace_id for s in found] == [trace_id(t) for t in (2, 3, 1)]
        assert traces.store.summaries_of([]) == []


def test_a_service_is_known_by_its_resource_however_bad(tmp_path: Path) -> None:
    bad = [Resource(), Resource({"service.name": ""}), Resource({"service.name": 5})]
    with Traces(tmp_path) as traces:
        traces.add(*(span(1, n, resource=r) for n, r in enumerate(bad, 1)))
        (summary,) = traces.store.summaries_of([trace_id(1)])
        names = ["empty-service-name", "missing-service-name", "service-name-wrong-type"]
        assert [s.name for s in summary.services] == names
        assert [s.name for s in traces.store.services()] == names


def test_calls_within_a_service_are_none(tmp_path: Path) -> None:
    with Traces(tmp_path) as traces:
        traces.add(span(1, 1), span(1, 2, parent=1), span(1, 3, kind=CONSUMER, links=[(1, 1)]))
        assert dependencies(traces) == []


def test_calls_are_counted_by_callees_with_their_errors(tmp_path: Path) -> None:
    with Traces(tmp_path, segment_rows=1) as traces:
        traces.add(span(1, 1, service="a"))
        traces.add(span(1, 2, parent=1, service="b"), span(1, 3, parent=1, service="b", status=ERROR))
        traces.add(span(1, 4, parent=3, service="c"), span(1, 5, parent=99, service="c"))
        assert dependencies(traces) == [("a", "b", 2, 1), ("b", "c", 1, 0)]


def test_a_message_is_a_call_from_its_producer(tmp_path: Path) -> None:
    with Traces(tmp_path, segment_rows=1) as traces:
        traces.add(span(1, 1, service="a", kind=PRODUCER), span(1, 2, service="d", kind=3))
        traces.add(span(2, 3, service="b", kind=CONSUMER, status=ERROR, links=[(1, 1), (1, 2), (7, 7)]))
        traces.add(span(2, 4, service="c", kind=2, links=[(1, 1)]))
        assert dependencies(traces) == [("a", "b", 1, 1)]


def test_a_message_whose_producer_is_parent_and_linked_is_one_call(tmp_path: Path) -> None:
    with Traces(tmp_path) as traces:
        traces.add(
            span(1, 1, service="a", kind=PRODUCER), span(1, 2, parent=1, service="b", kind=CONSUMER, links=[(1, 1)])
        )
        assert dependencies(traces) == [("a", "b", 1, 0)]


def test_the_callee_decides_whether_a_call_is_in_the_range(tmp_path: Path) -> None:
    with Traces(tmp_path) as traces:
        traces.add(span(1, 1, service="a"), span(1, 2, parent=1, at=5 * MINUTE, service="b"))
        assert dependencies(traces, NOW + 5 * MINUTE, NOW + 5 * MINUTE + 1) == [("a", "b", 1, 0)]
        assert dependencies(traces, NOW, NOW + 5 * MINUTE) == []
        assert dependencies(traces, NOW + DAY, NOW + 2 * DAY) == []


@pytest.mark.parametrize("change", [{"events": (Event(NOW, "x"),)}, {"trace_state": "a=b"}, {"attributes": {"a": 1}}])
def test_what_a_summary_does_not_show_makes_no_second_span(tmp_path: Path, change: dict[str, object]) -> None:
    with Traces(tmp_path) as traces:
        traces.add(span(1, 1), replace(span(1, 1), **change))
        (summary,) = traces.store.summaries_of([trace_id(1)])
        assert summary.span_count == 1
