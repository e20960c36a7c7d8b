"""The tables of `docs/reference/limits-and-bad-input.md`: the tests hold the server to what they say."""

from __future__ import annotations

from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "limits-and-bad-input.md"


def rows(heading: str) -> list[dict[str, str]]:
    """The rows of the table below a heading, by column."""
    section = PAGE.read_text("utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    table = [line for line in section.splitlines() if line.startswith("|")]
    cells = [[cell.strip().replace("\\|", "|") for cell in line.strip("|").split(" | ")] for line in table]
    assert len(cells) > 2, f"no table below {heading!r} in {PAGE.name}"
    assert all(len(row) == len(cells[0]) for row in cells[2:]), heading
    return [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]
