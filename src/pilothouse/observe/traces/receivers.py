"""The OTLP receivers: bytes in, an answer after the commit.

They do not look into the bytes: what a request says is found out by the group it is committed with (``ingest``). Sources:
OTLP specification 1.x, "OTLP/gRPC" and "OTLP/HTTP"; ``google.rpc.Status`` for errors.
"""

from __future__ import annotations

import asyncio
import zlib
from typing import Final, NoReturn

import grpc
import msgspec
from google.protobuf import json_format
from google.rpc import error_details_pb2, status_pb2
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pilothouse.formats.otlp import json as otlp_json
from pilothouse.kit.capability import Context
from pilothouse.kit.errors import (
    InvalidInput,
    LimitExceeded,
    MethodNotAllowed,
    Overloaded,
    PilothouseError,
    StorageFull,
    StorageReadOnly,
    UnsupportedMediaType,
)
from pilothouse.kit.grpc import grpc_listener
from pilothouse.kit.http import application, http_listener, read_body
from pilothouse.kit.service import Service
from pilothouse.kit.telemetry import Ledger
from pilothouse.kit.units import exact_size
from pilothouse.observe.traces.ingest import Outcome, Prepared, count_spans
from pilothouse.signals.writer import GroupCommit

_METHOD: Final = "opentelemetry.proto.collector.trace.v1.TraceService"
_PROTOBUF: Final = "application/x-protobuf"
_JSON: Final = "application/json"
_ACCEPTED: Final = ExportTraceServiceResponse().SerializeToString()
#: Bodies larger than this are unpacked and translated beside the event loop.
_LARGE: Final = 32 * 1024
#: Parts of one gzip body; more than any writer makes, and few enough that empty ones cost nothing.
_MAX_MEMBERS: Final = 1024
_PIECE: Final = 256 * 1024
#: What a client may send again, and the gRPC code that tells it so.
_RETRYABLE: Final = (Overloaded, StorageFull, StorageReadOnly)


class Receivers:
    """Both OTLP listeners in front of one group commit."""

    def __init__(self, context: Context, commits: GroupCommit[Prepared, Outcome], ledger: Ledger) -> None:
        self._context, self._commits, self._ledger = context, commits, ledger
        self._limit = context.config.ingest.max_body
        metrics = context.metrics
        labels = ("receiver", "transport")
        self._accepted = metrics.counter(
            "otelcol_receiver_accepted_spans_total", "Spans that were stored, or had been before.", labels
        )
        self._refused = metrics.counter(
            "otelcol_receiver_refused_spans_total", "Spans that were not stored; the sender was told.", labels
        )

    def services(self) -> list[Service]:
        """The listeners that are turned on."""
        app = application([Route("/v1/traces", self._http, methods=["GET", "POST"])])
        found = (
            grpc_listener(
                self._context,
                "otlp_grpc",
                lambda server: server.add_generic_rpc_handlers((self._handlers(),)),
                "Send traces here (OTLP/gRPC)",
                max_message=self._limit,
            ),
            http_listener(self._context, "otlp_http", app, "Send traces here (OTLP/HTTP: /v1/traces)"),
        )
        return [service for service in found if service is not None]

    async def accept(self, payload: bytes, transport: str) -> Outcome:
        """Stores one request and counts what became of it."""
        try:
            outcome = await self._commits.submit(payload)
        except Overloaded:
            spans = await asyncio.to_thread(count_spans, payload)  # not on the loop that is too busy already
            self._ledger.post(received=spans, refused={"queue_full": spans})
            self._refused.add(spans, "otlp", transport)
            raise
        except PilothouseError:
            self._refused.add(await asyncio.to_thread(count_spans, payload), "otlp", transport)
            raise
        if outcome.accepted:
            self._accepted.add(outcome.accepted, "otlp", transport)
        if outcome.rejected:
            self._refused.add(sum(outcome.rejected.values()), "otlp", transport)
        return outcome

    # gRPC

    def _handlers(self) -> grpc.GenericRpcHandler:
        handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(
            self._grpc
        )  # no deserializer: the bytes pass through
        return grpc.method_handlers_generic_handler(_METHOD, {"Export": handler})

    async def _grpc(self, payload: bytes, call: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        try:
            return _answer(await self.accept(payload, "grpc"))
        except PilothouseError as error:
            await _abort(call, error)

    # HTTP

    async def _http(self, request: Request) -> Response:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        try:
            if request.method != "POST":
                raise MethodNotAllowed("traces are sent with POST", where=request.url.path)
            if kind not in (_PROTOBUF, _JSON):
                raise UnsupportedMediaType(
                    f"the content type is '{kind}'",
                    remedy=f"Send {_PROTOBUF} or {_JSON}.",
                    where="header 'content-type'",
                )
            payload = await self._payload(request, kind)
            answer = _answer(await self.accept(payload, "http"))
        except PilothouseError as error:
            return _http_error(error, kind)
        if kind == _JSON:
            message = ExportTraceServiceResponse.FromString(answer)
            return Response(json_format.MessageToJson(message, indent=None), media_type=_JSON)
        return Response(answer, media_type=_PROTOBUF)

    async def _payload(self, request: Request, kind: str) -> bytes:
        """The body as protobuf."""
        encoding = request.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("gzip", "identity", ""):
            raise UnsupportedMediaType(
                f"the content encoding is '{encoding}'", remedy="Send gzip or none.", where="header 'content-encoding'"
            )
        body = await read_body(request, self._limit)
        if encoding == "gzip":
            large = len(body) > _LARGE
            body = await asyncio.to_thread(_gunzip, body, self._limit) if large else _gunzip(body, self._limit)
        if kind == _JSON:
            return await asyncio.to_thread(otlp_json.decode_request, body)
        return body


def _answer(outcome: Outcome) -> bytes:
    if not outcome.rejected:
        return _ACCEPTED
    message = ExportTraceServiceResponse()
    message.partial_success.rejected_spans = sum(outcome.rejected.values())
    message.partial_success.error_message = "; ".join(
        f"{count} {'span' if count == 1 else 'spans'}: {reason.replace('_', ' ')}"
        for reason, count in outcome.rejected.items()
    )
    return message.SerializeToString()


def _status(error: PilothouseError) -> status_pb2.Status:
    status = status_pb2.Status(code=_code(error).value[0], message=error.sentence())
    if isinstance(error, _RETRYABLE):
        info = error_details_pb2.RetryInfo()
        info.retry_delay.FromNanoseconds(int(_retry_after(error) * 1e9))
        status.details.add().Pack(info)
    return status


def _code(error: PilothouseError) -> grpc.StatusCode:
    if isinstance(error, _RETRYABLE):
        return grpc.StatusCode.UNAVAILABLE
    if isinstance(error, LimitExceeded):
        return grpc.StatusCode.RESOURCE_EXHAUSTED
    if error.status < 500:
        return grpc.StatusCode.INVALID_ARGUMENT
    return grpc.StatusCode.INTERNAL


def _retry_after(error: PilothouseError) -> float:
    return error.retry_after if isinstance(error, Overloaded) else 5.0


async def _abort(call: grpc.aio.ServicerContext[bytes, bytes], error: PilothouseError) -> NoReturn:
    details = (("grpc-status-details-bin", _status(error).SerializeToString()),)
    await call.abort(_code(error), error.sentence(), details)
    raise AssertionError("abort returns never")


def _http_error(error: PilothouseError, kind: str) -> Response:
    headers = {"retry-after": str(max(1, round(_retry_after(error))))} if isinstance(error, _RETRYABLE) else {}
    status = 400 if isinstance(error, InvalidInput) else error.status
    message = _status(error)
    if kind == _JSON:
        body = msgspec.json.encode(json_format.MessageToDict(message))
        return Response(body, status, headers, _JSON)
    return Response(message.SerializeToString(), status, headers, _PROTOBUF)


def _gunzip(body: bytes, limit: int) -> bytes:
    """Unpacks gzip, but never more than ``limit`` bytes of it, nor more than ``_MAX_MEMBERS`` members."""
    unpacked = bytearray()
    view, at = memoryview(body), 0
    try:
        for _ in range(_MAX_MEMBERS):
            member = zlib.decompressobj(wbits=31)
            while not member.eof:
                # In pieces, so that what follows the end of a small member is not copied over and over.
                piece = view[at : at + _PIECE]
                if not piece:
                    raise InvalidInput("the gzip data ends too early", where="body")
                at += len(piece)
                unpacked += member.decompress(piece, limit + 1 - len(unpacked))
                if len(unpacked) > limit:
                    raise LimitExceeded(
                        f"the unpacked body is larger than the limit of {exact_size(limit)}", where="body"
                    )
            at -= len(member.unused_data)
            if at == len(body):
                return bytes(unpacked)
    except zlib.error as error:
        raise InvalidInput(f"the body is not gzip: {error}", where="body") from error
    raise LimitExceeded(f"the gzip data has more than {_MAX_MEMBERS} members", where="body")
