"""Files become requests: formats are told apart, bad lines are named, small parts travel together."""

from __future__ import annotations

import gzip
import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from pilothouse.formats.jaeger import ui
from pilothouse.formats.otlp import json as otlp_json
from pilothouse.formats.otlp import proto
from pilothouse.formats.otlp.model import Resource, Scope, Span
from pilothouse.kit.errors import InvalidInput, LimitExceeded, Overloaded, ServerUnreachable, Unauthorized
from pilothouse.observe.traces import transfer
from pilothouse.observe.traces.transfer import BadPart, Part, Sender


def some_spans(count: int, trace: int = 1) -> list[Span]:
    resource, scope = Resource({"service.name": "cart", "weight": 1.5}), Scope("lib", "1")
    return [
        Span(trace.to_bytes(16), (i + 1).to_bytes(8), resource, scope, f"op {i}", 10**18 + i, 10**18 + i + 1000, kind=2)
        for i in range(count)
    ]


def parts(data: bytes, name: str = "file") -> list[Part | BadPart]:
    return list(transfer.read(name, io.BufferedReader(io.BytesIO(data))))


def spans_of(found: list[Part | BadPart]) -> list[Span]:
    assert all(isinstance(part, Part) for part in found), found
    decoded = [span for part in found if isinstance(part, Part) for span in proto.decode_request(part.payload)]
    assert len(decoded) == sum(part.spans for part in found if isinstance(part, Part))
    return decoded


LINES = b"".join(otlp_json.encode(some_spans(3, trace)) + b"\n" for trace in (1, 2))


def test_otlp_lines() -> None:
    assert spans_of(parts(LINES)) == some_spans(3, 1) + some_spans(3, 2)
    assert spans_of(parts(b"\n\n" + LINES.replace(b"\n", b"\r\n\n"))) == some_spans(3, 1) + some_spans(3, 2)


def test_one_otlp_document_over_many_lines() -> None:
    pretty = json.dumps(json.loads(otlp_json.encode(some_spans(4))), indent=2).encode()
    assert spans_of(parts(pretty)) == some_spans(4)


def test_jaegers_download() -> None:
    document = ui.encode([ui.to_trace(some_spans(3))])
    for data in (document, json.dumps(json.loads(document), indent=2).encode()):
        assert [span.name for span in spans_of(parts(data))] == ["op 0", "op 1", "op 2"]


def test_gzip_is_recognised_by_content() -> None:
    assert spans_of(parts(gzip.compress(LINES))) == some_spans(3, 1) + some_spans(3, 2)


def test_damaged_gzip_keeps_what_came_before_and_is_named() -> None:
    many = b"".join(otlp_json.encode(some_spans(50, trace)) + b"\n" for trace in range(1, 200))
    found = parts(gzip.compress(many)[:-2000], "f.gz")
    assert isinstance(found[-1], BadPart)
    assert found[-1].where.startswith("f.gz:")
    assert "damaged" in found[-1].why


def test_bad_lines_are_named_and_the_rest_is_kept() -> None:
    lines = LINES.splitlines()
    found = parts(
        b"\n".join([lines[0], b"{nonsense", b'{"resourceSpans": 5}', b'{"else": 1}', lines[1]]), "spans.jsonl"
    )
    assert [part.where for part in found if isinstance(part, BadPart)] == [f"spans.jsonl:{n}" for n in (2, 3, 4)]
    assert sum(part.spans for part in found if isinstance(part, Part)) == 6


def test_what_is_no_json_at_all_is_one_bad_part() -> None:
    (bad,) = parts(b"\x89PNG\r\n\x1a\n\x00\x00", "image.png")
    assert isinstance(bad, BadPart)
    assert bad.where == "image.png"
    assert parts(b"") == []


def test_a_huge_document_is_cut_into_requests() -> None:
    document = ui.encode([ui.to_trace(some_spans(20_000))])
    found = parts(document)
    assert [part.spans for part in found if isinstance(part, Part)] == [8192, 8192, 3616]


def test_small_parts_travel_together() -> None:
    stream: Iterator[Part | BadPart] = iter([Part(b"", 0), *parts(LINES * 10), BadPart("x", "y"), *parts(LINES)])
    found = list(transfer.requests(stream))
    assert [part for part in found if isinstance(part, BadPart)] == [BadPart("x", "y")]
    (request,) = [part for part in found if isinstance(part, Part)]
    assert request.spans == 66
    assert len(proto.decode_request(request.payload)) == 66
    large = [Part(b"x" * (3 << 20), 1)] * 3
    assert [part.spans for part in transfer.requests(iter(large)) if isinstance(part, Part)] == [1, 1, 1]


class Listener:
    """An OTLP/HTTP listener that answers what it is told to, in order, the last answer for ever."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, bytes, dict[str, str]]] = [(200, b"", {})]
        self.requests: list[tuple[dict[str, str], bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.requests.append(({k.lower(): v for k, v in self.headers.items()}, body))
                status, answer, headers = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                self.send_response(status)
                for name, value in {**headers, "content-length": str(len(answer))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener()
    yield made
    made.server.shutdown()
    made.server.server_close()


REQUEST = Part(proto.encode(some_spans(3)), 3)


def test_sending(listener: Listener) -> None:
    partial = ExportTracePartialSuccess(rejected_spans=2, error_message="zero ids")
    listener.answers = [(200, ExportTraceServiceResponse(partial_success=partial).SerializeToString(), {})]
    sender = Sender(listener.url, "s3cret")
    assert sender.send(REQUEST) == (2, "zero ids")
    headers, body = listener.requests[0]
    assert headers["authorization"] == "Bearer s3cret"
    assert headers["content-type"] == "application/x-protobuf"
    assert len(ExportTraceServiceRequest.FromString(body).resource_spans) == 1
    sender.close()


def test_an_overloaded_server_is_given_time(listener: Listener) -> None:
    listener.answers = [(503, b"", {"retry-after": "3"}), (429, b"", {}), (200, b"", {})]
    waited: list[float] = []
    sender = Sender(listener.url, sleep=waited.append)
    assert sender.send(REQUEST) == (0, "")
    assert waited == [3.0, 0.5]
    assert len(listener.requests) == 3
    sender.close()


def test_a_server_that_stays_overloaded_ends_it(listener: Listener) -> None:
    listener.answers = [(503, b"", {"retry-after": "900"})]
    waited: list[float] = []
    sender = Sender(listener.url, sleep=waited.append)
    with pytest.raises(Overloaded, match="8 times"):
        sender.send(REQUEST)
    assert max(waited) <= 10
    sender.close()


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, InvalidInput),
        (401, Unauthorized),
        (413, LimitExceeded),
        (404, ServerUnreachable),
        (500, ServerUnreachable),
    ],
)
def test_refusals_have_their_own_error(listener: Listener, status: int, error: type[Exception]) -> None:
    listener.answers = [(status, Status(message="the reason").SerializeToString(), {})]
    sender = Sender(listener.url)
    with pytest.raises(error, match="the reason"):
        sender.send(REQUEST)
    sender.close()


def test_nobody_there() -> None:
    sender = Sender("http://127.0.0.1:1")
    with pytest.raises(ServerUnreachable, match="--endpoint"):
        sender.send(REQUEST)
    sender.close()
