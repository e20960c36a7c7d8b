"""SQL from people: one statement that reads, bounded in time, rows and memory.

The engine is closed to files, extensions and settings when the database is opened, a transaction that is declared read-only
refuses the rest, and the statement's own kind is checked first because its error is the clearest.
"""

from __future__ import annotations

import math
import threading
from contextlib import suppress
from typing import Any, Final

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct

from pilothouse.kit.errors import InvalidInput, LimitExceeded, PilothouseError, QueryTimeout
from pilothouse.signals.duckdb.database import Database, translated

_READS: Final = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN)
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
    with database.reading(limited=True) as connection:
        _check(connection, sql)
        late = threading.Event()

        def interrupt() -> None:
            late.set()
            connection.interrupt()

        timer = threading.Timer(timeout / 1e9, interrupt)
        timer.start()
        try:
            connection.execute("BEGIN TRANSACTION READ ONLY")
            try:
                answer = connection.sql(sql)
                described = [(name, str(type_)) for name, type_ in zip(answer.columns, answer.types, strict=True)]
                return _collected(answer.to_arrow_reader(2048), described, max_rows)
            finally:
                timer.cancel()
                _roll_back(connection)
        except (duckdb.Error, pa.ArrowException, RuntimeError) as error:
            raise _explained(error, late.is_set(), timeout, database) from error
        finally:
            timer.cancel()


def _check(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    try:
        statements = connection.extract_statements(sql)
    except duckdb.Error as error:
        raise InvalidInput(_first_lines(error), where="sql") from error
    if len(statements) != 1 or statements[0].type not in _READS:
        raise InvalidInput("only a single SELECT (or EXPLAIN) can be run", where="sql")
    if statements[0].type is duckdb.StatementType.EXPLAIN and "analyze" in sql.lower():
        raise InvalidInput("EXPLAIN ANALYZE runs its statement and is not allowed", where="sql")


def _roll_back(connection: duckdb.DuckDBPyConnection) -> None:
    with suppress(duckdb.Error):  # the error that ended the transaction is on its way to the caller
        connection.execute("ROLLBACK")


def _explained(error: Exception, late: bool, timeout: int, database: Database) -> PilothouseError:
    if late:
        return QueryTimeout(
            f"the query took longer than {timeout / 1e9:g} s and was stopped",
            remedy="Ask about less time, or raise query.timeout.",
        )
    if isinstance(error, duckdb.OutOfMemoryException):
        return LimitExceeded("the query needs more memory than query.memory allows", remedy="Ask for less at a time.")
    if isinstance(error, duckdb.IOException) and (known := translated(error, database.path)) is not None:
        return known
    return InvalidInput(_first_lines(error), where="sql")


def _first_lines(error: Exception) -> str:
    """DuckDB's message with the place it points at, without its advertisement of documentation."""
    return "\n".join(line for line in str(error).splitlines() if line.strip())[:2000]


def _collected(reader: pa.RecordBatchReader, columns: list[tuple[str, str]], max_rows: int) -> SqlResult:
    rows: list[list[Any]] = []
    for batch in reader:
        values = [_column(c) for c in batch.columns]
        rows.extend(map(list, zip(*values, strict=True)))
        if len(rows) > max_rows:
            return SqlResult(columns, rows[:max_rows], True)
    return SqlResult(columns, rows, False)


def _column(array: pa.Array) -> list[Any]:
    kind = array.type
    if pa.types.is_temporal(kind) and not pa.types.is_interval(kind):
        array = pc.cast(array, pa.string())
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
