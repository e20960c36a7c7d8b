"""Questions whose answer is an aggregate: summaries of traces, and who calls whom. Computed by the engine, in one pass.

A span that was sent twice counts once: rows are made distinct by everything these answers depend on.
"""

from __future__ import annotations

from collections.abc import Sequence

from pilothouse.observe.traces.model import Dependency, ServiceCount, TraceSummary
from pilothouse.observe.traces.params import Params
from pilothouse.signals.duckdb.database import Connection
from pilothouse.signals.duckdb.segments import SegmentsView

_SUMMARY = """
WITH spans AS (
    SELECT DISTINCT trace_id, span_id, parent_span_id, start, duration, service, name, kind, status FROM ({rows})
), roots AS (
    SELECT trace_id, arg_min({{'service': service, 'name': name}}, {{'start': start, 'id': span_id}}) AS root
    FROM spans WHERE parent_span_id IS NULL GROUP BY trace_id
), orphans AS (
    SELECT child.trace_id, count(*) AS count FROM spans child
    ANTI JOIN spans parent ON parent.trace_id = child.trace_id AND parent.span_id = child.parent_span_id
    WHERE child.parent_span_id IS NOT NULL GROUP BY child.trace_id
), services AS (
    SELECT trace_id, service, count(*) AS spans, count(*) FILTER (status = 2) AS errors, min(start) AS start,
           max(start + duration) AS "end"
    FROM spans GROUP BY trace_id, service
)
SELECT trace_id, any_value(root.service), any_value(root.name), min(start), max("end"), sum(spans)::BIGINT,
       sum(errors)::BIGINT, any_value(orphans.count),
       list({{'service': services.service, 'spans': spans, 'errors': errors}} ORDER BY services.service)
FROM services LEFT JOIN roots USING (trace_id) LEFT JOIN orphans USING (trace_id) GROUP BY trace_id
"""

_DEPENDENCIES = """
WITH spans AS (
    SELECT hash(trace_id) AS trace, trace_id, span_id, parent_span_id, start, service, status, kind FROM ({rows})
), links AS (
    SELECT child.trace_id, child.span_id, child.start, child.service, child.status, hash(link.trace_id) AS trace,
           hex(link.span_id) AS linked
    FROM ({linked}) child, unnest(child.links) AS _(link)
    WHERE child.trace_id <> link.trace_id OR lower(hex(link.span_id)) IS DISTINCT FROM printf('%016x', child.parent_span_id)
), calls AS (
    SELECT DISTINCT child.trace, child.span_id, child.start, parent.service AS parent, child.service AS child, child.status
    FROM spans child JOIN spans parent ON parent.span_id = child.parent_span_id AND parent.trace = child.trace
    WHERE child.start >= {start} AND child.start < {end} AND parent.service <> child.service
    UNION ALL
    SELECT DISTINCT hash(links.trace_id), links.span_id, links.start, parent.service, links.service, links.status
    FROM links JOIN spans parent ON parent.trace = links.trace AND links.linked = printf('%016X', parent.span_id)
    WHERE parent.service <> links.service AND parent.kind = 4
)
SELECT parent, child, count(*), count(*) FILTER (status = 2) FROM calls GROUP BY 1, 2 ORDER BY 1, 2
"""
#: A caller's span may have started this much before the range in which the callee's did.
_CALLER_LEAD = 600_000_000_000


def span_counts(connection: Connection, segments: SegmentsView, ids: Sequence[bytes]) -> dict[bytes, int]:
    """How many rows each trace has."""
    params = Params()
    selects = _selects(segments, ids, "trace_id", params)
    if not selects:
        return {}
    statement = f"SELECT trace_id, count(*) FROM ({' UNION ALL '.join(selects)}) GROUP BY trace_id"
    return dict(connection.execute(statement, params.values).fetchall())


def _selects(segments: SegmentsView, ids: Sequence[bytes], columns: str, params: Params) -> list[str]:
    """SQL for all rows of these traces, a statement for each stretch that may hold some."""
    return [
        f"SELECT {columns} FROM {segments.name_of(s.segment.id)} r"
        f" WHERE {s.condition} AND trace_id IN ({params.many(s.keys)})"
        for s in segments.holding(ids)
    ]


def summaries(connection: Connection, segments: SegmentsView, ids: Sequence[bytes]) -> list[TraceSummary]:
    """The summaries of these traces, in the order of ``ids``; one that is gone is left out."""
    params = Params()
    columns = "trace_id, span_id, parent_span_id, start, duration, service, name, kind, status"
    selects = _selects(segments, ids, columns, params)
    if not selects:
        return []
    rows = " UNION ALL ".join(selects)
    found = {
        row[0]: TraceSummary(
            trace_id=row[0],
            root_service=row[1] or "",
            root_name=row[2] or "",
            start=row[3],
            end=row[4],
            span_count=row[5],
            error_count=row[6],
            orphan_count=row[7] or 0,
            services=tuple(ServiceCount(s["service"], s["spans"], s["errors"]) for s in row[8]),
        )
        for row in connection.execute(_SUMMARY.format(rows=rows), params.values).fetchall()
    }
    return [found[trace_id] for trace_id in ids if trace_id in found]


def dependencies(connection: Connection, segments: SegmentsView, start: int, end: int) -> list[Dependency]:
    """Calls between different services whose callee's span starts in ``[start, end)``."""
    columns = "trace_id, span_id, parent_span_id, start, service, status, kind"
    names = [segments.name_of(s.id) for s in segments.between(start - _CALLER_LEAD, end)]
    if not names:
        return []
    rows = " UNION ALL ".join(
        f"SELECT {columns} FROM {n} WHERE start >= {start - _CALLER_LEAD} AND start < {end}" for n in names
    )
    linked = " UNION ALL ".join(
        f"SELECT service, status, start, trace_id, span_id, parent_span_id, links FROM {n}"
        f" WHERE start >= {start} AND start < {end} AND kind = 5 AND len(links) > 0"
        for n in names
    )
    statement = _DEPENDENCIES.format(rows=rows, linked=linked, start=start, end=end)
    return [Dependency(*row) for row in connection.execute(statement).fetchall()]
