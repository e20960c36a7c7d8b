"""The disk, the directory and the ports misbehave: one clear sentence, a documented exit code, nothing lost."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest
from tests.faults.documented import rows
from tests.faults.server import JSON, Server, attribute, body, refused, running, span

from pilothouse.signals.store import SCHEMA_VERSION

pytestmark = [pytest.mark.faults, pytest.mark.e2e]

STARTING = {row["Fault"]: (int(row["Exit code"]), row["The sentence says"].strip("`")) for row in rows("Starting")}


def check(fault: str, code: int, errors: str) -> None:
    """One sentence, and what the documentation says of it."""
    wanted, words = STARTING[fault]
    assert (code, errors.count("\n")) == (wanted, 1), errors
    assert errors.startswith("pilothouse: ")
    assert words in errors


def mount(*arguments: str | Path) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot mount here: {done.stderr.strip()}")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MB."""
    if os.geteuid():
        pytest.skip("only root can mount a small disk")
    where = tmp_path / "disk"
    where.mkdir()
    mount("-t", "tmpfs", "-o", "size=16m", "tmpfs", where)
    try:
        yield where
    finally:
        subprocess.run(["umount", "-l", where], check=True)


def large(number: int) -> bytes:
    """A request of 200 spans, its content not compressible."""
    return body(*[span(number * 200 + i, attributes=[attribute("pad", os.urandom(500).hex())]) for i in range(200)])


def fill(server: Server) -> tuple[list[bytes], list[bytes]]:
    """Sends until the disk is full: what was acknowledged, and the last five requests, which were refused."""
    kept: list[bytes] = []
    lost: list[bytes] = []
    for number in range(1, 3000):
        request = large(number)
        answer = server.post(request)
        if answer.status == 200:
            kept.append(request)
            continue
        assert answer.status == 503
        assert answer.headers["retry-after"]
        assert b"there is no space left on the disk" in answer.body
        lost.append(request)
        if len(lost) == 5:
            return kept, lost
    raise AssertionError("the disk did not fill")


@contextmanager
def questions(server: Server) -> Iterator[list[int]]:
    """Asks all the while; yields the answers' status."""
    answers: list[int] = []
    enough = threading.Event()

    def ask() -> None:
        while not enough.is_set():
            answers.append(server.http("/api/traces/services").status)
            answers.append(
                server.http("/api/sql", b'{"sql": "SELECT count(*) FROM spans"}', {"content-type": JSON}).status
            )

    with ThreadPoolExecutor(2) as pool:
        asking = [pool.submit(ask) for _ in range(2)]
        try:
            yield answers
        finally:
            enough.set()
        for one in asking:
            one.result()


def test_a_full_disk_refuses_and_goes_on_when_there_is_space(small_disk: Path) -> None:
    data = small_disk / "data"
    with running("--data", str(data), STORE__CHECKPOINT_BYTES="2MiB") as server:
        with questions(server) as answers:
            kept, lost = fill(server)
        assert set(answers) <= {200, 503}, "whoever asks while the store is opened anew is told to come again"
        assert answers[-1] == 200
        assert server.count() == 200 * len(kept)
        assert server.balanced()["refused"]["storage_error"] >= 200 * len(lost)
        assert server.status()["status"] == "recoverable"
        mount("-o", "remount,size=400m", small_disk)
        assert [server.post(request).status for request in lost] == [200] * 5
        assert server.post(kept[-1]).status == 200
        assert server.count() == 200 * (len(kept) + 5)
        assert server.status()["status"] == "ok"
        server.balanced()
        assert server.stop() == (0, "")
    with running("--data", str(data)) as server:
        assert server.count() == 200 * (len(kept) + 5)


def test_a_killed_process_on_a_full_disk_lost_nothing(small_disk: Path) -> None:
    data = small_disk / "data"
    with running("--data", str(data), STORE__CHECKPOINT_BYTES="2MiB") as server:
        kept, _ = fill(server)
        server.kill()
    mount("-o", "remount,size=400m", small_disk)
    with running("--data", str(data)) as server:
        assert server.count() == 200 * len(kept)


def test_a_disk_that_is_full_before_the_start(small_disk: Path) -> None:
    free = os.statvfs(small_disk)
    with open(small_disk / "ballast", "wb") as ballast:
        ballast.write(bytes(free.f_bavail * free.f_frsize))
    check("no space on the disk", *refused("--data", str(small_disk / "data")))


def test_a_directory_that_cannot_be_written(small_disk: Path) -> None:
    mount("-o", "remount,ro", small_disk)
    check("read-only directory", *refused("--data", str(small_disk / "data")))


def test_a_store_on_a_disk_that_became_read_only(small_disk: Path) -> None:
    data = small_disk / "data"
    with running("--data", str(data)) as server:
        assert server.post(large(1)).status == 200
        server.stop()
    mount("-o", "remount,ro", small_disk)
    check("read-only directory", *refused("--data", str(data)))


def test_a_path_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("not a directory")
    check("the directory is a file", *refused("--data", str(tmp_path / "data")))


def test_a_second_process_names_the_first(tmp_path: Path) -> None:
    with running("--data", str(tmp_path)) as server:
        code, errors = refused("--data", str(tmp_path))
        check("directory in use", code, errors)
        assert str(server.process.pid) in errors
        assert server.post(large(1)).status == 200


def test_a_taken_port(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        for name in ("jaeger-http", "jaeger-grpc", "metrics", "health"):
            code, errors = refused("--data", str(tmp_path), f"--{name}", address)
            check("port taken", code, errors)
            assert address in errors


def test_a_store_of_a_newer_version(tmp_path: Path) -> None:
    with running("--data", str(tmp_path)) as server:
        server.stop()
    with duckdb.connect(str(tmp_path / "signals.duckdb")) as connection:
        connection.execute("UPDATE schema_version SET version = ?", (SCHEMA_VERSION + 1,))
    check("newer schema version", *refused("--data", str(tmp_path)))


def test_a_database_of_someone_else(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "signals.duckdb")) as connection:
        connection.execute("CREATE TABLE theirs (i INTEGER)")
    check("another program's database", *refused("--data", str(tmp_path)))


def test_a_damaged_file(tmp_path: Path) -> None:
    with running("--data", str(tmp_path)) as server:
        assert server.post(large(1)).status == 200
        server.stop()
    file = tmp_path / "signals.duckdb"
    whole = file.read_bytes()
    for damaged in (b"not a database at all", whole[:5000], whole[:4096] + bytes(8192) + whole[12288:]):
        file.write_bytes(damaged)
        check("damaged file", *refused("--data", str(tmp_path)))
        assert file.read_bytes() == damaged, "a file that cannot be read is left alone"


def test_a_damaged_log(tmp_path: Path) -> None:
    with running("--data", str(tmp_path)) as server:
        assert [server.post(large(n)).status for n in range(1, 11)] == [200] * 10
        server.kill()
    log = tmp_path / "signals.duckdb.wal"
    whole = log.read_bytes()
    # The end is missing, as after a crash of the machine: what the log still has is there.
    log.write_bytes(whole[: len(whole) - 1000])
    with running("--data", str(tmp_path)) as server:
        assert server.count() == 200 * 9
        assert server.post(large(10)).status == 200
        assert server.count() == 200 * 10
