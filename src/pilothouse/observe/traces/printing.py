"""How the answers of ``pilothouse traces`` look: times, counts, columns that fit, and lines of text."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from pilothouse.formats import rfc3339
from pilothouse.kit.terminal import Column
from pilothouse.kit.units import DAY, HOUR, MINUTE, SECOND, human_duration

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from pilothouse.observe.traces.waterfall import Glyphs

_PIPE_WIDTH: Final = 120
_WIDE: Final = 110


def summaries(found: Sequence[Mapping[str, Any]], width: int) -> tuple[list[dict[str, str]], list[Column]]:
    """Rows and columns that fit ``width``: a narrow terminal gets the age instead of the time, and no list of services."""
    wide = width >= _WIDE
    rows = [
        {
            "id": trace["traceId"],
            "start": clock(trace["start"]) if wide else ago(trace["start"]).removesuffix(" ago"),
            "took": human_duration(int(trace["durationNs"])),
            "spans": f"{trace['spanCount']:,}",
            "errors": f"✗ {trace['errorCount']}" if trace["errorCount"] else "",
            "root": f"{trace['rootService']} {trace['rootOperation']}".strip() or "(root not received)",
            "services": ", ".join(service["name"] for service in trace["services"]),
        }
        for trace in found
    ]
    columns = [
        Column("id", "TRACE ID"),
        Column("start", "START" if wide else "AGE", right=not wide),
        Column("took", "TOOK", right=True),
        Column("spans", right=True),
        Column("errors", "ERR", right=True, style="bold red"),
        Column("root"),
    ]
    if wide:
        columns.append(Column("services"))
    if sys.stdout.isatty():
        _fit(rows, columns, width)
    return rows, columns


def _fit(rows: Sequence[dict[str, str]], columns: Sequence[Column], width: int) -> None:
    """Cuts the texts at the end of each row so that no row wraps; what comes first (the id) is never cut."""
    gaps = 2 * (len(columns) - 1)
    widths = {c.key: max([len(c.title or c.key), *(len(row[c.key]) for row in rows)]) for c in columns}
    over = sum(widths.values()) + gaps - width
    for key in ("services", "root"):
        if key in widths and over > 0:
            keep = max(widths[key] - over, 12)
            over -= widths[key] - keep
            for row in rows:
                row[key] = row[key] if len(row[key]) <= keep else f"{row[key][: keep - 1]}…"


def width() -> int:
    """Columns of the terminal; of a pipe, a width that people paste well."""
    return shutil.get_terminal_size((_PIPE_WIDTH, 24)).columns if sys.stdout.isatty() else _PIPE_WIDTH


def console(columns: int) -> Console:
    """A console on standard output that prints text as it is: no markup, no emoji, no guessing."""
    from rich.console import Console

    return Console(width=columns, highlight=False, markup=False, emoji=False)


def print_lines(lines: Iterable[Text], columns: int) -> None:
    """Prints lines that were made for ``columns``, without the blanks at their ends."""
    printer = console(columns)
    for line in lines:
        line.rstrip()
        printer.print(line, soft_wrap=True)


def glyphs() -> Glyphs:
    """The glyphs standard output can carry."""
    from pilothouse.observe.traces.waterfall import ASCII, UNICODE

    try:
        "".join(getattr(UNICODE, name) for name in UNICODE.__struct_fields__).encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return ASCII
    return UNICODE


def plural(count: int, what: str) -> str:
    """``1 span``, ``1,204 spans``."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def ago(value: str, now: int | None = None) -> str:
    """How long ago a time (nanoseconds or RFC 3339) was, in one unit."""
    moment = int(value) if value.isdecimal() else rfc3339.parse(value)
    age = max((time.time_ns() if now is None else now) - moment, 0)
    for unit, factor in (("d", DAY), ("h", HOUR), ("min", MINUTE)):
        if age >= factor:
            return f"{age // factor} {unit} ago"
    return f"{age // SECOND} s ago"


def clock(value: str) -> str:
    """Nanoseconds as local time to the millisecond, with the date unless that is today."""
    seconds, rest = divmod(int(value), SECOND)
    local = time.localtime(seconds)
    form = "%H:%M:%S" if local[:3] == time.localtime()[:3] else "%Y-%m-%d %H:%M:%S"
    return f"{time.strftime(form, local)}.{rest // 1_000_000:03d}"
