"""Where time comes from, so that no room has a clock of its own and tests need not sleep.

Wall time is integer nanoseconds since the Unix epoch (never a float: a double cannot hold today's nanoseconds); it may jump
when the host's clock is set. Monotonic time only measures intervals.
"""

from __future__ import annotations

import time
from typing import Final, Protocol

SECOND: Final = 1_000_000_000
MILLISECOND: Final = 1_000_000


class Clock(Protocol):
    """What every room asks for the time."""

    def now_ns(self) -> int:
        """Wall time in nanoseconds since the Unix epoch."""
        ...

    def monotonic_ns(self) -> int:
        """Nanoseconds since an arbitrary point; never goes back."""
        ...


class SystemClock:
    """The host's clocks."""

    def now_ns(self) -> int:
        """Wall time in nanoseconds since the Unix epoch."""
        return time.time_ns()

    def monotonic_ns(self) -> int:
        """Nanoseconds since an arbitrary point; never goes back."""
        return time.monotonic_ns()


class ManualClock:
    """A clock that stands still until a test moves it.

    Args:
        now_ns: The wall time it starts at, in nanoseconds since the Unix epoch.
    """

    def __init__(self, now_ns: int = 1_700_000_000 * SECOND) -> None:
        self._now = now_ns
        self._monotonic = 0

    def now_ns(self) -> int:
        """Wall time in nanoseconds since the Unix epoch."""
        return self._now

    def monotonic_ns(self) -> int:
        """Nanoseconds since the clock was made."""
        return self._monotonic

    def advance(self, nanoseconds: int) -> None:
        """Lets time pass, on both clocks."""
        if nanoseconds < 0:
            raise ValueError("time passes forwards; use jump() to set the wall clock back")
        self._now += nanoseconds
        self._monotonic += nanoseconds

    def jump(self, nanoseconds: int) -> None:
        """Sets the wall clock forwards or back, as an operator or NTP would; monotonic time does not notice."""
        self._now += nanoseconds
