"""``pilothouse traces`` and ``pilothouse demo`` against a real server, as a user runs them."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

pytestmark = pytest.mark.e2e

LISTENERS = ("console", "otlp-grpc", "otlp-http", "jaeger-http", "jaeger-grpc", "metrics", "health")
COMMAND = (sys.executable, "-m", "pilothouse")


class Server:
    """``pilothouse up --ephemeral`` on ports of its own."""

    def __init__(self, directory: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.console = f"127.0.0.1:{probe.getsockname()[1]}"
        addresses = [f"--{name}={self.console if name == 'console' else '127.0.0.1:0'}" for name in LISTENERS]
        self.directory = directory
        self.log = (directory / "up.log").open("wb")
        self.process = subprocess.Popen(
            [*COMMAND, "up", "--ephemeral", *addresses], cwd=directory, stdout=self.log, stderr=self.log
        )
        deadline = time.monotonic() + 60
        while True:
            try:
                with urlopen(f"http://{self.console}/api/status", timeout=5) as answer:
                    status = json.load(answer)
                break
            except OSError:
                assert self.process.poll() is None, (directory / "up.log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.1)
        self.otlp = {listener["name"]: listener["url"] for listener in status["listeners"]}

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0, (self.directory / "up.log").read_text()
        self.log.close()

    def run(self, *args: str, stdin: bytes | None = None, code: int = 0) -> str:
        """Standard output of a command; on another exit code than ``code`` the test fails with its standard error."""
        environment = {**os.environ, "PILOTHOUSE_LISTEN__CONSOLE": self.console, "TZ": "UTC"}
        done = subprocess.run(
            [*COMMAND, *args], cwd=self.directory, env=environment, input=stdin, capture_output=True, check=False
        )
        assert done.returncode == code, done.stderr.decode()
        assert b"Traceback" not in done.stderr
        return (done.stdout if code == 0 else done.stderr).decode()

    def ask(self, *args: str) -> Any:
        return json.loads(self.run("traces", *args, "-o", "json"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("server"))
    made.run("demo", "--endpoint", made.otlp["otlp_grpc"], "--count", "150", "--seed", "1")
    yield made
    made.stop()


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("second"))
    yield made
    made.stop()


def test_services_and_operations(server: Server) -> None:
    names = {service["name"] for service in server.ask("services")}
    assert names >= {"storefront", "cart", "catalog", "checkout", "payment", "inventory", "shipping", "mailer"}
    assert "storefront" in server.run("traces", "services")
    operations = {(operation["name"], operation["kind"]) for operation in server.ask("operations", "catalog")}
    assert ("SELECT product_recommendations", "client") in operations
    assert server.ask("operations", "--service", "catalog") == server.ask("operations", "catalog")
    assert "- name:" in server.run("traces", "services", "-o", "yaml")


def test_search_finds_the_guilty_operation(server: Server) -> None:
    slow = server.ask("search", "--service", "catalog", "--min-duration", "500ms", "--limit", "1000")
    assert slow
    by_attribute = server.ask(
        "search", "--operation", "SELECT product_recommendations", "--attr", "customer.tier=gold", "--limit", "1000"
    )
    by_filter = server.ask("search", "--filter", "name = 'SELECT product_recommendations' and duration > 500ms")
    assert {trace["traceId"] for trace in by_attribute} == {trace["traceId"] for trace in slow}
    assert {trace["traceId"] for trace in by_filter} <= {trace["traceId"] for trace in slow}
    failed = server.ask("search", "--status", "error", "--limit", "1000")
    assert failed
    assert all(trace["errorCount"] for trace in failed)
    assert server.ask("search", "--since", "1h", "--end", "-59m") == []


def test_all_pages_are_the_whole(server: Server) -> None:
    once = [trace["traceId"] for trace in server.ask("search", "--limit", "1000")]
    paged = [trace["traceId"] for trace in server.ask("search", "--limit", "7", "--all")]
    assert paged == once
    assert len(once) >= 150
    assert len(server.ask("search", "--limit", "7")) == 7


def test_a_table_in_a_pipe_has_one_row_a_trace(server: Server) -> None:
    lines = server.run("traces", "search", "--limit", "9").splitlines()
    assert len(lines) == 10
    assert all(re.match(r"[0-9a-f]{32}  ", line) for line in lines[1:])


def test_show_draws_what_json_says(server: Server) -> None:
    (trace, *_) = server.ask("search", "--operation", "send order.placed")
    spans = server.ask("show", trace["traceId"])["spans"]
    assert len(spans) == trace["spanCount"]
    drawing = server.run("traces", "show", trace["traceId"], "--width", "120").splitlines()
    assert len(drawing) >= len(spans) + 4
    assert max(map(len, drawing)) <= 120
    assert sum(span["name"] in line for span in spans for line in drawing) >= len(spans)
    producer = next(span for span in spans if span["kind"] == "producer")
    detail = server.run("traces", "show", trace["traceId"], "--span", producer["spanId"])
    assert "messaging.destination.name  order.placed" in re.sub(r" +", "  ", detail)
    consumer = next(span for span in spans if span["kind"] == "consumer")
    raw = server.ask("show", trace["traceId"], "--span", consumer["spanId"])
    assert raw["links"][0]["spanId"] == producer["spanId"]


def test_dependencies(server: Server) -> None:
    edges = {(edge["parent"], edge["child"]): edge for edge in server.ask("dependencies")}
    assert edges["storefront", "catalog"]["callCount"] > 0
    assert ("checkout", "mailer") in edges
    assert "storefront" in server.run("traces", "dependencies")


def spans_in(lines: str) -> set[str]:
    """Every span of some OTLP lines, with its resource and scope: order is not part of the data."""
    return {
        json.dumps([group["resource"], scope["scope"], span])
        for line in lines.splitlines()
        for group in json.loads(line)["resourceSpans"]
        for scope in group["scopeSpans"]
        for span in scope["spans"]
    }


@pytest.mark.parametrize("form", ["otlp", "jaeger"])
def test_what_is_exported_can_be_imported(server: Server, second: Server, form: str) -> None:
    path = server.directory / f"{form}.json.gz"
    server.run("traces", "export", "--format", form, "--to", str(path), "--limit", "1000")
    said = second.run("traces", "import", str(path))
    spans = sum(trace["spanCount"] for trace in server.ask("search", "--limit", "1000"))
    assert f"Stored {spans:,} spans, rejected 0" in said
    first, again = (sorted(s.ask("search", "--limit", "1000"), key=lambda t: t["traceId"]) for s in (server, second))
    assert [t["traceId"] for t in first] == [t["traceId"] for t in again]
    if form == "otlp":
        assert first == again
        copied = second.run("traces", "export", "--limit", "1000")
        assert spans_in(copied) == spans_in(gzip.decompress(path.read_bytes()).decode())


def test_export_by_id_to_standard_output(server: Server) -> None:
    (trace, *_) = server.ask("search", "--limit", "1")
    out = server.run("traces", "export", "--trace", trace["traceId"])
    (group, *_) = json.loads(out)["resourceSpans"]
    assert group["scopeSpans"][0]["spans"][0]["traceId"] == trace["traceId"]
    assert "do not exist" in server.run("traces", "export", "--trace", "ab" * 16, code=5)


def test_import_names_bad_lines_and_keeps_the_good(server: Server, second: Server) -> None:
    (trace, *_) = server.ask("search", "--limit", "1")
    good = server.run("traces", "export", "--trace", trace["traceId"])
    said = second.run("traces", "import", "-", stdin=f"{good}nonsense\n".encode(), code=10)
    assert "standard input:2" in said


def test_tail_follows_what_arrives(server: Server) -> None:
    environment = {**os.environ, "PILOTHOUSE_LISTEN__CONSOLE": server.console}
    tail = subprocess.Popen(
        [*COMMAND, "traces", "tail", "--service", "cart", "--limit", "3", "-o", "json"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=server.directory,
    )
    for _ in range(50):
        server.run("demo", "--endpoint", server.otlp["otlp_http"], "--protocol", "http", "--count", "5")
        if tail.poll() is not None:
            break
    out, err = tail.communicate(timeout=30)
    assert tail.returncode == 0, err.decode()
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["service"] for row in rows] == ["cart"] * 3


def test_ctrl_c_ends_a_tail_without_a_word(server: Server) -> None:
    environment = {**os.environ, "PILOTHOUSE_LISTEN__CONSOLE": server.console, "PYTHONUNBUFFERED": "1"}
    tail = subprocess.Popen(
        [*COMMAND, "traces", "tail"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=server.directory,
    )
    assert tail.stdout is not None
    while not os.read(tail.stdout.fileno(), 1) if _readable(tail.stdout.fileno()) else tail.poll() is None:
        server.run("demo", "--endpoint", server.otlp["otlp_grpc"], "--once")
    tail.send_signal(signal.SIGINT)
    _, err = tail.communicate(timeout=30)
    assert (tail.returncode, err) == (0, b"")


def _readable(descriptor: int) -> bool:
    import select

    return bool(select.select([descriptor], [], [], 1)[0])


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("show", "ab" * 16), 5, "there is no trace"),
        (("show", "xyz"), 10, "is no trace id"),
        (("search", "--filter", "duration >"), 10, "value"),
        (("search", "--start", "yesterday"), 2, "is no time"),
        (("search", "--min-duration", "soon"), 10, "is no duration"),
        (("import", "absent.json"), 2, "absent.json"),
        (("services", "--server", "http://127.0.0.1:1"), 4, "pilothouse up"),
    ],
)
def test_errors_are_one_sentence_with_their_code(server: Server, args: tuple[str, ...], code: int, said: str) -> None:
    error = server.run("traces", *args, code=code)
    assert said in error
    assert len(error.strip().splitlines()) == 1
