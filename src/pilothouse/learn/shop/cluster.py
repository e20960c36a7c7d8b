"""The machinery under the shop: pods with a real ``TracerProvider`` each, and spans that live in simulated time.

Nothing here sleeps. A ``Work`` is an open span and the nanosecond its work has reached; spending time moves that moment, and
every timestamp is given to the SDK explicitly. Contexts cross services only as the headers that the W3C propagator writes, as
in a real system, so parents, flags and tracestate are what the SDK makes of them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, Sampler, SamplingResult
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, StatusCode, Tracer, TraceState, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AnyValue, Attributes

from pilothouse.learn.shop.services import DEPLOYMENTS, PORTS, SCHEMA_URL, Deployment, pod_resource

_PROPAGATOR = TraceContextTextMapPropagator()
_MILLISECOND = 1_000_000
_SCOPE_VERSION = "1.0.0"


class Failure(Exception):
    """A service answers a request with an HTTP error ``status`` instead of a result."""

    def __init__(self, status: int, what: str) -> None:
        super().__init__(what)
        self.status = status


class SeededIds(IdGenerator):
    """Trace and span ids from a seed: the same seed and the same clock give the same bytes."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def generate_span_id(self) -> int:
        """A 64-bit id, never zero."""
        return self._rng.getrandbits(64) or 1

    def generate_trace_id(self) -> int:
        """A 128-bit id, never zero."""
        return self._rng.getrandbits(128) or 1


class TierSampler(Sampler):
    """Samples everything and notes the customer's tier in the tracestate of a new trace."""

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Always ``RECORD_AND_SAMPLE``; called for roots only."""
        tier = (attributes or {}).get("customer.tier", "none")
        return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes, TraceState([("shop", f"tier:{tier}")]))

    def get_description(self) -> str:
        """The sampler's name."""
        return "TierSampler"


class Pod:
    """One replica of a service, with its own provider, and a tracer for each instrumentation scope it uses."""

    def __init__(self, deployment: Deployment, replica: int, cluster: Cluster) -> None:
        resource = Resource.create(pod_resource(deployment, replica, cluster.rng), SCHEMA_URL)
        self.service = deployment.name
        self.address = f"10.4.{replica}.{deployment.port - 8080 + 10}"
        self._provider = TracerProvider(
            sampler=ParentBased(TierSampler()),
            resource=resource,
            shutdown_on_exit=False,
            id_generator=cluster.ids,
            span_limits=cluster.limits,
        )
        self._provider.add_span_processor(cluster.processor)
        self._tracers: dict[str, Tracer] = {}

    def tracer(self, scope: str) -> Tracer:
        """The tracer of one instrumentation scope."""
        if scope not in self._tracers:
            attributes: dict[str, AnyValue] = {"shop.simulated": True}
            self._tracers[scope] = self._provider.get_tracer(scope, _SCOPE_VERSION, SCHEMA_URL, attributes)
        return self._tracers[scope]


class Cluster:
    """All pods, the randomness they share, and where their finished spans go.

    Args:
        seed: Decides what happens. The same seed makes the same pods and the same stories.
        epoch: Nanoseconds; with the seed it decides the ids, so that two runs with one seed do not reuse each other's.
        processor: Receives every span when it ends.
    """

    def __init__(self, seed: int, epoch: int, processor: SpanProcessor) -> None:
        self.rng = random.Random(f"shop {seed}")  # noqa: S311 - a story, not a secret
        self.ids = SeededIds(random.Random(f"ids {seed} {epoch}"))  # noqa: S311 - likewise
        self.limits = SpanLimits()
        self.processor = processor
        self._pods = {d.name: [Pod(d, replica, self) for replica in range(d.replicas)] for d in DEPLOYMENTS}

    @contextmanager
    def receive(
        self,
        service: str,
        name: str,
        kind: SpanKind,
        at: int,
        about: Mapping[str, AnyValue],
        *,
        headers: Mapping[str, str] | None = None,
        links: Sequence[Link] = (),
        scope: str = "shop.http",
    ) -> Iterator[Work]:
        """Opens the first span of ``service`` for a request or message that arrives ``at`` (ns) with ``headers``."""
        pod = self.rng.choice(self._pods[service])
        parent = _PROPAGATOR.extract(dict(headers or {}), Context())
        with _open(self, pod, scope, name, kind, at, parent, about, links) as work:
            yield work


class Work:
    """An open span in simulated time.

    Attributes:
        now: The moment its work has reached, in nanoseconds; the span ends where this is when its block ends.
    """

    def __init__(self, cluster: Cluster, pod: Pod, span: Span, context: Context, kind: SpanKind, now: int) -> None:
        self.cluster = cluster
        self.pod = pod
        self.now = now
        self._span = span
        self._context = context
        self._kind = kind
        self._settled = False

    @property
    def rng(self) -> random.Random:
        """The shop's randomness."""
        return self.cluster.rng

    @property
    def span_context(self) -> SpanContext:
        """For links to this span."""
        return self._span.get_span_context()

    @property
    def headers(self) -> dict[str, str]:
        """What this span's service writes into a request or message it sends: ``traceparent`` and ``tracestate``."""
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier, self._context)
        return carrier

    def spend(self, low: float, high: float) -> None:
        """Works for ``low`` to ``high`` milliseconds, short times being the likelier."""
        self.now += int(low * (high / low) ** self.rng.random() * _MILLISECOND)

    def tell(self, about: Mapping[str, AnyValue]) -> None:
        """Sets attributes."""
        self._span.set_attributes(about)

    def note(self, event: str, about: Mapping[str, AnyValue] | None = None) -> None:
        """Adds an event at this moment."""
        self._span.add_event(event, about, timestamp=self.now)

    def fail(self, why: Exception) -> None:
        """Records ``why``, once. A server that answers 4xx did its job, so its span stays unset (HTTP conventions)."""
        if self._settled or (self._kind is SpanKind.SERVER and isinstance(why, Failure) and why.status < 500):
            return
        self._settled = True
        self._span.record_exception(why, timestamp=self.now)
        self._span.set_attribute("error.type", type(why).__name__)
        self._span.set_status(StatusCode.ERROR, str(why))

    def refuse(self, error_type: str, description: str = "") -> None:
        """Marks the span as failed without an exception."""
        self._settled = True
        self._span.set_attribute("error.type", error_type)
        self._span.set_status(StatusCode.ERROR, description)

    @contextmanager
    def step(
        self,
        name: str,
        kind: SpanKind = SpanKind.INTERNAL,
        about: Mapping[str, AnyValue] | None = None,
        *,
        scope: str = "",
    ) -> Iterator[Work]:
        """Opens a child in the same pod; when it ends, this span has waited for it."""
        where = scope or f"shop.{self.pod.service}"
        with _open(self.cluster, self.pod, where, name, kind, self.now, self._context, about or {}, ()) as work:
            try:
                yield work
            finally:
                self.now = work.now

    @contextmanager
    def together(self) -> Iterator[Callable[[], None]]:
        """Does things at the same time: each call of what this gives starts another branch at the moment of the first."""
        start = latest = self.now

        def branch() -> None:
            nonlocal latest
            latest = max(latest, self.now)
            self.now = start

        try:
            yield branch
        finally:
            self.now = max(latest, self.now)

    @contextmanager
    def http(
        self, service: str, method: str, route: str, about: Mapping[str, AnyValue] | None = None
    ) -> Iterator[Work]:
        """Calls ``service`` over HTTP and gives its server span; an error answer is raised here as a ``Failure``."""
        host, name = f"{service}.shop.svc", f"{method} {route}"
        port = PORTS[service]
        client: dict[str, AnyValue] = {"http.request.method": method, "url.template": route}
        client["url.full"] = f"http://{host}:{port}{route}"
        server_about: dict[str, AnyValue] = {"http.request.method": method, "http.route": route, "url.path": route}
        server_about |= {"url.scheme": "http", **(about or {})}
        with self._exchange(service, name, client, server_about, "http.response.status_code", 200) as work:
            yield work

    @contextmanager
    def grpc(self, service: str, rpc: str, method: str, about: Mapping[str, AnyValue] | None = None) -> Iterator[Work]:
        """Calls ``service`` over gRPC and gives its server span; an error answer is raised here as a ``Failure``."""
        base: dict[str, AnyValue] = {"rpc.system": "grpc", "rpc.service": rpc, "rpc.method": method}
        about = {**base, **(about or {})}
        with self._exchange(service, f"{rpc}/{method}", base, about, "rpc.grpc.status_code", 0) as work:
            yield work

    @contextmanager
    def _exchange(
        self,
        service: str,
        name: str,
        client_about: Mapping[str, AnyValue],
        server_about: Mapping[str, AnyValue],
        status_key: str,
        good: int,
    ) -> Iterator[Work]:
        """A client span here, a server span there, and the network between them."""
        scope = "shop.grpc" if good == 0 else "shop.http"
        peer: dict[str, AnyValue] = {"server.address": f"{service}.shop.svc", "server.port": PORTS[service]}
        with self.step(name, SpanKind.CLIENT, {**client_about, **peer}, scope=scope) as client:
            client.spend(0.2, 0.9)
            version = "1.1" if good else "2"
            where = {**server_about, "client.address": self.pod.address, "network.protocol.version": version}
            status, answer = good, None
            with self.cluster.receive(
                service, name, SpanKind.SERVER, client.now, where, headers=client.headers, scope=scope
            ) as server:
                try:
                    yield server
                except Exception as why:  # whatever a handler raises becomes an error answer, as in any framework
                    server.fail(why)
                    http_status = why.status if isinstance(why, Failure) else 500
                    status = http_status if good else _GRPC_STATUS.get(http_status, 2)
                    answer = Failure(http_status, f"{service} answered {status}: {why}")
                server.tell({status_key: status})
            client.now = server.now
            client.spend(0.2, 0.9)
            client.tell({status_key: status})
            if answer is not None:
                client.refuse(str(status), str(answer))
                raise answer from None


#: gRPC status by the HTTP status a handler failed with: INVALID_ARGUMENT, NOT_FOUND, FAILED_PRECONDITION, UNAVAILABLE.
_GRPC_STATUS = {400: 3, 404: 5, 409: 9, 503: 14}


@contextmanager
def _open(
    cluster: Cluster,
    pod: Pod,
    scope: str,
    name: str,
    kind: SpanKind,
    at: int,
    parent: Context,
    about: Mapping[str, AnyValue],
    links: Sequence[Link],
) -> Iterator[Work]:
    span = pod.tracer(scope).start_span(name, parent, kind, about, links, at, False, False)
    work = Work(cluster, pod, span, set_span_in_context(span, parent), kind, at)
    try:
        yield work
    except Exception as why:
        work.fail(why)
        raise
    finally:
        span.end(end_time=work.now)
