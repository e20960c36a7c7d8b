"""What a filter asks of the row's resource and scope, which lie in dictionaries of their own.

A question is put into the SQL of the filter as a mark and answered when all are known. A few are subqueries each, which is the
plain form that DuckDB turns into joins. Many would be as many joins, and within a lambda DuckDB takes no subquery at all; so
then every dictionary is read once, all its answers in a list by number, and handed into the condition.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, get_args

from msgspec import Struct

from pilothouse.observe.traces.filter_values import FALSE, all_of

Dictionary = Literal["resources", "scopes"]
#: What an answer is: true or false (never NULL), a list of attributes, or a text. Answers of one kind share a list.
Answer = Literal["condition", "attributes", "text"]
#: The row of a dictionary, in what is asked of it.
GROUP: Final = "g"
#: Dictionary → the column of a row that points into it.
_POINTERS: Final[Mapping[Dictionary, str]] = {"resources": "r.resource_id", "scopes": "r.scope_id"}
#: Questions that are subqueries of their own.
_FEW: Final = 3
_MARK: Final = re.compile(r"\{(\d+)\}")


class _Question(Struct, frozen=True):
    dictionary: Dictionary
    sql: str
    answer: Answer
    alone: bool


class Questions:
    """Collects the questions of one filter to the dictionaries of one segment."""

    def __init__(self, segment: int) -> None:
        self._segment = segment
        self._asked: list[_Question] = []

    def ask(self, dictionary: Dictionary, sql: str, answer: Answer, *, alone: bool = False) -> str:
        """The mark that stands for ``sql``, which reads the row ``g`` of the dictionary.

        Args:
            dictionary: Its name.
            sql: An expression.
            answer: What it yields.
            alone: Whether a subquery may take the mark's place, if it is a condition.
        """
        question = _Question(dictionary, sql, answer, alone)
        if question not in self._asked:
            self._asked.append(question)
        return f"{{{self._asked.index(question)}}}"

    def answered(self, conditions: Iterable[str]) -> str:
        """SQL for "all conditions hold", the marks in them replaced."""
        parts = list(conditions)
        if all_of(parts) == FALSE:
            return FALSE
        asking = [part for part in parts if _MARK.search(part)]
        used = sorted({int(number) for part in asking for number in _MARK.findall(part)})
        if len(used) <= _FEW and all(self._asked[number].alone for number in used):
            return all_of(_MARK.sub(lambda found: self._subquery(int(found[1])), part) for part in parts)
        plain = [part for part in parts if part not in asking]
        return all_of([*plain, self._together(all_of(asking), used)])

    def _subquery(self, number: int) -> str:
        question = self._asked[number]
        return (
            f"({_POINTERS[question.dictionary]} IN (SELECT {GROUP}.id FROM {question.dictionary} {GROUP}"
            f" WHERE {GROUP}.segment = {self._segment} AND {question.sql}))"
        )

    def _together(self, condition: str, used: Sequence[int]) -> str:
        columns: list[str] = []
        answers: dict[int, str] = {}
        for dictionary, pointer in _POINTERS.items():
            for kind in get_args(Answer):
                mine = [n for n in used if (self._asked[n].dictionary, self._asked[n].answer) == (dictionary, kind)]
                if not mine:
                    continue
                # Entries are numbered from 0 without gaps, and lists from 1.
                made = ", ".join(self._asked[n].sql for n in mine)
                columns.append(
                    f"{dictionary}_{kind} := list_extract((SELECT list([{made}] ORDER BY {GROUP}.id) FROM {dictionary}"
                    f" {GROUP} WHERE {GROUP}.segment = {self._segment}), {pointer} + 1)"
                )
                answers |= {n: f"x0.{dictionary}_{kind}[{place}]" for place, n in enumerate(mine, 1)}
        marked = _MARK.sub(lambda found: answers[int(found[1])], condition)
        return f"list_transform([struct_pack({', '.join(columns)})], lambda x0: {marked})[1]"
