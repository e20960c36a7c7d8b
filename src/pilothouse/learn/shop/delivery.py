"""Gets the shop's spans to a server, and waits when there is none.

The SDK's own batch processor works in wall time and drops what does not fit; the shop works in simulated time, produces an
hour in seconds, and loses nothing. So an ``Outbox`` is the span processor, and ``Delivery`` hands its batches, one service at
a time as real deployments do, to the official OTLP exporter. When that fails, the shop stands still and tries again.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from pilothouse.kit.clock import SECOND, Clock
from pilothouse.kit.errors import ConfigError, InvalidInput, PilothouseError, ServerUnreachable, Unauthorized

_BATCH: Final = 512
_RETRY_SECONDS: Final = 2.0
#: Short, so that an exporter alone gives up after one retry and it is us who wait: we notice Ctrl-C.
_EXPORT_SECONDS: Final = 2.5
_EXPORTER_LOG: Final = "opentelemetry.exporter"


class Outbox(SpanProcessor):
    """Finished spans, by service, until they are delivered."""

    def __init__(self) -> None:
        self._spans: dict[str, list[ReadableSpan]] = {}
        self.waiting = 0
        self.latest_trace = 0

    def on_end(self, span: ReadableSpan) -> None:
        """Keeps a finished span."""
        service = str(span.resource.attributes["service.name"])
        self._spans.setdefault(service, []).append(span)
        self.waiting += 1
        self.latest_trace = span.context.trace_id

    def next_batch(self) -> list[ReadableSpan]:
        """At most 512 spans of one service, without removing them; empty when nothing waits."""
        return next((spans[:_BATCH] for spans in self._spans.values() if spans), [])

    def delivered(self, batch: list[ReadableSpan]) -> None:
        """Removes the batch that ``next_batch`` gave."""
        spans = next(spans for spans in self._spans.values() if spans)
        del spans[: len(batch)]
        self.waiting -= len(batch)


class Delivery:
    """Sends an outbox through an exporter.

    Args:
        exporter: The SDK's exporter.
        outbox: Where finished spans wait.
        address: The server, for messages.
        clock: Measures how long the server has been away.
        stop: Ends a wait at once.
        say: Shows one line to the user.
        patience: Nanoseconds to wait for a server that is away; ``None`` is for ever.
    """

    def __init__(
        self,
        exporter: SpanExporter,
        outbox: Outbox,
        address: str,
        clock: Clock,
        stop: threading.Event,
        say: Callable[[str], None],
        patience: int | None = None,
    ) -> None:
        self._exporter, self._outbox, self._address = exporter, outbox, address
        self._clock, self._stop, self._say, self._patience = clock, stop, say, patience
        self._ears = _Ears()
        self.sent = 0

    def flush(self) -> None:
        """Delivers everything that waits; returns early only when it is time to stop.

        Raises:
            ServerUnreachable: The server has been away for longer than the patience.
            Unauthorized: The server wants a token.
            InvalidInput: Whatever answers there does not take spans.
        """
        while batch := self._outbox.next_batch():
            if not self._deliver(batch):
                return
            self._outbox.delivered(batch)
            self.sent += len(batch)

    def close(self) -> None:
        """Closes the connection and gives the exporter its own log back."""
        self._exporter.shutdown()
        self._ears.close()

    def _deliver(self, batch: list[ReadableSpan]) -> bool:
        since: int | None = None
        while self._exporter.export(batch) is not SpanExportResult.SUCCESS:
            now = self._clock.monotonic_ns()
            if error := self._ears.permanent(self._address):
                raise error
            if since is None:
                since = now
                self._say(f"{self._address} takes no spans ({self._ears.reason}). Waiting for it; nothing is lost.")
            if self._patience is not None and now - since >= self._patience:
                raise ServerUnreachable(
                    f"no server took spans at {self._address} ({self._ears.reason})",
                    remedy="Start one with `pilothouse up`, or name another with --endpoint.",
                )
            if self._stop.wait(_RETRY_SECONDS):
                return False
        if since is not None:
            away = (self._clock.monotonic_ns() - since) / SECOND
            self._say(f"{self._address} is back after {away:.0f} s; sending what waited.")
        return True


class _Ears(logging.Handler):
    """Listens to the exporter's log: the only place where it says why it failed, and too chatty for a terminal."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._log = logging.getLogger(_EXPORTER_LOG)
        self._before = (self._log.propagate, self._log.level)
        self._log.propagate = False
        self._log.setLevel(logging.WARNING)
        self._log.addHandler(self)
        self._status: str = ""
        self.reason = "no answer"

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps the status (a gRPC code's name or an HTTP status) and the reason of the latest failure."""
        args = record.args if isinstance(record.args, tuple) else ()
        code = next((a for a in args if hasattr(a, "name") and hasattr(a, "value")), None)
        status = code.name if code is not None else next((str(a) for a in args if isinstance(a, int) and a >= 100), "")
        if not status and not record.getMessage().startswith("Transient"):
            return  # "gave up after a timeout" tells less than the attempts before it
        self._status = status
        self.reason = _reason(status, " ".join(map(str, args)))

    def permanent(self, address: str) -> PilothouseError | None:
        """The error, when trying again cannot help."""
        if self._status in ("UNAUTHENTICATED", "PERMISSION_DENIED", "401", "403"):
            return Unauthorized(
                f"{address} wants a token", remedy="Set PILOTHOUSE_SERVER__TOKEN to the server's token."
            )
        if self._status in ("UNIMPLEMENTED", "INVALID_ARGUMENT", "400", "404", "405", "415"):
            return InvalidInput(
                f"what answers at {address} does not take spans ({self._status})",
                remedy="Give --endpoint the address of an OTLP listener, with --protocol grpc or http to match it.",
            )
        return None

    def close(self) -> None:
        """Stops listening."""
        self._log.removeHandler(self)
        self._log.propagate, level = self._before
        self._log.setLevel(level)
        super().close()


def _reason(status: str, said: str) -> str:
    """The few words that matter of what an exporter said: libraries wrap the cause in their own addresses and types."""
    if "refused" in said:
        return "nobody listens there"
    cause = said.rpartition("last error:")[2] if "last error:" in said else (re.findall(r"'([^']+)'", said) or [""])[-1]
    return cause.strip()[:160] or status or "no answer"


def make_exporter(protocol: str, url: str, token: str, ca_file: str) -> SpanExporter:
    """The official OTLP exporter.

    Args:
        protocol: ``grpc`` or ``http``.
        url: ``http://host:port`` or ``https://host:port``.
        token: Bearer token, or empty.
        ca_file: Certificates to trust instead of the system's, for a server with its own; or empty.

    Raises:
        ConfigError: ``ca_file`` cannot be read.
    """
    headers = {"authorization": f"Bearer {token}"} if token else None
    if not url.startswith("https:"):
        ca_file = ""
    if protocol == "http":
        import requests
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter

        session = requests.Session()
        # Otherwise a REQUESTS_CA_BUNDLE in the environment would win over the certificate of this very server.
        session.trust_env = not ca_file
        return HttpExporter(
            endpoint=f"{url}/v1/traces",
            headers=headers,
            timeout=_EXPORT_SECONDS,
            certificate_file=ca_file or None,
            session=session,
        )
    import grpc
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter

    credentials = grpc.ssl_channel_credentials(_certificates(ca_file)) if ca_file else None
    return GrpcExporter(endpoint=url, headers=headers, timeout=_EXPORT_SECONDS, credentials=credentials)


def _certificates(ca_file: str) -> bytes:
    try:
        return Path(ca_file).read_bytes()
    except OSError as error:
        raise ConfigError(f"{ca_file} cannot be read: {error.strerror}", where="server.tls_cert") from error
