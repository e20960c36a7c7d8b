r"""The filter language of the console and the command line, compiled to the same tree as Jaeger's structured filter.

>>> decode("http.status_code >= 500")
Compare(op='gte', left=Attribute(key='http.status_code', level=None), right=Constant(type='any', value='500'))

Grammar, keywords in any case::

    filter    = all { "or" all }
    all       = one { "and" one }
    one       = "not" one | "(" filter ")" | "exists" key | key test
    test      = ( "=" | "!=" | ">" | ">=" | "<" | "<=" | "~" | "!~" ) value
              | "exists" | [ "not" ] "in" "(" value { "," value } ")"

``key`` is a well-known name (``service``, ``name`` or ``operation``, ``duration``, ``status``, ``kind``), a built-in field
with its level (``span.startTime``, ``event.name``), an attribute with its level (``resource.k8s.pod.name``), or an attribute
of the span or its resource (``http.status_code``). Quotes make any text an attribute's key: ``"name"``,
``span."event.name"``. ``value`` is a word or quoted text, in which ``\"``, ``\'`` and ``\`` stand for a quote and a
backslash. ``!~`` holds, like ``!=``, only where there is a value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from pilothouse.formats.expression import build
from pilothouse.formats.expression.ast import FIELDS, And, Comparison, Expression, Field, Level, Not, Or, Reference
from pilothouse.formats.expression.build import Scalar
from pilothouse.formats.expression.errors import FilterError

#: Names that stand for a built-in field without naming its level.
WELL_KNOWN: Final[dict[str, tuple[Level, str]]] = {
    "service": ("resource", "service"),
    "name": ("span", "name"),
    "operation": ("span", "name"),
    "duration": ("span", "duration"),
    "status": ("span", "status"),
    "kind": ("span", "kind"),
}
MAX_TEXT: Final = 16 * 1024

_LEVELS: Final[dict[str, Level]] = {level: level for level in FIELDS}
_COMPARISONS: Final[dict[str, Comparison]] = {
    "=": "eq",
    "!=": "ne",
    ">": "gt",
    ">=": "gte",
    "<": "lt",
    "<=": "lte",
}
_QUOTED: Final = r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'"""
_KEY: Final = re.compile(rf"""(?P<bare>[^\s()"',=!<>~]*)(?P<quoted>{_QUOTED})?""", re.DOTALL)
_VALUE: Final = re.compile(rf"""(?P<quoted>{_QUOTED})|(?P<bare>[^\s()"',]+)""", re.DOTALL)
_OPERATOR: Final = re.compile(r"!=|>=|<=|!~|=|>|<|~")
_WORD: Final = re.compile(r"""[^\s()"',=!<>~]+""")
_ESCAPE: Final = re.compile(r"""\\(["'\\])""")
_KEYWORDS: Final = frozenset({"and", "or", "not", "in", "exists"})


class _Token(NamedTuple):
    """A piece of the text: what it means and where it stands."""

    text: str
    offset: int
    length: int


def decode(text: str) -> Expression:
    """Compiles a filter.

    Raises:
        FilterError: with ``offset`` and ``length`` of the part that is wrong.
    """
    if len(text) > MAX_TEXT:
        raise FilterError(f"the filter has {len(text)} characters, more than {MAX_TEXT}", offset=MAX_TEXT)
    for offset, character in enumerate(text):
        if "\ud800" <= character <= "\udfff":
            raise _wrong("half of a surrogate pair is no text", offset, 1)
    parser = _Parser(text)
    expression = parser.any_of(1)
    if not parser.at_end():
        token = parser.peek()
        raise _wrong(
            f"{token.text!r} is not expected here", token.offset, token.length, "Join conditions with 'and' or 'or'."
        )
    return expression


class _Parser:
    """A recursive descent over one text; ``position`` is where the next token may start."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0
        self.nodes = 0

    def any_of(self, depth: int) -> Expression:
        """``filter`` of the grammar."""
        if depth > build.MAX_DEPTH:
            raise _wrong(f"the filter is nested deeper than {build.MAX_DEPTH}", self.peek().offset, 1)
        args = [self._all_of(depth)]
        while self._keyword("or"):
            args.append(self._all_of(depth))
        return args[0] if len(args) == 1 else build.combine(Or, args)

    def _all_of(self, depth: int) -> Expression:
        args = [self._one(depth)]
        while self._keyword("and"):
            args.append(self._one(depth))
        return args[0] if len(args) == 1 else build.combine(And, args)

    def _one(self, depth: int) -> Expression:
        self._count()
        if self._keyword("not"):
            if depth >= build.MAX_DEPTH:
                raise _wrong(f"the filter is nested deeper than {build.MAX_DEPTH}", self.peek().offset, 1)
            return Not(self._one(depth + 1))
        if self._punctuation("("):
            inside = self.any_of(depth + 1)
            self._expect(")")
            return inside
        if self._keyword("exists"):
            return build.exists(self._key()[0])
        subject, token = self._key()
        return self._test(subject, token)

    def _test(self, subject: Reference, key: _Token) -> Expression:
        if self._keyword("exists"):
            return build.exists(subject)
        negated = self._keyword("not")
        if self._keyword("in"):
            return self._member(subject, negated=negated)
        if negated:
            raise self._missing("'in' is wanted after 'not'")
        self._space()
        symbol = _OPERATOR.match(self.text, self.position)
        if symbol is None:
            raise self._missing(f"an operator is wanted after {key.text!r}", "Use = != > >= < <= ~ !~ exists or in.")
        self.position = symbol.end()
        value = self._value()
        with _at(value):
            if symbol[0] == "~":
                return build.match(subject, Scalar(value.text))
            if symbol[0] == "!~":
                return build.combine(And, [build.exists(subject), Not(build.match(subject, Scalar(value.text)))])
            return build.compare(_COMPARISONS[symbol[0]], subject, Scalar(_spelling(subject, value)))

    def _member(self, subject: Reference, *, negated: bool) -> Expression:
        self._expect("(")
        tokens = [self._value()]
        while self._punctuation(","):
            self._count()
            tokens.append(self._value())
        self._expect(")")
        for token in tokens:
            with _at(token):
                build.compare("eq", subject, Scalar(_spelling(subject, token)))
        return build.member(subject, [_spelling(subject, token) for token in tokens], "", negated=negated)

    def _key(self) -> tuple[Reference, _Token]:
        self._space()
        found = _KEY.match(self.text, self.position)
        bare, quoted = (found["bare"], found["quoted"]) if found else ("", None)
        if bare and not (bare.endswith(".") and bare[:-1] in _LEVELS):
            quoted = None
        if bare.lower() in _KEYWORDS or not (bare or quoted):
            raise self._missing("a key is wanted", "Write a condition such as service = checkout.")
        token = _Token(bare + (quoted or ""), self.position, len(bare) + len(quoted or ""))
        self.position += token.length
        with _at(token):
            if quoted is not None:
                return build.attribute(_unquote(quoted), _LEVELS.get(bare[:-1])), token
            return _bare_reference(bare), token

    def _value(self) -> _Token:
        self._space()
        found = _VALUE.match(self.text, self.position)
        if found is None:
            if self.text[self.position : self.position + 1] in ('"', "'"):
                raise _wrong("the quoted text has no end", self.position, len(self.text) - self.position)
            raise self._missing("a value is wanted", "Put an empty value, or one with spaces or brackets, in quotes.")
        text = found["bare"] if found["quoted"] is None else _unquote(found["quoted"])
        token = _Token(text, found.start(), len(found[0]))
        self.position = found.end()
        return token

    def _keyword(self, word: str) -> bool:
        self._space()
        found = _WORD.match(self.text, self.position)
        if found is None or found[0].lower() != word:
            return False
        self.position = found.end()
        return True

    def _punctuation(self, character: str) -> bool:
        self._space()
        if not self.text.startswith(character, self.position):
            return False
        self.position += len(character)
        return True

    def _expect(self, character: str) -> None:
        if not self._punctuation(character):
            raise self._missing(f"{character!r} is wanted")

    def _space(self) -> None:
        while self.position < len(self.text) and self.text[self.position].isspace():
            self.position += 1

    def _count(self) -> None:
        self.nodes += 1
        if self.nodes > build.MAX_NODES:
            raise _wrong(f"the filter has more than {build.MAX_NODES} parts", self.position, 0)

    def at_end(self) -> bool:
        """Whether nothing but space is left."""
        self._space()
        return self.position == len(self.text)

    def peek(self) -> _Token:
        """What stands at the position, for a message."""
        self._space()
        found = _WORD.match(self.text, self.position)
        text = found[0] if found else self.text[self.position : self.position + 1]
        return _Token(text, self.position, len(text))

    def _missing(self, what: str, remedy: str | None = None) -> FilterError:
        token = self.peek()
        found = f", not {token.text!r}" if token.length else ", not the end"
        return _wrong(f"{what}{found}", token.offset, token.length, remedy)


def _spelling(subject: Reference, value: _Token) -> str:
    """The words for kinds and states are lower case; people write them in any."""
    return value.text.lower() if isinstance(subject, Field) and subject.type in ("kind", "status") else value.text


def _bare_reference(text: str) -> Reference:
    level, dot, rest = text.partition(".")
    if text in WELL_KNOWN:
        return build.field(*WELL_KNOWN[text])
    if not dot or level not in _LEVELS:
        return build.attribute(text)
    if rest in FIELDS[_LEVELS[level]]:
        return build.field(_LEVELS[level], rest)
    return build.attribute(rest, _LEVELS[level])


def _unquote(text: str) -> str:
    return _ESCAPE.sub(r"\1", text[1:-1])


@contextmanager
def _at(token: _Token) -> Iterator[None]:
    """Gives an error from ``build`` the place of ``token``."""
    try:
        yield
    except FilterError as error:
        if error.where is None:
            error.offset, error.length = token.offset, token.length
            error.where = f"filter, character {token.offset + 1}"
        raise


def _wrong(what: str, offset: int, length: int, remedy: str | None = None) -> FilterError:
    return FilterError(what, where=f"filter, character {offset + 1}", remedy=remedy, offset=offset, length=length)
