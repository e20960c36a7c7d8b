"""The gRPC listener has the same rules as the HTTP one: token, port, size."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
import pytest

from pilothouse.kit.errors import PortTaken
from pilothouse.kit.grpc import GrpcService
from pilothouse.kit.health import Status


async def _echo(request: bytes, context: Any) -> bytes:
    return request


async def _stream(request: bytes, context: Any) -> AsyncIterator[bytes]:
    yield request
    yield request


def register(server: grpc.aio.Server) -> None:
    handlers: dict[str, Any] = {
        "Echo": grpc.unary_unary_rpc_method_handler(_echo),
        "Stream": grpc.unary_stream_rpc_method_handler(_stream),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", handlers),))


def serve(talk: Callable[[Any], Awaitable[None]], **options: Any) -> None:
    async def run() -> None:
        service = GrpcService("otlp_grpc", "127.0.0.1:0", register, **options)
        await service.start()
        assert service.health().status is Status.OK
        try:
            async with grpc.aio.insecure_channel(service.listener().address) as channel:
                await talk(channel)
        finally:
            await service.stop()

    asyncio.run(run())


async def failure(call: Any) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    code: grpc.StatusCode = caught.value.code()
    return code


def test_serves() -> None:
    async def talk(channel: Any) -> None:
        assert await channel.unary_unary("/test.Echo/Echo")(b"hi") == b"hi"

    serve(talk)


def test_a_call_needs_the_token() -> None:
    async def talk(channel: Any) -> None:
        echo, stream = channel.unary_unary("/test.Echo/Echo"), channel.unary_stream("/test.Echo/Stream")
        for metadata in ((), (("authorization", "Bearer other"),), (("authorization", "s3cret"),)):
            assert await failure(echo(b"hi", metadata=metadata)) is grpc.StatusCode.UNAUTHENTICATED
            assert await failure(anext(aiter(stream(b"hi", metadata=metadata)))) is grpc.StatusCode.UNAUTHENTICATED
        good = (("authorization", "Bearer s3cret"),)
        assert await echo(b"hi", metadata=good) == b"hi"
        assert [m async for m in stream(b"hi", metadata=good)] == [b"hi", b"hi"]
        assert await failure(channel.unary_unary("/test.Echo/None")(b"")) is grpc.StatusCode.UNIMPLEMENTED

    serve(talk, token="s3cret")


def test_a_message_over_the_limit_is_refused() -> None:
    async def talk(channel: Any) -> None:
        assert await failure(channel.unary_unary("/test.Echo/Echo")(b"x" * 2000)) is grpc.StatusCode.RESOURCE_EXHAUSTED

    serve(talk, max_message=1000)


def test_a_taken_port_is_one_clear_error() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        service = GrpcService("otlp_grpc", f"127.0.0.1:{other.getsockname()[1]}", register)
        with pytest.raises(PortTaken, match="already in use"):
            asyncio.run(service.start())
