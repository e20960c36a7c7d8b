"""What ``traces search`` and ``traces export`` are asked, turned into parameters of ``/api/traces/search``.

Times become absolute here, so that all pages of one search look at the same hour.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from pilothouse.formats import rfc3339
from pilothouse.formats.expression.errors import FilterError as FilterError  # so that the server's comes back as itself
from pilothouse.kit.errors import InvalidInput, UsageError
from pilothouse.kit.units import parse_duration

_F = TypeVar("_F", bound=Callable[..., Any])


def search_options(command: _F) -> _F:
    """Adds the options that ``parameters`` takes by name."""
    options = (
        click.option("--service", help="Of a span."),
        click.option("--operation", help="A span's name."),
        click.option("--status", type=click.Choice(["unset", "ok", "error"]), help="Of a span."),
        click.option("--min-duration", metavar="TIME", help="Of a span, such as 250ms."),
        click.option("--max-duration", metavar="TIME", help="Of a span, such as 1.5s."),
        click.option(
            "--attr", multiple=True, metavar="KEY=VALUE", help="Attribute of a span or its resource; repeatable."
        ),
        click.option(
            "--filter",
            "text",
            metavar="TEXT",
            help="Such as 'http.response.status_code >= 500 and not service = cart'.",
        ),
        click.option("--since", metavar="TIME", help="How far back to look, such as 30m or 7d [default: 1h]."),
        click.option("--start", metavar="WHEN", help="RFC 3339, nanoseconds, or relative such as -2h."),
        click.option("--end", metavar="WHEN", help="Like --start [default: now]."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def parameters(
    now: int,
    *,
    service: str | None = None,
    operation: str | None = None,
    status: str | None = None,
    min_duration: str | None = None,
    max_duration: str | None = None,
    attr: Sequence[str] = (),
    text: str | None = None,
    since: str | None = None,
    start: str | None = None,
    end: str | None = None,
) -> dict[str, object]:
    """The parameters of a search at ``now`` (ns); absent ones are ``None``.

    Raises:
        UsageError: A time or an attribute cannot be read.
    """
    first, last = window(now, since, start, end)
    return {
        "service": service or None,
        "operation": operation or None,
        "status": status,
        "minDuration": min_duration,
        "maxDuration": max_duration,
        "filter": combined_filter(text, attr) or None,
        "start": str(first),
        "end": str(last),
    }


def window(now: int, since: str | None = None, start: str | None = None, end: str | None = None) -> tuple[int, int]:
    """The nanoseconds at which a search starts and ends; without options, the hour until ``now``.

    Raises:
        UsageError: A time cannot be read, or ``since`` and ``start`` are both given.
    """
    if since and start:
        raise UsageError("--since and --start both say where to begin", remedy="Give one of them.")
    last = _moment("--end", end, now) if end else now
    first = _moment("--start", start, now) if start else last - _duration("--since", since or "1h")
    if first >= last:
        raise UsageError("the search ends before it begins", where="--start, --end")
    return first, last


def combined_filter(text: str | None, attributes: Sequence[str] = ()) -> str:
    """One filter from ``--filter`` and every ``--attr KEY=VALUE``; a key is taken literally, dots and all.

    Raises:
        UsageError: An attribute has no ``=`` or no key.
    """
    conditions = [f"({text})" if attributes else text] if text else []
    for attribute in attributes:
        key, equals, value = attribute.partition("=")
        if not equals or not key:
            raise UsageError(f"{attribute!r} is no attribute", where="--attr", remedy="Write KEY=VALUE.")
        conditions.append(f"{_quoted(key)} = {_quoted(value)}")
    return " and ".join(conditions)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _moment(option: str, text: str, now: int) -> int:
    if text == "now":
        return now
    if text.startswith("-"):
        return now - _duration(option, text[1:])
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        return rfc3339.parse(text)
    except InvalidInput:
        raise UsageError(
            f"{text!r} is no time", where=option, remedy="Write 2026-01-31T12:00:00Z, -2h, or nanoseconds."
        ) from None


def _duration(option: str, text: str) -> int:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(str(error), where=option) from None
