"""One `pilothouse up` as a process of its own, and what clients send to it."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from email.message import Message
from pathlib import Path
from typing import Any, NamedTuple

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

LISTENERS = ("console", "otlp-grpc", "otlp-http", "jaeger-http", "jaeger-grpc", "metrics", "health")
FREE = [part for name in LISTENERS for part in (f"--{name}", "127.0.0.1:0")]
EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
PROTOBUF = "application/x-protobuf"
JSON = "application/json"
#: Some recent moment, the same for a whole run, so that spans land in one day's segment or two.
NOW = 1_000_000_000 * int(time.time())


class Answer(NamedTuple):
    """What an HTTP request got."""

    status: int
    headers: Message
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Server:
    """A running process; every address as its status names it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        block = self._read_until("Ctrl-C stops")
        found = re.search(r"Console and API +(http://127\.0\.0\.1:\d+)", block)
        assert found, block
        self.urls = {"console": found[1]}
        self.urls = {x["name"]: x["url"] for x in self.status()["listeners"]}

    def http(
        self,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        listener: str = "console",
        method: str | None = None,
    ) -> Answer:
        request = urllib.request.Request(self.urls[listener] + path, body, dict(headers or {}), method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers, error.read())

    def post(self, body: bytes, kind: str = PROTOBUF, **headers: str) -> Answer:
        """Sends an OTLP/HTTP request."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http("/v1/traces", body, {"content-type": kind, **named}, listener="otlp_http")

    def channel(self, **options: Any) -> grpc.Channel:
        return grpc.insecure_channel(self.urls["otlp_grpc"].removeprefix("http://"), **options)

    def export(self, body: bytes, compression: grpc.Compression | None = None) -> ExportTraceServiceResponse:
        """Sends an OTLP/gRPC request; raises ``grpc.RpcError``."""
        with self.channel() as channel:
            call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(EXPORT)
            return ExportTraceServiceResponse.FromString(call(body, timeout=60, compression=compression))

    def status(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.http("/api/status").json()
        return answer

    def sql(self, statement: str) -> list[list[Any]]:
        answer = self.http("/api/sql", json.dumps({"sql": statement}).encode(), {"content-type": JSON})
        assert answer.status == 200, answer.body
        rows: list[list[Any]] = answer.json()["rows"]
        return rows

    def count(self, where: str = "true") -> int:
        """Stored rows, as SQL counts them."""
        return int(self.sql(f"SELECT count(*) FROM spans WHERE {where}")[0][0])

    def balanced(self) -> dict[str, Any]:
        """The account of all spans, after it was seen to add up."""
        ingest: dict[str, Any] = self.status()["ingest"]
        settled = ingest["stored"] + ingest["duplicate"] + sum(ingest["refused"].values())
        settled += sum(ingest["dropped"].values()) + ingest["queued"]
        assert ingest["received"] == settled, ingest
        return ingest

    def resident(self) -> int:
        """Bytes of memory it holds."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * 4096

    def stop(self) -> tuple[int, str]:
        """Ends it in order: the exit code and what it said on standard error."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        assert self.process.stderr is not None
        return code, self.process.stderr.read().decode()

    def kill(self) -> None:
        """Ends it as a power failure of the process would."""
        self.process.kill()
        self.process.wait(60)

    def _read_until(self, pattern: str, seconds: float = 180) -> str:
        assert self.process.stdout is not None
        said = ""
        while not re.search(pattern, said):
            ready, _, _ = select.select([self.process.stdout], [], [], seconds)
            some = os.read(self.process.stdout.fileno(), 1 << 16) if ready else b""
            if not some:
                self.process.kill()
                errors = self.process.stderr.read().decode() if self.process.stderr else ""
                raise AssertionError(f"no {pattern!r} in: {said}\n{errors}")
            said += some.decode()
        return said


def launch(*arguments: str, **environment: str) -> subprocess.Popen[bytes]:
    """`pilothouse up` on free ports; keywords are environment variables without their prefix."""
    command = [sys.executable, "-m", "pilothouse", "up", *FREE, *arguments]
    env = {**os.environ, **{f"PILOTHOUSE_{name}": value for name, value in environment.items()}}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0, env=env)


@contextmanager
def running(*arguments: str, **environment: str) -> Iterator[Server]:
    """A server that is gone at the end, whatever happened."""
    process = launch(*arguments, **environment)
    try:
        yield Server(process)
    finally:
        _end(process)


def refused(*arguments: str, **environment: str) -> tuple[int, str]:
    """Starts a server that is expected not to start: its exit code and what it said."""
    process = launch(*arguments, **environment)
    try:
        _, errors = process.communicate(timeout=180)
        return process.returncode, errors.decode()
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
    process.wait(60)
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def attribute(key: str, value: str | int = "") -> KeyValue:
    given = AnyValue(int_value=value) if isinstance(value, int) else AnyValue(string_value=value)
    return KeyValue(key=key, value=given)


def span(number: int, **fields: Any) -> Span:
    """A good span, the same for the same number, with ``fields`` instead of what it would have."""
    given: dict[str, Any] = {
        "trace_id": number.to_bytes(16, "big"),
        "span_id": number.to_bytes(8, "big"),
        "name": f"operation {number % 7}",
        "start_time_unix_nano": NOW + number,
        "end_time_unix_nano": NOW + number + 1_000,
        "attributes": [attribute("number", number), attribute("color", "red")],
    }
    return Span(**{**given, **fields})


def request(*spans: Span, resource: Sequence[KeyValue] = (), service: str = "shop") -> ExportTraceServiceRequest:
    """An export request of one resource and scope."""
    message = ExportTraceServiceRequest()
    group = message.resource_spans.add()
    group.resource.attributes.extend([attribute("service.name", service), *resource])
    scope = group.scope_spans.add()
    scope.scope.name = "tests"
    scope.spans.extend(spans)
    return message


def body(*spans: Span, **more: Any) -> bytes:
    """The bytes of ``request``."""
    return request(*spans, **more).SerializeToString()
