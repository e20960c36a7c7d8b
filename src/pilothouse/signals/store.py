"""One open store: the engine, the segmented tables in it, its schema version, and what keeps it within bounds.

Example::

    signals = Signals(Path("data"), settings, SystemClock(), tables)
    signals.open()
    with signals.database.reading() as connection:
        connection.execute("SELECT count(*) FROM spans").fetchone()
    signals.close()
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import duckdb
from msgspec import Struct

from pilothouse.kit.clock import SECOND, Clock
from pilothouse.kit.errors import Overloaded, PilothouseError, StorageIncompatible
from pilothouse.kit.health import Health, Status
from pilothouse.signals.duckdb import sql
from pilothouse.signals.duckdb.database import FILE_NAME, Database
from pilothouse.signals.duckdb.segments import Segment, Segments
from pilothouse.signals.duckdb.sql import SqlResult
from pilothouse.signals.tables import SegmentedTable, Table

_log = logging.getLogger(__name__)

#: Of the tables' layout. A change adds a migration and increases it by one.
SCHEMA_VERSION: Final = 1
#: For each version but the first, what makes a store of the version before into one of it.
MIGRATIONS: Final[Mapping[int, Callable[[duckdb.DuckDBPyConnection], None]]] = {}
#: Nanoseconds by which the times of a table that follows another may be late.
_LAG: Final = 60 * SECOND
#: Nanoseconds by which the wall clock may leap ahead before retention waits, and for which it then waits.
_LEAP: Final = 3600 * SECOND
#: Seconds between two looks at the retention limits.
_SWEEP_INTERVAL: Final = 30.0


class Settings(Struct, frozen=True):
    """Sizes in bytes, times in nanoseconds; 0 turns a retention limit off."""

    memory: int
    threads: int
    checkpoint_bytes: int
    query_memory: int
    segment_rows: int
    retention_age: int
    retention_bytes: int


class Signals:
    """A store on disk, or (``directory`` is ``None``) in a temporary directory that goes when it is closed.

    Args:
        directory: Where the file is; made when missing.
        settings: Limits.
        clock: For retention.
        tables: What the capabilities keep.
        migrations: By target version; the last one is the current version.
    """

    def __init__(
        self,
        directory: Path | None,
        settings: Settings,
        clock: Clock,
        tables: Sequence[Table | SegmentedTable],
        *,
        migrations: Mapping[int, Callable[[duckdb.DuckDBPyConnection], None]] = MIGRATIONS,
    ) -> None:
        self._directory, self._settings, self._clock = directory, settings, clock
        self._tables = [t for t in tables if isinstance(t, Table)]
        self._migrations = migrations
        self._temporary: str | None = None
        self._database: Database | None = None
        #: Whether ``used`` tells what the segments take. It does not while readers hold what was dropped.
        self._reclaimed = True
        self.segments: dict[str, Segments] = {
            t.name: Segments(t, segment_rows=settings.segment_rows) for t in tables if isinstance(t, SegmentedTable)
        }
        self._offset = clock.now_ns() - clock.monotonic_ns()
        self._distrusted_until = clock.monotonic_ns()
        self.service = _Retention(self)

    @property
    def database(self) -> Database:
        """The engine; only after ``open``."""
        if self._database is None:
            raise Overloaded("the store is not open yet", retry_after=1)
        return self._database

    def open(self) -> None:
        """Opens, creates or migrates the store.

        Raises:
            DataDirBusy, StorageFull, StorageReadOnly, StorageIncompatible: As they say.
        """
        directory = self._directory
        if directory is None:
            self._temporary = tempfile.mkdtemp(prefix="pilothouse-")
            directory = Path(self._temporary)
        s = self._settings
        self._database = Database(
            directory / FILE_NAME,
            memory=s.memory,
            threads=s.threads,
            checkpoint_bytes=s.checkpoint_bytes,
            query_memory=s.query_memory,
        )
        try:
            with self.database.writing() as connection:
                self._prepare(connection)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Closes the store; a temporary one is removed."""
        if self._database is not None:
            try:
                self._database.close()
            except duckdb.Error as error:
                _log.warning("the store was not closed cleanly, its log is read at the next start: %s", error)
            self._database = None
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
            self._temporary = None

    def sql(self, statement: str, max_rows: int, timeout: int) -> SqlResult:
        """Runs one read-only statement; see ``duckdb.sql.run``."""
        return sql.run(self.database, statement, max_rows=max_rows, timeout=timeout)

    def stats(self) -> dict[str, Any]:
        """What is stored: ``spans``, ``bytes``, ``segments``, ``oldest`` and ``newest`` (nanoseconds or ``None``)."""
        segments = [s for table in self.segments.values() for s in table.all()]
        return {
            "spans": sum(s.rows for s in segments),
            "bytes": self.database.size(),
            "segments": len(segments),
            "oldest": min((s.min_time for s in segments), default=None),
            "newest": max((s.max_time for s in segments), default=None),
        }

    def sweep(self) -> list[Segment]:
        """Drops segments beyond the retention limits and returns them."""
        dropped: list[Segment] = []
        for table in self.segments.values():
            with self.database.exclusive():
                doomed = self._doomed(table)
                if not doomed:
                    continue
                with self.database.writing() as connection:
                    table.drop(connection, doomed)
                    self._drop_followers(connection, table, doomed)
                table.forget(doomed)
                self._reclaimed = self.database.checkpoint()  # gives the blocks back for reuse
                dropped += doomed
        return dropped

    def _drop_followers(
        self, connection: duckdb.DuckDBPyConnection, table: Segments, doomed: Sequence[Segment]
    ) -> None:
        """Removes what ``Table.follows`` says. Only entries as old as what goes are looked for, as most are newer."""
        newest = max(s.max_time for s in doomed)
        rest = [s for s in table.all() if s not in doomed and s.min_time <= newest + _LAG]
        for t in self._tables:
            if t.follows is None or t.follows[0] != table.table.name:
                continue
            old, keys = f"{t.follows[1]} <= {newest}", ", ".join(t.key)
            if connection.execute(f"SELECT count(*) FROM {t.name} WHERE {old}").fetchone() == (0,):
                continue
            left = " UNION ALL ".join(f"SELECT {keys} FROM {table.name_of(s.id)}" for s in rest)
            gone = f"({keys}) NOT IN ({left})" if rest else "true"
            connection.execute(f"DELETE FROM {t.name} WHERE {old} AND {gone}")

    def _leapt(self) -> bool:
        """Whether the wall clock went ahead of the monotonic one lately: a mistake that someone may still correct."""
        wall, monotonic = self._clock.now_ns(), self._clock.monotonic_ns()
        if wall - monotonic > self._offset + _LEAP:
            self._distrusted_until = monotonic + _LEAP
            _log.warning("the clock leapt ahead, so nothing is removed for its age in the next hour")
        self._offset = wall - monotonic
        return monotonic < self._distrusted_until

    def _doomed(self, table: Segments) -> list[Segment]:
        """By age what was last written before the limit; by size the oldest, but never the one being written."""
        segments = sorted(table.all(), key=lambda s: (s.written, s.id))
        oldest = self._clock.now_ns() - self._settings.retention_age
        by_age = self._settings.retention_age and not self._leapt()
        doomed = [s for s in segments if by_age and s.written < oldest]
        limit = self._settings.retention_bytes
        if limit and not self._reclaimed:
            self._reclaimed = self.database.checkpoint()
        excess = self.database.used() - limit if limit and self._reclaimed else 0
        rest = [s for s in segments if s not in doomed]
        if excess > 0 and (rows := sum(s.rows for s in segments)):
            per_row = self.database.used() / rows
            excess -= int(sum(s.rows for s in doomed) * per_row)
            while excess > 0 and len(rest) > 1:
                doomed.append(rest.pop(0))
                excess -= int(doomed[-1].rows * per_row)
        return doomed

    def _prepare(self, connection: duckdb.DuckDBPyConnection) -> None:
        current = max(self._migrations, default=SCHEMA_VERSION)
        tables = connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()
        if not tables:
            self._create(connection, current)
        row = (
            connection.execute("SELECT version FROM schema_version").fetchone()
            if ("schema_version",) in tables
            else None
        )
        found = current if not tables else row[0] if row else None
        if found is None or found > current:
            raise StorageIncompatible(
                f"the store has schema version {found}, this Pilothouse knows up to {current}"
                if found
                else "the file is a DuckDB database, but none of Pilothouse's",
                where=str(self.database.path),
                remedy="Use the version that wrote it, or name another directory with --data.",
            )
        for version in range(found + 1, current + 1):
            _log.info("migrating the store to schema version %d", version)
            self._migrations[version](connection)
            connection.execute("UPDATE schema_version SET version = ?", (version,))
        for segments in self.segments.values():
            segments.load(connection)
            segments.create_view(connection)

    def _create(self, connection: duckdb.DuckDBPyConnection, version: int) -> None:
        connection.execute("CREATE TABLE schema_version (version INTEGER)")
        connection.execute("INSERT INTO schema_version VALUES (?)", (version,))
        for table in self._tables:
            key = f", PRIMARY KEY ({', '.join(table.key)})" if table.key else ""
            connection.execute(
                f"CREATE TABLE {table.name} ({', '.join(f'{c.name} {c.type}' for c in table.columns)}{key})"
            )
        for segments in self.segments.values():
            segments.create(connection)


class _Retention:
    """The store's own service: it is open while this runs, and swept now and then."""

    name = "store"

    def __init__(self, signals: Signals) -> None:
        self._signals = signals
        self._task: asyncio.Task[None] | None = None
        self._health = Health(Status.STOPPED, "", signals._clock.now_ns())

    async def start(self) -> None:
        """Opens the store and begins to watch the limits."""
        await asyncio.to_thread(self._signals.open)
        self._task = asyncio.create_task(self._watch(), name="retention")
        self._health = Health(Status.OK, "", self._signals._clock.now_ns())

    async def stop(self) -> None:
        """Closes the store."""
        if self._task is not None:
            self._task.cancel()
        await asyncio.to_thread(self._signals.close)
        self._health = Health(Status.STOPPED, "", self._signals._clock.now_ns())

    def health(self) -> Health:
        """Recoverable while retention fails."""
        return self._health

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_INTERVAL)
            try:
                dropped = await asyncio.to_thread(self._signals.sweep)
                if dropped:
                    _log.info("retention removed %d segments with %d spans", len(dropped), sum(s.rows for s in dropped))
                if self._health.status is not Status.OK:
                    self._health = Health(Status.OK, "", self._signals._clock.now_ns())
            except (PilothouseError, duckdb.Error) as error:
                self._health = Health(Status.RECOVERABLE, f"retention failed: {error}", self._signals._clock.now_ns())
