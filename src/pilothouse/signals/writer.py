"""Group commit: many small writes become few transactions, and each is answered only when its transaction is durable.

Two threads work in a line. One prepares what has gathered (parsing, which needs no transaction), the other commits what is
prepared, so that both cores are used and a commit's cost is shared by all that came in during the one before. What waits is
bounded in bytes; beyond that a write is refused, never buffered.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, Generic, TypeVar

from pilothouse.kit.clock import Clock
from pilothouse.kit.errors import Overloaded, PilothouseError
from pilothouse.kit.health import Health, Status

_log = logging.getLogger(__name__)

Outcome = TypeVar("Outcome")
Prepared = TypeVar("Prepared")

#: A group is closed at this size even if more is waiting, to bound the memory and the latency of one commit.
_GROUP_BYTES: Final = 6 << 20
#: A group of this size is worth a commit of its own.
_WORTH_HALVING: Final = 1 << 20


class _Item(Generic[Outcome]):
    __slots__ = ("future", "loop", "payload", "size")

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self.size = len(payload)
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Outcome] = self.loop.create_future()


class GroupCommit(Generic[Prepared, Outcome]):
    """A ``Service`` that takes payloads and answers each after its commit.

    Args:
        name: Of the service.
        prepare: Turns the payloads of a group into what ``commit`` takes. Runs in its own thread.
        commit: Makes a group durable and returns an outcome, or the error to raise, for each payload in order. Runs in
            its own thread, one call at a time, in the order of arrival.
        clock: For the wait and the health.
        queue_bytes: What may wait or be worked on.
        group_bytes: A commit starts at once when this much waits.
        wait: Nanoseconds a commit waits for that much at most.
    """

    def __init__(
        self,
        name: str,
        prepare: Callable[[Sequence[bytes]], Prepared],
        commit: Callable[[Prepared], Sequence[Outcome | Exception]],
        clock: Clock,
        *,
        queue_bytes: int,
        group_bytes: int,
        wait: int,
    ) -> None:
        self.name = name
        self._prepare, self._commit, self._clock = prepare, commit, clock
        self._queue_bytes, self._group_bytes, self._wait = queue_bytes, group_bytes, wait
        self._changed = threading.Condition()
        self._waiting: deque[_Item[Outcome]] = deque()
        self._waiting_bytes = 0
        self._held_bytes = 0
        self._ready: tuple[list[_Item[Outcome]], Prepared] | None = None
        self._closing = False
        self._preparing_done = False
        self._threads: list[threading.Thread] = []
        self._health = Health(Status.STOPPED, "", clock.now_ns())

    async def start(self) -> None:
        """Starts both threads."""
        self._closing = self._preparing_done = False
        self._threads = [
            threading.Thread(target=self._prepare_loop, name=f"{self.name} prepare", daemon=True),
            threading.Thread(target=self._commit_loop, name=f"{self.name} commit", daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        self._health = Health(Status.OK, "", self._clock.now_ns())

    async def stop(self) -> None:
        """Commits all that waits, then stops."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            await asyncio.to_thread(thread.join)
        self._health = Health(Status.STOPPED, "", self._clock.now_ns())

    def health(self) -> Health:
        """Recoverable while commits fail."""
        return self._health

    @property
    def queued_bytes(self) -> int:
        """Bytes accepted and not yet answered."""
        return self._held_bytes

    async def submit(self, payload: bytes) -> Outcome:
        """Returns the payload's outcome once it is durable.

        Raises:
            Overloaded: Too much is waiting; nothing of the payload is kept.
            PilothouseError: What ``commit`` gave for it.
        """
        item: _Item[Outcome] = _Item(payload)
        with self._changed:
            if self._closing or not self._threads:
                raise Overloaded("the server is stopping", retry_after=5)
            if self._held_bytes and self._held_bytes + item.size > self._queue_bytes:
                raise Overloaded(f"{self._held_bytes} bytes are already waiting to be stored")
            self._waiting.append(item)
            self._waiting_bytes += item.size
            self._held_bytes += item.size
            self._changed.notify_all()
        return await item.future

    def _prepare_loop(self) -> None:
        while items := self._gather():
            try:
                prepared = self._prepare([i.payload for i in items])
            except Exception as error:
                self._fail(items, error)
                continue
            with self._changed:
                self._changed.wait_for(lambda: self._ready is None)
                self._ready = (items, prepared)
                self._changed.notify_all()
        with self._changed:
            self._preparing_done = True
            self._changed.notify_all()

    def _gather(self) -> list[_Item[Outcome]]:
        """The next group, or nothing when closing and empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            # While a prepared group waits for its commit there is time to gather more; else only the configured wait.
            deadline = self._clock.monotonic_ns() + self._wait
            while self._waiting_bytes < self._group_bytes and not self._closing:
                left = deadline - self._clock.monotonic_ns()
                if left <= 0:
                    break
                self._changed.wait(left / 1e9)
            self._changed.wait_for(lambda: self._ready is None or self._waiting_bytes >= _GROUP_BYTES)
            # At most half of all that is held: were a group to take everything, nothing would be left to prepare while
            # it is committed, and the two threads would take turns.
            most = min(_GROUP_BYTES, max(_WORTH_HALVING, self._held_bytes // 2))
            items: list[_Item[Outcome]] = []
            size = 0
            while self._waiting and (not items or size + self._waiting[0].size <= most):
                items.append(self._waiting.popleft())
                size += items[-1].size
            self._waiting_bytes -= size
            return items

    def _commit_loop(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._ready is not None or self._preparing_done)
                if self._ready is None:
                    return
                items, prepared = self._ready
                self._ready = None
                self._changed.notify_all()
            try:
                settled = list(zip(items, self._commit(prepared), strict=True))
            except Exception as error:
                self._fail(items, error)
                continue
            if self._health.status is not Status.OK:
                self._health = Health(Status.OK, "", self._clock.now_ns())
            self._settle(settled)

    def _fail(self, items: list[_Item[Outcome]], error: Exception) -> None:
        if not isinstance(error, PilothouseError):
            _log.exception("%s: a group of %d could not be written", self.name, len(items), exc_info=error)
        if self._health.status is not Status.RECOVERABLE:
            self._health = Health(Status.RECOVERABLE, str(error), self._clock.now_ns())
        self._settle([(item, error) for item in items])

    def _settle(self, settled: Sequence[tuple[_Item[Outcome], Outcome | Exception]]) -> None:
        with self._changed:
            self._held_bytes -= sum(item.size for item, _ in settled)
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Item[Outcome], Outcome | Exception]]] = {}
        for item, outcome in settled:
            by_loop.setdefault(item.loop, []).append((item, outcome))
        for loop, pairs in by_loop.items():
            with suppress(RuntimeError):  # the loop is closed, so nobody waits
                loop.call_soon_threadsafe(_resolve, pairs)


def _resolve(pairs: list[tuple[_Item[Outcome], Outcome | Exception]]) -> None:
    for item, outcome in pairs:
        if item.future.done():
            continue  # the client is gone
        if isinstance(outcome, Exception):
            item.future.set_exception(outcome)
        else:
            item.future.set_result(outcome)
