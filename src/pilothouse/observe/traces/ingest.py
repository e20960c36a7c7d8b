"""What happens to a request between the receiver and the store.

``Ingest`` is the pair of functions that ``signals.writer.GroupCommit`` runs: ``prepare`` turns requests into columns,
``commit`` writes them in one transaction together with everything derived from them (dictionaries, operations, request
hashes), so that after a crash the store agrees with itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct
from numpy.typing import NDArray

from pilothouse.kit.clock import SECOND, Clock
from pilothouse.kit.errors import InvalidInput, LimitExceeded
from pilothouse.kit.telemetry import Ledger
from pilothouse.observe.traces import wire
from pilothouse.observe.traces.columns import Batch, to_columns
from pilothouse.observe.traces.groups import Groups, check_nested
from pilothouse.observe.traces.schema import LOOSE, LOOSE_MARK, MAX_SHAPES, SPANS
from pilothouse.observe.traces.shapes import Shape
from pilothouse.signals.duckdb.database import Connection
from pilothouse.signals.duckdb.segments import Writing
from pilothouse.signals.store import Signals

_DIGEST: Final = 16
_UNREADABLE: Final = (InvalidInput, LimitExceeded)
#: When known operations were last seen is written this often.
_LAST_SEEN_DELAY: Final = 10 * SECOND
#: Distinct operations remembered; a program that puts ids into span names has more.
_OPERATIONS: Final = 100_000
_NO_SHAPE: Final = ("*:",)
_COLUMNS: Final = [c.name for c in SPANS.columns]
_LISTS: Final = ("ints", "doubles", "bools", "others")
_Operation = tuple[str, str, int]


class Outcome(Struct, frozen=True):
    """What became of one request: spans that could not be kept, by reason; the rest was stored, now or before."""

    rejected: dict[str, int] = {}
    duplicate: bool = False
    accepted: int = 0


class Prepared(Struct, frozen=True):
    """A group of requests ready to commit.

    Attributes:
        digests: Of each request.
        known: Spans of requests that were committed before, by place in the group.
        errors: Requests that cannot be read, by place in the group.
        batches: Columns, with the places of their requests in the group.
    """

    digests: list[bytes]
    known: dict[int, int]
    errors: dict[int, Exception]
    batches: list[tuple[list[int], Batch]]


class Ingest:
    """Prepares and commits requests; see the module.

    ``prepare`` and ``commit`` may run in one thread each.
    """

    def __init__(self, signals: Signals, clock: Clock, ledger: Ledger, *, dedupe_window: int) -> None:
        self._signals, self._clock, self._ledger = signals, clock, ledger
        self._segments = signals.segments[SPANS.name]
        self._window = dedupe_window
        self._strict = wire.default_decoder()
        self._lenient = wire.default_decoder(lenient=True)
        self._groups = Groups()
        self._recent: dict[bytes, tuple[int, Outcome]] = {}
        self._operations: dict[_Operation, int] = {}
        self._shape_ids: dict[int, dict[int, int]] = {}
        self._unwritten: set[_Operation] = set()
        self._operations_written = 0
        self._next_commit = 1
        self._next_sweep = 0

    def load(self) -> None:
        """Reads what the last run left: operations, and the requests whose retransmission is still to be recognised."""
        with self._signals.database.reading() as connection:
            self._load(connection)

    def _load(self, connection: Connection) -> None:
        rows = connection.execute("SELECT service, name, kind, last_seen FROM operations").fetchall()
        self._operations = {(service, name, kind): last for service, name, kind, last in rows}
        newest = connection.execute("SELECT max(commit) FROM commits").fetchone()
        self._next_commit = (newest[0] if newest and newest[0] is not None else 0) + 1
        since = self._clock.now_ns() - self._window
        for time, requests in connection.execute(
            "SELECT time, requests FROM commits WHERE time >= ?", (since,)
        ).fetchall():
            for i in range(0, len(requests), _DIGEST):
                self._recent[requests[i : i + _DIGEST]] = (time, Outcome({}, duplicate=True))

    # prepare

    def prepare(self, payloads: Sequence[bytes]) -> Prepared:
        """Decodes a group of requests."""
        digests = [hashlib.blake2b(p, digest_size=_DIGEST).digest() for p in payloads]
        known = {i: count_spans(payloads[i]) for i, d in enumerate(digests) if d in self._recent}
        fresh = [i for i in range(len(payloads)) if i not in known]
        try:
            batches = [(fresh, self._columns([payloads[i] for i in fresh]))] if fresh else []
            return Prepared(digests, known, {}, batches)
        except _UNREADABLE:
            errors, batches = self._one_by_one(payloads, fresh)
            return Prepared(digests, known, errors, batches)

    def _one_by_one(
        self, payloads: Sequence[bytes], fresh: list[int]
    ) -> tuple[dict[int, Exception], list[tuple[list[int], Batch]]]:
        """One request spoils its whole group: finds it, and mends it if only its text is bad."""
        errors: dict[int, Exception] = {}
        batches: list[tuple[list[int], Batch]] = []
        for i in fresh:
            try:
                batches.append(([i], self._columns([payloads[i]])))
            except _UNREADABLE as error:
                try:
                    batches.append(([i], self._columns([payloads[i]], lenient=True)))
                except _UNREADABLE:
                    errors[i] = error
        return errors, batches

    def _columns(self, payloads: Sequence[bytes], *, lenient: bool = False) -> Batch:
        decoder = self._lenient if lenient else self._strict
        batch = to_columns(decoder.decode(payloads))
        for encoded in set(batch.resources):
            self._groups.service(encoded)
        for encoded in set(batch.scopes):
            self._groups.scope_entry(encoded)
        self._check_nested(batch)
        return batch

    def _check_nested(self, batch: Batch) -> None:
        others = batch.columns["others"].flatten()
        if len(others) - others.null_count:
            values = set(others.to_pylist())
            check_nested((v[1:] for v in values if v[:1] == b"a"), (v[1:] for v in values if v[:1] == b"k"))
        for name in ("events", "links"):
            attributes = batch.columns[name].flatten().field("attributes").flatten()
            nested = [set(attributes.field(n).drop_null().to_pylist()) for n in ("array", "kvlist")]
            check_nested(*nested)

    # commit

    def commit(self, group: Prepared) -> list[Outcome | Exception]:
        """Writes a group durably; the outcome or error of each request, in order."""
        now = self._clock.now_ns()
        outcomes: list[Outcome | Exception | None] = [group.errors.get(i) for i in range(len(group.digests))]
        chosen = self._first_of_each(group, outcomes)
        batches = [(places, batch, self._rows(places, batch, chosen)) for places, batch in group.batches]
        known = sum(group.known.values())
        received = sum(int(batch.received.sum()) for _, batch, _ in batches)
        self._ledger.post(received=received + known, duplicate=known, queued=received)
        try:
            if any(len(rows) for _, _, rows in batches):
                digests = b"".join(group.digests[i] for i in sorted(chosen))
                self._write([(batch, rows) for _, batch, rows in batches], digests, now)
        except Exception:
            self._ledger.post(queued=-received, refused={"storage_error": received})
            raise
        for places, batch, rows in batches:
            rejected = {r.request: r.reasons for r in batch.rejected}
            for request, place in enumerate(places):
                reasons = rejected.get(request, {})
                accepted = int(batch.received[request]) - sum(reasons.values())
                if place in chosen:
                    outcomes[place] = Outcome(reasons, accepted=accepted)
                    self._recent[group.digests[place]] = (now, Outcome(reasons, duplicate=True))
            self._settle(batch, len(rows))
        return [o if o is not None else self._recent[group.digests[i]][1] for i, o in enumerate(outcomes)]

    def _first_of_each(self, group: Prepared, outcomes: list[Outcome | Exception | None]) -> set[int]:
        """The places of the requests to write: neither errors nor committed before, and the first of equal ones."""
        chosen: dict[bytes, int] = {}
        for i, digest in enumerate(group.digests):
            if outcomes[i] is None and digest not in self._recent:
                chosen.setdefault(digest, i)
        return set(chosen.values())

    def _rows(self, places: list[int], batch: Batch, chosen: set[int]) -> NDArray[np.int64]:
        wanted = np.array([p in chosen for p in places], bool)
        if wanted.all():
            return np.arange(len(batch))
        return np.nonzero(wanted[batch.request])[0]

    def _write(self, batches: list[tuple[Batch, NDArray[np.int64]]], digests: bytes, now: int) -> None:
        with self._signals.database.exclusive():
            try:
                with self._signals.database.writing() as connection:
                    for batch, rows in batches:
                        if len(rows):
                            self._write_batch(connection, batch, rows, now)
                    spans = sum(len(rows) for _, rows in batches)
                    connection.execute(
                        "INSERT INTO commits VALUES (?, ?, ?, ?)", (self._next_commit, now, spans, digests)
                    )
                    self._sweep(connection, now)
                    self._segments.flush(connection)
            except BaseException:
                self._segments.settle(committed=False)
                self._shape_ids.clear()
                self._unwritten.clear()
                self._operations.clear()  # they are written again with the next spans that have them
                raise
            self._segments.settle(committed=True)
            self._next_commit += 1

    def _write_batch(self, connection: Connection, batch: Batch, rows: NDArray[np.int64], now: int) -> None:
        whole = len(rows) == len(batch)
        for part in self._segments.parts(batch.start[rows], now):
            writing = self._segments.writing(connection, part.bucket)
            chosen = rows if part.rows is None else rows[part.rows]
            everything = whole and part.rows is None
            shape = self._shapes(writing, batch, chosen)
            table = self._table(writing, batch, None if everything else chosen, shape)
            loose = np.nonzero(shape == LOOSE)[0]
            if len(loose):
                tight = np.nonzero(shape != LOOSE)[0]
                self._segments.insert(connection, writing, _loosened(table.take(loose), batch, chosen[loose]))
                self._segments.insert(connection, writing, table.take(tight))
            else:
                self._segments.insert(connection, writing, table)
            ids = batch.trace_ids[chosen] if not everything else batch.trace_ids
            writing.count(batch.start[chosen], _distinct(ids), now)
            self._note_operations(connection, table, now)

    def _table(
        self, writing: Writing, batch: Batch, rows: NDArray[np.int64] | None, shape: NDArray[np.int32]
    ) -> pa.Table:
        """The columns of ``schema.SPANS`` in order, numbered for this segment."""
        resource, scope = (batch.resource, batch.scope) if rows is None else (batch.resource[rows], batch.scope[rows])
        used, place = np.unique(resource, return_inverse=True)
        resource_ids = [
            writing.id_of("resources", batch.resources[i], partial(self._groups.resource_entry, batch.resources[i]))
            for i in used
        ]
        used_scopes, scope_place = np.unique(scope, return_inverse=True)
        scope_ids = [
            writing.id_of("scopes", batch.scopes[i], partial(self._groups.scope_entry, batch.scopes[i]))
            for i in used_scopes
        ]
        columns: dict[str, Any] = batch.columns
        if rows is not None:
            chosen = pa.array(rows)
            columns = {name: column.take(chosen) for name, column in columns.items()}
        services = pa.array([self._groups.service(batch.resources[i]) for i in used], pa.string())
        columns = columns | {
            "service": services.take(pa.array(place)),
            "shape": pa.array(shape),
            "resource_id": pa.array(np.array(resource_ids, np.int32)[place]),
            "scope_id": pa.array(np.array(scope_ids, np.int32)[scope_place]),
            "commit": pa.array(np.full(len(shape), self._next_commit)),
        }
        return pa.table([columns[name] for name in _COLUMNS], names=_COLUMNS)

    def _shapes(self, writing: Writing, batch: Batch, rows: NDArray[np.int64]) -> NDArray[np.int32]:
        """The number of each row's shape in its segment; ``LOOSE`` when the segment has no room for another."""
        attributes = batch.attributes
        if not writing.size_of("shapes"):
            writing.id_of("shapes", _NO_SHAPE, lambda: _mark(_NO_SHAPE))  # takes the number LOOSE
        known = self._shape_ids.setdefault(writing.segment.id, {})
        if len(self._shape_ids) > 64:
            self._shape_ids = {writing.segment.id: known}
        numbers = np.zeros(len(attributes.hashes), np.int32)
        for i in np.unique(attributes.shape[rows]).tolist():
            number = known.get(attributes.hashes[i])
            if number is None:
                shape = Shape.of(attributes.fields(i))
                if len(shape.fields) > 0xFFFF or (
                    writing.size_of("shapes") >= MAX_SHAPES and not writing.has("shapes", shape.fields)
                ):
                    number = LOOSE
                    writing.id_of("shapes", LOOSE_MARK, lambda: _mark(LOOSE_MARK))
                else:
                    number = writing.id_of("shapes", shape.fields, shape.entry)
                    known[attributes.hashes[i]] = number
            numbers[i] = number
        return numbers[attributes.shape[rows]]

    def _note_operations(self, connection: Connection, table: pa.Table, now: int) -> None:
        """Writes operations never seen before at once, and when the known ones were last seen now and then."""
        seen = table.group_by(["service", "name", "kind"]).aggregate([("start", "max")])
        urgent = False
        for service, name, kind, last in zip(*(c.to_pylist() for c in seen.columns), strict=True):
            key = (service, name, kind)
            known = self._operations.get(key)
            if known is None and len(self._operations) >= _OPERATIONS:
                continue
            if known is None or last > known:
                self._operations[key] = last
                self._unwritten.add(key)
                urgent |= known is None
        if self._unwritten and (urgent or not 0 <= now - self._operations_written < _LAST_SEEN_DELAY):
            written = [(*key, self._operations[key]) for key in self._unwritten]
            self._unwritten.clear()
            self._operations_written = now
            rows = pa.table([list(c) for c in zip(*written, strict=True)], ["service", "name", "kind", "last_seen"])
            connection.register("seen_operations", rows)
            connection.execute(
                "INSERT INTO operations SELECT * FROM seen_operations"
                " ON CONFLICT DO UPDATE SET last_seen = greatest(last_seen, excluded.last_seen)"
            )
            connection.unregister("seen_operations")

    def _sweep(self, connection: Connection, now: int) -> None:
        """Forgets, a few times a minute, requests that are too old to be sent again."""
        if now < self._next_sweep and self._next_sweep - now <= self._window:
            return
        self._next_sweep = now + self._window // 4
        oldest = now - self._window
        self._recent = {d: seen for d, seen in self._recent.items() if oldest <= seen[0] <= now}
        connection.execute("DELETE FROM commits WHERE time < ? AND commit < ?", (oldest, self._next_commit))

    def _settle(self, batch: Batch, stored: int) -> None:
        dropped: dict[str, int] = {}
        for rejected in batch.rejected:
            for reason, count in rejected.reasons.items():
                dropped[reason] = dropped.get(reason, 0) + count
        received = int(batch.received.sum())
        duplicate = received - sum(dropped.values()) - stored
        self._ledger.post(queued=-received, stored=stored, duplicate=duplicate, dropped=dropped)


def _mark(fields: tuple[str, ...]) -> tuple[object, ...]:
    """An entry among the shapes that no span has."""
    return list(fields), [0]


def _distinct(ids: NDArray[np.uint8]) -> NDArray[np.uint8]:
    rows = np.unique(np.ascontiguousarray(ids).view("V16").ravel())
    return rows.view(np.uint8).reshape(-1, 16)


def _loosened(table: pa.Table, batch: Batch, rows: NDArray[np.int64]) -> pa.Table:
    """Rows of shape 0: their attributes as text in ``strings``, the other lists empty."""
    strings = pa.array([batch.attributes.loose(int(row)) for row in rows], pa.list_(pa.string()))
    table = table.set_column(_COLUMNS.index("strings"), "strings", strings)
    for name in _LISTS:
        column = table.column(name)
        empty = pa.array([[]] * len(rows), column.type)
        table = table.set_column(_COLUMNS.index(name), name, empty)
    return table


def count_spans(payload: bytes) -> int:
    """How many spans a request holds, for the account of those that are refused unread; 0 if it is malformed."""
    try:
        requests = wire.default_decoder(lenient=True).decode([payload])
    except InvalidInput:
        return 0
    scopes = requests.flatten().field("scope_spans").flatten()
    return int(pc.sum(pc.list_value_length(scopes.field("spans"))).as_py() or 0)
