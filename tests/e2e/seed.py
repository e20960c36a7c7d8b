"""The traces the browser tests look at, sent by the OpenTelemetry SDK as any program would."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

LARGE = 50_000
MANY = 130
SCRIPT = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>'
RTL = "\u062e\u062f\u0645\u0629 \u202eright to left \U0001f98a"
LONG = "x" * 4000
_MS = 1_000_000


@dataclass(frozen=True)
class Seeded:
    """Trace ids by what they are for, and the number of spans in all of them."""

    checkout: str
    hostile: str
    large: str
    linked: str
    spans: int


class _Sender:
    """One provider per service, as each would have in its own process."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._providers: dict[str, TracerProvider] = {}
        self.spans = 0

    def span(self, service: str, name: str, parent: Span | None, start: int, **options: Any) -> Span:
        from opentelemetry import trace

        context = trace.set_span_in_context(parent) if parent else None
        self.spans += 1
        return (
            self._provider(service)
            .get_tracer("shop", "1.2.0")
            .start_span(name, context=context, start_time=start, **options)
        )

    def _provider(self, service: str) -> TracerProvider:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        if service not in self._providers:
            exporter = OTLPSpanExporter(endpoint=f"{self._endpoint}/v1/traces")
            batch = BatchSpanProcessor(exporter, max_queue_size=2 * LARGE, max_export_batch_size=4096)
            resource = Resource.create({"service.name": service, "deployment.environment.name": "test"})
            provider = TracerProvider(resource=resource, shutdown_on_exit=False)
            provider.add_span_processor(batch)
            self._providers[service] = provider
        return self._providers[service]

    def flush(self) -> None:
        for provider in self._providers.values():
            assert provider.force_flush(60_000)
            provider.shutdown()


def send(endpoint: str) -> Seeded:
    """Sends everything to an OTLP/HTTP endpoint; returns when the server has acknowledged it."""
    sender = _Sender(endpoint)
    now = time.time_ns()
    linked = _plain(sender, "mailer", "send receipt", now - 30_000 * _MS)
    for index in range(MANY):
        _plain(sender, "catalog", f"GET /product/{index % 3}", now - (60_000 + index * 100) * _MS)
    seeded = Seeded(
        checkout=_checkout(sender, now - 10_000 * _MS, linked),
        hostile=_hostile(sender, now - 20_000 * _MS),
        large=_large(sender, now - 300_000 * _MS),
        linked=_trace_id(linked),
        spans=0,
    )
    sender.flush()
    return Seeded(seeded.checkout, seeded.hostile, seeded.large, seeded.linked, sender.spans)


def _plain(sender: _Sender, service: str, name: str, start: int) -> Span:
    span = sender.span(service, name, None, start, attributes={"http.route": name})
    span.end(start + 5 * _MS)
    return span


def _checkout(sender: _Sender, start: int, linked: Span) -> str:
    """Four services, an error with an exception, typed attributes, and a link to another trace."""
    from opentelemetry.trace import Link, SpanKind, StatusCode

    root = sender.span("frontend", "POST /checkout", None, start, kind=SpanKind.SERVER)
    root.set_attributes({"http.request.method": "POST", "http.response.status_code": 502, "cart.total": 129.95})
    order = sender.span("checkout", "PlaceOrder", root, start + 10 * _MS, links=[Link(linked.get_span_context())])
    order.set_attributes({"retry": False, "items": ["tea", "kettle"], "http.route": "/orders/{id}"})
    charge = sender.span("payment", "Charge", order, start + 20 * _MS, kind=SpanKind.CLIENT)
    charge.add_event("exception", {"exception.type": "TimeoutError"}, timestamp=start + 90 * _MS)
    charge.set_status(StatusCode.ERROR, "card gateway timed out")
    charge.end(start + 120 * _MS)
    ship = sender.span("shipping", "GetQuote", order, start + 130 * _MS)
    ship.end(start + 150 * _MS)
    order.end(start + 160 * _MS)
    root.end(start + 170 * _MS)
    return _trace_id(root)


def _hostile(sender: _Sender, start: int) -> str:
    """Names and values that try to be more than text."""
    root = sender.span(SCRIPT, SCRIPT, None, start, attributes={"markup": SCRIPT, SCRIPT: "as a key"})
    sender.span(RTL, RTL, root, start + _MS, attributes={RTL: RTL}).end(start + 3 * _MS)
    sender.span(LONG, LONG, root, start + 2 * _MS, attributes={"long": LONG}).end(start + 4 * _MS)
    root.end(start + 9 * _MS)
    return _trace_id(root)


def _large(sender: _Sender, start: int) -> str:
    """A root with chains of ten under it, ``LARGE`` spans in all."""
    root = sender.span("batch", "nightly run", None, start)
    count = 1
    while count < LARGE:
        parent = root
        for depth in range(min(10, LARGE - count)):
            begin = start + count * 2 * _MS
            span = sender.span("worker" if depth % 2 else "batch", f"step {depth}", parent, begin)
            span.end(begin + (11 - depth) * _MS)
            parent = span
            count += 1
    root.end(start + LARGE * 2 * _MS + 20 * _MS)
    return _trace_id(root)


def _trace_id(span: Span) -> str:
    return f"{span.get_span_context().trace_id:032x}"
