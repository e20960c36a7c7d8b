"""The one gRPC stack: ``grpc.aio`` as a ``Service``, with the same token, TLS and port rules as HTTP."""

from __future__ import annotations

import errno
import hmac
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc
import grpc.aio

from pilothouse.kit.capability import Context, Listener
from pilothouse.kit.clock import Clock, SystemClock
from pilothouse.kit.config import split_address
from pilothouse.kit.health import Health, Status
from pilothouse.kit.http.service import Tls, bind, port_taken

_log = logging.getLogger(__name__)

#: Probes cannot send credentials; health tells a stranger nothing but "serving".
_OPEN: Final = ("/grpc.health.v1.Health/",)
#: Seconds running calls may take to finish once the server stops.
DRAIN: Final = 8.0

Register = Callable[[grpc.aio.Server], None]


class _Token(grpc.aio.ServerInterceptor):
    """Answers UNAUTHENTICATED to calls without the bearer token in their metadata."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = await continuation(handler_call_details)
        if handler is None or handler_call_details.method.startswith(_OPEN):
            return handler
        metadata = dict(handler_call_details.invocation_metadata or ())
        given = metadata.get("authorization", "")
        scheme, _, credential = (given if isinstance(given, str) else given.decode("latin-1")).partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(credential.strip().encode(), self._token):
            return handler
        return _refusal(handler)


def _refusal(handler: Any) -> Any:
    """A handler of the same shape as ``handler`` that only refuses."""
    message = "the call carries no valid bearer token; send metadata 'authorization: Bearer TOKEN'"

    async def refuse(_: Any, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, message)

    # A coroutine serves streaming calls too: it aborts before it would write.
    make: Any
    if handler.response_streaming and handler.request_streaming:
        make = grpc.stream_stream_rpc_method_handler
    elif handler.response_streaming:
        make = grpc.unary_stream_rpc_method_handler
    elif handler.request_streaming:
        make = grpc.stream_unary_rpc_method_handler
    else:
        make = grpc.unary_unary_rpc_method_handler
    return make(refuse)


class GrpcService:
    """One gRPC listener.

    Args:
        name: Key in ``[listen]``; the service is called ``listener <name>``.
        address: ``HOST:PORT``; port 0 takes any free one, see ``port``.
        register: Adds the servicers or generic handlers to the server, before it starts.
        max_message: Bytes of one message, after decompression, in either direction.
        tls: Certificate and key, or ``None`` for plain text.
        token: The bearer token calls must carry; empty for none.
        max_calls: Calls served at once; more are refused with RESOURCE_EXHAUSTED.
        purpose: A few words for the list of addresses.
        clock: For ``since`` in its health.
    """

    def __init__(
        self,
        name: str,
        address: str,
        register: Register,
        *,
        max_message: int = 64 << 20,
        tls: Tls | None = None,
        token: str = "",
        max_calls: int = 1000,
        purpose: str = "",
        clock: Clock | None = None,
    ) -> None:
        self.name = f"listener {name}"
        self._key, self._purpose = name, purpose
        self._host, self._wanted = split_address(address)
        self._register, self._max_message, self._max_calls = register, max_message, max_calls
        self._tls, self._token = tls, token
        self._clock = clock or SystemClock()
        self._server: grpc.aio.Server | None = None
        self._health = Health(Status.STOPPED)
        self.port = self._wanted

    def listener(self) -> Listener:
        """Where it listens, with the port as bound."""
        return Listener(self._key, "gRPC+TLS" if self._tls else "gRPC", f"{self._at_host()}:{self.port}", self._purpose)

    def health(self) -> Health:
        """Its state; gRPC reports no failures of a running listener."""
        return self._health

    async def start(self) -> None:
        """Binds and serves.

        Raises:
            PortTaken: The address is in use or may not be bound.
            ConfigError: The certificate cannot be used.
        """
        if self._tls:
            self._tls.check()
        if self._wanted:
            # gRPC does not say why it cannot bind; the operating system does.
            bind(self._key, self._host, self._wanted).close()
        server = grpc.aio.server(
            interceptors=[_Token(self._token)] if self._token else [],
            maximum_concurrent_rpcs=self._max_calls,
            options=[
                ("grpc.max_receive_message_length", self._max_message),
                ("grpc.max_send_message_length", -1),
                ("grpc.max_metadata_size", 64 * 1024),
                # Without this a second process could share the port and take half of the traffic.
                ("grpc.so_reuseport", 0),
                # Clients that keep idle connections open may ping them.
                ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
                ("grpc.keepalive_permit_without_calls", 1),
            ],
        )
        self._register(server)
        address = f"{self._at_host()}:{self._wanted}"
        try:
            self.port = (
                server.add_secure_port(address, _credentials(self._tls))
                if self._tls
                else server.add_insecure_port(address)
            )
        except RuntimeError as error:
            flag = f"--{self._key.replace('_', '-')}"
            raise port_taken(self._key, address, flag, errno.EADDRINUSE) from error
        await server.start()
        self._server = server
        self._health = Health(Status.OK, "", self._clock.now_ns())

    async def stop(self) -> None:
        """Stops accepting and lets running calls finish for at most ``DRAIN`` seconds."""
        self._health = Health(Status.STOPPING, "", self._clock.now_ns())
        if self._server is not None:
            await self._server.stop(DRAIN)
        self._health = Health(Status.STOPPED, "", self._clock.now_ns())

    def _at_host(self) -> str:
        return f"[{self._host}]" if ":" in self._host else self._host


def _credentials(tls: Tls) -> grpc.ServerCredentials:
    with open(tls.key, "rb") as key, open(tls.cert, "rb") as cert:
        return grpc.ssl_server_credentials([(key.read(), cert.read())])


def grpc_listener(
    context: Context, key: str, register: Register, purpose: str, *, max_message: int = 64 << 20, max_calls: int = 1000
) -> GrpcService | None:
    """The listener ``listen.<key>``, guarded as the configuration says; ``None`` when it is turned off.

    Args:
        context: Of the process.
        key: Key in ``[listen]``.
        register: Adds the servicers.
        purpose: A few words for the list of addresses.
        max_message: Bytes of one message after decompression.
        max_calls: Calls served at once.
    """
    address = getattr(context.config.listen, key)
    if not address:
        return None
    server = context.config.server
    return GrpcService(
        key,
        address,
        register,
        max_message=max_message,
        max_calls=max_calls,
        tls=Tls(server.tls_cert, server.tls_key) if server.tls_cert else None,
        token=server.token,
        purpose=purpose,
        clock=context.clock,
    )
