"""A ceiling over the whole process's address space while strangers' SQL runs.

DuckDB counts the memory of sorts, joins and aggregates, but not what one call of a scalar function takes:
``list_sum(range(2000000000))`` would ask for 16 GB at once and bring the process down. Under a ceiling that one allocation
fails, DuckDB reports it as out of memory, and everything else goes on. Where the system cannot do this (no ``/proc``, no
limits), only DuckDB's own accounting holds.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

try:
    import resource
except ImportError:  # Windows
    _LIMITS = False
else:
    _LIMITS = True

_STATM: Final = Path("/proc/self/statm")
#: Address space beside the query's own: thread stacks and allocators reserve much that they never touch.
_ROOM: Final = 1 << 30


class _Ceiling:
    """The process's one limit, and how many queries run under it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running = 0
        self._before = (0, 0)

    def enter(self, memory: int) -> None:
        """Sets the limit for one more query."""
        with self._lock:
            soft, hard = resource.getrlimit(resource.RLIMIT_AS)
            wanted = int(_STATM.read_text().split()[0]) * resource.getpagesize() + 2 * memory + _ROOM
            if self._running:
                wanted = max(wanted, soft)
            else:
                self._before = (soft, hard)
            self._running += 1
            allowed = [limit for limit in (wanted, self._before[0]) if limit != resource.RLIM_INFINITY]
            with suppress(ValueError, OSError):  # then only DuckDB's own accounting holds
                resource.setrlimit(resource.RLIMIT_AS, (min(allowed), hard))

    def leave(self) -> None:
        """Puts the limit back after the last one."""
        with self._lock:
            self._running -= 1
            if not self._running:
                with suppress(ValueError, OSError):
                    resource.setrlimit(resource.RLIMIT_AS, self._before)


_the = _Ceiling()


@contextmanager
def ceiling(memory: int) -> Iterator[None]:
    """Keeps the process from growing by much more than ``memory`` bytes; ceilings of several threads join."""
    if not _LIMITS or not _STATM.exists():
        yield
        return
    _the.enter(memory)
    try:
        yield
    finally:
        _the.leave()
