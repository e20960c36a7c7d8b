"""A small segmented table, and the protocol by which a capability writes one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb
import numpy as np
import pyarrow as pa

from pilothouse.kit.clock import SECOND, ManualClock
from pilothouse.signals.duckdb.segments import Segments
from pilothouse.signals.store import MIGRATIONS, Settings, Signals
from pilothouse.signals.tables import Column, SegmentedTable, Table

MB = 1 << 20
DAY = 86_400 * SECOND
NOW = 19_675 * DAY + DAY // 2

WORDS = Table(
    "words", "Words.", (Column("text", "VARCHAR", "The word"), Column("length", "INTEGER", "")), key=("text",)
)
THINGS = SegmentedTable(
    name="things",
    doc="Things.",
    columns=(
        Column("key", "BLOB", "16 bytes"),
        Column("time", "BIGINT", "Nanoseconds"),
        Column("word", "INTEGER", "In words"),
        Column("filler", "VARCHAR", "Takes space"),
    ),
    time="time",
    key="key",
    dictionaries=(WORDS,),
    view=(
        (Column("number", "BIGINT", ""), "('0x' || hex(r.key))::HUGEINT::BIGINT"),
        (Column("time", "BIGINT", ""), "r.time"),
        (Column("word", "VARCHAR", ""), "words.text"),
        (Column("filler", "VARCHAR", ""), "r.filler"),
    ),
    joins=(("words", "word"),),
)
NOTES = Table(
    "notes",
    "The newest time of each filler.",
    (Column("filler", "VARCHAR", ""), Column("last", "BIGINT", "")),
    key=("filler",),
    follows=("things", "last"),
)
TABLES = (THINGS, NOTES)

#: Number, time, word.
Row = tuple[int, int, str]
Migrations = Mapping[int, Callable[[duckdb.DuckDBPyConnection], None]]


class Broken(Exception):
    """What a test makes a commit fail with."""


class Things:
    """An open store of things."""

    def __init__(
        self,
        directory: Path | None,
        *,
        segment_rows: int = 4,
        retention_age: int = 0,
        retention_bytes: int = 0,
        memory: int = 64 * MB,
        query_memory: int = 64 * MB,
        tables: Sequence[Table | SegmentedTable] = TABLES,
        migrations: Migrations = MIGRATIONS,
        clock: ManualClock | None = None,
    ) -> None:
        self.clock = clock or ManualClock(NOW)
        settings = Settings(memory, 1, 64 * MB, query_memory, segment_rows, retention_age, retention_bytes)
        self.signals = Signals(directory, settings, self.clock, tables, migrations=migrations)
        self._again: Callable[[], Signals] = lambda: Signals(
            directory, settings, self.clock, tables, migrations=migrations
        )
        self.signals.open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.signals.close()

    def restart(self) -> None:
        self.signals.close()
        self.signals = self._again()
        self.signals.open()

    @property
    def segments(self) -> Segments:
        return self.signals.segments["things"]

    def commit(self, *batches: Sequence[Row], filler: str = "", fail: Callable[[], None] = lambda: None) -> None:
        """Writes batches in one transaction; ``fail`` is called before its end."""
        now = self.clock.now_ns()
        with self.signals.database.exclusive():
            try:
                with self.signals.database.writing() as connection:
                    for rows in batches:
                        self._insert(connection, rows, now, filler)
                    self.segments.flush(connection)
                    fail()
            except BaseException:
                self.segments.settle(committed=False)
                raise
            self.segments.settle(committed=True)

    def _insert(self, connection: duckdb.DuckDBPyConnection, rows: Sequence[Row], now: int, filler: str) -> None:
        times = np.array([time for _, time, _ in rows], np.int64)
        for part in self.segments.parts(times, now):
            some = list(rows) if part.rows is None else [rows[i] for i in part.rows]
            writing = self.segments.writing(connection, part.bucket)
            table = pa.table(
                {
                    "key": [number.to_bytes(16) for number, _, _ in some],
                    "time": [time for _, time, _ in some],
                    "word": pa.array([_id_of(writing, word) for _, _, word in some], pa.int32()),
                    "filler": [filler] * len(some),
                }
            )
            self.segments.insert(connection, writing, table)
            keys = np.frombuffer(b"".join(n.to_bytes(16) for n in sorted({n for n, _, _ in some})), np.uint8)
            writing.count(np.array([time for _, time, _ in some], np.int64), keys.reshape(-1, 16), now)

    def rows(self, sql: str = "SELECT number, time, word FROM things ORDER BY ALL") -> list[tuple[Any, ...]]:
        with self.signals.database.reading() as connection:
            return connection.execute(sql).fetchall()

    def holding(self, number: int) -> set[int]:
        """Numbers of the segments that may have a key."""
        with self.signals.database.reading() as connection:
            return {s.segment.id for s in self.segments.view(connection).holding([number.to_bytes(16)])}

    def found(self, number: int) -> list[tuple[Any, ...]]:
        """The rows of a key, read only where the filters say."""
        found: list[tuple[Any, ...]] = []
        with self.signals.database.reading() as connection:
            for s in self.segments.view(connection).holding([number.to_bytes(16)]):
                name = self.segments.name_of(s.segment.id)
                found += connection.execute(
                    f"SELECT r.time FROM {name} r WHERE {s.condition} AND r.key = ?", [number.to_bytes(16)]
                ).fetchall()
        return found


def _id_of(writing: Any, word: str) -> int:
    number: int = writing.id_of("words", word, lambda: (word, len(word)))
    return number
