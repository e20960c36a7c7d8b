"""The OTLP receivers: what a client is told, in its own encoding, and what is counted."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from google.rpc import status_pb2
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from tests.observe.traces.spans import span

from pilothouse.formats.otlp import json as otlp_json
from pilothouse.formats.otlp import proto
from pilothouse.formats.otlp.model import Span
from pilothouse.kit.config import load
from pilothouse.kit.errors import InvalidInput, LimitExceeded, PilothouseError, StorageFull
from pilothouse.observe.traces.ingest import Ingest
from pilothouse.observe.traces.receivers import _gunzip
from pilothouse.server.app import House

PROTOBUF, JSON = "application/x-protobuf", "application/json"
OFF = ("jaeger_http", "jaeger_grpc", "health", "console")
ON = ("otlp_http", "otlp_grpc", "metrics")


class Client:
    """Talks to a house in the same loop."""

    def __init__(self, house: House) -> None:
        self.house = house
        self._http = httpx.AsyncClient()

    async def post(self, body: bytes, kind: str = PROTOBUF, **headers: str) -> httpx.Response:
        url = next(x.url for x in self.house.listeners() if x.name == "otlp_http")
        return await self._http.post(f"{url}/v1/traces", content=body, headers={"content-type": kind, **headers})

    async def counted(self, name: str) -> float:
        """What the metrics say of spans over HTTP."""
        url = next(x.url for x in self.house.listeners() if x.name == "metrics")
        lines = (await self._http.get(f"{url}/metrics")).text.splitlines()
        wanted = f'otelcol_receiver_{name}_spans_total{{receiver="otlp",transport="http"}}'
        return sum(float(line.split()[-1]) for line in lines if line.startswith(wanted))

    def health(self) -> str:
        return self.house.health()["ingest"].status.value

    async def aclose(self) -> None:
        await self._http.aclose()


def run(talk: Callable[[Client], Awaitable[None]], **flags: Any) -> None:
    listen = {f"listen.{name}": "" for name in OFF} | {f"listen.{name}": "127.0.0.1:0" for name in ON}
    effective = load({**listen, "server.ephemeral": True, **flags}, {})

    async def main() -> None:
        house = House(effective)
        await house.supervisor.start()
        client = Client(house)
        try:
            await talk(client)
            assert all(ledger.balance().difference == 0 for ledger in house.context.ledgers.values())
        finally:
            await client.aclose()
            await house.supervisor.stop()

    asyncio.run(main())


def sent(*spans: Span, kind: str = PROTOBUF) -> bytes:
    return proto.encode(spans) if kind == PROTOBUF else otlp_json.encode(spans)


def test_the_answer_is_in_the_requests_encoding() -> None:
    async def talk(client: Client) -> None:
        for trace, kind in enumerate((PROTOBUF, JSON), 1):
            answer = await client.post(sent(span(trace), kind=kind), kind)
            assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
            assert answer.content == (b"" if kind == PROTOBUF else b"{}")
        answer = await client.post(sent(span(3), kind=JSON), "Application/JSON; charset=utf-8")
        assert (answer.status_code, answer.content) == (200, b"{}")

    run(talk)


def test_rejected_spans_are_told_and_counted() -> None:
    async def talk(client: Client) -> None:
        answer = await client.post(sent(span(1), span(0), span(0, 2), span(2, 0)))
        partial = ExportTraceServiceResponse.FromString(answer.content).partial_success
        assert (answer.status_code, partial.rejected_spans) == (200, 3)
        assert partial.error_message == "2 spans: invalid trace id; 1 span: invalid span id"
        answer = await client.post(sent(span(4), span(0), kind=JSON), JSON)
        assert answer.json()["partialSuccess"] == {"rejectedSpans": "1", "errorMessage": "1 span: invalid trace id"}
        assert (await client.counted("accepted"), await client.counted("refused")) == (2, 4)

    run(talk)


def test_errors_are_a_status_in_the_requests_encoding() -> None:
    async def talk(client: Client) -> None:
        answer = await client.post(b"\xff")
        assert (answer.status_code, answer.headers["content-type"]) == (400, PROTOBUF)
        status = status_pb2.Status.FromString(answer.content)
        assert (status.code, "not OTLP protobuf" in status.message) == (3, True)
        answer = await client.post(b"{", JSON)
        assert (answer.status_code, answer.headers["content-type"]) == (400, JSON)
        assert answer.json()["code"] == 3

    run(talk)


def test_a_retransmission_counts_as_accepted() -> None:
    async def talk(client: Client) -> None:
        for _ in range(3):
            assert (await client.post(sent(span(1), span(2)))).content == b""
        assert await client.counted("accepted") == 6
        balance = client.house.context.ledgers["traces"].balance()
        assert (balance.received, balance.stored, balance.duplicate) == (6, 2, 4)

    run(talk)


def test_gzip_and_limits() -> None:
    async def talk(client: Client) -> None:
        packed = gzip.compress(sent(span(1)))
        assert (await client.post(packed, **{"content-encoding": "gzip"})).status_code == 200
        assert (await client.post(packed, **{"content-encoding": "GZip"})).status_code == 200
        assert (await client.post(sent(span(2)), **{"content-encoding": "identity"})).status_code == 200
        for body, headers in ((bytes(5000), {}), (gzip.compress(bytes(5000)), {"content-encoding": "gzip"})):
            answer = await client.post(body, **headers)
            assert answer.status_code == 413
            assert "4000" in status_pb2.Status.FromString(answer.content).message

    run(talk, **{"ingest.max_body": "4000"})


def test_a_full_disk_is_retryable_and_shows_in_health(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise StorageFull("there is no space left on the disk")

    async def talk(client: Client) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(Ingest, "_write", full)
            answer = await client.post(sent(span(1), kind=JSON), JSON)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
            assert json.loads(answer.content)["details"][0]["retryDelay"] == "5s"
            assert client.health() == "recoverable"
            assert await client.counted("refused") == 1
        assert (await client.post(sent(span(1), kind=JSON), JSON)).status_code == 200
        assert client.health() == "ok"

    run(talk)


def test_a_request_that_cannot_be_stored_is_not_worth_a_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a defect")

    async def talk(client: Client) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(Ingest, "_write", broken)
            answer = await client.post(sent(span(1)))
            assert answer.status_code == 500
            assert status_pb2.Status.FromString(answer.content).code == 13
        assert (await client.post(sent(span(1)))).status_code == 200

    run(talk)


members = st.lists(st.binary(max_size=300), min_size=1, max_size=4)


@given(members, st.integers(0, 2000))
def test_gzip_of_any_members_unpacks_to_the_limit(parts: list[bytes], limit: int) -> None:
    packed, whole = b"".join(map(gzip.compress, parts)), b"".join(parts)
    if len(whole) <= limit:
        assert _gunzip(packed, limit) == whole
    else:
        with pytest.raises(LimitExceeded):
            _gunzip(packed, limit)


@given(members, st.data())
def test_damaged_gzip_is_refused(parts: list[bytes], data: st.DataObject) -> None:
    packed = b"".join(map(gzip.compress, parts))
    cut = data.draw(st.integers(0, len(packed) - 1))
    try:
        unpacked = _gunzip(packed[:cut], 10_000)
    except InvalidInput:
        pass
    else:
        assert b"".join(parts).startswith(unpacked), "only a cut between two members leaves something whole"
    with pytest.raises(PilothouseError):
        _gunzip(packed + b"more", 10_000)
