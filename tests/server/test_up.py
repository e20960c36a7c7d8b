"""`pilothouse up` as a process: one block of addresses, an orderly end, exit codes."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

LISTENERS = ("console", "otlp-grpc", "otlp-http", "jaeger-http", "jaeger-grpc", "metrics", "health")
FREE = [part for name in LISTENERS for part in (f"--{name}", "127.0.0.1:0")]


def read_until(process: subprocess.Popen[str], text: str, seconds: float = 30) -> str:
    """Standard output until it has ``text``; fails with everything said when it ends or is silent for too long."""
    assert process.stdout is not None
    said = ""
    while text not in said:
        # Past the file object's buffer, which select() cannot see.
        ready, _, _ = select.select([process.stdout], [], [], seconds)
        more = os.read(process.stdout.fileno(), 65536).decode() if ready else ""
        if not more:
            process.kill()
            raise AssertionError(f"no {text!r} in: {said}\n{process.stderr.read() if process.stderr else ''}")
        said += more
    return said


@contextmanager
def up(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "pilothouse", "up", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def console_of(block: str) -> str:
    match = re.search(r"Console and API +(http://127\.0\.0\.1:\d+)", block)
    assert match, block
    return match[1]


def status(base: str) -> dict[str, object]:
    with urllib.request.urlopen(f"{base}/api/status", timeout=10) as answer:
        document: dict[str, object] = json.load(answer)
    return document


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_starts_says_where_and_stops_in_order(number: signal.Signals) -> None:
    with up("--ephemeral", *FREE) as process:
        block = read_until(process, "Ctrl-C stops")
        answer = status(console_of(block))
        assert answer["status"] == "ok"
        listeners = answer["listeners"]
        assert isinstance(listeners, list)
        assert all(x["url"] in block for x in listeners)
        process.send_signal(number)
        assert process.wait(20) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_the_command_line_talks_to_it() -> None:
    with up("--ephemeral", *FREE) as process:
        base = console_of(read_until(process, "Ctrl-C stops"))

        def ask(*arguments: str) -> str:
            command = [sys.executable, "-m", "pilothouse", *arguments, "--server", base]
            return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

        assert "in memory only" in ask("status", "-v")
        assert json.loads(ask("status", "-o", "json"))["status"] == "ok"
        assert json.loads(ask("sql", "select 1 as one", "-o", "json")) == [{"one": 1}]
        assert "one" in ask("sql", "select 1 as one")


def test_a_second_process_on_the_same_data_is_refused(tmp_path: Path) -> None:
    with up("--data", str(tmp_path / "d"), *FREE) as process:
        read_until(process, "Ctrl-C stops")
        with up("--data", str(tmp_path / "d"), *FREE) as second:
            assert second.wait(30) == 6
            assert second.stderr is not None
            said = second.stderr.read()
        assert said.startswith("pilothouse: ")
        assert said.count("\n") == 1
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_a_taken_port_exits_with_7(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        for name in ("otlp-grpc", "otlp-http", "console"):
            with up("--ephemeral", *FREE, f"--{name}", address) as process:
                assert process.wait(30) == 7
                assert process.stderr is not None
                said = process.stderr.read()
            assert f"listen.{name.replace('-', '_')}: {address} is already in use" in said
            assert said.count("\n") == 1


def test_the_demo_sends_and_ends_with_its_server(tmp_path: Path) -> None:
    with up("--ephemeral", "--demo", *FREE) as process:
        base = console_of(read_until(process, "Ctrl-C stops"))
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        for _ in range(200):
            ingest = status(base)["ingest"]
            assert isinstance(ingest, dict)
            if ingest["stored"] > 0:
                break
            select.select([], [], [], 0.1)
        else:
            raise AssertionError("the demo shop stored nothing")
        pids = [int(p) for p in children.read_text().split()] if children.exists() else []
        process.kill()
        process.wait(10)
    for pid in pids:
        for _ in range(100):
            if not Path(f"/proc/{pid}").exists() or "zombie" in Path(f"/proc/{pid}/status").read_text():
                break
            select.select([], [], [], 0.1)
        else:
            os.kill(pid, signal.SIGKILL)
            raise AssertionError("the demo shop outlived its server")
