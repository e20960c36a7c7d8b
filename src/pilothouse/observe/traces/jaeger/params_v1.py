"""The parameters of Jaeger's first-generation HTTP API: times in micro- or milliseconds, durations in Go's syntax."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from pilothouse.formats import ids
from pilothouse.kit.errors import InvalidInput
from pilothouse.kit.units import DAY, MILLISECOND
from pilothouse.observe.traces.jaeger.params import (
    DEFAULT_LIMIT,
    Bounds,
    Params,
    Search,
    boolean,
    duration,
    instant,
    integer,
    json_map,
)

_MICROSECOND: Final = 1_000


class ById(Struct, frozen=True):
    """Traces asked for by id, and where in time to look for them (``None``: everywhere)."""

    trace_ids: tuple[bytes, ...]
    start: int | None = None
    end: int | None = None
    raw: bool = False


def window(params: Params) -> tuple[int | None, int | None]:
    """``start`` and ``end``, both inclusive to the microsecond, as nanoseconds with an exclusive end."""
    start = params.read(instant(_MICROSECOND), None, "start")
    end = params.read(instant(_MICROSECOND), None, "end")
    return start, None if end is None else end + _MICROSECOND


def get_trace(params: Params, text: str) -> ById:
    """One trace, its id from the path."""
    start, end = window(params)
    return ById((trace_id(text),), start, end, params.read(boolean, False, "raw"))


def trace_id(text: str) -> bytes:
    """A trace id in hex, leading zeros optional."""
    if len(text) > 2 * ids.TRACE_ID_BYTES:
        raise InvalidInput(f"TraceID cannot be longer than 32 hex characters: {text[:64]}")
    return ids.trace_id(text)


def search(params: Params, *, now: int, lookback: int, max_limit: int) -> Search | ById:
    """A search, or a list of traces when any ``traceID`` is given.

    Args:
        params: Of the request.
        now: Nanoseconds since the epoch.
        lookback: Nanoseconds a search without ``start`` looks back.
        max_limit: The largest ``limit``.

    Raises:
        InvalidInput: In Jaeger's words.
    """
    start, end = window(params)
    tags = _tags(params)
    limit = params.read(integer, DEFAULT_LIMIT, "limit")
    shortest, longest = duration(params, "minDuration"), duration(params, "maxDuration")
    wanted = tuple(dict.fromkeys(_wanted_id(text) for text in params.all("traceID")))
    raw = params.read(boolean, False, "raw")
    if wanted:
        return ById(wanted, start, end, raw)
    if limit <= 0:
        raise InvalidInput("invalid parameter: limit must be greater than 0")
    if limit > max_limit:
        raise InvalidInput(f"invalid parameter: limit must not be greater than {max_limit}")
    start = max(0, now - lookback) if start is None else start
    end = now + _MICROSECOND if end is None else end
    if start > end:
        raise InvalidInput("invalid parameter: start time must be before end time")
    if shortest and longest and longest < shortest:
        raise InvalidInput("'maxDuration' should be greater than 'minDuration'")
    bounds = Bounds(start, end, shortest, longest, limit)
    return Search(bounds.query(params.get("service"), params.get("operation"), tags), raw)


def dependencies(params: Params, *, now: int) -> tuple[int, int]:
    """The window of ``endTs`` and ``lookback`` (milliseconds; now and a day), as nanoseconds."""
    end = params.read(instant(MILLISECOND), now, "endTs")
    lookback = params.read(integer, DAY // MILLISECOND, "lookback") * MILLISECOND
    return max(0, end - lookback), end


def _wanted_id(text: str) -> bytes:
    try:
        return trace_id(text)
    except InvalidInput as error:
        raise InvalidInput(f"cannot parse traceID param: {error.sentence()}") from None


def _tags(params: Params) -> dict[str, str]:
    tags: dict[str, str] = {}
    for text in params.all("tag"):
        key, colon, value = text.partition(":")
        if not colon:
            raise InvalidInput(f"malformed 'tag' parameter, expecting key:value, received: {text}")
        tags[key] = value
    for text in params.all("tags"):
        if text:
            try:
                tags |= json_map(text)
            except InvalidInput as error:
                raise InvalidInput(f"malformed 'tags' parameter, cannot unmarshal JSON: {error.sentence()}") from None
    if "" in tags:
        raise InvalidInput("malformed 'tag' parameter, expecting key:value, received an empty key")
    return tags
