"""Opening the DuckDB file, and turning what DuckDB says into errors a person can act on.

There is one writing connection, guarded by ``writing``; readers take cursors of their own and see a snapshot. The file is
closed to the outside world (no file access, no extensions, no further settings) before anyone can send SQL to it.
"""

from __future__ import annotations

import logging
import queue
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import duckdb

from pilothouse.kit.errors import (
    DataDirBusy,
    LimitExceeded,
    Overloaded,
    PilothouseError,
    QueryTimeout,
    StorageFull,
    StorageIncompatible,
    StorageReadOnly,
)

_log = logging.getLogger(__name__)

Connection = duckdb.DuckDBPyConnection
FILE_NAME: Final = "signals.duckdb"
#: Queries of strangers that run at the same time.
_LIMITED_CONNECTIONS: Final = 4
#: Seconds that reads and the reopening of a broken store wait for each other.
_PATIENCE: Final = 5.0
#: What a read meets when the store breaks and is opened anew beneath it.
_GONE: Final = (duckdb.FatalException, duckdb.ConnectionException, duckdb.InterruptException)
#: How DuckDB begins to say that a block's checksum is wrong; the error has no class of its own.
_DAMAGE: Final = "Corrupt database file"
_HOLDER = re.compile(r"lock is held in (?P<program>.+?) \(PID (?P<pid>\d+)\)")


def translated(error: Exception, path: Path) -> PilothouseError | None:
    """The error of ours that ``error`` means, or ``None`` if it is none that has to do with storage."""
    text = str(error)
    lower = text.lower()
    if "conflicting lock" in lower or "could not set lock" in lower:
        found = _HOLDER.search(text)
        holder = f"process {found['pid']} ({found['program']})" if found else "another process"
        return DataDirBusy(
            f"the data directory is in use by {holder}",
            where=str(path.parent),
            remedy="Stop that process, or give this one another directory with --data.",
        )
    if "no space left" in lower or "disk full" in lower or "out of disk" in lower or "quota exceeded" in lower:
        return StorageFull("there is no space left on the disk", where=str(path.parent), remedy="Make some space.")
    if "read-only" in lower or "permission denied" in lower:
        return StorageReadOnly(
            "the data directory cannot be written",
            where=str(path.parent),
            remedy="Give this user write permission, or name another directory with --data.",
        )
    if isinstance(error, duckdb.OutOfMemoryException) or "out of memory" in lower:
        return LimitExceeded("the query needs more memory than it may use", remedy="Ask for fewer rows or less time.")
    if isinstance(error, (FileExistsError, NotADirectoryError)):
        return StorageReadOnly(
            "the data directory cannot be written: it is a file",
            where=str(path.parent),
            remedy="Name another directory with --data.",
        )
    if isinstance(error, _GONE):
        return Overloaded("the store is being opened anew after an error", where=str(path.parent))
    if isinstance(error, (duckdb.SerializationException, duckdb.IOException)) or text.startswith(_DAMAGE):
        return StorageIncompatible(
            f"the store cannot be read: {text.splitlines()[0]}",
            where=str(path),
            remedy="It may come from a newer version or be damaged; move it away to start with an empty one.",
        )
    return None


class Database:
    """An open DuckDB file.

    Args:
        path: The file; made when missing, its folder too.
        memory: Bytes the buffer pool may hold.
        threads: Worker threads.
        checkpoint_bytes: Size of the write-ahead log that triggers a checkpoint.
        query_memory: Bytes that the intermediates of one query of ``reading(limited=True)`` may hold.

    Raises:
        DataDirBusy, StorageFull, StorageReadOnly, StorageIncompatible: As they say.
    """

    def __init__(self, path: Path, *, memory: int, threads: int, checkpoint_bytes: int, query_memory: int) -> None:
        self.path = path
        self._settings: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": f"{memory // 1024} KiB",
            "threads": str(threads),
            "async_threads": "1",
            "checkpoint_threshold": f"{checkpoint_bytes // 1024} KiB",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "python_enable_replacements": "false",
            "preserve_insertion_order": "true",
            "temp_directory": str(path.parent / "spill"),
        }
        self.query_memory = query_memory
        self._lock = threading.RLock()
        self._gate = threading.Condition()
        self._readers: list[duckdb.DuckDBPyConnection] = []
        self._waiting = 0
        self._usable = False
        self._open()

    def _open(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = duckdb.connect(str(self.path), config=self._settings)
            # Limited connections are made now: none can be limited any more once the configuration is locked.
            self._limited: queue.SimpleQueue[duckdb.DuckDBPyConnection] = queue.SimpleQueue()
            for _ in range(_LIMITED_CONNECTIONS):
                limited = self._writer.cursor()
                limited.execute(f"SET operator_memory_limit = '{self.query_memory // 1024} KiB'")
                self._limited.put(limited)
            self._writer.execute("SET enable_external_access = false")
            self._writer.execute("SET lock_configuration = true")
            self._set_usable(True)
        except (duckdb.Error, OSError) as error:
            known = translated(error, self.path)
            if known is None:
                raise
            raise known from error

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keeps other writers out, for work around a transaction that must not interleave."""
        with self._lock:
            yield

    @contextmanager
    def writing(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """One transaction on the writing connection: committed at the end, rolled back on any exception.

        Raises:
            StorageFull, StorageReadOnly: Nothing was written; the same work may succeed later.
        """
        with self._lock:
            if not self._usable:
                self._open()  # what could not be opened after the last error; raises why it still cannot
            try:
                self._writer.execute("BEGIN TRANSACTION")
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException as error:
                self._abandon(error)
                known = translated(error, self.path) if isinstance(error, (duckdb.Error, OSError)) else None
                if known is None:
                    raise
                raise known from error

    @contextmanager
    def reading(self, *, limited: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection of one's own.

        Args:
            limited: Bounds the memory of what it computes, and waits while all limited connections are taken.

        Raises:
            Overloaded: The store is closed, or is being opened anew after an error.
        """
        with self._gate:
            if not self._gate.wait_for(lambda: self._usable, _PATIENCE):
                raise Overloaded("the store is not open", where=str(self.path.parent))
            self._waiting += 1
        cursor: duckdb.DuckDBPyConnection | None = None
        try:
            cursor = self._limited.get() if limited else self._writer.cursor()
            self._readers.append(cursor)
            yield cursor
        finally:
            if cursor is not None:
                self._readers.remove(cursor)
                if limited:
                    self._limited.put(cursor)
                else:
                    cursor.close()
            with self._gate:
                self._waiting -= 1
                self._gate.notify_all()

    @contextmanager
    def snapshot(self, timeout: int) -> Iterator[Connection]:
        """A connection whose reads all see the same moment, interrupted after ``timeout`` nanoseconds.

        Raises:
            QueryTimeout: It took longer.
        """
        late = threading.Event()
        with self.reading() as connection:

            def interrupt() -> None:
                late.set()
                connection.interrupt()

            timer = threading.Timer(timeout / 1e9, interrupt)
            timer.start()
            try:
                connection.execute("BEGIN TRANSACTION READ ONLY")
                yield connection
            except duckdb.Error as error:
                if late.is_set():
                    raise QueryTimeout(
                        f"the question took longer than {timeout / 1e9:g} s and was stopped",
                        remedy="Ask about less time, or raise query.timeout.",
                    ) from error
                known = translated(error, self.path)
                if known is None:
                    raise
                raise known from error
            finally:
                timer.cancel()

    def checkpoint(self) -> bool:
        """Moves the write-ahead log into the file; false if readers are in the middle of something that keeps it from that."""
        with self._lock:
            try:
                self._writer.execute("CHECKPOINT")
            except duckdb.TransactionException:
                return False
            return True

    def size(self) -> int:
        """Bytes on disk, write-ahead log included."""
        return sum(p.stat().st_size for p in (self.path, self.path.with_name(self.path.name + ".wal")) if p.exists())

    def used(self) -> int:
        """Bytes in use: the file without the blocks that wait for reuse, and the log."""
        with self.reading() as connection:
            row = connection.execute("SELECT used_blocks * block_size FROM pragma_database_size()").fetchone()
        log = self.path.with_name(self.path.name + ".wal")
        return int(row[0] if row else 0) + (log.stat().st_size if log.exists() else 0)

    def close(self) -> None:
        """Checkpoints and closes; safe to call twice."""
        with self._lock:
            self._set_usable(False)
            while not self._limited.empty():
                self._limited.get().close()
            self._writer.close()

    def _abandon(self, error: BaseException) -> None:
        """Leaves the failed transaction. DuckDB refuses all work after some disk errors, until the file is opened anew."""
        try:
            self._writer.execute("ROLLBACK")
        except duckdb.FatalException as fatal:
            error = fatal
        except duckdb.Error:
            pass  # the failed statement had already ended the transaction
        if isinstance(error, duckdb.FatalException):
            self._reopen()

    def _reopen(self) -> None:
        """Opens the file anew. DuckDB shares one instance per file, so every connection to the broken one must go first."""
        self._set_usable(False)
        with self._gate:
            for cursor in [*self._readers]:
                cursor.interrupt()
            self._gate.wait_for(lambda: not self._waiting, _PATIENCE)
        # An invalidated database cannot be closed cleanly; the log has all that was committed.
        with suppress(duckdb.Error):
            self.close()
        try:
            self._open()
        except (duckdb.Error, PilothouseError) as error:
            _log.warning("the store could not be opened anew, the next write tries again: %s", error)

    def _set_usable(self, usable: bool) -> None:
        with self._gate:
            self._usable = usable
            self._gate.notify_all()
