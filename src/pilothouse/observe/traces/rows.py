"""From stored rows back to spans: the reverse of ``columns``, for the few spans that someone looks at."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans

from pilothouse.formats.otlp import proto
from pilothouse.formats.otlp.model import Event, Link, Resource, Scope, Span, Value
from pilothouse.observe.traces.columns import WARNINGS
from pilothouse.observe.traces.keys import Fields, SegmentKeys
from pilothouse.observe.traces.mending import length_delimited
from pilothouse.observe.traces.schema import LOOSE
from pilothouse.signals.duckdb.database import Connection

#: What ``span`` reads, in this order, of the row ``r``.
COLUMNS: Final = (
    "r.trace_id, r.span_id, r.parent_span_id, r.start, r.duration, r.name, r.kind, r.status, r.status_message,"
    " r.trace_state, r.flags, r.shape, r.strings, r.ints, r.doubles, r.bools, r.others, r.events, r.links,"
    " r.dropped_attributes, r.dropped_events, r.dropped_links, r.resource_id, r.scope_id, r.warnings"
)
#: Attribute under which upstream reports what it mended.
WARNINGS_KEY: Final = "@jaeger@warnings"
_REMEMBERED: Final = 4096
#: The fields of AnyValue on the wire.
_TAGS: Final = {"b": b"\x3a", "a": b"\x2a", "k": b"\x32"}


class GroupReader:
    """Resources and scopes by segment and number, read once."""

    def __init__(self) -> None:
        self._resources: OrderedDict[tuple[int, int], Resource] = OrderedDict()
        self._scopes: OrderedDict[tuple[int, int], Scope] = OrderedDict()

    def resources(self, connection: Connection, segment: int, numbers: set[int]) -> Mapping[int, Resource]:
        """The resources of these numbers."""
        return _fetched(self._resources, connection, "resources", segment, numbers, _resource)

    def scopes(self, connection: Connection, segment: int, numbers: set[int]) -> Mapping[int, Scope]:
        """The scopes of these numbers."""
        return _fetched(self._scopes, connection, "scopes", segment, numbers, _scope)


def spans(
    connection: Connection, segment: int, keys: SegmentKeys, groups: GroupReader, rows: Sequence[tuple[Any, ...]]
) -> list[Span]:
    """Spans from rows of ``COLUMNS`` of one segment."""
    resources = groups.resources(connection, segment, {row[22] for row in rows})
    scopes = groups.scopes(connection, segment, {row[23] for row in rows})
    return [_span(row, keys.shapes, resources[row[22]], scopes[row[23]]) for row in rows]


def _span(row: tuple[Any, ...], shapes: Mapping[int, Fields], resource: Resource, scope: Scope) -> Span:
    (trace_id, span_id, parent, start, duration, name, kind, status, message, state, flags, shape, *lists) = row[:17]
    events, links, dropped_attributes, dropped_events, dropped_links, _, _, warnings = row[17:]
    attributes = _loose(lists[0]) if shape == LOOSE else _shaped(shapes[shape], lists)
    if warnings:
        said: list[Value] = [text for bit, text in WARNINGS.items() if warnings & bit]
        earlier = attributes.get(WARNINGS_KEY)
        attributes[WARNINGS_KEY] = [*earlier, *said] if isinstance(earlier, list) else said
    return Span(
        trace_id=trace_id,
        span_id=span_id.to_bytes(8, "big"),
        resource=resource,
        scope=scope,
        name=name,
        start=start,
        end=start + duration,
        parent_span_id=b"" if parent is None else parent.to_bytes(8, "big"),
        trace_state=state,
        flags=flags,
        kind=kind,
        status_code=status,
        status_message=message,
        attributes=attributes,
        events=tuple(_event(e) for e in events),
        links=tuple(_link(x) for x in links),
        dropped_attributes=dropped_attributes,
        dropped_events=dropped_events,
        dropped_links=dropped_links,
    )


def _shaped(fields: Fields, lists: list[list[Any]]) -> dict[str, Value]:
    by_letter = dict(zip("sidbo", lists, strict=True))
    return {
        key: _other(by_letter["o"][slot - 1]) if letter == "o" else by_letter[letter][slot - 1]
        for letter, key, slot in fields
        if letter.islower()
    }


def _loose(pairs: list[str]) -> dict[str, Value]:
    return {key: _loose_value(text) for key, text in zip(pairs[::2], pairs[1::2], strict=True)}


def _loose_value(text: str) -> Value:
    letter, value = text[0], text[2:]
    match letter:
        case "s":
            return value
        case "i":
            return int(value)
        case "d":
            return float(value)
        case "b":
            return value == "true"
        case _:
            return _other(bytes.fromhex(value))


def _other(tagged: bytes) -> Value:
    letter, body = chr(tagged[0]), tagged[1:]
    if letter == "b":
        return body
    return _nested(letter, body)


def _nested(letter: str, body: bytes) -> Value:
    if letter not in _TAGS:
        return None
    return proto.any_value_from_bytes(length_delimited(_TAGS[letter], body))


def _attributes(rows: Iterable[Mapping[str, Any]]) -> dict[str, Value]:
    return {row["key"]: _typed(row) for row in rows}


def _typed(row: Mapping[str, Any]) -> Value:
    for name in ("string", "bool", "int", "double", "bytes"):
        if row[name] is not None:
            value: Value = row[name]
            return value
    for name, letter in (("array", "a"), ("kvlist", "k")):
        if row[name] is not None:
            return _nested(letter, row[name])
    return None


def _event(event: Mapping[str, Any]) -> Event:
    return Event(event["time"], event["name"], _attributes(event["attributes"]), event["dropped"])


def _link(link: Mapping[str, Any]) -> Link:
    return Link(
        link["trace_id"],
        link["span_id"],
        link["trace_state"],
        _attributes(link["attributes"]),
        link["dropped"],
        link["flags"],
    )


def _resource(encoded: bytes) -> Resource:
    return proto.resource_of(ResourceSpans.FromString(encoded))


def _scope(encoded: bytes) -> Scope:
    return proto.scope_of(ScopeSpans.FromString(encoded))


def _fetched(
    known: OrderedDict[tuple[int, int], Any],
    connection: Connection,
    table: str,
    segment: int,
    numbers: set[int],
    make: Any,
) -> Mapping[int, Any]:
    found = {n: known[segment, n] for n in numbers if (segment, n) in known}
    missing = sorted(numbers - found.keys())
    if missing:
        marks = ", ".join(map(str, missing))
        rows = connection.execute(
            f"SELECT id, encoded FROM {table} WHERE segment = {segment} AND id IN ({marks})"
        ).fetchall()
        for number, encoded in rows:
            found[number] = known[segment, number] = make(encoded)
        while len(known) > _REMEMBERED:
            known.popitem(last=False)
    return found
