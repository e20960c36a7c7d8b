"""Segments: which one a row goes to, what a failed commit leaves behind, and how a restart goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.signals.things import DAY, NOW, THINGS, Broken, Row, Things

from pilothouse.signals import bloom
from pilothouse.signals.duckdb import segments as module
from pilothouse.signals.duckdb.segments import OUTLIERS, Segments, Writing


def dictionary(things: Things) -> list[tuple[Any, ...]]:
    return things.rows("SELECT segment, id, text FROM words ORDER BY ALL")


def consistent(things: Things, expected: list[Row]) -> None:
    """Everything that can be asked agrees with the rows that were committed."""
    assert things.rows() == sorted(expected)
    numbers: dict[int, list[int]] = {}
    for segment, number, _ in dictionary(things):
        numbers.setdefault(segment, []).append(number)
    assert all(ids == list(range(len(ids))) for ids in numbers.values())
    assert len({(segment, text) for segment, _, text in dictionary(things)}) == len(dictionary(things))
    assert sum(s.rows for s in things.segments.all()) == len(expected)
    for s in things.segments.all():
        times = things.rows(f"SELECT count(*), min(time), max(time) FROM {things.segments.name_of(s.id)}")
        assert times == [(s.rows, s.min_time, s.max_time)]
    stored = things.rows("SELECT id, bucket, rows, min_time, max_time, written, sealed FROM segments WHERE rows > 0")
    known = [(s.id, s.bucket, s.rows, s.min_time, s.max_time, s.written, s.sealed) for s in things.segments.all()]
    assert sorted(stored) == sorted(known)
    for number, count in Counter(n for n, _, _ in expected).items():
        assert len(things.found(number)) == count


def test_rows_go_to_the_segment_of_their_day(tmp_path: Path) -> None:
    with Things(tmp_path) as things:
        rows = [(1, NOW, "a"), (2, NOW - DAY, "a"), (3, NOW + DAY // 4, "b"), (4, NOW - 365 * DAY, "b")]
        things.commit(rows)
        assert sorted((s.bucket, s.rows) for s in things.segments.all()) == [(19_310, 1), (19_674, 1), (19_675, 2)]
        consistent(things, rows)


def test_absurd_times_share_one_segment(tmp_path: Path) -> None:
    with Things(tmp_path, segment_rows=100) as things:
        times = [0, 1, NOW + 2 * DAY, 2**63 - 2, NOW - 367 * DAY, NOW + 400 * DAY]
        rows = [(n, time, "w") for n, time in enumerate(times, 1)]
        things.commit(rows)
        (segment,) = things.segments.all()
        assert segment.bucket == OUTLIERS
        consistent(things, rows)


@given(st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=30))
def test_parts_hold_every_row_once_with_its_like(times: list[int]) -> None:
    segments = Segments(THINGS, segment_rows=10)
    array = np.array(times, np.int64)
    parts = list(segments.parts(array, NOW))
    places = [i for p in parts for i in (range(len(times)) if p.rows is None else p.rows.tolist())]
    assert sorted(places) == list(range(len(times)))
    assert len({p.bucket for p in parts}) == len(parts)
    for part in parts:
        some = array if part.rows is None else array[part.rows]
        right = (some <= NOW + DAY) & (some >= NOW - 366 * DAY)
        assert (some // DAY == part.bucket).all() if part.bucket != OUTLIERS else not right.any()


def test_a_full_segment_is_sealed_and_the_next_numbers_from_zero(tmp_path: Path) -> None:
    with Things(tmp_path, segment_rows=2) as things:
        rows = [(n, NOW + n, word) for n, word in enumerate("abcabc", 1)]
        for row in rows:
            things.commit([row])
        assert [s.sealed for s in things.segments.all()] == [True, True, False]
        assert [len(s.zones or []) for s in _catalogue(things)] == [1, 1, 0]
        assert dictionary(things) == [
            (0, 0, "a"), (0, 1, "b"), (1, 0, "c"), (1, 1, "a"), (2, 0, "b"), (2, 1, "c"),
        ]  # fmt: skip
        consistent(things, rows)
        assert all(things.holding(n) == {(n - 1) // 2} for n, _, _ in rows)


class _Entry:
    def __init__(self, number: int, zones: list[bytes] | None) -> None:
        self.number, self.zones = number, zones


def _catalogue(things: Things) -> list[_Entry]:
    return [_Entry(*row) for row in things.rows("SELECT id, zones FROM segments ORDER BY id")]


def test_a_batch_is_not_torn_apart_by_the_size_of_a_segment(tmp_path: Path) -> None:
    with Things(tmp_path, segment_rows=2) as things:
        rows = [(n, NOW, "w") for n in range(1, 8)]
        things.commit(rows)
        things.commit([(8, NOW, "w")])
        assert [s.rows for s in things.segments.all()] == [7, 1]
        consistent(things, [*rows, (8, NOW, "w")])


#: What breaks a commit, and where.
def _in_flush(patch: pytest.MonkeyPatch) -> None:
    def broken(self: Segments, connection: duckdb.DuckDBPyConnection) -> None:
        raise Broken

    patch.setattr(Segments, "flush", broken)


def _after_a_dictionary(patch: pytest.MonkeyPatch) -> None:
    def broken(rows: Any, size: int) -> Any:
        yield rows[:1]
        raise Broken

    patch.setattr(module, "batched", broken)


def _in_insert(patch: pytest.MonkeyPatch) -> None:
    def broken(self: Segments, connection: Any, writing: Writing, rows: Any) -> None:
        raise Broken

    patch.setattr(Segments, "insert", broken)


def _in_the_second_insert(patch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    whole = Segments.insert

    def broken(self: Segments, connection: Any, writing: Writing, rows: Any) -> None:
        calls.append(1)
        if len(calls) > 1:
            raise Broken
        whole(self, connection, writing, rows)

    patch.setattr(Segments, "insert", broken)


def _in_the_view(patch: pytest.MonkeyPatch) -> None:
    def broken(self: Segments, connection: Any, **_: Any) -> None:
        raise Broken

    patch.setattr(Segments, "create_view", broken)


BREAKS = [_in_flush, _after_a_dictionary, _in_insert, _in_the_second_insert, _in_the_view]
FIRST = [(1, NOW, "a"), (2, NOW + 1, "b"), (3, NOW + 2, "a")]
FAILING = [(4, NOW + 3, "new"), (5, NOW - DAY, "c"), (6, NOW + 4, "newer"), (7, 5, "absurd")]
AFTER = [(6, NOW + 4, "newer"), (8, NOW + 5, "b"), (5, NOW - DAY, "d"), (7, 5, "absurd"), (4, NOW + 3, "new")]


@pytest.mark.parametrize(("segment_rows", "restart"), [(3, False), (4, True), (5, False), (3, True)])
@pytest.mark.parametrize("break_", BREAKS)
def test_a_failed_commit_leaves_no_trace(
    tmp_path: Path, break_: Callable[[pytest.MonkeyPatch], None], segment_rows: int, restart: bool
) -> None:
    with Things(tmp_path, segment_rows=segment_rows) as things:
        things.commit(FIRST)
        before = dictionary(things)
        with pytest.MonkeyPatch.context() as patch:
            break_(patch)
            with pytest.raises(Broken):
                things.commit(FAILING, FAILING)  # two batches: the second seals what the first filled
        consistent(things, FIRST)
        assert dictionary(things) == before
        if restart:
            things.restart()
        things.commit(AFTER)
        consistent(things, FIRST + AFTER)
        things.restart()
        consistent(things, FIRST + AFTER)


def test_an_entry_that_cannot_be_made_gets_no_number(tmp_path: Path) -> None:
    with Things(tmp_path) as things:
        things.commit(FIRST)

        def no_entry() -> tuple[object, ...]:
            raise Broken

        with pytest.raises(Broken), things.signals.database.writing() as connection:
            things.segments.writing(connection, NOW // DAY).id_of("words", "x", no_entry)
        things.segments.settle(committed=False)
        things.commit([(4, NOW, "x")])
        consistent(things, [*FIRST, (4, NOW, "x")])


COMMITS = st.lists(
    st.tuples(
        st.lists(
            st.tuples(st.integers(1, 9), st.sampled_from([NOW, NOW + 5, NOW - DAY, 3]), st.sampled_from("abcde")),
            min_size=1,
            max_size=5,
        ),
        st.sampled_from(["commit", "commit", "fail", "restart"]),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=18, deadline=None)
@given(COMMITS, st.integers(1, 7))
def test_any_course_of_commits_failures_and_restarts_is_consistent(
    steps: list[tuple[list[Row], str]], segment_rows: int
) -> None:
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as directory:
        patch.setattr(bloom, "ZONE_ROWS", 4)
        patch.setattr(module, "ZONE_ROWS", 4)
        with Things(Path(directory), segment_rows=segment_rows) as things:
            there: list[Row] = []
            for rows, then in steps:
                if then == "fail":

                    def fail() -> None:
                        raise Broken

                    with pytest.raises(Broken):
                        things.commit(rows, rows, fail=fail)
                    continue
                if then == "restart":
                    things.restart()
                things.commit(rows)
                there += rows
            consistent(things, there)
            things.restart()
            consistent(things, there)


def test_a_restart_goes_on_with_the_same_segment_and_numbers(tmp_path: Path) -> None:
    with Things(tmp_path, segment_rows=10) as things:
        things.commit([(1, NOW, "a"), (2, NOW, "b")])
        things.restart()
        things.commit([(3, NOW, "b"), (4, NOW, "c")])
        assert len(things.segments.all()) == 1
        assert dictionary(things) == [(0, 0, "a"), (0, 1, "b"), (0, 2, "c")]


def test_a_segment_that_was_full_at_a_restart_is_sealed_by_the_next_row(tmp_path: Path) -> None:
    with Things(tmp_path, segment_rows=2) as things:
        rows = [(1, NOW, "a"), (2, NOW, "b")]
        things.commit(rows)
        things.restart()
        things.commit([(3, NOW, "c")])
        assert [s.sealed for s in things.segments.all()] == [True, False]
        consistent(things, [*rows, (3, NOW, "c")])


def test_many_days_at_once_are_more_than_stay_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_OPEN_SEGMENTS", 3)
    with Things(tmp_path, segment_rows=3) as things:
        rows = [(d + 1, NOW - d * DAY, f"w{d}") for d in range(8)]
        for _ in range(4):
            things.commit(rows)
        consistent(things, rows * 4)
        assert Counter(s.bucket for s in things.segments.all()) == {NOW // DAY - d: 2 for d in range(8)}


def test_a_reader_between_commit_and_settle_misses_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The filters learn of new keys a moment after the file does."""
    with Things(tmp_path, segment_rows=10) as things:
        things.commit([(1, NOW, "a")])
        settle, found = Segments.settle, []

        def looked(self: Segments, *, committed: bool) -> None:
            found.append((things.found(2), things.found(1)))
            settle(self, committed=committed)

        monkeypatch.setattr(Segments, "settle", looked)
        things.commit([(2, NOW + 7, "b")])
        assert found == [([(NOW + 7,)], [(NOW,)])]


def test_a_snapshot_stays_what_it_was(tmp_path: Path) -> None:
    with Things(tmp_path, segment_rows=2) as things:
        things.commit([(1, NOW, "a"), (2, NOW, "b")])
        with things.signals.database.snapshot(10**12) as connection:
            before = things.segments.view(connection)
            things.commit([(3, NOW, "c")], [(1, NOW + 9, "c")])
            again = things.segments.view(connection)
            assert [s.rows for s in before.segments] == [s.rows for s in again.segments] == [2]
            assert connection.execute("SELECT count(*) FROM things").fetchone() == (2,)
        assert len(things.found(1)) == 2
