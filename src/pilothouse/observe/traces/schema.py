"""How spans lie in the store: the declarations that DDL, SQL views and the reference of tables are made from.

**Attributes are split into shape and values.** Spans made by the same line of code carry the same keys with the same types:
that list is their *shape*, kept once per segment. A row holds its shape's number and only the values, by type. So a row
costs no keys, a filter on ``http.status_code`` reads the shapes first and then only rows that can have it, and every type
survives. (A ``VARIANT`` or ``MAP`` per row costs three to five times as much to write; see ``docs/explanation/store.md``.)

A shape's fields are ``LETTER:key``; the letter tells the list that holds the value, ``slots`` the place in it. An upper-case
letter is a key that a later one of the same name hides. A segment has room for so many of them; rows beyond that are of
shape 0, whose ``strings`` alternate between key and ``LETTER:text``.
"""

from __future__ import annotations

from typing import Final

from pilothouse.signals.tables import Column, SegmentedTable, Table

#: The shape of rows that carry their own keys.
LOOSE: Final = 0
#: The fields of the entry among the shapes that says: this segment has rows of shape 0.
LOOSE_MARK: Final = ("*loose:",)
#: More than real programs have, and few enough that hostile keys cost no memory to speak of.
MAX_SHAPES: Final = 8192
#: The same for their size: spans of thousands of keys, or of huge ones.
MAX_SHAPE_BYTES: Final = 16 << 20

#: Typed attributes of resources, scopes, events and links, which are few: plain lists. At most one value is not NULL.
ATTRIBUTES: Final = (
    'STRUCT("key" VARCHAR, "string" VARCHAR, "bool" BOOLEAN, "int" BIGINT, "double" DOUBLE,'
    ' "array" BLOB, "kvlist" BLOB, "bytes" BLOB)[]'
)
EVENTS: Final = f'STRUCT("time" UBIGINT, "name" VARCHAR, "attributes" {ATTRIBUTES}, "dropped" UINTEGER)[]'
LINKS: Final = (
    'STRUCT("trace_id" BLOB, "span_id" BLOB, "trace_state" VARCHAR,'
    f' "attributes" {ATTRIBUTES}, "dropped" UINTEGER, "flags" UINTEGER)[]'
)

KIND_NAMES: Final = ("unspecified", "internal", "server", "client", "producer", "consumer")
STATUS_NAMES: Final = ("unset", "ok", "error")


def _text(attributes: str) -> str:
    """SQL for the attributes in a list, as a map from key to text; of two of the same name the last stays."""
    value = (
        "coalesce(a.string, a.int::VARCHAR, a.double::VARCHAR, a.bool::VARCHAR,"
        " base64(coalesce(a.bytes, a.array, a.kvlist)), '')"
    )
    later = f"{attributes}[i + 1:].list_transform(lambda b: b.key)"
    last = f"list_filter({attributes}, lambda a, i: NOT list_contains({later}, a.key))"
    return f"map_from_entries(list_transform({last}, lambda a: {{'k': a.key, 'v': {value}}}))"


#: All values of a row as text, in the order of ``LETTERS``; ``shapes.places`` are places in it.
_VALUES: Final = (
    "(r.strings || r.ints::VARCHAR[] || r.doubles::VARCHAR[] || r.bools::VARCHAR[]"
    " || list_transform(r.others, lambda o: base64(o[2:])))"  # without the letter
)
_LOOSE_KEYS: Final = "list_transform(range(1, len(r.strings) + 1, 2), lambda i: r.strings[i])"
_LOOSE_VALUES: Final = (
    "list_transform(range(2, len(r.strings) + 1, 2), lambda i:"
    " CASE r.strings[i][1] WHEN 'o' THEN base64(unhex(r.strings[i][5:])) ELSE r.strings[i][3:] END)"
)
_LOOSE_TYPES: Final = (
    "list_transform(range(2, len(r.strings) + 1, 2), lambda i: CASE r.strings[i][1] WHEN 's' THEN 'string'"
    " WHEN 'i' THEN 'int' WHEN 'd' THEN 'double' WHEN 'b' THEN 'bool' ELSE 'other' END)"
)
_KEYS: Final = f"CASE WHEN r.shape = {LOOSE} THEN {_LOOSE_KEYS} ELSE shapes.keys END"
_TEXTS: Final = f"CASE WHEN r.shape = {LOOSE} THEN {_LOOSE_VALUES} ELSE list_select({_VALUES}, shapes.places) END"
_TYPES: Final = f"CASE WHEN r.shape = {LOOSE} THEN {_LOOSE_TYPES} ELSE shapes.types END"


def _named(column: str, names: tuple[str, ...]) -> str:
    quoted = ", ".join(f"'{n}'" for n in names)
    return f"coalesce([{quoted}][{column}::INTEGER + 1], {column}::VARCHAR)"


def _c(name: str, type_: str, doc: str) -> Column:
    return Column(name, type_, doc)


SPANS: Final = SegmentedTable(
    name="spans",
    doc="One row per span as it was received; an exact retransmission is not stored again.",
    time="start",
    key="trace_id",
    columns=(
        _c("trace_id", "BLOB", "16 bytes"),
        _c("span_id", "UBIGINT", "The id's 8 bytes, big-endian"),
        _c("parent_span_id", "UBIGINT", "NULL for a root"),
        _c("start", "BIGINT", "Nanoseconds since 1970"),
        _c("duration", "BIGINT", "Nanoseconds"),
        _c("service", "VARCHAR", "service.name of the resource"),
        _c("name", "VARCHAR", "The operation"),
        _c("kind", "UTINYINT", "SpanKind"),
        _c("status", "UTINYINT", "StatusCode"),
        _c("status_message", "VARCHAR", "Status.message"),
        _c("trace_state", "VARCHAR", "W3C tracestate"),
        _c("flags", "UINTEGER", "W3C flags"),
        _c("shape", "INTEGER", "Which keys the attributes have"),
        _c("strings", "VARCHAR[]", "Values of type string"),
        _c("ints", "BIGINT[]", "Values of type int"),
        _c("doubles", "DOUBLE[]", "Values of type double"),
        _c("bools", "BOOLEAN[]", "Values of type bool"),
        _c(
            "others",
            "BLOB[]",
            "Bytes, arrays, key-value lists and empty values: a letter, then their protobuf encoding",
        ),
        _c("events", EVENTS, "Span.Event"),
        _c("links", LINKS, "Span.Link"),
        _c("dropped_attributes", "UINTEGER", "dropped_attributes_count"),
        _c("dropped_events", "UINTEGER", "dropped_events_count"),
        _c("dropped_links", "UINTEGER", "dropped_links_count"),
        _c("resource_id", "INTEGER", "In resources"),
        _c("scope_id", "INTEGER", "In scopes"),
        _c("warnings", "UTINYINT", "What sanitizing changed, as bits"),
        _c("commit", "BIGINT", "Number of the commit that brought the row"),
    ),
    dictionaries=(
        Table(
            "resources",
            "Resources, deduplicated within a segment.",
            (
                _c("encoded", "BLOB", "ResourceSpans without its spans"),
                _c("service", "VARCHAR", "service.name, sanitized"),
                _c("attributes", ATTRIBUTES, "Typed attributes"),
            ),
            key=("encoded",),
        ),
        Table(
            "scopes",
            "Instrumentation scopes, deduplicated within a segment.",
            (
                _c("encoded", "BLOB", "ScopeSpans without its spans"),
                _c("name", "VARCHAR", "Scope name"),
                _c("version", "VARCHAR", "Scope version"),
                _c("attributes", ATTRIBUTES, "Typed attributes"),
            ),
            key=("encoded",),
        ),
        Table(
            "shapes",
            "The lists of typed attribute keys that rows of a segment have.",
            (
                _c("fields", "VARCHAR[]", "LETTER:key, in the order of the span's attributes"),
                _c("slots", "USMALLINT[]", "For each field, the place in the list of its type"),
                _c("keys", "VARCHAR[]", "The keys of the fields that are not hidden"),
                _c("types", "VARCHAR[]", "Their types"),
                _c("places", "UINTEGER[]", "Their places among all values of a row"),
            ),
            key=("fields",),
        ),
    ),
    joins=(("resources", "resource_id"), ("scopes", "scope_id"), ("shapes", "shape")),
    view=(
        (_c("trace_id", "VARCHAR", "32 hex digits"), "lower(hex(r.trace_id))"),
        (_c("span_id", "VARCHAR", "16 hex digits"), "printf('%016x', r.span_id)"),
        (_c("parent_span_id", "VARCHAR", "16 hex digits; NULL for a root"), "printf('%016x', r.parent_span_id)"),
        (_c("service", "VARCHAR", "service.name of the resource"), "r.service"),
        (_c("name", "VARCHAR", "The operation"), "r.name"),
        (_c("kind", "VARCHAR", ", ".join(KIND_NAMES)), _named("r.kind", KIND_NAMES)),
        (_c("start_time", "TIMESTAMP_NS", "When the span started, UTC"), "make_timestamp_ns(r.start)"),
        (_c("duration_ns", "BIGINT", "Nanoseconds"), "r.duration"),
        (_c("status", "VARCHAR", ", ".join(STATUS_NAMES)), _named("r.status", STATUS_NAMES)),
        (_c("status_message", "VARCHAR", "What the status says"), "r.status_message"),
        (
            _c("attributes", "MAP(VARCHAR, VARCHAR)", "Span attributes as text; cast what is a number"),
            f"map({_KEYS}, {_TEXTS})",
        ),
        (_c("attribute_keys", "VARCHAR[]", "The keys of attributes"), _KEYS),
        (
            _c(
                "attribute_values",
                "VARCHAR[]",
                "The values of attributes, in the order of the keys; fastest to filter by",
            ),
            _TEXTS,
        ),
        (
            _c(
                "attribute_types", "VARCHAR[]", "string, int, double, bool, or other (base64), in the order of the keys"
            ),
            _TYPES,
        ),
        (_c("resource", "MAP(VARCHAR, VARCHAR)", "Resource attributes as text"), _text("resources.attributes")),
        (_c("scope_name", "VARCHAR", "Instrumentation scope"), "scopes.name"),
        (_c("scope_version", "VARCHAR", "Its version"), "scopes.version"),
        (_c("events", EVENTS, "Events with their typed attributes"), "r.events"),
        (_c("links", LINKS, "Links with their typed attributes"), "r.links"),
        (_c("trace_state", "VARCHAR", "W3C tracestate"), "r.trace_state"),
        (_c("flags", "UINTEGER", "W3C flags"), "r.flags"),
        (_c("dropped_attributes", "UINTEGER", "dropped_attributes_count"), "r.dropped_attributes"),
        (_c("dropped_events", "UINTEGER", "dropped_events_count"), "r.dropped_events"),
        (_c("dropped_links", "UINTEGER", "dropped_links_count"), "r.dropped_links"),
    ),
)

OPERATIONS: Final = Table(
    "operations",
    "Services and their operations, written in the same transaction as the spans.",
    (
        _c("service", "VARCHAR", "Service name"),
        _c("name", "VARCHAR", "Operation name"),
        _c("kind", "UTINYINT", "SpanKind"),
        _c("last_seen", "BIGINT", "Start of its newest span in nanoseconds, some seconds late"),
    ),
    key=("service", "name", "kind"),
    follows=(SPANS.name, "last_seen"),
)
COMMITS: Final = Table(
    "commits",
    "The commits of the last minutes: by their request hashes a retransmission is recognised, also after a restart.",
    (
        _c("commit", "BIGINT", "Ascending number"),
        _c("time", "BIGINT", "Wall time in nanoseconds"),
        _c("spans", "BIGINT", "Rows it brought"),
        _c("requests", "BLOB", "16 bytes per request"),
    ),
)

TABLES: Final = (SPANS, OPERATIONS, COMMITS)
