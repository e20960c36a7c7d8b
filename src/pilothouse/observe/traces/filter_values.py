"""What is asked of one value of a span, as SQL: present, equal, ordered, matched by a pattern.

A value is an SQL expression whose stored type is known, so a question to it is a plain comparison, or ``FALSE`` when a value
of that type can never satisfy it. ``formats.expression.evaluate`` defines the answers; what differs between Python and DuckDB
is written down where it is bridged.

Every condition made here is true or false, never NULL, so that ``NOT`` means what it says.
"""

from __future__ import annotations

import math
import operator
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal

from msgspec import Struct

from pilothouse.formats.expression import Constant, Readings, readings
from pilothouse.formats.expression.ast import Comparison
from pilothouse.formats.expression.regex import compile_pattern
from pilothouse.observe.traces.params import Params

TRUE: Final = "TRUE"
FALSE: Final = "FALSE"

#: Stored types: string, bool, 64-bit int, 128-bit int (times), double, and others, which are only present or not.
Letter = Literal["s", "b", "i", "h", "d", "o"]

_SYMBOLS: Final[Mapping[Comparison, str]] = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_PYTHON: Final[Mapping[Comparison, Callable[[Any, Any], bool]]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}
_ID: Final = re.compile("(?:[0-9a-f]{2})+")
_GROUP_NAME: Final = re.compile(
    r"""(?P<other>\\Q.*?(?:\\E|\Z) | \\. | \[\^?\]?(?:\\.|\[:\^?\w+:\]|[^\]\\])*\]) | \(\?P?<\w+>""",
    re.VERBOSE | re.DOTALL,
)


def all_of(conditions: Iterable[str]) -> str:
    """``AND``, with constants folded."""
    parts = list(dict.fromkeys(c for c in conditions if c != TRUE))
    if FALSE in parts:
        return FALSE
    return f"({' AND '.join(parts)})" if len(parts) > 1 else "".join(parts) or TRUE


def any_of(conditions: Iterable[str]) -> str:
    """``OR``, with constants folded."""
    parts = list(dict.fromkeys(c for c in conditions if c != FALSE))
    if TRUE in parts:
        return TRUE
    return f"({' OR '.join(parts)})" if len(parts) > 1 else "".join(parts) or FALSE


def none_of(condition: str) -> str:
    """``NOT``, with constants folded."""
    return {TRUE: FALSE, FALSE: TRUE}.get(condition) or f"(NOT {condition})"


class Words(Struct, frozen=True):
    """The value is a word that ``column`` holds as a number; other numbers mean the first word."""

    column: str
    words: tuple[str, ...]


class Id(Struct, frozen=True):
    """The value is hexadecimal text of ``column``, which holds it as bytes, or as a number of 8 bytes."""

    column: str
    number: bool = False


class Value(Struct, frozen=True):
    """A value that a row may have.

    Attributes:
        letter: Its stored type.
        sql: The value; anything, without error, where it is not present.
        present: Condition under which there is one.
        blank: Empty text means there is none; ``present`` says so too.
        form: How the column holds it, when ``sql`` is a rendering.
    """

    letter: Letter
    sql: str
    present: str = TRUE
    blank: bool = False
    form: Words | Id | None = None

    @property
    def double(self) -> str:
        """The number as a double, correctly rounded; DuckDB does not round a negative HUGEINT correctly, but text it does."""
        return f"{self.sql}::VARCHAR::DOUBLE" if self.letter == "h" else f"{self.sql}::DOUBLE"


class Test(ABC):
    """A question to one value."""

    #: Whether empty text never satisfies it.
    spares_blank: bool = False

    def asked(self, value: Value) -> str:
        """SQL for "there is a value, and it satisfies this"."""
        if isinstance(value.form, Words):
            return all_of([value.present, _worded(value.form, self)])
        holds = self.holds(value)
        if holds == FALSE or (value.blank and self.spares_blank):
            return holds
        return all_of([value.present, holds])

    @abstractmethod
    def holds(self, value: Value) -> str:
        """SQL for a value that is present."""

    @abstractmethod
    def holds_word(self, word: str) -> bool:
        """The answer for a text that is known now."""


class Present(Test):
    """There is a value."""

    def holds(self, value: Value) -> str:
        """Always."""
        return TRUE

    def holds_word(self, word: str) -> bool:
        """Always."""
        return True


class Equals(Test):
    """The value equals one of ``constants``."""

    spares_blank = True

    def __init__(self, constants: Iterable[Constant], params: Params) -> None:
        self._params = params
        typed = tuple(constants)
        self._meanings = [readings(str(c.value)) for c in typed if c.type == "any"]
        self._texts = [str(c.value) for c in typed if c.type in ("any", "string")]
        self._truths = {c.value for c in typed if c.type == "bool"} | {
            m.truth for m in self._meanings if m.truth is not None
        }
        self._ints = [int(c.value) for c in typed if c.type in ("int", "duration", "time")]
        self._doubles = [float(c.value) for c in typed if c.type == "double" and not math.isnan(float(c.value))]

    def holds(self, value: Value) -> str:
        """One of those that are of its type."""
        match value.letter:
            case "s":
                return self._text(value)
            case "b":
                return any_of(value.sql if truth else none_of(value.sql) for truth in self._truths)
            case "i" | "h":
                read = [m.number for m in self._meanings]
                ints = self._ints + [n for n in read if isinstance(n, int)]
                doubles = [n for n in read if isinstance(n, float)]
                return any_of(
                    [_one_of(value.sql, map(str, ints)), _one_of(value.double, map(self._params.one, doubles))]
                )
            case "d":
                numbers = self._doubles + [float(m.number) for m in self._meanings if m.number is not None]
                return _one_of(value.sql, map(self._params.one, numbers))
            case _:
                return FALSE

    def _text(self, value: Value) -> str:
        texts = [t for t in self._texts if t or not value.blank]
        match value.form:
            case Id(number=True):
                return _one_of(value.form.column, (str(int(t, 16)) for t in texts if _ID.fullmatch(t) and len(t) == 16))
            case Id():
                ids = (bytes.fromhex(t) for t in texts if _ID.fullmatch(t))
                return _one_of(value.form.column, map(self._params.one, ids))
            case _:
                return _one_of(value.sql, map(self._params.one, texts))

    def holds_word(self, word: str) -> bool:
        """One of the texts."""
        return word in self._texts


class Ordered(Test):
    """The value is before or after ``constant``."""

    def __init__(self, op: Comparison, constant: Constant, params: Params) -> None:
        self._op, self._symbol, self._params = op, _SYMBOLS[op], params
        meaning = readings(str(constant.value)) if constant.type == "any" else None
        self._text: str | None = None
        self._int: int | None = None
        self._double: float | None = None
        if meaning is not None:
            self._of_any(meaning)
        elif constant.type == "string":
            self._text = str(constant.value)
        elif constant.type in ("int", "duration", "time"):
            self._int = int(constant.value)
        elif constant.type == "double" and not math.isnan(float(constant.value)):
            self._double = float(constant.value)
        self._any = meaning is not None

    def _of_any(self, meaning: Readings) -> None:
        match meaning.number:
            case None:
                self._text = meaning.string
            case int():
                self._int, self._double = meaning.number, float(meaning.number)
            case float():
                self._double = meaning.number

    def holds(self, value: Value) -> str:
        """Within one kind; a NaN has no order, though DuckDB gives it the last place."""
        match value.letter:
            case "s" if self._text is not None:
                return f"({value.sql} {self._symbol} {self._params.one(self._text)})"
            case "i" | "h" if self._int is not None:
                return f"({value.sql} {self._symbol} {self._int})"
            case "i" | "h" if self._any and self._double is not None:
                return f"({value.double} {self._symbol} {self._params.one(self._double)})"
            case "d" if self._double is not None:
                compared = f"({value.sql} {self._symbol} {self._params.one(self._double)})"
                return all_of([compared, f"(NOT isnan({value.sql}))"]) if self._op in ("gt", "gte") else compared
            case _:
                return FALSE

    def holds_word(self, word: str) -> bool:
        """In the order of code points."""
        return self._text is not None and _PYTHON[self._op](word, self._text)


class Matches(Test):
    """A pattern is found in the value's text."""

    def __init__(self, pattern: str, params: Params) -> None:
        self._compiled, self._params = compile_pattern(pattern), params
        # Names of groups change nothing here, and DuckDB's RE2 knows only one of the two spellings.
        self._pattern = _GROUP_NAME.sub(lambda found: found["other"] or "(", pattern)

    def holds(self, value: Value) -> str:
        """Strings, and what has one way to be written."""
        match value.letter:
            case "s":
                return f"regexp_matches({value.sql}, {self._params.one(self._pattern)})"
            case "i" | "h":
                return f"regexp_matches({value.sql}::VARCHAR, {self._params.one(self._pattern)})"
            case "b":
                if self.holds_word("true") and self.holds_word("false"):
                    return TRUE
                return (
                    value.sql if self.holds_word("true") else none_of(value.sql) if self.holds_word("false") else FALSE
                )
            case _:
                return FALSE

    def holds_word(self, word: str) -> bool:
        """By the same engine."""
        return self._compiled.search(word) is not None


def _one_of(sql: str, constants: Iterable[str]) -> str:
    found = list(dict.fromkeys(constants))
    if len(found) == 1:
        return f"({sql} = {found[0]})"
    return f"({sql} IN ({', '.join(found)}))" if found else FALSE


def _worded(form: Words, test: Test) -> str:
    held = [number for number, word in enumerate(form.words) if test.holds_word(word)]
    if len(held) == len(form.words):
        return TRUE
    beyond = f"({form.column} >= {len(form.words)})" if 0 in held else FALSE
    return any_of([_one_of(form.column, map(str, held)), beyond])
