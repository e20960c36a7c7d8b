"""The house's own operations: how the server is, and read-only SQL. Mounted at ``/api/``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Annotated, Any

from msgspec import Meta, Struct

from pilothouse.formats import rfc3339
from pilothouse.kit.capability import Capability, Context, Listener
from pilothouse.kit.clock import SECOND
from pilothouse.kit.errors import InvalidInput
from pilothouse.kit.health import Health, worst
from pilothouse.kit.http import Endpoint
from pilothouse.kit.units import parse_duration
from pilothouse.server.accounting import Accounting


class Component(Struct, frozen=True, rename="camel"):
    """One running part and its health; ``since`` is RFC 3339."""

    name: str
    status: str
    reason: str
    since: str


class Address(Struct, frozen=True, rename="camel"):
    """One listener."""

    name: str
    protocol: str
    address: str
    url: str
    purpose: str


class CapabilityInfo(Struct, frozen=True, rename="camel"):
    """One room of this server, for navigation."""

    name: str
    title: str
    plane: str
    summary: str


class IngestInfo(Struct, frozen=True, rename="camel"):
    """The account of all spans: ``received`` is the sum of the other counts."""

    received: int
    stored: int
    duplicate: int
    queued: int
    refused: dict[str, int]
    dropped: dict[str, int]
    spans_per_second: float


class StoreInfo(Struct, frozen=True, rename="camel"):
    """What is stored; ``oldest`` and ``newest`` are RFC 3339, or null in an empty store."""

    spans: int
    bytes: int
    segments: int
    oldest: str | None
    newest: str | None


class StatusReply(Struct, frozen=True, rename="camel"):
    """How the server is."""

    version: str
    started: str
    uptime_seconds: float
    status: str
    ephemeral: bool
    data_dir: str
    components: list[Component]
    listeners: list[Address]
    capabilities: list[CapabilityInfo]
    ingest: IngestInfo
    store: StoreInfo


class SqlRequest(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """One read-only query and, optionally, tighter limits than the server's."""

    sql: Annotated[str, Meta(min_length=1, max_length=100_000)]
    max_rows: Annotated[int, Meta(ge=1)] | None = None
    timeout: Annotated[str, Meta(description="Such as 500ms or 2s")] | None = None


class SqlColumn(Struct, frozen=True):
    """A column's name and SQL type."""

    name: str
    type: str


class SqlReply(Struct, frozen=True, rename="camel"):
    """Rows as arrays, in the order of the columns."""

    columns: list[SqlColumn]
    rows: list[list[Any]]
    truncated: bool
    elapsed_ms: float


class HouseApi:
    """The handlers, over the parts of one process.

    Args:
        context: Of the process.
        capabilities: That are mounted.
        accounting: The books.
        health: Every component's health by name.
        listeners: Every address, once bound.
    """

    def __init__(
        self,
        context: Context,
        capabilities: Sequence[Capability],
        accounting: Accounting,
        health: Callable[[], dict[str, Health]],
        listeners: Callable[[], list[Listener]],
    ) -> None:
        self._context, self._capabilities, self._accounting = context, capabilities, accounting
        self._health, self._listeners = health, listeners
        self._started = context.clock.now_ns()
        self._began = context.clock.monotonic_ns()

    def endpoints(self) -> list[Endpoint]:
        """``/api/status`` and ``/api/sql``."""
        return [
            Endpoint("GET", "/status", self.status, "How the server is", returns=StatusReply),
            Endpoint(
                "POST",
                "/sql",
                self.sql,
                "Run one read-only SQL query",
                body=SqlRequest,
                returns=SqlReply,
                max_body=1 << 20,
            ),
        ]

    async def status(self) -> StatusReply:
        """Everything ``pilothouse status`` and the console's frame show."""
        context, health, balance = self._context, self._health(), self._accounting.total()
        stats = await asyncio.to_thread(context.signals.stats)
        return StatusReply(
            version=context.version,
            started=rfc3339.render(self._started),
            uptime_seconds=(context.clock.monotonic_ns() - self._began) / SECOND,
            status=worst(health.values()).status.value,
            ephemeral=context.config.server.ephemeral,
            data_dir="" if context.config.server.ephemeral else context.config.server.data,
            components=[Component(n, h.status.value, h.reason, rfc3339.render(h.since_ns)) for n, h in health.items()],
            listeners=[Address(x.name, x.protocol, x.address, x.url, x.purpose) for x in self._listeners()],
            capabilities=[CapabilityInfo(c.name, c.title, c.plane, c.summary) for c in self._capabilities],
            ingest=IngestInfo(
                balance.received,
                balance.stored,
                balance.duplicate,
                balance.queued,
                balance.refused,
                balance.dropped,
                self._accounting.spans_per_second(),
            ),
            store=StoreInfo(
                spans=stats["spans"],
                bytes=stats["bytes"],
                segments=stats["segments"],
                oldest=_time(stats["oldest"]),
                newest=_time(stats["newest"]),
            ),
        )

    async def sql(self, request: SqlRequest) -> SqlReply:
        """Runs a query under the server's limits, or tighter ones."""
        limits = self._context.config.query
        timeout = limits.timeout
        if request.timeout is not None:
            try:
                timeout = min(timeout, parse_duration(request.timeout))
            except ValueError as error:
                raise InvalidInput(str(error), where="body field 'timeout'") from error
        rows = min(limits.max_rows, request.max_rows or limits.max_rows)
        began = time.perf_counter()
        result = await asyncio.to_thread(self._context.signals.sql, request.sql, rows, timeout)
        return SqlReply(
            columns=[SqlColumn(name, kind) for name, kind in result.columns],
            rows=[list(row) for row in result.rows],
            truncated=result.truncated,
            elapsed_ms=round((time.perf_counter() - began) * 1000, 3),
        )


def _time(ns: int | None) -> str | None:
    return None if ns is None else rfc3339.render(ns)
