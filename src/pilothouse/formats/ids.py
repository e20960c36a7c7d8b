"""Trace and span ids as people and programs write them.

Jaeger's APIs take hex (leading zeros may be missing: old clients have 64-bit trace ids) and base64 in either alphabet, padded
or not. Inside, an id is 16 or 8 bytes; 64-bit trace ids are extended by zeros on the left.

>>> trace_id("463ac35c9f6413ad").hex()
'0000000000000000463ac35c9f6413ad'
>>> jaeger_trace_id(trace_id("463ac35c9f6413ad"))
'463ac35c9f6413ad'
"""

from __future__ import annotations

import binascii
import re
from base64 import urlsafe_b64decode
from typing import Final

from pilothouse.kit.errors import InvalidInput

TRACE_ID_BYTES: Final = 16
SPAN_ID_BYTES: Final = 8

_HEX: Final = re.compile(r"[0-9a-fA-F]+")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")


def trace_id(text: str) -> bytes:
    """The 16 bytes of a trace id.

    Raises:
        InvalidInput: neither hex of up to 32 digits nor base64 of 8 or 16 bytes, or all zero.
    """
    return _id(text, "trace", (SPAN_ID_BYTES, TRACE_ID_BYTES))


def span_id(text: str) -> bytes:
    """The 8 bytes of a span id.

    Raises:
        InvalidInput: neither hex of up to 16 digits nor base64 of 8 bytes, or all zero.
    """
    return _id(text, "span", (SPAN_ID_BYTES,))


def jaeger_trace_id(raw: bytes) -> str:
    """How Jaeger writes a trace id: 16 digits when the high half is zero, else 32."""
    digits = raw.hex()
    return digits[16:] if len(raw) == TRACE_ID_BYTES and not any(raw[:8]) else digits


def _id(text: str, kind: str, sizes: tuple[int, ...]) -> bytes:
    raw = _decode(text, sizes)
    if raw is None:
        raise InvalidInput(
            f"{text[:64]!r} is no {kind} id", remedy=f"Write it as {2 * sizes[-1]} hexadecimal digits, or in base64."
        )
    if not any(raw):
        raise InvalidInput(f"the {kind} id is all zero, which no {kind} has")
    return raw.rjust(sizes[-1], b"\0")


def _decode(text: str, sizes: tuple[int, ...]) -> bytes | None:
    if len(text) > 2 * sizes[-1]:
        return None
    if _HEX.fullmatch(text):
        return bytes.fromhex(text.zfill(len(text) + len(text) % 2))
    if not _BASE64.fullmatch(text):
        return None
    body = text.rstrip("=").replace("+", "-").replace("/", "_")
    try:
        raw = urlsafe_b64decode(body + "=" * (-len(body) % 4))
    except binascii.Error:
        return None
    return raw if len(raw) in sizes else None
