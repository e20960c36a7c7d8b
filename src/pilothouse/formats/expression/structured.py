"""Jaeger's structured filter: the JSON form of ``jaeger.expression.v1.Call``.

>>> decode('{"op": "gt", "args": [{"field": {"name": "duration", "level": "span"}}, {"scalar": {"value": "2s"}}]}')
Compare(op='gt', left=Field(level='span', name='duration'), right=Constant(type='duration', value=2000000000))

A filter is refused rather than partly ignored: unknown fields, operators, levels and types are errors, each naming its
place as a field path. A constant without a type beside an attribute matches every stored type; a *list* beside an attribute
has to declare one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, TypeVar, get_args

import msgspec

from pilothouse.formats.expression import build
from pilothouse.formats.expression.ast import (
    FIELDS,
    And,
    Attribute,
    Collection,
    Comparison,
    Expression,
    Level,
    Not,
    Or,
    Reference,
)
from pilothouse.formats.expression.build import Operand, Scalar, ScalarType
from pilothouse.formats.expression.errors import FilterError

_T = TypeVar("_T")

_TERMS: Final = ("attr", "field", "nested", "scalar", "list", "call")
_LEVELS: Final[dict[str, Level]] = {level: level for level in FIELDS}
_COLLECTIONS: Final[dict[str, Collection]] = {level: level for level in get_args(Collection)}
_TYPES: Final[dict[str, ScalarType]] = {name: name for name in get_args(ScalarType)}
_COMPARISONS: Final[dict[str, Comparison]] = {name: name for name in get_args(Comparison)}
_OPERATORS: Final = (*_COMPARISONS, "and", "or", "not", "regex", "exists", "in", "not_in", "some")


def decode(data: str | bytes, where: str = "filter") -> Expression:
    """Decodes a JSON filter.

    Args:
        data: A ``Call`` object in proto3 JSON.
        where: What errors call the root, such as ``query.filter``.

    Raises:
        FilterError: with the field path in ``where``.
    """
    if len(data) > build.MAX_BYTES:
        raise FilterError(f"the filter has {len(data)} bytes, more than {build.MAX_BYTES}", where=where)
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise FilterError(f"the filter is no JSON: {error}", where=where) from None
    except RecursionError:
        raise FilterError("the filter is nested too deeply", where=where) from None
    return from_object(value, where)


def from_object(call: object, where: str = "filter") -> Expression:
    """The same from an already decoded ``Call``: plain dicts, lists and strings, as ``MessageToDict`` makes them."""
    return _Reader().call(call, where, 1, frozenset())


class _Reader:
    """Walks one filter; holds what the size limit counts."""

    def __init__(self) -> None:
        self.nodes = 0

    def call(self, value: object, path: str, depth: int, bound: frozenset[Collection]) -> Expression:
        """One predicate, with everything below it."""
        if depth > build.MAX_DEPTH:
            raise FilterError(f"the filter is nested deeper than {build.MAX_DEPTH}", where=path)
        members = _object(value, path, ("op", "args"))
        op = _text(members.get("op"), f"{path}.op")
        terms = _array(members.get("args"), f"{path}.args")
        if op not in _OPERATORS:
            raise FilterError(
                f"unknown operator {op!r}", where=f"{path}.op", remedy=f"Operators are {', '.join(_OPERATORS)}."
            )
        wanted = 1 if op in ("not", "exists") else 2
        if op not in ("and", "or") and len(terms) != wanted:
            raise FilterError(f"{op!r} takes {wanted} argument(s), not {len(terms)}", where=f"{path}.args")
        self._count(1 + len(terms), path)
        args = [_Arg(term, f"{path}.args[{index}]") for index, term in enumerate(terms)]
        with _at(path):
            return self._apply(op, args, depth + 1, bound)

    def _apply(self, op: str, args: Sequence[_Arg], depth: int, bound: frozenset[Collection]) -> Expression:
        match op:
            case "and" | "or":
                node = And if op == "and" else Or
                return build.combine(node, [self._predicate(arg, depth, bound) for arg in args])
            case "not":
                return Not(self._predicate(args[0], depth, bound))
            case "some":
                nested = args[0].members("nested", ("level",))
                level = _choice(nested.get("level"), _COLLECTIONS, f"{args[0].path}.nested.level")
                return build.some(level, self._predicate(args[1], depth, bound | {level}), bound)
            case "exists":
                return build.exists(_reference(args[0]))
            case "regex":
                subject, pattern = _reference(args[0]), _scalar(args[1])
                with _at(f"{args[1].path}.scalar.value"):
                    return build.match(subject, pattern)
            case "in" | "not_in":
                return self._member(args, negated=op == "not_in")
            case _:
                return build.compare(_COMPARISONS[op], _operand(args[0]), _operand(args[1]))

    def _predicate(self, arg: _Arg, depth: int, bound: frozenset[Collection]) -> Expression:
        arg.want("a predicate", "call")
        return self.call(arg.term, f"{arg.path}.call", depth, bound)

    def _member(self, args: Sequence[_Arg], *, negated: bool) -> Expression:
        subject, path = _reference(args[0]), f"{args[1].path}.list"
        term = args[1].members("list", ("values", "type"))
        values = _array(term.get("values"), f"{path}.values")
        self._count(len(values), path)
        declared = _choice(term.get("type") or "", _TYPES, f"{path}.type")
        if isinstance(subject, Attribute) and not declared:
            raise FilterError(
                "a list beside an attribute has to declare its type",
                where=f"{path}.type",
                remedy="Add a type: string, int, double or bool.",
            )
        texts = [_text(item, f"{path}.values[{index}]") for index, item in enumerate(values)]
        with _at(path):
            return build.member(subject, texts, declared, negated=negated)

    def _count(self, nodes: int, path: str) -> None:
        self.nodes += nodes
        if self.nodes > build.MAX_NODES:
            raise FilterError(f"the filter has more than {build.MAX_NODES} parts", where=path)


class _Arg:
    """One ``Expression``: the arm of the oneof that is set, and its content."""

    def __init__(self, value: object, path: str) -> None:
        arms = {name: term for name, term in _object(value, path, _TERMS).items() if term is not None}
        if len(arms) != 1:
            found = " and ".join(arms) or "none"
            raise FilterError(f"exactly one of {', '.join(_TERMS)} is wanted, not {found}", where=path)
        self.path = path
        self.arm, self.term = next(iter(arms.items()))

    def want(self, what: str, *arms: str) -> None:
        """Refuses any other arm."""
        if self.arm not in arms:
            raise FilterError(f"{what} is wanted here, not {self.arm!r}", where=self.path)

    def members(self, arm: str, names: Sequence[str]) -> Mapping[str, object]:
        """The content of ``arm``, which has to be the one that is set."""
        self.want("a collection (nested)" if arm == "nested" else f"a {arm}", arm)
        return _object(self.term, f"{self.path}.{arm}", names)


def _operand(arg: _Arg) -> Operand:
    arg.want("a reference or a constant", "attr", "field", "scalar")
    return _scalar(arg) if arg.arm == "scalar" else _reference(arg)


def _scalar(arg: _Arg) -> Scalar:
    term, path = arg.members("scalar", ("value", "type")), f"{arg.path}.scalar"
    declared = _choice(term.get("type") or "", _TYPES, f"{path}.type")
    return Scalar(_text(term.get("value") or "", f"{path}.value"), declared)


def _reference(arg: _Arg) -> Reference:
    arg.want("a reference (attr or field)", "attr", "field")
    path = f"{arg.path}.{arg.arm}"
    if arg.arm == "attr":
        term = arg.members("attr", ("key", "level"))
        key, level = _text(term.get("key") or "", f"{path}.key"), term.get("level") or None
        with _at(f"{path}.key"):
            return build.attribute(key, None if level is None else _choice(level, _LEVELS, f"{path}.level"))
    term = arg.members("field", ("name", "level"))
    place, name = _choice(term.get("level"), _LEVELS, f"{path}.level"), _text(term.get("name"), f"{path}.name")
    with _at(f"{path}.name"):
        return build.field(place, name)


@contextmanager
def _at(path: str) -> Iterator[None]:
    """Gives an error without a place this one."""
    try:
        yield
    except FilterError as error:
        error.where = error.where or path
        raise


def _object(value: object, path: str, names: Sequence[str]) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise FilterError(f"an object is wanted, not {_shape(value)}", where=path)
    for name in value:
        if name not in names:
            raise FilterError(f"unknown field {str(name)[:64]!r}, known are {', '.join(names)}", where=path)
    return value


def _array(value: object, path: str) -> Sequence[object]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise FilterError(f"an array is wanted, not {_shape(value)}", where=path)
    return value


def _text(value: object, path: str) -> str:
    if not isinstance(value, str):
        raise FilterError(f"a string is wanted, not {_shape(value)}", where=path)
    return value


def _choice(value: object, choices: Mapping[str, _T], path: str) -> _T:
    text = _text(value, path)
    if text not in choices:
        raise FilterError(f"{text[:64]!r} is not one of {', '.join(filter(None, choices))}", where=path)
    return choices[text]


def _shape(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "an array"
        case _:
            return "an object"
