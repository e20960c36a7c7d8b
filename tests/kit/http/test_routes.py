"""Endpoints decode, validate, answer and describe themselves; errors are problem documents."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from pilothouse.kit.errors import InvalidInput, NotFound, Overloaded
from pilothouse.kit.http import Endpoint, Event, Guard, application, openapi, routes
from pilothouse.kit.telemetry import Registry


class Find(Struct, rename="camel"):
    service: str
    limit: Annotated[int, Meta(ge=1, le=100, description="How many")] = 20
    only_errors: bool = False
    tag: list[str] = []


class ById(Struct, rename="camel"):
    trace_id: str
    raw: bool = False


class Note(Struct):
    text: str
    stars: Annotated[int, Meta(ge=0)] = 0


class Answer(Struct, rename="camel"):
    what_was: str


async def find(params: Find) -> Answer:
    return Answer(f"{params.service} {params.limit} {params.only_errors} {params.tag}")


async def by_id(params: ById) -> Answer:
    if params.trace_id == "none":
        raise NotFound("no such trace", remedy="Search for it.")
    if params.trace_id == "busy":
        raise Overloaded("full", retry_after=3)
    if params.trace_id == "bug":
        raise ZeroDivisionError("a secret detail")
    return Answer(params.trace_id)


async def keys() -> Answer:
    return Answer("keys")


async def add(note: Note) -> Note:
    return note


async def tail(params: Find) -> AsyncIterator[Event]:
    yield Event("spans", {"n": 1}, id="7")
    yield Event("spans", {"text": "two\nlines"})
    raise InvalidInput("enough")


ENDPOINTS = [
    Endpoint("GET", "/{traceId}", by_id, "One trace", params=ById, returns=Answer),
    Endpoint("GET", "/search", find, "Find traces", params=Find, returns=Answer),
    Endpoint("GET", "/keys", keys, "Keys", returns=Answer),
    Endpoint("POST", "/notes", add, "Add a note", body=Note, returns=Note, max_body=100),
    Endpoint("GET", "/tail", tail, "Follow", params=Find, returns=dict[str, int], stream=True),
]


def call(method: str, path: str, *, guard: dict[str, Any] | None = None, **options: Any) -> httpx.Response:
    app = Guard(application(routes("/api/x", ENDPOINTS)), **(guard or {}))

    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.request(method, path, **options)

    return asyncio.run(run())


def problem(response: httpx.Response) -> dict[str, Any]:
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    assert document["status"] == response.status_code
    assert document["request_id"] == response.headers["x-request-id"]
    return document


def test_parameters_are_decoded_and_literal_paths_win_over_names() -> None:
    answer = call("GET", "/api/x/search?service=a&limit=5&onlyErrors=true&tag=x&tag=y")
    assert answer.json() == {"whatWas": "a 5 True ['x', 'y']"}
    assert call("GET", "/api/x/abc").json() == {"whatWas": "abc"}
    assert call("GET", "/api/x/keys").json() == {"whatWas": "keys"}


@pytest.mark.parametrize(
    ("query", "where", "says"),
    [
        ("limit=5", "query", "missing required field 'service'"),
        ("service=a&limit=many", "query parameter 'limit'", "not 'many'"),
        ("service=a&limit=0", "query parameter 'limit'", ">= 1"),
        ("service=a&onlyErrors=perhaps", "query parameter 'onlyErrors'", "'bool'"),
        ("service=a&service=b", "query parameter 'service'", "more than once"),
        ("servce=a", "query parameter 'servce'", "unknown"),
    ],
)
def test_a_wrong_parameter_is_named(query: str, where: str, says: str) -> None:
    document = problem(call("GET", f"/api/x/search?{query}"))
    assert (document["type"], document["status"]) == ("urn:pilothouse:problem:invalid-input", 400)
    assert document["where"] == where
    assert says in document["detail"]


def test_a_misspelt_parameter_gets_a_suggestion() -> None:
    assert problem(call("GET", "/api/x/search?servce=a"))["remedy"] == "Did you mean 'service'?"
    assert problem(call("GET", "/api/x/keys?a=1"))["detail"] == "this operation takes no parameters"


@given(st.text(max_size=50), st.text(max_size=50))
def test_no_query_breaks_the_server(name: str, value: str) -> None:
    assert call("GET", "/api/x/search", params={"service": "a", name: value}).status_code in (200, 400)


def test_bodies() -> None:
    assert call("POST", "/api/x/notes", json={"text": "hi"}).json() == {"text": "hi", "stars": 0}
    wrong = problem(call("POST", "/api/x/notes", json={"text": "hi", "stars": -1}))
    assert wrong["where"] == "body field 'stars'"
    headers = {"content-type": "application/json"}
    assert "not valid JSON" in problem(call("POST", "/api/x/notes", content=b"{", headers=headers))["detail"]
    assert (
        "not valid JSON" in problem(call("POST", "/api/x/notes", content=b'{"text":"\xff"}', headers=headers))["detail"]
    )
    assert problem(call("POST", "/api/x/notes", content=b"text=hi"))["status"] == 415


def test_a_body_over_the_limit_is_refused_whether_announced_or_not() -> None:
    assert problem(call("POST", "/api/x/notes", json={"text": "x" * 200}))["detail"].endswith("100B")

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(1000):
            yield b"x" * 50

    answer = call("POST", "/api/x/notes", content=chunks(), headers={"content-type": "application/json"})
    assert problem(answer)["status"] == 413


def test_errors_of_handlers() -> None:
    missing = problem(call("GET", "/api/x/none", headers={"x-request-id": "mine-1"}))
    assert (missing["title"], missing["remedy"], missing["request_id"]) == ("Not found", "Search for it.", "mine-1")
    assert call("GET", "/api/x/busy").headers["retry-after"] == "3"
    bug = problem(call("GET", "/api/x/bug"))
    assert bug["status"] == 500
    assert "secret" not in json.dumps(bug)


def test_no_such_path_and_no_such_method() -> None:
    assert problem(call("GET", "/nowhere"))["status"] == 404
    assert problem(call("DELETE", "/api/x/keys"))["remedy"].startswith("Use GET")


def test_a_request_id_from_outside_must_be_harmless() -> None:
    assert call("GET", "/api/x/keys", headers={"x-request-id": "a b<script>"}).headers["x-request-id"] != "a b<script>"


def test_events() -> None:
    answer = call("GET", "/api/x/tail?service=a")
    assert answer.headers["content-type"].startswith("text/event-stream")
    blocks = answer.text.split("\n\n")
    assert blocks[1] == 'id: 7\nevent: spans\ndata: {"n":1}'
    assert blocks[2] == 'event: spans\ndata: {"text":"two\\nlines"}'
    assert blocks[3].startswith("event: problem\n")


def test_the_bearer_token() -> None:
    guard = {"token": "s3cret", "open_paths": lambda path: path == "/api/x/keys"}
    refused = call("GET", "/api/x/abc", guard=guard)
    assert (problem(refused)["status"], refused.headers["www-authenticate"]) == (401, 'Bearer realm="pilothouse"')
    for wrong in ("Bearer other", "Basic s3cret", "Bearer", "s3cret", "Bearer s3cre"):
        assert call("GET", "/api/x/abc", guard=guard, headers={"authorization": wrong}).status_code == 401
    assert call("GET", "/api/x/abc", guard=guard, headers={"authorization": "bearer s3cret"}).status_code == 200
    assert call("GET", "/api/x/keys", guard=guard).status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8686", 200),
        ("127.0.0.1", 200),
        ("[::1]:8686", 200),
        ("box.localhost", 200),
        ("host.docker.internal:8686", 200),
        ("192.0.2.7:8686", 200),
        ("evil.example", 403),
        ("localhost.evil.example", 403),
        ("127.0.0.1.evil.example:8686", 403),
    ],
)
def test_a_rebound_name_is_refused_on_loopback(host: str, status: int) -> None:
    assert call("GET", "/api/x/keys", headers={"host": host}).status_code == status
    assert call("GET", "/api/x/keys", headers={"host": host}, guard={"loopback": False}).status_code == 200


def test_security_headers_on_every_answer() -> None:
    for path in ("/api/x/keys", "/nowhere"):
        headers = call("GET", path).headers
        assert "script-src 'self';" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_durations_are_counted_by_route_not_by_path() -> None:
    registry = Registry()
    for path in ("/api/x/abc", "/api/x/none", "/nowhere"):
        call("GET", path, guard={"registry": registry})
    text = registry.render()
    for route, status in (("/api/x/{traceId}", 200), ("/api/x/{traceId}", 404), ("other", 404)):
        labels = f'http_request_method="GET",http_route="{route}",http_response_status_code="{status}"'
        assert f"http_server_request_duration_seconds_count{{{labels}}} 1\n" in text


def test_openapi_describes_what_is_served() -> None:
    document = openapi({"x": ("/api/x", ENDPOINTS)}, title="T", version="1")
    assert document["openapi"] == "3.1.0"
    search = document["paths"]["/api/x/search"]["get"]
    limit = next(p for p in search["parameters"] if p["name"] == "limit")
    assert limit == {
        "name": "limit",
        "in": "query",
        "required": False,
        "description": "How many",
        "schema": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20},
    }
    assert [p["in"] for p in document["paths"]["/api/x/{traceId}"]["get"]["parameters"]] == ["path", "query"]
    assert search["responses"]["200"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/Answer"
    }
    assert document["paths"]["/api/x/notes"]["post"]["requestBody"]["required"] is True
    assert "text/event-stream" in document["paths"]["/api/x/tail"]["get"]["responses"]["200"]["content"]
    assert set(document["components"]["schemas"]) == {"Answer", "Note", "Problem"}
    ids = [o["operationId"] for path in document["paths"].values() for o in path.values()]
    assert len(set(ids)) == len(ids)
