"""What stands between the network and every application: identity, limits, headers, and one form of error.

In order: request id; ``Host`` check on loopback, so that a web page cannot reach this server by rebinding a name; bearer token;
a deadline for slow bodies; the application; security headers; the duration metric; a problem document for what nobody caught.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
import secrets
import time
from collections.abc import Callable
from ipaddress import ip_address
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pilothouse.kit.errors import (
    Forbidden,
    InvalidInput,
    LimitExceeded,
    PilothouseError,
    RequestTooSlow,
    Unauthorized,
)
from pilothouse.kit.http.problems import problem_response
from pilothouse.kit.telemetry import Histogram, Registry
from pilothouse.kit.units import exact_size

_log = logging.getLogger(__name__)

#: Keys this package adds to the ASGI scope.
SCOPE_ID: Final = "pilothouse.request_id"
SCOPE_ROUTE: Final = "pilothouse.route"
SCOPE_STOPPING: Final = "pilothouse.stopping"

#: No inline script, nothing from another host. Component libraries set styles inline, so those are allowed.
CSP_STRICT: Final = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
#: A body may take this many seconds, and longer only while it arrives at ``_MIN_RATE`` bytes a second.
_BODY_GRACE: Final = 20.0
_MIN_RATE: Final = 16_384
_ID = re.compile(r"[\w.:-]{1,64}")


def _nothing_open(path: str) -> bool:
    return False


class Guard:
    """ASGI middleware around one listener's application.

    Args:
        app: The application.
        token: The bearer token requests must carry; empty for none.
        loopback: The listener can only be reached from this machine, so ``Host`` must name this machine.
        csp: The content security policy of every answer; empty for none.
        registry: Where to observe durations, as ``http_server_request_duration_seconds``.
        open_paths: Says which paths need no token (static files that hold no data).
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        token: str = "",
        loopback: bool = True,
        csp: str = CSP_STRICT,
        registry: Registry | None = None,
        open_paths: Callable[[str], bool] = _nothing_open,
    ) -> None:
        self._app = app
        self._token = token.encode()
        self._loopback = loopback
        self._open = open_paths
        self._headers = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer")]
        if csp:
            self._headers.append((b"content-security-policy", csp.encode()))
        self._duration: Histogram | None = None
        if registry is not None:
            self._duration = registry.histogram(
                "http_server_request_duration_seconds",
                "Time from the first byte of a request to the last of its answer.",
                ("http_request_method", "http_route", "http_response_status_code"),
            )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            return
        headers = dict(reversed(scope["headers"]))
        given = headers.get(b"x-request-id", b"").decode("latin-1")
        scope[SCOPE_ID] = request_id = given if _ID.fullmatch(given) else secrets.token_hex(8)
        began, status = time.perf_counter(), 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                present = {name.lower() for name, _ in message["headers"]}
                extra = [pair for pair in self._headers if pair[0] not in present]
                message["headers"] = [*message["headers"], *extra, (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            self._admit(scope["path"], headers)
            await self._app(scope, _patient(receive), answer)
        except (ClientDisconnect, asyncio.CancelledError):
            status = status or 499
            raise
        except Exception as error:
            if not isinstance(error, PilothouseError):
                _log.exception("request %s: %s %s failed", request_id, scope["method"], scope["path"])
                error = PilothouseError("an internal error occurred", remedy="The server's log has the details.")
            if status:
                raise
            await problem_response(error, request_id)(scope, receive, answer)
        finally:
            if self._duration is not None:
                route = scope.get(SCOPE_ROUTE) or getattr(scope.get("route"), "path", "") or "other"
                self._duration.observe(time.perf_counter() - began, scope["method"], route, str(status))

    def _admit(self, path: str, headers: dict[bytes, bytes]) -> None:
        """Raises unless the request may go on."""
        host = headers.get(b"host", b"").decode("latin-1")
        if self._loopback and not _names_this_machine(host):
            raise Forbidden(
                f"this listener answers to localhost only, and the request asks for {host[:80]!r}",
                where="header 'host'",
                remedy="Use http://localhost or http://127.0.0.1.",
            )
        if not self._token or self._open(path):
            return
        scheme, _, credential = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() != b"bearer" or not hmac.compare_digest(credential.strip(), self._token):
            raise Unauthorized(
                "the request carries no bearer token" if not credential else "the bearer token is wrong",
                where="header 'authorization'",
                remedy="Send 'Authorization: Bearer TOKEN' with the server's token.",
            )


def _names_this_machine(host: str) -> bool:
    """Whether ``Host`` can only mean this machine.

    A rebinding attack needs a public DNS name, so literal addresses and the
    reserved names ``localhost`` (RFC 6761) and ``.internal`` (containers reaching their host) are safe.
    """
    name = host[1 : host.find("]")] if host.startswith("[") else host.partition(":")[0]
    name = name.lower().rstrip(".")
    if name in ("", "localhost") or name.endswith((".localhost", ".internal")):
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _patient(receive: Receive) -> Receive:
    """``receive`` with a deadline that moves as bytes arrive, so that slow bodies do not hold connections for ever."""
    deadline = time.monotonic() + _BODY_GRACE
    reading = True

    async def receive_in_time() -> Message:
        nonlocal deadline, reading
        if not reading:
            return await receive()
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                message = await receive()
        except TimeoutError as error:
            raise RequestTooSlow(f"the body did not arrive at {_MIN_RATE} bytes a second", where="body") from error
        deadline += len(message.get("body", b"")) / _MIN_RATE
        reading = bool(message.get("more_body", False))
        return message

    return receive_in_time


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body, at most ``limit`` bytes as they come from the network (before any decompression).

    Raises:
        LimitExceeded: It is larger; names the limit.
        InvalidInput: ``content-length`` is not a number.
    """
    too_large = LimitExceeded(f"the body is larger than the limit of {exact_size(limit)}", where="body")
    declared = request.headers.get("content-length", "0")
    if not declared.isascii() or not declared.isdigit():
        raise InvalidInput("not a number", where="header 'content-length'")
    if int(declared) > limit:
        raise too_large
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise too_large
    return bytes(body)
