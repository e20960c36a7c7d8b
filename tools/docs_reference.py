"""Writes the part of docs/reference/ that follows from the code, so that it cannot say anything else than the code does.

A page has a beginning written by hand, then a line with ``MARK``; all below it is written here.

Used by the Makefile::

    python tools/docs_reference.py            # writes the pages
    python tools/docs_reference.py --check    # fails if a page differs, or if something has no documentation

What is asked: the tree of commands, the settings, the listeners, the declarations of tables (held against the tables of a
real, empty store), the OpenAPI document, the error classes and the registry of metrics of one house that is never started.
"""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import import_module, metadata
from inspect import cleandoc, getdoc
from pathlib import Path
from typing import Any, Final, get_type_hints
from unittest import mock

import click

from pilothouse import signals
from pilothouse.cli.tree import root
from pilothouse.formats.expression import FIELDS, build, regex
from pilothouse.formats.expression.text import MAX_TEXT, WELL_KNOWN
from pilothouse.formats.otlp.model import KINDS, STATUS_CODES
from pilothouse.kit import config, errors
from pilothouse.kit.capability import GROUP, Capability
from pilothouse.kit.clock import SystemClock
from pilothouse.kit.telemetry import DEFAULT_BUCKETS, Counter, Gauge, Histogram, Registry
from pilothouse.observe.traces.jaeger import grpc_v2, grpc_v3
from pilothouse.observe.traces.jaeger.reader import Reader
from pilothouse.observe.traces.jaeger.service import application as jaeger_application
from pilothouse.observe.traces.service import store as trace_store
from pilothouse.server import app
from pilothouse.signals.tables import Column, SegmentedTable, Table

FOLDER: Final = Path(__file__).resolve().parent.parent / "docs" / "reference"
MARK: Final = "<!-- What follows is written by tools/docs_reference.py from the code. -->"
#: A column type longer than this is shown below the table.
_LONG_TYPE: Final = 40

#: Tables that the engine keeps for itself; their columns are held against a real store.
_ENGINE_TABLES: Final = {
    "segments": (
        "The catalogue of segments, one row each.",
        {
            "id": "Ascending number N; the rows are in `spans_N`",
            "bucket": "Day of the rows, in days since 1970; -1 for times that cannot be right",
            "rows": "Rows in the segment",
            "min_time": "Earliest start, nanoseconds since 1970",
            "max_time": "Latest start",
            "written": "When the newest row was committed, nanoseconds since 1970",
            "sealed": "Whether it is full and takes no more rows",
            "zones": "A filter over the trace ids of each 122,880 rows; NULL until the segment is sealed",
        },
    ),
    "schema_version": ("Version of the store's layout, for migrations.", {"version": "One row, one number"}),
}

#: What the paths of Jaeger's API answer; a path without a sentence here fails the build.
_JAEGER_HTTP: Final = {
    "/api/services": "Names of all services",
    "/api/operations": "Operations of a service (`service`, `spanKind`), with their kinds",
    "/api/services/{service}/operations": "Names of a service's operations",
    "/api/traces": "Search, or the traces of every `traceID`",
    "/api/traces/{trace_id}": "One trace (`start`, `end`, `raw`)",
    "/api/archive/{trace_id}": "Always an error: there is no archive storage",
    "/api/transform": "OTLP in, Jaeger UI's JSON out; stores nothing",
    "/api/dependencies": "Calls between services (`endTs`, `lookback` in milliseconds)",
    "/api/deep-dependencies": "Paths of calls through a service (`service`)",
    "/analytics/v1/dependencies": "The same, under the address Jaeger's analytics use",
    "/api/quality-metrics": "How complete a service's instrumentation is (`service`)",
    "/api/metrics/latencies": "Always 501: service performance has no backend yet",
    "/api/metrics/calls": "Always 501",
    "/api/metrics/errors": "Always 501",
    "/api/metrics/minstep": "Always 501",
    "/api/v3/services": "Names of all services",
    "/api/v3/operations": "Operations with their kinds",
    "/api/v3/traces": "Search; traces in OTLP",
    "/api/v3/traces/{trace_id}": "One trace in OTLP",
    "/api/v3/trace-summaries": "Search; summaries only",
    "/api/v3/dependencies": "Calls between services",
    "/api/v3/capabilities": "What this backend can do",
}
_JAEGER_GRPC: Final = {
    "GetTrace": "One trace, in chunks",
    "ArchiveTrace": "Always an error: there is no archive storage",
    "FindTraces": "Search; whole traces, in chunks",
    "FindTraceSummaries": "Search; summaries only",
    "GetServices": "Names of all services",
    "GetOperations": "Operations of a service",
    "GetDependencies": "Calls between services",
}


_FIELD_TYPES: Final = {
    "text": "text",
    "id": "hex digits",
    "duration": "a duration, such as 250ms",
    "time": "a time, RFC 3339 or nanoseconds since 1970",
    "kind": ", ".join(KINDS),
    "status": ", ".join(STATUS_CODES),
}


class Recorder(Registry):
    """A registry that remembers the label names each metric was asked for with."""

    def __init__(self) -> None:
        super().__init__()
        self.labels: dict[str, tuple[str, ...]] = {}
        self.buckets: dict[str, tuple[float, ...]] = {}

    def counter(self, name: str, text: str, labels: Sequence[str] = ()) -> Counter:
        """Remembers, then as the registry."""
        self.labels[name] = tuple(labels)
        return super().counter(name, text, labels)

    def gauge(self, name: str, text: str, labels: Sequence[str] = ()) -> Gauge:
        """Remembers, then as the registry."""
        self.labels[name] = tuple(labels)
        return super().gauge(name, text, labels)

    def histogram(
        self, name: str, text: str, labels: Sequence[str] = (), buckets: Sequence[float] = DEFAULT_BUCKETS
    ) -> Histogram:
        """Remembers, then as the registry."""
        self.labels[name], self.buckets[name] = tuple(labels), tuple(buckets)
        return super().histogram(name, text, labels, buckets)


class Reference:
    """One house, never started, and what is missing in its documentation (``gaps``)."""

    def __init__(self) -> None:
        self.gaps: list[str] = []
        self._shown_types: set[str] = set()
        effective = config.load(env={}, file=Path(os.devnull))
        self.own = [
            point.load()
            for point in sorted(metadata.entry_points(group=GROUP), key=lambda p: p.name)
            if point.value.startswith("pilothouse.")
        ]
        with mock.patch.object(app, "Registry", Recorder):
            self.house = app.House(effective, found=self.own)

    def said(self, text: str | None, what: str) -> str:
        """``text`` in one line; its absence is a gap."""
        if not (text or "").strip():
            self.gaps.append(what)
            return ""
        return " ".join(str(text).split())

    def pages(self) -> dict[str, str]:
        """What is generated, by the name of its page."""
        made: dict[str, Callable[[], Iterator[str]]] = {
            "commands.md": self.commands,
            "configuration.md": self.configuration,
            "listeners.md": self.listeners,
            "tables.md": self.tables,
            "http-api.md": self.http_api,
            "jaeger-api.md": self.jaeger_api,
            "filter-language.md": self.filter_language,
            "exit-codes.md": self.exit_codes,
            "metrics.md": self.metrics,
        }
        return {name: _tidy(lines()) for name, lines in made.items()}

    # commands

    def commands(self) -> Iterator[str]:
        """The click tree with every option."""
        context = click.Context(root, info_name="pilothouse", terminal_width=100)
        lazy = root.lazy() if hasattr(root, "lazy") else {}
        for name in root.list_commands(context):
            command = root.get_command(context, name)
            if command is not None and (name not in lazy or lazy[name].target.startswith("pilothouse.")):
                yield from self._command(f"pilothouse {name}", command, context, 2)

    def _command(self, path: str, command: click.Command, parent: click.Context, level: int) -> Iterator[str]:
        context = click.Context(command, info_name=path.rpartition(" ")[2], parent=parent, terminal_width=100)
        self.said(command.help, f"command {path}")
        yield from ("", f"{'#' * level} {path}", "", cleandoc(command.help or ""), "")
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                child = command.get_command(context, name)
                if child is not None:
                    yield from self._command(f"{path} {name}", child, context, level + 1)
            return
        yield from ("```text", " ".join([path, *command.collect_usage_pieces(context)]), "```", "")
        options = [p for p in command.params if isinstance(p, click.Option)]
        records = [record for option in options if (record := option.get_help_record(context))]
        rows = [(f"`{names}`", _text(self.said(text, f"{path} {names}"))) for names, text in records]
        yield from _table(("option", "what it does"), rows)

    # configuration

    def configuration(self) -> Iterator[str]:
        """Every setting."""
        hints = get_type_hints(config.Config)
        section = ""
        for setting in config.settings():
            if setting.section != section:
                section = setting.section
                yield from ("", f"## [{section}]", "", self.said(getdoc(hints[section]), f"section [{section}]"))
            kind = {"bytes": "size", "duration": "duration", "address": "address"}.get(
                setting.unit, {str: "text", bool: "true or false", int: "number"}[setting.kind]
            )
            default = setting.default_text
            facts = [
                f"{kind}, secret" if setting.secret else kind,
                f"default `{default}`" if default else "empty by default",
                f"flag `{setting.flag}`" if setting.flag else "no flag",
                f"environment `{setting.env}`",
            ]
            yield from ("", f"### {setting.key}", "")
            yield f"{_text(self.said(setting.description, f'setting {setting.key}'))}."
            yield from ("", f"{_text(' · '.join(facts[:1]))} · {' · '.join(facts[1:])}")
        yield from ("", "## Environment variables that are not settings", "")
        yield from _table(
            ("variable", "what it does"),
            [
                (f"`{config.ENV_CONFIG}`", "Path of the configuration file"),
                (f"`{config.ENV_DEBUG}`", "Shows the traceback of an error"),
            ],
        )

    # listeners

    def listeners(self) -> Iterator[str]:
        """Where the process listens by default."""
        flags = {s.key: s.flag for s in config.settings()}
        serves = {
            "console": "[Pilothouse's own API](http-api.md) under `/api/`, the console elsewhere",
            "otlp_grpc": "`opentelemetry.proto.collector.trace.v1.TraceService/Export`",
            "otlp_http": "`POST /v1/traces`, protobuf or JSON, plain or gzip",
            "jaeger_http": "[Jaeger's HTTP API](jaeger-api.md), both generations; Jaeger UI with `server.ui_assets`",
            "jaeger_grpc": "[Jaeger's gRPC API](jaeger-api.md), both generations, with reflection and health",
            "metrics": "`GET /metrics`, [Pilothouse's own metrics](metrics.md)",
            "health": "`GET /status`, the form of the OpenTelemetry Collector's health check (version 2)",
        }
        rows = []
        for listener in self.house.listeners():
            what = self.said(serves.get(listener.name), f"listener {listener.name}")
            key = f"listen.{listener.name}"
            rows.append((f"`{listener.address}`", listener.protocol, what, f"`{key}`", f"`{flags[key]}`"))
        yield from _table(("default address", "protocol", "serves", "setting", "flag"), rows)

    # tables

    def tables(self) -> Iterator[str]:
        """The views people query, then the tables behind them."""
        declared = [table for capability in self.own for table in _declared(capability)]
        real = _real_columns(declared)
        documented = {"spans"}
        for table in declared:
            if isinstance(table, SegmentedTable):
                yield from self._columns(2, table.name, table.doc, [column for column, _ in table.view])
        for table in declared:
            if isinstance(table, Table):
                yield from self._columns(2, table.name, table.doc, table.columns)
                documented.add(table.name)
        yield from ("", "## Behind the view", "")
        yield "How a span is stored, for those who work on Pilothouse; [why so](../explanation/store.md)."
        for table in declared:
            if isinstance(table, SegmentedTable):
                yield from self._columns(3, f"{table.name}_N", "The rows of segment N.", table.columns)
                for dictionary in table.dictionaries:
                    own = (
                        Column("segment", "INTEGER", "Segment"),
                        Column("id", "INTEGER", "Number within the segment"),
                    )
                    yield from self._columns(3, dictionary.name, dictionary.doc, (*own, *dictionary.columns))
                    documented.add(dictionary.name)
        for name, (text, docs) in _ENGINE_TABLES.items():
            columns = [Column(n, t, docs.get(n, "")) for n, t in real.get(name, {}).items()]
            yield from self._columns(3, name, text, columns)
            documented.add(name)
            self.gaps += [f"column {name}.{column} is gone" for column in docs if column not in real.get(name, {})]
        self.gaps += [f"table {name}" for name in sorted(set(real) - documented)]

    def _columns(self, level: int, name: str, text: str, columns: Sequence[Column]) -> Iterator[str]:
        yield from ("", f"{'#' * level} {name}", "", self.said(text, f"table {name}"), "")
        long = {c.name: c.type for c in columns if len(c.type) > _LONG_TYPE}
        below = {name: kind for name, kind in long.items() if kind not in self._shown_types}
        self._shown_types.update(below.values())
        rows = [
            (
                f"`{c.name}`",
                f"list, {'see below' if c.name in below else 'as above'}" if c.name in long else f"`{c.type}`",
                _text(self.said(c.doc, f"column {name}.{c.name}")),
            )
            for c in columns
        ]
        yield from _table(("column", "type", "what it holds"), rows)
        if below:
            yield from ("", "```sql", *(f"{column} {_wrapped(kind)}" for column, kind in below.items()), "```")

    # HTTP

    def http_api(self) -> Iterator[str]:
        """The OpenAPI document as a page."""
        document = self.house.document()
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                yield from self._operation(f"{method.upper()} {path}", operation)
        yield from ("", "## Types", "")
        yield "A member marked with * is always there."
        for name, schema in document["components"]["schemas"].items():
            text = schema.get("description", "").split("\n\n")[0]
            yield from ("", f"(schema-{name.lower()})=", f"### {name}", "")
            yield _text(self.said(text, f"type {name}")).replace("``", "`")
            required = schema.get("required", ())
            rows = [
                (f"`{key}`{' *' if key in required else ''}", _schema(s), _text(s.get("description", "")))
                for key, s in schema.get("properties", {}).items()
            ]
            yield from ("", *_table(("member", "type", "meaning"), rows))

    def _operation(self, title: str, operation: Mapping[str, Any]) -> Iterator[str]:
        yield from ("", f"## {title}", "", f"{_text(self.said(operation.get('summary'), f'endpoint {title}'))}.")
        if description := operation.get("description"):
            yield from ("", _text(description))
        if parameters := operation.get("parameters"):
            rows = []
            for parameter in parameters:
                schema = parameter["schema"]
                given = schema.get("default")
                default = "required" if parameter["required"] else f"`{given}`" if given not in (None, "", []) else ""
                rows.append(
                    (f"`{parameter['name']}`", _schema(schema), default, _text(parameter.get("description", "")))
                )
            yield from ("", *_table(("parameter", "type", "default", "meaning"), rows))
        if body := operation.get("requestBody"):
            yield from ("", f"Body: {_schema(body['content']['application/json']['schema'])}")
        ((media, content),) = operation["responses"]["200"]["content"].items()
        answer = f": {_schema(content['schema'])}" if "schema" in content else ""
        what = "Events" if media == "text/event-stream" else "Answer"
        yield from ("", f"{what}{answer} (`{media}`)")

    def jaeger_api(self) -> Iterator[str]:
        """Paths and methods of Jaeger's two generations."""
        context = self.house.context
        query = context.config.query
        reader = Reader(
            trace_store(context), timeout=query.timeout, max_spans=query.max_trace_spans, metrics=context.metrics
        )
        rows = []
        for route in jaeger_application(context, reader).routes:
            path = str(getattr(route, "path", "")).replace(":path}", "}")
            if path in ("/{path}", "/api", "/api/{path}", "/analytics/{path}"):
                continue
            methods = ", ".join(sorted(set(getattr(route, "methods", ())) - {"HEAD"}))
            rows.append((f"`{methods} {path}`", self.said(_JAEGER_HTTP.get(path), f"endpoint {path}")))
        yield from ("", "## HTTP", "", *_table(("path", "answer"), rows))
        v2 = grpc_v2.service(reader, context.clock, lookback=query.lookback, max_limit=query.max_rows)
        for service in (v2, grpc_v3.service(reader, max_limit=query.max_rows)):
            rows = [
                (f"`{method}`", self.said(_JAEGER_GRPC.get(method), f"method {service.name}/{method}"))
                for method in service.methods
            ]
            yield from ("", f"## {service.name}", "", *_table(("method", "answer"), rows))

    def filter_language(self) -> Iterator[str]:
        """The names a filter knows, and its limits."""
        known = [(f"`{name}`", f"`{level}.{field}`") for name, (level, field) in WELL_KNOWN.items()]
        yield from ("## Names of fields", "", *_table(("name", "stands for"), known))
        fields = [
            (f"`{level}.{name}`", _text(self.said(_FIELD_TYPES.get(kind), f"type {kind} of a filter's field")))
            for level, names in FIELDS.items()
            for name, kind in names.items()
        ]
        yield from ("", "## All fields", "", *_table(("field", "holds"), fields))
        limits = [
            ("Characters", f"{MAX_TEXT:,}"),
            ("Conditions and brackets", f"{build.MAX_NODES:,}"),
            ("Nesting", f"{build.MAX_DEPTH}"),
            ("Characters of a pattern", f"{regex.MAX_PATTERN:,}"),
        ]
        yield from ("", "## Limits", "", *_table(("of a filter", "at most"), limits))

    # errors and metrics

    def exit_codes(self) -> Iterator[str]:
        """Exit codes of commands and the problem types of the API: one tree of errors."""
        yield from _table(("exit code", "meaning"), [(f"`{code}`", _text(text)) for code, text in errors.exit_codes()])
        yield from ("", "`pilothouse status` also exits with `1` when the server answers but is not well.")
        yield from ("", "## Problem types", "")
        yield from ("`type` is `urn:pilothouse:problem:` and one of these.", "")
        rows = [
            (f"`{slug}`", _text(kind.title), f"{kind.status}", f"`{kind.exit_code}`", _text(self._summary(kind)))
            for slug, kind in sorted(errors.by_slug().items())
        ]
        yield from _table(("type", "title", "HTTP status", "exit code", "when"), rows)

    def _summary(self, kind: type) -> str:
        return self.said((kind.__doc__ or "").split("\n\n")[0], f"error {kind.__name__}").replace("``", "`")

    def metrics(self) -> Iterator[str]:
        """Names, kinds, labels and help."""
        registry = self.house.context.metrics
        labels: Mapping[str, tuple[str, ...]] = registry.labels if isinstance(registry, Recorder) else {}
        found: dict[str, list[str]] = {}
        for line in registry.render().splitlines():
            if line.startswith(("# HELP ", "# TYPE ")):
                name, _, text = line[7:].partition(" ")
                found.setdefault(name, []).append(text)
        rows = [
            (
                f"`{name}`",
                kind,
                ", ".join(f"`{label}`" for label in labels.get(name, ())),
                _text(self.said(text, f"metric {name}")),
            )
            for name, (text, kind) in found.items()
        ]
        yield from _table(("metric", "kind", "labels", "meaning"), rows)


def _declared(capability: Capability) -> Sequence[Table | SegmentedTable]:
    if not capability.tables:
        return ()
    module, _, attribute = capability.tables.partition(":")
    found: Sequence[Table | SegmentedTable] = getattr(import_module(module), attribute)
    return found


def _real_columns(declared: Sequence[Table | SegmentedTable]) -> dict[str, dict[str, str]]:
    """Columns and types of every table and view in a new store."""
    effective = config.load({"server.ephemeral": True}, env={}, file=Path(os.devnull)).config
    store = signals.open(effective, SystemClock(), declared)
    store.open()
    try:
        answer = store.sql(
            "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE NOT internal"
            " ORDER BY table_name, column_index",
            100_000,
            10 * 10**9,
        )
    finally:
        store.close()
    found: dict[str, dict[str, str]] = {}
    for table, column, kind in answer.rows:
        found.setdefault(table, {})[column] = kind
    return found


def _schema(schema: Mapping[str, Any]) -> str:
    """A JSON schema in a few words."""
    if reference := schema.get("$ref"):
        name = reference.rpartition("/")[2]
        return f"[{name}](#schema-{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_schema(one) for one in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"`{value}`" if value else "empty" for value in schema["enum"])
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {_schema(schema.get('items', {}))}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        return f"map to {_schema(schema['additionalProperties'])}"
    low, high = schema.get("minimum"), schema.get("maximum")
    span = f", {low} to {high}" if low is not None and high is not None else f", from {low}" if low is not None else ""
    return f"{kind}{span}"


def _text(text: str) -> str:
    """Prose that Markdown leaves as it is."""
    for character in ("\\", "*", "<", "|"):
        text = text.replace(character, f"\\{character}")
    return text


def _tidy(lines: Iterable[str]) -> str:
    """One text, never with two empty lines in a row."""
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


def _wrapped(kind: str) -> str:
    """A long SQL type with a line for each of its outer members."""
    lines, depth = [""], 0
    for character in kind:
        depth += (character == "(") - (character == ")")
        if depth == 0 and character == ")":
            lines.append("")
        lines[-1] += character
        if depth == 1 and character in "(,":
            lines.append("   " if character == "," else "    ")
    return "\n".join(lines)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A Markdown table without the columns that are empty in every row; nothing without rows."""
    full = [i for i in range(len(head)) if any(row[i] for row in rows)]
    if rows:
        yield f"| {' | '.join(head[i] for i in full)} |"
        yield f"|{'---|' * len(full)}"
        for row in rows:
            yield f"| {' | '.join(_piped(row[i]) for i in full)} |"


def _piped(cell: str) -> str:
    """A cell whose code may hold bars."""
    return cell.replace("\\|", "|").replace("|", "\\|")


def main() -> int:
    """Writes or checks; returns the exit code."""
    os.environ.pop("XDG_DATA_HOME", None)
    reference = Reference()
    pages = reference.pages()
    if reference.gaps:
        print("Not documented:", *reference.gaps, sep="\n  ", file=sys.stderr)
        return 1
    stale = 0
    for name, made in pages.items():
        path = FOLDER / name
        before = path.read_text("utf-8")
        head, mark, _ = before.partition(MARK)
        if not mark:
            sys.exit(f"docs/reference/{name} has no line that says where the generated part begins: {MARK}")
        text = f"{head}{MARK}\n\n{made}"
        if before == text:
            continue
        if "--check" in sys.argv[1:]:
            stale += 1
            lines = difflib.unified_diff(
                before.splitlines(), text.splitlines(), f"docs/reference/{name}", "the code", lineterm="", n=1
            )
            print(*list(lines)[:40], sep="\n", file=sys.stderr)
        else:
            path.write_text(text, "utf-8")
            print(f"wrote docs/reference/{name}")
    if stale:
        print(
            f"{stale} pages of the reference do not say what the code says. Run: python tools/docs_reference.py",
            file=sys.stderr,
        )
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
