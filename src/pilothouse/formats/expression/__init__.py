"""Trace filters: one tree, two notations, one meaning.

>>> from pilothouse.formats.expression import decode_text
>>> decode_text("not status = error")
Not(arg=Compare(op='eq', left=Field(level='span', name='status'), right=Constant(type='string', value='error')))

``ast`` holds the tree and says what it means; ``structured`` and ``text`` read it from Jaeger's JSON and from our filter
language; ``evaluate`` is the reference for what compiled filters have to answer.
"""

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
    Readings,
    Reference,
    Some,
    readings,
)
from pilothouse.formats.expression.errors import FilterError
from pilothouse.formats.expression.evaluate import matches
from pilothouse.formats.expression.structured import decode as decode_json
from pilothouse.formats.expression.structured import from_object
from pilothouse.formats.expression.text import decode as decode_text

__all__ = [
    "FIELDS",
    "And",
    "Attribute",
    "Compare",
    "Constant",
    "Exists",
    "Expression",
    "Field",
    "FilterError",
    "In",
    "Match",
    "Not",
    "Or",
    "Readings",
    "Reference",
    "Some",
    "decode_json",
    "decode_text",
    "from_object",
    "matches",
    "readings",
]
