"""A listener binds, refuses what is too slow or too large, and leaves in order."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from starlette.types import Receive, Scope, Send

from pilothouse.kit.errors import ConfigError, PortTaken
from pilothouse.kit.health import Status
from pilothouse.kit.http import Endpoint, Event, HttpService, Tls, application, routes
from pilothouse.kit.http import service as service_module


async def _hello() -> dict[str, str]:
    return {"hello": "world"}


async def _forever() -> AsyncIterator[Event]:
    yield Event("first", 1)
    await asyncio.Event().wait()


APP = application(
    routes(
        "/",
        [
            Endpoint("GET", "/hello", _hello, "Hello", returns=dict[str, str]),
            Endpoint("GET", "/events", _forever, "Events", stream=True),
        ],
    )
)


def serve(talk: Callable[[HttpService], Awaitable[None]]) -> HttpService:
    service = HttpService("console", "127.0.0.1:0", APP)

    async def run() -> None:
        await service.start()
        try:
            await talk(service)
        finally:
            await service.stop()

    asyncio.run(run())
    return service


async def send(port: int, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    answer = await reader.read()
    writer.close()
    return answer


def test_serves_on_a_free_port_and_says_which() -> None:
    async def talk(service: HttpService) -> None:
        assert service.health().status is Status.OK
        assert service.listener().url == f"http://127.0.0.1:{service.port}"
        answer = await send(service.port, b"GET /hello HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200")
        assert answer.endswith(b'{"hello":"world"}')

    assert serve(talk).health().status is Status.STOPPED


def test_a_taken_port_is_one_clear_error_with_exit_code_7() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        service = HttpService("otlp_http", f"127.0.0.1:{other.getsockname()[1]}", APP)
        with pytest.raises(PortTaken, match="already in use") as caught:
            asyncio.run(service.start())
    assert caught.value.exit_code == 7
    assert caught.value.where == "listen.otlp_http"
    assert "--otlp-http" in str(caught.value)


def test_an_address_of_another_machine() -> None:
    with pytest.raises(PortTaken, match="not an address of this machine"):
        asyncio.run(HttpService("console", "192.0.2.1:0", APP).start())


def test_a_certificate_that_cannot_be_read() -> None:
    with pytest.raises(ConfigError, match="No such file"):
        asyncio.run(HttpService("console", "127.0.0.1:0", APP, Tls("none.pem", "none.pem")).start())


def test_a_head_that_is_too_large_is_refused() -> None:
    async def talk(service: HttpService) -> None:
        start = b"GET /hello HTTP/1.1\r\nhost: a\r\nx: "
        endless = start + b"y" * (service_module.MAX_HEAD + 1 - len(start))
        assert (await send(service.port, endless)).startswith(b"HTTP/1.1 431")
        whole = start + b"y" * service_module.MAX_HEAD + b"\r\n\r\n"
        assert (await send(service.port, whole)).startswith(b"HTTP/1.1 431")

    serve(talk)


def test_slow_clients_lose_their_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_module, "HEAD_TIMEOUT", 0.05)

    async def talk(service: HttpService) -> None:
        assert (await send(service.port, b"GET /hello HTTP/1.1\r\nhost:")).startswith(b"HTTP/1.1 408")
        assert (await send(service.port, b"")).startswith(b"HTTP/1.1 408")

    serve(talk)


def test_garbage_is_refused() -> None:
    async def talk(service: HttpService) -> None:
        assert (await send(service.port, b"\x16\x03\x01\x02\x00\x01 not http\r\n\r\n")).startswith(b"HTTP/1.1 400")

    serve(talk)


def test_stopping_ends_event_streams() -> None:
    ended = False

    async def talk(service: HttpService) -> None:
        nonlocal ended
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        writer.write(b"GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n")
        await reader.readuntil(b"event: first")
        await service.stop()
        await reader.read()
        ended = True
        writer.close()

    serve(talk)
    assert ended


def test_a_listener_that_dies_is_fatal() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError("never called")

    async def run() -> Status:
        service = HttpService("console", "127.0.0.1:0", broken)
        await service.start()
        assert service._server is not None
        assert service._task is not None
        service._server.should_exit = True
        await service._task
        return service.health().status

    assert asyncio.run(run()) is Status.FATAL
