"""Our store as an ``Engine``: the capability's own parts, opened as ``pilothouse up`` opens them, without the listeners.

Requests go through the same group commit as behind the receivers, and count as loaded when each has been acknowledged.
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from questions import AttributeForm, Question, Search, SpanForm, SummaryForm, otlp_json

from pilothouse import __version__, signals
from pilothouse.formats.otlp.model import Span, Value
from pilothouse.kit.capability import Context
from pilothouse.kit.clock import SystemClock
from pilothouse.kit.config import load
from pilothouse.kit.telemetry import Ledger, Registry
from pilothouse.observe.traces import service
from pilothouse.observe.traces.model import TraceQuery, TraceSummary
from pilothouse.observe.traces.schema import TABLES

#: Requests on their way to the store at the same time, as from a few busy clients.
IN_FLIGHT: Final = 32
_KINDS: Final = ("", "internal", "server", "client", "producer", "consumer")
_STATUSES: Final = ("Unset", "Ok", "Error")


class Ours:
    """The traces capability's ingest and store, in ``directory``, with the default limits."""

    def __init__(self, directory: Path, threads: int) -> None:
        flags = {"server.data": str(directory), "store.threads": threads, "query.timeout": "60s"}
        config, clock = load(flags, env={}).config, SystemClock()
        self._signals = signals.open(config, clock, TABLES)
        self._signals.open()
        self._context = Context(config, clock, self._signals, Registry(), __version__)
        self._store = service.store(self._context)

    def load(self, requests: Iterable[bytes]) -> None:
        """Sends everything through the group commit, ``IN_FLIGHT`` at a time, until all of it is acknowledged."""
        asyncio.run(self._load(iter(requests)))

    async def _load(self, requests: Iterator[bytes]) -> None:
        ingest = service.IngestService(self._context, Ledger())
        await ingest.start()

        async def send() -> None:
            for request in requests:
                outcome = await ingest.commits.submit(request)
                if outcome.rejected or outcome.duplicate:
                    raise SystemExit(f"a generated request was not stored: {outcome}")

        async with asyncio.TaskGroup() as group:
            for _ in range(IN_FLIGHT):
                group.create_task(send())
        await ingest.stop()

    def settle(self) -> None:
        """Moves the log into the file."""
        self._signals.database.checkpoint()

    def facts(self) -> dict[str, float]:
        """Spans counted by SQL, and the bytes of file and log."""
        with self._signals.database.reading() as connection:
            row = connection.execute("SELECT count(*) FROM spans").fetchone()
        return {"spans": row[0] if row else 0, "disk_bytes": self._signals.database.size()}

    def close(self) -> None:
        """Closes the store."""
        self._signals.close()

    def ask(self, question: Question) -> object:
        """The answer as the APIs get it."""
        search = question.search
        match question.kind:
            case "trace":
                return self._store.trace(bytes.fromhex(question.trace_id))
            case "ids":
                return self._store.search_ids(_query(search))
            case "traces":
                return list(self._store.find(_query(search)))
            case "summaries":
                return self._store.summaries(_query(search))
            case "dependencies":
                return self._store.dependencies(search.start, search.end)
            case "services":
                return self._store.services()
            case "operations":
                return self._store.operations(search.service)

    def answer(self, question: Question) -> object:
        """The answer in the form that is compared."""
        store, search = self._store, question.search
        match question.kind:
            case "trace":
                trace = store.trace(bytes.fromhex(question.trace_id))
                return sorted(_span(span) for span in trace.spans) if trace else []
            case "ids":
                return sorted(one.hex() for one in store.search_ids(_query(search))[0])
            case "traces":
                found = store.find(_query(search))
                return sorted((span.trace_id.hex(), span.span_id.hex()) for trace in found for span in trace.spans)
            case "summaries":
                return sorted(_summary(one) for one in store.summaries(_query(search)).traces)
            case "dependencies":
                edges = store.dependencies(search.start, search.end)
                return sorted((edge.parent, edge.child, edge.call_count, edge.error_count) for edge in edges)
            case "services":
                return sorted(service.name for service in store.services())
            case "operations":
                return sorted((one.name, _KINDS[one.kind]) for one in store.operations(search.service))


def _query(search: Search) -> TraceQuery:
    return TraceQuery(
        start=search.start,
        end=search.end,
        service=search.service,
        operation=search.operation,
        attributes=search.attributes,
        duration_min=search.duration_min or None,
        limit=search.limit,
    )


def _summary(one: TraceSummary) -> SummaryForm:
    services = tuple((service.name, service.span_count, service.error_count) for service in one.services)
    return (
        one.trace_id.hex(), one.root_service, one.root_name, one.start, one.end, one.span_count, one.error_count,
        one.orphan_count, services,
    )  # fmt: skip


def _attribute(key: str, value: Value) -> AttributeForm:
    match value:
        case bool() | int() | float() | str():
            return key, {bool: "bool", int: "int", float: "double", str: "str"}[type(value)], str(value)
        case bytes():
            return key, "bytes", b64encode(value).decode()
        case _:
            return key, "slice" if isinstance(value, list) else "map", json.dumps(otlp_json(value), sort_keys=True)


def _attributes(attributes: Mapping[str, Value]) -> tuple[AttributeForm, ...]:
    return tuple(sorted(_attribute(key, value) for key, value in attributes.items() if value is not None))


def _span(span: Span) -> SpanForm:
    return SpanForm(
        span_id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        name=span.name,
        service=span.service,
        kind=_KINDS[span.kind],
        start=span.start,
        duration=span.end - span.start,
        status=_STATUSES[span.status_code],
        message=span.status_message,
        state=span.trace_state,
        flags=span.flags,
        attributes=_attributes(span.attributes),
        resource=_attributes(span.resource.attributes),
        scope=(span.scope.name, span.scope.version, _attributes(span.scope.attributes)),
        events=tuple((event.time, event.name, _attributes(event.attributes)) for event in span.events),
        links=tuple(
            (link.trace_id.hex(), link.span_id.hex(), link.trace_state, link.flags, _attributes(link.attributes))
            for link in span.links
        ),
        dropped=(span.dropped_attributes, span.dropped_events, span.dropped_links),
        schemas=(span.resource.schema_url, span.scope.schema_url),
    )
