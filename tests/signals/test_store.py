"""A store opens, migrates, and lets go of what is too old or too much."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from tests.signals.things import DAY, MB, NOW, TABLES, Broken, Row, Things

from pilothouse.kit.clock import ManualClock
from pilothouse.kit.config import load
from pilothouse.kit.errors import DataDirBusy, Overloaded, StorageIncompatible
from pilothouse.kit.health import Status
from pilothouse.signals import open as open_signals
from pilothouse.signals import store
from pilothouse.signals.duckdb.database import FILE_NAME
from pilothouse.signals.store import SCHEMA_VERSION, Signals

ROWS: list[Row] = [(1, NOW, "a"), (2, NOW - DAY, "b")]


def no_change(connection: duckdb.DuckDBPyConnection) -> None:
    """A migration of nothing."""


def in_capitals(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("UPDATE words SET text = upper(text)")


def broken(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("UPDATE words SET text = 'lost'")
    raise Broken


# opening


def test_a_new_store_is_empty_and_has_the_current_version(tmp_path: Path) -> None:
    with Things(tmp_path / "made" / "on" / "the" / "way") as things:
        assert things.rows() == []
        assert things.rows("SELECT version FROM schema_version") == [(SCHEMA_VERSION,)]
        stats = things.signals.stats()
        assert (stats["spans"], stats["segments"], stats["oldest"], stats["newest"]) == (0, 0, None, None)


def test_what_was_committed_is_there_after_a_restart(tmp_path: Path) -> None:
    with Things(tmp_path) as things:
        things.commit(ROWS)
        before = things.signals.stats()
        things.restart()
        assert things.rows() == sorted(ROWS)
        after = things.signals.stats()
        assert before["bytes"] > 0
        assert {k: v for k, v in after.items() if k != "bytes"} == {
            "spans": 2, "segments": 2, "oldest": NOW - DAY, "newest": NOW,
        }  # fmt: skip


def test_an_ephemeral_store_leaves_nothing() -> None:
    with Things(None) as things:
        things.commit(ROWS)
        place = things.signals.database.path.parent
        assert place.exists()
    assert not place.exists()


def test_before_and_after_it_is_open_it_says_so(tmp_path: Path) -> None:
    with Things(tmp_path) as things:
        pass
    with pytest.raises(Overloaded, match="not open"):
        things.rows()
    things.signals.close()  # a second time


def test_a_store_in_use_by_another_process_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def held(*_: object, **__: object) -> None:
        raise duckdb.IOException("Could not set lock on file: Conflicting lock is held in /usr/bin/x (PID 42)")

    monkeypatch.setattr(duckdb, "connect", held)
    with pytest.raises(DataDirBusy, match=r"process 42 \(/usr/bin/x\)"):
        Things(tmp_path)


def test_the_configuration_decides_where_it_is_and_how_much_it_keeps(tmp_path: Path) -> None:
    flags = {"server.data": str(tmp_path), "store.retention_age": "1d", "store.retention_bytes": "0"}
    clock = ManualClock(NOW)
    signals = open_signals(load(flags).config, clock, TABLES)
    signals.open()
    try:
        assert signals.database.path == tmp_path / FILE_NAME
    finally:
        signals.close()
    ephemeral = open_signals(load({"server.ephemeral": "true"}).config, clock, TABLES)
    ephemeral.open()
    assert ephemeral.database.path.parent != tmp_path
    ephemeral.close()


# migrating


def version_of(directory: Path) -> list[tuple[int]]:
    with duckdb.connect(str(directory / FILE_NAME)) as connection:
        return connection.execute("SELECT version FROM schema_version").fetchall()


def test_migrations_run_in_order_once_and_keep_what_is_there(tmp_path: Path) -> None:
    ran: list[int] = []

    def noted(version: int, work: Callable[[duckdb.DuckDBPyConnection], None]) -> Callable[..., None]:
        def run(connection: duckdb.DuckDBPyConnection) -> None:
            ran.append(version)
            work(connection)

        return run

    with Things(tmp_path) as things:
        things.commit(ROWS)
    migrations = {2: noted(2, no_change), 3: noted(3, in_capitals), 4: noted(4, no_change)}
    with Things(tmp_path, migrations=migrations) as things:
        assert ran == [2, 3, 4]
        assert things.rows() == sorted((n, time, word.upper()) for n, time, word in ROWS)
        things.commit([(3, NOW, "A"), (4, NOW, "c")])
        assert things.rows("SELECT count(*) FROM words WHERE text = 'A'") == [(1,)]
        things.restart()
        assert ran == [2, 3, 4]
        assert len(things.rows()) == 4
    assert version_of(tmp_path) == [(4,)]


def test_a_new_store_is_made_at_the_last_version_without_migrating(tmp_path: Path) -> None:
    with Things(tmp_path, migrations={2: broken}) as things:
        things.commit(ROWS)
    assert version_of(tmp_path) == [(2,)]


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    with Things(tmp_path) as things:
        things.commit(ROWS)
    with pytest.raises(Broken):
        Things(tmp_path, migrations={2: in_capitals, 3: broken})
    assert version_of(tmp_path) == [(SCHEMA_VERSION,)]
    with Things(tmp_path) as things:
        assert things.rows() == sorted(ROWS)


def test_a_newer_store_is_refused_and_left_alone(tmp_path: Path) -> None:
    with Things(tmp_path, migrations={2: no_change, 3: no_change}) as things:
        things.commit(ROWS)
    with pytest.raises(StorageIncompatible, match=r"version 3.*up to 1") as caught:
        Things(tmp_path)
    assert caught.value.remedy
    with Things(tmp_path, migrations={2: no_change, 3: no_change}) as things:
        assert things.rows() == sorted(ROWS)


def test_a_database_of_someone_else_is_refused(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / FILE_NAME)) as connection:
        connection.execute("CREATE TABLE precious (x INTEGER)")
    with pytest.raises(StorageIncompatible, match="none of Pilothouse's"):
        Things(tmp_path)
    with duckdb.connect(str(tmp_path / FILE_NAME)) as connection:
        assert connection.execute("SHOW TABLES").fetchall() == [("precious",)]


@pytest.mark.parametrize("content", [b"not a database" * 1000, b"\0" * 20_000])
def test_a_file_that_is_no_database_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(StorageIncompatible):
        Things(tmp_path)
    assert (tmp_path / FILE_NAME).read_bytes() == content


# retention


def test_a_segment_goes_when_its_newest_row_was_written_too_long_ago(tmp_path: Path) -> None:
    with Things(tmp_path, retention_age=7 * DAY) as things:
        things.commit([(1, NOW - 3 * DAY, "a"), (2, NOW, "b")])
        things.clock.advance(5 * DAY)
        things.commit([(3, NOW - 3 * DAY, "c")])  # late: its day stays
        things.clock.advance(2 * DAY)
        assert things.signals.sweep() == []
        things.clock.advance(1)
        (gone,) = things.signals.sweep()
        assert gone.bucket == NOW // DAY
        assert things.rows() == [(1, NOW - 3 * DAY, "a"), (3, NOW - 3 * DAY, "c")]
        assert things.rows("SELECT text FROM words ORDER BY 1") == [("a",), ("c",)]
        assert things.rows("SELECT count(*) FROM segments") == [(1,)]
        assert things.found(2) == []


def test_everything_may_go_and_the_view_stays(tmp_path: Path) -> None:
    with Things(tmp_path, retention_age=DAY, segment_rows=1) as things:
        things.commit(ROWS)
        columns = things.signals.sql("SELECT * FROM things", 10, 10**12).columns
        things.clock.advance(2 * DAY)
        assert len(things.signals.sweep()) == 2
        assert things.rows() == []
        assert things.signals.sql("SELECT * FROM things", 10, 10**12).columns == columns
        assert things.rows("SELECT count(*) FROM words") == [(0,)]
        tables = things.rows("SELECT table_name FROM duckdb_tables() ORDER BY 1")
        assert tables == [("notes",), ("schema_version",), ("segments",), ("words",)]
        assert things.signals.stats()["spans"] == 0
        things.restart()
        assert things.rows() == []
        things.commit([(3, things.clock.now_ns(), "c")])
        assert len(things.rows()) == 1


def test_a_number_is_not_given_again_after_its_segment_went(tmp_path: Path) -> None:
    with Things(tmp_path, retention_age=DAY) as things:
        things.commit([(1, NOW, "a")])
        things.clock.advance(2 * DAY)
        (gone,) = things.signals.sweep()
        things.commit([(2, NOW, "b")])
        assert [s.id for s in things.segments.all()] == [gone.id + 1]
        assert things.rows() == [(2, NOW, "b")]


def test_a_clock_that_is_set_back_removes_nothing(tmp_path: Path) -> None:
    with Things(tmp_path, retention_age=DAY) as things:
        things.commit(ROWS)
        things.clock.jump(-300 * DAY)
        assert things.signals.sweep() == []
        things.commit([(3, NOW, "c")])
        assert things.signals.sweep() == []
        assert len(things.rows()) == 3


def test_by_bytes_the_oldest_go_and_never_the_last(tmp_path: Path) -> None:
    filler = "".join(f"{n:x}" for n in range(60_000))
    with Things(tmp_path, segment_rows=1, retention_bytes=2 * MB) as things:
        for n in range(1, 7):
            things.clock.advance(1)
            rows = [(n * 100 + i, NOW + n, "w") for i in range(8)]
            things.commit(rows, filler=f"{n}{filler}")
        things.signals.database.checkpoint()
        used = things.signals.database.used()
        assert used > 2 * MB
        gone = things.signals.sweep()
        left = things.segments.all()
        assert [s.id for s in gone] == list(range(len(gone)))
        assert 1 <= len(left) < 6
        assert things.signals.database.used() < used
        assert things.signals.sweep() == [] or len(things.segments.all()) >= 1
        assert {n // 100 for n, *_ in things.rows()} == {s.id + 1 for s in things.segments.all()}
    with Things(tmp_path, segment_rows=1, retention_bytes=1) as things:
        things.signals.sweep()
        assert len(things.segments.all()) == 1


def test_by_bytes_no_more_goes_because_a_reader_holds_what_went(tmp_path: Path) -> None:
    filler = "".join(f"{n:x}" for n in range(60_000))
    with Things(tmp_path, segment_rows=1, retention_bytes=2 * MB) as things:
        for n in range(1, 7):
            things.clock.advance(1)
            things.commit([(n * 100 + i, NOW + n, "w") for i in range(8)], filler=f"{n}{filler}")
        things.signals.database.checkpoint()
        with things.signals.database.snapshot(10**12) as connection:
            assert connection.execute("SELECT count(*) FROM things").fetchone() == (48,)
            assert things.signals.sweep()
            left = things.segments.all()
            for _ in range(6):
                assert things.signals.sweep() == []
            assert things.segments.all() == left
        assert len(things.signals.sweep()) < len(left)


def test_without_limits_nothing_goes(tmp_path: Path) -> None:
    with Things(tmp_path) as things:
        things.commit(ROWS)
        things.clock.advance(10_000 * DAY)
        assert things.signals.sweep() == []


def test_a_reader_in_the_middle_of_a_search_sees_what_it_saw(tmp_path: Path) -> None:
    with Things(tmp_path, retention_age=DAY, segment_rows=1) as things:
        things.commit(ROWS)
        with things.signals.database.snapshot(10**12) as connection:
            view = things.segments.view(connection)
            things.clock.advance(2 * DAY)
            assert len(things.signals.sweep()) == 2
            counts = [
                connection.execute(f"SELECT count(*) FROM {view.name_of(s.id)}").fetchone() for s in view.segments
            ]
            assert counts == [(1,), (1,)]
            assert connection.execute("SELECT word FROM things ORDER BY 1").fetchall() == [("a",), ("b",)]
            assert len(view.holding([(1).to_bytes(16)])) >= 1
            assert len(things.segments.view(connection).segments) == 2
        assert things.rows() == []


def test_a_sweep_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Things(tmp_path, retention_age=DAY) as things:
        things.commit(ROWS)
        things.clock.advance(2 * DAY)
        with monkeypatch.context() as patch:
            patch.setattr(Signals, "_drop_followers", _raise)
            with pytest.raises(Broken):
                things.signals.sweep()
        assert things.rows() == sorted(ROWS)
        assert len(things.segments.all()) == 2
        things.commit([(3, NOW, "a")])
        things.clock.advance(2 * DAY)
        assert len(things.signals.sweep()) == 2


def _raise(*_: object) -> None:
    raise Broken


def test_a_list_of_what_rows_have_follows_them(tmp_path: Path) -> None:
    with Things(tmp_path, retention_age=DAY, segment_rows=1) as things:

        def note(filler: str, last: int) -> None:
            with things.signals.database.writing() as connection:
                connection.execute("INSERT INTO notes VALUES (?, ?)", [filler, last])

        for filler, time in (("only old", NOW), ("both", NOW), ("late", NOW), ("absurd", 2**63 - 2)):
            things.commit([(1, time, "w")], filler=filler)
            note(filler, time)
        things.clock.advance(2 * DAY)
        things.commit([(1, NOW, "w")], filler="both")
        things.commit([(1, NOW + DAY, "w")], filler="new")
        note("new", NOW + DAY)
        things.commit([(1, NOW + 30 * 10**9, "w")], filler="late")  # the list has not heard of it yet
        assert len(things.signals.sweep()) == 4
        assert things.rows("SELECT filler FROM notes ORDER BY 1") == [("both",), ("late",), ("new",)]
        things.clock.advance(2 * DAY)
        things.signals.sweep()
        assert things.rows("SELECT * FROM notes") == []


# the service


def test_the_service_opens_sweeps_and_closes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_SWEEP_INTERVAL", 0.001)
    with Things(tmp_path, retention_age=DAY) as things:
        things.commit(ROWS)
        clock, signals = things.clock, things.signals
        signals.close()

        async def run() -> None:
            assert signals.service.health().status is Status.STOPPED
            await signals.service.start()
            assert signals.service.health().status is Status.OK
            clock.advance(2 * DAY)
            await _until(lambda: not signals.stats()["spans"])
            with monkeypatch.context() as patch:
                patch.setattr(Signals, "sweep", _fails)
                await _until(lambda: signals.service.health().status is Status.RECOVERABLE)
                assert "retention failed" in signals.service.health().reason
            await _until(lambda: signals.service.health().status is Status.OK)
            await signals.service.stop()
            assert signals.service.health().status is Status.STOPPED

        asyncio.run(asyncio.wait_for(run(), 60))


async def _until(true: Callable[[], bool]) -> None:
    for _ in range(10_000):
        if true():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it never came")


def _fails(self: Signals) -> None:
    raise duckdb.IOException("the disk is gone")
