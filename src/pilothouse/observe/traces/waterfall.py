"""A trace drawn for a terminal: a tree on the left, bars in time on the right, a duration at the end of every line.

Pure: values in, lines of styled text out; nothing is printed and no terminal is asked. Colour tells services apart but never
carries a fact alone: an error has a mark, a service its name, and a bar its length. The input is the columnar trace of
``GET /api/traces/{traceId}``, whose spans are in display order, parents before children.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final

from msgspec import Struct
from rich.text import Text

from pilothouse.formats.otlp.model import KINDS, STATUS_CODES
from pilothouse.kit.terminal import plain
from pilothouse.kit.units import human_duration

_ERROR: Final = 2
#: The console's colours (its dark theme), by the same hash. None is the red that means failure.
_PALETTE: Final = (
    "#4f9fe8", "#ef8b45", "#35bd9b", "#cf7fc4", "#d9bd48", "#8ccbf5",
    "#928ff0", "#a9bd55", "#3fb8c9", "#e79ab9", "#bd9268", "#9dafc2",
)  # fmt: skip
_NARROWEST_WITH_BARS: Final = 60
_DURATION_WIDTH: Final = 10
_ORPHAN: Final = " (parent missing)"


class Glyphs(Struct, frozen=True):
    """What lines and bars are made of; ``left``, ``full`` and ``right`` are halves and whole of a bar's cell."""

    branch: str = "├─"
    last: str = "└─"
    through: str = "│ "
    deep: str = "⋯"
    full: str = "█"
    left: str = "▐"
    right: str = "▌"
    error: str = "✗"
    cut: str = "…"
    axis: str = "╷"
    dot: str = "·"
    micro: str = "µ"

    def time(self, nanoseconds: int) -> str:
        """A duration as people write it, with these glyphs."""
        return human_duration(nanoseconds).replace("µ", self.micro)


UNICODE: Final = Glyphs()
ASCII: Final = Glyphs("|-", "`-", "| ", ">", "#", "#", "#", "!", "~", "|", "-", "u")


class SpanRow(Struct, frozen=True):
    """One span, as a line of the waterfall needs it.

    Attributes:
        parent: Index of the parent's row, or -1.
        start: Nanoseconds after the start of the trace.
        duration: Nanoseconds.
        kind: Name of the OTLP kind.
        status: ``unset``, ``ok`` or ``error``.
        orphan: Whether it names a parent that was not received.
    """

    span_id: str
    parent: int
    depth: int
    service: str
    name: str
    kind: str
    start: int
    duration: int
    status: str
    orphan: bool
    events: int
    links: int
    attributes: int


def rows(trace: Mapping[str, Any]) -> list[SpanRow]:
    """The spans of a columnar trace, one value each, in its order."""
    columns = trace["spans"]
    services = [resource["service"] for resource in trace["resources"]]
    depths: list[int] = []
    for parent in columns["parent"]:
        depths.append(0 if parent < 0 else depths[parent] + 1)
    orphans = columns.get("orphan") or [False] * len(depths)
    return [
        SpanRow(
            span_id=columns["spanId"][i],
            parent=columns["parent"][i],
            depth=depth,
            service=services[columns["resource"][i]],
            name=trace["names"][columns["name"][i]],
            kind=_word(KINDS, columns["kind"][i]),
            start=int(columns["start"][i]),
            duration=int(columns["duration"][i]),
            status=_word(STATUS_CODES, columns["status"][i]),
            orphan=bool(orphans[i]),
            events=columns["events"][i],
            links=columns["links"][i],
            attributes=columns["attributes"][i],
        )
        for i, depth in enumerate(depths)
    ]


def _word(words: Sequence[str], number: int) -> str:
    """The name of a number, or the number, since protobuf's enums are open."""
    return words[number] if 0 <= number < len(words) else str(number)


@cache
def colour(service: str) -> str:
    """A service's colour: a hash of its name and nothing else decides, so that it is the same here and in the console.

    The hash is 32-bit FNV-1a over UTF-16 units, finished so that similar names spread.
    """
    units = service.encode("utf-16-le", "surrogatepass")
    value = 0x811C9DC5
    for low, high in zip(units[::2], units[1::2], strict=True):
        value = (value ^ (high << 8 | low)) * 0x01000193 & 0xFFFFFFFF
    value = (value ^ value >> 15) * 0x2C1B3C6D & 0xFFFFFFFF
    return _PALETTE[(value ^ value >> 12) % len(_PALETTE)]


def legend(spans: Sequence[SpanRow], width: int, glyphs: Glyphs = UNICODE) -> Iterator[Text]:
    """Lines that name the services of a trace, by number of spans, with how many of them failed."""
    counts: dict[str, list[int]] = {}
    for span in spans:
        count = counts.setdefault(span.service, [0, 0])
        count[0] += 1
        count[1] += span.status == STATUS_CODES[_ERROR]
    line = Text()
    for service, (total, errors) in sorted(counts.items(), key=lambda item: (-item[1][0], item[0])):
        entry = Text.assemble((glyphs.full, colour(service)), f" {plain(service)} ", (str(total), "dim"))
        if errors:
            entry.append(f" {glyphs.error}{errors}", "bold red")
        if line and line.cell_len + 3 + entry.cell_len > width:
            yield line
            line = Text()
        line.append("   " if line else "").append_text(entry)
    if line:
        yield line


def draw(
    trace: Mapping[str, Any],
    width: int,
    glyphs: Glyphs = UNICODE,
    *,
    depth: int | None = None,
    limit: int | None = None,
) -> Iterator[Text]:
    """The lines of a trace, each at most ``width`` cells.

    Args:
        trace: The columnar trace.
        width: Cells. Below 60 there are no bars, only the tree and durations.
        glyphs: ``ASCII`` where the output cannot carry the others.
        depth: Leave out spans deeper than this; their number is told at their ancestor.
        limit: Most spans to draw; the rest is told in a last line.
    """
    spans = rows(trace)
    layout = _layout(trace, spans, width, glyphs)
    if layout.bars:
        yield _axis(layout)
    prefixes = _prefixes(spans, glyphs, layout.tree)
    folded = _folded(spans, depth)
    drawn = 0
    for i, span in enumerate(spans):
        if depth is not None and span.depth > depth:
            continue
        if limit is not None and drawn >= limit:
            rest = sum(1 for s in spans[i:] if depth is None or s.depth <= depth)
            yield Text(f"{glyphs.cut} {rest:,} more spans; --limit 0 draws all of them", "dim")
            return
        drawn += 1
        parent = spans[span.parent] if span.parent >= 0 else None
        line = _label(span, parent, prefixes[i], folded[i], layout).append("  ")
        if layout.bars:
            line.append_text(_bar(span, layout))
        line.append(glyphs.time(span.duration).rjust(_DURATION_WIDTH), "" if parent else "bold")
        yield line


class _Layout(Struct, frozen=True):
    """How one drawing divides its lines: ``tree`` and ``bars`` in cells, ``total`` in nanoseconds.

    Where labels do not fit it is ``compact``: a span says its service only if that is not its parent's.
    """

    tree: int
    bars: int
    total: int
    compact: bool
    glyphs: Glyphs


def _layout(trace: Mapping[str, Any], spans: Sequence[SpanRow], width: int, glyphs: Glyphs) -> _Layout:
    """The tree gets what its longest label wants, but at most half of the line; without bars, all of it."""
    widest = max((_wanted(span) for span in spans), default=0)
    if width < _NARROWEST_WITH_BARS:
        tree, bars = max(width - _DURATION_WIDTH - 2, 8), 0
    else:
        tree = max(16, min(widest, width // 2))
        bars = width - tree - _DURATION_WIDTH - 2
    total = max(int(trace["durationNs"]), max((s.start + s.duration for s in spans), default=0), 1)
    return _Layout(tree, bars, total, widest > tree, glyphs)


def _wanted(span: SpanRow) -> int:
    """Cells of a label that leaves nothing out: guides, mark, service, name, hint."""
    guides = 2 * span.depth + 1 if span.parent >= 0 else 0
    mark = 2 if span.status == STATUS_CODES[_ERROR] else 0
    return guides + mark + len(span.service) + 1 + len(span.name) + (len(_ORPHAN) if span.orphan else 0)


def _prefixes(spans: Sequence[SpanRow], glyphs: Glyphs, tree: int) -> list[str]:
    """The guides before every label; of those too deep to be shown, the end, one cell too long."""
    room = tree // 2
    last_child = {span.parent: i for i, span in enumerate(spans)}
    prefixes: list[str] = []
    below: list[str] = []  # the guides that a span's children start with
    for i, span in enumerate(spans):
        if span.parent < 0:
            prefixes.append("")
            below.append("")
            continue
        is_last = last_child[span.parent] == i
        guides = below[span.parent]
        prefixes.append((guides + (glyphs.last if is_last else glyphs.branch))[-room - 1 :])
        below.append((guides + ("  " if is_last else glyphs.through))[-room - 1 :])
    return prefixes


def _folded(spans: Sequence[SpanRow], depth: int | None) -> list[int]:
    """How many spans are left out below each."""
    counts = [0] * len(spans)
    if depth is None:
        return counts
    for i in range(len(spans) - 1, -1, -1):
        if spans[i].depth > depth:
            counts[spans[i].parent] += counts[i] + 1
    return counts


def _label(span: SpanRow, parent: SpanRow | None, prefix: str, folded: int, layout: _Layout) -> Text:
    """Guides, mark, service and name, exactly as wide as the tree."""
    glyphs, width = layout.glyphs, layout.tree
    if len(prefix) > width // 2:
        prefix = glyphs.deep + prefix[-(width // 2) + 1 :]
    text = Text.assemble((prefix, "dim"), " " if prefix else "")
    failed = span.status == STATUS_CODES[_ERROR]
    if failed:
        text.append(f"{glyphs.error} ", "bold red")
    hint = f" (+{folded})" if folded else ""
    hint += _ORPHAN if span.orphan else ""
    if not layout.compact or parent is None or parent.service != span.service:
        text.append(_one_line(span.service), f"bold {colour(span.service)}").append(" ")
    text.append(_crop(_one_line(span.name), width - text.cell_len - len(hint), glyphs), "red" if failed else "")
    text.truncate(width - len(hint))
    text.append(hint, "yellow" if span.orphan else "dim")
    text.truncate(width, pad=True)
    return text


def _crop(name: str, room: int, glyphs: Glyphs) -> str:
    """``name`` without its middle: what tells names apart is often at the end."""
    if len(name) <= room or room < 4:
        return name
    head = (room - 1) // 3
    return f"{name[:head]}{glyphs.cut}{name[len(name) - (room - 1 - head) :]}"


def _one_line(text: str) -> str:
    return plain(text).replace("\n", " ")


def _bar(span: SpanRow, layout: _Layout) -> Text:
    """The span's time within the bars' cells, to half a cell; never less than that."""
    glyphs, width, total = layout.glyphs, layout.bars, layout.total
    begin = min(max(span.start, 0) * 2 * width // total, 2 * width - 1)
    end = min(max(-(-(span.start + span.duration) * 2 * width // total), begin + 1), 2 * width)
    cells = []
    for cell in range(begin // 2, (end + 1) // 2):
        left, right = begin <= 2 * cell, end >= 2 * cell + 2
        cells.append(glyphs.full if left and right else glyphs.right if left else glyphs.left)
    style = "red" if span.status == STATUS_CODES[_ERROR] else colour(span.service)
    text = Text.assemble(" " * (begin // 2), ("".join(cells), style))
    text.truncate(width, pad=True)
    return text


def _axis(layout: _Layout) -> Text:
    """Times above the bars, as many as fit, and the whole above the durations."""
    width, total = layout.bars, layout.total
    time = layout.glyphs.time
    ticks = 4 if width >= 48 else 2 if width >= 24 else 1
    line = [" "] * (width + _DURATION_WIDTH)
    for tick in range(ticks):
        place = width * tick // ticks
        label = f"{layout.glyphs.axis}{time(total * tick // ticks) if tick else '0'}"
        line[place : place + len(label)] = label
    return Text(" " * (layout.tree + 2) + "".join(line[:width]) + time(total).rjust(_DURATION_WIDTH), "dim")
