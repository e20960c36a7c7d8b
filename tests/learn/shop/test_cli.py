"""``pilothouse demo`` against receivers that speak the real protocols."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import pytest
from click.testing import CliRunner
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from pilothouse.kit.errors import UsageError
from pilothouse.learn.shop import capability
from pilothouse.learn.shop.cli import demo

Request = trace_service_pb2.ExportTraceServiceRequest
Response = trace_service_pb2.ExportTraceServiceResponse


class Received:
    """What a receiver got."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.headers: list[dict[str, str]] = []
        self.address = ""

    @property
    def spans(self) -> int:
        return sum(len(s.spans) for r in self.requests for rs in r.resource_spans for s in rs.scope_spans)


@pytest.fixture
def grpc_receiver() -> Iterator[Received]:
    received = Received()

    def export(request: Request, context: grpc.ServicerContext) -> Response:
        received.requests.append(request)
        return Response()

    method = grpc.unary_unary_rpc_method_handler(export, Request.FromString, Response.SerializeToString)
    service = "opentelemetry.proto.collector.trace.v1.TraceService"
    server = grpc.server(futures.ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": method}),))
    received.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield received
    server.stop(0)


@pytest.fixture
def http_receiver() -> Iterator[Received]:
    received = Received()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            body = self.rfile.read(int(self.headers["content-length"]))
            received.requests.append(Request.FromString(body))
            received.headers.append(dict(self.headers.items()))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    received.address = f"127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield received
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def _no_surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.chdir(str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def test_counted_over_grpc(grpc_receiver: Received) -> None:
    result = CliRunner().invoke(demo, ["--endpoint", grpc_receiver.address, "--count", "40", "--seed", "5"])
    assert result.exit_code == 0, result.output
    assert "seed 5" in result.output
    assert f"{grpc_receiver.spans:,} spans delivered" in result.output
    assert grpc_receiver.spans > 300


def test_once_over_http_names_the_trace(http_receiver: Received, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PILOTHOUSE_SERVER__TOKEN", "s3cret")
    result = CliRunner().invoke(demo, ["--endpoint", http_receiver.address, "--protocol", "http", "--once"])
    assert result.exit_code == 0, result.output
    (span, *_) = http_receiver.requests[0].resource_spans[0].scope_spans[0].spans
    assert f"pilothouse traces show {span.trace_id.hex()}" in result.output
    assert http_receiver.headers[0]["authorization"] == "Bearer s3cret"


def test_the_default_endpoint_is_the_configured_listener(
    grpc_receiver: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PILOTHOUSE_LISTEN__OTLP_GRPC", grpc_receiver.address)
    result = CliRunner().invoke(demo, ["--once"])
    assert result.exit_code == 0, result.output
    assert grpc_receiver.spans > 0


def test_same_seed_and_time_send_the_same(grpc_receiver: Received) -> None:
    args = ["--endpoint", grpc_receiver.address, "--count", "5", "--seed", "5", "--at", "1760000000000000000"]
    CliRunner().invoke(demo, args)
    first = [request.SerializeToString(deterministic=True) for request in grpc_receiver.requests]
    grpc_receiver.requests.clear()
    CliRunner().invoke(demo, args)
    assert [request.SerializeToString(deterministic=True) for request in grpc_receiver.requests] == first


@pytest.mark.parametrize(
    "args", [["--once", "--history", "1h"], ["--count", "3", "--duration", "1s"], ["--at", "5"], ["--endpoint", "here"]]
)
def test_contradictions_are_explained(args: list[str]) -> None:
    result = CliRunner().invoke(demo, args)
    assert isinstance(result.exception, UsageError)


def test_an_end_by_ctrl_c_is_orderly(grpc_receiver: Received) -> None:
    code = "from pilothouse.learn.shop.cli import demo; demo()"
    shop = subprocess.Popen(
        [sys.executable, "-u", "-c", code, "--endpoint", grpc_receiver.address, "--rate", "50", "--history", "2s"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert shop.stdout is not None
    while grpc_receiver.spans == 0:
        assert shop.poll() is None
        threading.Event().wait(0.05)
    shop.terminate()
    out, err = shop.communicate(timeout=30)
    assert shop.returncode == 0, err
    assert f"{grpc_receiver.spans:,} spans delivered" in out
    assert err == ""


def test_the_capability_offers_the_command_and_imports_nothing_heavy() -> None:
    assert list(capability.commands) == ["demo"]
    heavy = "('opentelemetry', 'grpc', 'click')"
    code = f"import sys, pilothouse.learn.shop; print(*(m for m in sys.modules if m.startswith({heavy})))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == ""
