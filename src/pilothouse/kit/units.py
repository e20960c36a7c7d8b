"""Sizes and durations as people write them, and back.

Inside, a size is an ``int`` of bytes and a duration an ``int`` of nanoseconds; only the edges see ``64MiB`` and ``1h30m``.
Binary units are powers of 1024 (``KiB``), decimal ones powers of 1000 (``kB``), as in IEC 80000-13.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Final

_SIZES: Final = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "tb": 10**12,
    "kib": 1 << 10,
    "mib": 1 << 20,
    "gib": 1 << 30,
    "tib": 1 << 40,
}
_DURATIONS: Final = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
    "d": 86400 * 10**9,
    "w": 7 * 86400 * 10**9,
}
_SIZE = re.compile(r"([0-9]{1,20}(?:\.[0-9]{1,9})?)\s*([a-zA-Z]*)")
_TERM = re.compile(r"([0-9]{1,20}(?:\.[0-9]{1,9})?)(ns|us|µs|μs|ms|s|m|h|d|w)")

NANOSECOND: Final = 1
MILLISECOND: Final = _DURATIONS["ms"]
SECOND: Final = _DURATIONS["s"]
MINUTE: Final = _DURATIONS["m"]
HOUR: Final = _DURATIONS["h"]
DAY: Final = _DURATIONS["d"]
KIB: Final = 1 << 10
MIB: Final = 1 << 20
GIB: Final = 1 << 30


def parse_size(text: str) -> int:
    """Bytes in ``64MiB``, ``1.5 GB`` or ``4096``.

    Raises:
        ValueError: The text is not a size; the message shows what one looks like.
    """
    match = _SIZE.fullmatch(text.strip())
    factor = _SIZES.get(match[2].lower()) if match else None
    if match is None or factor is None:
        raise ValueError(f"{text!r} is not a size; write a number and a unit, such as 64MiB or 2GB")
    return int(Fraction(match[1]) * factor)


def parse_duration(text: str) -> int:
    """Nanoseconds in ``20ms``, ``1h30m``, ``7d`` or ``0``.

    Raises:
        ValueError: The text is not a duration; the message shows what one looks like.
    """
    stripped = text.strip()
    if stripped == "0":
        return 0
    total, position = Fraction(0), 0
    while match := _TERM.match(stripped, position):
        total += Fraction(match[1]) * _DURATIONS[match[2]]
        position = match.end()
    if position == 0 or position != len(stripped):
        raise ValueError(f"{text!r} is not a duration; write a number and a unit, such as 20ms, 1h30m or 7d")
    return int(total)


def exact_size(size: int) -> str:
    """``size`` bytes in the largest binary unit that loses nothing: what ``parse_size`` reads back."""
    for name, factor in (("TiB", 1 << 40), ("GiB", GIB), ("MiB", MIB), ("KiB", KIB)):
        if size and size % factor == 0:
            return f"{size // factor}{name}"
    return f"{size}B" if size else "0"


def exact_duration(nanoseconds: int) -> str:
    """A duration as the shortest sum of units that loses nothing: what ``parse_duration`` reads back."""
    if nanoseconds == 0:
        return "0"
    parts, rest = [], nanoseconds
    for unit in ("d", "h", "m", "s", "ms", "us", "ns"):
        count, rest = divmod(rest, _DURATIONS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def human_duration(nanoseconds: float) -> str:
    """Three significant figures in the unit people would choose: ``412 µs``, ``12.4 ms``, ``3.1 s``, ``2 h 5 min``."""
    if nanoseconds < 0:
        return f"-{human_duration(-nanoseconds)}"
    for unit, factor, limit in (
        ("ns", 1, 1000),
        ("µs", 10**3, 10**6),
        ("ms", 10**6, 10**9),
        ("s", SECOND, 60 * SECOND),
    ):
        # The rounded figure decides, so that 999.9 µs reads 1 ms and never 1000 µs.
        if nanoseconds < limit and float(_figures(nanoseconds / factor)) * factor < limit:
            return f"{_figures(nanoseconds / factor)} {unit}"
    for small, large, factor in (("s", "min", MINUTE), ("min", "h", HOUR), ("h", "d", DAY)):
        step = {"s": SECOND, "min": MINUTE, "h": HOUR}[small]
        whole, rest = divmod(round(nanoseconds / step), factor // step)
        if large == "d" or whole * factor < {"min": HOUR, "h": DAY}[large]:
            return f"{whole} {large} {rest} {small}" if rest else f"{whole} {large}"
    raise AssertionError("unreachable: days have no limit")


def human_size(size: float) -> str:
    """Three significant figures: ``980 B``, ``3.1 GB`` (decimal units, as disks and networks are sold)."""
    return _scaled(size, ("B", "kB", "MB", "GB", "TB", "PB"))


def human_count(count: float) -> str:
    """``950``, ``1.2 k``, ``34 M``."""
    return _scaled(count, ("", "k", "M", "G", "T")).rstrip()


def human_rate(per_second: float, what: str = "") -> str:
    """``1.2 k/s``; with ``what``, ``1.2 k spans/s``."""
    return f"{human_count(per_second)}{' ' if what else ''}{what}/s"


def _scaled(value: float, units: tuple[str, ...]) -> str:
    for unit in units:
        text = _figures(value)
        if abs(float(text)) < 1000 or unit == units[-1]:
            return f"{text} {unit}"
        value /= 1000
    raise AssertionError("unreachable: the last unit returns")


def _figures(value: float) -> str:
    """Three significant figures without a trailing zero or an exponent."""
    digits = 0 if abs(value) >= 99.95 else 1 if abs(value) >= 9.995 else 2
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
