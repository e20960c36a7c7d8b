"""What a person sees: one table printer, one progress display, one set of output formats.

Answers go to standard output, everything else to standard error. In a pipe there are no colours, no progress and no cut-off
columns, so that ``pilothouse … | grep`` sees what a person saw. ``rich`` is imported only when something is drawn.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeVar

import click

if TYPE_CHECKING:
    from rich.console import Console

Output = Literal["table", "json", "yaml"]
OUTPUTS: Final = ("table", "json", "yaml")
#: Columns of a table that goes to a pipe or a file: wide enough that nothing is cut.
_PIPE_WIDTH: Final = 10_000

_F = TypeVar("_F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Attributes:
        key: Of the row; ``a.b`` reaches into nested objects.
        title: Its heading; the key in capitals when empty.
        show: Turns the value into text; by default ``str``, with an absent value left blank.
        right: Align right, for numbers.
        style: A rich style for the cells, such as ``bold`` or ``dim``.
    """

    key: str
    title: str = ""
    show: Callable[[Any], str] | None = None
    right: bool = False
    style: str = ""


def output_option(command: _F) -> _F:
    """Adds ``-o/--output table|json|yaml``, passed as ``output``."""
    option = click.option(
        "-o", "--output", type=click.Choice(OUTPUTS), default="table", show_default=True, help="Form of the answer."
    )
    return option(command)


def server_options(command: _F) -> _F:
    """Adds ``--server URL`` and ``--config FILE``, passed as ``server`` and ``config_file``."""
    for option in (
        click.option(
            "--config",
            "config_file",
            type=click.Path(dir_okay=False),
            help="Configuration file to read the address from.",
        ),
        click.option("--server", default="", metavar="URL", help="Server to ask [default: from the configuration]."),
    ):
        command = option(command)
    return command


def console() -> Console:
    """A rich console on standard output."""
    from rich.console import Console

    return Console(
        highlight=False, soft_wrap=not sys.stdout.isatty(), width=None if sys.stdout.isatty() else _PIPE_WIDTH
    )


def error_console() -> Console:
    """A rich console on standard error."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def note(text: str) -> None:
    """Tells a person something that is not the answer; silent when standard error is not a terminal."""
    if sys.stderr.isatty():
        error_console().print(text, style="dim", markup=False)


def print_rows(rows: Sequence[Any], columns: Sequence[Column], output: Output = "table", *, empty: str = "") -> None:
    """Prints rows as a table, or as they are in JSON or YAML.

    Args:
        rows: Mappings (usually decoded JSON).
        columns: Of the table; the other forms print everything.
        output: The form.
        empty: Said on standard error instead of an empty table.
    """
    if output != "table":
        print_value(list(rows), output)
        return
    if not rows and empty:
        note(empty)
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_edge=False, header_style="bold")
    for column in columns:
        # A pipe gets no wrapping either: one row is one line.
        table.add_column(
            column.title or column.key.upper(),
            justify="right" if column.right else "left",
            no_wrap=not sys.stdout.isatty(),
        )
    for row in rows:
        table.add_row(*(Text(plain(_cell(row, column)), style=column.style) for column in columns))
    console().print(table)


def print_value(value: Any, output: Output = "json") -> None:
    """Prints one JSON-like value as JSON (``table`` too) or YAML."""
    if output == "yaml":
        import yaml

        text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120)
    else:
        text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    sys.stdout.write(text)


def print_pairs(pairs: Mapping[str, object]) -> None:
    """Prints names and values, one pair on a line."""
    width = max(map(len, pairs), default=0)
    for name, value in pairs.items():
        sys.stdout.write(f"{name:<{width}}  {plain(str(value))}\n")


def plain(text: str) -> str:
    """``text`` without control characters: data from elsewhere must not drive the terminal."""
    return "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in text)


class Progress(Protocol):
    """A task whose advance is drawn."""

    def advance(self, amount: float = 1) -> None:
        """Moves on by ``amount`` of the total."""
        ...

    def describe(self, text: str) -> None:
        """Changes what is said beside the bar."""
        ...


class _Silent:
    def advance(self, amount: float = 1) -> None:
        """Draws nothing."""

    def describe(self, text: str) -> None:
        """Draws nothing."""


class _Bar:
    def __init__(self, bar: Any, task: Any) -> None:
        self._bar, self._task = bar, task

    def advance(self, amount: float = 1) -> None:
        self._bar.advance(self._task, amount)

    def describe(self, text: str) -> None:
        self._bar.update(self._task, description=text)


@contextmanager
def progress(text: str, total: float | None = None) -> Iterator[Progress]:
    """Draws progress on standard error while the block runs; nothing when that is not a terminal.

    Args:
        text: What is being done.
        total: How much there is; a spinner when unknown.
    """
    if not sys.stderr.isatty():
        yield _Silent()
        return
    from rich import progress as rich_progress

    columns: list[Any] = [rich_progress.SpinnerColumn(), rich_progress.TextColumn("{task.description}")]
    if total is not None:
        columns += [rich_progress.BarColumn(), rich_progress.MofNCompleteColumn(), rich_progress.TimeRemainingColumn()]
    with rich_progress.Progress(*columns, console=error_console(), transient=True) as bar:
        yield _Bar(bar, bar.add_task(text, total=total))


def _cell(row: Any, column: Column) -> str:
    value: Any = row
    for part in column.key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else getattr(value, part, None)
    if column.show is not None:
        return column.show(value)
    return "" if value is None else str(value)
