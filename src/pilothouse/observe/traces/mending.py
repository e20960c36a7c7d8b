"""Makes text that is no UTF-8 readable, in messages that are stored as bytes: resources, scopes and nested values.

OTLP's decoders refuse a message for one bad byte in one string, and with it all spans of the request. So the message is
walked field by field on the wire and only its strings are replaced. What is not well-formed stays as it is: whoever parses
the result says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

#: Instead of a key that cannot be read, as upstream says it.
INVALID_KEY: Final = "invalid-tag-key"
#: Enough for every message whose values nest as deep as they may.
_MAX_DEPTH: Final = 100

#: Field number → the text to put instead (empty: keep what can be read), or the message in it.
_Fields = Mapping[int, Any]
_KEY_VALUE: Final[dict[int, Any]] = {1: INVALID_KEY}
ARRAY: Final[dict[int, Any]] = {}
KVLIST: Final[dict[int, Any]] = {1: _KEY_VALUE}
_ANY_VALUE: Final = {1: "", 5: ARRAY, 6: KVLIST}
_KEY_VALUE[2] = ARRAY[1] = _ANY_VALUE
_ENTITY: Final = dict.fromkeys((1, 2, 3, 4), "")
RESOURCE: Final = {1: _KEY_VALUE, 3: _ENTITY}
SCOPE: Final = {1: "", 2: "", 3: _KEY_VALUE}


def mended(data: bytes, fields: _Fields) -> bytes:
    """``data`` with every string of the message readable; the same object if there is nothing to mend."""
    try:
        return _walked(data, fields, 0)
    except (IndexError, ValueError):
        return data


def mended_text(value: bytes, instead: str = "") -> str:
    """``value`` as text; if it is no UTF-8 then ``instead``, or as much of it as can be read."""
    return value.decode() if is_utf8(value) else instead or value.decode(errors="replace")


def is_utf8(value: bytes) -> bool:
    """Whether ``value`` is text."""
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def length_delimited(tag: bytes, body: bytes) -> bytes:
    """A field of bytes, text or a message."""
    return tag + _varint(len(body)) + body


def _walked(data: bytes, fields: _Fields, depth: int) -> bytes:
    if depth > _MAX_DEPTH:
        return data
    parts: list[bytes] = []
    done = at = 0
    while at < len(data):
        begin = at
        tag, at = _read_varint(data, at)
        content, end = _content(data, at, tag & 7)
        inner = fields.get(tag >> 3) if tag & 7 == 2 else None
        if inner is not None:
            old = data[content:end]
            if isinstance(inner, str):
                new = old if is_utf8(old) else mended_text(old, inner).encode()
            else:
                new = _walked(old, inner, depth + 1)
            if new is not old:
                parts += [data[done:begin], length_delimited(_varint(tag), new)]
                done = end
        at = end
    return b"".join([*parts, data[done:]]) if parts else data


def _content(data: bytes, at: int, wire_type: int) -> tuple[int, int]:
    """Where a field's content begins and ends."""
    match wire_type:
        case 0:
            end = _read_varint(data, at)[1]
        case 1:
            end = at + 8
        case 2:
            length, at = _read_varint(data, at)
            end = at + length
        case 5:
            end = at + 4
        case _:
            raise ValueError("groups are not part of proto3")
    if end > len(data):
        raise ValueError("the field is cut off")
    return at, end


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7
        if shift > 63:
            raise ValueError("the number is too long")


def _varint(number: int) -> bytes:
    data = bytearray()
    while number > 0x7F:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    data.append(number)
    return bytes(data)
