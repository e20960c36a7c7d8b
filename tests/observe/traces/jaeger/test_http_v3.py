"""The second generation: grpc-gateway's JSON, its errors, aliases, pages and the structured filter."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from tests.observe.traces.jaeger.memory import MS, T0, Client, MemoryStore, S, make_client, make_span, shop, trace_id

from pilothouse.formats.expression import decode_json
from pilothouse.formats.otlp.json import decode_request as from_json
from pilothouse.formats.otlp.model import Link
from pilothouse.formats.otlp.proto import decode_request
from pilothouse.kit.errors import QueryTimeout
from pilothouse.observe.traces.jaeger.http_v3 import capabilities
from pilothouse.observe.traces.model import Trace

MIN, MAX = "2023-11-14T00:00:00Z", "2023-11-15T00:00:00.123456789Z"
TIMES = {"query.startTimeMin": MIN, "query.startTimeMax": MAX}


@pytest.fixture
def store() -> MemoryStore:
    return shop()


@pytest.fixture
def client(store: MemoryStore) -> Client:
    return make_client(store)


def error_of(response: httpx.Response) -> str:
    error = response.json()["error"]
    assert error["httpCode"] == response.status_code
    return str(error["message"])


def spans_in(response: httpx.Response) -> list[Any]:
    assert response.status_code == 200, response.text
    groups = response.json()["result"]["resourceSpans"]
    return [span for group in groups for scope in group["scopeSpans"] for span in scope["spans"]]


def test_services_and_operations(client: Client) -> None:
    assert client.get("/api/v3/services").json() == {"services": ["bank", "front", "shop"]}
    # An operation whose spans name no kind reads as internal.
    assert client.get("/api/v3/operations", service="bank").json() == {
        "operations": [{"name": "charge", "spanKind": "internal"}]
    }
    for name in ("spanKind", "span_kind"):
        body = client.get("/api/v3/operations", service="front", **{name: "client"}).json()
        assert body == {"operations": [{"name": "call", "spanKind": "client"}]}
    empty = make_client(MemoryStore())
    assert empty.get("/api/v3/services").json() == {"services": []}
    assert empty.get("/api/v3/operations").json() == {"operations": []}


@pytest.mark.parametrize(
    "text",
    ["1", "00000000000000000000000000000001", "AAAAAAAAAAAAAAAAAAAAAQ==", "AAAAAAAAAAAAAAAAAAAAAQ", "AAAAAAAAAAE="],
)
def test_trace_ids_in_hex_and_base64(client: Client, text: str) -> None:
    assert len(spans_in(client.get(f"/api/v3/traces/{quote(text, safe='')}"))) == 4


def test_base64_with_slash_and_plus() -> None:
    raw = bytes.fromhex("fb" * 8 + "ff" * 8)
    client = make_client(MemoryStore([make_span(1, trace=int.from_bytes(raw, "big"))]))
    for text in ("+/v7+/v7+/v//////////w==", "-_v7-_v7-_v__________w"):
        assert len(spans_in(client.get(f"/api/v3/traces/{quote(text, safe='')}"))) == 1


def test_a_trace_is_otlp_json(client: Client, store: MemoryStore) -> None:
    response = client.get("/api/v3/traces/1", rawTraces="true")
    root = spans_in(response)[0]
    assert root == {
        "traceId": trace_id(1).hex(),
        "spanId": "0000000000000001",
        "name": "GET /buy",
        "kind": 2,
        "startTimeUnixNano": str(T0),
        "endTimeUnixNano": str(T0 + 90 * MS),
        "attributes": [{"key": "http.status_code", "value": {"intValue": "500"}}],
        "status": {},
    }
    assert decode_request(from_json(json.dumps(response.json()["result"]).encode())) == sorted(
        (s for s in store.spans if s.trace_id == trace_id(1)), key=lambda s: (s.service != "front", s.start)
    )


def test_lookup_window_and_its_aliases(client: Client, store: MemoryStore) -> None:
    client.get(
        "/api/v3/traces/1", startTime="2000-01-02T12:30:08.999999998Z", endTime="2000-04-05T21:55:16.999999992+08:00"
    )
    client.get(
        "/api/v3/traces/1", start_time="2000-01-02T12:30:08.999999998Z", end_time="2000-04-05T13:55:16.999999992Z"
    )
    # Grafana sends the plus unescaped.
    client.request(
        "GET", "/api/v3/traces/1?start_time=2000-01-02T12:30:08.999999998Z&end_time=2000-04-05T21:55:16.999999992+08:00"
    )
    window = (trace_id(1), 946816208999999998, 954942916999999992)
    assert store.lookups == [window] * 3


def test_no_trace(client: Client) -> None:
    for response in (
        client.get("/api/v3/traces/abc"),
        client.get("/api/v3/traces", **TIMES, **{"query.serviceName": "none"}),
    ):
        assert (response.status_code, error_of(response)) == (404, "No traces found")


def test_search(client: Client, store: MemoryStore) -> None:
    names = {
        "query.serviceName": "front",
        "query.operationName": "GET /buy",
        "query.durationMin": "1ms",
        "query.durationMax": "2m",
        "query.searchDepth": "3",
        "query.attributes": '{"http.status_code":"500"}',
    }
    assert len(spans_in(client.get("/api/v3/traces", **TIMES, **names))) == 4
    query = store.queries[0]
    assert (query.service, query.operation, query.limit) == ("front", "GET /buy", 3)
    assert (query.start, query.end) == (1_699_920_000 * S, 1_700_006_400 * S + 123456789)
    assert (query.duration_min, query.duration_max) == (MS, 120 * S)
    aliases = {
        "query.service_name": "front",
        "query.operation_name": "GET /buy",
        "query.start_time_min": MIN,
        "query.start_time_max": MAX,
        "query.duration_min": "1ms",
        "query.duration_max": "2m",
        "query.num_traces": "3",
        "query.attributes": '{"http.status_code":"500"}',
        "query.raw_traces": "false",
    }
    client.get("/api/v3/traces", **aliases)
    aliases["query.search_depth"] = aliases.pop("query.num_traces")
    client.get("/api/v3/traces", **aliases)
    assert store.queries[1:] == [query, query]


def test_search_needs_no_service(client: Client, store: MemoryStore) -> None:
    assert len(spans_in(client.get("/api/v3/traces", **TIMES))) == 5
    assert store.queries[0].limit == 100
    assert len(spans_in(client.get("/api/v3/traces", **TIMES, **{"query.attributes": '{"error":"true"}'}))) == 4


def test_summaries(client: Client) -> None:
    body = client.get("/api/v3/trace-summaries", **TIMES).json()
    assert body == {
        "summaries": [
            {
                "traceId": trace_id(2).hex(),
                "rootServiceName": "front",
                "rootOperationName": "GET /look",
                "minStartTimeUnixNano": str(T0 + S),
                "maxEndTimeUnixNano": str(T0 + S + 10 * MS),
                "spanCount": 1,
                "services": [{"name": "front", "spanCount": 1}],
            },
            {
                "traceId": trace_id(1).hex(),
                "rootServiceName": "front",
                "rootOperationName": "GET /buy",
                "minStartTimeUnixNano": str(T0),
                "maxEndTimeUnixNano": str(T0 + 90 * MS),
                "spanCount": 4,
                "errorSpanCount": 1,
                "services": [
                    {"name": "bank", "spanCount": 1},
                    {"name": "front", "spanCount": 2},
                    {"name": "shop", "spanCount": 1, "errorSpanCount": 1},
                ],
            },
        ]
    }


def test_no_summary_is_no_error(client: Client) -> None:
    response = client.get("/api/v3/trace-summaries", **TIMES, **{"query.serviceName": "none"})
    assert (response.status_code, response.json()) == (200, {"summaries": []})


def test_pages_neither_skip_nor_repeat() -> None:
    client = make_client(MemoryStore([make_span(n, trace=n, start=n) for n in range(1, 8)]))
    seen: list[str] = []
    params = {**TIMES, "query.pagination.pageSize": "3"}
    for _ in range(3):
        body = client.get("/api/v3/trace-summaries", **params).json()
        seen += [summary["traceId"] for summary in body["summaries"]]
        params["query.pagination.pageToken"] = body.get("nextPageToken", "")
    assert seen == [trace_id(n).hex() for n in range(7, 0, -1)]
    assert not params["query.pagination.pageToken"]
    # Who does not ask for pages does not get a token.
    assert "nextPageToken" not in client.get("/api/v3/trace-summaries", **TIMES, **{"query.searchDepth": "3"}).json()


def call(op: str, *args: object) -> str:
    return json.dumps({"op": op, "args": args})


@pytest.mark.parametrize(
    ("text", "traces"),
    [
        (call("eq", {"attr": {"key": "http.status_code"}}, {"scalar": {"value": "500"}}), [1]),
        (call("eq", {"attr": {"key": "http.status_code"}}, {"scalar": {"value": "200", "type": "int"}}), []),
        (call("gt", {"field": {"name": "duration", "level": "span"}}, {"scalar": {"value": "50ms"}}), [1]),
        (call("regex", {"field": {"name": "name", "level": "span"}}, {"scalar": {"value": "GET"}}), [2, 1]),
    ],
)
def test_structured_filter(client: Client, text: str, traces: list[int]) -> None:
    body = client.get("/api/v3/trace-summaries", **TIMES, **{"query.filter": text}).json()
    assert [int(s["traceId"], 16) for s in body["summaries"]] == traces


@pytest.mark.parametrize(
    ("path", "params", "text"),
    [
        ("/api/v3/traces/xyz", {}, "malformed parameter trace_id: 'xyz' is no trace id"),
        ("/api/v3/traces/0", {}, "malformed parameter trace_id: "),
        ("/api/v3/traces/1", {"startTime": "abc"}, "malformed parameter startTime: 'abc' is not an RFC 3339 time"),
        ("/api/v3/traces/1", {"start_time": "abc"}, "malformed parameter start_time: "),
        ("/api/v3/traces/1", {"endTime": "xyz"}, "malformed parameter endTime: "),
        ("/api/v3/traces/1", {"end_time": "0001-01-01T00:00:00Z"}, "malformed parameter end_time: the time is not"),
        ("/api/v3/traces/1", {"rawTraces": "foobar"}, "malformed parameter rawTraces: 'foobar' is not a boolean"),
        ("/api/v3/traces/1", {"raw_traces": "foobar"}, "malformed parameter raw_traces: "),
        ("/api/v3/traces", {}, "query.startTimeMin and query.startTimeMax are required"),
        (
            "/api/v3/trace-summaries",
            {"query.startTimeMin": MIN},
            "query.startTimeMin and query.startTimeMax are required",
        ),
        (
            "/api/v3/traces",
            {"query.startTimeMin": MAX, "query.startTimeMax": MIN},
            "query.startTimeMin must be before query.startTimeMax",
        ),
        (
            "/api/v3/traces",
            {"query.startTimeMin": "1", "query.startTimeMax": MAX},
            "malformed parameter query.startTimeMin: ",
        ),
        ("/api/v3/traces", {"query.start_time_max": "1"}, "malformed parameter query.start_time_max: "),
        (
            "/api/v3/traces",
            {**TIMES, "query.searchDepth": "x"},
            "malformed parameter query.searchDepth: 'x' is not an integer",
        ),
        (
            "/api/v3/traces",
            {**TIMES, "query.search_depth": "-1"},
            "malformed parameter query.search_depth: -1 is not within",
        ),
        (
            "/api/v3/traces",
            {**TIMES, "query.num_traces": "99999"},
            "malformed parameter query.num_traces: 99999 is not",
        ),
        ("/api/v3/traces", {**TIMES, "query.durationMin": "1"}, "malformed parameter query.durationMin: '1' is not a"),
        (
            "/api/v3/traces",
            {**TIMES, "query.duration_max": "1"},
            "malformed parameter query.duration_max: '1' is not a",
        ),
        (
            "/api/v3/traces",
            {**TIMES, "query.durationMin": "2s", "query.durationMax": "1s"},
            "malformed parameter query.durationMax: it is less than query.durationMin",
        ),
        ("/api/v3/traces", {**TIMES, "query.rawTraces": "si"}, "malformed parameter query.rawTraces: "),
        ("/api/v3/traces", {**TIMES, "query.attributes": "[]"}, "malformed parameter query.attributes: "),
        ("/api/v3/traces", {**TIMES, "query.attributes": '{"":"x"}'}, "malformed parameter query.attributes: "),
        ("/api/v3/traces", {**TIMES, "query.filter": '{"op":"eq",'}, "malformed parameter query.filter: "),
        (
            "/api/v3/traces",
            {**TIMES, "query.filter": call("like")},
            "malformed parameter query.filter: query.filter.op: ",
        ),
        (
            "/api/v3/traces",
            {**TIMES, "query.filter": call("like"), "query.service_name": "s", "query.durationMin": "1s"},
            "query.filter excludes query.service_name, query.durationMin",
        ),
        (
            "/api/v3/traces",
            {**TIMES, "query.pagination.pageSize": "0"},
            "malformed parameter query.pagination.pageSize: ",
        ),
        (
            "/api/v3/traces",
            {**TIMES, "query.pagination.pageToken": "t"},
            "malformed parameter query.pagination.pageSize: ",
        ),
        (
            "/api/v3/traces",
            {**TIMES, "query.pagination.pageSize": "5", "query.searchDepth": "5"},
            "query.pagination excludes query.searchDepth",
        ),
        ("/api/v3/operations", {"spanKind": "teapot"}, "malformed parameter spanKind: unsupported span kind: 'teapot'"),
        ("/api/v3/dependencies", {"startTime": MIN}, "startTime and endTime are required"),
        ("/api/v3/dependencies", {"startTime": MAX, "endTime": MIN}, "startTime must be before endTime"),
    ],
)
def test_error_texts(client: Client, path: str, params: dict[str, str], text: str) -> None:
    response = client.get(path, **params)
    assert response.status_code == 400
    assert error_of(response).startswith(text)


def test_dependencies(client: Client, store: MemoryStore) -> None:
    for names in (("startTime", "endTime"), ("start_time", "end_time")):
        body = client.get("/api/v3/dependencies", **dict(zip(names, (MIN, MAX), strict=True))).json()
        assert body["dependencies"][0] == {"parent": "front", "child": "shop", "callCount": "3"}
    assert store.lookups[-1] == (b"", 1_699_920_000 * S, 1_700_006_400 * S + 123456789)


def test_capabilities_are_true(client: Client) -> None:
    found = client.get("/api/v3/capabilities").json()["search"]
    assert found == capabilities()
    attr, scalar = {"attr": {"key": "k"}}, {"scalar": {"value": "1"}}
    predicate = {"call": {"op": "exists", "args": [attr]}}
    args: dict[str, list[object]] = {
        "and": [predicate, predicate],
        "or": [predicate, predicate],
        "not": [predicate],
        "exists": [attr],
        "in": [attr, {"list": {"values": ["1"], "type": "int"}}],
        "not_in": [attr, {"list": {"values": ["1"], "type": "int"}}],
        "some": [{"nested": {"level": "event"}}, predicate],
    }
    for op in found["filter"]["operators"]:
        decode_json(call(op, *args.get(op, [attr, scalar])))
    assert found["filter"]["levels"] == ["span", "resource", "scope", "event", "link"]


def test_raw_leaves_the_adjusters_out() -> None:
    span = make_span(1, links=(Link(b"", b""),))
    client = make_client(MemoryStore([span]))
    assert "links" in spans_in(client.get("/api/v3/traces/1", rawTraces="true"))[0]
    adjusted = spans_in(client.get("/api/v3/traces/1"))[0]
    assert adjusted["attributes"][0]["key"] == "@jaeger@warnings"


def test_a_large_trace_arrives_whole() -> None:
    spans = [make_span(n, start=n) for n in range(1, 2502)]
    found = spans_in(make_client(MemoryStore(spans)).get("/api/v3/traces/1"))
    assert [int(s["spanId"], 16) for s in found] == list(range(1, 2502))


def test_what_fails_midway_is_told_beside_the_result() -> None:
    class Failing(MemoryStore):
        def find(self, query: Any) -> Any:
            yield Trace(trace_id(1), (make_span(1),))
            raise QueryTimeout("too slow")

    response = make_client(Failing()).get("/api/v3/traces", **TIMES)
    assert len(spans_in(response)) == 1
    assert response.json()["error"] == {"httpCode": 504, "message": "too slow"}


def test_what_fails_at_once_has_its_own_status() -> None:
    class Broken(MemoryStore):
        def summaries(self, query: Any) -> Any:
            raise QueryTimeout("too slow")

    response = make_client(Broken()).get("/api/v3/trace-summaries", **TIMES)
    assert (response.status_code, error_of(response)) == (504, "too slow")
