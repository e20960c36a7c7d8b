"""Watches the books while the server runs: does every span add up, and how many come per second."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Final

from pilothouse.kit.clock import SECOND, Clock
from pilothouse.kit.health import Health, Status
from pilothouse.kit.telemetry import Balance, Ledger

#: Nanoseconds over which the rate is averaged.
_WINDOW: Final = 10 * SECOND


class Accounting:
    """Checks every ledger's invariant each second; a difference is a defect and turns health permanent.

    Args:
        ledgers: By name; may grow until ``start``.
        clock: The time.
    """

    name = "accounting"

    def __init__(self, ledgers: Mapping[str, Ledger], clock: Clock) -> None:
        self._ledgers, self._clock = ledgers, clock
        self._samples: deque[tuple[int, int]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._health = Health(Status.STOPPED)

    async def start(self) -> None:
        """Begins to sample."""
        self._health = Health(Status.OK, "", self._clock.now_ns())
        self._sample()
        self._task = asyncio.create_task(self._run(), name=self.name)

    async def stop(self) -> None:
        """Stops sampling."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def health(self) -> Health:
        """Permanent once the books did not balance."""
        return self._health

    def total(self) -> Balance:
        """All ledgers added up."""
        balances = [ledger.balance() for ledger in self._ledgers.values()]
        return Balance(
            sum(b.received for b in balances),
            sum(b.stored for b in balances),
            sum(b.duplicate for b in balances),
            _merged([b.refused for b in balances]),
            _merged([b.dropped for b in balances]),
            sum(b.queued for b in balances),
        )

    def spans_per_second(self) -> float:
        """Received spans a second, over the last ten seconds."""
        if len(self._samples) < 2:
            return 0.0
        (first, before), (last, after) = self._samples[0], self._samples[-1]
        return (after - before) * SECOND / max(1, last - first)

    def check(self) -> None:
        """Looks at every ledger now."""
        for name, ledger in self._ledgers.items():
            if difference := ledger.balance().difference:
                reason = f"the account of {name} is off by {difference}: a span was lost or counted twice"
                if self._health.reason != reason:
                    self._health = Health(Status.PERMANENT, reason, self._clock.now_ns())

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(1)
            self._sample()
            self.check()

    def _sample(self) -> None:
        now = self._clock.monotonic_ns()
        self._samples.append((now, self.total().received))
        while now - self._samples[0][0] > _WINDOW:
            self._samples.popleft()


def _merged(counts: list[dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for reasons in counts:
        for reason, count in reasons.items():
            total[reason] = total.get(reason, 0) + count
    return total
