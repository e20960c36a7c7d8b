"""Group commit: who is answered what and when, whatever fails or goes away."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence

import pytest

from pilothouse.kit.clock import SystemClock
from pilothouse.kit.errors import Overloaded, StorageFull
from pilothouse.kit.health import Status
from pilothouse.signals.writer import GroupCommit

Payloads = Sequence[bytes]
Commits = GroupCommit[list[bytes], str]


class Worker:
    """What prepares and commits; a closed gate holds the commit up."""

    def __init__(self) -> None:
        self.groups: list[list[bytes]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.threads: set[str] = set()

    def prepare(self, payloads: Payloads) -> list[bytes]:
        self.threads.add(threading.current_thread().name)
        if b"unpreparable" in payloads:
            raise ValueError("cannot be prepared")
        return list(payloads)

    def commit(self, payloads: list[bytes]) -> list[str | Exception]:
        self.threads.add(threading.current_thread().name)
        self.entered.set()
        assert self.gate.wait(60)
        if b"full" in payloads:
            raise StorageFull("there is no space left")
        if b"bug" in payloads:
            raise ZeroDivisionError("a bug")
        self.groups.append(payloads)
        return [ValueError(p.decode()) if p == b"bad" else p.decode() for p in payloads]

    @property
    def written(self) -> list[bytes]:
        return [payload for group in self.groups for payload in group]


def committing(worker: Worker, *, queue_bytes: int = 1 << 20, group_bytes: int = 1, wait: int = 0) -> Commits:
    return GroupCommit(
        "writer", worker.prepare, worker.commit, SystemClock(),
        queue_bytes=queue_bytes, group_bytes=group_bytes, wait=wait,
    )  # fmt: skip


def run(commits: Commits, talk: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        await commits.start()
        try:
            await talk()
        finally:
            await commits.stop()

    asyncio.run(asyncio.wait_for(whole(), 60))


async def entered(worker: Worker) -> None:
    assert await asyncio.to_thread(worker.entered.wait, 60)


async def waiting(commits: Commits, size: int) -> None:
    while commits.queued_bytes < size:  # noqa: ASYNC110 - nothing tells when a payload is taken
        await asyncio.sleep(0.001)


def test_each_is_answered_with_its_own_outcome_in_order() -> None:
    worker = Worker()
    commits = committing(worker)

    async def talk() -> None:
        payloads = [f"{n}".encode() for n in range(200)]
        assert await asyncio.gather(*map(commits.submit, payloads)) == [p.decode() for p in payloads]
        assert worker.written == payloads

    run(commits, talk)
    assert len(worker.groups) < 200
    assert worker.threads == {"writer prepare", "writer commit"}
    assert commits.queued_bytes == 0


def test_what_arrives_during_a_commit_shares_the_next() -> None:
    worker = Worker()
    commits = committing(worker)

    async def talk() -> None:
        worker.gate.clear()
        first = asyncio.ensure_future(commits.submit(b"first"))
        await entered(worker)
        held = asyncio.ensure_future(commits.submit(b"prepared meanwhile"))
        rest = [asyncio.ensure_future(commits.submit(b"x%d" % n)) for n in range(50)]
        await waiting(commits, 100)
        assert not first.done()
        worker.gate.set()
        await asyncio.gather(first, held, *rest)
        assert len(worker.groups) < 20

    run(commits, talk)


def test_a_bad_payload_harms_only_itself() -> None:
    worker = Worker()
    commits = committing(worker, group_bytes=1000, wait=10**7)

    async def talk() -> None:
        found = await asyncio.gather(*map(commits.submit, [b"a", b"bad", b"b"]), return_exceptions=True)
        assert found[0] == "a"
        assert found[2] == "b"
        assert isinstance(found[1], ValueError)
        assert commits.health().status is Status.OK

    run(commits, talk)


@pytest.mark.parametrize("payload", [b"full", b"bug", b"unpreparable"])
def test_a_group_that_fails_is_told_and_the_next_succeeds(payload: bytes) -> None:
    worker = Worker()
    commits = committing(worker)

    async def talk() -> None:
        with pytest.raises((StorageFull, ZeroDivisionError, ValueError)):
            await commits.submit(payload)
        assert commits.health().status is Status.RECOVERABLE
        assert commits.health().reason
        assert await commits.submit(b"next") == "next"
        assert await commits.submit(b"after") == "after"
        assert commits.health().status is Status.OK
        assert commits.queued_bytes == 0

    run(commits, talk)
    assert worker.written == [b"next", b"after"]


def test_more_than_may_wait_is_refused_and_nothing_of_it_kept() -> None:
    worker = Worker()
    commits = committing(worker, queue_bytes=100)

    async def talk() -> None:
        worker.gate.clear()
        held = [asyncio.ensure_future(commits.submit(b"x" * 40)) for _ in range(2)]
        await waiting(commits, 80)
        with pytest.raises(Overloaded) as caught:
            await commits.submit(b"y" * 21)
        assert caught.value.retry_after
        held.append(asyncio.ensure_future(commits.submit(b"z" * 20)))
        await waiting(commits, 100)
        with pytest.raises(Overloaded):
            await commits.submit(b"y")
        worker.gate.set()
        await asyncio.gather(*held)
        assert await commits.submit(b"y") == "y"

    run(commits, talk)
    assert worker.written == [b"x" * 40, b"x" * 40, b"z" * 20, b"y"]


def test_one_larger_than_the_queue_goes_alone() -> None:
    worker = Worker()
    commits = committing(worker, queue_bytes=100)

    async def talk() -> None:
        assert await commits.submit(b"x" * 500) == "x" * 500
        worker.gate.clear()
        held = asyncio.ensure_future(commits.submit(b"a"))
        await waiting(commits, 1)
        with pytest.raises(Overloaded):
            await commits.submit(b"x" * 500)
        worker.gate.set()
        await held

    run(commits, talk)


def test_a_group_is_closed_by_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pilothouse.signals.writer._GROUP_BYTES", 10)
    worker = Worker()
    commits = committing(worker)

    async def talk() -> None:
        worker.gate.clear()
        held = [asyncio.ensure_future(commits.submit(b"%04d" % n)) for n in range(20)]
        await waiting(commits, 80)
        worker.gate.set()
        await asyncio.gather(*held)

    run(commits, talk)
    assert worker.written == [b"%04d" % n for n in range(20)]
    assert all(len(group) <= 2 for group in worker.groups)


def test_a_client_that_goes_away_harms_nobody_and_is_stored() -> None:
    worker = Worker()
    commits = committing(worker)

    async def talk() -> None:
        worker.gate.clear()
        gone, stays = (asyncio.ensure_future(commits.submit(p)) for p in (b"gone", b"stays"))
        await waiting(commits, 9)
        gone.cancel()
        await asyncio.sleep(0)
        assert gone.cancelled()
        worker.gate.set()
        assert await stays == "stays"
        assert commits.queued_bytes == 0

    run(commits, talk)
    assert sorted(worker.written) == [b"gone", b"stays"]


def test_stopping_commits_all_that_waits_and_takes_no_more() -> None:
    worker = Worker()
    commits = committing(worker, group_bytes=1 << 20, wait=60 * 10**9)  # nothing would be committed for a minute

    async def whole() -> None:
        await commits.start()
        worker.gate.clear()
        held = [asyncio.ensure_future(commits.submit(b"%d" % n)) for n in range(10)]
        await waiting(commits, 10)
        stopping = asyncio.ensure_future(commits.stop())
        await entered(worker)
        with pytest.raises(Overloaded, match="stopping"):
            await commits.submit(b"late")
        worker.gate.set()
        await stopping
        assert await asyncio.gather(*held) == [str(n) for n in range(10)]
        assert commits.health().status is Status.STOPPED

    asyncio.run(asyncio.wait_for(whole(), 60))
    assert worker.written == [b"%d" % n for n in range(10)]


def test_it_takes_nothing_before_it_runs_and_runs_again_after_a_stop() -> None:
    worker = Worker()
    commits = committing(worker)

    async def early() -> None:
        with pytest.raises(Overloaded):
            await commits.submit(b"early")
        await commits.stop()

    async def talk() -> None:
        assert await commits.submit(b"x") == "x"

    asyncio.run(early())
    run(commits, talk)
    run(commits, talk)
    assert worker.written == [b"x", b"x"]


def test_many_loops_in_many_threads_are_each_answered_in_their_own() -> None:
    worker = Worker()
    commits = committing(worker, queue_bytes=1 << 30)
    answers: dict[int, list[str]] = {}

    async def one(thread: int) -> list[str]:
        found = []
        for n in range(20):
            found += await asyncio.gather(*(commits.submit(b"%d/%d/%d" % (thread, n, i)) for i in range(3)))
        return found

    def client(thread: int) -> None:
        answers[thread] = asyncio.run(one(thread))

    async def talk() -> None:
        await asyncio.gather(*(asyncio.to_thread(client, thread) for thread in range(6)))

    run(commits, talk)
    assert answers == {t: [f"{t}/{n}/{i}" for n in range(20) for i in range(3)] for t in range(6)}
    for thread in range(6):
        mine = [p.decode() for p in worker.written if p.startswith(b"%d/" % thread)]
        assert mine == answers[thread]
    assert len(worker.written) == 360


def test_a_loop_that_is_gone_harms_nobody() -> None:
    worker = Worker()
    commits = committing(worker)

    async def abandon() -> None:
        asyncio.ensure_future(commits.submit(b"abandoned"))  # noqa: RUF006 - it is meant to be lost
        await asyncio.sleep(0)

    async def talk() -> None:
        worker.gate.clear()
        await asyncio.to_thread(asyncio.run, abandon())
        held = asyncio.ensure_future(commits.submit(b"x"))
        worker.gate.set()
        assert await held == "x"

    run(commits, talk)
    assert sorted(worker.written) == [b"abandoned", b"x"]


def test_a_commit_that_answers_too_few_is_an_error_and_not_an_end() -> None:
    worker = Worker()
    whole = worker.commit

    def short(payloads: list[bytes]) -> list[str | Exception]:
        return whole(payloads)[1:] if b"short" in payloads else whole(payloads)

    worker.commit = short  # type: ignore[method-assign]  # that is the test
    commits = committing(worker)

    async def talk() -> None:
        with pytest.raises(ValueError, match="shorter"):
            await commits.submit(b"short")
        assert await commits.submit(b"x") == "x"

    run(commits, talk)
