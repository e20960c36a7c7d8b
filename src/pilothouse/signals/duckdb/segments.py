"""A segmented table in DuckDB: which segments there are, which one a row belongs to, and when one is let go.

Each segment is a DuckDB table of its own, so that a look-up skips segments (by time, by bloom filter), and retention is a
``DROP TABLE``. Rows go by event time: late rows join their day, and a broken clock cannot make thousands of segments because
absurd times share one.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import duckdb
import numpy as np
import pyarrow as pa
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from pilothouse.signals.bloom import ZONE_ROWS, Zones, probes_of
from pilothouse.signals.tables import SegmentedTable

_DAY: Final = 86_400_000_000_000
#: Bucket of times that cannot be right: more than a day ahead, or more than a year old.
OUTLIERS: Final = -1
_AHEAD: Final = _DAY
_BEHIND: Final = 366 * _DAY
#: Segments whose dictionaries and filters are kept ready for writing.
_OPEN_SEGMENTS: Final = 64

#: Dictionary rows that one statement writes.
_ROWS_PER_STATEMENT: Final = 64

#: Bytes of dictionary keys after which a segment is full: they are kept in memory while it is written.
_MAX_WEIGHT: Final = 32 << 20

#: One row of a dictionary: its values, without ``segment`` and ``id``.
Entry = tuple[object, ...]


class Segment(Struct, frozen=True):
    """What is known of one segment. Times are nanoseconds; ``written`` is when its newest row was committed."""

    id: int
    bucket: int
    rows: int
    min_time: int
    max_time: int
    written: int
    sealed: bool = False


class Part(Struct, frozen=True):
    """Rows of one batch that go to the same segment; ``rows`` is ``None`` when that is all of them."""

    bucket: int
    rows: NDArray[np.int64] | None


class Writing:
    """A segment that takes rows: its record, its filter, and its dictionaries from value to id.

    Changes are staged while a transaction runs and adopted by ``Segments.settle`` after its commit, so that a failed commit
    leaves no trace in memory either.
    """

    def __init__(self, segment: Segment, zones: Zones, known: Mapping[str, dict[object, int]]) -> None:
        self.segment = segment
        self.zones = zones
        self.known = known
        #: Bytes of the keys that are bytes: large ones, such as resources.
        self.weight = sum(len(key) for keys in known.values() for key in keys if isinstance(key, bytes))
        self.staged_rows: Segment | None = None
        self._staged_keys: list[tuple[NDArray[np.uint8], int, int]] = []
        self._staged: dict[str, list[tuple[object, Entry]]] = {}
        self._flushed: list[tuple[str, object]] = []

    def id_of(self, dictionary: str, key: object, entry: Callable[[], Entry]) -> int:
        """The id of ``key`` in a dictionary; the first time, ``entry`` makes its row."""
        known = self.known[dictionary]
        found = known.get(key)
        if found is None:
            self._staged.setdefault(dictionary, []).append((key, entry()))
            found = known[key] = len(known)
            self.weight += len(key) if isinstance(key, bytes) else 0
        return found

    def has(self, dictionary: str, key: object) -> bool:
        """Whether a dictionary knows ``key``."""
        return key in self.known[dictionary]

    def size_of(self, dictionary: str) -> int:
        """How many entries a dictionary has."""
        return len(self.known[dictionary])

    def count(self, times: NDArray[np.int64], keys: NDArray[np.uint8], now: int) -> None:
        """Stages rows that are being inserted: their times, and their *distinct* keys of shape ``(n, 16)``."""
        base = self.staged_rows or self.segment
        low, high = int(times.min()), int(times.max())
        self.staged_rows = replace(
            base,
            rows=base.rows + len(times),
            min_time=min(base.min_time, low) if base.rows else low,
            max_time=max(base.max_time, high) if base.rows else high,
            written=max(base.written, now),
        )
        self._staged_keys.append((keys, base.rows, len(times)))

    def flush(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Writes the staged dictionary entries and the record, inside the caller's transaction."""
        for dictionary, entries in self._staged.items():
            first = len(self.known[dictionary]) - len(entries)
            rows = [(self.segment.id, first + i, *entry) for i, (_, entry) in enumerate(entries)]
            marks = f"({', '.join('?' * len(rows[0]))})"
            for some in batched(rows, _ROWS_PER_STATEMENT):
                values = ", ".join([marks] * len(some))
                connection.execute(f"INSERT INTO {dictionary} VALUES {values}", [v for row in some for v in row])
            self._flushed += [(dictionary, key) for key, _ in entries]
        self._staged = {}
        if (s := self.staged_rows) is not None:
            connection.execute(
                "UPDATE segments SET rows = ?, min_time = ?, max_time = ?, written = ? WHERE id = ?",
                (s.rows, s.min_time, s.max_time, s.written, s.id),
            )

    def seal(self) -> list[bytes]:
        """Closes the filters, staged keys included, and returns them in their final size."""
        self._absorb()
        self.staged_rows = replace(self.staged_rows or self.segment, sealed=True)
        return self.zones.close()

    def settle(self, *, committed: bool) -> None:
        """Adopts what was staged, or forgets it."""
        if committed:
            self._absorb()
            self.segment = self.staged_rows or self.segment
        else:
            staged = [(name, key) for name, entries in self._staged.items() for key, _ in entries]
            for name, key in staged + self._flushed:
                self.known[name].pop(key, None)  # what a flush broke off in is among both
        self.staged_rows, self._staged_keys, self._staged, self._flushed = None, [], {}, []

    def _absorb(self) -> None:
        for keys, first, rows in self._staged_keys:
            self.zones.add(keys, first, rows)
        self._staged_keys = []


class Stretch(Struct, frozen=True):
    """Rows of a segment, from ``first`` to before ``last`` (``None``: to the end), that may be of some of ``keys``."""

    segment: Segment
    first: int
    last: int | None
    keys: list[bytes]

    @property
    def condition(self) -> str:
        """SQL for "the row ``r`` is one of them", which the engine answers without reading others."""
        return f"r.rowid >= {self.first}" + ("" if self.last is None else f" AND r.rowid < {self.last}")


class SegmentsView:
    """The segments of one snapshot, newest first."""

    def __init__(self, table: str, segments: Sequence[Segment], zones: Mapping[int, Zones]) -> None:
        self._table, self._zones = table, zones
        self.segments = sorted(segments, key=lambda s: (s.max_time, s.id), reverse=True)

    def name_of(self, segment: int) -> str:
        """The DuckDB table that holds a segment's rows."""
        return f"{self._table}_{segment}"

    def between(self, start: int, end: int) -> list[Segment]:
        """Segments that may hold rows with ``start <= time < end``."""
        return [s for s in self.segments if s.min_time < end and s.max_time >= start]

    def holding(self, keys: Sequence[bytes]) -> list[Stretch]:
        """Where rows of ``keys`` may be."""
        numbers = [(key, probes_of(key)) for key in dict.fromkeys(keys)]
        found: list[Stretch] = []
        for segment in self.segments:
            zones = self._zones.get(segment.id)
            if zones is None:
                found.append(Stretch(segment, 0, None, list(keys)))
                continue
            filters = list(zones.filters)
            held = [[key for key, n in numbers if f.may_contain(n)] for f in filters]
            for (first, last), some in _runs(held):
                end = None if last == len(filters) else last * ZONE_ROWS
                found.append(Stretch(segment, first * ZONE_ROWS, end, some))
        return found


class Segments:
    """All segments of one table.

    Reading methods may be called from any thread. Those that take a connection belong to the one writer and run inside its
    transaction; ``settle`` follows its end.

    Args:
        table: The declaration.
        segment_rows: Rows after which a segment takes no more.
    """

    def __init__(self, table: SegmentedTable, *, segment_rows: int) -> None:
        self.table = table
        self._segment_rows = segment_rows
        self._lock = threading.Lock()
        self._segments: dict[int, Segment] = {}
        #: No number is given twice while the process runs: readers and writers remember segments by them.
        self._next_number = 0
        self._zones: dict[int, Zones] = {}
        self._writing: OrderedDict[int, Writing] = OrderedDict()
        self._fresh: list[Segment] = []
        self._touched: list[Writing] = []
        #: How often segments were let go; then what is remembered of the rows may no longer be true.
        self.drops = 0

    def create(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Makes the catalogue and the dictionaries of an empty store."""
        connection.execute(
            "CREATE TABLE segments (id INTEGER PRIMARY KEY, bucket BIGINT, rows BIGINT, min_time BIGINT, max_time BIGINT,"
            " written BIGINT, sealed BOOLEAN, zones BLOB[])"
        )
        for dictionary in self.table.dictionaries:
            columns = ", ".join(f"{c.name} {c.type}" for c in dictionary.columns)
            connection.execute(f"CREATE TABLE {dictionary.name} (segment INTEGER, id INTEGER, {columns})")

    def load(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Reads the catalogue of an existing store."""
        rows = connection.execute(
            "SELECT id, bucket, rows, min_time, max_time, written, sealed, zones FROM segments"
        ).fetchall()
        for *record, zones in rows:
            segment = Segment(*record)
            self._segments[segment.id] = segment
            self._zones[segment.id] = Zones(zones) if zones is not None else self._rebuilt(connection, segment)
            self._next_number = max(self._next_number, segment.id + 1)

    def name_of(self, segment: int) -> str:
        """The DuckDB table that holds a segment's rows."""
        return f"{self.table.name}_{segment}"

    def all(self) -> list[Segment]:
        """Every segment, by what is committed; for reading rows take a ``view``."""
        with self._lock:
            return [s for s in self._segments.values() if s.rows]

    def view(self, connection: duckdb.DuckDBPyConnection) -> SegmentsView:
        """The segments as ``connection``'s snapshot has them."""
        rows = connection.execute(
            "SELECT id, bucket, rows, min_time, max_time, written, sealed FROM segments WHERE rows > 0"
        ).fetchall()
        segments = [Segment(*row) for row in rows]
        with self._lock:
            # Between a commit and its ``settle``, a snapshot has rows that no filter knows yet.
            settled = [s.id for s in segments if (known := self._segments.get(s.id)) and known.rows >= s.rows]
            zones = {number: self._zones[number] for number in settled}
        return SegmentsView(self.table.name, segments, zones)

    # writing, inside the writer's transaction

    def parts(self, times: NDArray[np.int64], now: int) -> Iterator[Part]:
        """Splits a batch by the segment its rows belong to."""
        buckets = times // _DAY
        absurd = (times > now + _AHEAD) | (times < now - _BEHIND)
        if absurd.any():
            buckets = np.where(absurd, OUTLIERS, buckets)
        first = int(buckets[0])
        if (buckets == first).all():
            yield Part(first, None)
            return
        for bucket in np.unique(buckets).tolist():
            yield Part(bucket, np.nonzero(buckets == bucket)[0])

    def writing(self, connection: duckdb.DuckDBPyConnection, bucket: int) -> Writing:
        """The segment that takes rows of ``bucket``, made when there is none or it is full."""
        writing = self._writing.get(bucket) or self._reopened(connection, bucket)
        if writing is not None and (
            (writing.staged_rows or writing.segment).rows >= self._segment_rows or writing.weight >= _MAX_WEIGHT
        ):
            self._seal(connection, writing)
            writing = None
        if writing is None:
            writing = self._made(connection, bucket)
        self._writing[bucket] = writing
        self._writing.move_to_end(bucket)
        if writing not in self._touched:
            self._touched.append(writing)
        return writing

    def insert(self, connection: duckdb.DuckDBPyConnection, writing: Writing, rows: pa.Table) -> None:
        """Appends rows; their columns are the table's, in order."""
        connection.register("incoming", rows)
        try:
            connection.execute(f"INSERT INTO {self.name_of(writing.segment.id)} SELECT * FROM incoming")
        finally:
            connection.unregister("incoming")

    def flush(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Writes what the touched segments staged, and the views if there are new segments."""
        for writing in self._touched:
            writing.flush(connection)
        if self._fresh:
            self.create_view(connection)

    def settle(self, *, committed: bool) -> None:
        """Adopts or forgets everything staged since the last ``settle``; called after the transaction's end."""
        with self._lock:
            for writing in self._touched:
                writing.settle(committed=committed)
                if committed:
                    self._segments[writing.segment.id] = writing.segment
                    self._zones[writing.segment.id] = writing.zones
            if not committed:
                for segment in self._fresh:
                    self._segments.pop(segment.id, None)
                    self._writing.pop(segment.bucket, None)
            self._fresh, self._touched = [], []
            while len(self._writing) > _OPEN_SEGMENTS:
                self._writing.popitem(last=False)

    def drop(self, connection: duckdb.DuckDBPyConnection, doomed: Sequence[Segment]) -> None:
        """Removes segments with their dictionaries; ``forget`` them after the commit."""
        for segment in doomed:
            connection.execute(f"DROP TABLE IF EXISTS {self.name_of(segment.id)}")
            connection.execute("DELETE FROM segments WHERE id = ?", (segment.id,))
            for dictionary in self.table.dictionaries:
                connection.execute(f"DELETE FROM {dictionary.name} WHERE segment = ?", (segment.id,))
        gone = {s.id for s in doomed}
        self.create_view(connection, without=gone)

    def forget(self, doomed: Sequence[Segment]) -> None:
        """Drops the memory of segments that are gone."""
        self.drops += 1
        with self._lock:
            for segment in doomed:
                self._segments.pop(segment.id, None)
                self._zones.pop(segment.id, None)
                writing = self._writing.get(segment.bucket)
                if writing is not None and writing.segment.id == segment.id:
                    del self._writing[segment.bucket]

    def create_view(self, connection: duckdb.DuckDBPyConnection, *, without: set[int] | None = None) -> None:
        """Makes the view of all segments that people query."""
        ids = [s for s in sorted(self._segments) if s not in (without or ())]
        columns = ", ".join(f'{expression} AS "{column.name}"' for column, expression in self.table.view)
        selects = [self._select(columns, str(s), self.name_of(s)) for s in ids]
        if not selects:
            empty = ", ".join(f"NULL::{c.type} AS {c.name}" for c in self.table.columns)
            selects = [self._select(columns, "-1", f"(SELECT {empty} WHERE false)")]
        connection.execute(f"CREATE OR REPLACE VIEW {self.table.name} AS " + " UNION ALL ".join(selects))

    def _select(self, columns: str, segment: str, source: str) -> str:
        joins = " ".join(
            f"LEFT JOIN {name} ON {name}.segment = {segment} AND {name}.id = r.{column}"
            for name, column in self.table.joins
        )
        return f"SELECT {columns} FROM {source} AS r {joins}"

    def _made(self, connection: duckdb.DuckDBPyConnection, bucket: int) -> Writing:
        number, self._next_number = self._next_number, self._next_number + 1
        columns = ", ".join(f"{c.name} {c.type}" for c in self.table.columns)
        connection.execute(f"CREATE TABLE {self.name_of(number)} ({columns})")
        connection.execute("INSERT INTO segments VALUES (?, ?, 0, 0, 0, 0, false, NULL)", (number, bucket))
        segment = Segment(number, bucket, 0, 0, 0, 0)
        with self._lock:
            self._segments[number] = segment
        self._fresh.append(segment)
        return Writing(segment, Zones(), {d.name: {} for d in self.table.dictionaries})

    def _reopened(self, connection: duckdb.DuckDBPyConnection, bucket: int) -> Writing | None:
        open_ones = [s for s in self._segments.values() if s.bucket == bucket and not s.sealed]
        if not open_ones:
            return None
        segment = max(open_ones, key=lambda s: s.id)
        known: dict[str, dict[object, int]] = {}
        for dictionary in self.table.dictionaries:
            rows = connection.execute(
                f"SELECT {dictionary.key[0]}, id FROM {dictionary.name} WHERE segment = ?", (segment.id,)
            ).fetchall()
            known[dictionary.name] = {_hashable(key): number for key, number in rows}
        return Writing(segment, self._zones[segment.id], known)

    def _seal(self, connection: duckdb.DuckDBPyConnection, writing: Writing) -> None:
        """Closes a full segment: its filter shrinks to what its keys need and is kept in the file."""
        zones = writing.seal()
        connection.execute("UPDATE segments SET sealed = true, zones = ? WHERE id = ?", (zones, writing.segment.id))
        if writing not in self._touched:
            self._touched.append(writing)

    def _rebuilt(self, connection: duckdb.DuckDBPyConnection, segment: Segment) -> Zones:
        zones = Zones()
        for first in range(0, segment.rows, ZONE_ROWS):
            keys = connection.execute(
                f"SELECT DISTINCT {self.table.key} FROM {self.name_of(segment.id)} WHERE rowid >= ? AND rowid < ?",
                (first, first + ZONE_ROWS),
            ).fetchall()
            data = np.frombuffer(b"".join(key for (key,) in keys), np.uint8).reshape(-1, 16)
            zones.add(data, first, min(ZONE_ROWS, segment.rows - first))
        return zones


def _runs(held: Sequence[list[bytes]]) -> Iterator[tuple[tuple[int, int], list[bytes]]]:
    """Runs of neighbouring zones that hold anything, ``(first, behind last)``, and the keys that any of them holds."""
    first, keys = 0, dict[bytes, None]()
    for zone, some in enumerate([*held, []]):
        if some:
            first = first if keys else zone
            keys |= dict.fromkeys(some)
        elif keys:
            yield (first, zone), list(keys)
            keys = {}


def batched(rows: Sequence[Entry], size: int) -> Iterator[Sequence[Entry]]:
    """``rows`` in runs of at most ``size``."""
    return (rows[i : i + size] for i in range(0, len(rows), size))


def _hashable(value: object) -> object:
    return tuple(_hashable(v) for v in value) if isinstance(value, (list, tuple)) else value
