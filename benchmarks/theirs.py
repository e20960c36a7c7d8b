"""The peer as an ``Engine``: questions to Jaeger's SQL, its rows to the forms that are compared."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import peer_jaeger_clickhouse as peer
from peer_rows import TYPES
from questions import AttributeForm, Question, SpanForm, SummaryForm

_MARKS: Final = ("bytes", "slice", "map")


class Theirs:
    """Jaeger's ClickHouse schema and SQL on chDB, in ``directory``."""

    def __init__(self, directory: Path, threads: int) -> None:
        self._peer = peer.Peer(directory, threads)
        self._peer.create()

    def load(self, requests: Iterable[bytes]) -> None:
        """Inserts everything, then waits for the merges that this caused."""
        self._peer.load(requests)

    def settle(self) -> None:
        """Waits for background merges, then merges the rest: the best case for reading."""
        while self._peer.rows("SELECT count() AS n FROM system.merges")[0]["n"]:
            time.sleep(0.05)
        self._peer.settle()

    def facts(self) -> dict[str, float]:
        """Also the seconds that the inserts took without the conversion to rows."""
        return {
            "spans": self._peer.count(),
            "disk_bytes": self._peer.disk_bytes(),
            "insert_wall": self._peer.inserted.wall,
            "insert_cpu": self._peer.inserted.cpu,
        }

    def close(self) -> None:
        """Ends the session."""
        self._peer.close()

    def ask(self, question: Question) -> object:
        """The answer as ClickHouse sends it to Jaeger."""
        return self._peer.run(self._sql(question))

    def _sql(self, question: Question) -> str:
        search = question.search
        order = peer.SHIPPED if question.as_shipped else peer.NEWEST
        match question.kind:
            case "trace":
                return peer.trace_sql(question.trace_id)
            case "ids":
                return peer.ids_sql(self._peer.where(search), search.limit, order)
            case "traces":
                return peer.find_sql(self._peer.where(search), search.limit, order)
            case "summaries":
                return peer.summaries_sql(self._peer.where(search), search.limit, order)
            case "dependencies":
                return peer.dependencies_sql(search.start, search.end, links=not question.as_shipped)
            case "services":
                return peer.SERVICES_SQL
            case "operations":
                return peer.operations_sql(search.service)

    def answer(self, question: Question) -> object:
        """The answer in the form that is compared."""
        rows = self._peer.rows(self._sql(question))
        match question.kind:
            case "trace":
                return sorted(_span(row) for row in rows)
            case "ids":
                return sorted(row["trace_id"] for row in rows)
            case "traces":
                return sorted((row["trace_id"], row["id"]) for row in rows)
            case "summaries":
                return sorted(_summary(row) for row in rows)
            case "dependencies":
                return sorted((row["parent"], row["child"], row["calls"], row["errors"]) for row in rows)
            case "services":
                return sorted(row["name"] for row in rows)
            case "operations":
                return sorted((row["name"], row["span_kind"]) for row in rows)


def _summary(row: dict[str, Any]) -> SummaryForm:
    services = tuple(sorted(zip(row["svc_names"], row["svc_span_counts"], row["svc_error_counts"], strict=True)))
    return (
        row["trace_id"], row["root_service"], row["root_operation"], row["min_start"], row["max_end"], row["span_count"],
        row["error_span_count"], row["orphan_count"], services,
    )  # fmt: skip


def _typed(kind: str, key: str, value: Any) -> AttributeForm:
    if kind == "complex":
        mark = next(mark for mark in _MARKS if key.startswith(f"@{mark}@"))
        text = value if mark == "bytes" else json.dumps(json.loads(value), sort_keys=True)
        return key[len(mark) + 2 :], mark, text
    return key, kind, str(value)


def _attributes(row: dict[str, Any], prefix: str = "", item: int | None = None) -> tuple[AttributeForm, ...]:
    """The attributes of one level, or of one event or link of it."""
    found: list[AttributeForm] = []
    for kind in TYPES:
        keys, values = (row[f"{prefix}{kind}_attributes.{part}"] for part in ("key", "value"))
        if item is not None:
            keys, values = keys[item], values[item]
        found += [_typed(kind, key, value) for key, value in zip(keys, values, strict=True)]
    return tuple(sorted(found))


def _span(row: dict[str, Any]) -> SpanForm:
    return SpanForm(
        span_id=row["id"],
        parent=row["parent_span_id"],
        name=row["name"],
        service=row["service_name"],
        kind=row["kind"],
        start=row["start_time"],
        duration=row["duration"],
        status=row["status_code"],
        message=row["status_message"],
        state=row["trace_state"],
        flags=row["flags"],
        attributes=_attributes(row),
        resource=_attributes(row, "resource_"),
        scope=(row["scope_name"], row["scope_version"], _attributes(row, "scope_")),
        events=tuple(
            (at, name, _attributes(row, "events.", i))
            for i, (at, name) in enumerate(zip(row["events.timestamp"], row["events.name"], strict=True))
        ),
        links=tuple(
            (
                trace,
                row["links.span_id"][i],
                row["links.trace_state"][i],
                row["links.flags"][i],
                _attributes(row, "links.", i),
            )
            for i, trace in enumerate(row["links.trace_id"])
        ),
        dropped=(row["dropped_attributes_count"], row["dropped_events_count"], row["dropped_links_count"]),
        schemas=(row["resource_schema_url"], row["scope_schema_url"]),
    )
