"""The first generation, its answers and its error texts, against facts of jaegertracing/jaeger."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from msgspec.structs import replace
from tests.observe.traces.jaeger.memory import MS, T0, Client, MemoryStore, S, make_client, make_span, shop, trace_id

from pilothouse.formats.otlp.json import encode
from pilothouse.kit.config import Config, Query
from pilothouse.kit.errors import QueryTimeout
from pilothouse.observe.traces.model import Trace

US = T0 // 1000


@pytest.fixture
def store() -> MemoryStore:
    return shop()


@pytest.fixture
def client(store: MemoryStore) -> Client:
    return make_client(store)


def error_of(response: httpx.Response) -> str:
    """The one error of an answer, whose envelope is checked."""
    body = response.json()
    assert set(body) == {"data", "total", "limit", "offset", "errors"}
    assert body["data"] is None
    (error,) = body["errors"]
    assert error["code"] == response.status_code
    return str(error["msg"])


def test_services(client: Client) -> None:
    response = client.get("/api/services")
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {
        "data": ["bank", "front", "shop"], "total": 3, "limit": 0, "offset": 0, "errors": None,
    }  # fmt: skip
    assert make_client(MemoryStore()).get("/api/services").json()["data"] == []


def test_operations(client: Client) -> None:
    assert client.get("/api/services/front/operations").json()["data"] == ["GET /buy", "GET /look", "call"]
    body = client.get("/api/operations", service="front", spanKind="client").json()
    assert (body["data"], body["total"]) == ([{"name": "call", "spanKind": "client"}], 1)
    assert client.get("/api/operations", service="bank").json()["data"] == [{"name": "charge", "spanKind": ""}]


@pytest.mark.parametrize("name", ["a/b", "a b+c", "50%", "ünïcode", "../..", "'; DROP TABLE spans --", "operations"])
def test_service_names_in_the_path(name: str) -> None:
    client = make_client(MemoryStore([make_span(1, service=name)]))
    assert client.get(f"/api/services/{quote(name, safe='')}/operations").json()["data"] == ["buy"]


def test_search_answers_ui_traces(client: Client, store: MemoryStore) -> None:
    body = client.get("/api/traces", service="shop").json()
    assert (body["total"], body["limit"], body["offset"], body["errors"]) == (0, 0, 0, None)
    (trace,) = body["data"]
    assert trace["traceID"] == "0000000000000001"
    assert set(trace) == {"traceID", "spans", "processes", "warnings"}
    root, _, buy, charge = trace["spans"]
    assert (root["startTime"], root["duration"], root["references"]) == (US, 90_000, [])
    assert buy["references"] == [{"refType": "CHILD_OF", "traceID": trace["traceID"], "spanID": "0000000000000002"}]
    assert {"key": "error", "type": "bool", "value": True} in buy["tags"]
    assert {"key": "a/b", "type": "string", "value": "ä <x>"} in charge["tags"]
    assert trace["processes"][buy["processID"]]["serviceName"] == "shop"
    query = store.queries[0]
    assert query.limit == 100
    assert query.start == T0 + 60 * S - Config().query.lookback


def test_search_parameters_reach_the_store(client: Client, store: MemoryStore) -> None:
    client.get(
        "/api/traces", service="s", operation="o", start="1", end="2", limit="7", minDuration="1.5ms", maxDuration="2s",
        tag=["k:v:w", "x:y"], tags='{"x":"z"}',
    )  # fmt: skip
    query = store.queries[0]
    assert (query.service, query.operation, query.limit) == ("s", "o", 7)
    # Both ends include their whole microsecond.
    assert (query.start, query.end) == (1000, 3000)
    assert (query.duration_min, query.duration_max) == (1_500_000, 2 * S)
    assert query.attributes == (("k", "v:w"), ("x", "z"))


def test_search_needs_no_service(client: Client) -> None:
    assert len(client.get("/api/traces").json()["data"]) == 2


@pytest.mark.parametrize(
    ("tags", "traces"),
    [
        ({"error": "true"}, [1]),
        ({"error": "false"}, [2, 1]),
        ({"span.kind": "client"}, [1]),
        ({"otel.status_code": "ERROR", "otel.status_description": "no stock"}, [1]),
        ({"otel.scope.name": "lib"}, [2, 1]),
        ({"otel.scope.version": "2.0"}, []),
        ({"http.status_code": "200"}, [2]),
        ({"http.status_code": "500", "error": "true"}, []),  # of one span, not of one trace
        ({"w3c.tracestate": "a=b"}, []),
        ({"error": "maybe"}, []),
    ],
)
def test_tags_that_jaeger_makes_of_fields_can_be_searched(
    client: Client, tags: dict[str, str], traces: list[int]
) -> None:
    found = client.get("/api/traces", tags=json.dumps(tags)).json()["data"]
    assert [int(trace["traceID"], 16) for trace in found] == traces


def test_trace_ids_win_over_search(client: Client, store: MemoryStore) -> None:
    body = client.get("/api/traces", traceID=["1", "77", "1", "2"], service="none", start="5").json()
    assert [trace["traceID"] for trace in body["data"]] == ["0000000000000001", "0000000000000002"]
    assert body["errors"] == [{"msg": "trace not found", "traceID": "0000000000000077"}]
    assert not store.queries
    assert store.lookups[0] == (trace_id(1), 5000, None)


def test_get_trace(client: Client, store: MemoryStore) -> None:
    for text in ("1", "0000000000000001", "0" * 31 + "1"):
        body = client.get(f"/api/traces/{text}").json()
        assert len(body["data"][0]["spans"]) == 4
    client.get("/api/traces/1", start="10", end="20")
    assert store.lookups[-1] == (trace_id(1), 10_000, 21_000)


def test_unknown_trace(client: Client) -> None:
    response = client.get("/api/traces/abc")
    assert (response.status_code, error_of(response)) == (404, "trace not found")


@pytest.mark.parametrize(
    ("path", "params", "text"),
    [
        ("/api/traces", {"start": "x"}, "unable to parse param 'start': 'x' is not an integer"),
        ("/api/traces", {"end": "1.5"}, "unable to parse param 'end': '1.5' is not an integer"),
        ("/api/traces", {"end": "9" * 19}, "unable to parse param 'end': 9999999999999999999 is out of range"),
        ("/api/traces", {"start": "-1"}, "unable to parse param 'start': the time is not within"),
        ("/api/traces", {"end": "9" * 17}, "unable to parse param 'end': the time is not within"),
        ("/api/traces", {"end": "9" * 99}, "unable to parse param 'end': 99999"),
        ("/api/traces", {"start": "٣"}, "unable to parse param 'start': '٣' is not an integer"),
        ("/api/traces", {"limit": "many"}, "unable to parse param 'limit': 'many' is not an integer"),
        ("/api/traces", {"limit": "0"}, "invalid parameter: limit must be greater than 0"),
        ("/api/traces", {"limit": "-3"}, "invalid parameter: limit must be greater than 0"),
        ("/api/traces", {"limit": "10001"}, "invalid parameter: limit must not be greater than 10000"),
        ("/api/traces", {"minDuration": "3"}, "unable to parse param 'minDuration': '3' is not a duration"),
        ("/api/traces", {"maxDuration": "1y"}, "unable to parse param 'maxDuration': '1y' is not a duration"),
        (
            "/api/traces",
            {"minDuration": "2s", "maxDuration": "1s"},
            "'maxDuration' should be greater than 'minDuration'",
        ),
        ("/api/traces", {"start": "5", "end": "2"}, "invalid parameter: start time must be before end time"),
        ("/api/traces", {"raw": "yes"}, "unable to parse param 'raw': 'yes' is not a boolean"),
        ("/api/traces", {"tag": "novalue"}, "malformed 'tag' parameter, expecting key:value, received: novalue"),
        ("/api/traces", {"tag": ":v"}, "malformed 'tag' parameter, expecting key:value"),
        ("/api/traces", {"tags": "{"}, "malformed 'tags' parameter, cannot unmarshal JSON: "),
        ("/api/traces", {"tags": '{"a":1}'}, "malformed 'tags' parameter, cannot unmarshal JSON: "),
        ("/api/traces", {"tags": "[" * 9000}, "malformed 'tags' parameter, cannot unmarshal JSON: "),
        ("/api/traces", {"traceID": "xyz"}, "cannot parse traceID param: 'xyz' is no trace id"),
        ("/api/traces/xyz", {}, "'xyz' is no trace id"),
        ("/api/traces/0", {}, "the trace id is all zero"),
        ("/api/traces/" + "1" * 33, {}, "TraceID cannot be longer than 32 hex characters: "),
        ("/api/traces/1", {"start": "x"}, "unable to parse param 'start': "),
        ("/api/traces/1", {"end": "x"}, "unable to parse param 'end': "),
        ("/api/traces/1", {"raw": "2"}, "unable to parse param 'raw': "),
        ("/api/operations", {}, "parameter 'service' is required"),
        (
            "/api/operations",
            {"service": "s", "spanKind": "teapot"},
            "unable to parse param 'spanKind': unsupported span kind: 'teapot'",
        ),
        ("/api/dependencies", {"endTs": "x"}, "unable to parse param 'endTs': "),
        ("/api/dependencies", {"lookback": "1h"}, "unable to parse param 'lookback': "),
        ("/api/deep-dependencies", {}, "parameter 'service' is required"),
        ("/api/quality-metrics", {}, "parameter 'service' is required"),
    ],
)
def test_error_texts(client: Client, path: str, params: dict[str, str], text: str) -> None:
    response = client.get(path, **params)
    assert response.status_code == 400
    assert error_of(response).startswith(text)


@pytest.mark.parametrize("name", ["latencies", "calls", "errors", "minstep"])
def test_metrics_have_no_backend(client: Client, name: str) -> None:
    response = client.get(f"/api/metrics/{name}", service="shop", quantile="0.95")
    text = "trace metrics are currently disabled - no metrics backend configured"
    assert (response.status_code, error_of(response)) == (501, text)


def test_archive_has_no_storage(client: Client) -> None:
    response = client.request("POST", "/api/archive/1")
    assert (response.status_code, error_of(response)) == (500, "archive span storage was not configured")
    assert client.request("POST", "/api/archive/xyz").status_code == 400


def test_dependencies(client: Client, store: MemoryStore) -> None:
    body = client.get("/api/dependencies", endTs="1700000000000", lookback="60000").json()
    assert body["data"] == [
        {"parent": "front", "child": "shop", "callCount": 3},
        {"parent": "shop", "child": "bank", "callCount": 2},
    ]
    assert store.lookups[-1] == (b"", T0 - 60 * S, T0)
    client.get("/api/dependencies")
    assert store.lookups[-1] == (b"", T0 + 60 * S - 86400 * S, T0 + 60 * S)
    assert len(client.get("/api/dependencies", service="bank").json()["data"]) == 1


def test_transform_turns_otlp_into_ui_traces(client: Client, store: MemoryStore) -> None:
    response = client.request("POST", "/api/transform", content=encode(store.spans))
    data = response.json()["data"]
    assert [len(trace["spans"]) for trace in data] == [4, 1]
    assert data[0]["spans"][2] == client.get("/api/traces/1", raw="true").json()["data"][0]["spans"][2]


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":1}]}]}]}', b"\xff"]
)
def test_transform_refuses_what_is_not_otlp(client: Client, body: bytes) -> None:
    response = client.request("POST", "/api/transform", content=body)
    assert response.status_code == 400
    assert error_of(response).startswith("the body is no OTLP trace request in JSON")


def test_pretty_print_only_changes_the_layout(client: Client) -> None:
    for path in ("/api/traces", "/api/services", "/api/traces/1", "/api/dependencies"):
        plain, pretty = client.get(path), client.get(path, prettyPrint="true")
        assert pretty.json() == plain.json()
        assert pretty.text == json.dumps(plain.json(), indent=4, ensure_ascii=False)
        assert "\n" not in plain.text
        assert client.get(path, prettyPrint="false").text == plain.text


def test_raw_leaves_the_adjusters_out() -> None:
    client = make_client(MemoryStore([make_span(1, attributes={"ip": 1})]))

    def tags(**params: Any) -> dict[str, object]:
        return {
            t["key"]: t["value"] for t in client.get("/api/traces/1", **params).json()["data"][0]["spans"][0]["tags"]
        }

    assert tags()["ip"] == "0.0.0.1"
    assert tags(raw="1")["ip"] == 1


def test_long_traces_are_cut_with_a_warning() -> None:
    client = make_client(MemoryStore([make_span(n, start=n) for n in range(1, 6)], max_spans=3))
    for params in ({}, {"raw": "true"}):
        (trace,) = client.get("/api/traces/1", **params).json()["data"]
        assert len(trace["spans"]) == 3
        assert trace["spans"][0]["warnings"] == ["trace has more than 3 spans, showing first 3 spans only"]


def test_a_large_trace_arrives_whole() -> None:
    spans = [make_span(n, parent=n - 1, start=n) for n in range(1, 2502)]
    (trace,) = make_client(MemoryStore(spans)).get("/api/traces/1").json()["data"]
    assert [int(s["spanID"], 16) for s in trace["spans"]] == list(range(1, 2502))


class Failing(MemoryStore):
    """Fails after the first trace of a search."""

    def find(self, query: Any) -> Any:
        yield Trace(trace_id(1), (make_span(1),))
        raise QueryTimeout("the query took longer than 10s")


def test_what_fails_midway_is_told_at_the_end() -> None:
    response = make_client(Failing()).get("/api/traces")
    body = response.json()
    assert (response.status_code, len(body["data"])) == (200, 1)
    assert body["errors"] == [{"code": 504, "msg": "the query took longer than 10s"}]


def test_what_fails_at_once_has_its_own_status() -> None:
    class Broken(MemoryStore):
        def find(self, query: Any) -> Any:
            raise QueryTimeout("too slow")

    response = make_client(Broken()).get("/api/traces")
    assert (response.status_code, error_of(response)) == (504, "too slow")


def test_the_largest_limit_is_configured() -> None:
    client = make_client(shop(), replace(Config(), query=Query(max_rows=5)))
    assert client.get("/api/traces", limit="5").status_code == 200
    assert client.get("/api/traces", limit="6").status_code == 400


def test_deep_dependencies_are_read_from_traces(client: Client) -> None:
    body = client.get("/api/deep-dependencies", service="shop").json()
    assert body == client.get("/analytics/v1/dependencies", service="shop", start="0", end="0").json()
    (path,) = body["dependencies"]
    assert [(step["service"], step["operation"]) for step in path["path"]] == [
        ("front", "GET /buy"),
        ("shop", "buy"),
        ("bank", "charge"),
    ]
    assert path["attributes"] == [{"key": "exemplar_trace_id", "value": trace_id(1).hex()}]
    assert client.get("/api/deep-dependencies", service="shop", operation="other").json() == {"dependencies": []}


def test_quality_is_counted() -> None:
    spans = [
        make_span(1, start=MS),
        make_span(2, parent=1, start=0),  # before its parent
        make_span(3, parent=9, start=MS),  # parent missing
        make_span(3, parent=1, start=MS, name="twice"),
    ]
    body = make_client(MemoryStore(spans)).get("/api/quality-metrics", service="shop", hours="1").json()
    counts = {m["name"]: (m["passCount"], m["failureCount"]) for m in body["metrics"]}
    assert counts == {"HasParent": (3, 1), "HasRoot": (4, 0), "UniqueSpanId": (2, 2), "ClockAgrees": (3, 1)}
    assert {s["key"]: s["value"] for s in body["scores"]} == {"completeness": 87, "consistency": 62}
    failures = next(m for m in body["metrics"] if m["name"] == "HasParent")["failureExamples"]
    assert failures == [{"traceID": trace_id(1).hex(), "spanIDs": ["0000000000000003"]}]
    assert body["clients"][0]["version"] == "unknown"


@pytest.mark.parametrize("path", ["/api", "/api/", "/api/nothing", "/api/traces/", "/api/v3/nothing", "/analytics/x"])
def test_unknown_api_paths_are_404_and_no_page(client: Client, path: str) -> None:
    for method in ("GET", "POST"):
        response = client.request(method, path)
        assert response.status_code in (404, 400, 405)
        assert "html" not in response.headers["content-type"]
    if not path.startswith("/api/traces"):
        assert client.get(path).status_code == 404


def test_wrong_methods_are_404_as_in_jaeger(client: Client) -> None:
    for method, path in (("POST", "/api/services"), ("GET", "/api/archive/1"), ("DELETE", "/api/traces/1")):
        assert client.request(method, path).status_code == 404
    assert client.request("HEAD", "/api/services").status_code == 200
