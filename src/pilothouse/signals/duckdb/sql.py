"""SQL from people: one statement that reads, bounded in time, rows and memory.

The engine is closed to files, extensions and settings when the database is opened, a transaction that is declared read-only
refuses the rest, and the statement's own kind is checked first because its error is the clearest.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct

from pilothouse.kit.errors import InvalidInput, LimitExceeded, PilothouseError, QueryTimeout
from pilothouse.kit.units import exact_size
from pilothouse.signals.duckdb.ceiling import ceiling
from pilothouse.signals.duckdb.database import Database, translated

_READS: Final = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN)
#: Functions that change something, or that run text which cannot be checked.
_ACTS: Final = frozenset(
    ("checkpoint", "force_checkpoint", "truncate_duckdb_logs", "write_log", "query", "json_execute_serialized_sql")
)
#: Bytes of one answer, as columns.
_MAX_ANSWER: Final = 64 << 20
#: Integers a JSON reader with doubles keeps exactly.
_EXACT: Final = 1 << 53


class SqlResult(Struct, frozen=True):
    """Rows of an answer as JSON can hold them: times and integers beyond 2**53 are text, blobs are hex."""

    columns: list[tuple[str, str]]
    rows: list[list[Any]]
    truncated: bool


def run(database: Database, sql: str, *, max_rows: int, timeout: int) -> SqlResult:
    """Runs one read-only statement; blocking.

    Args:
        database: Where.
        sql: The statement.
        max_rows: Rows returned at most.
        timeout: Nanoseconds.

    Raises:
        InvalidInput: It is wrong, or no single statement that reads.
        QueryTimeout, LimitExceeded: It cost more than it may.
    """
    with database.reading(limited=True) as connection, ceiling(database.query_memory):
        _check(connection, sql)
        deadline = _Deadline(connection, timeout)
        try:
            connection.execute("BEGIN TRANSACTION READ ONLY")
            try:
                answer = connection.sql(sql)
                described = [(name, str(type_)) for name, type_ in zip(answer.columns, answer.types, strict=True)]
                with answer.to_arrow_reader(2048) as reader:  # an open one would keep the transaction
                    return _collected(reader, described, max_rows)
            finally:
                deadline.over()
                _roll_back(connection)
        except (duckdb.Error, pa.ArrowException, RuntimeError, MemoryError, OverflowError, OSError) as error:
            raise _explained(error, deadline.passed, timeout, database) from error
        finally:
            deadline.over()


class _Deadline:
    """Interrupts a connection in time, and never after ``over``: that would hit whatever it does next."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, timeout: int) -> None:
        self.passed = False
        self._connection, self._over, self._lock = connection, False, threading.Lock()
        self._timer = threading.Timer(timeout / 1e9, self._interrupt)
        self._timer.start()

    def over(self) -> None:
        """The work is done or has failed."""
        with self._lock:
            self._over = True
        self._timer.cancel()

    def _interrupt(self) -> None:
        with self._lock:
            if not self._over:
                self.passed = True
                self._connection.interrupt()


def _check(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    try:
        kinds = [statement.type for statement in connection.extract_statements(sql)]
    except duckdb.Error as error:
        raise InvalidInput(_first_lines(error), where="sql") from error
    except ValueError:
        kinds = []  # a kind of statement that DuckDB's Python package has no name for
    if len(kinds) != 1 or kinds[0] not in _READS:
        raise InvalidInput("only a single SELECT (or EXPLAIN) can be run", where="sql")
    if kinds[0] is duckdb.StatementType.EXPLAIN and "analyze" in sql.lower():
        raise InvalidInput("EXPLAIN ANALYZE runs its statement and is not allowed", where="sql")
    for name in _calls(sql):
        if name in _ACTS:
            raise InvalidInput(f"the function {name}() does more than read and is not allowed", where="sql")


def _calls(sql: str) -> Iterator[str]:
    """The names in front of an opening parenthesis, as DuckDB itself takes the text apart."""
    text = sql.encode()
    tokens = [(at, kind) for at, kind in duckdb.tokenize(sql) if kind is not duckdb.token_type.comment]
    for i, (at, _) in enumerate(tokens[:-1]):
        if text[(following := tokens[i + 1][0]) : following + 1] == b"(":
            yield text[at:following].split(b"/*")[0].split(b"--")[0].decode(errors="replace").strip(' \t\r\n"').lower()


def _roll_back(connection: duckdb.DuckDBPyConnection) -> None:
    with suppress(duckdb.Error):  # the error that ended the transaction is on its way to the caller
        connection.execute("ROLLBACK")


def _explained(error: Exception, late: bool, timeout: int, database: Database) -> PilothouseError:
    if late:
        return QueryTimeout(
            f"the query took longer than {timeout / 1e9:g} s and was stopped",
            remedy="Ask about less time, or raise query.timeout.",
        )
    if isinstance(error, (duckdb.OutOfMemoryException, MemoryError)):
        return LimitExceeded("the query needs more memory than query.memory allows", remedy="Ask for less at a time.")
    if isinstance(error, OverflowError):
        return InvalidInput("a value of the answer is beyond what Python can hold; cast it to VARCHAR", where="sql")
    storage = (duckdb.IOException, duckdb.FatalException, duckdb.ConnectionException, duckdb.InterruptException)
    if isinstance(error, storage) or type(error) is duckdb.Error:
        known = translated(error, database.path)
        if known is not None:
            return known
    return InvalidInput(_first_lines(error), where="sql")


def _first_lines(error: Exception) -> str:
    """DuckDB's message with the place it points at, without its advertisement of documentation."""
    return "\n".join(line for line in str(error).splitlines() if line.strip())[:2000]


def _collected(reader: pa.RecordBatchReader, columns: list[tuple[str, str]], max_rows: int) -> SqlResult:
    rows: list[list[Any]] = []
    size = 0
    for batch in reader:
        size += batch.nbytes
        if size > _MAX_ANSWER:
            raise LimitExceeded(
                f"the answer is larger than {exact_size(_MAX_ANSWER)}", remedy="Ask for fewer or shorter values."
            )
        values = [_column(c) for c in batch.columns]
        rows.extend(map(list, zip(*values, strict=True)))
        if len(rows) > max_rows:
            return SqlResult(columns, rows[:max_rows], True)
    return SqlResult(columns, rows, False)


def _column(array: pa.Array) -> list[Any]:
    kind = array.type
    if pa.types.is_temporal(kind) and not pa.types.is_interval(kind):
        array = pc.cast(array, pa.string())
    if pa.types.is_map(kind):  # an empty one looks like an empty list
        return [None if v is None else {str(k): _value(x) for k, x in v} for v in array.to_pylist()]
    return [_value(v) for v in array.to_pylist()]


def _value(value: Any) -> Any:
    match value:
        case None | bool() | str():
            return value
        case int():
            return value if -_EXACT <= value <= _EXACT else str(value)
        case float():
            return value if math.isfinite(value) else str(value)
        case bytes():
            return value.hex()
        case dict():
            return {str(k): _value(v) for k, v in value.items()}
        case list() if value and all(isinstance(v, tuple) and len(v) == 2 for v in value):
            return {str(k): _value(v) for k, v in value}  # a MAP
        case list() | tuple():
            return [_value(v) for v in value]
        case _:
            return str(value)
