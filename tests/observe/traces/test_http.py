"""Pilothouse's own API over a real store, as a client sees it."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec.structs import replace
from starlette.types import ASGIApp
from tests.observe.traces.spans import DAY, NOW, Traces, query, span, span_id, trace_id

from pilothouse.formats import rfc3339
from pilothouse.formats.otlp import proto
from pilothouse.formats.otlp.model import Event, Link, Resource, Span
from pilothouse.kit.clock import SECOND
from pilothouse.kit.http import HttpService, application, openapi, routes
from pilothouse.observe.traces import http, transfer
from pilothouse.observe.traces.http import TracesApi

ID = trace_id(1).hex()


@pytest.fixture
def traces(tmp_path: Path) -> Iterator[Traces]:
    with Traces(tmp_path / "store", segment_rows=4) as opened:
        opened.clock.advance(60 * SECOND)
        yield opened


def app(traces: Traces) -> ASGIApp:
    return application(routes("/api/traces", TracesApi(traces.store, traces.clock).endpoints()))


def get(traces: Traces, path: str, **params: Any) -> httpx.Response:
    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(app(traces))
        async with httpx.AsyncClient(transport=transport, base_url="http://test/api/traces/") as client:
            return await client.get(path, params=params)

    return asyncio.run(run())


def answer(traces: Traces, path: str, **params: Any) -> Any:
    response = get(traces, path, **params)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    return response.json()


def problem(traces: Traces, path: str, code: int = 400, **params: Any) -> dict[str, Any]:
    response = get(traces, path, **params)
    assert response.status_code == code, response.text
    assert response.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = response.json()
    assert found["status"] == code
    assert found["type"].startswith("urn:pilothouse:problem:")
    assert found["detail"]
    return found


def shop(traces: Traces) -> list[Span]:
    """A small trace of two services, with an error, and another trace."""
    spans = [
        span(1, 1, service="shop", name="buy", attributes={"http.status_code": 500, "user": "ann"}),
        span(1, 2, parent=1, at=10, service="cart", name="add", kind=3, status=2),
        span(2, 3, at=1000, service="cart", name="list", duration=5_000_000),
    ]
    traces.add(*spans)
    return spans


# lists


def test_services_and_operations(traces: Traces) -> None:
    shop(traces)
    assert answer(traces, "services") == {
        "services": [
            {"name": "cart", "lastSeen": rfc3339.render(NOW + 1000)},
            {"name": "shop", "lastSeen": rfc3339.render(NOW)},
        ]
    }
    found = answer(traces, "operations", service="cart")["operations"]
    assert [(o["name"], o["kind"]) for o in found] == [("add", "client"), ("list", "server")]
    assert len(answer(traces, "operations")["operations"]) == 3
    assert answer(traces, "operations", service="nobody") == {"operations": []}


def test_keys_and_values(traces: Traces) -> None:
    shop(traces)
    found = answer(traces, "keys", prefix="http", service="shop")
    assert found == {"keys": [{"key": "http.status_code", "level": "span", "types": ["int"], "count": 1}]}
    assert answer(traces, "values", key="user") == {"values": [{"value": "ann", "type": "string", "count": 1}]}
    assert answer(traces, "values", key="user", prefix="b") == {"values": []}
    assert problem(traces, "values")["where"] == "query parameter 'key'"
    assert len(answer(traces, "keys", limit=1)["keys"]) == 1


def test_dependencies(traces: Traces) -> None:
    shop(traces)
    edge = {"parent": "shop", "child": "cart", "callCount": 1, "errorCount": 1}
    assert answer(traces, "dependencies") == {"edges": [edge]}
    assert answer(traces, "dependencies", end="-30m") == {"edges": []}


# search


def found_ids(traces: Traces, **params: Any) -> list[int]:
    return [int(t["traceId"], 16) for t in answer(traces, "search", **params)["traces"]]


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({}, [2, 1]),
        ({"service": "shop"}, [1]),
        ({"service": "cart", "operation": "list"}, [2]),
        ({"filter": "http.status_code >= 500"}, [1]),
        ({"filter": "service = cart and not status = error"}, [2]),
        ({"filter": "  "}, [2, 1]),
        ({"minDuration": "1ms"}, [2]),
        ({"maxDuration": "1ms"}, [1]),
        ({"status": "error"}, [1]),
        ({"status": "unset", "service": "cart"}, [2]),
        ({"start": str(NOW + 1)}, [2, 1]),
        ({"start": str(NOW + 1), "service": "shop"}, []),
        ({"end": str(NOW + 1000)}, [1]),
        ({"start": "-61s", "end": "-59s"}, [2, 1]),
        ({"start": "-59s"}, []),
        ({"start": rfc3339.render(NOW), "end": rfc3339.render(NOW + 1)}, [1]),
        ({"start": "0", "end": "9" * 19}, [2, 1]),
        ({"start": "-90000d", "end": "+900000d"}, [2, 1]),
    ],
)
def test_search_by_every_parameter(traces: Traces, params: dict[str, str], found: list[int]) -> None:
    shop(traces)
    assert found_ids(traces, **params) == found


def test_a_search_answers_with_summaries(traces: Traces) -> None:
    shop(traces)
    assert answer(traces, "search", service="shop") == {
        "traces": [
            {
                "traceId": ID,
                "rootService": "shop",
                "rootOperation": "buy",
                "start": str(NOW),
                "durationNs": 1010,
                "spanCount": 2,
                "errorCount": 1,
                "orphanCount": 0,
                "services": [
                    {"name": "cart", "spanCount": 1, "errorCount": 1},
                    {"name": "shop", "spanCount": 1, "errorCount": 0},
                ],
            }
        ],
        "next": None,
        "warnings": [],
    }


def test_pages_go_on_by_their_cursor(traces: Traces) -> None:
    for n in range(1, 8):
        traces.add(span(n, n, at=n))
    found: list[int] = []
    cursor: dict[str, str] = {}
    for _ in range(4):
        page = answer(traces, "search", limit=2, **cursor)
        found += [int(t["traceId"], 16) for t in page["traces"]]
        traces.add(span(20 + len(found), 20 + len(found), at=3))
        cursor = {"cursor": page["next"] or ""}
    assert found == [7, 6, 5, 4, 3, 2, 1]
    assert cursor == {"cursor": ""}


@pytest.mark.parametrize(
    ("params", "where"),
    [
        ({"start": "yesterday"}, "query parameter 'start'"),
        ({"end": "2023-13-45T00:00:00Z"}, "query parameter 'end'"),
        ({"start": "-1parsec"}, "query parameter 'start'"),
        ({"start": "now"}, "query parameter 'end'"),
        ({"start": "-1h", "end": "-2h"}, "query parameter 'end'"),
        ({"minDuration": "soon"}, "query parameter 'minDuration'"),
        ({"maxDuration": "5"}, "query parameter 'maxDuration'"),
        ({"limit": "0"}, "query parameter 'limit'"),
        ({"limit": "1001"}, "query parameter 'limit'"),
        ({"limit": "many"}, "query parameter 'limit'"),
        ({"status": "broken"}, "query parameter 'status'"),
        ({"cursor": "nonsense"}, "cursor"),
        ({"servce": "shop"}, "query parameter 'servce'"),
        ({"service": ["a", "b"]}, "query parameter 'service'"),
    ],
)
@pytest.mark.parametrize("path", ["search", "export"])
def test_a_bad_parameter_is_named(traces: Traces, path: str, params: dict[str, Any], where: str) -> None:
    if path == "export" and params == {"limit": "1001"}:
        params = {"limit": "-1"}
    assert problem(traces, path, **params)["where"] == where


@pytest.mark.parametrize("text", ["service =", "a = 1 and", "(((", "x ~ [", "'; DROP TABLE spans_0; --"])
@pytest.mark.parametrize("path", ["search", "export"])
def test_a_bad_filter_is_explained(traces: Traces, path: str, text: str) -> None:
    shop(traces)
    assert problem(traces, path, filter=text)["detail"]
    assert traces.rows("SELECT count(*) FROM spans") == [(3,)]


@pytest.mark.parametrize("nasty", ["' OR 1=1 --", "\0", "$1", "%", "é" * 500, "<script>"])
def test_what_is_searched_never_becomes_code(traces: Traces, nasty: str) -> None:
    shop(traces)
    traces.add(span(9, 9, service=nasty or "x", name=nasty))
    assert found_ids(traces, service=nasty) == [9]
    assert found_ids(traces, operation=nasty) == [9]
    assert [o["name"] for o in answer(traces, "operations", service=nasty)["operations"]] == [nasty]


# traces and spans


def test_a_trace_and_its_spans(traces: Traces) -> None:
    shop(traces)
    view = answer(traces, ID)
    assert (view["traceId"], view["spanCount"], view["spans"]["parent"]) == (ID, 2, [-1, 0])
    assert [r["service"] for r in view["resources"]] == ["shop", "cart"]
    detail = answer(traces, f"{ID}/spans/{span_id(1).hex()}")
    assert {a["key"]: (a["type"], a["value"]) for a in detail["attributes"]} == {
        "http.status_code": ("int", "500"),
        "user": ("string", "ann"),
    }
    assert answer(traces, "1")["traceId"] == ID  # ids may be short, as Jaeger writes them


def test_an_unknown_trace_or_span_is_not_found(traces: Traces) -> None:
    shop(traces)
    for path in (f"{9:032x}", f"{ID}/spans/{9:016x}", f"{9:032x}/spans/{1:016x}"):
        found = problem(traces, path, 404)
        assert found["remedy"]


@pytest.mark.parametrize("path", ["zz", "0" * 32, "1" * 33, f"{ID}/spans/xyz", f"{ID}/spans/{'0' * 16}"])
def test_what_is_no_id_is_refused(traces: Traces, path: str) -> None:
    assert problem(traces, path)["detail"]


def test_parameters_are_refused_where_there_are_none(traces: Traces) -> None:
    assert problem(traces, "services", service="x")["detail"]
    assert problem(traces, ID, raw="true")["where"] == "query parameter 'raw'"


def test_every_endpoint_is_described(traces: Traces) -> None:
    endpoints = TracesApi(traces.store, traces.clock).endpoints()
    document = openapi({"traces": ("/api/traces", endpoints)}, title="t", version="1")
    assert len(document["paths"]) == len(endpoints) == 10
    json.dumps(document)


# following


def test_following_sends_every_committed_span_once(traces: Traces, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_TAIL_INTERVAL", 0.001)
    shop(traces)

    async def send(done: asyncio.Event) -> None:
        number = 100
        while not done.is_set():
            number += 1
            tailed = span(50, number, at=-(number % 3) * DAY, service="cart", name="tailed", kind=3, status=2)
            await asyncio.to_thread(traces.add, tailed, span(51, number, service="shop"))

    async def talk(client: httpx.AsyncClient) -> None:
        done = asyncio.Event()
        sending = asyncio.create_task(send(done))
        seen: list[int] = []
        async with client.stream("GET", "/api/traces/tail", params={"service": "cart"}) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            async for line in response.aiter_lines():
                if line.startswith("data: "):
                    data = json.loads(line.removeprefix("data: "))
                    assert not data["skipped"]
                    for s in data["spans"]:
                        assert (s["service"], s["name"], s["kind"], s["status"]) == (
                            "cart",
                            "tailed",
                            "client",
                            "error",
                        )
                        seen.append(int(s["spanId"], 16))
                if len(seen) >= 25:
                    break
        done.set()
        await sending
        assert seen == list(range(seen[0], seen[0] + len(seen)))

    serve(traces, talk)


def test_more_than_can_be_shown_at_once_is_cut_and_says_so(traces: Traces, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "_TAIL_INTERVAL", 0.001)
    monkeypatch.setattr(http, "_TAIL_SPANS", 2)
    (endpoint,) = (e for e in TracesApi(traces.store, traces.clock).endpoints() if e.stream)
    assert endpoint.params is not None
    events = endpoint.handler(endpoint.params())

    async def run() -> None:
        upcoming = asyncio.ensure_future(anext(events))
        for _ in range(1000):
            await asyncio.sleep(0.001)
            await asyncio.to_thread(shop, traces)
            traces.clock.advance(3600 * SECOND)  # so that it is no retransmission
            if upcoming.done():
                break
        event = await upcoming
        assert event.name == "spans"
        assert (len(event.data.spans), event.data.skipped) == (2, True)
        await events.aclose()

    asyncio.run(run())


def serve(traces: Traces, talk: Callable[[httpx.AsyncClient], Awaitable[None]]) -> None:
    service = HttpService("console", "127.0.0.1:0", app(traces))

    async def run() -> None:
        await service.start()
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{service.port}", timeout=60) as client:
                await talk(client)
        finally:
            await service.stop()

    asyncio.run(asyncio.wait_for(run(), 120))


# export


def rich(traces: Traces) -> list[Span]:
    """Spans with everything that both formats can carry."""
    spans = [
        span(1, 1, attributes={"s": "x", "i": 2**62, "d": 0.5, "b": True, "raw": b"\0\1"}, events=[Event(NOW, "e", {"a": 1})]),
        replace(span(1, 2, parent=1, at=5, service="cart"), links=(Link(trace_id(2), span_id(3)),)),
        span(2, 3, at=9, resource=Resource({"service.name": "shop", "host": "h"})),
    ]  # fmt: skip
    traces.add(*spans)
    return spans


def imported(content: bytes) -> list[Span]:
    """Spans as ``traces import`` reads a file of them."""
    parts = list(transfer.read("file", io.BufferedReader(io.BytesIO(content))))
    found: list[Span] = []
    for part in parts:
        assert isinstance(part, transfer.Part), part
        found += proto.decode_request(part.payload)
    return found


def test_an_export_in_otlp_is_imported_as_it_was(traces: Traces, tmp_path: Path) -> None:
    spans = rich(traces)
    response = get(traces, "export")
    assert response.headers["content-type"].startswith("application/x-ndjson")
    assert len(response.content.splitlines()) == 2
    assert sorted(imported(response.content), key=lambda s: s.span_id) == spans
    with Traces(tmp_path / "other") as other:
        other.add(*imported(response.content))
        for number in (1, 2):
            assert other.store.trace(trace_id(number)) == traces.store.trace(trace_id(number))
        assert other.store.summaries(query()) == traces.store.summaries(query())


def test_an_export_in_jaegers_format_is_imported_with_what_it_can_say(traces: Traces, tmp_path: Path) -> None:
    rich(traces)
    response = get(traces, "export", format="jaeger")
    document = response.json()
    assert [int(t["traceID"], 16) for t in document["data"]] == [2, 1]
    with Traces(tmp_path / "other") as other:
        other.add(*imported(response.content))
        for number in (1, 2):
            one, another = traces.store.trace(trace_id(number)), other.store.trace(trace_id(number))
            assert one is not None
            assert another is not None
            for mine, theirs in zip(one.spans, another.spans, strict=True):
                assert theirs.span_id == mine.span_id
                assert theirs.parent_span_id == mine.parent_span_id
                assert theirs.service == mine.service
                assert theirs.start // 1000 == mine.start // 1000
                assert {k: theirs.attributes.get(k) for k in mine.attributes} == mine.attributes
                assert [(x.trace_id, x.span_id) for x in theirs.links] == [(x.trace_id, x.span_id) for x in mine.links]
                assert [e.name for e in theirs.events] == [e.name for e in mine.events]


@pytest.mark.parametrize("format_", ["otlp", "jaeger"])
def test_an_export_of_nothing_is_an_empty_file(traces: Traces, format_: str) -> None:
    response = get(traces, "export", format=format_, service="nobody")
    assert response.status_code == 200
    assert response.content == b"" if format_ == "otlp" else response.json()["data"] == []


def test_an_export_of_chosen_traces_leaves_unknown_ones_out(traces: Traces) -> None:
    spans = rich(traces)
    response = get(traces, "export", traceId=[trace_id(2).hex(), f"{9:032x}"])
    assert imported(response.content) == [spans[2]]
    assert problem(traces, "export", traceId="zz")["detail"]


def test_an_export_has_a_limit_and_conditions(traces: Traces) -> None:
    rich(traces)
    assert {s.trace_id for s in imported(get(traces, "export", limit=1).content)} == {trace_id(2)}
    assert {s.trace_id for s in imported(get(traces, "export", service="cart").content)} == {trace_id(1)}
