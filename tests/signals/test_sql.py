"""SQL from people: it reads, within limits, and cannot do anything else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from tests.signals.things import MB, NOW, Things

from pilothouse.kit.clock import SECOND
from pilothouse.kit.errors import InvalidInput, LimitExceeded, QueryTimeout
from pilothouse.signals.duckdb.sql import SqlResult


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Things]:
    with Things(tmp_path_factory.mktemp("sql"), segment_rows=3, query_memory=32 * MB) as opened:
        opened.commit([(n, NOW + n, f"w{n % 2}") for n in range(1, 6)])
        opened.commit([(6, NOW + 6, "w0")])
        yield opened


def ask(things: Things, sql: str, *, max_rows: int = 100, timeout: int = 60 * SECOND) -> SqlResult:
    return things.signals.sql(sql, max_rows, timeout)


def value(things: Things, expression: str) -> Any:
    ((found,),) = ask(things, f"SELECT {expression}").rows
    msgspec.json.encode(found)
    return found


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT count(*) FROM things",
        "FROM things SELECT count(*)",
        "WITH t AS (SELECT * FROM things) SELECT count(*) FROM t",
        "SELECT count(*) FROM things;",
        "-- how many?\nSELECT count(*) FROM things -- all",
        "SELECT sum(rows) FROM segments",
    ],
)
def test_what_reads_is_run(things: Things, sql: str) -> None:
    assert [[int(v) for v in row] for row in ask(things, sql).rows] == [[6]]


def test_explain_and_lists_are_answered(things: Things) -> None:
    assert "things_0" in str(ask(things, "EXPLAIN SELECT * FROM things").rows)
    assert ask(things, "SELECT word, count(*) FROM things GROUP BY ALL ORDER BY ALL").rows == [["w0", 3], ["w1", 3]]


@pytest.mark.parametrize(
    "sql",
    [
        "",
        ";",
        "-- nothing",
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP TABLE words",
        "INSERT INTO words VALUES (0, 0, 'x', 1)",
        "UPDATE words SET text = 'x'",
        "DELETE FROM words",
        "DROP TABLE words",
        "DROP VIEW things",
        "TRUNCATE words",
        "CREATE TABLE t (x INTEGER)",
        "CREATE TEMP TABLE t (x INTEGER)",
        "CREATE TABLE t AS SELECT 1",
        "CREATE MACRO m() AS 1",
        "ALTER TABLE words ADD COLUMN x INTEGER",
        "ATTACH 'other.duckdb'",
        "DETACH signals",
        "USE memory",
        "COPY words TO '/tmp/words.csv'",
        "COPY words FROM '/etc/passwd'",
        "EXPORT DATABASE '/tmp/x'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET memory_limit = '100GB'",
        "RESET memory_limit",
        "PRAGMA database_list",
        "CALL pragma_version()",
        "CHECKPOINT",
        "VACUUM",
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "PREPARE p AS SELECT 1",
        "EXECUTE p",
        "EXPLAIN ANALYZE SELECT 1",
        "EXPLAIN (ANALYZE) SELECT 1",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM glob('/etc/*')",
        "SELECT * FROM read_blob('https://example.org')",
        "SELECT * FROM checkpoint()",
        "SELECT * FROM force_checkpoint /* now */ ()",
        "SELECT * FROM query('SELECT 1')",
        "SELECT * FROM \"query\"('DROP TABLE words')",
        "SELECT * FROM nothing",
        "SELEKT 1",
        "SELECT 1 +",
        "SELECT $1",
        "SELECT ?",
        "SELECT 'abc'::INTEGER",
        "SELECT \0",
    ],
)
def test_what_does_not_read_is_refused_and_changes_nothing(things: Things, sql: str) -> None:
    before = things.rows("SELECT * FROM words ORDER BY ALL")
    with pytest.raises(InvalidInput) as caught:
        ask(things, sql)
    assert caught.value.where == "sql"
    assert caught.value.what
    assert things.rows("SELECT * FROM words ORDER BY ALL") == before
    assert ask(things, "SELECT count(*) FROM things").rows == [[6]]


def test_python_is_no_table(things: Things) -> None:
    secret = msgspec.json.encode("x")  # noqa: F841 - must not be found by its name
    with pytest.raises(InvalidInput):
        ask(things, "SELECT * FROM secret")


def test_rows_beyond_the_limit_are_cut_and_it_says_so(things: Things) -> None:
    cut = ask(things, "SELECT * FROM range(100000)", max_rows=5)
    assert (cut.rows, cut.truncated) == ([[n] for n in range(5)], True)
    whole = ask(things, "SELECT * FROM range(5)", max_rows=5)
    assert (len(whole.rows), whole.truncated) == (5, False)
    assert ask(things, "SELECT * FROM things WHERE false").rows == []


def test_what_takes_too_long_is_stopped_and_the_next_is_not(things: Things) -> None:
    endless = "SELECT count(*) FROM range(1000000000) a, range(1000000000) b WHERE a.range * b.range % 7 = 3"
    for _ in range(6):  # more than there are connections
        with pytest.raises(QueryTimeout, match="longer than"):
            ask(things, endless, timeout=SECOND // 100)
    assert ask(things, "SELECT 1").rows == [[1]]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT list(range) FROM range(100000000)",
        "SELECT repeat('x', 1000000) FROM range(1000)",
    ],
)
def test_what_takes_too_much_memory_is_refused_and_the_next_is_not(things: Things, sql: str) -> None:
    with pytest.raises(LimitExceeded):
        ask(things, sql, max_rows=10_000)
    assert ask(things, "SELECT count(*) FROM things").rows == [[6]]


def test_more_ask_at_once_than_there_are_connections(things: Things) -> None:
    answers: list[Any] = []

    def work(n: int) -> None:
        answers.append(ask(things, f"SELECT sum(range + {n}) FROM range(1000)").rows)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(int(a[0][0]) for a in answers) == [499500 + 1000 * n for n in range(12)]


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("NULL", None),
        ("true", True),
        ("9007199254740992", 9007199254740992),
        ("9007199254740993", "9007199254740993"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("170141183460469231731687303715884105727::HUGEINT", "170141183460469231731687303715884105727"),
        ("1.5::DOUBLE", 1.5),
        ("'nan'::DOUBLE", "nan"),
        ("'-inf'::DOUBLE", "-inf"),
        ("1.50::DECIMAL(9,2)", "1.50"),
        ("'\\x00\\xFF'::BLOB", "00ff"),
        ("'é\U0001f600'", "é\U0001f600"),
        ("make_timestamp_ns(1700000000000000001)", "2023-11-14 22:13:20.000000001"),
        ("DATE '2023-11-14'", "2023-11-14"),
        ("[1, NULL, 9007199254740993]", [1, None, "9007199254740993"]),
        ("{'a': 1, 'b': {'c': 'x'::BLOB}}", {"a": 1, "b": {"c": "78"}}),
        ("map(['k'], [2])", {"k": 2}),
        ("map([], [])::MAP(VARCHAR, VARCHAR)", {}),
        ("NULL::MAP(VARCHAR, VARCHAR)", None),
        ("uuid '00000000-0000-0000-0000-0000000000ff'", "00000000-0000-0000-0000-0000000000ff"),
    ],
)
def test_values_are_what_json_can_hold(things: Things, expression: str, found: object) -> None:
    assert value(things, expression) == found


def test_columns_have_names_and_types(things: Things) -> None:
    found = ask(things, 'SELECT number, word AS "the word", [1] FROM things LIMIT 1').columns
    assert found[:2] == [("number", "BIGINT"), ("the word", "VARCHAR")]
    assert found[2][1] == "INTEGER[]"


def test_a_reader_does_not_hold_up_the_writer(things: Things) -> None:
    """The limits are of one query; what others commit meanwhile is seen by the next."""
    with things.signals.database.snapshot(60 * SECOND) as connection:
        assert connection.execute("SELECT count(*) FROM notes").fetchone() == (0,)
        with things.signals.database.writing() as writer:
            writer.execute("INSERT INTO notes VALUES ('n', 1)")
        assert ask(things, "SELECT count(*) FROM notes").rows == [[1]]
        assert connection.execute("SELECT count(*) FROM notes").fetchone() == (0,)
