"""Which attribute keys a segment has, in which shapes, and how a row's values are found: the readers' side of ``shapes``.

Shapes of a segment only ever grow, so what was read once stays true and only the new ones are fetched.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Final

from msgspec import Struct

from pilothouse.observe.traces.schema import LOOSE, LOOSE_MARK
from pilothouse.observe.traces.shapes import LETTERS
from pilothouse.signals.duckdb.database import Connection

_REMEMBERED: Final = 256
#: Letter of a type → column that holds its values.
COLUMNS: Final = dict(zip(LETTERS, ("strings", "ints", "doubles", "bools", "others"), strict=True))

Fields = tuple[tuple[str, str, int], ...]


class Place(Struct, frozen=True):
    """Rows of these shapes have the value at ``r.<column>[slot]``."""

    letter: str
    slot: int
    shapes: tuple[int, ...]

    @property
    def value(self) -> str:
        """SQL for the value."""
        return f"r.{COLUMNS[self.letter]}[{self.slot}]"

    @property
    def condition(self) -> str:
        """SQL for "this row has it here"."""
        return f"r.shape IN ({', '.join(map(str, self.shapes))})"


class SegmentKeys:
    """The shapes of one segment."""

    def __init__(self, segment: int) -> None:
        self._segment = segment
        self._lock = threading.Lock()
        self.shapes: dict[int, Fields] = {}
        #: Whether the segment has rows of shape 0.
        self.loose = False
        self._by_key: dict[str, dict[tuple[str, int], list[int]]] = {}

    def refresh(self, connection: Connection) -> None:
        """Reads shapes that have come since the last time."""
        with self._lock:
            rows = connection.execute(
                "SELECT id, fields, slots FROM shapes WHERE segment = ? AND id >= ? ORDER BY id",
                (self._segment, len(self.shapes)),
            ).fetchall()
            for number, fields, slots in rows:
                split = tuple((f[0], f[2:], slot) for f, slot in zip(fields, slots, strict=True))
                self.shapes[number] = split
                self.loose |= tuple(fields) == LOOSE_MARK
                for letter, key, slot in split:
                    if letter.islower():
                        self._by_key.setdefault(key, {}).setdefault((letter, slot), []).append(number)

    def places(self, key: str) -> list[Place]:
        """Where rows of this segment have ``key``; rows of shape 0 have to be asked themselves."""
        with self._lock:
            found = self._by_key.get(key, {})
            return [Place(letter, slot, tuple(shapes)) for (letter, slot), shapes in found.items()]

    def types(self) -> dict[str, set[str]]:
        """Every key with the letters of its types."""
        with self._lock:
            return {key: {letter for letter, _ in places} for key, places in self._by_key.items()}


class KeyCatalogue:
    """The keys of all segments, as far as they were asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._segments: OrderedDict[int, SegmentKeys] = OrderedDict()

    def of(self, connection: Connection, segment: int) -> SegmentKeys:
        """The keys of one segment, up to date with the connection's view of it."""
        with self._lock:
            keys = self._segments.setdefault(segment, SegmentKeys(segment))
            self._segments.move_to_end(segment)
            if len(self._segments) > _REMEMBERED:
                self._segments.popitem(last=False)
        keys.refresh(connection)
        return keys


def loose_value(key: str) -> str:
    """SQL for ``LETTER:text`` of a row of shape 0; ``key`` is SQL for the key."""
    place = f"list_position(list_transform(range(1, len(r.strings) + 1, 2), lambda i: r.strings[i]), {key})"
    return f"CASE WHEN r.shape = {LOOSE} THEN r.strings[2 * {place}] END"
