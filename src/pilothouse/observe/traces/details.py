"""One span in full, as lines for a terminal: who, when, what, and every attribute with its type.

Pure, like ``waterfall``. The input is ``GET /api/traces/{traceId}/spans/{spanId}`` and the span's row of the waterfall.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from rich.text import Text

from pilothouse.kit.terminal import plain
from pilothouse.observe.traces.waterfall import UNICODE, Glyphs, SpanRow, colour

_WIDEST_KEY: Final = 40


def describe(span: Mapping[str, Any], row: SpanRow, trace_start: int, glyphs: Glyphs = UNICODE) -> Iterator[Text]:
    """The lines; long values are not cut, those of several lines are indented."""
    yield Text.assemble((plain(row.service), f"bold {colour(row.service)}"), " ", (plain(row.name), "bold"))
    state = f"{glyphs.error} error" if row.status == "error" else row.status
    if said := span.get("statusMessage"):
        state += f": {said}"
    facts = [row.kind, glyphs.time(row.duration), f"starts at +{glyphs.time(row.start)}"]
    yield Text.assemble(
        f" {glyphs.dot} ".join(facts), f" {glyphs.dot} ", (plain(state), "bold red" if row.status == "error" else "dim")
    )
    yield from _pairs(_identity(span, row))
    for warning in span.get("warnings", ()):
        yield Text(f"{glyphs.error} {plain(warning)}", "yellow")
    yield from _section("Attributes", span.get("attributes"), span.get("droppedAttributes"))
    for event in span.get("events", ()):
        at = glyphs.time(int(event["timeUnixNano"]) - trace_start)
        yield from _section(
            f"Event {plain(event['name'])} at +{at}",
            event.get("attributes"),
            event.get("droppedAttributes"),
            bare=True,
        )
    yield from _dropped("events", span.get("droppedEvents"))
    for link in span.get("links", ()):
        heading = f"Link to trace {link['traceId']} span {link['spanId']}"
        yield from _section(heading, link.get("attributes"), link.get("droppedAttributes"), bare=True)
    yield from _dropped("links", span.get("droppedLinks"))
    yield from _section("Resource", (span.get("resource") or {}).get("attributes"), None)
    scope = span.get("scope") or {}
    if scope.get("name"):
        heading = f"Scope {plain(scope['name'])} {plain(scope.get('version', ''))}".rstrip()
        yield from _section(heading, scope.get("attributes"), None, bare=True)


def value_text(attribute: Mapping[str, Any]) -> str:
    """A typed value on one line, as a person reads it; bytes stay base64."""
    kind, value = attribute["type"], attribute.get("value", "")
    if kind == "array":
        return f"[{', '.join(value_text(item) for item in value)}]"
    if kind == "kvlist":
        return "{" + ", ".join(f"{item['key']}: {value_text(item)}" for item in value) + "}"
    if kind == "bool":
        return "true" if value else "false"
    return "" if kind == "empty" else str(value)


def _identity(span: Mapping[str, Any], row: SpanRow) -> list[tuple[str, str, str]]:
    pairs = [("span", row.span_id, ""), ("parent", str(span.get("parentSpanId") or ""), "")]
    if row.orphan:
        pairs[1] = ("parent", pairs[1][1], "not received")
    pairs.append(("tracestate", str(span.get("traceState") or ""), ""))
    return [pair for pair in pairs if pair[1]]


def _section(
    heading: str, attributes: Sequence[Mapping[str, Any]] | None, dropped: int | None, *, bare: bool = False
) -> Iterator[Text]:
    """A heading and its attributes; without attributes only a ``bare`` heading is worth a line."""
    if not attributes and not bare:
        return
    yield Text("")
    yield Text(heading, "bold")
    yield from _pairs([(a["key"], value_text(a), a["type"]) for a in attributes or ()])
    yield from _dropped("attributes", dropped)


def _pairs(pairs: Sequence[tuple[str, str, str]]) -> Iterator[Text]:
    width = min(max((len(key) for key, _, _ in pairs), default=0), _WIDEST_KEY)
    for key, value, note in pairs:
        first, *rest = plain(value).rstrip("\n").split("\n")
        text = Text.assemble("  ", (plain(key).ljust(width), "cyan"), "  ", first)
        if note and note != "string":
            text.append(f"  {note}", "dim")
        yield text
        for line in rest:
            yield Text(" " * (width + 4) + line)


def _dropped(what: str, count: int | None) -> Iterator[Text]:
    if count:
        yield Text(f"  {count:,} more {what} were dropped by the SDK", "yellow")
