"""A filter as SQL over the rows of one segment.

``compiled`` walks the tree; ``filter_sources`` knows where values lie and ``filter_values`` what may be asked of them. What a
tree means is defined by ``formats.expression``, whose evaluator the tests hold this against. Every form of filter has its SQL,
so nothing is refused here and nothing is left out.

The plain forms become plain comparisons of columns, which DuckDB evaluates fastest: ``service = "shop"`` is ``r.service = $1``,
and ``http.status_code >= 500`` is ``r.shape IN (…) AND r.ints[1] >= 500`` for each place that a shape has the key in.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from pilothouse.formats.expression import (
    And,
    Compare,
    Constant,
    Exists,
    Expression,
    In,
    Match,
    Not,
    Or,
    Reference,
    Some,
)
from pilothouse.formats.expression.ast import Comparison
from pilothouse.observe.traces.filter_groups import Questions
from pilothouse.observe.traces.filter_sources import ELEMENT, Kind, Scene, Source, Sources, exists
from pilothouse.observe.traces.filter_values import (
    FALSE,
    Equals,
    Matches,
    Ordered,
    Present,
    all_of,
    any_of,
    none_of,
)
from pilothouse.observe.traces.keys import SegmentKeys
from pilothouse.observe.traces.params import Params

_PARAMETER: Final = re.compile(r"\$(\d+)")
#: Lists whose values compare with each other; whole numbers as such where both are.
_NUMBERS: Final[Sequence[tuple[Kind, Kind]]] = (
    ("int", "int"),
    ("double", "double"),
    ("double", "int as double"),
    ("int as double", "double"),
)
_EQUAL_KINDS: Final[Sequence[tuple[Kind, Kind]]] = (("string", "string"), ("bool", "bool"), *_NUMBERS)
_ORDERED_KINDS: Final[Sequence[tuple[Kind, Kind]]] = (("string", "string"), *_NUMBERS)


def compiled(expression: Expression, keys: SegmentKeys, segment: int, params: Params) -> str:
    """The condition under which a row ``r`` of ``segment`` satisfies ``expression``: SQL that is true or false, never NULL.

    Args:
        expression: A tree made by ``formats.expression``.
        keys: Of this segment, read in the snapshot that the SQL will see.
        segment: Its number.
        params: Takes every value that comes from the expression.
    """
    # Conditions fold, and DuckDB refuses parameters that a statement does not use: those that are left are counted afterwards.
    draft = Params()
    questions = Questions(segment)
    compiler = _Compiler(Sources(keys, questions, draft), draft)
    conjuncts = expression.args if isinstance(expression, And) else (expression,)
    sql = questions.answered(compiler.condition(conjunct, Scene()) for conjunct in conjuncts)
    return _PARAMETER.sub(lambda found: params.one(draft.values[int(found[1]) - 1]), sql)


class _Compiler:
    def __init__(self, sources: Sources, params: Params) -> None:
        self._sources, self._params = sources, params

    def condition(self, node: Expression, scene: Scene) -> str:
        match node:
            case And():
                return all_of([self.condition(arg, scene) for arg in node.args])
            case Or():
                return any_of([self.condition(arg, scene) for arg in node.args])
            case Not():
                return none_of(self.condition(node.arg, scene))
            case Exists():
                return self._present(node.subject, scene)
            case Match():
                found = self._sources.of(node.subject, scene)
                return self._sources.some(found, Matches(node.pattern, self._params), scene)
            case In():
                return self._equals(node.subject, node.values, scene, negated=node.negated)
            case Some():
                return self._quantified(node, scene)
            case Compare():
                return self._compared(node, scene)

    def _present(self, reference: Reference, scene: Scene) -> str:
        return self._sources.some(self._sources.of(reference, scene), Present(), scene)

    def _equals(self, reference: Reference, constants: Sequence[Constant], scene: Scene, *, negated: bool) -> str:
        test = Equals(constants, self._params)
        equal = self._sources.some(self._sources.of(reference, scene), test, scene)
        return all_of([self._present(reference, scene), none_of(equal)]) if negated else equal

    def _quantified(self, node: Some, scene: Scene) -> str:
        predicate = self.condition(node.predicate, Scene(scene.bound | {node.level}))
        return exists(f"r.{node.level}s", ELEMENT[node.level], predicate)

    def _compared(self, node: Compare, scene: Scene) -> str:
        op, left, right = node.op, node.left, node.right
        if isinstance(right, Constant):
            if op in ("eq", "ne"):
                return self._equals(left, (right,), scene, negated=op == "ne")
            return self._sources.some(self._sources.of(left, scene), Ordered(op, right, self._params), scene)
        lefts, rights = self._sources.of(left, scene), self._sources.of(right, scene)
        if op == "ne":
            equal = self._pairs("eq", lefts, rights)
            return all_of([self._present(left, scene), self._present(right, scene), none_of(equal)])
        return self._pairs(op, lefts, rights)

    def _pairs(self, op: Comparison, lefts: Sequence[Source], rights: Sequence[Source]) -> str:
        """Whether a value of one side compares with one of the other: for an order, the extremes tell."""
        found = []
        for kind, other in _EQUAL_KINDS if op == "eq" else _ORDERED_KINDS:
            a, b = self._sources.collected(lefts, kind), self._sources.collected(rights, other)
            if a is None or b is None:
                continue
            match op:
                case "gt" | "gte":
                    pair = f"list_max({a}) {'>' if op == 'gt' else '>='} list_min({b})"
                case "lt" | "lte":
                    pair = f"list_min({a}) {'<' if op == 'lt' else '<='} list_max({b})"
                case _:
                    pair = f"list_has_any({a}, {b})"
            found.append(f"coalesce({pair}, FALSE)")
        return any_of(found) if found else FALSE
