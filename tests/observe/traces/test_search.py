"""Pages against a model that sorts lists: nothing is skipped or repeated, whatever arrives between two pages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.observe.traces.spans import DAY, MILLISECOND, NOW, Traces, query, span, trace_id

from pilothouse.formats.expression import decode_text
from pilothouse.formats.otlp.model import Span
from pilothouse.kit.errors import InvalidInput
from pilothouse.observe.traces import search
from pilothouse.observe.traces.model import TraceQuery
from pilothouse.observe.traces.search import Cursor

#: Windows of a search are never narrower than a millisecond, so times lie further apart than that.
STEP = 10 * MILLISECOND


@pytest.fixture(autouse=True)
def _narrow_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a few spans need several windows, as sixty thousand do otherwise."""
    monkeypatch.setattr(search, "_FIRST_WINDOW_ROWS", 1)


def newest_first(spans: Iterable[Span], service: str = "", start: int = 0, end: int = NOW + 300 * DAY) -> list[bytes]:
    """What a search should find: traces by their newest matching span, then by id, the greatest first."""
    newest: dict[bytes, int] = {}
    for s in spans:
        if (not service or s.service == service) and start <= s.start < end:
            newest[s.trace_id] = max(newest.get(s.trace_id, 0), s.start)
    return sorted(newest, key=lambda t: (newest[t], t), reverse=True)


def pages(traces: Traces, wanted: TraceQuery, between: Iterable[Sequence[Span]] = ()) -> list[bytes]:
    """All pages put together; what ``between`` gives is committed after each."""
    found: list[bytes] = []
    arriving = iter(between)
    for _ in range(200):
        page, cursor = traces.store.search_ids(wanted)
        assert len(page) <= wanted.limit
        assert not cursor or len(page) == wanted.limit
        found += page
        if not cursor:
            return found
        if more := next(arriving, ()):
            traces.add(*more)
        wanted = replace(wanted, cursor=cursor)
    raise AssertionError("the pages never end")


SERVICES = ("shop", "cart")
#: Trace, time and service; few of each, so that traces have many spans and times coincide.
PLACES = st.tuples(st.integers(1, 9), st.integers(0, 6), st.sampled_from(SERVICES))
SAME_TIME = st.tuples(st.integers(1, 9), st.just(3), st.sampled_from(SERVICES))
BATCHES = st.lists(st.lists(PLACES, min_size=1, max_size=6), min_size=1, max_size=4)
Batches = list[list[tuple[int, int, str]]]


class Numbered:
    """Makes spans that all differ."""

    def __init__(self) -> None:
        self.last = 0

    def spans(self, places: Sequence[tuple[int, int, str]]) -> list[Span]:
        made = []
        for trace, time, service in places:
            self.last += 1
            made.append(span(trace, self.last, at=time * STEP, service=service))
        return made


@settings(max_examples=18, deadline=None)
@given(
    first=BATCHES | st.lists(st.lists(SAME_TIME, min_size=1, max_size=6), min_size=1, max_size=4),
    later=BATCHES,
    limit=st.integers(1, 5),
    service=st.sampled_from(["", *SERVICES]),
    segment_rows=st.integers(2, 12),
    bounds=st.none() | st.tuples(st.integers(0, 3), st.integers(3, 7)),
)
@example(  # a shown trace comes again by its older spans, below the window that the cursor points into
    first=[[(5, 3, "shop"), (5, 0, "shop"), (4, 3, "shop"), (3, 3, "shop"), (3, 1, "shop"), (2, 2, "shop")]],
    later=[],
    limit=1,
    service="",
    segment_rows=3,
    bounds=None,
)
def test_pages_neither_skip_nor_repeat(
    first: Batches, later: Batches, limit: int, service: str, segment_rows: int, bounds: tuple[int, int] | None
) -> None:
    numbered = Numbered()
    start, end = (NOW + bounds[0] * STEP, NOW + bounds[1] * STEP) if bounds else (0, NOW + DAY)
    with TemporaryDirectory() as directory, Traces(Path(directory), segment_rows=segment_rows) as traces:
        there = [s for batch in first for s in numbered.spans(batch)]
        for batch in range(0, len(there), 4):
            traces.add(*there[batch : batch + 4])
        wanted = query(service=service, start=start, end=end, limit=limit)
        expected = newest_first(there, service, start, end)
        found = pages(traces, wanted, (numbered.spans(batch) for batch in later))
        assert found == expected


def test_a_first_page_sees_what_came_between_two_pages_of_another_search(tmp_path: Path) -> None:
    with Traces(tmp_path, segment_rows=3) as traces:
        traces.add(*(span(t, t, at=t * STEP) for t in range(1, 7)))
        _, cursor = traces.store.search_ids(query(limit=2))
        traces.add(span(7, 7, at=7 * STEP), span(1, 8, at=8 * STEP))
        assert traces.store.search_ids(query(limit=2, cursor=cursor))[0] == [trace_id(4), trace_id(3)]
        assert traces.store.search_ids(query(limit=2))[0] == [trace_id(1), trace_id(7)]


def test_pages_go_on_after_a_restart(tmp_path: Path) -> None:
    with Traces(tmp_path, segment_rows=3) as traces:
        traces.add(*(span(t, t, at=t * STEP) for t in range(1, 7)))
        _, cursor = traces.store.search_ids(query(limit=2))
        traces.restart()
        traces.add(span(9, 9, at=2 * STEP))
        rest = pages(traces, query(limit=2, cursor=cursor))
        assert rest == [trace_id(t) for t in (4, 3, 2, 1)]


def test_pages_go_on_when_retention_has_taken_what_they_would_show(tmp_path: Path) -> None:
    with Traces(tmp_path, segment_rows=2, retention_age=DAY) as traces:
        traces.add(*(span(t, t, at=t * STEP) for t in range(1, 4)))
        traces.clock.advance(DAY)
        traces.add(*(span(t, t, at=t * STEP) for t in range(4, 8)))
        page, cursor = traces.store.search_ids(query(limit=3))
        assert page == [trace_id(t) for t in (7, 6, 5)]
        traces.clock.advance(DAY // 2)
        assert traces.signals.sweep()
        assert pages(traces, query(limit=3, cursor=cursor)) == [trace_id(4)]


def test_a_trace_stands_where_its_newest_matching_span_does(tmp_path: Path) -> None:
    with Traces(tmp_path) as traces:
        traces.add(
            span(1, 1, at=0, service="shop"),
            span(1, 2, at=9 * STEP, service="cart"),
            span(2, 3, at=5 * STEP, service="shop"),
        )
        assert traces.store.search_ids(query())[0] == [trace_id(1), trace_id(2)]
        assert traces.store.search_ids(query(service="shop"))[0] == [trace_id(2), trace_id(1)]


def test_the_range_holds_its_start_and_not_its_end(tmp_path: Path) -> None:
    with Traces(tmp_path) as traces:
        traces.add(*(span(t, t, at=t) for t in range(1, 5)))
        found, _ = traces.store.search_ids(query(start=NOW + 2, end=NOW + 4))
        assert found == [trace_id(3), trace_id(2)]
        assert traces.store.search_ids(query(start=NOW + 4, end=NOW + 4)) == ([], "")
        assert traces.store.search_ids(query(start=NOW + 9, end=NOW + 4)) == ([], "")


def test_traces_of_absurd_times_are_found_at_their_time(tmp_path: Path) -> None:
    far = 2**63 - 10 - NOW
    with Traces(tmp_path) as traces:
        traces.add(span(1, 1, at=-NOW), span(2, 2), span(3, 3, at=far, duration=1))
        everything = query(end=2**63 - 1, limit=2)
        assert pages(traces, everything) == [trace_id(3), trace_id(2), trace_id(1)]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (query(operation="b"), [3, 1]),
        (query(service="cart", operation="b"), [3]),
        (query(status=2), [2]),
        (query(kind=3), [1]),
        (query(duration_min=200), [3, 2]),
        (query(duration_max=200), [2, 1]),
        (query(duration_min=200, duration_max=200), [2]),
        (query(attributes=(("n", "2"),)), [2, 1]),
        (query(attributes=(("n", "2"), ("flag", "true"))), [1]),
        (query(filter=decode_text("n = 2 and not flag = true")), [2]),
        (query(filter=decode_text("n = 2"), attributes=(("flag", "true"),)), [1]),
        (query(service="nobody"), []),
    ],
)
def test_every_condition_counts_and_on_the_same_span(tmp_path: Path, wanted: TraceQuery, found: list[int]) -> None:
    with Traces(tmp_path, segment_rows=2) as traces:
        traces.add(span(1, 1, at=1, name="b", kind=3, duration=100, attributes={"n": 2, "flag": True}))
        traces.add(span(2, 2, at=2, status=2, duration=200, attributes={"n": "2"}))
        traces.add(span(3, 3, at=3, service="cart", name="b", duration=300, attributes={"n": 3}))
        traces.add(span(3, 4, at=3, service="shop", name="c", duration=300))
        assert traces.store.search_ids(wanted)[0] == [trace_id(t) for t in found]


def test_an_empty_store_has_an_empty_page(tmp_path: Path) -> None:
    with Traces(tmp_path) as traces:
        assert traces.store.search_ids(query()) == ([], "")
        assert traces.store.summaries(query()).traces == ()
        assert list(traces.store.find(query())) == []


CURSORS = st.builds(Cursor, *[st.integers(0, 2**63 - 1)] * 4, trace_id=st.binary(min_size=16, max_size=16))


@given(CURSORS)
def test_a_cursor_is_read_as_it_was_written(cursor: Cursor) -> None:
    assert Cursor.decode(cursor.encode()) == cursor


@pytest.mark.parametrize("text", ["x", "é", "====", "AAAA", "'; DROP TABLE spans_0; --", "k" * 5000])
def test_what_is_no_cursor_is_refused(tmp_path: Path, text: str) -> None:
    with Traces(tmp_path) as traces:
        traces.add(span())
        with pytest.raises(InvalidInput, match="cursor"):
            traces.store.search_ids(query(cursor=text))
        assert traces.rows("SELECT count(*) FROM spans") == [(1,)]


@settings(max_examples=40, deadline=None)
@given(text=st.text(max_size=40) | st.binary(max_size=40).map(lambda b: b.hex()))
def test_no_text_makes_a_cursor_crash(text: str) -> None:
    with suppress(InvalidInput):
        Cursor.decode(text)
