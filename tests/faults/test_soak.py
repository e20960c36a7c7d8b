"""Garbage for a while: afterwards the server answers, its books balance, and its memory is what it was.

Twenty seconds in CI; ``PILOTHOUSE_SOAK_SECONDS=3600`` by hand for the hour that is promised.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import socket
import time
import urllib.error
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from typing import cast

import grpc
import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from tests.faults.server import EXPORT, JSON, PROTOBUF, Server, attribute, body, running, span

pytestmark = [pytest.mark.faults, pytest.mark.e2e, pytest.mark.slow]

SECONDS = float(os.environ.get("PILOTHOUSE_SOAK_SECONDS", "20"))
SEED = int(os.environ.get("PILOTHOUSE_FAULTS_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
MB = 1 << 20
BROKEN = (urllib.error.URLError, HTTPException, OSError)


class Garbage:
    """One source of bad input; the same seed gives the same input."""

    def __init__(self, server: Server, seed: int) -> None:
        self._server, self._random = server, random.Random(seed)
        self._number = (seed & 0xFFFF) << 40
        self.seen: Counter[str] = Counter()

    def run(self, until: float) -> Counter[str]:
        kinds = (self.protobuf, self.protobuf, self.json, self.gzip, self.http, self.grpc, self.raw, self.query)
        while time.monotonic() < until:
            kind: Callable[[], str] = self._random.choice(kinds)
            try:
                self.seen[f"{kind.__name__} {kind()}"] += 1
            except grpc.RpcError as error:
                self.seen[f"{kind.__name__} {cast('grpc.Call', error).code().name}"] += 1
            except BROKEN as error:
                self.seen[f"{kind.__name__} {type(error).__name__}"] += 1
        return self.seen

    # requests

    def protobuf(self) -> str:
        made = self._mutated(self._request()) if self._random.random() < 0.8 else self._random.randbytes(300)
        if self._random.random() < 0.5:
            return str(self._server.post(made).status)
        with self._server.channel() as channel:
            call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(EXPORT)
            call(made, timeout=30)
            return "OK"

    def json(self) -> str:
        ids = {"traceId": f"{self._random.getrandbits(128):032x}", "spanId": f"{self._random.getrandbits(64):016x}"}
        spans = [{**ids, "name": self._text(), "attributes": [{"key": self._text(), "value": self._json_value(5)}]}]
        text = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode()
        return str(self._server.post(self._mutated(text) if self._random.random() < 0.7 else text, JSON).status)

    def gzip(self) -> str:
        packed = self._mutated(gzip.compress(self._request() * self._random.randrange(3), 1))
        return str(self._server.post(packed, content_encoding="gzip").status)

    def http(self) -> str:
        method = self._random.choice(["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "FROBNICATE"])
        kind = self._random.choice([PROTOBUF, JSON, "text/html", "", "a/b; c=d", "application/json" * 50])
        headers = {"content-type": kind, "content-encoding": self._random.choice(["gzip", "br", "identity", "x" * 300])}
        path = self._random.choice(["/v1/traces", "/v1/traces/", "/", "/v1/metrics", "/%00%ff", "/" + "a" * 5000])
        answer = self._server.http(path, self._random.randbytes(50), headers, listener="otlp_http", method=method)
        return str(answer.status)

    def grpc(self) -> str:
        method = self._random.choice([EXPORT, EXPORT + "x", "/", "/a/b", "/grpc.health.v1.Health/Check"])
        with self._server.channel() as channel:
            call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(method)
            garbage: tuple[str, str | bytes] = ("x-garbage-bin", self._random.randbytes(100))
            metadata = (garbage, ("authorization", self._text(ascii_only=True)))
            # A deadline that passes while the request is on its way is garbage, too.
            call(self._mutated(self._request()), timeout=self._random.choice([0.001, 0.02, 30]), metadata=metadata)
            return "OK"

    def raw(self) -> str:
        """Bytes that are neither HTTP nor gRPC, cut off at any place."""
        listener = self._random.choice(["otlp_http", "otlp_grpc", "console", "jaeger_grpc", "health"])
        start = self._random.choice(
            [
                b"",
                b"POST /v1/traces HTTP/1.1\r\ncontent-length: ",
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                b"\x16\x03\x01\x02",
            ]
        )
        host, _, port = self._server.urls[listener].removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=5) as opened:
            opened.sendall(start + self._random.randbytes(self._random.randrange(2000)))
            if self._random.random() < 0.5:
                opened.settimeout(0.05)
                return "answered" if opened.recv(100) else "closed"
        return "left"

    def query(self) -> str:
        """Questions beside it all, themselves mutated."""
        text = self._text(ascii_only=True)
        statement = self._random.choice(
            ["SELECT count(*) FROM spans", "SELECT * FROM spans LIMIT 5", f"SELECT '{text}"]
        )
        if self._random.random() < 0.5:
            asked = json.dumps({"sql": statement, "maxRows": 5}).encode()
            return str(self._server.http("/api/sql", asked, {"content-type": JSON}).status)
        path = self._random.choice(["search?filter=", "search?service=", "keys?prefix=", "", "search?cursor="])
        quoted = "".join(f"%{ord(c):02x}" for c in text)
        return str(self._server.http(f"/api/traces/{path}{quoted}").status)

    # their parts

    def _request(self) -> bytes:
        spans = [self._span() for _ in range(self._random.randrange(1, 6))]
        return body(*spans, resource=[KeyValue(key=self._text(), value=self._value(3))], service=self._text())

    def _span(self) -> Span:
        self._number += 1
        some = self._random
        fields = {
            "trace_id": some.randbytes(some.choice([16, 16, 16, 16, 0, 8])),
            "name": self._text(),
            "kind": some.choice([0, 1, 2, 3, -1, 300]),
            "start_time_unix_nano": some.choice([0, time.time_ns(), time.time_ns(), some.getrandbits(64)]),
            "end_time_unix_nano": some.choice([0, time.time_ns(), some.getrandbits(64)]),
            "attributes": [KeyValue(key=self._text(), value=self._value(4)) for _ in range(some.randrange(20))],
        }
        made = span(self._number, **fields)
        for _ in range(some.randrange(3)):
            made.events.add(name=self._text(), attributes=[attribute(self._text(), self._text())])
            made.links.add(trace_id=some.randbytes(16), span_id=some.randbytes(some.randrange(9)))
        return made

    def _value(self, depth: int) -> AnyValue:
        some = self._random
        match some.randrange(8 if depth else 6):
            case 0:
                return AnyValue(string_value=self._text())
            case 1:
                return AnyValue(int_value=some.getrandbits(64) - (1 << 63))
            case 2:
                return AnyValue(double_value=some.choice([0.1, float("nan"), float("inf"), -0.0]))
            case 3:
                return AnyValue(bool_value=some.random() < 0.5)
            case 4:
                return AnyValue(bytes_value=some.randbytes(5))
            case 5:
                return AnyValue()
            case 6:
                return AnyValue(
                    array_value=ArrayValue(values=[self._value(depth - 1) for _ in range(some.randrange(3))])
                )
            case _:
                pairs = [KeyValue(key=self._text(), value=self._value(depth - 1)) for _ in range(some.randrange(3))]
                return AnyValue(kvlist_value=KeyValueList(values=pairs))

    def _json_value(self, depth: int) -> object:
        some = self._random
        if depth and some.random() < 0.4:
            return {"arrayValue": {"values": [self._json_value(depth - 1) for _ in range(some.randrange(3))]}}
        return some.choice(
            [{"intValue": str(some.getrandbits(66))}, {"stringValue": self._text()}, {}, None, 7, {"x": []}]
        )

    def _text(self, *, ascii_only: bool = False) -> str:
        some = self._random
        if ascii_only:
            return "".join(chr(some.randrange(33, 127)) for _ in range(some.randrange(1, 30)))
        if some.random() < 0.6:
            return f"word {some.randrange(50)}"
        return "".join(
            chr(some.choice([some.randrange(1, 128), some.randrange(0xE000, 0x10FFFF)]))
            for _ in range(some.randrange(20))
        )

    def _mutated(self, data: bytes) -> bytes:
        some, changed = self._random, bytearray(data)
        for _ in range(some.choice([0, 1, 1, 2, 8])):
            if not changed:
                break
            at = some.randrange(len(changed))
            match some.randrange(5):
                case 0:
                    changed[at] = some.randrange(256)
                case 1:
                    changed[at] ^= 1 << some.randrange(8)
                case 2:
                    del changed[at:]
                case 3:
                    changed[at:at] = some.randbytes(some.randrange(10))
                case _:
                    changed[at:at] = changed[at : at + some.randrange(200)]
        return bytes(changed)


def test_garbage_for_a_while() -> None:
    print(f"PILOTHOUSE_FAULTS_SEED={SEED} PILOTHOUSE_SOAK_SECONDS={SECONDS:g}")
    with running(
        "--ephemeral", "--query-timeout", "5s", STORE__MEMORY="128MiB", STORE__RETENTION_BYTES="256MiB"
    ) as server:
        for number in range(20):
            assert server.post(body(span(number + 1, name="before"))).status == 200
        until = time.monotonic() + SECONDS
        with ThreadPoolExecutor(4) as pool:
            seen = sum(pool.map(lambda n: Garbage(server, SEED + n).run(until), range(4)), Counter[str]())
        print(dict(sorted(seen.items())))
        assert server.process.poll() is None
        defects = [kind for kind in seen if kind.endswith((" 500", " INTERNAL", " UNKNOWN"))]
        assert not defects, "an input that ended in a defect of ours"
        assert {"protobuf 200", "protobuf 400", "protobuf OK", "json 200", "json 400", "gzip 400"} <= set(seen)
        assert server.post(body(span(1 << 30, name="after"))).status == 200
        assert server.export(body(span((1 << 30) + 1, name="after"))).partial_success.rejected_spans == 0
        assert server.count("name = 'after'") == 2
        assert server.http("/api/traces/search?service=shop").status == 200
        status = server.status()
        assert status["status"] == "ok", status["components"]
        server.balanced()
        assert server.resident() < 1024 * MB
        code, errors = server.stop()
        assert code == 0
        # gRPC's own logger reports clients that are gone before their error could be sent.
        assert "ERROR pilothouse" not in errors, errors[-5000:]
