"""What every journey is made of: a visit, a query, a cache lookup, a message; each with its conventional attributes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from msgspec import Struct
from opentelemetry.trace import SpanKind
from opentelemetry.util.types import AnyValue

from pilothouse.learn.shop.cluster import Cluster, Failure, Work

_TIERS: Final = ("basic", "basic", "silver", "silver", "gold")
_COUNTRIES: Final = ("DE", "FR", "NL", "PT", "PL")
_AGENTS: Final = (
    "Mozilla/5.0 (X11; Linux x86_64)",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0)",
    "ShopApp/7.3 (Android 15)",
)


class Customer(Struct, frozen=True):
    """Who is asking."""

    id: str
    tier: str
    country: str

    @property
    def about(self) -> dict[str, AnyValue]:
        """The attributes every service that knows the customer notes."""
        return {"customer.id": self.id, "customer.tier": self.tier}


@contextmanager
def visit(
    cluster: Cluster, method: str, route: str, at: int, about: Mapping[str, AnyValue] | None = None
) -> Iterator[tuple[Work, Customer]]:
    """A request to the storefront that starts a trace at nanosecond ``at``; gives its span and who sent it.

    What fails behind it becomes the status the customer sees, and is raised no further.
    """
    rng = cluster.rng
    customer = Customer(f"c-{rng.randint(1, 400):04d}", rng.choice(_TIERS), rng.choice(_COUNTRIES))
    base: dict[str, AnyValue] = {
        "http.request.method": method,
        "http.route": route,
        "url.path": route.replace("{id}", str(rng.randint(1000, 9999))),
        "url.scheme": "https",
        "user_agent.original": rng.choice(_AGENTS),
        "client.address": f"203.0.113.{rng.randint(1, 254)}",
        "client.geo.country": customer.country,
        "session.new": rng.random() < 0.2,
        "network.protocol.version": "2",
        **customer.about,
    }
    with cluster.receive("storefront", f"{method} {route}", SpanKind.SERVER, at, {**base, **(about or {})}) as page:
        page.spend(0.5, 3)
        status = 200
        try:
            yield page, customer
        except Failure as why:
            status = why.status
            page.fail(why)
        page.tell({"http.response.status_code": status})


def postgres(
    work: Work,
    operation: str,
    table: str,
    sql: str,
    milliseconds: tuple[float, float],
    *,
    rows: int = 1,
    about: Mapping[str, AnyValue] | None = None,
) -> None:
    """One statement on the service's own database, taking ``milliseconds`` (from, to)."""
    base: dict[str, AnyValue] = {
        "db.system.name": "postgresql",
        "db.namespace": work.pod.service,
        "db.operation.name": operation,
        "db.collection.name": table,
        "db.query.text": sql,
        "server.address": f"{work.pod.service}-db.shop.svc",
        "server.port": 5432,
    }
    with work.step(
        f"{operation} {table}", SpanKind.CLIENT, {**base, **(about or {})}, scope="shop.postgresql"
    ) as query:
        query.spend(*milliseconds)
        query.tell({"db.response.returned_rows": rows})


def redis(work: Work, command: str, *, hit: bool | None = None, reset: bool = False) -> None:
    """One command on the shared Redis: a read tells whether it ``hit``; ``reset`` lets the connection drop.

    Raises:
        ConnectionResetError: When ``reset``.
    """
    about: dict[str, AnyValue] = {
        "db.system.name": "redis",
        "db.operation.name": command,
        "server.address": "redis.shop.svc",
        "server.port": 6379,
    }
    if hit is not None:
        about["cache.hit"] = hit
    with work.step(command, SpanKind.CLIENT, about, scope="shop.redis") as call:
        call.spend(0.2, 1.5)
        if reset:
            call.spend(40, 60)
            raise ConnectionResetError(104, "Connection reset by peer")


def kafka(operation: str, topic: str, group: str = "") -> dict[str, AnyValue]:
    """The attributes of a message that is sent to, or read by ``group`` from, a topic."""
    about: dict[str, AnyValue] = {
        "messaging.system": "kafka",
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": topic,
        "server.address": "kafka.shop.svc",
        "server.port": 9092,
    }
    if group:
        about["messaging.consumer.group.name"] = group
    return about
