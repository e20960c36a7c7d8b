"""Hypothesis strategies for filters, and their two notations, to check what is read against what was written."""

import json
from typing import Any

from hypothesis import strategies as st
from tests.formats.strategies import int64, text

from pilothouse.formats import goduration, rfc3339
from pilothouse.formats.expression.ast import (
    FIELDS,
    And,
    Attribute,
    Compare,
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
)
from pilothouse.formats.otlp.model import KINDS, STATUS_CODES

words = text.filter(bool)
keys = st.sampled_from(["a", "b.c", "name", "event.name", "and", "k k", 'q"', "resource.x", "\\"]) | words
patterns = st.sampled_from(["a", "a.c", "[x^$]+", "(a|b){2}", r"\d\.", "\\Q^$\\E", "(?s)x", "(?P<n>a)"])

attributes = st.builds(Attribute, keys, st.sampled_from([None, *FIELDS]))
fields = st.sampled_from([Field(level, name) for level, names in FIELDS.items() for name in names])
ORDERED = ("gt", "gte", "lt", "lte")


def constant_for(reference: Reference) -> st.SearchStrategy[Constant]:
    """Constants that may stand beside a reference, as they are after resolution."""
    if isinstance(reference, Attribute):
        return st.one_of(
            st.builds(Constant, st.just("any"), text | st.sampled_from(["200", "true", "1.5"])),
            st.builds(Constant, st.just("string"), text),
            st.builds(Constant, st.just("int"), int64),
            st.builds(Constant, st.just("double"), st.floats(allow_nan=False)),
            st.builds(Constant, st.just("bool"), st.booleans()),
        )
    return {
        "duration": st.builds(Constant, st.just("duration"), int64),
        "time": st.builds(Constant, st.just("time"), st.integers(0, 2**63)),
        "kind": st.builds(Constant, st.just("string"), st.sampled_from(KINDS)),
        "status": st.builds(Constant, st.just("string"), st.sampled_from(STATUS_CODES)),
        "id": st.builds(
            Constant, st.just("string"), st.binary(min_size=8, max_size=8).map(bytes.hex).map(lambda x: x * 2)
        ),
        "text": st.builds(Constant, st.just("string"), text),
    }[reference.type]


def orderable(reference: Reference, constant: Constant) -> bool:
    return constant.type != "bool" and not (isinstance(reference, Field) and reference.type in ("kind", "status"))


@st.composite
def comparisons(draw: st.DrawFn) -> Compare:
    reference = draw(attributes | fields)
    constant = draw(constant_for(reference))
    operators = ["eq", "ne", *(ORDERED if orderable(reference, constant) else ())]
    return Compare(draw(st.sampled_from(operators)), reference, constant)


@st.composite
def memberships(draw: st.DrawFn) -> In:
    reference = draw(attributes | fields)
    first = draw(constant_for(reference).filter(lambda constant: constant.type != "any"))
    rest = draw(st.lists(constant_for(reference).filter(lambda constant: constant.type == first.type), max_size=2))
    return In(reference, (first, *rest), draw(st.booleans()))


matchable = attributes | fields.filter(lambda field: field.type not in ("duration", "time"))
leaves = st.one_of(
    comparisons(),
    memberships(),
    st.builds(Exists, attributes | fields),
    st.builds(Match, matchable, patterns),
    st.builds(Compare, st.sampled_from(["eq", "ne", *ORDERED]), attributes, attributes),
)


def branches(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    several = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return st.builds(And, several) | st.builds(Or, several) | st.builds(Not, inner)


plain = st.recursive(leaves, branches, max_leaves=6)
some = st.builds(Some, st.sampled_from(["event", "link"]), plain)
expressions = plain | some | st.builds(Not, some)


def undeclared(leaf: Expression) -> Expression:
    """The text language declares no types: its constants beside attributes are of type ``any``."""
    match leaf:
        case In(subject=Attribute()):
            return In(leaf.subject, tuple(Constant("any", constant_text(value)) for value in leaf.values), leaf.negated)
        case Compare(left=Attribute(), right=Constant() as constant):
            return Compare(leaf.op, leaf.left, Constant("any", constant_text(constant)))
        case Compare(right=Attribute()):
            return Exists(leaf.left)
        case _:
            return leaf


textual = st.recursive(leaves.map(undeclared), branches, max_leaves=6)


def constant_text(constant: Constant) -> str:
    match constant:
        case Constant(type="duration", value=int(ns)):
            return goduration.render(ns)
        case Constant(type="time", value=int(ns)):
            return rfc3339.render(ns)
        case Constant(type="bool"):
            return "true" if constant.value else "false"
        case Constant(type="double"):
            return repr(constant.value)
        case _:
            return str(constant.value)


def reference_object(reference: Reference) -> dict[str, Any]:
    if isinstance(reference, Field):
        return {"field": {"level": reference.level, "name": reference.name}}
    return {"attr": {"key": reference.key} | ({"level": reference.level} if reference.level else {})}


def declared(reference: Reference, constant: Constant) -> dict[str, Any]:
    """The type on the wire, which has none for what a field supplies."""
    return {"type": constant.type} if isinstance(reference, Attribute) and constant.type != "any" else {}


def call(expression: Expression) -> dict[str, Any]:
    """The JSON form of a filter."""
    match expression:
        case And() | Or():
            op, args = type(expression).__name__.lower(), [{"call": call(arg)} for arg in expression.args]
        case Not():
            op, args = "not", [{"call": call(expression.arg)}]
        case Some():
            op, args = "some", [{"nested": {"level": expression.level}}, {"call": call(expression.predicate)}]
        case Exists():
            op, args = "exists", [reference_object(expression.subject)]
        case Match():
            op, args = "regex", [reference_object(expression.subject), {"scalar": {"value": expression.pattern}}]
        case In():
            values = {"values": [constant_text(value) for value in expression.values]}
            op = "not_in" if expression.negated else "in"
            args = [
                reference_object(expression.subject),
                {"list": values | declared(expression.subject, expression.values[0])},
            ]
        case Compare(right=Constant() as constant):
            scalar = {"value": constant_text(constant)} | declared(expression.left, constant)
            op, args = expression.op, [reference_object(expression.left), {"scalar": scalar}]
        case Compare(right=Attribute() | Field() as right):
            op, args = expression.op, [reference_object(expression.left), reference_object(right)]
    return {"op": op, "args": args}


def op_call(op: str, *args: dict[str, Any]) -> str:
    """One call, as text."""
    return json.dumps({"op": op, "args": list(args)})


def quote(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def reference_text(reference: Reference) -> str:
    if isinstance(reference, Field):
        return f"{reference.level}.{reference.name}"
    return (f"{reference.level}." if reference.level else "") + quote(reference.key)


SYMBOLS = {"eq": "=", "ne": "!=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


def written(expression: Expression) -> str:
    """The text form of a filter, for those that have one."""
    match expression:
        case And() | Or():
            return f" {type(expression).__name__.lower()} ".join(f"({written(arg)})" for arg in expression.args)
        case Not():
            return f"not ({written(expression.arg)})"
        case Exists():
            return f"{reference_text(expression.subject)} exists"
        case Match():
            return f"{reference_text(expression.subject)} ~ {quote(expression.pattern)}"
        case In():
            values = ", ".join(quote(constant_text(value)) for value in expression.values)
            return f"{reference_text(expression.subject)} {'not ' if expression.negated else ''}in ({values})"
        case Compare(right=Constant() as constant):
            return f"{reference_text(expression.left)}{SYMBOLS[expression.op]}{quote(constant_text(constant))}"
        case _:
            raise ValueError(f"the text language cannot say {expression}")
