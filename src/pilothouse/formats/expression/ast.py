"""The trace filter as a tree of plain values, whose meaning every backend shares.

One tree serves three writers (Jaeger's structured filter, the text language of the console and the command line, gRPC) and
several readers (DuckDB SQL, the reference evaluator). Sources: ``jaeger.expression.v1`` of jaeger-idl and Jaeger's RFC 0005.
Trees are made by ``build``, which checks and resolves them; one made there is always meaningful, so a reader needs no
error handling of its own.

**What a tree means** (``evaluate.matches`` is this text as code):

- A filter is asked of one span. All its parts see the same span.
- A reference yields the *list* of values found: none when absent, more when a key is at span *and* resource level (an
  ``Attribute`` without level means both), or when it names events or links, outside ``Some``.
- A comparison holds when **some** value satisfies it. With no value it is false; only ``Not`` inverts.
- ``ne`` and a negated ``In`` hold when there *is* a value and **none** of them equals.
- An ``Attribute`` whose value is an empty AnyValue is absent; so is a ``Field`` that is empty text (no parent, no message).
- A ``Constant`` of type ``any`` compares with every stored type by ``readings``: as text with strings, as a number with
  ints and doubles, as a truth value with bools. Any other type is authoritative: only values stored as that type compare.
- Numbers compare exactly when both are integers, else as 64-bit floats; a stored NaN equals and orders with nothing.
- An ordered comparison stays within a kind. A constant of type ``any`` that reads as a number is a number there and does
  not order with text; one that does not orders text, by code point.
- Bytes, arrays and key-value lists satisfy nothing but ``Exists``.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

Level = Literal["span", "resource", "scope", "event", "link"]
#: The levels of which a span holds many, and which ``Some`` quantifies over.
Collection = Literal["event", "link"]
Comparison = Literal["eq", "ne", "gt", "lt", "gte", "lte"]
ConstantType = Literal["any", "string", "int", "double", "bool", "duration", "time"]
#: What a built-in field holds. ``kind`` and ``status`` hold a word of ``KINDS`` and ``STATUS_CODES``, ``id`` lower-case hex.
FieldType = Literal["text", "id", "duration", "time", "kind", "status"]

#: The built-in fields by level (RFC 0005, section 5.2) and what each holds.
FIELDS: Final[dict[Level, dict[str, FieldType]]] = {
    "span": {
        "traceID": "id",
        "spanID": "id",
        "parentSpanID": "id",
        "traceState": "text",
        "name": "text",
        "kind": "kind",
        "startTime": "time",
        "endTime": "time",
        "duration": "duration",
        "status": "status",
        "statusMessage": "text",
    },
    "resource": {"service": "text", "schemaURL": "text"},
    "scope": {"name": "text", "version": "text", "schemaURL": "text"},
    "event": {"name": "text", "time": "time", "timeSinceStart": "duration"},
    "link": {"traceID": "id", "spanID": "id", "traceState": "text"},
}


class Attribute(Struct, frozen=True):
    """The values under ``key`` at one level; ``None`` is the span and its resource."""

    key: str
    level: Level | None = None


class Field(Struct, frozen=True):
    """A built-in field, one of ``FIELDS``."""

    level: Level
    name: str

    @property
    def type(self) -> FieldType:
        """What the field holds."""
        return FIELDS[self.level][self.name]


class Constant(Struct, frozen=True):
    """A value from the query.

    ``any`` and ``string`` carry ``str`` (``any`` only beside an ``Attribute``), ``int`` a signed 64-bit ``int``, ``double``
    ``float``, ``bool`` ``bool``; ``duration`` is ``int`` nanoseconds, ``time`` ``int`` nanoseconds since the epoch.
    """

    type: ConstantType
    value: str | int | float | bool


class And(Struct, frozen=True):
    """All of two or more hold."""

    args: tuple[Expression, ...]


class Or(Struct, frozen=True):
    """At least one of two or more holds."""

    args: tuple[Expression, ...]


class Not(Struct, frozen=True):
    """``arg`` does not hold."""

    arg: Expression


class Compare(Struct, frozen=True):
    """``left op right``. Two references compare every value of one with every value of the other of the same kind."""

    op: Comparison
    left: Attribute | Field
    right: Attribute | Field | Constant


class Match(Struct, frozen=True):
    """``pattern`` (RE2, without anchors) matches somewhere in a text, or in the decimal or ``true``/``false`` form of an
    int or bool value. Doubles have no one textual form and do not match.
    """

    subject: Attribute | Field
    pattern: str


class Exists(Struct, frozen=True):
    """``subject`` has a value."""

    subject: Attribute | Field


class In(Struct, frozen=True):
    """A value equals one of ``values``; ``negated``: there is a value, and none equals any."""

    subject: Attribute | Field
    values: tuple[Constant, ...]
    negated: bool = False


class Some(Struct, frozen=True):
    """One event or link satisfies ``predicate``, in which references at that level mean this one element."""

    level: Collection
    predicate: Expression


Reference = Attribute | Field
Expression = And | Or | Not | Compare | Match | Exists | In | Some


class Readings(Struct, frozen=True):
    """What a text can mean beside an attribute of unknown type; ``None`` where it cannot."""

    string: str
    number: int | float | None
    truth: bool | None


def readings(text: str) -> Readings:
    """How a ``Constant`` of type ``any`` compares with each stored type.

    ``number`` is an ``int`` when the text is an integer within 64 bits, else a finite ``float`` when it is a decimal
    number; ``NaN``, infinities, hexadecimal and digit separators are no numbers here.
    """
    return Readings(text, _number(text), {"true": True, "false": False}.get(text))


def _number(text: str) -> int | float | None:
    if len(text) > 64 or not text.isascii() or "_" in text or text != text.strip():
        return None
    try:
        whole = int(text)
        return whole if -(2**63) <= whole < 2**63 else float(whole)
    except ValueError:
        pass
    try:
        number = float(text)
    except ValueError:
        return None
    return number if number - number == 0 else None
