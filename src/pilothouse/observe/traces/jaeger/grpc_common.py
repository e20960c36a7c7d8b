"""What both gRPC generations share: errors as status codes, messages in bounded chunks, health, reflection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, NoReturn, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import DecodeError, Message
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection

from pilothouse.formats.jaeger.proto import from_timestamp
from pilothouse.formats.otlp.model import Span
from pilothouse.kit.errors import InvalidInput, NotFound, PilothouseError
from pilothouse.observe.traces.jaeger.params import within_range
from pilothouse.observe.traces.model import Trace

_Request = TypeVar("_Request", bound=Message)
Context = grpc.aio.ServicerContext[Any, Any]

_CODES: Final[Mapping[int, grpc.StatusCode]] = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    501: grpc.StatusCode.UNIMPLEMENTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
#: Clients take messages of up to 4 MiB unless told otherwise; one span may exceed this all the same.
_CHUNK_BYTES: Final = 1 << 20
_CHUNK_SPANS: Final = 256
#: Go's zero time, which its clients send for "not given".
_GO_ZERO: Final = -62_135_596_800 * 1_000_000_000
HEALTH: Final = "grpc.health.v1.Health"


@dataclass(frozen=True, slots=True)
class GrpcHandlers:
    """One service: its full name and its methods."""

    name: str
    methods: Mapping[str, grpc.RpcMethodHandler[Any, Any]]


def unary(
    kind: type[_Request], answer: Callable[[_Request], Coroutine[Any, Any, Message]]
) -> grpc.RpcMethodHandler[Any, Any]:
    """A method with one answer; a ``PilothouseError`` becomes the call's status."""

    async def handle(data: bytes, context: Context) -> bytes:
        try:
            return (await answer(_parse(kind, data))).SerializeToString()
        except PilothouseError as error:
            await _abort(context, error)

    return grpc.unary_unary_rpc_method_handler(handle)


def streaming(
    kind: type[_Request], answers: Callable[[_Request], AsyncGenerator[bytes, None]]
) -> grpc.RpcMethodHandler[Any, Any]:
    """A method with a stream of serialized answers."""

    async def handle(data: bytes, context: Context) -> AsyncIterator[bytes]:
        try:
            async with aclosing(answers(_parse(kind, data))) as messages:
                async for message in messages:
                    yield message
        except PilothouseError as error:
            await _abort(context, error)

    return grpc.unary_stream_rpc_method_handler(handle)


async def chunked(
    traces: AsyncGenerator[Trace, None], encode: Callable[[Sequence[Span]], Message]
) -> AsyncGenerator[bytes, None]:
    """The spans of each trace in messages of about ``_CHUNK_BYTES``; those of one trace follow each other."""
    async with aclosing(traces):
        async for trace in traces:
            pieces = _pieces(trace.spans, encode)
            while piece := await asyncio.to_thread(next, pieces, b""):
                yield piece


def time_of(message: Message, name: str) -> int | None:
    """The instant in a field; ``None`` when it is not set or is Go's zero time."""
    if not message.HasField(name):
        return None
    value: Timestamp = getattr(message, name)
    instant = from_timestamp(value)
    try:
        return None if instant == _GO_ZERO else within_range(instant)
    except InvalidInput as error:
        raise InvalidInput(f"{name}: {error.sentence()}") from None


def search_limit(depth: int, default: int, most: int) -> int:
    """``search_depth`` within its bounds; 0 is the default."""
    if not 0 <= depth <= most:
        raise InvalidInput(f"search_depth: {depth} is not within 0 and {most}")
    return depth or default


class GrpcHealth:
    """``grpc.health.v1`` for services that serve from the listener's start to its stop."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = {"", *names}
        self._stopping = asyncio.Event()

    def handlers(self) -> GrpcHandlers:
        """Its methods."""
        return GrpcHandlers(
            HEALTH,
            {
                "Check": unary(health_pb2.HealthCheckRequest, self._check),
                "Watch": streaming(health_pb2.HealthCheckRequest, self._watch),
            },
        )

    def stop(self) -> None:
        """Ends all watches, which would else keep the listener from stopping."""
        self._stopping.set()

    async def _check(self, request: health_pb2.HealthCheckRequest) -> Message:
        if request.service not in self._names:
            raise NotFound("unknown service")
        return self._state(request.service)

    async def _watch(self, request: health_pb2.HealthCheckRequest) -> AsyncGenerator[bytes, None]:
        yield self._state(request.service).SerializeToString()
        await self._stopping.wait()
        if request.service in self._names:
            yield self._state(request.service).SerializeToString()

    def _state(self, name: str) -> health_pb2.HealthCheckResponse:
        answer = health_pb2.HealthCheckResponse
        if name not in self._names:
            return answer(status=answer.SERVICE_UNKNOWN)
        return answer(status=answer.NOT_SERVING if self._stopping.is_set() else answer.SERVING)


def register_all(services: Sequence[GrpcHandlers]) -> Callable[[grpc.aio.Server], None]:
    """Adds the services to a server, and reflection over all of them."""

    def register(server: grpc.aio.Server) -> None:
        for service in services:
            handler = grpc.method_handlers_generic_handler(service.name, dict(service.methods))
            server.add_generic_rpc_handlers((handler,))
        names = [service.name for service in services]
        reflection.enable_server_reflection([*names, reflection.SERVICE_NAME], server)

    return register


def _parse(kind: type[_Request], data: bytes) -> _Request:
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise InvalidInput(f"the request is no {kind.DESCRIPTOR.full_name}: {error}") from None


async def _abort(context: Context, error: PilothouseError) -> NoReturn:
    """Ends the call; gRPC's own ``abort`` never returns."""
    await context.abort(_CODES.get(error.status, grpc.StatusCode.INTERNAL), error.sentence())
    raise error


def _pieces(spans: Sequence[Span], encode: Callable[[Sequence[Span]], Message]) -> Iterator[bytes]:
    """Serialized messages in the order of ``spans``; a message that is too large is halved."""
    pending = [spans[first : first + _CHUNK_SPANS] for first in range(0, len(spans), _CHUNK_SPANS)][::-1]
    while pending:
        part = pending.pop()
        message = encode(part).SerializeToString()
        if len(message) > _CHUNK_BYTES and len(part) > 1:
            middle = len(part) // 2
            pending += [part[middle:], part[:middle]]
        else:
            yield message
