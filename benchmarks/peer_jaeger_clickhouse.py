"""The peer: Jaeger v2's own ClickHouse schema and queries, executed by chDB (ClickHouse as a library).

Facts, from jaegertracing/jaeger, internal/storage/v2/clickhouse, after v2.20 (both migrations, so that scope, flags, dropped
counts and schema URLs are kept as ours keeps them): tables, views, sort keys, indexes and the shape of each query. What Jaeger
spends in Go on decoding, on the wire to ClickHouse and on building its answers is *not* counted here, its attribute metadata
cache is always warm, and its inserts are as large as suits ClickHouse rather than one per received batch. Where there was a
choice, the peer got the faster one.

Two departures, both because the question must be the same on both sides:

- As shipped, a search takes an arbitrary LIMIT traces (jaeger#8996); ``NEWEST`` orders them as the fix proposes (jaeger#8997).
  ``SHIPPED`` is measured beside it.
- Jaeger reads dependencies that another process has computed and stored as JSON, and computes none with ClickHouse. Here they
  are computed from the spans by the fastest of the joins that were tried.

``python benchmarks/peer_jaeger_clickhouse.py`` loads some spans, runs every query and prints the times.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from harness import Report, Stopwatch, median, rss, scratch
from peer_rows import TYPES, Converter
from questions import Search
from spans import BATCH, SECOND, SpanSource

_VALUE: Final = {"bool": "Bool", "double": "Float64", "int": "Int64", "str": "String", "complex": "String"}
_IDS: Final = (("id", "String"), ("trace_id", "String"), ("trace_state", "String"), ("parent_span_id", "String"))
_SPAN: Final = (
    ("name", "String"), ("kind", "String"), ("start_time", "DateTime64(9)"), ("status_code", "String"),
    ("status_message", "String"), ("duration", "Int64"),
)  # fmt: skip
_EVENT: Final = (("name", "String"), ("timestamp", "DateTime64(9)"))
_LINK: Final = (("trace_id", "String"), ("span_id", "String"), ("trace_state", "String"))
#: What the second migration adds.
_ADDED: Final = (
    ("resource_schema_url", "String"), ("scope_schema_url", "String"), ("flags", "UInt32"),
    ("dropped_attributes_count", "UInt32"), ("dropped_events_count", "UInt32"), ("dropped_links_count", "UInt32"),
    ("events.dropped_attributes_count", "Array(UInt32)"), ("links.dropped_attributes_count", "Array(UInt32)"),
    ("links.flags", "Array(UInt32)"), ("scope_dropped_attributes_count", "UInt32"),
)  # fmt: skip
#: What ``complex`` columns hold, by the mark in front of the key.
_COMPLEX: Final = ("bytes", "map", "slice")

NEWEST: Final = "newest"
SHIPPED: Final = "as shipped"


def _attributes(prefix: str = "") -> list[tuple[str, str]]:
    return [(f"{prefix}{name}_attributes", f"Nested(key String, value {_VALUE[name]})") for name in TYPES]


def _columns(*parts: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"{name} {kind}" for part in parts for name, kind in part)


def _spans_table() -> str:
    columns = _columns(
        _IDS, _SPAN, _attributes(),
        [("events", f"Nested({_columns(_EVENT, _attributes())})"), ("links", f"Nested({_columns(_LINK, _attributes())})")],
        [("service_name", "String")], _attributes("resource_"),
        [("scope_name", "String"), ("scope_version", "String")], _attributes("scope_"),
    )  # fmt: skip
    indexes = "INDEX idx_trace_id trace_id TYPE bloom_filter GRANULARITY 1"
    indexes += ", INDEX idx_duration duration TYPE minmax GRANULARITY 1"
    return (
        f"CREATE TABLE spans ({columns}, {indexes}) ENGINE = MergeTree "
        "PARTITION BY toDate(start_time) ORDER BY (service_name, name, toDateTime(start_time))"
    )


def _metadata_view(level: str, flat: bool) -> str:
    """Rows of (key, type, level) out of the attribute columns of one level, or of span, resource and scope together."""

    def words(column: str, extra: str) -> Iterator[str]:
        for name in TYPES[:-1]:
            yield f"arrayMap(k -> (k, '{name}'{extra}), {column.format(name)})"
        starts = [(f"startsWith(k, '@{kind}@')", kind) for kind in _COMPLEX]
        key = ", ".join(f"{start}, substring(k, {len(kind) + 3})" for start, kind in starts)
        kind_of = ", ".join(f"{start}, '{kind}'" for start, kind in starts)
        yield f"arrayMap(k -> (multiIf({key}, k), multiIf({kind_of}, ''){extra}), {column.format('complex')})"

    if flat:
        parts = [
            part
            for prefix, of in (("", "span"), ("resource_", "resource"), ("scope_", "scope"))
            for part in words(prefix + "{}_attributes.key", f", '{of}'")
        ]
        return (
            "SELECT tp.1 AS attribute_key, tp.2 AS type, tp.3 AS level FROM "
            f"(SELECT arrayJoin(arrayConcat({', '.join(parts)})) AS tp FROM spans) GROUP BY attribute_key, type, level"
        )
    parts = list(words(f"arrayFlatten({level}s.{{}}_attributes.key)", ""))
    return (
        f"SELECT tp.1 AS attribute_key, tp.2 AS type, '{level}' AS level FROM spans "
        f"ARRAY JOIN arrayConcat({', '.join(parts)}) AS tp GROUP BY attribute_key, type, level"
    )


def schema() -> Iterator[str]:
    """The statements that make Jaeger's tables and views."""
    yield _spans_table()
    yield "CREATE TABLE services (name String) ENGINE = AggregatingMergeTree ORDER BY (name)"
    yield "CREATE MATERIALIZED VIEW services_mv TO services AS SELECT service_name AS name FROM spans GROUP BY service_name"
    yield (
        "CREATE TABLE operations (service_name String, name String, span_kind String) "
        "ENGINE = AggregatingMergeTree ORDER BY (service_name, span_kind)"
    )
    yield "CREATE MATERIALIZED VIEW operations_mv TO operations AS SELECT name, kind AS span_kind, service_name FROM spans"
    yield (
        "CREATE TABLE trace_id_timestamps (trace_id String, start SimpleAggregateFunction(min, DateTime64(9)), "
        "end SimpleAggregateFunction(max, DateTime64(9))) ENGINE = AggregatingMergeTree ORDER BY (trace_id)"
    )
    yield (
        "CREATE MATERIALIZED VIEW trace_id_timestamps_mv TO trace_id_timestamps AS "
        "SELECT trace_id, min(start_time) AS start, max(start_time) AS end FROM spans GROUP BY trace_id"
    )
    yield (
        "CREATE TABLE attribute_metadata (attribute_key String, type String, level String) "
        "ENGINE = AggregatingMergeTree ORDER BY (attribute_key, type, level)"
    )
    for name, level, flat in (
        ("attribute", "", True),
        ("event_attribute", "event", False),
        ("link_attribute", "link", False),
    ):
        yield f"CREATE MATERIALIZED VIEW {name}_metadata_mv TO attribute_metadata AS {_metadata_view(level, flat)}"
    yield (
        "CREATE TABLE dependencies (timestamp DateTime64(9), dependencies_json String) "
        "ENGINE = MergeTree PARTITION BY toDate(timestamp) ORDER BY (timestamp)"
    )
    for name, kind in _ADDED:
        yield f"ALTER TABLE spans ADD COLUMN {name} {kind}"


def _literal(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _time(nanoseconds: int) -> str:
    return f"fromUnixTimestamp64Nano({nanoseconds})"


def _read_columns() -> str:
    """The columns of a span as Jaeger's reader selects them."""
    pairs = [f"{name}.{part}" for name, _ in _attributes() for part in ("key", "value")]
    names = [name for name, _ in _IDS + _SPAN] + pairs
    names += [f"events.{name}" for name, _ in _EVENT] + [f"events.{pair}" for pair in pairs]
    names += [f"links.{name}" for name, _ in _LINK] + [f"links.{pair}" for pair in pairs]
    names += ["service_name", *(f"resource_{pair}" for pair in pairs), "scope_name", "scope_version"]
    names += [*(f"scope_{pair}" for pair in pairs), *(name for name, _ in _ADDED)]
    return ", ".join(f"{name} AS `{name}`" for name in names)


SERVICES_SQL: Final = "SELECT name FROM services GROUP BY name"


def operations_sql(service: str) -> str:
    """GetOperations, all kinds."""
    return f"SELECT name, span_kind FROM operations WHERE service_name = {_literal(service)} GROUP BY name, span_kind"


def trace_sql(trace_id: str) -> str:
    """GetTraces with one id: every column of every span."""
    return f"SELECT {_read_columns()} FROM spans s WHERE s.trace_id = {_literal(trace_id)}"


def _search_sql(where: str, limit: int, order: str) -> str:
    """The trace ids of a search: the innermost query of every search of Jaeger's."""
    if order == SHIPPED:
        return f"SELECT DISTINCT s.trace_id FROM spans s WHERE {where} LIMIT {limit}"
    return (
        f"SELECT s.trace_id FROM spans s WHERE {where} "
        f"GROUP BY s.trace_id ORDER BY max(s.start_time) DESC, s.trace_id DESC LIMIT {limit}"
    )


def ids_sql(where: str, limit: int, order: str = NEWEST) -> str:
    """FindTraceIDs: the ids of a search with the time range of each trace, in no order."""
    return (
        f"SELECT l.trace_id AS trace_id, min(t.start) AS start, max(t.end) AS end FROM ({_search_sql(where, limit, order)}) l "
        "LEFT JOIN trace_id_timestamps t ON l.trace_id = t.trace_id GROUP BY l.trace_id"
    )


def find_sql(where: str, limit: int, order: str = NEWEST) -> str:
    """FindTraces: every column of every span of the traces of a search."""
    inner = f"SELECT trace_id FROM ({ids_sql(where, limit, order)})"
    return f"SELECT {_read_columns()} FROM spans s WHERE s.trace_id IN ({inner}) ORDER BY s.trace_id"


def summaries_sql(where: str, limit: int, order: str = NEWEST) -> str:
    """FindTraceSummaries."""
    inner = _search_sql(where, limit, order)
    if order == SHIPPED:  # so that both readings of the common table expression select the same traces
        inner = inner.replace(" LIMIT", " ORDER BY s.trace_id LIMIT")
    return (
        f"WITH selected AS (SELECT trace_id FROM ({inner})), agg AS (SELECT s.trace_id AS trace_id, "
        "min(s.start_time) AS min_start, max(s.start_time + toIntervalNanosecond(s.duration)) AS max_end, "
        "count() AS span_count, countIf(s.status_code = 'Error') AS error_span_count, "
        "argMinIf((s.service_name, s.name), (s.start_time, s.id), s.parent_span_id = '') AS root, "
        "sumMap([s.service_name], [toUInt64(1)], [toUInt64(s.status_code = 'Error')]) AS svc_stats "
        "FROM spans s WHERE s.trace_id IN (SELECT trace_id FROM selected) GROUP BY s.trace_id) "
        "SELECT agg.trace_id AS trace_id, agg.min_start AS min_start, agg.max_end AS max_end, agg.span_count AS span_count, "
        "agg.error_span_count AS error_span_count, agg.root.1 AS root_service, agg.root.2 AS root_operation, "
        "agg.svc_stats.1 AS svc_names, agg.svc_stats.2 AS svc_span_counts, agg.svc_stats.3 AS svc_error_counts, "
        "toUInt64(ifNull(orph.orphan_count, 0)) AS orphan_count FROM agg LEFT JOIN "
        "(SELECT s.trace_id AS trace_id, count() AS orphan_count FROM spans s LEFT ANTI JOIN spans p "
        "ON s.trace_id = p.trace_id AND s.parent_span_id = p.id WHERE s.parent_span_id != '' "
        "AND s.trace_id IN (SELECT trace_id FROM selected) GROUP BY s.trace_id) AS orph ON agg.trace_id = orph.trace_id"
    )


def dependencies_sql(start: int, end: int, *, links: bool = True) -> str:
    """Calls between services, counted by the callee's spans that start in [start, end); callers from ten minutes before.

    Jaeger has no such query (see the module's docstring). With ``links``, a consumer that names its producer by a link
    counts too unless it is also the parent, as it does with us. Joining on one hash of both ids is half again as fast as
    on the ids.
    """
    called = f"start_time >= {_time(start)} AND start_time < {_time(end)}"
    callers = f"start_time >= {_time(start - 600 * SECOND)} AND start_time < {_time(end)}"
    error = "status_code = 'Error' AS error"
    calls = (
        "SELECT p.service_name AS parent, c.service_name AS child, c.error AS error FROM "
        f"(SELECT sipHash64(trace_id, parent_span_id) AS key, service_name, {error} FROM spans "
        f"WHERE {called} AND parent_span_id != '') c "
        f"INNER JOIN (SELECT sipHash64(trace_id, id) AS key, service_name FROM spans WHERE {callers}) p "
        "ON c.key = p.key WHERE p.service_name != c.service_name"
    )
    if links:
        calls += (
            " UNION ALL SELECT p.service_name AS parent, c.service_name AS child, c.error AS error FROM "
            f"(SELECT sipHash64(trace, span) AS key, service_name, {error} FROM spans "
            f"ARRAY JOIN links.trace_id AS trace, links.span_id AS span WHERE {called} AND kind = 'consumer' "
            "AND NOT (trace = trace_id AND span = parent_span_id)) c "
            "INNER JOIN (SELECT sipHash64(trace_id, id) AS key, service_name FROM spans "
            f"WHERE {callers} AND kind = 'producer') p ON c.key = p.key WHERE p.service_name != c.service_name"
        )
    return f"SELECT parent, child, count() AS calls, countIf(error) AS errors FROM ({calls}) GROUP BY parent, child"


class Peer:
    """Jaeger's ClickHouse store in a directory. One per process: chDB allows no more."""

    #: Spans per insert. Smaller inserts make chDB slower, larger ones no faster.
    rows_per_insert: Final = 65_536

    def __init__(self, directory: Path, threads: int = 2) -> None:
        from chdb import session

        opened: Any = session.Session  # chDB says that it is typed, and is not
        self._session: Any = opened(str(directory))
        settings = {"max_threads": threads, "max_insert_threads": threads, "parallel_view_processing": 1}
        for setting, value in settings.items():
            self._session.query(f"SET {setting} = {value}")
        self._converter = Converter()
        self._types: dict[str, list[tuple[str, str]]] = {}
        self.inserted = Stopwatch()
        self._session.query("CREATE DATABASE IF NOT EXISTS jaeger")
        self._session.query("USE jaeger")

    def create(self) -> None:
        """Makes the tables."""
        for statement in schema():
            self._session.query(statement)

    def load(self, requests: Iterable[bytes]) -> int:
        """Stores all spans of ``requests``; returns how many.

        The next insert's rows are converted while this one runs. ``inserted`` keeps what the inserts took alone.
        """
        total = 0
        with ThreadPoolExecutor(1) as background:
            waiting: Future[Any] | None = None
            for batch in _batches(requests, self.rows_per_insert):
                following = background.submit(self._converter.table, batch)
                total += self.insert(waiting.result()) if waiting else 0
                waiting = following
            total += self.insert(waiting.result()) if waiting else 0
        return total

    def insert(self, rows: Any) -> int:
        """Stores a table of the ``Converter`` in one insert."""
        names = ", ".join(f"`{name}`" for name in rows.column_names)
        with (
            self.inserted
        ):  # "rows" below is the local variable of that name: chDB reads it in place, its fastest way in
            self._session.query(f"INSERT INTO spans ({names}) SELECT * FROM Python(rows)")
        return int(rows.num_rows)

    def run(self, sql: str) -> Any:
        """Executes a query and leaves the answer in ClickHouse's own format, which is what Jaeger receives."""
        return self._session.query(sql, "Native")

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """Executes a query and returns its rows, for comparing answers; times are integer nanoseconds."""
        table = self._session.query(sql, "ArrowTable")
        columns = {
            name: _plain(column).to_pylist() for name, column in zip(table.column_names, table.columns, strict=True)
        }
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def count(self) -> int:
        """How many spans are stored."""
        return int(self.rows("SELECT count() AS n FROM spans")[0]["n"])

    def disk_bytes(self) -> int:
        """Bytes of all live parts of all tables."""
        sql = "SELECT sum(bytes_on_disk) AS n FROM system.parts WHERE active AND database = 'jaeger'"
        return int(self.rows(sql)[0]["n"])

    def settle(self) -> None:
        """Merges what there is to merge, as a server that has been up for a while would have."""
        for table in ("spans", "services", "operations", "trace_id_timestamps", "attribute_metadata"):
            self._session.query(f"OPTIMIZE TABLE {table} FINAL")

    def close(self) -> None:
        """Ends the session."""
        self._session.close()

    def where(self, search: Search) -> str:
        """The conditions of a search. Types and levels of attributes come from the metadata table, cached as Jaeger does."""
        found = ["1=1"]
        if search.service:
            found.append(f"s.service_name = {_literal(search.service)}")
        if search.operation:
            found.append(f"s.name = {_literal(search.operation)}")
        if search.duration_min:
            found.append(f"s.duration >= {search.duration_min}")
        found += [f"s.start_time >= {_time(search.start)}", f"s.start_time <= {_time(search.end - 1)}"]
        return " AND ".join(found + [self._attribute(key, value) for key, value in search.attributes])

    def _attribute(self, key: str, value: str) -> str:
        if key not in self._types:
            found = self.rows(
                f"SELECT attribute_key, type, level FROM attribute_metadata WHERE attribute_key IN ({_literal(key)}) "
                "GROUP BY attribute_key, type, level"
            )
            self._types[key] = sorted((row["level"], row["type"]) for row in found)
        tests = [test for level, kind in self._types[key] if (test := _attribute_test(level, kind, key, value))]
        if not tests:  # an unknown key is looked for as text, everywhere
            tests = [
                _attribute_test(level, "str", key, value) for level in ("span", "resource", "scope", "event", "link")
            ]
        return f"({' OR '.join(tests)})"


def _plain(column: Any) -> Any:
    """Timestamps, alone or in lists, as integers."""
    if pa.types.is_timestamp(column.type):
        return column.cast(pa.int64())
    if pa.types.is_list(column.type) and pa.types.is_timestamp(column.type.value_type):
        return column.cast(pa.list_(pa.int64()))
    return column


def _attribute_test(level: str, kind: str, key: str, value: str) -> str:
    """The condition for one level and type; empty when ``value`` cannot be of that type."""
    try:
        match kind:
            case "bool":
                literal = {"true": "true", "false": "false"}[value.lower()]
            case "int":
                literal = f"toInt64({int(value)})"
            case "double":
                literal = f"toFloat64({float(value)!r})"
            case _:
                literal = _literal(value)
    except (KeyError, ValueError):
        return ""
    column = kind if kind in _VALUE else "complex"
    if column == "complex":
        key = f"@{kind}@{key}"

    def exists(at: str) -> str:
        arrays = f"{at}{column}_attributes.key, {at}{column}_attributes.value"
        return f"arrayExists((key, value) -> key = {_literal(key)} AND value = {literal}, {arrays})"

    if level in ("event", "link"):
        return f"arrayExists(x -> {exists('x.')}, s.{level}s)"
    return exists("s." if level == "span" else f"s.{level}_")


def _batches(requests: Iterable[bytes], rows: int) -> Iterator[list[bytes]]:
    """Groups requests of about ``BATCH`` spans into lists of about ``rows``."""
    requests = iter(requests)
    while batch := list(islice(requests, max(1, rows // BATCH))):
        yield batch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spans", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    end, hour = time.time_ns(), 3600 * SECOND
    source = SpanSource(options.seed, spans=options.spans, end=end, window=6 * hour)
    report = Report("peer_jaeger_clickhouse", "Jaeger's ClickHouse schema and SQL on chDB", spans=source.spans)
    trace_id = source.block(source.block_count - 1).trace_ids[0].tobytes().hex()
    with scratch() as directory:
        peer = Peer(directory, options.threads)
        peer.create()
        with Stopwatch() as watch:
            peer.load(source.requests())
        report.row(
            "insert with conversion", spans_per_s=source.spans / watch.wall, spans_per_cpu_s=source.spans / watch.cpu
        )
        report.row("insert alone", spans_per_s=source.spans / peer.inserted.wall)
        assert peer.count() == source.spans
        report.row("disk", bytes_per_span=peer.disk_bytes() / source.spans)
        report.row("memory", rss_mb=rss(os.getpid()) / 1e6)
        recent = peer.where(Search(end - hour, end, "checkout"))
        keyed = peer.where(Search(end - hour, end, "checkout", attributes=(("http.response.status_code", "404"),)))
        anywhere = peer.where(Search(end - 6 * hour, end, attributes=(("payment.currency", "JPY"),)))
        questions = {
            "services": SERVICES_SQL,
            "operations": operations_sql("checkout"),
            "trace by id": trace_sql(trace_id),
            "service, 1 h, 20 newest": ids_sql(recent, 20),
            "service, 1 h, any 20 (as shipped)": ids_sql(recent, 20, SHIPPED),
            "service + attribute, 1 h": ids_sql(keyed, 20),
            "attribute, any service, 6 h": ids_sql(anywhere, 20),
            "summaries (20 newest)": summaries_sql(recent, 20),
            "summaries (any 20, as shipped)": summaries_sql(recent, 20, SHIPPED),
            "find traces (20)": find_sql(recent, 20),
            "dependencies, 1 h": dependencies_sql(end - hour, end),
        }
        for name, sql in questions.items():
            watches = [Stopwatch() for _ in range(options.repeat)]
            for watch in watches:
                with watch:
                    peer.run(sql)
            wall, cpu = (1000 * median([getattr(watch, what) for watch in watches]) for what in ("wall", "cpu"))
            report.row(name, wall_ms=wall, cpu_ms=cpu, rows=len(peer.rows(sql)))
        peer.close()
    report.finish()


if __name__ == "__main__":
    main()
