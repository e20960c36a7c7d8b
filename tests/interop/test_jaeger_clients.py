"""The requests that Jaeger UI and Grafana's Jaeger data source make, over a socket, and what they read from the answers.

Which paths and parameters they use, and which fields they need, are facts of jaegertracing/jaeger-ui and grafana/grafana.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
import pytest
from msgspec.structs import replace
from tests.observe.traces.jaeger.memory import T0, MemoryStore, make_context, make_span, shop

from pilothouse.kit.config import Config, Listen, Server
from pilothouse.observe.traces.jaeger.service import services

pytestmark = pytest.mark.interop

_T = TypeVar("_T")
US = T0 // 1000


def served(
    question: Callable[[httpx.AsyncClient], Awaitable[_T]],
    store: MemoryStore | None = None,
    server: Server | None = None,
) -> _T:
    """Serves a store on any free port and asks one question."""

    async def run() -> _T:
        config = replace(Config(), listen=Listen(jaeger_http="127.0.0.1:0", jaeger_grpc=""), server=server or Server())
        (listener,) = services(make_context(config), store or shop())
        await listener.start()
        try:
            base = f"http://127.0.0.1:{listener.port}"  # type: ignore[attr-defined]
            async with httpx.AsyncClient(base_url=base, timeout=30) as client:
                return await question(client)
        finally:
            await listener.stop()

    return asyncio.run(run())


def get(path: str, **options: Any) -> httpx.Response:
    return served(lambda client: client.get(path), **options)


# Grafana, data source without gRPC


def test_grafana_lists_services_and_operations() -> None:
    assert get("/api/services").json()["data"] == ["bank", "front", "shop"]
    # Names are joined into the path with their slashes escaped.
    store = MemoryStore(
        [make_span(1, service="team/shop", name="a"), make_span(2, service="team/shop", name="a", kind=3)]
    )
    assert get(f"/api/services/{quote('team/shop', safe='')}/operations", store=store).json()["data"] == ["a"]


def test_grafana_searches_and_reads_a_trace() -> None:
    tags = quote(json.dumps({"http.status_code": "500"}))
    found = get(
        f"/api/traces?limit=20&maxDuration=10s&minDuration=1us&operation=GET+%2Fbuy&service=front&tags={tags}"
    ).json()
    (trace,) = found["data"]
    for span in trace["spans"]:
        assert isinstance(span["startTime"], int)
        assert isinstance(span["duration"], int)
        assert {"traceID", "spanID", "processID", "operationName", "logs", "references", "tags"} <= set(span)
        assert all(set(tag) == {"key", "type", "value"} for tag in span["tags"])
        assert trace["processes"][span["processID"]]["serviceName"]
    alone = get(f"/api/traces/{trace['traceID']}?start={US - 10}&end={US + 10_000_000}").json()
    assert alone["data"][0] == trace
    assert get("/api/traces/ffff").status_code == 404


def test_grafana_reads_dependencies() -> None:
    edges = get(f"/api/dependencies?endTs={US // 1000}&lookback=3600000").json()["data"]
    assert edges[0] == {"parent": "front", "child": "shop", "callCount": 3}


# Grafana, data source with jaegerEnableGrpcEndpoint


def test_grafana_reads_the_second_generation() -> None:
    assert get("/api/v3/services").json() == {"services": ["bank", "front", "shop"]}
    assert {o["name"] for o in get("/api/v3/operations?service=front").json()["operations"]} == {
        "GET /buy", "GET /look", "call",
    }  # fmt: skip
    times = "start_time_min=2023-11-14T22:00:00.5Z", "start_time_max=2023-11-15T06:00:00+02:00"
    for path in (
        "/api/v3/traces/00000000000000000000000000000001?start_time=2023-11-14T22:00:00Z&end_time=2023-11-15T06:00:00+02:00",
        f"/api/v3/traces?query.service_name=shop&query.{times[0]}&query.{times[1]}",
    ):
        groups = get(path).json()["result"]["resourceSpans"]
        spans = [span for group in groups for scope in group["scopeSpans"] for span in scope["spans"]]
        assert len(spans) == 4
        assert all(isinstance(span["startTimeUnixNano"], str) for span in spans)
    refused = get("/api/v3/traces/1?start_time=x")
    assert (refused.status_code, refused.json()["error"]["httpCode"]) == (400, 400)


# Jaeger UI


@pytest.mark.parametrize("names", ["camel", "snake"])
def test_jaeger_ui_searches_summaries(names: str) -> None:
    fields = {
        "serviceName": "front",
        "startTimeMin": "2023-11-14T00:00:00.000Z",
        "startTimeMax": "2023-11-15T00:00:00.000Z",
    }
    fields |= {"searchDepth": "20", "durationMin": "1us", "attributes": '{"error":"true"}'} if names == "camel" else {}
    params = {f"query.{name}": value for name, value in fields.items()}
    if names == "snake":
        params = {re.sub("[A-Z]", lambda m: "_" + m[0].lower(), name): value for name, value in params.items()}
        params |= {"query.span_name": "GET /buy", "query.num_traces": "20"}
    body = served(lambda client: client.get("/api/v3/trace-summaries", params=params)).json()
    if names == "camel":
        # No span of service front has an error of its own.
        assert body == {"summaries": []}
        return
    (summary,) = body["summaries"]
    assert re.fullmatch("[0-9a-f]{32}", summary["traceId"])
    assert int(summary["maxEndTimeUnixNano"]) > int(summary["minStartTimeUnixNano"])
    assert [s["name"] for s in summary["services"]] == ["bank", "front", "shop"]


def test_jaeger_ui_opens_and_compares_traces() -> None:
    assert get("/api/traces/1").json()["data"][0]["spans"][0]["operationName"] == "GET /buy"
    both = get("/api/traces?traceID=1&traceID=2&traceID=abc").json()
    assert [t["traceID"][-1] for t in both["data"]] == ["1", "2"]
    assert both["errors"] == [{"msg": "trace not found", "traceID": "0000000000000abc"}]


def test_jaeger_ui_shows_why_a_request_failed() -> None:
    """It shows ``errors[].msg`` when ``code`` is the status."""
    for path in ("/api/traces?start=x", "/api/metrics/calls?service=shop", "/api/traces/ffff"):
        response = get(path)
        (error,) = response.json()["errors"]
        assert error["code"] == response.status_code >= 400
        assert error["msg"]


# What nobody should send


HOSTILE = [
    "'; DROP TABLE spans; --",
    '" OR 1=1 --',
    "%' OR '1'='1",
    "<script>alert(1)</script>",
    "\\x00\x01\x7f",
    "a" * 20_000,
    "\u202eevil\u202c",
    "{{7*7}}${7*7}",
    "../../../../etc/passwd",
    "$(reboot)`reboot`",
    "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
]


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_values_are_only_values(value: str) -> None:
    names = [
        "service",
        "operation",
        "start",
        "end",
        "limit",
        "minDuration",
        "maxDuration",
        "tag",
        "tags",
        "traceID",
        "raw",
    ]
    names += ["prettyPrint", "spanKind", "endTs", "lookback", "hours"]
    second = ["serviceName", "operationName", "startTimeMin", "startTimeMax", "attributes", "filter", "searchDepth"]
    second += ["pagination.pageToken", "durationMin", "rawTraces"]
    paths = ["/api/traces", "/api/operations", "/api/dependencies", "/api/quality-metrics", "/api/deep-dependencies"]

    async def question(client: httpx.AsyncClient) -> list[httpx.Response]:
        asked = [client.get(path, params={name: value}) for path in paths for name in names]
        asked += [client.get("/api/v3/trace-summaries", params={f"query.{name}": value}) for name in second]
        asked += [client.get(f"{path}/{quote(value, safe='')}") for path in ("/api/traces", "/api/v3/traces", "/trace")]
        asked += [client.get(f"/api/services/{quote(value, safe='')}/operations")]
        return [await response for response in asked]

    for response in served(question):
        assert response.status_code in (200, 302, 400, 404), response.request.url
        assert "Traceback" not in response.text
        if response.status_code != 302:
            assert response.headers["content-type"].startswith(("application/json", "text/plain"))
            assert response.headers["x-content-type-options"] == "nosniff"


def test_names_from_traces_arrive_as_text() -> None:
    name = "<script>alert(1)</script>"
    store = MemoryStore([make_span(1, service=name, name=name, attributes={name: name})])
    for path in ("/api/services", "/api/traces/1", "/api/v3/traces/1", "/api/operations?service=" + quote(name)):
        response = get(path, store=store)
        assert response.headers["content-type"] == "application/json"
        assert name in json.dumps(response.json())


def test_a_token_guards_the_data() -> None:
    async def question(client: httpx.AsyncClient) -> list[int]:
        header = {"authorization": "Bearer secret"}
        return [
            (await client.get("/api/services")).status_code,
            (await client.get("/api/v3/services")).status_code,
            (await client.get("/api/services", headers=header)).status_code,
            (await client.get("/")).status_code,
        ]

    assert served(question, server=Server(token="secret")) == [401, 401, 200, 302]
