"""The parameters of Jaeger's second-generation HTTP API: camelCase names with snake_case aliases, RFC 3339 times."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from pilothouse.formats import ids, rfc3339
from pilothouse.formats.expression import Expression, FilterError, decode_json
from pilothouse.kit.errors import InvalidInput
from pilothouse.observe.traces.jaeger.params import (
    DEFAULT_LIMIT,
    Bounds,
    Params,
    Search,
    boolean,
    duration,
    integer,
    json_map,
    within_range,
)

#: The older predicates with their aliases; ``query.span_name`` is what some releases of Jaeger UI send.
_LEGACY: Final = (
    ("query.serviceName", "query.service_name"),
    ("query.operationName", "query.operation_name", "query.span_name"),
    ("query.durationMin", "query.duration_min"),
    ("query.durationMax", "query.duration_max"),
    ("query.attributes",),
)
_DEPTH: Final = ("query.searchDepth", "query.search_depth", "query.num_traces")
_PAGE_SIZE: Final = "query.pagination.pageSize"
_PAGE_TOKEN: Final = "query.pagination.pageToken"  # noqa: S105 - a parameter's name


class GetTrace(Struct, frozen=True):
    """One trace by id, and where in time to look for it."""

    trace_id: bytes
    start: int | None = None
    end: int | None = None
    raw: bool = False


def instant(text: str) -> int:
    """An RFC 3339 time as nanoseconds. Grafana sends the ``+`` of an offset unescaped, which arrives as a space."""
    return within_range(rfc3339.parse(text.replace(" ", "+")))


def get_trace(params: Params, text: str) -> GetTrace:
    """The trace whose id, in hex or base64, stands in the path."""
    try:
        trace_id = ids.trace_id(text)
    except InvalidInput as error:
        raise params.wrong("trace_id", error.sentence()) from None
    return GetTrace(
        trace_id,
        params.read(instant, None, "startTime", "start_time"),
        params.read(instant, None, "endTime", "end_time"),
        params.read(boolean, False, "rawTraces", "raw_traces"),
    )


def dependencies(params: Params) -> tuple[int, int]:
    """The window, both ends required."""
    start = params.read(instant, None, "startTime", "start_time")
    end = params.read(instant, None, "endTime", "end_time")
    if start is None or end is None:
        raise InvalidInput("startTime and endTime are required")
    if start > end:
        raise InvalidInput("startTime must be before endTime")
    return start, end


def paginated(params: Params) -> bool:
    """Whether the client asked for pages."""
    return bool(params.get(_PAGE_SIZE) or params.get(_PAGE_TOKEN))


def search(params: Params, *, max_limit: int) -> Search:
    """A search for traces or summaries.

    Args:
        params: Of the request.
        max_limit: The largest search depth or page size.

    Raises:
        InvalidInput: In Jaeger's words.
    """
    service, operation = params.get(*_LEGACY[0]), params.get(*_LEGACY[1])
    tags: dict[str, str] = params.read(json_map, dict[str, str](), "query.attributes")
    if "" in tags:
        raise params.wrong("query.attributes", "an attribute has no key")
    expression = _filter(params)
    start = params.read(instant, None, "query.startTimeMin", "query.start_time_min")
    end = params.read(instant, None, "query.startTimeMax", "query.start_time_max")
    if start is None or end is None:
        raise InvalidInput("query.startTimeMin and query.startTimeMax are required")
    if start >= end:
        raise InvalidInput("query.startTimeMin must be before query.startTimeMax")
    shortest, longest = duration(params, *_LEGACY[2]), duration(params, *_LEGACY[3])
    if shortest and longest and longest < shortest:
        raise params.wrong(params.find(*_LEGACY[3])[0], "it is less than query.durationMin")
    raw = params.read(boolean, False, "query.rawTraces", "query.raw_traces")
    bounds = Bounds(start, end, shortest, longest, _limit(params, max_limit))
    return Search(bounds.query(service, operation, tags, expression, params.get(_PAGE_TOKEN)), raw)


def exclude_legacy(given: list[str]) -> None:
    """Refuses the older predicate fields ``given`` beside a filter."""
    if given:
        raise InvalidInput(f"query.filter excludes {', '.join(given)}; say it within the filter")


def _filter(params: Params) -> Expression | None:
    text = params.get("query.filter")
    if not text:
        return None
    exclude_legacy([name for name, value in (params.find(*names) for names in _LEGACY) if value])
    try:
        return decode_json(text, "query.filter")
    except FilterError as error:
        raise params.wrong("query.filter", error.sentence()) from None


def _limit(params: Params, most: int) -> int:
    if not paginated(params):
        name, limit = params.find(*_DEPTH)[0], params.read(integer, 0, *_DEPTH)
        if not 0 <= limit <= most:
            raise params.wrong(name, f"{limit} is not within 0 and {most}")
        return limit or DEFAULT_LIMIT
    if params.get(*_DEPTH):
        raise InvalidInput("query.pagination excludes query.searchDepth; say how many in query.pagination.pageSize")
    size = params.read(integer, 0, _PAGE_SIZE)
    if not 0 < size <= most:
        raise params.wrong(_PAGE_SIZE, f"{size} is not within 1 and {most}")
    return size
