"""kill -9 at random moments under load: whatever was acknowledged is there, exactly once."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import grpc
import pytest
from tests.faults.server import EXPORT, PROTOBUF, Server, body, running, span

pytestmark = [pytest.mark.faults, pytest.mark.e2e, pytest.mark.slow]

KILLS = 20
SPANS = 40
SEED = int(os.environ.get("PILOTHOUSE_FAULTS_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)


class Client(threading.Thread):
    """Sends one request after the other; one that was not acknowledged is sent again until it is."""

    def __init__(self, number: int, *, use_grpc: bool) -> None:
        super().__init__(name=f"client {number}", daemon=True)
        self._first, self._grpc = (number + 1) << 40, use_grpc
        self._send: Callable[[bytes], bool] | None = None
        self._turn = threading.Condition()
        self._asked_to_stop = False
        self.acknowledged = 0
        self.retries = 0

    def use(self, server: Server | None) -> None:
        """The server to talk to; ``None`` while there is none."""
        with self._turn:
            self._send = None if server is None else over_grpc(server) if self._grpc else over_http(server)
            self._turn.notify_all()

    def finish(self) -> None:
        """Ends after the request in flight was acknowledged."""
        self._asked_to_stop = True
        self.join(120)
        assert not self.is_alive()

    def run(self) -> None:
        while not self._asked_to_stop:
            first = self._first + self.acknowledged * SPANS
            request = body(*[span(first + i) for i in range(SPANS)], service=self.name)
            while not self._sent(request):
                self.retries += 1
            self.acknowledged += 1

    def _sent(self, request: bytes) -> bool:
        with self._turn:
            self._turn.wait_for(lambda: self._send is not None)
            send = self._send
        assert send is not None
        try:
            return send(request)
        except (grpc.RpcError, HTTPException, OSError, ValueError):
            time.sleep(0.01)
            return False


def over_grpc(server: Server) -> Callable[[bytes], bool]:
    channel = server.channel()
    call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(EXPORT)
    return lambda request: call(request, timeout=30) == b""


def over_http(server: Server) -> Callable[[bytes], bool]:
    connection = HTTPConnection(server.urls["otlp_http"].removeprefix("http://"), timeout=30)

    def send(request: bytes) -> bool:
        connection.request("POST", "/v1/traces", request, {"content-type": PROTOBUF})
        answer = connection.getresponse()
        return answer.status == 200 and answer.read() == b""

    return send


def test_whatever_was_acknowledged_is_there_exactly_once(tmp_path: Path) -> None:
    print(f"PILOTHOUSE_FAULTS_SEED={SEED}")
    rng = random.Random(SEED)
    # Small limits, so that checkpoints and full segments are among the moments that are hit.
    limits = {"STORE__CHECKPOINT_BYTES": "256KiB", "STORE__SEGMENT_ROWS": "1500"}
    quiet = [part for name in ("jaeger-http", "jaeger-grpc", "metrics", "health") for part in (f"--{name}", "")]
    clients = [Client(n, use_grpc=n % 2 == 0) for n in range(6)]
    for client in clients:
        client.start()
    for _ in range(KILLS):
        with running("--data", str(tmp_path), *quiet, **limits) as server:
            assert server.status()["status"] == "ok"
            for client in clients:
                client.use(server)
            time.sleep(rng.uniform(0.0, 1.0))
            server.kill()
        for client in clients:
            client.use(None)
    with running("--data", str(tmp_path), *quiet, **limits) as server:
        for client in clients:
            client.use(server)
        for client in clients:
            client.finish()
        for client in clients:
            where = f"service = '{client.name}'"
            distinct = server.sql(f"SELECT count(DISTINCT span_id) FROM spans WHERE {where}")[0][0]
            assert distinct == client.acknowledged * SPANS, "acknowledged and lost"
            assert server.count(where) == distinct, "stored twice"
        server.balanced()
        print({c.name: (c.acknowledged, c.retries) for c in clients})
        assert sum(c.retries for c in clients) >= KILLS / 2, "the kills did not hit requests in flight"
        assert server.stop() == (0, "")
