"""What a filter asks of the row's resource and scope, which lie in dictionaries of their own.

A question is put into the SQL of the filter as a mark and answered when all are known. A few are subqueries each, which is the
plain form that DuckDB turns into joins. Many would be as many joins, and within a lambda DuckDB takes no subquery at all; so
then every dictionary is read once, all its answers in a list by number, and handed into the condition.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

from msgspec import Struct

from pilothouse.observe.traces.filter_values import FALSE, all_of

Dictionary = Literal["resources", "scopes"]
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
    alone: bool
    condition: bool


class Questions:
    """Collects the questions of one filter to the dictionaries of one segment."""

    def __init__(self, segment: int) -> None:
        self._segment = segment
        self._asked: list[_Question] = []

    def ask(self, dictionary: Dictionary, sql: str, *, alone: bool, condition: bool) -> str:
        """The mark that stands for ``sql``, which reads the row ``g`` of the dictionary.

        Args:
            dictionary: Its name.
            sql: An expression.
            alone: Whether a subquery may take the mark's place.
            condition: Whether ``sql`` is true or false (never NULL), and not a value.
        """
        question = _Question(dictionary, sql, alone, condition)
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
        for dictionary in _POINTERS:
            mine = [n for n in used if self._asked[n].dictionary == dictionary]
            yes_or_no = [n for n in mine if self._asked[n].condition]
            if yes_or_no:  # in one list: DuckDB plans a structure of hundreds of fields much more slowly
                columns.append(
                    self._column(dictionary, dictionary, f"[{', '.join(self._asked[n].sql for n in yes_or_no)}]")
                )
                answers |= {n: f"x0.{dictionary}[{place}]" for place, n in enumerate(yes_or_no, 1)}
            for n in mine:
                if n not in answers:
                    columns.append(self._column(f"h{n}", dictionary, self._asked[n].sql))
                    answers[n] = f"x0.h{n}"
        marked = _MARK.sub(lambda found: answers[int(found[1])], condition)
        return f"list_transform([struct_pack({', '.join(columns)})], lambda x0: {marked})[1]"

    def _column(self, name: str, dictionary: Dictionary, answer: str) -> str:
        """The answer for the row; entries are numbered from 0 without gaps, lists from 1."""
        return (
            f"{name} := list_extract((SELECT list({answer} ORDER BY {GROUP}.id) FROM {dictionary} {GROUP}"
            f" WHERE {GROUP}.segment = {self._segment}), {_POINTERS[dictionary]} + 1)"
        )
