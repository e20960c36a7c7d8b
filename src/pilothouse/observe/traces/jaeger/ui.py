"""Serves a Jaeger UI build that the operator supplies, as Jaeger does: one page for every path, filled in per request.

The page's source has lines that the server replaces: the UI's configuration, the version, what the backend can do. A file
``ui-config.json`` or ``ui-config.js`` beside ``index.html`` is the configuration. Without a build there is no page here:
addresses of Jaeger UI lead to the same trace in our console.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from pilothouse.formats import ids
from pilothouse.kit.errors import ConfigError, InvalidInput
from pilothouse.kit.http.guard import SCOPE_ROUTE

#: The page runs its own inline script, lays graphs out in a worker that may be WebAssembly, and shows an operator's logo.
CSP: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob: https:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)

_CONFIG: Final = re.compile(r"JAEGER_CONFIG *= *DEFAULT_CONFIG;")
_CONFIG_JS: Final = re.compile(r"^\s*//\s*JAEGER_CONFIG_JS.*\n.*", re.IGNORECASE | re.MULTILINE)
_VERSION: Final = re.compile(r"JAEGER_VERSION *= *DEFAULT_VERSION;")
_STORAGE: Final = re.compile(r"JAEGER_STORAGE_CAPABILITIES *= *DEFAULT_STORAGE_CAPABILITIES;")
_BACKEND: Final = re.compile(r"JAEGER_BACKEND_CAPABILITIES *= *DEFAULT_BACKEND_CAPABILITIES;")
_UI_FUNCTION: Final = re.compile(r"function\s+UIConfig\s?\(\s?\)\s?{")

Capabilities = dict[str, bool]
#: Searches need no service; there is neither an archive nor (yet) service performance nor an assistant.
CAPABILITIES: Final[Capabilities] = {
    "archiveStorage": False,
    "metricsStorage": False,
    "searchWithoutServiceName": True,
    "aiAssistant": False,
}


class Assets:
    """The directory of a built Jaeger UI.

    Args:
        directory: Holds ``index.html`` and ``static/``.
        version: Of Pilothouse, shown in the UI's "About" menu.

    Raises:
        ConfigError: There is no readable ``index.html``, or its configuration is malformed.
    """

    def __init__(self, directory: str, version: str) -> None:
        self._root = Path(directory).expanduser().resolve()
        self._version = version
        try:
            self.page()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"{directory!r} holds no Jaeger UI: its index.html cannot be read",
                where="server.ui_assets",
                remedy="Name the directory of a built Jaeger UI, the one with index.html in it.",
            ) from error

    def page(self) -> str:
        """``index.html`` as it is now on disk, filled in."""
        template = (self._root / "index.html").read_text("utf-8")
        return fill(template, self._configuration(), self._version, CAPABILITIES)

    def file(self, path: str) -> Path | None:
        """The file at a URL path, ``None`` unless it is a visible file within the directory."""
        if "\0" in path or any(part.startswith(".") for part in path.split("/")):
            return None
        try:
            found = (self._root / path.lstrip("/")).resolve()
            inside = found.is_relative_to(self._root) and found.is_file()
        except OSError:
            return None
        return found if inside and found != self._root / "index.html" else None

    def _configuration(self) -> str:
        """What replaces the configuration: a statement, empty without a file."""
        script, values = self._root / "ui-config.js", self._root / "ui-config.json"
        if script.is_file():
            text = script.read_text("utf-8").strip()
            if not _UI_FUNCTION.search(text):
                raise ConfigError("UI config file must define function UIConfig()", where=str(script))
            return text
        if values.is_file():
            try:
                parsed = msgspec.json.decode(values.read_bytes(), type=dict[str, object])
            except msgspec.DecodeError as error:
                raise ConfigError(f"not a JSON object: {error}", where=str(values)) from error
            return f"JAEGER_CONFIG = {_script_json(parsed)};"
        return ""


def fill(template: str, configuration: str, version: str, capabilities: Capabilities) -> str:
    """Replaces the marked lines of ``index.html``.

    Args:
        template: The page as built.
        configuration: ``JAEGER_CONFIG = {…};``, a script that defines ``UIConfig()``, or nothing.
        version: Shown as the backend's version.
        capabilities: What the UI may offer.
    """
    storage = {name: capabilities[name] for name in ("archiveStorage", "metricsStorage")}
    about = {"gitCommit": "", "gitVersion": f"Pilothouse {version}", "buildDate": ""}
    if configuration:
        marker = _CONFIG if configuration.startswith("JAEGER_CONFIG") else _CONFIG_JS
        template = _replace(marker, configuration, template)
    for marker, statement in (
        (_VERSION, f"JAEGER_VERSION = {_script_json(about)};"),
        (_STORAGE, f"JAEGER_STORAGE_CAPABILITIES = {_script_json(storage)};"),
        (_BACKEND, f"JAEGER_BACKEND_CAPABILITIES = {_script_json(capabilities)};"),
    ):
        template = _replace(marker, statement, template)
    return template


def _replace(marker: re.Pattern[str], statement: str, template: str) -> str:
    """``statement`` as it is: backslashes in it are no references to groups."""
    return marker.sub(lambda _: statement, template)


def asset_routes(assets: Assets) -> list[Route]:
    """Files of the build at their paths, the page everywhere else. To come after every other route."""

    async def serve(request: Request) -> Response:
        request.scope[SCOPE_ROUTE] = "/"
        path = request.url.path
        found = await asyncio.to_thread(assets.file, path)
        if found is not None:
            return FileResponse(found, headers={"cache-control": "public, max-age=3600"})
        if path.startswith("/static/"):
            return _not_found()
        page = await asyncio.to_thread(assets.page)
        return Response(page, media_type="text/html", headers={"cache-control": "no-cache"})

    return [Route("/{path:path}", serve, methods=["GET"])]


def console_routes(console: Callable[[Request], str]) -> list[Route]:
    """Leads from Jaeger UI's addresses to the console's; ``console`` says where that is, empty when it is turned off."""

    async def lead(request: Request) -> Response:
        request.scope[SCOPE_ROUTE] = "/"
        base = console(request)
        if not base:
            return PlainTextResponse(
                "This is Pilothouse's Jaeger API. The console is turned off, and no Jaeger UI was given with --ui-assets.\n"
            )
        return RedirectResponse(base + console_path(request.url.path), status_code=302)

    return [Route("/{path:path}", lead, methods=["GET"])]


def console_path(path: str) -> str:
    """The console's path for one of Jaeger UI's."""
    first, _, rest = path.strip("/").partition("/")
    if first == "trace" and rest:
        try:
            return f"/traces/{quote(ids.trace_id(rest).hex())}"
        except InvalidInput:
            pass
    return "/traces/search" if first in ("search", "trace") else "/"


def holds_no_data(path: str) -> bool:
    """Whether ``path`` may be read without a token: a browser cannot send one when it loads a page."""
    return not path.startswith(("/api", "/analytics"))


def unknown_api() -> list[Route]:
    """404 below ``/api/``, never the page: a program that asks for what is not there must not get HTML and 200."""

    async def refuse(request: Request) -> Response:
        request.scope[SCOPE_ROUTE] = "/api"
        return _not_found()

    methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    return [Route(path, refuse, methods=methods) for path in ("/api", "/api/{path:path}", "/analytics/{path:path}")]


def _not_found() -> Response:
    return PlainTextResponse("404 page not found\n", status_code=404)


def _script_json(value: object) -> str:
    """JSON that can stand in a script element: no ``<`` may begin a tag, and JavaScript knows two more line breaks."""
    text = msgspec.json.encode(value).decode()
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
