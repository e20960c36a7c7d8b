"""Commands get values, events and the server's own errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from msgspec import Struct
from starlette.responses import PlainTextResponse

from pilothouse.kit.client import Client, connect
from pilothouse.kit.config import load
from pilothouse.kit.errors import InvalidInput, NotFound, Overloaded, PilothouseError, ServerUnreachable, UsageError
from pilothouse.kit.http import Endpoint, Event, Guard, HttpService, application, routes


class Question(Struct):
    q: str = ""
    tag: list[str] = []
    live: bool = False


async def echo(question: Question) -> Question:
    return question


async def fails(question: Question) -> Question:
    if question.q == "busy":
        raise Overloaded("full")
    raise NotFound("no such thing", where="query parameter 'q'", remedy="Ask for another.")


async def stream(question: Question) -> AsyncIterator[Event]:
    yield Event("spans", {"n": 1})
    yield Event("spans", {"n": 2})
    raise InvalidInput("enough")


async def foreign() -> PlainTextResponse:
    return PlainTextResponse("<html>proxy says no</html>", 502)


ENDPOINTS = [
    Endpoint("GET", "/echo", echo, "Echo", params=Question, returns=Question),
    Endpoint("POST", "/echo", echo, "Echo", body=Question, returns=Question),
    Endpoint("GET", "/fails", fails, "Fails", params=Question),
    Endpoint("GET", "/stream", stream, "Stream", params=Question, stream=True),
    Endpoint("GET", "/foreign", foreign, "Not ours"),
]


def talk(with_client: Callable[[Client], None], token: str = "") -> None:
    async def run() -> None:
        app = Guard(application(routes("/", ENDPOINTS)), token="s3cret")
        service = HttpService("console", "127.0.0.1:0", app)
        await service.start()
        try:
            await asyncio.to_thread(with_client, Client(service.listener().url, token))
        finally:
            await service.stop()

    asyncio.run(run())


def test_values() -> None:
    def check(client: Client) -> None:
        params = {"q": "a b&c=ü", "tag": ["x", "y"], "live": True, "none": None}
        assert client.get("/echo", params) == {"q": "a b&c=ü", "tag": ["x", "y"], "live": True}
        assert client.post("/echo", {"q": "hi"}) == {"q": "hi", "tag": [], "live": False}

    talk(check, "s3cret")


def test_the_servers_errors_come_back_as_they_were() -> None:
    def check(client: Client) -> None:
        with pytest.raises(NotFound) as caught:
            client.get("/fails")
        assert caught.value.sentence() == "query parameter 'q': no such thing. Ask for another."
        with pytest.raises(Overloaded):
            client.get("/fails", {"q": "busy"})
        with pytest.raises(ServerUnreachable, match="502"):
            client.get("/foreign")

    talk(check, "s3cret")


def test_without_the_token() -> None:
    def check(client: Client) -> None:
        with pytest.raises(PilothouseError) as caught:
            client.get("/echo")
        assert caught.value.exit_code == 15

    talk(check)


def test_events_until_the_server_says_why_it_ended_them() -> None:
    def check(client: Client) -> None:
        events = client.events("/stream")
        assert [next(events), next(events)] == [("spans", {"n": 1}), ("spans", {"n": 2})]
        with pytest.raises(InvalidInput, match="enough"):
            next(events)

    talk(check, "s3cret")


def test_nobody_there() -> None:
    with pytest.raises(ServerUnreachable, match="connection refused"):
        Client("http://127.0.0.1:9").get("/")


def test_the_address_comes_from_the_configuration() -> None:
    def base(**flags: object) -> str:
        given = {f"listen.{k}": v for k, v in flags.items()}
        return connect(load(given, {"PILOTHOUSE_SERVER__TOKEN": "t"})).base_url

    assert base() == "http://127.0.0.1:8686"
    assert base(console="0.0.0.0:1") == "http://127.0.0.1:1"
    assert base(console="[::]:1") == "http://[::1]:1"
    for unknown in ("", "127.0.0.1:0"):
        with pytest.raises(UsageError, match="--server"):
            base(console=unknown)
