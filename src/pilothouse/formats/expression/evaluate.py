"""The meaning of a filter as straight-line Python: slow, obvious, and the oracle that compiled filters are tested against.

``ast`` says in words what this says in code.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from pilothouse.formats.expression.ast import (
    And,
    Attribute,
    Compare,
    Comparison,
    Constant,
    Exists,
    Expression,
    Field,
    In,
    Match,
    Not,
    Or,
    Reference,
    Some,
    readings,
)
from pilothouse.formats.expression.regex import compile_pattern
from pilothouse.formats.otlp.model import KINDS, STATUS_CODES, Attributes, Event, Link, Span, Value

_OPERATORS: Final[Mapping[Comparison, Callable[[Any, Any], bool]]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}
_ORDERED: Final = ("gt", "gte", "lt", "lte")


class _Scene(Struct, frozen=True):
    """What references see: the span, and the one event or link that ``Some`` has bound."""

    span: Span
    event: Event | None = None
    link: Link | None = None

    def events(self) -> Iterable[Event]:
        return self.span.events if self.event is None else (self.event,)

    def links(self) -> Iterable[Link]:
        return self.span.links if self.link is None else (self.link,)


def matches(expression: Expression, span: Span) -> bool:
    """Whether ``span`` satisfies ``expression``."""
    return _holds(expression, _Scene(span))


def _holds(node: Expression, scene: _Scene) -> bool:
    match node:
        case And():
            return all(_holds(arg, scene) for arg in node.args)
        case Or():
            return any(_holds(arg, scene) for arg in node.args)
        case Not():
            return not _holds(node.arg, scene)
        case Exists():
            return any(True for _ in _values(node.subject, scene))
        case Match():
            pattern = compile_pattern(node.pattern)
            texts = (_text(value) for value in _values(node.subject, scene))
            return any(text is not None and pattern.search(text) is not None for text in texts)
        case In():
            found = list(_values(node.subject, scene))
            some = any(_satisfies("eq", value, constant) for value in found for constant in node.values)
            return bool(found) and not some if node.negated else some
        case Some(level="event"):
            return any(_holds(node.predicate, _Scene(scene.span, event, scene.link)) for event in scene.span.events)
        case Some():
            return any(_holds(node.predicate, _Scene(scene.span, scene.event, link)) for link in scene.span.links)
        case Compare():
            return _compares(node, scene)


def _compares(node: Compare, scene: _Scene) -> bool:
    left = list(_values(node.left, scene))
    if isinstance(node.right, Constant):
        right: list[Value | Constant] = [node.right]
    else:
        right = list(_values(node.right, scene))
    if node.op == "ne":
        return bool(left and right) and not any(_satisfies("eq", a, b) for a in left for b in right)
    return any(_satisfies(node.op, a, b) for a in left for b in right)


def _satisfies(op: Comparison, value: Value, other: Value | Constant) -> bool:
    """One stored value against a constant or another stored value."""
    if not isinstance(other, Constant):
        return _same_kind(op, value, other)
    if other.type != "any":
        stored = {"string": str, "int": int, "double": float, "bool": bool, "duration": int, "time": int}[other.type]
        return type(value) is stored and _same_kind(op, value, other.value)
    meaning = readings(str(other.value))
    match value:
        case bool():
            return meaning.truth is not None and _same_kind(op, value, meaning.truth)
        case int() | float():
            return meaning.number is not None and _same_kind(op, value, meaning.number)
        case str():
            return not (op in _ORDERED and meaning.number is not None) and _same_kind(op, value, meaning.string)
        case _:
            return False


def _same_kind(op: Comparison, left: Value, right: Value) -> bool:
    match left, right:
        case (bool(), bool()):
            return op not in _ORDERED and _OPERATORS[op](left, right)
        case (bool(), _) | (_, bool()):
            return False
        case (int(), int()) | (str(), str()):
            return _OPERATORS[op](left, right)
        case (int() | float(), int() | float()):
            return _OPERATORS[op](float(left), float(right))
        case _:
            return False


def _text(value: Value) -> str | None:
    """What a pattern is matched against."""
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case str():
            return value
        case _:
            return None


def _values(reference: Reference, scene: _Scene) -> Iterator[Value]:
    """What a reference finds; absent values are not among it."""
    found = _attribute_values(reference, scene) if isinstance(reference, Attribute) else _field_values(reference, scene)
    return (value for value in found if value is not None)


def _attribute_values(attribute: Attribute, scene: _Scene) -> Iterator[Value]:
    span = scene.span
    maps: Iterable[Attributes]
    match attribute.level:
        case None:
            maps = (span.attributes, span.resource.attributes)
        case "span":
            maps = (span.attributes,)
        case "resource":
            maps = (span.resource.attributes,)
        case "scope":
            maps = (span.scope.attributes,)
        case "event":
            maps = [event.attributes for event in scene.events()]
        case "link":
            maps = [link.attributes for link in scene.links()]
    return (attributes[attribute.key] for attributes in maps if attribute.key in attributes)


def _field_values(field: Field, scene: _Scene) -> Iterator[Value]:
    match field.level:
        case "event":
            values: list[Value] = [_event_field(field.name, event, scene.span) for event in scene.events()]
        case "link":
            values = [_link_field(field.name, link) for link in scene.links()]
        case _:
            values = [_FIELDS[field.level, field.name](scene.span)]
    return (value for value in values if value != "")


def _event_field(name: str, event: Event, span: Span) -> Value:
    values: dict[str, Value] = {"name": event.name, "time": event.time, "timeSinceStart": event.time - span.start}
    return values[name]


def _link_field(name: str, link: Link) -> Value:
    return {"traceID": link.trace_id.hex(), "spanID": link.span_id.hex(), "traceState": link.trace_state}[name]


_FIELDS: Final[Mapping[tuple[str, str], Callable[[Span], Value]]] = {
    ("span", "traceID"): lambda span: span.trace_id.hex(),
    ("span", "spanID"): lambda span: span.span_id.hex(),
    ("span", "parentSpanID"): lambda span: span.parent_span_id.hex(),
    ("span", "traceState"): lambda span: span.trace_state,
    ("span", "name"): lambda span: span.name,
    ("span", "kind"): lambda span: KINDS[span.kind] if 0 <= span.kind < len(KINDS) else KINDS[0],
    ("span", "startTime"): lambda span: span.start,
    ("span", "endTime"): lambda span: span.end,
    ("span", "duration"): lambda span: span.end - span.start,
    ("span", "status"): lambda span: (
        STATUS_CODES[span.status_code] if 0 <= span.status_code < len(STATUS_CODES) else STATUS_CODES[0]
    ),
    ("span", "statusMessage"): lambda span: span.status_message,
    ("resource", "service"): lambda span: span.service,
    ("resource", "schemaURL"): lambda span: span.resource.schema_url,
    ("scope", "name"): lambda span: span.scope.name,
    ("scope", "version"): lambda span: span.scope.version,
    ("scope", "schemaURL"): lambda span: span.scope.schema_url,
}
