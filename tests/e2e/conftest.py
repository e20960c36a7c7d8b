"""The whole of Pilothouse as its own process, spans sent by the real SDK, and a real browser in front of it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest
from tests.e2e import seed
from tests.e2e.support import Server, Watched, status

import pilothouse

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request

CONSOLE = Path(pilothouse.__file__).parent / "server" / "static" / "console"
Look = tuple[int, Literal["dark", "light"]]
_FLAGS = ("console", "otlp-grpc", "otlp-http", "jaeger-http", "jaeger-grpc", "metrics", "health")
_ARGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Starts ``pilothouse up --ephemeral``, sends it traces by the OpenTelemetry SDK and waits until they are stored."""
    pytest.importorskip("opentelemetry.sdk", reason="the OpenTelemetry SDK is not installed (extra: demo)")
    home = tmp_path_factory.mktemp("house")
    ports = dict(zip(_FLAGS, _free_ports(len(_FLAGS)), strict=True))
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PILOTHOUSE_")}
    environment |= {"XDG_DATA_HOME": str(home / "data"), "XDG_CONFIG_HOME": str(home / "config")}
    command = [sys.executable, "-m", "pilothouse", "up", "--ephemeral"]
    command += [f"--{flag}=127.0.0.1:{port}" for flag, port in ports.items()]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment, cwd=home)
    url, otlp = f"http://127.0.0.1:{ports['console']}", f"http://127.0.0.1:{ports['otlp-http']}"
    try:
        _wait_for(lambda: status(url), process, home / "log")
        seeded = seed.send(otlp)
        _wait_for(lambda: status(url)["store"]["spans"] >= seeded.spans, process, home / "log")
        yield Server(url, otlp, seeded)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(ready: Any, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            pytest.fail(f"pilothouse up ended with {process.returncode}:\n{log.read_text(errors='replace')}")
        try:
            if ready():
                return
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.1)
    pytest.fail(f"pilothouse up was not ready in time:\n{log.read_text(errors='replace')}")


@pytest.fixture(scope="session")
def browser(chromium: Path) -> Iterator[Browser]:
    """One Chromium for all tests."""
    if not (CONSOLE / "index.html").is_file():
        pytest.skip("the console is not built: make console")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=str(chromium), args=list(_ARGS))
        yield found
        found.close()


@pytest.fixture(params=[(1440, "dark"), (1440, "light"), (390, "dark"), (390, "light")], ids=lambda p: f"{p[0]}-{p[1]}")
def look(request: pytest.FixtureRequest) -> Look:
    """The widths and themes every page is designed for."""
    found: Look = request.param
    return found


@pytest.fixture
def context(browser: Browser, request: pytest.FixtureRequest) -> Iterator[BrowserContext]:
    """A fresh profile, in the test's ``look`` when it asks for one."""
    wanted: Look = request.getfixturevalue("look") if "look" in request.fixturenames else (1440, "dark")
    width, scheme = wanted
    made = browser.new_context(
        viewport={"width": width, "height": 844 if width < 500 else 900},
        color_scheme=scheme,
        permissions=["clipboard-read", "clipboard-write"],
    )
    made.set_default_timeout(15_000)
    yield made
    made.close()


@pytest.fixture
def watched(context: BrowserContext, server: Server) -> Iterator[Watched]:
    """A page that fails its test on a console error, an exception, or a request to another host."""
    page = context.new_page()
    found = Watched(page)

    def on_console(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            found.errors.append(f"console {message.type}: {message.text}")

    def on_request(request: Request) -> None:
        if not request.url.startswith((server.url, "data:", "blob:")):
            found.errors.append(f"request to another host: {request.url}")

    page.on("console", on_console)
    page.on("request", on_request)
    page.on("pageerror", lambda error: found.errors.append(f"exception: {error}"))
    yield found
    assert found.unexpected() == []


@pytest.fixture
def page(watched: Watched) -> Page:
    """The watched page itself, for tests that provoke no error."""
    return watched.page
