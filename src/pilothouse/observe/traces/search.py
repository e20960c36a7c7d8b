"""Finding traces, newest first, a page at a time.

A trace's place in the order is the start of its newest matching span (then its id). The range is read in windows from the
newest backwards, each several times longer than the one before, until the page is full: a search that matches much touches
little.

Pages neither skip nor repeat: the first page fixes the range and the newest commit it saw, and the cursor carries both on,
so that later pages look at the same spans however many arrive meanwhile.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from msgspec import Struct

from pilothouse.kit.errors import InvalidInput
from pilothouse.observe.traces.filters import Params, predicate
from pilothouse.observe.traces.keys import KeyCatalogue
from pilothouse.observe.traces.model import TraceQuery
from pilothouse.signals.duckdb.database import Connection
from pilothouse.signals.duckdb.segments import Segment, SegmentsView

#: Rows the first window is meant to cover.
_FIRST_WINDOW_ROWS: Final = 60_000
_GROWTH: Final = 4


class Cursor(Struct, frozen=True, array_like=True):
    """Where the next page goes on: the fixed range and commit, and the last trace's place in the order."""

    start: int
    end: int
    commit: int
    newest: int
    trace_id: bytes

    def encode(self) -> str:
        """Opaque text."""
        return urlsafe_b64encode(msgspec.msgpack.encode(self)).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> Cursor:
        """Raises ``InvalidInput`` if ``text`` was not made by ``encode``."""
        try:
            return msgspec.msgpack.decode(urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=cls)
        except (ValueError, msgspec.MsgspecError) as error:
            raise InvalidInput("not a cursor of this search", where="cursor") from error


class Found(Struct, frozen=True):
    """A matching trace and the start of its newest matching span."""

    trace_id: bytes
    newest: int


class Search:
    """One search over one snapshot of the segments."""

    def __init__(
        self,
        connection: Connection,
        segments: SegmentsView,
        keys: KeyCatalogue,
        query: TraceQuery,
        last_commit: Callable[[], int],
    ) -> None:
        self._connection, self._segments, self._keys, self._query = connection, segments, keys, query
        self._after = Cursor.decode(query.cursor) if query.cursor else None
        self._start, self._end = (self._after.start, self._after.end) if self._after else (query.start, query.end)
        self._commit = self._after.commit if self._after else last_commit()

    def page(self) -> tuple[list[Found], str]:
        """The next ``query.limit`` traces, and the cursor of the page after them (empty at the end)."""
        wanted = self._query.limit + 1
        found: list[Found] = []
        upper = min(self._end, self._after.newest + 1) if self._after else self._end
        segments = self._segments.between(self._start, upper)
        upper = min(upper, max((s.max_time for s in segments), default=self._start) + 1)
        width = self._first_width(segments, upper)
        while upper > self._start and len(found) < wanted:
            lower = max(self._start, upper - width)
            found += self._window(lower, upper, wanted, found)
            upper, width = lower, width * _GROWTH
            if not any(s.min_time < upper for s in segments):
                break
        page = found[: self._query.limit]
        if len(found) <= self._query.limit:
            return page, ""
        last = page[-1]
        return page, Cursor(self._start, self._end, self._commit, last.newest, last.trace_id).encode()

    def _first_width(self, segments: Sequence[Segment], upper: int) -> int:
        """Nanoseconds that hold about ``_FIRST_WINDOW_ROWS``, were rows spread evenly over the newest segment."""
        for segment in segments:
            covered = min(segment.max_time, upper) - segment.min_time
            if covered > 0:
                return max(covered * _FIRST_WINDOW_ROWS // segment.rows, 1_000_000)
        return max(upper - self._start, 1)

    def _window(self, lower: int, upper: int, wanted: int, earlier: Sequence[Found]) -> list[Found]:
        """Traces whose newest matching span starts in ``[lower, upper)``, in order; as many as the page still lacks."""
        seen = {f.trace_id for f in earlier}
        limit = wanted + len(seen)
        while True:
            rows = self._matching(lower, upper, limit)
            found = [Found(trace_id, newest) for trace_id, newest in rows if trace_id not in seen]
            if (after := self._after) is not None:
                found = [f for f in found if (f.newest, f.trace_id) < (after.newest, after.trace_id)]
                # A trace of an earlier page may have older matching spans here; it is known by its newer ones.
                shown = self._shown([f.trace_id for f in found], after)
                found = [f for f in found if f.trace_id not in shown]
            if len(found) + len(earlier) >= wanted or len(rows) < limit:
                return found
            limit *= _GROWTH

    def _matching(self, lower: int, upper: int, limit: int) -> list[tuple[bytes, int]]:
        params = Params()
        selects = [self._select(s, lower, upper, params) for s in self._segments.between(lower, upper)]
        if not selects:
            return []
        return self._connection.execute(
            f"SELECT trace_id, max(newest) FROM ({' UNION ALL '.join(selects)})"
            f" GROUP BY trace_id ORDER BY 2 DESC, 1 DESC LIMIT {limit}",
            params.values,
        ).fetchall()

    def _shown(self, ids: Sequence[bytes], after: Cursor) -> set[bytes]:
        """Which of these traces have a matching span whose place in the order is the cursor's or before it."""
        if not ids:
            return set()
        params = Params()
        before = f"(r.start > {after.newest} OR r.trace_id >= {params.one(after.trace_id)})"
        selects = [
            self._select(
                s.segment,
                after.newest,
                self._end,
                params,
                f"{s.condition} AND r.trace_id IN ({params.many(s.keys)}) AND {before} AND ",
            )
            for s in self._segments.holding(ids)
            if s.segment.max_time >= after.newest
        ]
        if not selects:
            return set()
        rows = self._connection.execute(" UNION ALL ".join(selects), params.values).fetchall()
        return {trace_id for trace_id, _ in rows}

    def _select(self, segment: Segment, lower: int, upper: int, params: Params, also: str = "") -> str:
        condition = predicate(self._query, self._keys.of(self._connection, segment.id), segment.id, params)
        return (
            f"SELECT r.trace_id, max(r.start) AS newest FROM {self._segments.name_of(segment.id)} r"
            f" WHERE {also}r.start >= {lower} AND r.start < {upper} AND r.commit <= {self._commit}"
            f" AND {condition} GROUP BY r.trace_id"
        )
