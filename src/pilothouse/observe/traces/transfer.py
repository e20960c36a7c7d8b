"""Files of traces, for ``traces import``: what is in them, line by line, and how it gets to a server.

Two formats are read, told apart by their content: OTLP in JSON (one ``TracesData`` a line, or one in the whole file) and Jaeger
UI's download. Either may be compressed with gzip. What cannot be read is reported with its place and does not stop the rest.
Everything is sent as OTLP/HTTP in protobuf, in requests of a few megabytes, each of which is answered after its commit.
"""

from __future__ import annotations

import gzip
import http.client
import io
import ssl
import time
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Final, cast
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from pilothouse.formats.jaeger import ui
from pilothouse.formats.otlp import json as otlp_json
from pilothouse.formats.otlp import proto
from pilothouse.kit.errors import (
    InvalidInput,
    LimitExceeded,
    Overloaded,
    PilothouseError,
    ServerUnreachable,
    Unauthorized,
)

_REQUEST_BYTES: Final = 4 << 20
_REQUEST_SPANS: Final = 8192
_ATTEMPTS: Final = 8
_LONGEST_WAIT: Final = 10.0
_GZIP_MAGIC: Final = b"\x1f\x8b"


class Part(Struct, frozen=True):
    """Some spans of a file: a protobuf ``ExportTraceServiceRequest`` and how many it holds."""

    payload: bytes
    spans: int


class BadPart(Struct, frozen=True):
    """Something that cannot be read: its place, ``FILE:LINE`` or ``FILE``, and why."""

    where: str
    why: str


def read(name: str, stream: io.BufferedReader) -> Iterator[Part | BadPart]:
    """The parts of a file, in its order.

    Args:
        name: For places.
        stream: The file, opened for bytes.
    """
    plain: IO[bytes] = stream
    if stream.peek(2)[:2] == _GZIP_MAGIC:
        plain = cast("IO[bytes]", gzip.GzipFile(fileobj=stream))
    number = 0
    try:
        for number, line in enumerate(plain, 1):
            if not line.strip():
                continue
            if number == 1 and not _is_document(line):
                # Not a line of its own, so the file is one document, laid out over many lines.
                yield from _parts(name, line + plain.read())
                return
            yield from _parts(f"{name}:{number}", line)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        yield BadPart(f"{name}:{number + 1}", f"the compressed data is damaged: {error}")


def requests(parts: Iterator[Part | BadPart]) -> Iterator[Part | BadPart]:
    """Puts small parts together to requests worth a commit. Concatenated messages are one message (protobuf encoding)."""
    payloads: list[bytes] = []
    size = spans = 0
    for part in parts:
        if isinstance(part, BadPart):
            yield part
            continue
        if payloads and (size + len(part.payload) > _REQUEST_BYTES or spans + part.spans > _REQUEST_SPANS):
            yield Part(b"".join(payloads), spans)
            payloads, size, spans = [], 0, 0
        payloads.append(part.payload)
        size += len(part.payload)
        spans += part.spans
    if spans:
        yield Part(b"".join(payloads), spans)


class Sender:
    """Sends requests to an OTLP/HTTP listener.

    Args:
        url: Of the listener, ``http://host:port``.
        token: Bearer token, or empty.
        ca_file: Certificates to trust beside the system's.
        sleep: Waits between attempts, in seconds.
    """

    def __init__(
        self, url: str, token: str = "", ca_file: str = "", *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        parts = urlsplit(url)
        self._url, self._token, self._sleep = url, token, sleep
        self._connection: http.client.HTTPConnection
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=ca_file or None)
            self._connection = http.client.HTTPSConnection(
                parts.hostname or "", parts.port, timeout=60, context=context
            )
        else:
            self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)

    def send(self, request: Part) -> tuple[int, str]:
        """Sends one request; returns how many of its spans the server rejected, and why.

        Raises:
            ServerUnreachable: Nobody answers, or not as OTLP/HTTP says.
            Overloaded: The server refused for too long.
            PilothouseError: What else the server answered, in its own class.
        """
        wait = 0.0
        for attempt in range(_ATTEMPTS):
            if attempt:
                self._sleep(min(wait, _LONGEST_WAIT))
            status, retry_after, body = self._post(request.payload)
            if status == 200:
                answer = trace_service_pb2.ExportTraceServiceResponse.FromString(body)
                return answer.partial_success.rejected_spans, answer.partial_success.error_message
            if status not in (429, 502, 503, 504):
                raise _refusal(status, body)
            wait = retry_after or 0.25 * 2**attempt
        raise Overloaded(f"{self._url} refused the same spans {_ATTEMPTS} times", remedy="Import them again later.")

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()

    def _post(self, payload: bytes) -> tuple[int, float, bytes]:
        headers = {"content-type": "application/x-protobuf", "user-agent": "pilothouse-cli"}
        if self._token:
            headers["authorization"] = f"Bearer {self._token}"
        try:
            self._connection.request("POST", "/v1/traces", payload, headers)
            response = self._connection.getresponse()
            after = response.getheader("retry-after") or "0"
            return response.status, float(after) if after.isdigit() else 0.0, response.read()
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise ServerUnreachable(
                f"no OTLP listener answers at {self._url}: {reason.lower()}",
                remedy="Start one with `pilothouse up`, or name its address with --endpoint.",
            ) from error


class _Probe(Struct, rename={"resource_spans": "resourceSpans"}):
    """Just enough of a document to see what it is."""

    resource_spans: Raw | UnsetType = UNSET
    data: Raw | UnsetType = UNSET
    spans: Raw | UnsetType = UNSET


def _is_document(line: bytes) -> bool:
    try:
        msgspec.json.decode(line, type=Raw)
    except msgspec.DecodeError:
        return False
    return True


def _parts(where: str, document: bytes) -> Iterator[Part | BadPart]:
    try:
        yield from _convert(document)
    except (InvalidInput, LimitExceeded) as error:
        yield BadPart(where, error.sentence())


def _convert(document: bytes) -> Iterator[Part]:
    try:
        probe = msgspec.json.decode(document, type=_Probe)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"not a JSON document: {error}") from None
    if probe.resource_spans is UNSET and (probe.data is not UNSET or probe.spans is not UNSET):
        spans = ui.decode(document)
    elif probe.resource_spans is UNSET:
        raise InvalidInput("neither OTLP (resourceSpans) nor Jaeger UI (data)")
    else:
        payload = otlp_json.decode_request(document)
        if len(payload) <= _REQUEST_BYTES:
            yield Part(payload, _count(payload))
            return
        spans = proto.decode_request(payload)
    for start in range(0, len(spans), _REQUEST_SPANS):
        some = spans[start : start + _REQUEST_SPANS]
        yield Part(proto.encode(some), len(some))


def _count(payload: bytes) -> int:
    message = trace_pb2.TracesData.FromString(payload)
    return sum(len(scope.spans) for group in message.resource_spans for scope in group.scope_spans)


def _refusal(status: int, body: bytes) -> PilothouseError:
    """What a status other than success means; the body is a ``google.rpc.Status`` (OTLP specification, "Failures")."""
    from google.protobuf.message import DecodeError
    from google.rpc.status_pb2 import Status

    try:
        said = str(Status.FromString(body).message)
    except DecodeError:
        said = ""
    if status in (401, 403):
        return Unauthorized(said or "the server wants a token", remedy="Set PILOTHOUSE_SERVER__TOKEN to its token.")
    if status == 413:
        return LimitExceeded(said or "the server takes no request this large", remedy="Raise its ingest.max_body.")
    if status == 400:
        return InvalidInput(said or "the server cannot read the spans")
    return ServerUnreachable(f"the server answered {status} {said}".rstrip(), remedy="Is --endpoint an OTLP listener?")
