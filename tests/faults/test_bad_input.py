"""Requests and spans that are wrong in every way we know: each gets the answer that the documentation gives."""

from __future__ import annotations

import gzip
import json
import os
import socket
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from typing import Any, cast

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from tests.faults.documented import rows
from tests.faults.server import EXPORT, JSON, NOW, PROTOBUF, Server, attribute, body, request, running, span

from pilothouse.observe.traces.mending import length_delimited

pytestmark = [pytest.mark.faults, pytest.mark.e2e]

REQUESTS = {row["Input"]: (row["HTTP"], row["gRPC"]) for row in rows("Requests")}
SPANS = {row["Input"]: (row["Answer"], row["Effect"]) for row in rows("Spans")}
MB = 1 << 20
_numbers = iter(range(1, 1 << 30))


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One for all: what one input does to the next one is part of the test."""
    with running("--ephemeral") as started:
        yield started
        assert started.status()["status"] == "ok"
        started.balanced()
        assert started.resident() < 700 * MB
        code, errors = started.stop()
        assert (code, errors) == (0, "")


@pytest.fixture(scope="module", autouse=True)
def stalled(server: Server) -> Iterator[dict[str, list[socket.socket]]]:
    """Clients that begin and then say nothing more, from before the first test of this module on."""

    def connect(listener: str, words: bytes) -> socket.socket:
        host, _, port = server.urls[listener].removeprefix("http://").partition(":")
        opened = socket.create_connection((host, int(port)), timeout=120)
        opened.sendall(words)
        return opened

    head = b"POST /v1/traces HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-protobuf\r\n"
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    sockets = {
        "head": [connect("otlp_http", head) for _ in range(100)],
        "body": [connect("otlp_http", head + b"content-length: 1000\r\n\r\nabc") for _ in range(100)],
        "grpc": [connect("otlp_grpc", preface) for _ in range(100)],
        "half a word": [connect("otlp_grpc", b"PR") for _ in range(100)],
    }
    yield sockets
    for several in sockets.values():
        for one in several:
            one.close()


def fresh(**fields: Any) -> Span:
    """A span like no other."""
    return span(next(_numbers), **fields)


def good() -> bytes:
    return body(fresh())


def nested(levels: int) -> bytes:
    """A request whose attribute is an array in an array and so on; encoded by hand, as libraries refuse to."""
    value = length_delimited(b"\x0a", b"x")
    for _ in range(levels - 1):
        value = length_delimited(b"\x2a", length_delimited(b"\x0a", value))
    pair = length_delimited(b"\x0a", b"deep") + length_delimited(b"\x12", value)
    spans = fresh().SerializeToString() + length_delimited(b"\x4a", pair)
    return length_delimited(b"\x0a", length_delimited(b"\x12", length_delimited(b"\x12", spans)))


def nested_json(levels: int) -> bytes:
    ids = {"traceId": f"{next(_numbers):032x}", "spanId": "0000000000000001"}
    text = json.dumps(
        {"resourceSpans": [{"scopeSpans": [{"spans": [{**ids, "attributes": [{"key": "k", "value": 0}]}]}]}]}
    )
    opening, closing = '{"arrayValue":{"values":[' * levels, "]}}" * levels
    return text.replace('"value": 0', f'"value": {opening}{{"intValue":1}}{closing}').encode()


def with_unknown_fields() -> bytes:
    unknown = b"\xf8\x3f\x05" + length_delimited(b"\xfa\x3f", b"new") + b"\xfd\x3f1234" + b"\xf9\x3f12345678"
    spans = length_delimited(b"\x12", fresh().SerializeToString() + unknown) + unknown
    return length_delimited(b"\x0a", length_delimited(b"\x12", spans) + unknown) + unknown


def long_strings() -> bytes:
    text = "long " * (MB // 5)
    return body(fresh(name=text, trace_state=text, attributes=[attribute(text, text)]), service=text)


#: Input → the body, and what differs from a protobuf request over HTTP.
BODIES: dict[str, tuple[Callable[[], bytes], dict[str, str]]] = {
    "an empty request": (bytes, {}),
    "unknown fields": (with_unknown_fields, {}),
    "strings of 1 MB": (long_strings, {}),
    "truncated protobuf": (lambda: good()[:-2], {}),
    "garbage instead of protobuf": (lambda: os.urandom(1000) + b"\xff", {}),
    "a value nested deeper than 32 levels": (lambda: nested(33), {}),
    "a value nested 500 levels deep": (lambda: nested(500), {}),
    "truncated gzip": (lambda: gzip.compress(good())[:-9], {"content-encoding": "gzip"}),
    "gzip that is none": (lambda: b"\x1f\x8b" + os.urandom(100), {"content-encoding": "gzip"}),
    "gzip of several members": (
        lambda: b"".join(gzip.compress(part) for part in (good(), b"", good())),
        {"content-encoding": "gzip"},
    ),
    "gzip of more than 1024 members": (lambda: gzip.compress(b"") * 100_000, {"content-encoding": "gzip"}),
    "JSON that is none": (lambda: b"{'resourceSpans': []}", {"content-type": JSON}),
    "JSON of another shape": (lambda: b'{"resourceSpans": [{"scopeSpans": [7]}]}', {"content-type": JSON}),
    "JSON nested 20,000 levels deep": (lambda: nested_json(20_000), {"content-type": JSON}),
    "another content type": (good, {"content-type": "text/plain"}),
    "another content encoding": (good, {"content-encoding": "br"}),
    "the same request twice, at once or later": (good, {}),
}
#: Inputs that have a test of their own.
APART = {
    "a body of 100 MB",
    "a gzip bomb",
    "another method",
    "another path",
    "more than may wait (`ingest.queue_bytes`)",
}


def test_every_documented_request_is_tested() -> None:
    assert set(REQUESTS) == set(BODIES) | APART


@pytest.mark.parametrize("name", BODIES)
def test_requests_over_http(server: Server, name: str) -> None:
    make, headers = BODIES[name]
    answer = server.http("/v1/traces", make(), {"content-type": PROTOBUF, **headers}, listener="otlp_http")
    assert str(answer.status) == REQUESTS[name][0], answer.body
    kind = headers.get("content-type", PROTOBUF)
    assert answer.headers["content-type"] == (kind if kind == JSON else PROTOBUF)
    if answer.status >= 400:
        said = answer.json() if kind == JSON else status_pb2.Status.FromString(answer.body)
        assert (said["message"] if kind == JSON else said.message).strip()
    assert server.post(good()).status == 200
    server.balanced()


def code_of(call: Callable[[], object]) -> str:
    try:
        call()
    except grpc.RpcError as error:
        return cast("grpc.Call", error).code().name
    return "OK"


@pytest.mark.parametrize("name", [name for name in BODIES if REQUESTS[name][1] != "-"])
def test_requests_over_grpc(server: Server, name: str) -> None:
    make, _ = BODIES[name]
    assert code_of(lambda: server.export(make())) == REQUESTS[name][1]
    assert server.export(good()) == ExportTraceServiceResponse()
    server.balanced()


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_of_100_mb(server: Server, chunked: bool) -> None:
    connection = HTTPConnection(server.urls["otlp_http"].removeprefix("http://"), timeout=120)
    connection.putrequest("POST", "/v1/traces")
    connection.putheader("content-type", PROTOBUF)
    connection.putheader(*(("transfer-encoding", "chunked") if chunked else ("content-length", str(100 * MB))))
    connection.endheaders()
    piece = bytes(MB)
    try:
        for _ in range(100):
            connection.send(b"%x\r\n%b\r\n" % (MB, piece) if chunked else piece)
        connection.send(b"0\r\n\r\n" if chunked else b"")
    except OSError:
        pass  # it does not read to the end
    answer = connection.getresponse()
    assert str(answer.status) == REQUESTS["a body of 100 MB"][0]
    assert b"64MiB" in answer.read()
    connection.close()


def test_a_body_of_100_mb_over_grpc(server: Server) -> None:
    assert code_of(lambda: server.export(bytes(100 * MB))) == REQUESTS["a body of 100 MB"][1]


def test_a_gzip_bomb(server: Server) -> None:
    packer, packed = zlib.compressobj(9, wbits=31), b""
    for _ in range(1024):
        packed += packer.compress(bytes(MB))
    packed += packer.flush()
    assert len(packed) < 2 * MB
    before = server.resident()
    answer = server.post(packed, content_encoding="gzip")
    assert str(answer.status) == REQUESTS["a gzip bomb"][0]
    assert code_of(lambda: server.export(bytes(200 * MB), grpc.Compression.Gzip)) == REQUESTS["a gzip bomb"][1]
    assert server.resident() < before + 300 * MB


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_another_method(server: Server, method: str) -> None:
    answer = server.http("/v1/traces", listener="otlp_http", method=method)
    assert str(answer.status) == REQUESTS["another method"][0]
    with server.channel() as channel:
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(EXPORT.replace("Export", method))
        assert code_of(lambda: call(b"")) == REQUESTS["another method"][1]


def test_another_path(server: Server) -> None:
    answer = server.http("/v1/tracing", good(), {"content-type": PROTOBUF}, listener="otlp_http")
    assert str(answer.status) == REQUESTS["another path"][0]
    with server.channel() as channel:
        other: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/some.Other/Service")
        assert code_of(lambda: other(b"")) == REQUESTS["another path"][1]


def test_the_same_request_at_once_and_later_is_stored_once(server: Server) -> None:
    same = body(fresh(name="only once"), fresh(name="only once"))
    with ThreadPoolExecutor(8) as pool:
        codes = [
            *pool.map(lambda n: server.post(same).status if n % 2 else code_of(lambda: server.export(same)), range(16))
        ]
    assert set(codes) == {200, "OK"}
    assert server.count("name = 'only once'") == 2
    server.balanced()


def test_bad_requests_among_good_ones_at_the_same_moment(server: Server) -> None:
    def send(number: int) -> int:
        made = body(fresh(name="in company"))
        return server.post(made if number % 3 else made[:-1]).status

    with ThreadPoolExecutor(12) as pool:
        codes = [*pool.map(send, range(60))]
    assert codes == [200 if n % 3 else 400 for n in range(60)]
    assert server.count("name = 'in company'") == 40


def test_overload_is_refused_retryably_and_booked() -> None:
    name = "more than may wait (`ingest.queue_bytes`)"
    with (
        running("--ephemeral", INGEST__QUEUE_BYTES="1KiB", INGEST__COMMIT_WAIT="3s") as server,
        ThreadPoolExecutor(1) as pool,
    ):
        for _ in range(20):
            first = pool.submit(server.post, body(*[fresh() for _ in range(20)]))
            while "pilothouse_ingest_queued_bytes 0\n" in server.http("/metrics", listener="metrics").body.decode():
                if first.done():
                    break  # it was too quick for this test; try again
            if first.done():
                continue
            refused = body(fresh(), fresh())
            answer = server.post(refused)
            if answer.status == 503:
                break
        assert str(answer.status) == REQUESTS[name][0]
        assert int(answer.headers["retry-after"]) >= 1
        with pytest.raises(grpc.RpcError) as caught:
            server.export(refused)
        error = cast("grpc.Call", caught.value)
        assert error.code().name == REQUESTS[name][1]
        trailers = {str(key): value for key, value in error.trailing_metadata() or ()}
        status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
        info = error_details_pb2.RetryInfo()
        assert status.details[0].Unpack(info)
        assert info.retry_delay.ToNanoseconds() > 0
        assert first.result().status == 200
        assert server.post(refused).status == 200
        assert server.balanced()["refused"] == {"queue_full": 4}


def test_slow_clients_are_shown_out_and_hold_up_nobody(server: Server, stalled: dict[str, list[socket.socket]]) -> None:
    for _ in range(20):
        assert server.post(good()).status == 200
        assert server.export(good()) == ExportTraceServiceResponse()
    for one in stalled["head"] + stalled["body"]:
        assert one.recv(1000).startswith(b"HTTP/1.1 408 ")
    assert server.export(good()) == ExportTraceServiceResponse()


def test_a_huge_head_is_refused(server: Server) -> None:
    host, _, port = server.urls["otlp_http"].removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=60) as opened:
        opened.sendall(b"POST /v1/traces HTTP/1.1\r\nhost: localhost\r\nx: " + b"a" * 70_000 + b"\r\n\r\n")
        assert opened.recv(1000).startswith(b"HTTP/1.1 431 ")


BAD = b"\xff\xfebad\x80"
LAST = [attribute("twice", "first value"), attribute("twice", "last value")]
LIST = KeyValue(key="list", value=AnyValue(array_value=ArrayValue(values=[AnyValue(string_value="AAAAAA")])))
#: Input → fields of the span, and what else ``one_request`` takes.
FAULTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "an all-zero trace id": ({"trace_id": bytes(16)}, {}),
    "a trace id of 8 bytes": ({"trace_id": b"12345678"}, {}),
    "a trace id of 17 bytes": ({"trace_id": b"1" * 17}, {}),
    "an all-zero span id": ({"span_id": bytes(8)}, {}),
    "a span id of 1 byte": ({"span_id": b"1"}, {}),
    "a parent span id of 2 bytes": ({"parent_span_id": b"12"}, {}),
    "a start beyond a signed 64-bit integer": ({"start_time_unix_nano": (1 << 63) - 1}, {}),
    "an end beyond a signed 64-bit integer": ({"end_time_unix_nano": (1 << 64) - 1}, {}),
    "an all-zero parent span id": ({"parent_span_id": bytes(8)}, {}),
    "an end before the start": ({"end_time_unix_nano": NOW - 1}, {}),
    "an end equal to the start": ({"start_time_unix_nano": NOW, "end_time_unix_nano": NOW}, {}),
    "no name": ({"name": ""}, {}),
    "a name that is no UTF-8": ({"name": "AAAAAA"}, {"bad": True}),
    "a key that is no UTF-8": ({"attributes": [attribute("AAAAAA", "value")]}, {"bad": True}),
    "a string value that is no UTF-8": ({"attributes": [attribute("key", "AAAAAA")]}, {"bad": True}),
    "a resource key that is no UTF-8": ({}, {"bad": True, "resource": [attribute("AAAAAA", "value")]}),
    "a nested string that is no UTF-8": ({"attributes": [LIST]}, {"bad": True}),
    "no `service.name`": ({}, {"service": None}),
    "an empty `service.name`": ({}, {"service": ""}),
    "a `service.name` that is a number": ({}, {"service": 7}),
    "10,000 attributes": ({"attributes": [attribute(f"key {n}", n) for n in range(10_000)]}, {}),
    "the same key twice": ({"attributes": LAST}, {}),
    "an unknown kind and status": ({"kind": 77, "status": {"code": 66}}, {}),
    "a start of zero": ({"start_time_unix_nano": 0, "end_time_unix_nano": 1}, {}),
    "a start in ten years": ({"start_time_unix_nano": NOW * 6 // 5, "end_time_unix_nano": NOW * 6 // 5 + 1}, {}),
    "an hour late": ({"start_time_unix_nano": NOW - 3600 * 10**9, "end_time_unix_nano": NOW}, {}),
    "the ids of an earlier span": ({"name": "another name"}, {"again": True}),
}


def one_request(bad_span: Span, *, bad: bool, resource: list[KeyValue], service: str | int | None) -> bytes:
    message: ExportTraceServiceRequest = request(bad_span, resource=resource)
    attributes = message.resource_spans[0].resource.attributes
    if service is None:
        del attributes[0]
    else:
        attributes[0].CopyFrom(attribute("service.name", service))
    data: bytes = message.SerializeToString()
    assert not bad or len(BAD) == len("AAAAAA")
    return data.replace(b"AAAAAA", BAD) if bad else data


def test_every_documented_span_is_tested() -> None:
    assert set(SPANS) == set(FAULTS)


@pytest.mark.parametrize("name", FAULTS)
def test_spans(server: Server, name: str) -> None:
    fields, more = FAULTS[name]
    answer, effect = SPANS[name]
    number = next(_numbers)
    companion, trace = fresh(name=f"beside {name}"), f"{number:032x}"
    if more.get("again"):
        assert server.post(body(span(number))).status == 200
    sent = one_request(
        span(number, **fields),
        bad=more.get("bad", False),
        resource=more.get("resource", []),
        service=more.get("service", "shop"),
    )
    response = server.export(sent + body(companion))
    assert server.count(f"trace_id = '{int.from_bytes(companion.trace_id):032x}'") == 1
    words = effect.partition("`")[2].partition("`")[0]
    if answer == "rejected":
        assert response.partial_success.rejected_spans == 1
        assert words in response.partial_success.error_message
        assert server.count(f"trace_id = '{trace}'") == 0
    else:
        assert response == ExportTraceServiceResponse()
        shown = server.http(f"/api/traces/{trace}")
        assert shown.status == 200
        spans = server.http(f"/api/traces/{trace}/spans/{number:016x}")
        assert spans.status == 200
        found = server.sql(f"SELECT * FROM spans WHERE trace_id = '{trace}'")
        assert len(found) == 1 + bool(more.get("again"))
        said = shown.body.decode() + spans.body.decode() + json.dumps(found, ensure_ascii=False)
        assert words in said, said[:2000]
        if "1 ns" in effect:
            assert server.sql(f"SELECT duration_ns FROM spans WHERE trace_id = '{trace}'") == [[1]]
    server.balanced()


def test_every_row_can_be_shown_by_sql(server: Server) -> None:
    assert server.count("start_time IS NOT NULL") == server.count()
    answer = server.http(
        "/api/sql", json.dumps({"sql": "SELECT * FROM spans", "maxRows": 10_000}).encode(), {"content-type": JSON}
    )
    assert answer.status == 200
