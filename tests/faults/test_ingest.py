"""What one request, one clock or one write can do to the others: nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.observe.traces.spans import DAY, Traces, span, trace_id

from pilothouse.formats.otlp import proto
from pilothouse.formats.otlp.model import Resource
from pilothouse.kit.clock import SECOND
from pilothouse.kit.errors import InvalidInput, PilothouseError, StorageFull
from pilothouse.observe.traces import ingest as module
from pilothouse.observe.traces.columns import Batch
from pilothouse.observe.traces.ingest import Outcome, Unstorable
from pilothouse.observe.traces.schema import LOOSE, MAX_SHAPES

pytestmark = pytest.mark.faults


@pytest.fixture
def traces(tmp_path: Path) -> Iterator[Traces]:
    with Traces(tmp_path / "d", segment_rows=1_000_000) as opened:
        yield opened


def send(traces: Traces, *payloads: bytes) -> list[Outcome | Exception]:
    return traces.ingest.commit(traces.ingest.prepare(list(payloads)))


def one(trace: int, **fields: Any) -> bytes:
    return proto.encode([span(trace, **fields)])


def count(traces: Traces) -> int:
    return int(traces.rows("SELECT count(*) FROM spans")[0][0])


def booked(traces: Traces) -> dict[str, Any]:
    balance = traces.ledger.balance()
    assert balance.difference == 0
    assert balance.queued == 0
    return {
        "received": balance.received,
        "stored": balance.stored,
        "duplicate": balance.duplicate,
        **balance.refused,
        **balance.dropped,
    }


def test_unreadable_requests_leave_the_others_of_their_group_alone(traces: Traces) -> None:
    garbage, truncated = b"\xff\xff", one(2)[:-1]
    outcomes = send(traces, one(1), garbage, truncated, one(3))
    assert outcomes[0] == outcomes[3] == Outcome(accepted=1)
    assert isinstance(outcomes[1], InvalidInput)
    assert isinstance(outcomes[2], InvalidInput)
    assert count(traces) == 2
    assert booked(traces)["stored"] == 2


@contextmanager
def poisoned(monkeypatch: pytest.MonkeyPatch, word: bytes, error: Exception) -> Iterator[list[int]]:
    """Every write that contains ``word`` fails; yields how many spans each attempt had."""
    attempts: list[int] = []
    real = module.Ingest._write_batch

    def write(self: module.Ingest, connection: Any, batch: Batch, rows: Any, now: int) -> None:
        attempts.append(len(rows))
        real(self, connection, batch, rows, now)
        if any(word.decode() == name for name in batch.columns["name"].take(rows).to_pylist()):
            raise error

    with monkeypatch.context() as patch:
        patch.setattr(module.Ingest, "_write_batch", write)
        yield attempts


def test_a_request_that_cannot_be_stored_harms_no_other(traces: Traces, monkeypatch: pytest.MonkeyPatch) -> None:
    requests = [one(1), one(2, name="poison"), one(3), one(2, name="poison"), one(3)]
    with poisoned(monkeypatch, b"poison", ValueError("some defect\nwith lines")):
        outcomes = send(traces, *requests)
    assert outcomes[0] == outcomes[2] == Outcome(accepted=1)
    assert outcomes[4] == Outcome(accepted=1, duplicate=True)
    assert isinstance(outcomes[1], Unstorable)
    assert isinstance(outcomes[3], Unstorable)
    assert outcomes[1].sentence() == "the request cannot be stored: some defect"
    assert count(traces) == 2
    assert booked(traces) == {"received": 5, "stored": 2, "duplicate": 1, "unstorable": 2}
    again = send(traces, *requests)
    assert [isinstance(o, Outcome) and o.duplicate for o in again] == [True, False, True, True, True]
    assert count(traces) == 3


def test_a_full_disk_is_nobodys_fault(traces: Traces, monkeypatch: pytest.MonkeyPatch) -> None:
    with poisoned(monkeypatch, b"GET /", StorageFull("full")) as attempts, pytest.raises(StorageFull):
        send(traces, one(1), one(2))
    assert attempts == [2]
    assert count(traces) == 0
    assert booked(traces) == {"received": 2, "stored": 0, "duplicate": 0, "storage_error": 2}
    assert send(traces, one(1), one(2)) == [Outcome(accepted=1)] * 2
    assert count(traces) == 2


def test_a_disk_that_fills_while_requests_are_tried_one_by_one(traces: Traces, monkeypatch: pytest.MonkeyPatch) -> None:
    with poisoned(monkeypatch, b"poison", ValueError("x")), monkeypatch.context() as patch:
        written = module.Ingest._write

        def write(self: module.Ingest, batches: Any, outcomes: Any) -> None:
            if count(traces):
                raise StorageFull("full")
            written(self, batches, outcomes)

        patch.setattr(module.Ingest, "_write", write)
        outcomes = send(traces, one(1), one(2, name="poison"), one(3))
    assert outcomes[0] == Outcome(accepted=1)
    assert all(isinstance(o, StorageFull) for o in outcomes[1:])
    assert booked(traces) == {"received": 3, "stored": 1, "duplicate": 0, "storage_error": 2}
    assert send(traces, one(1), one(3)) == [Outcome(accepted=1, duplicate=True), Outcome(accepted=1)]
    assert count(traces) == 2


def test_a_retransmission_is_acknowledged_and_not_written_also_after_a_restart(traces: Traces) -> None:
    request = proto.encode([span(1), span(1, 2), span(0, 0)])
    assert send(traces, request, request) == [
        Outcome({"invalid_trace_id": 1}, accepted=2),
        Outcome({"invalid_trace_id": 1}, True, 2),
    ]
    assert send(traces, request) == [Outcome({"invalid_trace_id": 1}, True, 2)]
    traces.restart()
    (outcome,) = send(traces, request)
    assert isinstance(outcome, Outcome)
    assert outcome.duplicate
    assert count(traces) == 2
    booked(traces)


def test_a_request_prepared_before_its_twin_was_committed_is_a_duplicate(traces: Traces) -> None:
    first, second = traces.ingest.prepare([one(1)]), traces.ingest.prepare([one(1), one(2)])
    assert traces.ingest.commit(first) == [Outcome(accepted=1)]
    assert traces.ingest.commit(second) == [Outcome(accepted=1, duplicate=True), Outcome(accepted=1)]
    assert count(traces) == 2
    assert booked(traces) == {"received": 3, "stored": 2, "duplicate": 1}


def test_a_request_forgotten_between_preparing_and_committing_is_still_known(traces: Traces) -> None:
    send(traces, one(1))
    prepared = traces.ingest.prepare([one(1), one(2)])
    traces.clock.advance(600 * SECOND)
    send(traces, one(3))
    assert traces.ingest.commit(prepared) == [Outcome(accepted=1, duplicate=True), Outcome(accepted=1)]


@pytest.mark.parametrize("jump", [-400 * DAY, -3600 * SECOND, 3600 * SECOND, 400 * DAY])
def test_a_clock_that_jumps_loses_and_doubles_nothing(traces: Traces, jump: int) -> None:
    send(traces, one(1))
    traces.clock.jump(jump)
    assert send(traces, one(1), one(2)) == [Outcome(accepted=1, duplicate=True), Outcome(accepted=1)]
    traces.clock.advance(20 * SECOND)
    assert send(traces, one(1), one(2)) == [Outcome(accepted=1, duplicate=True)] * 2
    traces.clock.jump(-jump)
    assert send(traces, one(1), one(2), one(3))[2] == Outcome(accepted=1)
    traces.restart()
    traces.clock.jump(jump)
    assert send(traces, one(4)) == [Outcome(accepted=1)]
    assert count(traces) == 4
    assert all(traces.store.trace(trace_id(n)) for n in (1, 2, 3, 4))
    assert booked(traces)["stored"] == 4


def test_a_clock_that_leaps_ahead_and_back_removes_nothing(tmp_path: Path) -> None:
    with Traces(tmp_path / "d", retention_age=7 * DAY) as traces:
        traces.add(span(1))
        traces.clock.jump(400 * DAY)
        assert traces.signals.sweep() == []
        traces.clock.advance(60 * SECOND)
        assert traces.signals.sweep() == []
        traces.clock.jump(-400 * DAY)
        traces.clock.advance(3600 * SECOND)
        assert traces.signals.sweep() == []
        traces.clock.jump(8 * DAY)
        assert traces.signals.sweep() == []
        traces.clock.advance(3600 * SECOND)
        assert len(traces.signals.sweep()) == 1, "a clock that keeps to it is believed"


def test_old_commits_are_forgotten_and_the_newest_is_not(traces: Traces) -> None:
    for number in range(1, 6):
        traces.clock.advance(50 * SECOND)
        send(traces, one(number))
    assert traces.store.last_commit() == 5
    assert len(traces.rows("SELECT * FROM commits")) < 5
    traces.restart()
    send(traces, one(9))
    assert traces.store.last_commit() == 6


def test_absurd_times_share_one_segment(traces: Traces) -> None:
    traces.add(*(span(n, at=n * DAY) for n in range(2, 40)), *(span(n, at=-n * DAY) for n in range(370, 400)))
    traces.add(span(100), span(101, at=-3600 * SECOND))
    assert len(traces.segments.all()) == 2
    assert all(traces.store.trace(trace_id(n)) for n in (2, 39, 370, 399, 100, 101))


def test_more_shapes_than_a_segment_takes_survive(traces: Traces) -> None:
    spans = [
        span(n, attributes={f"key {n}": n, "s": "text", "d": 0.1, "b": True, "y": b"\x00\xff", "l": [1, {"a": None}]})
        for n in range(1, MAX_SHAPES + 101)
    ]
    traces.add(*spans)
    loose = traces.rows(f"SELECT count(*) FROM spans_0 WHERE shape = {LOOSE}")[0][0]
    assert loose > 100
    for number in (1, MAX_SHAPES - 10, MAX_SHAPES + 1, MAX_SHAPES + 100):
        found = traces.store.trace(trace_id(number))
        assert found is not None
        assert found.spans == (spans[number - 1],)
    shown = traces.rows("SELECT attributes FROM spans WHERE name = 'GET /'")
    assert len(shown) == len(spans)
    traces.restart()
    traces.add(span(1, 2, attributes={"key after": 1}))
    found = traces.store.trace(trace_id(1))
    assert found is not None
    assert len(found.spans) == 2


def test_spans_with_thousands_of_keys_do_not_fill_the_memory_with_shapes(traces: Traces) -> None:
    for number in range(1, 41):
        traces.add(span(number, attributes={f"{number}.{i}": i for i in range(10_000)}))
    assert traces.rows("SELECT coalesce(sum(len(fields)), 0) FROM shapes")[0][0] < 300_000
    found = traces.store.trace(trace_id(40))
    assert found is not None
    assert len(found.spans[0].attributes) == 10_000


def test_huge_resources_fill_segments_and_not_the_memory(traces: Traces) -> None:
    for number in range(1, 41):
        text = str(number) * 1_000_000
        traces.add(span(number, resource=Resource({"service.name": "shop", "text": text})))
    assert len(traces.segments.all()) >= 2
    traces.restart()
    traces.add(span(41))
    assert all(traces.store.trace(trace_id(n)) for n in range(1, 42))


def test_huge_names_are_stored_and_not_listed(traces: Traces) -> None:
    traces.add(span(1, name="n" * 1_000_000), span(2, name="short"), span(3, service="s" * 1_000_000))
    assert [o.name for o in traces.store.operations("")] == ["short"]
    assert [s.name for s in traces.store.services()] == ["shop"]
    assert traces.store.trace(trace_id(1)) is not None


def test_errors_of_storage_are_told_as_ours() -> None:
    assert issubclass(Unstorable, PilothouseError)
    assert Unstorable("x").status == 500
