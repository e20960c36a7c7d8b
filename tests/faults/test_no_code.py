"""What people send never becomes code: not SQL, not script, not more than a question may cost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import quote, urlencode

import pytest
from tests.faults.documented import rows
from tests.faults.server import JSON, NOW, Answer, Server, attribute, body, running, span

pytestmark = [pytest.mark.faults, pytest.mark.e2e]

SQL = [(row["Query"].strip("`"), int(row["HTTP"]), row["The answer says"]) for row in rows("SQL")]
GB = 1 << 30
TABLES = ("commits", "operations", "resources", "scopes", "segments", "shapes", "schema_version", "spans")

HOSTILE = (
    "'; DROP TABLE commits; --",
    "' OR '1'='1",
    '" OR "1"="1',
    "x') UNION SELECT * FROM schema_version --",
    "$1",
    "?",
    "%' ESCAPE '",
    "\\'; SELECT 1 --",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "javascript:alert(1)",
    "</textarea><svg/onload=alert(1)>",
    "{{7*7}}${7*7}",
    "../../../../etc/passwd",
    "a\r\nset-cookie: b=c",
    "\u202e\u2028\ufeff",
    "-- ; /* */",
)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server with one trace for each hostile text, which stands in every place that text can."""
    with running("--ephemeral", "--query-timeout", "2s") as started:
        for number, text in enumerate(HOSTILE, 1):
            made = span(number, name=text, trace_state=text, attributes=[attribute(text, text), attribute("key", text)])
            made.status.message = text
            made.events.add(name=text).attributes.append(attribute(text, text))
            made.links.add(trace_id=b"1" * 16, span_id=b"1" * 8).attributes.append(attribute(text, text))
            assert started.post(body(made, service=text, resource=[attribute(text, text)])).status == 200
        before = contents(started)
        yield started
        assert contents(started) == before
        assert started.status()["status"] == "ok"
        assert started.resident() < 2 * GB
        assert started.stop() == (0, "")


def contents(server: Server) -> list[int]:
    return [int(server.sql(f"SELECT count(*) FROM {table}")[0][0]) for table in TABLES]


def ask(server: Server, statement: str) -> Answer:
    return server.http("/api/sql", json.dumps({"sql": statement}).encode(), {"content-type": JSON})


@pytest.mark.parametrize(("statement", "status", "words"), SQL)
def test_documented_statements(server: Server, statement: str, status: int, words: str) -> None:
    answer = ask(server, statement)
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/problem+json"
    assert words in answer.json()["detail"]
    assert server.sql("SELECT 1") == [[1]]


def test_one_connection_after_the_other_is_as_good_as_new(server: Server) -> None:
    """More failures than there are connections for such queries: none may stay in a transaction."""
    for statement in (
        "FROM test_all_types()",
        "SELECT 'x'::INTEGER",
        "SELECT error('x')",
        "SELECT repeat('x', 90000000)",
    ):
        for _ in range(6):
            assert ask(server, statement).status in (400, 413)
    for _ in range(8):
        assert server.sql("SELECT count(*) FROM range(100000)") == [[100_000]]


def test_rows_are_cut(server: Server) -> None:
    answer = ask(server, "SELECT * FROM range(20000)").json()
    assert (len(answer["rows"]), answer["truncated"]) == (10_000, True)


@pytest.mark.parametrize(
    "request_body",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"{",
        b'{"sql": 1}',
        b'{"sql": ""}',
        b'{"sql": "x", "y": 1}',
        b'{"sql": "SELECT 1", "maxRows": -1}',
        b'{"sql": "SELECT 1", "timeout": "soon"}',
        b'{"sql": "' + b"x" * 200_000 + b'"}',
        b"\xff",
        b"[" * 100_000,
    ],
)
def test_what_is_no_question_is_a_readable_problem(server: Server, request_body: bytes) -> None:
    answer = server.http("/api/sql", request_body, {"content-type": JSON})
    assert answer.status == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]


def test_other_sites_cannot_send_queries(server: Server) -> None:
    """A form of another page can send text, but not JSON; and a rebound name is not ours."""
    statement = json.dumps({"sql": "SELECT 1"}).encode()
    assert server.http("/api/sql", statement, {"content-type": "text/plain"}).status == 415
    assert server.http("/api/sql", statement, {"content-type": JSON, "host": "evil.example"}).status in (400, 403, 421)


def safe(answer: Answer) -> None:
    """A browser can only take it for data."""
    kind = answer.headers["content-type"].partition(";")[0]
    # Jaeger's own words for an address that it does not have are plain text.
    assert kind in (JSON, "application/problem+json") or (answer.status, kind) == (404, "text/plain")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "script-src 'self'" in answer.headers["content-security-policy"] or (
        "default-src 'none'" in answer.headers["content-security-policy"]
    )
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("text", HOSTILE)
def test_our_search_finds_what_was_meant(server: Server, text: str) -> None:
    times = {"start": NOW - 3600 * 10**9, "end": NOW + 3600 * 10**9}
    wanted = f"{HOSTILE.index(text) + 1:032x}"
    for parameters in ({"service": text}, {"operation": text}, {"service": text, "operation": text}):
        answer = server.http("/api/traces/search?" + urlencode({**times, **parameters}))
        safe(answer)
        assert [found["traceId"] for found in answer.json()["traces"]] == [wanted]
    quoted = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    answer = server.http("/api/traces/search?" + urlencode({**times, "filter": f"key = {quoted}"}))
    safe(answer)
    if answer.status == 200:
        assert [found["traceId"] for found in answer.json()["traces"]] == [wanted]
    else:
        assert answer.status == 400
    for path in (f"operations?service={quote(text)}", f"keys?prefix={quote(text)}", f"values?key={quote(text)}"):
        safe(server.http(f"/api/traces/{path}"))
    for name in ("cursor", "limit", "minDuration", "status", "start", "filter", text):
        answer = server.http("/api/traces/search?" + urlencode({name: text}))
        safe(answer)
        assert answer.status == 400
    safe(server.http(f"/api/traces/{quote(text, safe='')}"))
    safe(server.http(f"/api/{quote(text, safe='')}"))
    shown = server.http(f"/api/traces/{wanted}")
    safe(shown)
    assert shown.json()["names"] == [text]


@pytest.mark.parametrize("text", HOSTILE)
def test_jaegers_search_finds_what_was_meant(server: Server, text: str) -> None:
    start, end = (NOW - 3600 * 10**9) // 1000, (NOW + 3600 * 10**9) // 1000
    wanted = f"{HOSTILE.index(text) + 1:x}"
    common = {"service": text, "start": start, "end": end, "limit": 10}
    for more in ({}, {"operation": text}, {"tags": json.dumps({"key": text})}, {"tags": json.dumps({text: text})}):
        answer = server.http("/api/traces?" + urlencode({**common, **more}), listener="jaeger_http")
        safe(answer)
        assert [t["traceID"].lstrip("0") for t in answer.json()["data"]] == [wanted], (answer.body, more)
    for name in ("tag", "tags", "minDuration", "limit", "start", "traceID"):
        answer = server.http("/api/traces?" + urlencode({"service": "x", name: text}), listener="jaeger_http")
        safe(answer)
        assert answer.status < 500
    for path in (
        f"/api/services/{quote(text, safe='')}/operations",
        f"/api/operations?service={quote(text)}&spanKind={quote(text)}",
        f"/api/traces/{quote(text, safe='')}",
        f"/api/v3/traces/{quote(text, safe='')}",
        f"/api/v3/operations?service={quote(text)}",
        f"/api/v3/traces?query.serviceName={quote(text)}&query.startTimeMin={quote(text)}",
        f"/api/dependencies?endTs={quote(text)}",
        f"/api/{quote(text, safe='')}",
    ):
        answer = server.http(path, listener="jaeger_http")
        safe(answer)
        assert answer.status < 500


def test_pages_allow_no_foreign_and_no_inline_script(server: Server) -> None:
    for path in ("/", "/traces", "/<script>", "/index.html"):
        answer = server.http(quote(path))
        policy = answer.headers["content-security-policy"]
        assert "script-src 'self'" in policy
        assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert b"<script>alert" not in answer.body
