"""A query's conditions as SQL over one segment's rows ``r``.

Values from people only ever travel as parameters. What a condition means is defined by ``formats.expression``; the tests hold
this translation against its evaluator.
"""

from __future__ import annotations

from collections.abc import Iterable

from pilothouse.formats.expression import Attribute, Compare, Constant
from pilothouse.observe.traces.filter_sql import compiled
from pilothouse.observe.traces.keys import SegmentKeys
from pilothouse.observe.traces.model import TraceQuery
from pilothouse.observe.traces.params import Params

__all__ = ["Params", "predicate"]


def predicate(query: TraceQuery, keys: SegmentKeys, segment: int, params: Params) -> str:
    """The condition under which a row matches; ``TRUE`` for a query without conditions."""
    conditions = list(_columns(query, params))
    parts = [Compare("eq", Attribute(key), Constant("any", value)) for key, value in query.attributes]
    expressions = [*parts, query.filter] if query.filter is not None else parts
    conditions += [compiled(expression, keys, segment, params) for expression in expressions]
    return " AND ".join(conditions) or "TRUE"


def _columns(query: TraceQuery, params: Params) -> Iterable[str]:
    if query.service:
        yield f"r.service = {params.one(query.service)}"
    if query.operation:
        yield f"r.name = {params.one(query.operation)}"
    if query.duration_min is not None:
        yield f"r.duration >= {query.duration_min}"
    if query.duration_max is not None:
        yield f"r.duration <= {query.duration_max}"
    if query.status is not None:
        yield f"r.status = {query.status}"
    if query.kind is not None:
        yield f"r.kind = {query.kind}"
