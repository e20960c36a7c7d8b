"""``pilothouse up`` as a process under test, and the client process that sends to it.

The client is a process of its own (``python benchmarks/server.py send …``), so that its processor time is not the server's
and not the measuring process's. It sends encoded requests over gRPC and calls a span acknowledged when the reply has come and
does not refuse it.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import grpc
from harness import cpu_seconds, free_port, percentile, rss
from spans import BLOCK_REQUESTS, SECOND, SpanSource

_EXPORT: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
_LISTENERS: Final = ("console", "otlp_grpc", "jaeger_http")
_OFF: Final = ("otlp_http", "jaeger_grpc", "metrics", "health")


class Server:
    """``pilothouse up`` on free ports; ready when the constructor returns.

    Args:
        data: The store's directory; without it the server is ephemeral.
        extra: More options of ``pilothouse up``.
    """

    def __init__(self, data: Path | None = None, *extra: str) -> None:
        self.ports = {name: free_port() for name in _LISTENERS}
        command = [sys.executable, "-m", "pilothouse", "up", *extra]
        command += ["--data", str(data)] if data else ["--ephemeral"]
        for name in _LISTENERS:
            command += [f"--{name.replace('_', '-')}", f"127.0.0.1:{self.ports[name]}"]
        for name in _OFF:
            command += [f"--{name.replace('_', '-')}", ""]
        started = time.perf_counter()
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PILOTHOUSE_")}
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment)
        self._connections: dict[str, http.client.HTTPConnection] = {}
        while not self._ready():
            if self.process.poll() is not None:
                said = self.process.stderr.read().decode() if self.process.stderr else ""
                raise SystemExit(f"pilothouse up ended with {self.process.returncode}: {said.strip()}")
            if time.perf_counter() - started > 60:
                self.stop()
                raise SystemExit("pilothouse up was not ready within a minute")
            time.sleep(0.002)
        self.seconds_to_ready = time.perf_counter() - started
        threading.Thread(target=self._drain, daemon=True).start()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _ready(self) -> bool:
        try:
            return bool(self.status()["status"] == "ok")
        except (OSError, http.client.HTTPException):
            self._connections.clear()
            return False

    def _drain(self) -> None:
        """Passes on what the server complains about."""
        if self.process.stderr:
            shutil.copyfileobj(self.process.stderr, sys.stderr.buffer)

    def stop(self) -> None:
        """Asks the server to end, and waits for it."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def rss(self) -> int:
        """Resident bytes now."""
        return rss(self.process.pid)

    def cpu(self) -> float:
        """Processor seconds so far."""
        return cpu_seconds(self.process.pid)

    def request(self, listener: str, method: str, path: str, body: object = None) -> Any:
        """One HTTP exchange on a kept connection; the decoded JSON. Raises ``SystemExit`` when it is no success."""
        connection = self._connections.get(listener)
        if connection is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.ports[listener], timeout=60)
            self._connections[listener] = connection
        payload = None if body is None else json.dumps(body)
        headers = {"content-type": "application/json"} if payload else {}
        try:
            connection.request(method, path, payload, headers)
            reply = connection.getresponse()
        except http.client.RemoteDisconnected:  # it was idle for so long that the server closed it
            connection.close()
            connection.request(method, path, payload, headers)
            reply = connection.getresponse()
        text = reply.read()
        if reply.status >= 400:
            raise SystemExit(f"{method} {path} was answered {reply.status}: {text[:500].decode(errors='replace')}")
        return json.loads(text)

    def get(self, listener: str, path: str, **parameters: object) -> Any:
        """A GET with query parameters."""
        return self.request(listener, "GET", f"{path}?{urlencode(parameters, quote_via=quote)}" if parameters else path)

    def status(self) -> Any:
        """``/api/status``."""
        return self.get("console", "/api/status")

    def count(self) -> int:
        """Stored spans, counted by SQL."""
        return int(self.request("console", "POST", "/api/sql", {"sql": "SELECT count(*) FROM spans"})["rows"][0][0])

    def send(self, source: SpanSource, **options: object) -> subprocess.Popen[str]:
        """Starts the client; ``result`` waits for it. Options are those of ``send``."""
        command = [sys.executable, __file__, "send", "--target", f"127.0.0.1:{self.ports['otlp_grpc']}"]
        facts = {
            "seed": source.seed,
            "spans": source.spans,
            "end": source.end,
            "window": source.window,
            "batch": source.batch,
        }
        for name, value in {**facts, **options}.items():
            command += [f"--{name.replace('_', '-')}", str(value)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def result(client: subprocess.Popen[str]) -> dict[str, float]:
    """What the client reports at its end."""
    said, _ = client.communicate()
    if client.returncode:
        raise SystemExit(f"the client ended with {client.returncode}")
    report: dict[str, float] = json.loads(said)
    return report


# --- the client process --------------------------------------------------------------------------------------------------


class _Sender:
    """Sends requests, at most ``in_flight`` at a time, until each is acknowledged or finally refused."""

    def __init__(self, target: str, batch: int, in_flight: int) -> None:
        channel = grpc.insecure_channel(target, [("grpc.max_send_message_length", -1)])
        self._export: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(_EXPORT)
        self._batch = batch
        self._slots = threading.Semaphore(in_flight)
        self._in_flight = in_flight
        self._lock = threading.Lock()
        self.acknowledged = self.rejected = self.retries = self.late = 0
        self.failed: str | None = None
        self.seconds: list[float] = []

    def send(self, request: bytes, *, wait: bool = True) -> None:
        """Sends one request when there is a free slot. Without ``wait``, a request that finds none counts as late."""
        if not self._slots.acquire(blocking=False):
            self.late += not wait
            self._slots.acquire()
        if self.failed:
            raise SystemExit(self.failed)
        self._start(request, time.perf_counter())

    def _start(self, request: bytes, began: float) -> None:
        call = self._export.future(request, timeout=120)
        call.add_done_callback(lambda done: self._done(done, request, began))

    def _done(self, call: Any, request: bytes, began: float) -> None:
        code = call.code()
        if code is grpc.StatusCode.UNAVAILABLE or code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            self.retries += 1
            threading.Timer(0.05, self._start, (request, began)).start()  # keeps its slot: the server said "slow down"
            return
        rejected = 0
        if code is grpc.StatusCode.OK:
            rejected = _rejected(call.result())
        else:
            self.failed = f"Export was answered {code}: {call.details()}"
        with self._lock:
            self.rejected += rejected
            self.acknowledged += self._batch - rejected if code is grpc.StatusCode.OK else 0
            self.seconds.append(time.perf_counter() - began)
        self._slots.release()

    def finish(self) -> None:
        """Waits for everything that is on its way."""
        for _ in range(self._in_flight):
            self._slots.acquire()
        if self.failed:
            raise SystemExit(self.failed)


def _rejected(reply: bytes) -> int:
    if not reply:
        return 0
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    return int(ExportTraceServiceResponse.FromString(reply).partial_success.rejected_spans)


def _live(source: SpanSource, rate: float, seconds: float) -> Iterator[bytes]:
    """Spans that start as they are sent, ``rate`` a second for ``seconds``; keeps the pace itself.

    Block numbers go on where the source's end, so that nothing is sent twice.
    """
    length = int(BLOCK_REQUESTS * source.batch / rate * SECOND)
    began, sent, number = time.perf_counter(), 0, source.block_count
    while True:
        block = source.block(number, start=time.time_ns() - length, length=length)
        number += 1
        for request in block.requests:
            due = began + sent * source.batch / rate
            if due - began >= seconds:
                return
            time.sleep(max(0.0, due - time.perf_counter()))
            yield request
            sent += 1


def _send(options: argparse.Namespace) -> None:
    source = SpanSource(options.seed, spans=options.spans, end=options.end, window=options.window, batch=options.batch)
    source.block(0)  # the templates, before the clock starts
    sender = _Sender(options.target, options.batch, options.in_flight)
    cpu, wall = time.process_time(), time.perf_counter()
    for request in _live(source, options.rate, options.seconds) if options.rate else source.requests():
        sender.send(request, wait=not options.rate)
    sender.finish()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    report = {
        "acknowledged": sender.acknowledged, "rejected": sender.rejected, "retries": sender.retries, "late": sender.late,
        "wall": wall, "cpu": cpu, "p50": percentile(sender.seconds, 0.5), "p95": percentile(sender.seconds, 0.95),
    }  # fmt: skip
    print(json.dumps(report))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    send = commands.add_parser("send", help="send spans over gRPC, then print what came of it as JSON")
    send.add_argument("--target", required=True, help="HOST:PORT")
    for name in ("seed", "spans", "end", "window", "batch"):
        send.add_argument(f"--{name}", type=int, required=True)
    send.add_argument("--in-flight", type=int, default=16)
    send.add_argument(
        "--rate", type=float, default=0.0, help="spans per second, starting now, whatever the server does"
    )
    send.add_argument("--seconds", type=float, default=10.0, help="how long to keep that rate")
    send.set_defaults(run=_send)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
