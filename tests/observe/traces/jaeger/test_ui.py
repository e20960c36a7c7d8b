"""Serving an operator's Jaeger UI build: what is filled in, what is served, and what must never be."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.observe.traces.jaeger.memory import Client, make_client, shop

from pilothouse.kit.config import Config, Console, Listen, Server
from pilothouse.kit.errors import ConfigError
from pilothouse.observe.traces.jaeger.ui import Assets, console_path, holds_no_data

#: The lines a build of Jaeger UI has for the server, in a page of our own.
PAGE = """<!doctype html>
<html><head><script>
      // JAEGER_CONFIG_JS

      function getJaegerUiConfig() {
        const DEFAULT_CONFIG = null;
        const JAEGER_CONFIG = DEFAULT_CONFIG;
        return JAEGER_CONFIG;
      }
        const JAEGER_STORAGE_CAPABILITIES = DEFAULT_STORAGE_CAPABILITIES;
        const JAEGER_BACKEND_CAPABILITIES = DEFAULT_BACKEND_CAPABILITIES;
        const JAEGER_VERSION = DEFAULT_VERSION;
</script></head><body><div id="jaeger-ui-root"></div></body></html>
"""


@pytest.fixture
def build(tmp_path: Path) -> Path:
    (tmp_path / "secret.txt").write_text("not for you")
    root = tmp_path / "build"
    (root / "static").mkdir(parents=True)
    (root / "index.html").write_text(PAGE)
    (root / "static" / "main.js").write_text("run()")
    (root / "favicon.ico").write_bytes(b"icon")
    (root / ".env").write_text("not for you")
    (root / "static" / "escape").symlink_to(tmp_path / "secret.txt")
    return root


def client_of(build: Path) -> Client:
    return make_client(shop(), replace(Config(), server=Server(ui_assets=str(build))))


def constant(page: str, name: str) -> object:
    found = re.search(rf"{name} = (.*);", page)
    assert found is not None
    return json.loads(found[1])


@pytest.mark.parametrize(
    "path", ["/", "/search?service=shop", "/trace/abc", "/dependencies", "/index.html", "/any/thing"]
)
def test_the_page_is_everywhere(build: Path, path: str) -> None:
    response = client_of(build).get(path)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    assert response.headers["cache-control"] == "no-cache"
    assert constant(response.text, "JAEGER_BACKEND_CAPABILITIES") == {
        "archiveStorage": False,
        "metricsStorage": False,
        "searchWithoutServiceName": True,
        "aiAssistant": False,
    }
    assert constant(response.text, "JAEGER_STORAGE_CAPABILITIES") == {"archiveStorage": False, "metricsStorage": False}
    assert constant(response.text, "JAEGER_VERSION") == {
        "gitCommit": "",
        "gitVersion": "Pilothouse 1.2.3",
        "buildDate": "",
    }
    assert "JAEGER_CONFIG = DEFAULT_CONFIG;" in response.text


def test_substitutions_are_made_per_request(build: Path) -> None:
    client = client_of(build)
    assert "JAEGER_CONFIG = DEFAULT_CONFIG;" in client.get("/").text
    (build / "ui-config.json").write_text('{"x": "</script>\\u2028\\\\1"}')
    page = client.get("/").text
    assert constant(page, "JAEGER_CONFIG") == {"x": "</script>\u2028\\1"}
    assert page.count("</script>") == PAGE.count("</script>")
    (build / "ui-config.js").write_text("function UIConfig() {\n  return {menu: []};\n}")
    page = client.get("/").text
    assert "function UIConfig() {\n  return {menu: []};\n}" in page
    assert "// JAEGER_CONFIG_JS" not in page


@pytest.mark.parametrize(
    ("name", "text"), [("ui-config.json", "[]"), ("ui-config.json", "{"), ("ui-config.js", "x = 1")]
)
def test_malformed_configuration_is_named_at_the_start(build: Path, name: str, text: str) -> None:
    (build / name).write_text(text)
    with pytest.raises(ConfigError, match=re.escape(name)):
        client_of(build)


def test_files_of_the_build(build: Path) -> None:
    client = client_of(build)
    assert client.get("/static/main.js").text == "run()"
    assert client.get("/favicon.ico").content == b"icon"
    missing = client.get("/static/missing.js")
    assert missing.status_code == 404
    assert "html" not in missing.headers["content-type"]


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/static/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/static/%2e%2e/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/static/..%5c..%5csecret.txt",
        "/static/escape",
        "/.env",
        "/static/%00",
        "//etc/passwd",
        "/" + "a" * 5000,
        "/static/" + "../" * 40 + "etc/passwd",
    ],
)
def test_nothing_outside_the_build_is_served(build: Path, path: str) -> None:
    response = client_of(build).request("GET", path)
    assert "not for you" not in response.text
    assert "root:" not in response.text
    assert response.status_code in (200, 404)


def test_absolute_paths_do_not_leave_the_directory(build: Path, tmp_path: Path) -> None:
    assets = Assets(str(build), "1")
    for path in (str(tmp_path / "secret.txt"), "/" + str(tmp_path / "secret.txt"), "static/../../secret.txt", "\0"):
        assert assets.file(path) is None
    assert assets.file("/index.html") is None


def test_api_paths_never_get_the_page(build: Path) -> None:
    client = client_of(build)
    for path in ("/api", "/api/", "/api/nothing", "/api/v3/", "/api/traces/", "/analytics/nothing"):
        response = client.get(path)
        assert response.status_code in (400, 404)
        assert "html" not in response.headers["content-type"]
    assert client.get("/api/services").status_code == 200


def test_a_directory_without_a_page_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"server.ui_assets: .* holds no Jaeger UI"):
        client_of(tmp_path)


@pytest.mark.parametrize(
    ("path", "leads"),
    [
        ("/", "/"),
        ("/search?service=x", "/traces/search"),
        ("/trace/1", "/traces/" + "0" * 31 + "1"),
        ("/trace/evil%22%20header", "/traces/search"),
        ("/trace//evil.example/", "/traces/search"),
        ("/%2fevil.example", "/"),
        ("/dependencies", "/"),
    ],
)
def test_without_a_build_addresses_lead_to_the_console(path: str, leads: str) -> None:
    response = make_client(shop()).request("GET", path)
    assert response.status_code == 302
    assert response.headers["location"] == "http://127.0.0.1:8686" + leads


def test_the_console_is_found_where_it_is() -> None:
    everywhere = replace(Config(), listen=Listen(console="0.0.0.0:9000"))
    assert make_client(shop(), everywhere).get("/").headers["location"] == "http://localhost:9000/"
    for nowhere in (replace(Config(), listen=Listen(console="")), replace(Config(), console=Console(enabled=False))):
        response = make_client(shop(), nowhere).get("/")
        assert response.status_code == 200
        assert "--ui-assets" in response.text


def test_paths_of_the_ui_need_no_token() -> None:
    assert holds_no_data("/static/main.js")
    assert not holds_no_data("/api/services")
    assert not holds_no_data("/analytics/v1/dependencies")
    assert console_path("/trace/") == "/traces/search"
