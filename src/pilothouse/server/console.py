"""Serves the built console from the package, or says in one page how to build it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

#: Where the build puts the console; part of the wheel.
ASSETS: Final = Path(__file__).parent / "static" / "console"
#: The build puts a hash of the content into these names, so they never change.
_HASHED = re.compile(r"(^|/)assets/.+-[\w-]{8,}\.\w+$")

_MISSING: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Pilothouse</title>
<body style="font: 16px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 4rem auto; color-scheme: light dark">
<h1>Pilothouse is running</h1>
<p>Traces are accepted and every API answers, but this installation has no web console: it was not built.</p>
<p>Build it in the source tree with Node 20 or newer, then reload this page:</p>
<pre>make console</pre>
<p>Until then: <code>pilothouse traces search</code> in a terminal, or <a href="/api/status">/api/status</a> and
<a href="/api/openapi.json">/api/openapi.json</a>.</p>
</body>
</html>
"""


class _Files(StaticFiles):
    """Static files with a page for every address the console's router knows."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        try:
            response = await super().get_response(path, scope)
        except HTTPException as error:
            # A missing picture must not be answered with a page.
            if error.status_code != 404 or "." in path.rpartition("/")[2]:
                raise
            path = "index.html"
            response = await super().get_response(path, scope)
        immutable = _HASHED.search(path.replace("\\", "/"))
        response.headers["cache-control"] = "public, max-age=31536000, immutable" if immutable else "no-cache"
        return response


async def _missing(request: Request) -> Response:
    return HTMLResponse(_MISSING)


def console_routes(assets: Path = ASSETS, *, enabled: bool = True) -> list[BaseRoute]:
    """Routes for everything that no API endpoint took."""
    if not enabled:
        return []
    if (assets / "index.html").is_file():
        return [Mount("/", _Files(directory=assets, html=True), name="console")]
    return [Route("/", _missing), Route("/{rest:path}", _missing)]
