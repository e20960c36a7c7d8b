"""What happens to a request between the receiver and the store.

``Ingest`` is the pair of functions that ``signals.writer.GroupCommit`` runs: ``prepare`` turns requests into columns,
``commit`` writes them in one transaction together with everything derived from them (dictionaries, operations, request
hashes), so that after a crash the store agrees with itself.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct, structs
from numpy.typing import NDArray

from pilothouse.kit.clock import SECOND, Clock
from pilothouse.kit.errors import InvalidInput, PilothouseError, StorageFull, StorageIncompatible, StorageReadOnly
from pilothouse.kit.telemetry import Ledger
from pilothouse.observe.traces import wire
from pilothouse.observe.traces.columns import Batch, to_columns
from pilothouse.observe.traces.groups import Groups, check_nested
from pilothouse.observe.traces.retransmissions import DIGEST, Outcome, Retransmissions
from pilothouse.observe.traces.schema import LOOSE, LOOSE_MARK, MAX_SHAPE_BYTES, MAX_SHAPES, SPANS
from pilothouse.observe.traces.shapes import Shape
from pilothouse.signals.duckdb.database import Connection
from pilothouse.signals.duckdb.segments import Writing
from pilothouse.signals.store import Signals

_log = logging.getLogger(__name__)

#: Errors that no request is to blame for: each would get them.
_STORAGE: Final = (StorageFull, StorageReadOnly, StorageIncompatible)
#: When known operations were last seen is written this often.
_LAST_SEEN_DELAY: Final = 10 * SECOND
#: Distinct operations remembered; a program that puts ids into span names has more.
_OPERATIONS: Final = 100_000
#: Longer names are stored with their spans, but are in no list of services and operations.
_OPERATION_LENGTH: Final = 8192
_NO_SHAPE: Final = ("*:",)
#: Slots are 16-bit numbers.
_MAX_FIELDS: Final = 0xFFFF
_COLUMNS: Final = [c.name for c in SPANS.columns]
_LISTS: Final = ("ints", "doubles", "bools", "others")
_Operation = tuple[str, str, int]

__all__ = ["Ingest", "Outcome", "Prepared", "count_spans"]


class Unstorable(PilothouseError):
    """One request that cannot be stored for a reason that is not the storage's; the others of its group were."""

    slug, title = "unstorable", "Request not storable"


class Prepared(Struct, frozen=True):
    """A group of requests ready to commit.

    Attributes:
        digests: Of each request.
        known: Requests that were committed before, by place in the group: what they got, and how many spans they have.
        errors: Requests that cannot be read, by place in the group.
        batches: Columns, with the places of their requests in the group.
    """

    digests: list[bytes]
    known: dict[int, tuple[Outcome, int]]
    errors: dict[int, Exception]
    batches: list[tuple[list[int], Batch]]


class Ingest:
    """Prepares and commits requests; see the module.

    ``prepare`` and ``commit`` may run in one thread each.
    """

    def __init__(self, signals: Signals, clock: Clock, ledger: Ledger, *, dedupe_window: int) -> None:
        self._signals, self._clock, self._ledger = signals, clock, ledger
        self._segments = signals.segments[SPANS.name]
        self._recent = Retransmissions(clock, dedupe_window)
        self._strict = wire.default_decoder()
        self._lenient = wire.default_decoder(lenient=True)
        self._groups = Groups()
        self._operations: dict[_Operation, int] = {}
        self._shape_ids: dict[int, dict[int, int]] = {}
        self._shape_bytes: dict[int, int] = {}
        self._unwritten: set[_Operation] = set()
        self._operations_written = 0
        self._drops = self._segments.drops
        self._next_commit = 1

    def load(self) -> None:
        """Reads what the last run left: operations, and the requests whose retransmission is still to be recognised."""
        with self._signals.database.reading() as connection:
            self._load(connection)

    def _load(self, connection: Connection) -> None:
        rows = connection.execute("SELECT service, name, kind, last_seen FROM operations").fetchall()
        self._operations = {(service, name, kind): last for service, name, kind, last in rows}
        self._next_commit = self._recent.load(connection) + 1

    # prepare

    def prepare(self, payloads: Sequence[bytes]) -> Prepared:
        """Decodes a group of requests."""
        digests = [hashlib.sha256(p).digest()[:DIGEST] for p in payloads]
        known = {
            i: (outcome, count_spans(payloads[i]))
            for i, d in enumerate(digests)
            if (outcome := self._recent.find(d)) is not None
        }
        fresh = [i for i in range(len(payloads)) if i not in known]
        try:
            batches = [(fresh, self._columns([payloads[i] for i in fresh]))] if fresh else []
            return Prepared(digests, known, {}, batches)
        except Exception:  # whatever it is, it is one request's fault and must not harm the others
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
            except Exception as error:
                try:
                    batches.append(([i], self._columns([payloads[i]], lenient=True)))
                except Exception:
                    errors[i] = _blamed(error)
                    spans = count_spans(payloads[i])
                    self._ledger.post(received=spans, refused={"unreadable": spans})
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
        outcomes: list[Outcome | Exception | None] = [group.errors.get(i) for i in range(len(group.digests))]
        for place, (outcome, spans) in group.known.items():
            outcomes[place] = outcome
            self._ledger.post(received=spans, duplicate=spans)
        received = sum(int(batch.received.sum()) for _, batch in group.batches)
        self._ledger.post(received=received, queued=received)
        chosen: dict[bytes, int] = {}
        for place, digest in enumerate(group.digests):
            if outcomes[place] is None:
                outcomes[place] = self._recent.find(digest)  # committed since it was prepared
            if outcomes[place] is None:
                chosen.setdefault(digest, place)
        written = self._written(group, chosen) if chosen else {}
        for place, digest in enumerate(group.digests):
            if outcomes[place] is None:
                became = written[digest]
                if isinstance(became, Outcome) and chosen[digest] != place:
                    became = structs.replace(became, duplicate=True)
                outcomes[place] = became
        settled = [o for o in outcomes if o is not None]
        self._account(group, set(chosen.values()), settled)
        failures = [o for o in written.values() if isinstance(o, _STORAGE)]
        if failures and len(failures) == len(written):
            raise failures[0]  # for the health: nothing could be written
        return settled

    def _written(self, group: Prepared, chosen: Mapping[bytes, int]) -> dict[bytes, Outcome | Exception]:
        """Writes requests, given by digest and place: all at once, or if that fails one by one."""
        places = set(chosen.values())
        batches = [(batch, rows) for at, batch in group.batches if len(rows := self._rows(at, batch, places))]
        outcomes = {digest: outcome for digest, outcome in _kept(group) if digest in chosen}
        try:
            self._write(batches, outcomes)
        except _STORAGE as error:
            return dict.fromkeys(chosen, error)
        except Exception as error:
            if len(chosen) == 1:
                return dict.fromkeys(chosen, _blamed(error))
            _log.warning("a group of %d requests could not be written, trying them one by one: %s", len(chosen), error)
        else:
            return dict(outcomes)
        found: dict[bytes, Outcome | Exception] = {}
        for digest, place in chosen.items():
            found |= self._written(group, {digest: place})
        return found

    def _rows(self, places: list[int], batch: Batch, chosen: set[int]) -> NDArray[np.int64]:
        wanted = np.array([p in chosen for p in places], bool)
        if wanted.all():
            return np.arange(len(batch))
        return np.nonzero(wanted[batch.request])[0]

    def _write(self, batches: list[tuple[Batch, NDArray[np.int64]]], outcomes: Mapping[bytes, Outcome]) -> None:
        if not batches:
            return
        now, spans = self._clock.now_ns(), sum(len(rows) for _, rows in batches)
        with self._signals.database.exclusive():
            try:
                with self._signals.database.writing() as connection:
                    self._forget_operations(connection)
                    for batch, rows in batches:
                        self._write_batch(connection, batch, rows, now)
                    record = (self._next_commit, now, spans, b"".join(outcomes))
                    connection.execute("INSERT INTO commits VALUES (?, ?, ?, ?)", record)
                    self._recent.sweep(connection, self._next_commit)
                    self._segments.flush(connection)
            except BaseException:
                self._segments.settle(committed=False)
                self._shape_ids.clear()
                self._shape_bytes.clear()
                self._unwritten.clear()
                self._operations.clear()  # they are written again with the next spans that have them
                raise
            self._segments.settle(committed=True)
            self._recent.note(outcomes, self._next_commit)
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
            self._shape_ids, self._shape_bytes = {writing.segment.id: known}, {}
        numbers = np.zeros(len(attributes.hashes), np.int32)
        for i in np.unique(attributes.shape[rows]).tolist():
            number = known.get(attributes.hashes[i])
            if number is None:
                shape = Shape.of(attributes.fields(i))
                if self._has_room(writing, shape):
                    number = writing.id_of("shapes", shape.fields, shape.entry)
                    known[attributes.hashes[i]] = number
                else:
                    number = LOOSE
                    writing.id_of("shapes", LOOSE_MARK, lambda: _mark(LOOSE_MARK))
            numbers[i] = number
        return numbers[attributes.shape[rows]]

    def _has_room(self, writing: Writing, shape: Shape) -> bool:
        """Whether the segment knows the shape or may learn it; then its size is counted."""
        if writing.has("shapes", shape.fields):
            return True
        held = self._shape_bytes.get(writing.segment.id)
        if held is None:
            held = sum(_weight(fields) for fields in writing.known["shapes"])
        after = held + _weight(shape.fields)
        room = len(shape.fields) <= _MAX_FIELDS and writing.size_of("shapes") < MAX_SHAPES and after <= MAX_SHAPE_BYTES
        self._shape_bytes[writing.segment.id] = after if room else held
        return room

    def _forget_operations(self, connection: Connection) -> None:
        """Forgets what the store no longer lists since segments were let go, so that it is written when it comes again."""
        if self._drops != self._segments.drops:
            self._drops = self._segments.drops
            listed = set(connection.execute("SELECT service, name, kind FROM operations").fetchall())
            for gone in self._operations.keys() - listed - self._unwritten:
                del self._operations[gone]

    def _note_operations(self, connection: Connection, table: pa.Table, now: int) -> None:
        """Writes operations never seen before at once, and when the known ones were last seen now and then."""
        seen = table.group_by(["service", "name", "kind"]).aggregate([("start", "max")])
        urgent = False
        for service, name, kind, last in zip(*(c.to_pylist() for c in seen.columns), strict=True):
            key = (service, name, kind)
            known = self._operations.get(key)
            if known is None and (len(self._operations) >= _OPERATIONS or len(service) + len(name) > _OPERATION_LENGTH):
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

    def _account(self, group: Prepared, chosen: set[int], outcomes: Sequence[Outcome | Exception]) -> None:
        """Books what became of each span that was waiting."""
        for places, batch in group.batches:
            rejected = {r.request: r.reasons for r in batch.rejected}
            for request, place in enumerate(places):
                received, outcome = int(batch.received[request]), outcomes[place]
                dropped = rejected.get(request, {})
                kept = received - sum(dropped.values())
                if isinstance(outcome, Exception):
                    reason = "storage_error" if isinstance(outcome, _STORAGE) else "unstorable"
                    self._ledger.post(queued=-received, refused={reason: received})
                elif place in chosen:
                    self._ledger.post(queued=-received, stored=kept, dropped=dropped)
                else:
                    self._ledger.post(queued=-received, duplicate=kept, dropped=dropped)


def _kept(group: Prepared) -> Iterator[tuple[bytes, Outcome]]:
    """For each request that could be read, by digest, what it gets once it is stored."""
    for places, batch in group.batches:
        rejected = {r.request: r.reasons for r in batch.rejected}
        for request, place in enumerate(places):
            reasons = rejected.get(request, {})
            yield group.digests[place], Outcome(reasons, accepted=int(batch.received[request]) - sum(reasons.values()))


def _blamed(error: Exception) -> PilothouseError:
    """The error as one that a client is told."""
    if isinstance(error, PilothouseError):
        return error
    _log.error("a request could not be stored", exc_info=error)
    return Unstorable(
        f"the request cannot be stored: {str(error).strip().partition(chr(10))[0] or type(error).__name__}"
    )


def _weight(fields: Any) -> int:
    """About what a shape takes in memory."""
    return 100 + sum(len(field) + 60 for field in fields)


def _mark(fields: tuple[str, ...]) -> tuple[object, ...]:
    """An entry among the shapes that no span has."""
    return list(fields), [0], [], [], []


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
