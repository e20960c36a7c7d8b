"""Makes filter trees that mean something: checks operands against each other and reads constants as what they stand beside.

Every writer of filters (JSON, text) goes through these functions, so a rule is written once. They raise ``FilterError``
without a place; the writer adds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from msgspec import Struct

from pilothouse.formats import goduration, rfc3339
from pilothouse.formats.expression import regex
from pilothouse.formats.expression.ast import (
    FIELDS,
    And,
    Attribute,
    Collection,
    Compare,
    Comparison,
    Constant,
    Exists,
    Expression,
    Field,
    FieldType,
    In,
    Level,
    Match,
    Or,
    Reference,
    Some,
)
from pilothouse.formats.expression.errors import FilterError
from pilothouse.formats.otlp.model import KINDS, STATUS_CODES
from pilothouse.kit.errors import InvalidInput

#: Filters are small; these bound the work one may ask for.
MAX_DEPTH: Final = 32
MAX_NODES: Final = 1000
MAX_BYTES: Final = 64 * 1024

ScalarType = Literal["", "string", "int", "double", "bool"]
_Kind = Literal["text", "number", "bool", "duration", "time"]

_MIRRORED: Final[dict[Comparison, Comparison]] = {"gt": "lt", "lt": "gt", "gte": "lte", "lte": "gte"}
_SCALAR_KINDS: Final[dict[ScalarType, _Kind]] = {"string": "text", "int": "number", "double": "number", "bool": "bool"}
_FIELD_KINDS: Final[dict[FieldType, _Kind]] = {"duration": "duration", "time": "time"}
_WORDS: Final[dict[FieldType, tuple[str, ...]]] = {"kind": KINDS, "status": STATUS_CODES}


class Scalar(Struct, frozen=True):
    """A constant as it was written, before it is known what it is compared with; an empty ``type`` is undeclared."""

    text: str
    type: ScalarType = ""


Operand = Attribute | Field | Scalar


def field(level: Level, name: str) -> Field:
    """The built-in field ``name`` of ``level``."""
    if name not in FIELDS[level]:
        known = ", ".join(FIELDS[level])
        raise FilterError(
            f"{name!r} is no built-in field of a {level}, which has {known}",
            remedy="Refer to an attribute to match a tag of that name.",
        )
    return Field(level, name)


def attribute(key: str, level: Level | None = None) -> Attribute:
    """The attribute ``key``, which may not be empty."""
    if not key:
        raise FilterError("the attribute has no key")
    return Attribute(key, level)


def combine(node: type[And] | type[Or], args: Sequence[Expression]) -> Expression:
    """``and`` or ``or`` of two or more."""
    if len(args) < 2:
        raise FilterError(f"{node.__name__.lower()!r} takes at least two arguments, not {len(args)}")
    return node(tuple(args))


def compare(op: Comparison, left: Operand, right: Operand) -> Compare:
    """A comparison; a constant on the left is moved to the right."""
    if isinstance(left, Scalar):
        if isinstance(right, Scalar):
            raise FilterError("two constants are compared, which asks nothing of a span")
        return compare(_MIRRORED.get(op, op), right, left)
    _check_comparable(op, left, right)
    return Compare(op, left, _resolve(left, right) if isinstance(right, Scalar) else right)


def match(subject: Reference, pattern: Scalar) -> Match:
    """A regular expression over text."""
    if isinstance(subject, Field) and subject.type in _FIELD_KINDS:
        raise FilterError(f"{_describe(subject)} holds a {subject.type}, and a pattern matches text")
    if pattern.type not in ("", "string"):
        raise FilterError(f"a pattern is a string, not {pattern.type}")
    regex.check(pattern.text)
    return Match(subject, pattern.text)


def exists(subject: Reference) -> Exists:
    """Whether there is a value."""
    return Exists(subject)


def member(subject: Reference, values: Sequence[str], scalar_type: ScalarType, *, negated: bool) -> In:
    """Membership in a list of one type."""
    if not values:
        raise FilterError("the list is empty, and membership in nothing matches nothing")
    scalars = [Scalar(value, scalar_type) for value in values]
    _check_comparable("eq", subject, scalars[0])
    return In(subject, tuple(_resolve(subject, scalar) for scalar in scalars), negated)


def some(level: Collection, predicate: Expression, bound: frozenset[Collection]) -> Some:
    """A quantifier; ``bound`` are the levels that enclosing quantifiers hold already."""
    if level in bound:
        raise FilterError(f"'some' over {level} stands inside another over {level}, which has no defined meaning")
    return Some(level, predicate)


def _check_comparable(op: Comparison, left: Reference, right: Operand) -> None:
    """Both sides hold the same kind of value, as far as it is known, and one that has an order where ``op`` needs it."""
    kinds = _kind(left), _kind(right)
    if None not in kinds and kinds[0] != kinds[1]:
        raise FilterError(f"{_describe(left)} holds {kinds[0]} and cannot be compared with {_describe(right)}")
    if op not in _MIRRORED:
        return
    for operand in (left, right):
        if _kind(operand) == "bool" or (isinstance(operand, Field) and operand.type in _WORDS):
            raise FilterError(f"{_describe(operand)} has no order, so {op!r} means nothing for it")


def _kind(operand: Operand) -> _Kind | None:
    """What an operand is known to hold; ``None`` for an attribute and an undeclared constant."""
    match operand:
        case Scalar():
            return _SCALAR_KINDS.get(operand.type)
        case Field():
            return _FIELD_KINDS.get(operand.type, "text")
        case _:
            return None


def _describe(operand: Operand) -> str:
    match operand:
        case Scalar():
            return f"the {operand.type + ' ' if operand.type else ''}constant {operand.text!r}"
        case Field():
            return f"{operand.level}.{operand.name}"
        case _:
            return f"the attribute {operand.key!r}"


def _resolve(reference: Reference, scalar: Scalar) -> Constant:
    """Reads a constant as what its reference holds."""
    if isinstance(reference, Attribute):
        return _attribute_constant(scalar)
    text = scalar.text
    try:
        match reference.type:
            case "duration":
                return Constant("duration", goduration.parse(text))
            case "time":
                return Constant("time", rfc3339.parse(text))
            case "id":
                text = text.lower()
                return Constant(
                    "string", text.rjust(32, "0") if reference.name == "traceID" and len(text) == 16 else text
                )
            case "kind" | "status" as word if text not in _WORDS[word]:
                raise FilterError(f"{text!r} is no {word}, which is one of {', '.join(_WORDS[word])}")
            case _:
                return Constant("string", text)
    except InvalidInput as error:
        if isinstance(error, FilterError):
            raise
        raise FilterError(f"{_describe(reference)}: {error.what}", remedy=error.remedy) from None


def _attribute_constant(scalar: Scalar) -> Constant:
    text = scalar.text
    plain = text.isascii() and "_" not in text and text == text.strip() and len(text) <= 64
    try:
        match scalar.type:
            case "":
                return Constant("any", text)
            case "string":
                return Constant("string", text)
            case "int":
                whole = int(text) if plain else None
                if whole is not None and -(2**63) <= whole < 2**63:
                    return Constant("int", whole)
            case "double":
                number = float(text) if plain else None
                if number is not None and number == number:
                    return Constant("double", number)
            case "bool":
                if text in ("true", "false"):
                    return Constant("bool", text == "true")
    except ValueError:
        pass
    raise FilterError(f"{text[:64]!r} is no {scalar.type}")
