"""The regular expressions a filter may use: RE2 syntax, minus what the backends do not share.

Anchors, word boundaries, lazy quantifiers and case folding are refused rather than answered differently by each backend
(RFC 0005, section 5.3). A pattern matches anywhere in the value and respects case.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, Protocol

import re2

from pilothouse.formats.expression.errors import FilterError

MAX_PATTERN: Final = 1024
_MAX_PROGRAM_BYTES: Final = 1 << 20

# One token of RE2 syntax, as far as it matters here: quoted literals, escapes, character classes (in which a bracket may be
# escaped, first, or part of a [:name:]), group openings with flags, repetitions with their laziness, and anchors.
_TOKEN: Final = re.compile(
    r"""\\Q.*?(?:\\E|\Z)
      | (?P<escape>\\.)
      | \[\^?\]?(?:\\.|\[:\^?\w+:\]|[^\]\\])*\]
      | \(\?P?<\w+>
      | \(\?(?P<flags>[A-Za-z]*)(?:-[A-Za-z]*)?[:)]
      | (?P<repeat>[*+?]|\{\d+(?:,\d*)?\})(?P<lazy>\?)?
      | (?P<anchor>[\^$])
      | .""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES: Final = {
    "A": "an anchor",
    "z": "an anchor",
    "b": "a word boundary",
    "B": "a word boundary",
    "C": "a single-byte match",
}


class Pattern(Protocol):
    """What is used of a compiled RE2 pattern."""

    def search(self, text: str) -> object | None:
        """The first match in ``text``, ``None`` without one."""


@lru_cache(maxsize=256)
def compile_pattern(pattern: str) -> Pattern:
    """Compiles ``pattern``, which ``check`` has accepted, with bounded memory."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MAX_PROGRAM_BYTES
    compiled: Pattern = re2.compile(pattern, options)
    return compiled


def check(pattern: str) -> None:
    """Refuses a pattern that is too long, no RE2, or beyond what every backend shares.

    Raises:
        FilterError: naming what is wrong; it carries no place, which the caller knows.
    """
    if len(pattern) > MAX_PATTERN:
        raise FilterError(f"the pattern has {len(pattern)} characters, more than {MAX_PATTERN}")
    try:
        compile_pattern(pattern)
    except re2.error as error:
        detail = error.args[0] if error.args else "unknown reason"
        text = detail.decode("utf-8", "replace") if isinstance(detail, bytes) else str(detail)
        raise FilterError(f"the pattern is no RE2 regular expression: {text}") from None
    for token in _TOKEN.finditer(pattern):
        refused = _refused(token)
        if refused:
            raise FilterError(
                f"the pattern contains {refused} ({token[0]!r}), which the backends do not share",
                remedy="A pattern matches anywhere in the value and respects case; use = for the whole value.",
            )


def _refused(token: re.Match[str]) -> str | None:
    if token["anchor"]:
        return "an anchor"
    if token["escape"]:
        return _ESCAPES.get(token[0][1])
    if token["flags"] and set(token["flags"]) & set("iU"):
        return "a flag for case folding or lazy matching"
    return "a lazy quantifier" if token["lazy"] else None
