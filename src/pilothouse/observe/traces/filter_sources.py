"""Where the values that a filter refers to lie in the store, and how to ask them.

A reference resolves to a few ``Source``s: values of the row itself, of elements of a list, or of a dictionary that the row
points into. Two readings of that little tree make the SQL: ``Sources.some`` asks whether one of the values satisfies a test,
``Sources.collected`` puts all values of a type into one list, which is what two references are compared by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Literal

from msgspec import Struct

from pilothouse.formats.expression import Attribute, Field, Reference
from pilothouse.formats.expression.ast import Collection
from pilothouse.formats.otlp.model import KINDS, STATUS_CODES
from pilothouse.observe.traces.filter_groups import GROUP, Dictionary, Questions
from pilothouse.observe.traces.filter_values import (
    FALSE,
    TRUE,
    Id,
    Letter,
    Test,
    Value,
    Words,
    all_of,
    any_of,
)
from pilothouse.observe.traces.keys import Place, SegmentKeys, loose_value
from pilothouse.observe.traces.params import Params
from pilothouse.observe.traces.rows import WARNINGS_KEY
from pilothouse.observe.traces.schema import MAX_SHAPES

#: Lists that ``collected`` makes: strings, truth values, whole numbers, the same as doubles, doubles without NaN.
Kind = Literal["string", "bool", "int", "int as double", "double"]
_TYPES: Final[Mapping[Kind, str]] = {
    "string": "VARCHAR",
    "bool": "BOOLEAN",
    "int": "HUGEINT",
    "int as double": "DOUBLE",
    "double": "DOUBLE",
}
_LETTERS: Final[Mapping[Kind, str]] = {"string": "s", "bool": "b", "int": "ih", "int as double": "ih", "double": "d"}
#: Names within lambdas. They depend on nothing, so that the same question is the same text and planned once.
ELEMENT: Final[Mapping[Collection, str]] = {"event": "e", "link": "l"}
_PAIR, _VALUE = "p", "v"
#: Shapes that are listed one by one; more are a string of bits, which costs the same however many there are.
_FEW_SHAPES: Final = 32


class Row(Struct, frozen=True):
    """Values in reach of the expression, which exist only under ``condition``."""

    values: tuple[Value, ...]
    condition: str = TRUE


class Elements(Struct, frozen=True):
    """Values of every element of the SQL list ``items``; within ``inner`` an element is called ``variable``."""

    items: str
    variable: str
    inner: tuple[Source, ...]


class Group(Struct, frozen=True):
    """Values of the row's entry in a dictionary, which ``inner`` calls ``g``."""

    dictionary: Dictionary
    inner: tuple[Row | Elements, ...]


Source = Row | Elements | Group


class Scene(Struct, frozen=True):
    """What surrounds a condition: the levels of which a quantifier has bound one element."""

    bound: frozenset[Collection] = frozenset()


class Sources:
    """Resolves references within one segment, and asks them; see the module."""

    def __init__(self, keys: SegmentKeys, questions: Questions, params: Params) -> None:
        self._keys, self._questions, self._params = keys, questions, params

    # where values are

    def of(self, reference: Reference, scene: Scene) -> tuple[Source, ...]:
        """The places where ``reference`` may have values."""
        if isinstance(reference, Field):
            return self._field(reference, scene)
        return self._attribute(reference, scene)

    def _attribute(self, attribute: Attribute, scene: Scene) -> tuple[Source, ...]:
        key = attribute.key
        match attribute.level:
            case None:
                return (*self._span_attribute(key), self._group_attribute("resources", key))
            case "span":
                return self._span_attribute(key)
            case "resource":
                return (self._group_attribute("resources", key),)
            case "scope":
                return (self._group_attribute("scopes", key),)
            case level:
                return self._elements(level, scene, lambda x: self._listed_attribute(f"{x}.attributes", key))

    def _span_attribute(self, key: str) -> tuple[Source, ...]:
        mended = key == WARNINGS_KEY
        shown = "(r.warnings = 0)" if mended else TRUE
        sources: list[Source] = [
            _placed(place, all_of([self._of_shapes(place.shapes), shown])) for place in self._keys.places(key)
        ]
        if self._keys.loose:
            sources.append(self._loose_attribute(key, shown))
        if mended:  # a list of what ingest mended takes the place of the attribute
            sources.append(Row((Value("o", "r.warnings"),), "(r.warnings <> 0)"))
        return tuple(sources)

    def _of_shapes(self, shapes: Sequence[int]) -> str:
        if len(shapes) <= _FEW_SHAPES:
            return f"(r.shape IN ({', '.join(map(str, shapes))}))"
        bits = bytearray(b"0" * (MAX_SHAPES + 2))
        for shape in shapes:
            bits[shape] = ord("1")
        return f"(get_bit({self._params.one(bits.decode())}::BIT, r.shape) = 1)"

    def _loose_attribute(self, key: str, shown: str) -> Source:
        x = _VALUE
        text = f"substr({x}, 3)"

        def typed(letter: Letter, sql: str) -> Value:
            return Value(letter, sql, f"starts_with({x}, '{letter}:')")

        values = (
            typed("s", text),
            typed("i", f"TRY_CAST({text} AS BIGINT)"),
            typed("d", f"TRY_CAST({text} AS DOUBLE)"),
            typed("b", f"({text} = 'true')"),
            Value("o", x, f"(starts_with({x}, 'o:') AND {x} <> 'o:{b'-'.hex()}')"),
        )
        found = f"[{loose_value(self._params.one(key))}]"
        return Elements(found if shown == TRUE else f"CASE WHEN {shown} THEN {found} END", x, (Row(values),))

    def _group_attribute(self, dictionary: Dictionary, key: str) -> Source:
        return Group(dictionary, self._listed_attribute(f"{GROUP}.attributes", key))

    def _listed_attribute(self, attributes: str, key: str) -> tuple[Elements, ...]:
        """An attribute in a list of ``schema.ATTRIBUTES``, where the last of a name counts."""
        x = _VALUE
        last = f'list_filter({attributes}, lambda {_PAIR}: {_PAIR}."key" = {self._params.one(key)})[-1:]'
        typed: tuple[tuple[Letter, str], ...] = (("s", "string"), ("b", "bool"), ("i", "int"), ("d", "double"))
        values = [Value(letter, f'{x}."{name}"', f'({x}."{name}" IS NOT NULL)') for letter, name in typed]
        other = f'coalesce({x}."bytes", {x}."array", {x}."kvlist")'
        return (Elements(last, x, (Row((*values, Value("o", other, f"({other} IS NOT NULL)"))),)),)

    def _field(self, field: Field, scene: Scene) -> tuple[Source, ...]:
        match field.level:
            case "span":
                return (Row((_SPAN_FIELDS[field.name],)),)
            case "resource" if field.name == "service":
                return (Row((Value("s", "r.service"),)),)
            case "resource":
                return (Group("resources", (Row((_schema_url(),)),)),)
            case "scope":
                value = _schema_url() if field.name == "schemaURL" else _text(f"{GROUP}.{field.name}")
                return (Group("scopes", (Row((value,)),)),)
            case "event":
                return self._elements("event", scene, lambda x: (Row((_event_field(field.name, x),)),))
            case "link":
                return self._elements("link", scene, lambda x: (Row((_link_field(field.name, x),)),))

    def _elements(
        self, level: Collection, scene: Scene, values: Callable[[str], tuple[Source, ...]]
    ) -> tuple[Source, ...]:
        """All events or links; the one that is bound, if one is."""
        inner = values(ELEMENT[level])
        return inner if level in scene.bound else (Elements(f"r.{level}s", ELEMENT[level], inner),)

    # asking them

    def some(self, sources: Iterable[Source], test: Test, scene: Scene) -> str:
        """SQL for "one of the values satisfies ``test``"."""
        return any_of(self._some(source, test, scene) for source in sources)

    def _some(self, source: Source, test: Test, scene: Scene) -> str:
        match source:
            case Row():
                return all_of([source.condition, any_of(test.asked(value) for value in source.values)])
            case Elements():
                return exists(source.items, source.variable, self.some(source.inner, test, scene))
            case Group():
                condition = self.some(source.inner, test, scene)
                if condition in (TRUE, FALSE):
                    return condition
                return self._questions.ask(source.dictionary, condition, "condition", alone=not scene.bound)

    def collected(self, sources: Sequence[Source], kind: Kind) -> str | None:
        """SQL for the list of all values of a kind; ``None`` when there cannot be any."""
        lists = [found for source in sources if (found := self._collected(source, kind)) is not None]
        return f"list_concat({', '.join(lists)})" if len(lists) > 1 else "".join(lists) or None

    def _collected(self, source: Source, kind: Kind) -> str | None:
        match source:
            case Row():
                lists = [
                    _as_list(value, kind, source.condition) for value in source.values if value.letter in _LETTERS[kind]
                ]
                return f"list_concat({', '.join(lists)})" if len(lists) > 1 else "".join(lists) or None
            case Elements():
                inner = self.collected(source.inner, kind)
                return inner and f"flatten(list_transform({source.items}, lambda {source.variable}: {inner}))"
            case Group():
                return self.collected([self._fetched(source.dictionary, inner) for inner in source.inner], kind)

    def _fetched(self, dictionary: Dictionary, source: Row | Elements) -> Source:
        """The same values, with what has to be read in the dictionary replaced by the answer to a question."""
        match source:
            case Elements():
                items = self._questions.ask(dictionary, source.items, "attributes")
                return Elements(items, source.variable, source.inner)
            case Row():  # of a dictionary these are texts
                asked = (self._questions.ask(dictionary, v.sql, "text") for v in source.values)
                return Row(tuple(map(_text, asked)))


def exists(items: str, variable: str, condition: str) -> str:
    """SQL for "an element of the list satisfies ``condition``", which is not NULL even where the list is."""
    if condition == FALSE:
        return FALSE
    found = items if condition == TRUE else f"list_filter({items}, lambda {variable}: {condition})"
    return f"coalesce(len({found}) > 0, FALSE)"


def _as_list(value: Value, kind: Kind, condition: str) -> str:
    sql = value.double if kind == "int as double" else value.sql
    number = f"(NOT isnan({sql}))" if kind == "double" else TRUE
    made = f"[{sql}::{_TYPES[kind]}]"
    wanted = all_of([condition, value.present, number])
    return made if wanted == TRUE else f"CASE WHEN {wanted} THEN {made} ELSE []::{_TYPES[kind]}[] END"


def _placed(place: Place, condition: str) -> Row:
    match place.letter:
        case "s" | "i" | "d" | "b" as letter:
            return Row((Value(letter, place.value),), condition)
        case _:
            return Row((Value("o", place.value, f"({place.value} <> '-'::BLOB)"),), condition)


def _text(sql: str) -> Value:
    """Text that may be empty, which means there is none."""
    return Value("s", sql, f"({sql} <> '')", blank=True)


def _hex(column: str) -> Value:
    sql = f"lower(hex({column}))"
    return Value("s", sql, f"({column} <> ''::BLOB)", blank=True, form=Id(column))


_SPAN_FIELDS: Final[Mapping[str, Value]] = {
    "traceID": Value("s", "lower(hex(r.trace_id))", form=Id("r.trace_id")),
    "spanID": Value("s", "printf('%016x', r.span_id)", form=Id("r.span_id", number=True)),
    "parentSpanID": Value(
        "s",
        "printf('%016x', r.parent_span_id)",
        "(r.parent_span_id IS NOT NULL)",
        form=Id("r.parent_span_id", number=True),
    ),
    "traceState": _text("r.trace_state"),
    "name": Value("s", "r.name"),
    "kind": Value("s", f"coalesce({list(KINDS)}[r.kind::INTEGER + 1], '{KINDS[0]}')", form=Words("r.kind", KINDS)),
    "startTime": Value("i", "r.start"),
    # Wider than its parts, so that no stored number can overflow.
    "endTime": Value("h", "(r.start::HUGEINT + r.duration)"),
    "duration": Value("i", "r.duration"),
    "status": Value(
        "s",
        f"coalesce({list(STATUS_CODES)}[r.status::INTEGER + 1], '{STATUS_CODES[0]}')",
        form=Words("r.status", STATUS_CODES),
    ),
    "statusMessage": _text("r.status_message"),
}


def _event_field(name: str, x: str) -> Value:
    match name:
        case "name":
            return _text(f'{x}."name"')
        case "time":
            return Value("h", f'{x}."time"::HUGEINT')
        case _:
            return Value("h", f'({x}."time"::HUGEINT - r.start)')


def _link_field(name: str, x: str) -> Value:
    match name:
        case "traceID":
            return _hex(f"{x}.trace_id")
        case "spanID":
            return _hex(f"{x}.span_id")
        case _:
            return _text(f"{x}.trace_state")


def _schema_url() -> Value:
    """The URL after the resource or scope in ``encoded``: field 1 of any length, then field 3, if it is not empty."""
    place, rest = "x_i", "x_b"

    def byte(at: str) -> str:
        return f"TRY_CAST('0x' || hex({rest}[{at}:{at}]) AS BIGINT)"

    width = f"list_position(list_transform(range(2, 8), lambda {place}: {byte(place)} < 128), TRUE)"
    length = (
        f"list_sum(list_transform(range({width}), lambda {place}: ({byte(f'({place} + 2)')} & 127) << (7 * {place})))"
    )
    after = f"list_transform([{GROUP}.encoded], lambda {rest}: {rest}[({width} + {length}::BIGINT + 2):])"
    url = f"list_transform({after}, lambda {rest}: decode({rest}[({width} + 2):]))[1]"
    return _text(f"coalesce({url}, '')")
