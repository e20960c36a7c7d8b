"""Durations as Go writes them (``1h30m``, ``2.5ms``), because Jaeger's parameters and users' habits are Go's.

Source: the syntax that Go's package ``time`` documents for ``ParseDuration`` and ``Duration.String``. Values are integer
nanoseconds in the range of a signed 64-bit integer, which is what a Go duration is; no float is ever involved.

>>> parse("1h30m")
5400000000000
>>> render(2_500_000)
'2.5ms'
"""

from __future__ import annotations

import re
from typing import Final

from pilothouse.kit.errors import InvalidInput

_UNITS: Final = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # U+00B5, the micro sign
    "μs": 1_000,  # U+03BC, the Greek letter
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_TERM: Final = re.compile(r"([0-9]*)(?:\.([0-9]*))?(ns|us|µs|μs|ms|s|m|h)")
_MAX_TEXT: Final = 128
_LIMIT: Final = 2**63


def parse(text: str) -> int:
    """The nanoseconds that ``text`` means; digits below a nanosecond are cut off.

    Raises:
        InvalidInput: ``text`` is no Go duration (a bare number has no unit; only ``0`` needs none) or beyond 64 bits.
    """
    body = text[1:] if text[:1] in ("-", "+") else text
    if body == "0":
        return 0
    total = position = 0
    while 0 < len(body) <= _MAX_TEXT and position < len(body):
        term = _TERM.match(body, position)
        if term is None or not (term[1] or term[2]):
            break
        unit, fraction = _UNITS[term[3]], term[2] or ""
        total += int(term[1] or 0) * unit + int(fraction or 0) * unit // 10 ** len(fraction)
        position = term.end()
    if not body or position != len(body):
        raise InvalidInput(
            f"{text[:_MAX_TEXT]!r} is not a duration",
            remedy="Write a number with a unit, such as 250ms, 1.5s or 1h30m.",
        )
    value = -total if text[0] == "-" else total
    if not -_LIMIT <= value < _LIMIT:
        raise InvalidInput(f"the duration {text!r} is longer than 292 years")
    return value


def render(ns: int) -> str:
    """Writes ``ns`` in the shortest form that ``parse`` reads back to the same number, as Go would."""
    sign, rest = ("-", -ns) if ns < 0 else ("", ns)
    if rest == 0:
        return "0s"
    if rest < _UNITS["s"]:
        unit = "ns" if rest < _UNITS["us"] else "µs" if rest < _UNITS["ms"] else "ms"
        return f"{sign}{_decimal(rest, _UNITS[unit])}{unit}"
    hours, rest = divmod(rest, _UNITS["h"])
    minutes, rest = divmod(rest, _UNITS["m"])
    text = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{sign}{text}{_decimal(rest, _UNITS['s'])}s"


def _decimal(value: int, unit: int) -> str:
    """``value / unit`` as an exact decimal; ``unit`` is a power of ten."""
    whole, fraction = divmod(value, unit)
    if not fraction:
        return str(whole)
    return f"{whole}.{fraction:0{len(str(unit)) - 1}d}".rstrip("0")
