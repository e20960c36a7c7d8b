"""A whole process in one loop: listeners, health, status, SQL, console, and an orderly end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec import Struct

from pilothouse.kit.capability import Capability, Context
from pilothouse.kit.config import load
from pilothouse.kit.errors import PortTaken
from pilothouse.kit.health import Health, Status
from pilothouse.kit.http import Endpoint
from pilothouse.kit.service import Service
from pilothouse.kit.telemetry import Ledger
from pilothouse.server.app import House

OFF = {"listen.otlp_grpc": "", "listen.otlp_http": "", "listen.jaeger_http": "", "listen.jaeger_grpc": ""}
OWN = {f"listen.{name}": "127.0.0.1:0" for name in ("console", "health", "metrics")}


class Echo(Struct):
    text: str


class Worker:
    """A capability's service whose health the test decides."""

    name = "digger"

    def __init__(self) -> None:
        self.state = Health(Status.OK)

    async def start(self) -> None:
        """Nothing to start."""

    async def stop(self) -> None:
        """Nothing to stop."""

    def health(self) -> Health:
        return self.state


def dig(worker: Worker, ledger: Ledger) -> Capability:
    def services(context: Context) -> Sequence[Service]:
        context.ledgers["dig"] = ledger
        return [worker]

    def endpoints(context: Context) -> Sequence[Endpoint]:
        async def echo(params: Echo) -> Echo:
            return params

        return [Endpoint("GET", "/echo", echo, "Echo", params=Echo, returns=Echo)]

    return Capability("dig", "Dig", "observe", "Digs.", endpoints, services)


class Running:
    def __init__(self, house: House, worker: Worker, ledger: Ledger) -> None:
        self.house, self.worker, self.ledger = house, worker, ledger
        self.client = httpx.AsyncClient()

    async def get(self, listener: str, path: str, **options: Any) -> httpx.Response:
        base = next(x.url for x in self.house.listeners() if x.name == listener)
        return await self.client.request(options.pop("method", "GET"), base + path, **options)


def run(talk: Callable[[Running], Awaitable[None]], env: dict[str, str] | None = None, **flags: Any) -> None:
    worker, ledger = Worker(), Ledger()
    effective = load({**OFF, **OWN, "server.ephemeral": True, **flags}, env or {})

    async def main() -> None:
        house = House(effective, found=[dig(worker, ledger)])
        await house.supervisor.start()
        running = Running(house, worker, ledger)
        try:
            await talk(running)
        finally:
            await running.client.aclose()
            await house.supervisor.stop()
        assert {h.status for h in house.health().values()} == {Status.STOPPED}

    asyncio.run(main())


def test_status_tells_everything() -> None:
    async def talk(running: Running) -> None:
        running.ledger.post(received=10, stored=7, refused={"queue_full": 3})
        answer = (await running.get("console", "/api/status")).json()
        assert (answer["status"], answer["ephemeral"], answer["dataDir"]) == ("ok", True, "")
        assert {x["name"] for x in answer["listeners"]} == {"console", "metrics", "health"}
        assert answer["capabilities"] == [{"name": "dig", "title": "Dig", "plane": "observe", "summary": "Digs."}]
        assert (answer["ingest"]["received"], answer["ingest"]["refused"]) == (10, {"queue_full": 3})
        assert answer["store"]["spans"] == 0
        assert answer["store"]["oldest"] is None
        assert {c["status"] for c in answer["components"]} == {"ok"}

    run(talk)


def test_a_capability_is_mounted_under_its_name_and_described() -> None:
    async def talk(running: Running) -> None:
        assert (await running.get("console", "/api/dig/echo?text=hi")).json() == {"text": "hi"}
        paths = (await running.get("console", "/api/openapi.json")).json()["paths"]
        assert {"/api/dig/echo", "/api/status", "/api/sql"} <= set(paths)

    run(talk)


def test_sql_runs_and_is_limited() -> None:
    async def talk(running: Running) -> None:
        async def ask(body: dict[str, Any]) -> httpx.Response:
            return await running.get("console", "/api/sql", method="POST", json=body)

        answer = (await ask({"sql": "select 1 as one, 'x' as two"})).json()
        assert [c["name"] for c in answer["columns"]] == ["one", "two"]
        assert (answer["rows"], answer["truncated"]) == ([[1, "x"]], False)
        cut = (await ask({"sql": "select * from range(100)", "maxRows": 5})).json()
        assert (len(cut["rows"]), cut["truncated"]) == (5, True)
        for wrong in (
            {"sql": ""},
            {"sql": "select 1", "timeout": "soon"},
            {"sql": "select 1", "rows": 5},
            {"sql": "selekt"},
        ):
            assert (await ask(wrong)).status_code == 400
        assert (await running.get("console", "/api/sql?sql=select", method="GET")).status_code == 405
        plain = await running.get("console", "/api/sql", method="POST", content="select 1")
        assert plain.status_code == 415

    run(talk)


def test_health_in_the_collectors_form() -> None:
    async def talk(running: Running) -> None:
        plain = await running.get("health", "/status")
        assert plain.status_code == 200
        assert set(plain.json()) == {"start_time", "healthy", "status", "status_time"}
        verbose = (await running.get("health", "/status?verbose")).json()
        assert verbose["components"]["pipeline:dig"]["components"]["digger"]["status"] == "StatusOK"
        assert "accounting" in verbose["components"]["extensions"]["components"]
        assert (await running.get("health", "/status?pipeline=dig")).status_code == 200
        assert (await running.get("health", "/status?pipeline=other")).status_code == 404

        running.worker.state = Health(Status.RECOVERABLE, "tired", 5)
        tired = await running.get("health", "/status?pipeline=dig&verbose")
        assert (tired.status_code, tired.json()["status"], tired.json()["error"]) == (
            200,
            "StatusRecoverableError",
            "tired",
        )
        running.worker.state = Health(Status.FATAL, "dead", 5)
        dead = await running.get("health", "/status")
        assert (dead.status_code, dead.json()["healthy"]) == (500, False)
        running.worker.state = Health(Status.STARTING)
        assert (await running.get("health", "/status")).status_code == 503

    run(talk)


def test_metrics() -> None:
    async def talk(running: Running) -> None:
        await running.get("console", "/api/status")
        text = (await running.get("metrics", "/metrics")).text
        assert "otelcol_process_memory_rss_bytes " in text
        assert "otelcol_process_cpu_seconds_total " in text
        assert 'http_route="/api/status"' in text

    run(talk)


def test_books_that_do_not_balance_are_a_permanent_error() -> None:
    async def talk(running: Running) -> None:
        running.ledger.post(received=2, stored=1)
        accounting = next(s for s in running.house._services if s.name == "accounting")
        accounting.check()  # type: ignore[attr-defined]  # what it does every second
        answer = (await running.get("console", "/api/status")).json()
        assert answer["status"] == "permanent"
        assert any("off by 1" in c["reason"] for c in answer["components"])

    run(talk)


def test_the_console_or_how_to_build_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from pilothouse.server import app, console

    async def without(running: Running) -> None:
        page = await running.get("console", "/traces/search")
        assert "make console" in page.text
        assert page.headers["content-security-policy"]

    monkeypatch.setattr(
        app, "console_routes", lambda *, enabled: console.console_routes(tmp_path / "none", enabled=enabled)
    )
    run(without)

    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<title>Console</title>")
    (tmp_path / "assets" / "index-Ab12_cd9.js").write_text("1")
    (tmp_path / "favicon.svg").write_text("<svg/>")

    async def with_it(running: Running) -> None:
        for path in ("/", "/traces/search?service=a", "/traces/abc"):
            page = await running.get("console", path)
            assert page.text == "<title>Console</title>"
            assert page.headers["cache-control"] == "no-cache"
        script = await running.get("console", "/assets/index-Ab12_cd9.js")
        assert "immutable" in script.headers["cache-control"]
        assert script.headers["content-type"].startswith("text/javascript")
        assert (await running.get("console", "/favicon.svg")).headers["cache-control"] == "no-cache"
        for missing in ("/assets/other-12345678.js", "/../pyproject.toml", "/api/none", "/api/dig/none"):
            answer = await running.get("console", missing)
            assert answer.status_code == 404, missing
            assert answer.headers["content-type"] == "application/problem+json"

    monkeypatch.setattr(app, "console_routes", lambda *, enabled: console.console_routes(tmp_path, enabled=enabled))
    run(with_it)


def test_a_token_protects_the_api_but_not_the_page_that_asks_for_it() -> None:
    async def talk(running: Running) -> None:
        assert (await running.get("console", "/")).status_code == 200
        assert (await running.get("console", "/api/status")).status_code == 401
        assert (await running.get("metrics", "/metrics")).status_code == 401
        assert (await running.get("health", "/status")).status_code == 200
        good = {"authorization": "Bearer s3cret"}
        assert (await running.get("console", "/api/status", headers=good)).status_code == 200

    run(talk, {"PILOTHOUSE_SERVER__TOKEN": "s3cret"})


def test_a_taken_port_undoes_the_start() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = f"127.0.0.1:{other.getsockname()[1]}"

        async def main() -> None:
            house = House(
                load({**OFF, **OWN, "server.ephemeral": True, "listen.console": taken}, {}),
                found=[dig(Worker(), Ledger())],
            )
            with pytest.raises(PortTaken):
                await house.supervisor.start()
            health = house.health()
            assert health.pop("listener console").status is Status.FATAL
            assert {h.status for h in health.values()} == {Status.STOPPED}

        asyncio.run(main())
