"""What of this capability runs: the group commit, the receivers in front of it, and Jaeger's listeners behind the store."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from pilothouse.kit.capability import Context
from pilothouse.kit.health import Health
from pilothouse.kit.service import Service
from pilothouse.kit.telemetry import Ledger
from pilothouse.observe.traces.ingest import Ingest, Outcome, Prepared
from pilothouse.observe.traces.jaeger.service import services as jaeger_services
from pilothouse.observe.traces.receivers import Receivers
from pilothouse.observe.traces.store import TraceStore
from pilothouse.signals.writer import GroupCommit

#: What a span takes on the wire, roughly, for limits that are given in spans.
_SPAN_BYTES = 256


class IngestService:
    """The group commit with what it has to remember across restarts."""

    def __init__(self, context: Context, ledger: Ledger) -> None:
        limits = context.config.ingest
        self._ingest = Ingest(context.signals, context.clock, ledger, dedupe_window=limits.dedupe_window)
        self.commits: GroupCommit[Prepared, Outcome] = GroupCommit(
            "ingest",
            self._ingest.prepare,
            self._ingest.commit,
            context.clock,
            queue_bytes=limits.queue_bytes,
            group_bytes=limits.group_spans * _SPAN_BYTES,
            wait=limits.commit_wait,
        )
        self.name = self.commits.name

    async def start(self) -> None:
        """Loads what the last run left, then takes requests."""
        await asyncio.to_thread(self._ingest.load)
        await self.commits.start()

    async def stop(self) -> None:
        """Commits what waits."""
        await self.commits.stop()

    def health(self) -> Health:
        """Recoverable while commits fail."""
        return self.commits.health()


def services(context: Context) -> Sequence[Service]:
    """In starting order."""
    ledger = context.ledgers.setdefault("traces", Ledger())
    ingest = IngestService(context, ledger)
    context.metrics.probe(
        "pilothouse_ingest_queued_bytes", "Bytes received and not yet committed.", lambda: ingest.commits.queued_bytes
    )
    receivers = Receivers(context, ingest.commits, ledger)
    return [ingest, *jaeger_services(context, store(context)), *receivers.services()]


def store(context: Context) -> TraceStore:
    """The process's one trace store."""
    query = context.config.query
    found = context.shared.get("traces.store")
    if not isinstance(found, TraceStore):
        found = TraceStore(context.signals, timeout=query.timeout, max_trace_spans=query.max_trace_spans)
        context.shared["traces.store"] = found
    return found
