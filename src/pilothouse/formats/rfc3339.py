"""RFC 3339 timestamps with nanoseconds, without the floats and microseconds of ``datetime``.

This is Go's ``RFC3339Nano``, which Jaeger's second-generation API reads and writes: up to nine fractional digits, trailing
zeros left away. A time is an ``int``: nanoseconds since the Unix epoch.

>>> parse("2026-08-16T18:56:20.123456789Z")
1786906580123456789
>>> render(1786906580123456789)
'2026-08-16T18:56:20.123456789Z'
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from pilothouse.kit.errors import InvalidInput

_SHAPE: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,64}))?(?:Z|([+-])(\d\d):(\d\d))", re.ASCII
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = 1_000_000_000
_FIRST: Final = -62_135_596_800 * _SECOND
_LAST: Final = 253_402_300_800 * _SECOND


def parse(text: str) -> int:
    """The instant in nanoseconds since the epoch (negative before 1970); a tenth fractional digit is cut off.

    Raises:
        InvalidInput: not RFC 3339 (section 5.6, with upper-case ``T`` and ``Z``), or a date that does not exist.
    """
    shape = _SHAPE.fullmatch(text)
    try:
        if shape is None:
            raise ValueError
        year, month, day, hour, minute, second = map(int, shape.groups()[:6])
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
        offset = timedelta(0)
        if shape[8]:
            hours, minutes = int(shape[9]), int(shape[10])
            if hours > 23 or minutes > 59:
                raise ValueError
            offset = timedelta(hours=hours, minutes=minutes) * (-1 if shape[8] == "-" else 1)
    except ValueError:
        raise InvalidInput(
            f"{text[:64]!r} is not an RFC 3339 time", remedy="Write it like 2026-08-16T18:56:20.123456789Z."
        ) from None
    seconds = (moment - _EPOCH - offset) // timedelta(seconds=1)
    return seconds * _SECOND + int((shape[7] or "0").ljust(9, "0")[:9])


def render(ns: int) -> str:
    """Writes an instant in UTC with as many fractional digits as it needs, none for a whole second.

    Raises:
        InvalidInput: outside the years 1 to 9999, which RFC 3339 cannot write.
    """
    if not _FIRST <= ns < _LAST:
        raise InvalidInput(f"{ns} ns since the epoch is not within the years 1 to 9999")
    seconds, fraction = divmod(ns, _SECOND)
    moment = _EPOCH + timedelta(seconds=seconds)
    digits = f".{fraction:09d}".rstrip("0") if fraction else ""
    return f"{moment.date().isoformat()}T{moment.time().isoformat()}{digits}Z"
