"""Parameters of one SQL statement, numbered as they are needed."""

from __future__ import annotations

from collections.abc import Iterable


class Params:
    """Collects values and gives each its ``$n``; equal values of the same type share one."""

    def __init__(self) -> None:
        self.values: list[str | bytes | int | float] = []
        self._known: dict[tuple[type, object], str] = {}

    def one(self, value: str | bytes | int | float) -> str:
        """SQL for the value."""
        key = (type(value), value)
        if key not in self._known:
            self.values.append(value)
            self._known[key] = f"${len(self.values)}"
        return self._known[key]

    def many(self, values: Iterable[str | bytes | int | float]) -> str:
        """SQL for a list of values, to stand in ``IN (…)``."""
        return ", ".join(self.one(v) for v in values)
