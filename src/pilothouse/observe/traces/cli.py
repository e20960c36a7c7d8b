"""``pilothouse traces``: questions about traces to a running server, answered in the terminal.

Nothing is decided here: options become parameters of ``/api/traces/``, answers become rows and drawings.
"""

from __future__ import annotations

import http.client
import io
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, cast

import click

from pilothouse.kit.client import Client, connect
from pilothouse.kit.config import Effective, load
from pilothouse.kit.errors import InvalidInput, NotFound, ServerUnreachable, UsageError
from pilothouse.kit.terminal import (
    Column,
    Output,
    note,
    output_option,
    plain,
    print_rows,
    print_value,
    progress,
    server_options,
)
from pilothouse.kit.units import human_duration, human_size
from pilothouse.observe.traces import printing
from pilothouse.observe.traces.options import parameters, search_options, window

if TYPE_CHECKING:
    from rich.text import Text

    from pilothouse.observe.traces.transfer import BadPart, Part

_DRAWN_SPANS: Final = 1000
_SHOWN_BAD_PARTS: Final = 10
_NOTHING: Final = "Nothing was received yet. Send some traces with: pilothouse demo"


@click.group()
def traces() -> None:
    """Search, draw, follow, export and import traces."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # names from anywhere must not fail in a terminal that lacks a letter


@traces.command()
@output_option
@server_options
def services(output: Output, server: str, config_file: str | None) -> None:
    """List the services that sent spans."""
    rows = _client(server, config_file).get("/api/traces/services")["services"]
    print_rows(rows, [Column("name", "SERVICE"), Column("lastSeen", "LAST SEEN", printing.ago)], output, empty=_NOTHING)


@traces.command()
@click.argument("service", required=False)
@click.option("--service", "option", metavar="NAME", help="The same as SERVICE.")
@output_option
@server_options
def operations(service: str | None, option: str | None, output: Output, server: str, config_file: str | None) -> None:
    """List the operations of SERVICE, or of all services."""
    asked = {"service": service or option}
    rows = _client(server, config_file).get("/api/traces/operations", asked)["operations"]
    columns = [
        Column("name", "OPERATION"),
        Column("kind"),
        Column("lastSeen", "LAST SEEN", printing.ago),
    ]
    print_rows(rows, columns, output, empty=_NOTHING)


@traces.command()
@search_options
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="Traces a page.")
@click.option("--all", "everything", is_flag=True, help="Every page, not only the first.")
@output_option
@server_options
def search(
    limit: int, everything: bool, output: Output, server: str, config_file: str | None, **conditions: Any
) -> None:
    """Find traces, the newest first. A trace is found when one of its spans meets every condition."""
    client = _client(server, config_file)
    asked = {**parameters(time.time_ns(), **conditions), "limit": limit}
    found: list[Any] = []
    while True:
        page = client.get("/api/traces/search", asked)
        for warning in page["warnings"]:
            note(f"Note: {warning}")
        found += page["traces"]
        asked["cursor"] = page["next"]
        if not everything or not page["next"]:
            break
    if output != "table":
        print_value(found, output)
    else:
        rows, columns = printing.summaries(found, printing.width())
        print_rows(rows, columns, empty="No trace was found. Look further back with --since 24h, or ask for less.")
    if page["next"]:
        note(f"There are more than these {len(found)}; --all shows them.")


@traces.command()
@click.argument("trace_id")
@click.option("--span", metavar="ID", help="One span in full instead of the drawing.")
@click.option("--depth", type=click.IntRange(0), metavar="N", help="Leave out spans deeper than this.")
@click.option(
    "--limit", type=click.IntRange(0), default=_DRAWN_SPANS, show_default=True, help="Most spans to draw; 0 for all."
)
@click.option("--width", type=click.IntRange(20, 1000), help="Columns to draw in [default: the terminal's, or 120].")
@output_option
@server_options
def show(
    trace_id: str,
    span: str | None,
    depth: int | None,
    limit: int,
    width: int | None,
    output: Output,
    server: str,
    config_file: str | None,
) -> None:
    """Draw the waterfall of a trace."""
    client = _client(server, config_file)
    trace = client.get(f"/api/traces/{trace_id}")
    if span is not None:
        detail = client.get(f"/api/traces/{trace_id}/spans/{span}")
        if output != "table":
            print_value(detail, output)
            return
        printing.print_lines(_details(trace, detail), width or printing.width())
    elif output != "table":
        print_value(_as_objects(trace), output)
    else:
        printing.print_lines(
            _drawing(trace, width or printing.width(), depth, limit or None), width or printing.width()
        )


def _drawing(trace: Mapping[str, Any], width: int, depth: int | None, limit: int | None) -> Iterator[Text]:
    from rich.text import Text

    from pilothouse.observe.traces import waterfall

    glyphs, spans = printing.glyphs(), waterfall.rows(trace)
    errors = sum(span.status == "error" for span in spans)
    names = {span.service for span in spans}
    facts = [
        glyphs.time(int(trace["durationNs"])),
        printing.plural(trace["spanCount"], "span"),
        printing.plural(len(names), "service"),
        *([f"{glyphs.error} {printing.plural(errors, 'error')}"] if errors else []),
        f"{printing.clock(trace['start'])} ({printing.ago(trace['start'])})",
    ]
    yield Text(f"Trace {trace['traceId']}", "bold")
    yield Text(f" {glyphs.dot} ".join(facts))
    for warning in trace["warnings"]:
        yield Text(f"{glyphs.error} {plain(warning)}", "yellow")
    yield from waterfall.legend(spans, width, glyphs)
    yield Text("")
    yield from waterfall.draw(trace, width, glyphs, depth=depth, limit=limit)


def _details(trace: Mapping[str, Any], detail: Mapping[str, Any]) -> Iterator[Text]:
    from pilothouse.observe.traces import details, waterfall

    row = next(row for row in waterfall.rows(trace) if row.span_id == detail["spanId"])
    return details.describe(detail, row, int(trace["start"]), printing.glyphs())


def _as_objects(trace: Mapping[str, Any]) -> dict[str, Any]:
    """The columnar trace with one object a span, which is what scripts want."""
    from pilothouse.observe.traces import waterfall

    rows = waterfall.rows(trace)
    spans = [
        {
            "spanId": row.span_id,
            "parentSpanId": rows[row.parent].span_id if row.parent >= 0 else None,
            "orphan": row.orphan,
            "service": row.service,
            "name": row.name,
            "kind": row.kind,
            "status": row.status,
            "start": str(int(trace["start"]) + row.start),
            "durationNs": row.duration,
            "attributes": row.attributes,
            "events": row.events,
            "links": row.links,
        }
        for row in rows
    ]
    kept = ("traceId", "start", "durationNs", "spanCount", "truncated", "warnings")
    return {**{key: trace[key] for key in kept}, "spans": spans}


@traces.command()
@click.option("--service", help="Only spans of this service.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Stop after N spans.")
@output_option
@server_options
def tail(service: str | None, limit: int | None, output: Output, server: str, config_file: str | None) -> None:
    """Follow spans as they are stored, until Ctrl-C."""
    client = _client(server, config_file, timeout=120)
    note("Waiting for spans; Ctrl-C to stop.")
    left = limit
    try:
        for name, data in client.events("/api/traces/tail", {"service": service}):
            rows = data["spans"] if name == "spans" else []
            if name == "spans" and data["skipped"]:
                note("More spans arrive than are shown here; --service shows those of one.")
            for row in rows if left is None else rows[:left]:
                _print_span(row, output)
            sys.stdout.flush()
            if left is not None and (left := left - len(rows)) <= 0:
                return
    except KeyboardInterrupt:
        return


def _print_span(row: Mapping[str, Any], output: Output) -> None:
    if output == "json":
        click.echo(json.dumps(row, ensure_ascii=False))
    elif output == "yaml":
        click.echo("---")
        print_value(row, "yaml")
    else:
        from rich.text import Text

        from pilothouse.observe.traces.waterfall import colour

        failed = row["status"] == "error"
        width = printing.width()
        head = Text.assemble(
            (printing.clock(row["start"]), "dim"),
            "  ",
            human_duration(int(row["durationNs"])).rjust(9),
            ("  ✗ " if failed else "    ", "bold red"),
            (plain(row["service"]), f"bold {colour(row['service'])}"),
            " ",
            (plain(row["name"]), "red" if failed else ""),
        )
        if sys.stdout.isatty():
            head.truncate(max(width - 34, 20), overflow="ellipsis", pad=True)
        printing.console(width).print(head, Text(row["traceId"], "dim"), sep="  ", soft_wrap=True)


@traces.command()
@click.option("--since", metavar="TIME", help="How far back to look, such as 30m or 7d [default: 1h].")
@click.option("--start", metavar="WHEN", help="RFC 3339, nanoseconds, or relative such as -2h.")
@click.option("--end", metavar="WHEN", help="Like --start [default: now].")
@output_option
@server_options
def dependencies(
    since: str | None, start: str | None, end: str | None, output: Output, server: str, config_file: str | None
) -> None:
    """List which service calls which, and how often that fails."""
    first, last = window(time.time_ns(), since, start, end)
    asked = {"start": str(first), "end": str(last)}
    edges = _client(server, config_file).get("/api/traces/dependencies", asked)["edges"]
    if output != "table":
        print_value(edges, output)
        return
    rows = [
        {
            "parent": edge["parent"],
            "child": edge["child"],
            "calls": f"{edge['callCount']:,}",
            "errors": f"{edge['errorCount']:,}" if edge["errorCount"] else "",
            "rate": f"{edge['errorCount'] / edge['callCount']:.1%}" if edge["errorCount"] else "",
        }
        for edge in sorted(edges, key=lambda edge: -edge["callCount"])
    ]
    columns = [
        Column("parent", "CALLER"),
        Column("child", "CALLED"),
        Column("calls", right=True),
        Column("errors", right=True, style="bold red"),
        Column("rate", "FAILED", right=True),
    ]
    print_rows(rows, columns, empty="No service called another in this time. Look further back with --since 24h.")


@traces.command("export")
@search_options
@click.option("--trace", "trace_ids", multiple=True, metavar="ID", help="This trace, whatever the search; repeatable.")
@click.option("--limit", type=click.IntRange(1), default=1000, show_default=True, help="Most traces to export.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["otlp", "jaeger"]),
    default="otlp",
    show_default=True,
    help="OTLP JSON, one trace a line, or Jaeger UI's JSON.",
)
@click.option(
    "--to", "target", type=click.Path(dir_okay=False), help="File; .gz compresses [default: standard output]."
)
@server_options
def export_(
    trace_ids: tuple[str, ...],
    limit: int,
    form: str,
    target: str | None,
    server: str,
    config_file: str | None,
    **conditions: Any,
) -> None:
    """Write traces to a file.

    Those of a search with the same conditions as `traces search`, or those named by --trace.
    """
    client = _client(server, config_file, timeout=300)
    asked: dict[str, object] = {"format": form}
    asked |= {"traceId": list(trace_ids)} if trace_ids else {**parameters(time.time_ns(), **conditions), "limit": limit}
    count = size = 0
    with _target(target) as file, progress("Exporting") as bar:
        response = client.raw("GET", "/api/traces/export", asked, accept="*/*")
        try:
            while block := response.read(1 << 16):
                file.write(block)
                size += len(block)
                count += block.count(b"\n")
                bar.describe(f"Exporting: {human_size(size)}")
        except (OSError, http.client.HTTPException) as error:
            raise ServerUnreachable(
                "the server ended the export before it was complete", remedy="Ask for less, or try again."
            ) from error
    what = f"{printing.plural(count, 'trace')}, " if form == "otlp" else ""
    if form == "otlp" and count < len(trace_ids):
        raise NotFound(f"{len(trace_ids) - count} of the {len(trace_ids)} traces do not exist", where="--trace")
    note(f"Exported {what}{human_size(size)}{f' to {target}' if target else ''}.")


@contextmanager
def _target(path: str | None) -> Iterator[IO[bytes]]:
    """Standard output, or a file that appears under its name only when it is complete."""
    if path is None or path == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    import gzip

    partial = f"{path}.part"
    try:
        with ExitStack() as stack:
            file: IO[bytes] = stack.enter_context(open(partial, "wb"))
            yield cast("IO[bytes]", stack.enter_context(gzip.open(file, "wb"))) if path.endswith(".gz") else file
        os.replace(partial, path)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        Path(partial).unlink(missing_ok=True)


@traces.command("import")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--endpoint", metavar="URL", help="OTLP/HTTP listener to send to [default: the running server's].")
@server_options
def import_(files: tuple[str, ...], endpoint: str | None, server: str, config_file: str | None) -> None:
    """Send traces from files to a server.

    FILE may be - for standard input. It holds OTLP JSON, one document a line or one in all, or Jaeger UI's JSON; either may be
    compressed with gzip.
    """
    from pilothouse.observe.traces import transfer

    effective = _effective(config_file)
    url = endpoint or _otlp_http(connect(effective, server))
    sender = transfer.Sender(url, effective.config.server.token, effective.config.server.tls_cert)
    stored = rejected = 0
    bad: list[BadPart] = []
    reasons: dict[str, int] = {}
    with progress("Importing") as bar:
        try:
            for part in transfer.requests(_parts(files)):
                if isinstance(part, transfer.BadPart):
                    bad.append(part)
                    continue
                refused, why = sender.send(part)
                stored += part.spans - refused
                rejected += refused
                if refused:
                    reasons[why] = reasons.get(why, 0) + refused
                bar.describe(f"Importing: {stored:,} spans")
        finally:
            sender.close()
    _report(stored, rejected, reasons, bad)


def _report(stored: int, rejected: int, reasons: Mapping[str, int], bad: Sequence[BadPart]) -> None:
    for part in bad[:_SHOWN_BAD_PARTS]:
        click.echo(f"{part.where}: {part.why}", err=True)
    if len(bad) > _SHOWN_BAD_PARTS:
        click.echo(f"and {len(bad) - _SHOWN_BAD_PARTS:,} more that cannot be read", err=True)
    for why, count in reasons.items():
        click.echo(f"{printing.plural(count, 'span')} rejected: {why}", err=True)
    click.echo(
        f"Stored {printing.plural(stored, 'span')}, rejected {rejected:,}, could not read {printing.plural(len(bad), 'part')}."
    )
    if bad or rejected:
        click.get_current_context().exit(InvalidInput.exit_code)


def _parts(files: Sequence[str]) -> Iterator[Part | BadPart]:
    from pilothouse.observe.traces import transfer

    for name in files:
        if name == "-":
            yield from transfer.read("standard input", cast("io.BufferedReader", sys.stdin.buffer))
            continue
        try:
            with open(name, "rb") as file:
                yield from transfer.read(name, file)
        except OSError as error:
            raise UsageError(f"{name} cannot be read: {error.strerror or error}") from error


def _otlp_http(client: Client) -> str:
    """The OTLP/HTTP listener of the server, from its own account, because it may have taken any port."""
    for listener in client.get("/api/status")["listeners"]:
        if listener["name"] == "otlp_http":
            return str(listener["url"])
    raise UsageError(
        "the server has no OTLP/HTTP listener", remedy="Name one with --endpoint, or set listen.otlp_http."
    )


def _effective(config_file: str | None) -> Effective:
    return load(file=Path(config_file) if config_file else None)


def _client(server: str, config_file: str | None, *, timeout: float = 60.0) -> Client:
    return connect(_effective(config_file), server, timeout=timeout)
