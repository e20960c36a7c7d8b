"""Start in order, stop in reverse, undo a failed start, name what crashed."""

from __future__ import annotations

import asyncio

import pytest

from pilothouse.kit.clock import ManualClock
from pilothouse.kit.errors import PortTaken
from pilothouse.kit.health import Health, Status, worst
from pilothouse.kit.service import Supervisor


class Part:
    def __init__(
        self, name: str, log: list[str], *, fails: bool = False, hangs: bool = False, breaks: bool = False
    ) -> None:
        self.name, self.log, self.fails, self.hangs, self.breaks = name, log, fails, hangs, breaks
        self.state = Health(Status.OK)

    async def start(self) -> None:
        if self.fails:
            raise PortTaken(f"{self.name} cannot listen")
        self.log.append(f"+{self.name}")

    async def stop(self) -> None:
        self.log.append(f"-{self.name}")
        if self.hangs:
            await asyncio.Event().wait()
        if self.breaks:
            raise RuntimeError("no")

    def health(self) -> Health:
        return self.state


def test_starts_in_order_and_stops_in_reverse() -> None:
    log: list[str] = []
    said: list[str] = []

    async def run() -> None:
        supervisor = Supervisor([Part("a", log), Part("b", log)], ManualClock(), starting=said.append)
        assert {h.status for h in supervisor.health().values()} == {Status.STOPPED}
        await supervisor.start()
        assert {h.status for h in supervisor.health().values()} == {Status.OK}
        await supervisor.stop()
        await supervisor.stop()

    asyncio.run(run())
    assert log == ["+a", "+b", "-b", "-a"]
    assert said == ["a", "b"]


def test_a_failed_start_is_undone_and_reported() -> None:
    log: list[str] = []

    async def run() -> dict[str, Health]:
        supervisor = Supervisor(
            [Part("a", log), Part("b", log), Part("c", log, fails=True), Part("d", log)], ManualClock(7)
        )
        with pytest.raises(PortTaken, match="c cannot listen"):
            await supervisor.start()
        return supervisor.health()

    health = asyncio.run(run())
    assert log == ["+a", "+b", "-b", "-a"]
    assert health["c"] == Health(Status.FATAL, "c cannot listen", 7)
    assert health["d"].status is Status.STOPPED


def test_one_that_hangs_or_breaks_does_not_keep_the_others_running(caplog: pytest.LogCaptureFixture) -> None:
    log: list[str] = []

    async def run() -> None:
        parts = [Part("a", log), Part("b", log, hangs=True), Part("c", log, breaks=True)]
        supervisor = Supervisor(parts, ManualClock(), stop_timeout=0.01)
        await supervisor.start()
        await supervisor.stop()

    asyncio.run(run())
    assert log[3:] == ["-c", "-b", "-a"]
    assert "b did not stop" in caplog.text
    assert "c failed while stopping" in caplog.text


def test_a_crash_is_named() -> None:
    async def run() -> str:
        part = Part("writer", [])
        supervisor = Supervisor([Part("a", []), part], ManualClock(), watch_interval=0.001)
        await supervisor.start()
        part.state = Health(Status.FATAL, "the disk is gone")
        assert supervisor.failed is not None
        error = await supervisor.failed
        await supervisor.stop()
        return str(error)

    assert asyncio.run(run()) == "writer failed: the disk is gone"


def test_the_whole_is_as_bad_as_its_worst_part() -> None:
    parts = [Health(Status.OK, "", 1), Health(Status.RECOVERABLE, "r", 2), Health(Status.PERMANENT, "p", 5)]
    assert worst(parts).reason == "p"
    assert worst([*parts, Health(Status.FATAL, "later", 9), Health(Status.FATAL, "first", 3)]).reason == "first"
    assert worst([]).status is Status.OK
    assert [Status.OK.wire, Status.RECOVERABLE.wire] == ["StatusOK", "StatusRecoverableError"]
