"""The one error of this package: a filter that means nothing, with the place that is wrong."""

from __future__ import annotations

from pilothouse.kit.errors import InvalidInput


class FilterError(InvalidInput):
    """A filter cannot be understood.

    ``where`` is the field path in a structured filter (``query.filter.args[1].scalar``) or the position in a text filter.
    ``offset`` and ``length`` mark the wrong part of a text filter in characters (Unicode code points), for underlining;
    both are 0 in a structured one. ``length`` is 0 when something is missing at the end.
    """

    slug, title = "invalid-filter", "Invalid filter"

    def __init__(
        self, what: str, *, where: str | None = None, remedy: str | None = None, offset: int = 0, length: int = 0
    ) -> None:
        super().__init__(what, where=where, remedy=remedy)
        self.offset = offset
        self.length = length
