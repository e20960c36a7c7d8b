"""Query parameters as Jaeger reads them: the first value counts, an empty one is absent, booleans and durations are Go's.

What cannot be read is an ``InvalidInput`` whose sentence is the one Jaeger's clients show. The two generations word it
differently, so the wording is an argument: ``V1`` or ``V3``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from pilothouse.formats import goduration
from pilothouse.formats.expression import And, Expression, Not, Or
from pilothouse.formats.expression.build import Scalar, attribute, compare, field
from pilothouse.formats.otlp.model import KINDS, STATUS_CODES
from pilothouse.kit.errors import InvalidInput
from pilothouse.observe.traces.model import TraceQuery

#: Traces a search returns when it does not say how many.
DEFAULT_LIMIT: Final = 100
#: The largest instant the store knows, in nanoseconds.
MAX_TIME: Final = 2**63 - 1

_T = TypeVar("_T")
_TRUE: Final = ("1", "t", "T", "TRUE", "true", "True")
_FALSE: Final = ("0", "f", "F", "FALSE", "false", "False")


class Params:
    """The parameters of one request; names may have older aliases, which count when the name itself is absent."""

    def __init__(self, pairs: Iterable[tuple[str, str]], complaint: str) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self._values.setdefault(name, []).append(value)
        self._complaint = complaint

    def get(self, name: str, *aliases: str) -> str:
        """The value, empty when absent."""
        return self.find(name, *aliases)[1]

    def find(self, name: str, *aliases: str) -> tuple[str, str]:
        """The name that was given and its value; ``name`` and nothing when absent."""
        for candidate in (name, *aliases):
            if value := self._values.get(candidate, [""])[0]:
                return candidate, value
        return name, ""

    def all(self, name: str) -> list[str]:
        """Every value of a repeatable parameter."""
        return self._values.get(name, [])

    def read(self, reader: Callable[[str], _T], default: _T, name: str, *aliases: str) -> _T:
        """The value as ``reader`` understands it, ``default`` when absent.

        Raises:
            InvalidInput: ``reader`` refused it; worded for this generation, with the name that was given.
        """
        given, value = self.find(name, *aliases)
        if not value:
            return default
        try:
            return reader(value)
        except InvalidInput as error:
            raise self.wrong(given, error.sentence()) from None

    def wrong(self, name: str, reason: str) -> InvalidInput:
        """The error for a value that cannot be read."""
        return InvalidInput(self._complaint.format(name=name, reason=reason))


#: How each generation says that a value cannot be read.
V1: Final = "unable to parse param '{name}': {reason}"
V3: Final = "malformed parameter {name}: {reason}"


class Search(Struct, frozen=True):
    """A search as it was asked for; ``raw`` leaves the adjusters out."""

    query: TraceQuery
    raw: bool = False


def boolean(text: str) -> bool:
    """A truth value in any of the spellings Go accepts."""
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise InvalidInput(f"{text[:64]!r} is not a boolean")


def integer(text: str) -> int:
    """A decimal signed 64-bit integer."""
    digits = text[1:] if text[:1] in ("-", "+") else text
    if not (digits.isascii() and digits.isdigit()):
        raise InvalidInput(f"{text[:64]!r} is not an integer")
    if len(digits) > 20 or not -(2**63) <= int(text) < 2**63:
        raise InvalidInput(f"{text[:64]} is out of range")
    return int(text)


def instant(unit: int) -> Callable[[str], int]:
    """A reader of times since the epoch in units of ``unit`` nanoseconds; gives nanoseconds."""

    def read(text: str) -> int:
        return within_range(integer(text) * unit)

    return read


def within_range(time: int) -> int:
    """``time``, which the store has to be able to hold."""
    if not 0 <= time <= MAX_TIME:
        raise InvalidInput("the time is not within the years 1970 to 2262")
    return time


def kind(text: str) -> int:
    """A span kind by its lower-case name."""
    if text not in KINDS:
        raise InvalidInput(f"unsupported span kind: '{text[:64]}'")
    return KINDS.index(text)


def json_map(text: str) -> dict[str, str]:
    """A JSON object of strings."""
    try:
        return msgspec.json.decode(text, type=dict[str, str])
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise InvalidInput(str(error)) from None


@dataclass(frozen=True, slots=True)
class Bounds:
    """What every search shares: the window, the length of a span, how many traces."""

    start: int
    end: int
    duration_min: int | None
    duration_max: int | None
    limit: int

    def query(
        self,
        service: str = "",
        operation: str = "",
        tags: Mapping[str, str] | None = None,
        expression: Expression | None = None,
        cursor: str = "",
    ) -> TraceQuery:
        """The whole question. Tags that Jaeger makes up from other fields become part of the filter."""
        attributes, derived = resolve_tags(tags or {})
        parts = [part for part in (expression, derived) if part is not None]
        return TraceQuery(
            start=self.start,
            end=self.end,
            service=service,
            operation=operation,
            attributes=attributes,
            duration_min=self.duration_min,
            duration_max=self.duration_max,
            filter=And(tuple(parts)) if len(parts) > 1 else parts[0] if parts else None,
            limit=self.limit,
            cursor=cursor,
        )


def duration(params: Params, name: str, *aliases: str) -> int | None:
    """A Go duration; zero asks for nothing, as in Jaeger."""
    return params.read(goduration.parse, 0, name, *aliases) or None


def resolve_tags(tags: Mapping[str, str]) -> tuple[tuple[tuple[str, str], ...], Expression | None]:
    """Splits tags into stored attributes and those that Jaeger only shows.

    A span's status, kind, scope and trace state appear as tags in Jaeger's span model, so people search for
    ``error=true`` and ``span.kind=server``. Such a tag matches the field it is made of, or an attribute of that name.
    """
    stored: list[tuple[str, str]] = []
    derived: list[Expression] = []
    for key, value in tags.items():
        meaning = _field_of_tag(key, value)
        if meaning is None:
            stored.append((key, value))
        else:
            derived.append(Or((compare("eq", attribute(key), Scalar(value)), meaning)))
    return tuple(stored), And(tuple(derived)) if len(derived) > 1 else derived[0] if derived else None


def _field_of_tag(key: str, value: str) -> Expression | None:
    match key, value.lower():
        case "error", "true":
            return compare("eq", field("span", "status"), Scalar("error"))
        case "error", "false":
            return Not(compare("eq", field("span", "status"), Scalar("error")))
        case "span.kind", word if word in KINDS:
            return compare("eq", field("span", "kind"), Scalar(word))
        case "otel.status_code", word if word in STATUS_CODES:
            return compare("eq", field("span", "status"), Scalar(word))
        case "otel.status_description", _:
            return compare("eq", field("span", "statusMessage"), Scalar(value))
        case "w3c.tracestate", _:
            return compare("eq", field("span", "traceState"), Scalar(value))
        case "otel.scope.name" | "otel.library.name", _:
            return compare("eq", field("scope", "name"), Scalar(value))
        case "otel.scope.version" | "otel.library.version", _:
            return compare("eq", field("scope", "version"), Scalar(value))
    return None
