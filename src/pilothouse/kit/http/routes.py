"""From endpoints to Starlette routes: decode text to typed parameters, call, encode the value.

Nothing is guessed: an unknown parameter, a repeated scalar or a body of another media type is refused by name, because a
misspelt filter that is silently ignored gives a wrong answer that looks right.
"""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Match, Route
from starlette.types import ASGIApp

from pilothouse.kit.errors import InvalidInput, PilothouseError, UnsupportedMediaType
from pilothouse.kit.http.endpoint import Endpoint, Event
from pilothouse.kit.http.guard import SCOPE_ID, SCOPE_ROUTE, SCOPE_STOPPING, read_body
from pilothouse.kit.http.problems import from_http_exception, problem, problem_response

#: Seconds between comments on an idle event stream: keeps proxies from closing it and finds dead clients.
_HEARTBEAT = 15.0

_P = TypeVar("_P", bound=msgspec.Struct)


def routes(prefix: str, endpoints: Sequence[Endpoint]) -> list[Route]:
    """A route for each endpoint below ``prefix``, literal paths before those with a name in braces."""

    def specificity(endpoint: Endpoint) -> list[bool]:
        return ["{" in part for part in endpoint.path.split("/")]

    return [_route(prefix, endpoint) for endpoint in sorted(endpoints, key=specificity)]


def closed(prefix: str, known: Sequence[Route]) -> list[Route]:
    """Routes that answer 404 or 405 for everything else below ``prefix``, for when a catch-all page follows."""
    methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

    async def refuse(request: Request) -> Response:
        path = request.url.path
        partial = (route for route in known if route.matches(request.scope)[0] is Match.PARTIAL)
        allowed = sorted(method for route in partial for method in route.methods or ())
        if allowed:
            raise HTTPException(405, headers={"Allow": ", ".join(allowed)})
        raise from_http_exception(HTTPException(404), path)

    return [Route(path, refuse, methods=methods) for path in (prefix, f"{prefix}/{{rest:path}}")]


def application(all_routes: Sequence[BaseRoute]) -> ASGIApp:
    """An application that answers every error with a problem document."""

    async def on_error(request: Request, error: Exception) -> Response:
        known = error if isinstance(error, PilothouseError) else PilothouseError("an internal error occurred")
        if isinstance(error, HTTPException):
            known = from_http_exception(error, request.url.path)
        return problem_response(known, request.scope.get(SCOPE_ID, ""))

    handlers: Mapping[Any, Any] = {HTTPException: on_error, PilothouseError: on_error}
    return _Application(routes=list(all_routes), exception_handlers=handlers)


class _Application(Starlette):
    """Starlette without its answer to defects, which the guard logs and answers."""

    def build_middleware_stack(self) -> ASGIApp:
        return ExceptionMiddleware(self.router, handlers=self.exception_handlers)


def _route(prefix: str, endpoint: Endpoint) -> Route:
    path = f"{prefix.rstrip('/')}{endpoint.path}"

    async def run(request: Request) -> Response:
        request.scope[SCOPE_ROUTE] = path
        arguments: list[Any] = []
        if endpoint.params is not None:
            arguments.append(decode_params(endpoint.params, request.query_params.multi_items(), request.path_params))
        elif request.query_params:
            raise InvalidInput("this operation takes no parameters", where="query")
        if endpoint.body is not None:
            arguments.append(await _decode_body(request, endpoint))
        if endpoint.stream:
            return _event_stream(request, endpoint.handler(*arguments))
        result = await endpoint.handler(*arguments)
        if isinstance(result, Response):
            return result
        return Response(msgspec.json.encode(result), media_type="application/json")

    return Route(path, run, methods=[endpoint.method], name=f"{endpoint.method} {path}")


@cache
def _fields(params: type[msgspec.Struct]) -> dict[str, bool]:
    """Every parameter by its encoded name, and whether it may be repeated."""
    info = msgspec.inspect.type_info(params)
    if not isinstance(info, msgspec.inspect.StructType):
        raise TypeError(f"{params!r} is not a Struct")
    many = (msgspec.inspect.ListType, msgspec.inspect.VarTupleType, msgspec.inspect.SetType)
    return {f.encode_name: isinstance(f.type, many) for f in info.fields}


def decode_params(params: type[_P], query: Sequence[tuple[str, str]], path: Mapping[str, Any]) -> _P:
    """Path and query parameters as a Struct. Text is converted: ``limit=20`` is an int, ``live=true`` a bool.

    Raises:
        InvalidInput: Unknown, repeated or missing parameter, or a value its type does not allow; names the parameter.
    """
    fields = _fields(params)
    values: dict[str, Any] = dict(path)
    for name, value in query:
        if name not in fields or name in path:
            near = difflib.get_close_matches(name, fields, n=1)
            remedy = f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(sorted(fields)) or 'none'}."
            raise InvalidInput("unknown parameter", where=f"query parameter '{name}'", remedy=remedy)
        if fields[name]:
            values.setdefault(name, []).append(value)
        elif name in values:
            raise InvalidInput("given more than once", where=f"query parameter '{name}'")
        else:
            values[name] = value
    try:
        return msgspec.convert(values, params, strict=False)
    except msgspec.ValidationError as error:
        kind = "path" if _field_of(str(error)).partition("[")[0] in path else "query"
        raise _invalid(error, kind, values) from error


async def _decode_body(request: Request, endpoint: Endpoint) -> Any:
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/json" and not media.endswith("+json"):
        raise UnsupportedMediaType(
            f"the body must be JSON, not {media or 'untyped'}", remedy="Send it with content-type: application/json."
        )
    raw = await read_body(request, endpoint.max_body)
    try:
        return msgspec.json.decode(raw, type=endpoint.body)
    except msgspec.ValidationError as error:
        raise _invalid(error, "body", {}) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"not valid JSON: {error}", where="body") from error


def _field_of(message: str) -> str:
    match = re.search(r" - at `\$\.?([^`]*)`$", message)
    return match[1] if match else ""


def _invalid(error: msgspec.ValidationError, kind: str, values: Mapping[str, Any]) -> InvalidInput:
    """Turns ``Expected `int` - at `$.limit``` into an error that names the parameter and shows its value."""
    field = _field_of(str(error))
    text = re.sub(r" - at `[^`]*`$", "", str(error)).replace("`", "'").replace(", got 'str'", "")
    what = f"{text[0].lower()}{text[1:]}"
    given = values.get(field)
    if isinstance(given, str):
        what += f", not {given[:80]!r}"
    where = kind if not field else f"{kind} field '{field}'" if kind == "body" else f"{kind} parameter '{field}'"
    return InvalidInput(what, where=where)


def _event_stream(request: Request, events: AsyncIterator[Event]) -> Response:
    stopping: asyncio.Event | None = request.scope.get(SCOPE_STOPPING)
    body = _encode_events(events, stopping, request.scope.get(SCOPE_ID, ""))
    headers = {"cache-control": "no-cache", "x-accel-buffering": "no"}
    return StreamingResponse(body, media_type="text/event-stream", headers=headers)


async def _encode_events(
    events: AsyncIterator[Event], stopping: asyncio.Event | None, request_id: str
) -> AsyncIterator[bytes]:
    """Events as bytes, with heartbeats while nothing happens; ends when the server stops or the client goes."""
    yield b": connected\n\n"
    halt = asyncio.ensure_future((stopping or asyncio.Event()).wait())
    upcoming: asyncio.Future[Event] | None = None
    try:
        while True:
            upcoming = upcoming or asyncio.ensure_future(anext(events))
            waiting: set[asyncio.Future[Any]] = {upcoming, halt}
            await asyncio.wait(waiting, timeout=_HEARTBEAT, return_when=asyncio.FIRST_COMPLETED)
            if halt.done():
                return
            if not upcoming.done():
                yield b": still here\n\n"
                continue
            try:
                event, upcoming = upcoming.result(), None
            except StopAsyncIteration:
                return
            except PilothouseError as error:
                event, upcoming = Event("problem", problem(error, request_id)), None
                yield _encode_event(event)
                return
            yield _encode_event(event)
    finally:
        halt.cancel()
        if upcoming is not None:
            upcoming.cancel()
            with contextlib.suppress(asyncio.CancelledError, StopAsyncIteration, PilothouseError):
                await upcoming
        if close := getattr(events, "aclose", None):
            await close()


def _encode_event(event: Event) -> bytes:
    head = f"id: {event.id}\n" if event.id else ""
    return f"{head}event: {event.name}\ndata: ".encode() + msgspec.json.encode(event.data) + b"\n\n"
