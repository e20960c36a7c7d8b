"""The traces capability's questions to the signals substrate.

Every method blocks and may be called from any thread; each sees one snapshot. What was acknowledged before the call is in the
answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Final

from pilothouse.formats.otlp.model import Span
from pilothouse.observe.traces import rows, summaries
from pilothouse.observe.traces.completion import attribute_keys, attribute_values
from pilothouse.observe.traces.keys import KeyCatalogue
from pilothouse.observe.traces.model import (
    AttributeKey,
    AttributeValue,
    Dependency,
    Operation,
    ServiceSeen,
    SummaryPage,
    Trace,
    TraceQuery,
    TraceSummary,
)
from pilothouse.observe.traces.params import Params
from pilothouse.observe.traces.schema import SPANS
from pilothouse.observe.traces.search import Search
from pilothouse.signals.duckdb.database import Connection
from pilothouse.signals.duckdb.segments import Stretch
from pilothouse.signals.store import Signals

#: Spans read at a time by ``find``, so that its memory does not grow with its answer.
_FIND_SPANS: Final = 10_000
_FOREVER: Final = 1 << 63
#: DuckDB 2.0 fails on a limit of 50 or less beside an order and a condition on ``rowid`` (its late materialization).
_LEAST_LIMIT: Final = 1000


class TraceStore:
    """See the module.

    Args:
        signals: The open store.
        timeout: Nanoseconds one question may take.
        max_trace_spans: Spans of one trace that are read; the rest is cut.
    """

    def __init__(self, signals: Signals, *, timeout: int, max_trace_spans: int) -> None:
        self._signals = signals
        self._segments = signals.segments[SPANS.name]
        self._timeout, self._max_trace_spans = timeout, max_trace_spans
        self._keys = KeyCatalogue()
        self._groups = rows.GroupReader()

    def services(self) -> list[ServiceSeen]:
        """All services, by name."""
        found = self._all("SELECT service, max(last_seen) FROM operations GROUP BY service ORDER BY service", [])
        return [ServiceSeen(*row) for row in found]

    def operations(self, service: str, kind: int | None = None) -> list[Operation]:
        """Operations of a service (empty: of all), by name and kind."""
        found = self._all(
            "SELECT name, kind, max(last_seen) FROM operations WHERE ($1 = '' OR service = $1)"
            " AND ($2 IS NULL OR kind = $2) GROUP BY name, kind ORDER BY name, kind",
            [service, kind],
        )
        return [Operation(*row) for row in found]

    def trace(self, trace_id: bytes, start: int | None = None, end: int | None = None) -> Trace | None:
        """One trace; with times, its spans that start in ``[start, end)``. ``None`` if there are none."""
        with self._asking() as connection:
            return self._trace(connection, trace_id, start, end)

    def span(self, trace_id: bytes, span_id: bytes) -> Span | None:
        """One span; of several with the same ids the first."""
        with self._asking() as connection:
            for stretch in self._segments.view(connection).holding([trace_id]):
                found = self._read(connection, stretch, f" AND r.span_id = {int.from_bytes(span_id)} LIMIT 1")
                if found:
                    return found[0]
        return None

    def search_ids(self, query: TraceQuery) -> tuple[list[bytes], str]:
        """Ids of matching traces, newest first, and the next page's cursor."""
        with self._asking() as connection:
            found, cursor = self._search(connection, query)
        return [f.trace_id for f in found], cursor

    def summaries(self, query: TraceQuery) -> SummaryPage:
        """Summaries of matching traces, newest first."""
        with self._asking() as connection:
            found, cursor = self._search(connection, query)
            ids = [f.trace_id for f in found]
            return SummaryPage(tuple(summaries.summaries(connection, self._segments.view(connection), ids)), cursor)

    def summaries_of(self, ids: list[bytes]) -> list[TraceSummary]:
        """Summaries of given traces, in their order; unknown ones are left out."""
        with self._asking() as connection:
            return summaries.summaries(connection, self._segments.view(connection), ids)

    def find(self, query: TraceQuery) -> Iterator[Trace]:
        """Matching traces, whole, newest first; read a few at a time."""
        with self._asking() as connection:
            found, _ = self._search(connection, query)
            ids = [f.trace_id for f in found]
            sizes = summaries.span_counts(connection, self._segments.view(connection), ids)
        for some in _batched(ids, sizes):
            with self._asking() as connection:
                if len(some) == 1:
                    trace = self._trace(connection, some[0], None, None)
                    traces = [] if trace is None else [trace]
                else:
                    traces = self._traces(connection, some)
            yield from traces

    def dependencies(self, start: int, end: int) -> list[Dependency]:
        """Calls between services, by parent and child."""
        with self._asking() as connection:
            return summaries.dependencies(connection, self._segments.view(connection), start, end)

    def attribute_keys(self, text: str, service: str, start: int, end: int, limit: int) -> list[AttributeKey]:
        """Keys that contain ``text``, those that begin with it first, then by count in the newest segments of the range."""
        with self._asking() as connection:
            return attribute_keys(
                connection, self._segments.view(connection), self._keys, text, service, (start, end), limit
            )

    def attribute_values(
        self, key: str, prefix: str, service: str, start: int, end: int, limit: int
    ) -> list[AttributeValue]:
        """Values of a span or resource key that begin with ``prefix``, most frequent first, from the newest spans."""
        with self._asking() as connection:
            return attribute_values(
                connection, self._segments.view(connection), self._keys, key, prefix, service, (start, end), limit
            )

    def last_commit(self) -> int:
        """Number of the newest commit; every acknowledged span has this or a smaller one."""
        with self._signals.database.reading() as connection:
            return _last_commit(connection)

    def committed(self, after: int, until: int, service: str, limit: int) -> list[Span]:
        """Spans of the commits behind ``after`` up to ``until``, oldest first: what a live view shows next."""
        with self._asking() as connection:
            spans: list[tuple[int, Span]] = []
            for segment in self._segments.view(connection).segments:
                where = "r.commit > $1 AND r.commit <= $2" + (" AND r.service = $3" if service else "")
                found = connection.execute(
                    f"SELECT {rows.COLUMNS}, r.commit FROM spans_{segment.id} r"
                    f" WHERE {where} ORDER BY r.commit LIMIT {limit}",
                    [after, until, service] if service else [after, until],
                ).fetchall()
                if found:
                    keys = self._keys.of(connection, segment.id)
                    made = rows.spans(connection, segment.id, keys, self._groups, [r[:-1] for r in found])
                    spans += zip((r[-1] for r in found), made, strict=True)
        spans.sort(key=lambda pair: pair[0])
        return [span for _, span in spans[:limit]]

    def _search(self, connection: Connection, query: TraceQuery) -> tuple[list[Any], str]:
        return Search(
            connection, self._segments.view(connection), self._keys, query, lambda: _last_commit(connection)
        ).page()

    def _trace(self, connection: Connection, trace_id: bytes, start: int | None, end: int | None) -> Trace | None:
        first, last = 0 if start is None else start, _FOREVER if end is None else end
        view = self._segments.view(connection)
        within = {s.id for s in view.between(first, last)}
        also = "" if (start, end) == (None, None) else f" AND r.start >= {first} AND r.start < {last}"
        also += f" ORDER BY r.start LIMIT {max(self._max_trace_spans + 1, _LEAST_LIMIT)}"
        found: list[Span] = []
        cut = False
        for stretch in view.holding([trace_id]):
            if stretch.segment.id in within:
                some = self._read(connection, stretch, also)
                found += some
                cut |= len(some) > self._max_trace_spans
        return self._made(trace_id, found, cut) if found else None

    def _made(self, trace_id: bytes, found: list[Span], cut: bool = False) -> Trace:
        """A trace from its rows; ``cut`` says that there are more."""
        spans = _without_repeats(found)
        truncated = cut or len(spans) > self._max_trace_spans
        return Trace(trace_id, tuple(spans[: self._max_trace_spans]), truncated)

    def _traces(self, connection: Connection, ids: list[bytes]) -> list[Trace]:
        """Several traces that are known to be small, in one pass."""
        spans: dict[bytes, list[Span]] = {trace_id: [] for trace_id in ids}
        for stretch in self._segments.view(connection).holding(ids):
            for span in self._read(connection, stretch):
                spans[span.trace_id].append(span)
        return [self._made(trace_id, found) for trace_id, found in spans.items() if found]

    def _read(self, connection: Connection, stretch: Stretch, also: str = "") -> list[Span]:
        """The spans of the stretch's traces, or those of them that ``also`` (SQL) leaves."""
        segment = stretch.segment.id
        params = Params()
        found = connection.execute(
            f"SELECT {rows.COLUMNS} FROM spans_{segment} r"
            f" WHERE {stretch.condition} AND r.trace_id IN ({params.many(stretch.keys)}){also}",
            params.values,
        ).fetchall()
        if not found:
            return []
        return rows.spans(connection, segment, self._keys.of(connection, segment), self._groups, found)

    def _all(self, statement: str, values: list[Any]) -> list[Any]:
        with self._asking() as connection:
            return connection.execute(statement, values).fetchall()

    def _asking(self) -> AbstractContextManager[Connection]:
        """A connection with one snapshot and a time limit."""
        return self._signals.database.snapshot(self._timeout)


def _last_commit(connection: Connection) -> int:
    row = connection.execute("SELECT max(commit) FROM commits").fetchone()
    return int(row[0]) if row and row[0] is not None else 0


def _batched(ids: list[bytes], sizes: Mapping[bytes, int]) -> Iterator[list[bytes]]:
    """Runs of ids whose traces have at most ``_FIND_SPANS`` spans together; a larger trace stands alone."""
    batch: list[bytes] = []
    spans = 0
    for trace_id in ids:
        size = sizes.get(trace_id, 0)
        if batch and spans + size > _FIND_SPANS:
            yield batch
            batch, spans = [], 0
        batch.append(trace_id)
        spans += size
    if batch:
        yield batch


def _without_repeats(spans: list[Span]) -> list[Span]:
    """Spans by start, each equal one once."""
    spans.sort(key=lambda s: (s.start, s.span_id))
    kept: list[Span] = []
    seen: dict[tuple[bytes, int, str], list[Span]] = {}
    for span in spans:
        equals = seen.setdefault((span.span_id, span.start, span.name), [])
        if span not in equals:
            equals.append(span)
            kept.append(span)
    return kept
