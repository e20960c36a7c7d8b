"""What a commit writes beside the spans, and what one that fails does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from tests.observe.traces.spans import DAY, Traces, query, span, trace_id

from pilothouse.formats.otlp.model import Resource, Scope, Span
from pilothouse.observe.traces import ingest
from pilothouse.observe.traces.ingest import Ingest, Outcome
from pilothouse.signals.duckdb.database import Database
from pilothouse.signals.duckdb.segments import Segments

DICTIONARIES = ("resources", "scopes", "shapes")


class Broken(Exception):
    """What a test makes a commit fail with."""


def varied(number: int, *, at: int = 0, kinds: int = 5) -> Span:
    """Spans that share some of their resource, scope, shape and operation."""
    k = number % kinds
    return span(
        number,
        number,
        at=at,
        name=f"op{k}",
        attributes={f"key{k}": number, "b": "x"},
        resource=Resource({"service.name": f"s{k % 2}", "host": k}),
        scope=Scope(f"lib{k % 3}"),
    )


def agree(traces: Traces, spans: list[Span]) -> None:
    """Every way of asking tells exactly these spans."""
    assert traces.rows("SELECT count(*) FROM spans") == [(len(spans),)]
    for one in spans:
        trace = traces.store.trace(one.trace_id)
        assert trace is not None
        assert list(trace.spans) == [one]
    found, _ = traces.store.search_ids(query(attributes=(("b", "x"),)))
    assert set(found) == {s.trace_id for s in spans}
    for key in {k for s in spans for k in s.attributes}:
        by_key = {s.trace_id for s in spans if s.attributes.get(key) == 7}
        assert set(traces.store.search_ids(query(attributes=((key, "7"),)))[0]) == by_key
    operations = {(o.name, o.kind) for o in traces.store.operations("")}
    assert operations == {(s.name, s.kind) for s in spans}
    for name in DICTIONARIES:
        ids = traces.rows(f"SELECT segment, list(id ORDER BY id) FROM {name} GROUP BY segment")
        assert all(numbers == list(range(len(numbers))) for _, numbers in ids)
        dangling = traces.rows(f"SELECT count(*) FROM {name} WHERE segment NOT IN (SELECT id FROM segments)")
        assert dangling == [(0,)]


def _flush(patch: pytest.MonkeyPatch) -> None:
    def broken(self: Segments, connection: Any) -> None:
        raise Broken

    patch.setattr(Segments, "flush", broken)


def _insert_late(patch: pytest.MonkeyPatch) -> None:
    whole, calls = Segments.insert, []

    def broken(self: Segments, *args: Any) -> None:
        calls.append(1)
        if len(calls) == 2:
            raise Broken
        whole(self, *args)

    patch.setattr(Segments, "insert", broken)


def _operations(patch: pytest.MonkeyPatch) -> None:
    def broken(self: Ingest, *args: Any) -> None:
        raise Broken

    patch.setattr(Ingest, "_note_operations", broken)


def _commit(patch: pytest.MonkeyPatch) -> None:
    """As when the disk fails in the very end."""
    whole = Segments.flush

    def broken(self: Segments, connection: duckdb.DuckDBPyConnection) -> None:
        whole(self, connection)
        raise Broken

    patch.setattr(Segments, "flush", broken)


@pytest.mark.parametrize(
    ("break_", "segment_rows", "max_shapes"),
    [
        (_flush, 4, 4),
        (_flush, 7, 8192),
        (_insert_late, 4, 8192),
        (_operations, 7, 4),
        (_commit, 4, 8192),
        (_commit, 7, 4),
    ],
)
def test_a_failed_commit_leaves_no_trace(
    tmp_path: Path, break_: Callable[[pytest.MonkeyPatch], None], segment_rows: int, max_shapes: int
) -> None:
    with pytest.MonkeyPatch.context() as whole, Traces(tmp_path, segment_rows=segment_rows) as traces:
        whole.setattr(ingest, "MAX_SHAPES", max_shapes)
        there = [varied(n, kinds=3) for n in range(1, 5)]
        traces.add(*there)
        failing = [varied(n, at=-DAY * (n % 2)) for n in range(5, 12)]
        with pytest.MonkeyPatch.context() as patch:
            break_(patch)
            (outcome,) = traces.send(failing)
        assert isinstance(outcome, Exception)
        agree(traces, there)
        late = [varied(n, at=-DAY * (n % 2)) for n in range(11, 4, -1)]  # the same, in another order
        for first in range(0, 7, 2):
            traces.add(*late[first : first + 2])
        agree(traces, there + late)
        traces.restart()
        agree(traces, there + late)
        more = [varied(n) for n in range(20, 26)]
        traces.add(*more)
        agree(traces, there + late + more)
        balance = traces.ledger.balance()
        assert (balance.difference, balance.stored, sum(balance.refused.values())) == (0, 17, 7)


def test_a_restart_after_every_commit_makes_no_difference(tmp_path: Path) -> None:
    with Traces(tmp_path / "a", segment_rows=5) as one, Traces(tmp_path / "b", segment_rows=5) as other:
        spans = [varied(n, at=n) for n in range(1, 19)]
        for first in range(0, 18, 2):
            one.add(*spans[first : first + 2])
            other.add(*spans[first : first + 2])
            other.restart()
        agree(other, spans)
        for name in DICTIONARIES:
            statement = f"SELECT * FROM {name} ORDER BY segment, id"
            assert one.rows(statement) == other.rows(statement)
        for segment in range(3):
            statement = f"SELECT span_id, shape, resource_id, scope_id, commit FROM spans_{segment} ORDER BY span_id"
            assert one.rows(statement) == other.rows(statement)


def test_commits_are_numbered_without_gaps_by_failures_and_restarts(tmp_path: Path) -> None:
    with Traces(tmp_path) as traces:
        traces.add(varied(1))
        with pytest.MonkeyPatch.context() as patch:
            _commit(patch)
            traces.send([varied(2)])
        traces.add(varied(3))
        traces.restart()
        traces.add(varied(4))
        assert traces.rows("SELECT commit FROM spans_0 ORDER BY span_id") == [(1,), (2,), (3,)]
        assert traces.store.last_commit() == 3


def test_requests_of_a_group_share_a_commit_and_keep_their_own_answers(tmp_path: Path) -> None:
    with Traces(tmp_path) as traces:
        bad = span(0, 9)
        found = traces.send([varied(1), varied(2)], [varied(3), bad], [varied(1), varied(2)], [bad])
        assert found == [
            Outcome({}, accepted=2),
            Outcome({"invalid_trace_id": 1}, accepted=1),
            Outcome({}, accepted=2, duplicate=True),
            Outcome({"invalid_trace_id": 1}),
        ]
        assert traces.rows("SELECT count(*), count(DISTINCT commit) FROM spans_0") == [(3, 1)]
        balance = traces.ledger.balance()
        assert (balance.received, balance.stored, balance.duplicate, balance.dropped) == (
            7, 3, 2, {"invalid_trace_id": 2},
        )  # fmt: skip
        assert balance.difference == 0


def test_what_is_acknowledged_is_in_the_next_answer(tmp_path: Path) -> None:
    with Traces(tmp_path, segment_rows=3) as traces:
        for n in range(1, 20):
            traces.add(varied(n, at=n))
            assert traces.store.search_ids(query(limit=1))[0] == [trace_id(n)]
            assert traces.store.trace(trace_id(n)) is not None
            assert traces.store.summaries_of([trace_id(n)])


def test_operations_of_every_name_are_listed_up_to_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "_OPERATIONS", 5)
    with Traces(tmp_path, retention_age=DAY) as traces:
        traces.add(*(span(n, n, name=f"id-{n}") for n in range(1, 9)))
        assert len(traces.store.operations("shop")) == 5
        assert traces.rows("SELECT count(*) FROM spans") == [(8,)]
        traces.clock.advance(2 * DAY)
        traces.signals.sweep()
        traces.add(span(9, 9, at=2 * DAY, name="new"))
        assert [o.name for o in traces.store.operations("")] == ["new"]


def test_a_commit_that_the_engine_refuses_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The transaction itself fails, not something in it."""
    with Traces(tmp_path, segment_rows=2) as traces:
        traces.add(varied(1), varied(2))

        class Writer:
            def __init__(self, inner: duckdb.DuckDBPyConnection) -> None:
                self._inner = inner

            def execute(self, statement: str, *values: Any) -> Any:
                if statement == "COMMIT":
                    raise duckdb.TransactionException("refused")
                return self._inner.execute(statement, *values)

            def __getattr__(self, name: str) -> Any:
                return getattr(self._inner, name)

        database: Database = traces.signals.database
        with monkeypatch.context() as patch:
            patch.setattr(database, "_writer", Writer(database._writer))
            (outcome,) = traces.send([varied(3), varied(4)])
        assert isinstance(outcome, Exception)
        agree(traces, [varied(1), varied(2)])
        traces.add(varied(4), varied(3))
        agree(traces, [varied(n) for n in (1, 2, 3, 4)])
