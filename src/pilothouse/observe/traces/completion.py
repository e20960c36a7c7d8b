"""Which keys and values there are to filter by: what a filter bar offers while someone types.

Counts come from the newest spans of the range, so that an answer costs the same in a large store as in a small one.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from pilothouse.observe.traces.keys import KeyCatalogue, Place
from pilothouse.observe.traces.model import AttributeKey, AttributeValue
from pilothouse.observe.traces.params import Params
from pilothouse.observe.traces.shapes import TYPE_NAMES
from pilothouse.signals.duckdb.database import Connection
from pilothouse.signals.duckdb.segments import Segment, SegmentsView

#: Segments looked into, and rows of each for values.
_SEGMENTS: Final = 3
_ROWS: Final = 200_000
_TEXT: Final = "coalesce(a.string, a.int::VARCHAR, a.double::VARCHAR, a.bool::VARCHAR)"
_TYPE: Final = (
    "CASE WHEN a.string IS NOT NULL THEN 'string' WHEN a.int IS NOT NULL THEN 'int'"
    " WHEN a.double IS NOT NULL THEN 'double' WHEN a.bool IS NOT NULL THEN 'bool' ELSE 'other' END"
)

_Range = tuple[int, int]


def attribute_keys(
    connection: Connection,
    segments: SegmentsView,
    catalogue: KeyCatalogue,
    text: str,
    service: str,
    times: _Range,
    limit: int,
) -> list[AttributeKey]:
    """Keys at span and resource level that contain ``text``, with their types: those that begin with it, then by count."""
    counts: Counter[tuple[str, str]] = Counter()
    types: dict[tuple[str, str], set[str]] = {}
    for segment in segments.between(*times)[:_SEGMENTS]:
        keys = catalogue.of(connection, segment.id)
        params = Params()
        where = f" WHERE r.service = {params.one(service)}" if service else ""
        spans = connection.execute(
            f"SELECT r.shape, count(*) FROM {segments.name_of(segment.id)} r{where} GROUP BY 1", params.values
        ).fetchall()
        for shape, count in spans:
            for letter, key, _ in keys.shapes.get(shape, ()):
                if letter.islower() and text in key:
                    counts["span", key] += count
                    types.setdefault(("span", key), set()).add(TYPE_NAMES[letter])
        for key, type_, count in _resource_keys(connection, segment, text, service):
            counts["resource", key] += count
            types.setdefault(("resource", key), set()).add(type_)
    ordered = sorted(counts, key=lambda k: (not k[1].startswith(text), -counts[k], k))
    return [AttributeKey(key, level, tuple(sorted(types[level, key])), counts[level, key]) for level, key in ordered][
        :limit
    ]


def attribute_values(
    connection: Connection,
    segments: SegmentsView,
    catalogue: KeyCatalogue,
    key: str,
    prefix: str,
    service: str,
    times: _Range,
    limit: int,
) -> list[AttributeValue]:
    """Values of ``key`` at span and resource level, most frequent first."""
    counts: Counter[tuple[str, str]] = Counter()
    for segment in segments.between(*times)[:_SEGMENTS]:
        places = catalogue.of(connection, segment.id).places(key)
        for place in places:
            if place.letter != "o":
                _count_values(connection, segments, segment, place, prefix, service, times, limit, counts)
        for text, type_, count in _resource_values(connection, segment, key, prefix, service):
            counts[text, type_] += count
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [AttributeValue(text, type_, count) for (text, type_), count in ordered[:limit]]


def _count_values(
    connection: Connection,
    segments: SegmentsView,
    segment: Segment,
    place: Place,
    prefix: str,
    service: str,
    times: _Range,
    limit: int,
    counts: Counter[tuple[str, str]],
) -> None:
    params = Params()
    where = f"{place.condition} AND r.start >= {times[0]} AND r.start < {times[1]}"
    where += f" AND r.service = {params.one(service)}" if service else ""
    where += f" AND starts_with({place.value}::VARCHAR, {params.one(prefix)})" if prefix else ""
    newest = max(segment.rows - _ROWS, 0)
    found = connection.execute(
        f"SELECT {place.value}::VARCHAR, count(*) FROM {segments.name_of(segment.id)} r"
        f" WHERE rowid >= {newest} AND {where} GROUP BY 1 ORDER BY 2 DESC LIMIT {limit}",
        params.values,
    ).fetchall()
    for text, count in found:
        counts[text, TYPE_NAMES[place.letter]] += count


def _resource_keys(connection: Connection, segment: Segment, text: str, service: str) -> list[tuple[str, str, int]]:
    params = Params()
    where = f" AND service = {params.one(service)}" if service else ""
    found: list[tuple[str, str, int]] = connection.execute(
        f"SELECT a.key, {_TYPE}, count(*) FROM resources, unnest(attributes) AS _(a)"
        f" WHERE segment = {segment.id} AND contains(a.key, {params.one(text)}){where} GROUP BY 1, 2",
        params.values,
    ).fetchall()
    return found


def _resource_values(
    connection: Connection, segment: Segment, key: str, prefix: str, service: str
) -> list[tuple[str, str, int]]:
    params = Params()
    where = f" AND service = {params.one(service)}" if service else ""
    found: list[tuple[str, str, int]] = connection.execute(
        f"SELECT {_TEXT}, {_TYPE}, count(*) FROM resources, unnest(attributes) AS _(a)"
        f" WHERE segment = {segment.id} AND a.key = {params.one(key)} AND {_TEXT} IS NOT NULL"
        f" AND starts_with({_TEXT}, {params.one(prefix)}){where} GROUP BY 1, 2",
        params.values,
    ).fetchall()
    return found
