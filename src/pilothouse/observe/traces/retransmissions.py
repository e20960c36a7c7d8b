"""Which requests were stored lately, so that an exact retransmission is acknowledged without a second write.

They are kept in memory for a while, and in the table of commits, in the same transaction as the spans, for the next run. How
long is counted by the monotonic clock: a wall clock that jumps must neither forget a request nor keep it for ever.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from pilothouse.kit.clock import Clock
from pilothouse.signals.duckdb.database import Connection

#: Bytes of a request's hash.
DIGEST: Final = 16


class Outcome(Struct, frozen=True):
    """What became of one request: spans that could not be kept, by reason; the rest was stored, now or before."""

    rejected: dict[str, int] = {}
    duplicate: bool = False
    accepted: int = 0


class Retransmissions:
    """The requests of the last ``window`` nanoseconds and what became of them.

    ``find`` may be called beside the thread that calls the rest.
    """

    def __init__(self, clock: Clock, window: int) -> None:
        self._clock, self._window = clock, window
        self._recent: dict[bytes, tuple[int, Outcome]] = {}
        #: When commits were made, and their numbers, oldest first.
        self._commits: deque[tuple[int, int]] = deque()
        self._next_sweep = 0

    def load(self, connection: Connection) -> int:
        """Reads what the last run left, however long ago that was; the number of its last commit, or 0."""
        now, last = self._clock.monotonic_ns(), 0
        for commit, requests in connection.execute("SELECT commit, requests FROM commits").fetchall():
            last = max(last, commit)
            for i in range(0, len(requests), DIGEST):
                self._recent[requests[i : i + DIGEST]] = (now, Outcome({}, duplicate=True))
        self._commits = deque([(now, last)])
        return last

    def find(self, digest: bytes) -> Outcome | None:
        """What to answer to a request that was stored before."""
        found = self._recent.get(digest)
        return found[1] if found is not None else None

    def note(self, stored: Mapping[bytes, Outcome], commit: int) -> None:
        """Remembers the requests of a commit."""
        now = self._clock.monotonic_ns()
        self._commits.append((now, commit))
        for digest, outcome in stored.items():
            self._recent[digest] = (now, Outcome(outcome.rejected, duplicate=True, accepted=outcome.accepted))

    def sweep(self, connection: Connection, newest: int) -> None:
        """Forgets, a few times in a window, what is too old to be sent again; never the commit ``newest``."""
        now = self._clock.monotonic_ns()
        if now < self._next_sweep:
            return
        self._next_sweep = now + self._window // 4
        oldest, gone = now - self._window, 0
        self._recent = {digest: seen for digest, seen in self._recent.items() if seen[0] >= oldest}
        while self._commits and self._commits[0][0] < oldest:
            gone = self._commits.popleft()[1]
        if gone:
            connection.execute("DELETE FROM commits WHERE commit <= ? AND commit < ?", (gone, newest))
