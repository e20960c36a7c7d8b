"""Listening: an ASGI application as a ``Service`` with bounded headers, idle times and connections.

uvicorn does the serving. What it leaves open is closed here: how long and how large a request's head may be (so that a thousand
half-sent requests cannot hold the process), and a taken port as one clear error.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import uvicorn
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from pilothouse.kit.capability import Context, Listener
from pilothouse.kit.clock import Clock, SystemClock
from pilothouse.kit.config import is_loopback, split_address
from pilothouse.kit.errors import ConfigError, PortTaken
from pilothouse.kit.health import Health, Status
from pilothouse.kit.http.guard import CSP_STRICT, SCOPE_STOPPING, Guard

_log = logging.getLogger(__name__)

#: Bytes of request line and headers.
MAX_HEAD: Final = 64 * 1024
#: Seconds in which a request's head must be complete, counted from the connection or its first byte.
HEAD_TIMEOUT: Final = 10.0
#: Seconds an idle connection is kept.
KEEP_ALIVE: Final = 75
MAX_CONNECTIONS: Final = 1000
#: Seconds running requests may take to finish once the server stops.
DRAIN: Final = 8


@dataclass(frozen=True, slots=True)
class Tls:
    """A certificate chain and its key, as paths of PEM files."""

    cert: str
    key: str

    def check(self) -> None:
        """Loads both once, for a clear error before anything listens.

        Raises:
            ConfigError: A file cannot be read or they do not belong together.
        """
        try:
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(self.cert, self.key)
        except (OSError, ssl.SSLError) as error:
            reason = error.strerror or str(error)
            raise ConfigError(f"the certificate or key cannot be used: {reason}", where="server.tls_cert") from error


class _Protocol(HttpToolsProtocol):
    """httptools with a deadline and a size limit for the request's head."""

    _deadline: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _in_head = True
    _refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn does
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > MAX_HEAD:
            self._refuse(431, "Request Header Fields Too Large")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._expect_head()

    def on_headers_complete(self) -> None:
        self._in_head, self._head_bytes = False, 0
        self._cancel_deadline()
        if len(self.url) + sum(len(n) + len(v) for n, v in self.headers) > MAX_HEAD:
            self._refuse(431, "Request Header Fields Too Large")
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if not self._refused:
            super().on_message_complete()

    def _expect_head(self) -> None:
        self._cancel_deadline()
        self._deadline = self.loop.call_later(HEAD_TIMEOUT, self._refuse, 408, "Request Timeout")

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _refuse(self, status: int, reason: str) -> None:
        self._refused = True
        if not self.transport.is_closing():
            head = f"HTTP/1.1 {status} {reason}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            self.transport.write(head.encode())
            self.transport.close()


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves signals to whoever runs the process: several servers share one loop."""
        yield


class HttpService:
    """One HTTP listener.

    Args:
        name: Key in ``[listen]``; the service is called ``listener <name>``.
        address: ``HOST:PORT``; port 0 takes any free one, see ``port``.
        app: The application, usually in a ``Guard``.
        tls: Certificate and key, or ``None`` for plain HTTP.
        purpose: A few words for the list of addresses.
        clock: For ``since`` in its health.
    """

    def __init__(
        self,
        name: str,
        address: str,
        app: ASGIApp,
        tls: Tls | None = None,
        *,
        purpose: str = "",
        clock: Clock | None = None,
    ) -> None:
        self.name = f"listener {name}"
        self._key, self._purpose = name, purpose
        self._host, self._wanted = split_address(address)
        self._app, self._tls = app, tls
        self._clock = clock or SystemClock()
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None
        self._stopping: asyncio.Event | None = None
        self._health = Health(Status.STOPPED)
        self.port = self._wanted

    def listener(self) -> Listener:
        """Where it listens, with the port as bound."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return Listener(self._key, "HTTPS" if self._tls else "HTTP", f"{host}:{self.port}", self._purpose)

    def health(self) -> Health:
        """Fatal once the server task has ended without being asked to."""
        if self._health.status is Status.OK and self._task is not None and self._task.done():
            error = None if self._task.cancelled() else self._task.exception()
            self._health = self._at(Status.FATAL, f"stopped listening: {error}" if error else "stopped listening")
        return self._health

    async def start(self) -> None:
        """Binds and serves.

        Raises:
            PortTaken: The address is in use or may not be bound.
            ConfigError: The certificate cannot be used.
        """
        if self._tls:
            self._tls.check()
        bound = bind(self._key, self._host, self._wanted)
        self.port = bound.getsockname()[1]
        self._stopping = stopping = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            scope[SCOPE_STOPPING] = stopping
            await self._app(scope, receive, send)

        config = uvicorn.Config(
            app,
            http=_Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=DRAIN,
            ssl_certfile=self._tls.cert if self._tls else None,
            ssl_keyfile=self._tls.key if self._tls else None,
        )
        logging.getLogger("uvicorn").setLevel(logging.ERROR)
        self._server = server = _Server(config)
        self._task = asyncio.create_task(server.serve(sockets=[bound]), name=self.name)
        while not server.started:
            if self._task.done():
                await self._task
                raise PortTaken("the listener ended while starting", where=f"listen.{self._key}")
            await asyncio.sleep(0.002)
        self._health = self._at(Status.OK)

    async def stop(self) -> None:
        """Stops accepting, ends event streams, lets running requests finish for at most ``DRAIN`` seconds."""
        self._health = self._at(Status.STOPPING)
        if self._stopping is not None:
            self._stopping.set()
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            await self._task
        self._health = self._at(Status.STOPPED)

    def _at(self, status: Status, reason: str = "") -> Health:
        return Health(status, reason, self._clock.now_ns())


def bind(key: str, host: str, port: int) -> socket.socket:
    """A bound, not yet listening TCP socket.

    Raises:
        PortTaken: In use, not permitted, or not an address of this machine; says which and what to do.
    """
    flag = f"--{key.replace('_', '-')}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise PortTaken(f"{host!r} is not an address of this machine", where=f"listen.{key}") from error
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        # Listening now shows a port that another process took between bind and listen.
        bound.listen(2048)
    except OSError as error:
        bound.close()
        raise port_taken(key, f"{host}:{port}", flag, error.errno or 0) from error
    bound.setblocking(False)
    return bound


def port_taken(key: str, address: str, flag: str, code: int) -> PortTaken:
    """The error for an address that cannot be bound, by ``errno``."""
    if code == errno.EACCES:
        what, remedy = f"{address} needs more rights than this user has", f"Choose a port above 1023 with {flag}."
    elif code == errno.EADDRNOTAVAIL:
        what, remedy = f"{address} is not an address of this machine", f"Choose another with {flag}."
    else:
        what = f"{address} is already in use"
        remedy = (
            f"Stop what listens there (`pilothouse status` tells if it is Pilothouse) or choose another with {flag}."
        )
    return PortTaken(what, where=f"listen.{key}", remedy=remedy)


def http_listener(
    context: Context,
    key: str,
    app: ASGIApp,
    purpose: str,
    *,
    csp: str = CSP_STRICT,
    open_paths: Callable[[str], bool] | None = None,
    public: bool = False,
) -> HttpService | None:
    """The listener ``listen.<key>`` around ``app``, guarded as the configuration says; ``None`` when it is turned off.

    Args:
        context: Of the process.
        key: Key in ``[listen]``.
        app: The application, without a guard.
        purpose: A few words for the list of addresses.
        csp: Content security policy; empty for none.
        open_paths: Which paths need no token.
        public: No token and no TLS at all (health probes).
    """
    address = getattr(context.config.listen, key)
    if not address:
        return None
    server = context.config.server
    loopback = is_loopback(split_address(address)[0])
    options: dict[str, Any] = {"open_paths": open_paths} if open_paths else {}
    guard = Guard(
        app,
        token="" if public else server.token,
        loopback=loopback,
        csp=csp,
        registry=None if public else context.metrics,
        **options,
    )
    tls = Tls(server.tls_cert, server.tls_key) if server.tls_cert and not public else None
    # On loopback compression costs more time than it saves.
    wrapped: ASGIApp = guard if loopback else GZipMiddleware(guard, minimum_size=4096, compresslevel=4)
    return HttpService(key, address, wrapped, tls, purpose=purpose, clock=context.clock)
