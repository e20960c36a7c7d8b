"""One span in full: every value with its type, long ones whole, nothing that could drive the terminal."""

from __future__ import annotations

from typing import Any

from pilothouse.observe.traces.details import describe, value_text
from pilothouse.observe.traces.waterfall import ASCII, SpanRow

ROW = SpanRow("00000000000000a1", -1, 0, "cart", "HSET", "client", 5_000_000, 50_000_000, "error", True, 1, 1, 3)


def attribute(key: str, kind: str, value: object) -> dict[str, object]:
    return {"key": key, "type": kind, "value": value}


DETAIL: dict[str, Any] = {
    "spanId": "00000000000000a1",
    "parentSpanId": "00000000000000ff",
    "statusMessage": "reset",
    "traceState": "shop=tier:gold",
    "attributes": [attribute("db.system.name", "string", "redis"), attribute("port", "int", "6379")],
    "droppedAttributes": 2,
    "events": [
        {
            "name": "exception",
            "timeUnixNano": "1000000006000000000",
            "attributes": [attribute("stack", "string", "line one\n  line two\n")],
            "droppedAttributes": 0,
        }
    ],
    "droppedEvents": 5,
    "links": [{"traceId": "ab" * 16, "spanId": "cd" * 8, "attributes": [], "droppedAttributes": 0}],
    "droppedLinks": 0,
    "resource": {"attributes": [attribute("service.name", "string", "cart")]},
    "scope": {"name": "shop.redis", "version": "1.0.0", "attributes": []},
    "warnings": ["Negative duration detected"],
}


def test_everything_is_there() -> None:
    lines = [line.plain.rstrip() for line in describe(DETAIL, ROW, 1_000_000_000_000_000_000)]
    text = "\n".join(lines)
    assert lines[0] == "cart HSET"
    assert lines[1] == "client · 50 ms · starts at +5 ms · ✗ error: reset"
    for expected in (
        "00000000000000ff  not received",
        "shop=tier:gold",
        "✗ Negative duration detected",
        "db.system.name  redis",
        "6379  int",
        "2 more attributes were dropped by the SDK",
        "Event exception at +6 s",
        "5 more events were dropped by the SDK",
        f"Link to trace {'ab' * 16} span {'cd' * 8}",
        "service.name  cart",
        "Scope shop.redis 1.0.0",
    ):
        assert expected in text
    stack = next(i for i, line in enumerate(lines) if "line one" in line)
    assert lines[stack + 1].endswith("  line two")
    assert lines[stack + 1].index("line two") == lines[stack].index("line one") + 2


def test_values_are_written_by_type() -> None:
    assert value_text(attribute("", "bool", True)) == "true"
    assert value_text(attribute("", "double", "NaN")) == "NaN"
    assert value_text(attribute("", "empty", None)) == ""
    assert (
        value_text(attribute("", "array", [{"type": "int", "value": "1"}, {"type": "string", "value": "a"}]))
        == "[1, a]"
    )
    nested = attribute("", "kvlist", [attribute("a", "bytes", "AAE="), attribute("b", "array", [])])
    assert value_text(nested) == "{a: AAE=, b: []}"


def test_control_characters_are_shown_not_sent() -> None:
    evil = {**DETAIL, "attributes": [attribute("a\x1b[2J", "string", "b\x1b]0;x\x07")], "statusMessage": "\x1b[31m"}
    assert all(line.plain.isprintable() for line in describe(evil, ROW, 0, ASCII))
