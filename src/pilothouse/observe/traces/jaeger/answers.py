"""How both HTTP generations answer: JSON in their envelopes, errors in their shapes, long answers piece by piece.

A streamed answer is never in memory as a whole. Its first piece is made before the status line is sent, so that a search
that fails, or finds nothing, still gets its own status. What fails later is told at the end of the document.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Sequence
from contextlib import aclosing
from typing import Any, Final, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from pilothouse.kit.errors import PilothouseError
from pilothouse.kit.http.guard import SCOPE_ROUTE

_T = TypeVar("_T")

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
Refuse = Callable[[PilothouseError], Response]
JSON: Final = "application/json"


def route(path: str, handler: Handler, refuse: Refuse, method: str = "GET") -> Route:
    """A route whose errors are answered by ``refuse``; its path is what the metrics call it."""
    name = path.replace(":path}", "}")

    async def endpoint(request: Request) -> Response:
        request.scope[SCOPE_ROUTE] = name
        try:
            return await handler(request)
        except PilothouseError as error:
            return refuse(error)

    return Route(path, endpoint, methods=[method])


def pairs(request: Request) -> Sequence[tuple[str, str]]:
    """The query parameters in order, repeats included."""
    return request.query_params.multi_items()


def json_response(value: object, *, status: int = 200, indent: int = 0) -> Response:
    """``value`` as JSON; indented when ``indent`` is not 0."""
    body = msgspec.json.encode(value)
    return Response(msgspec.json.format(body, indent=indent) if indent else body, status, media_type=JSON)


def stream(body: AsyncIterator[bytes]) -> Response:
    """An answer that is sent as it is made."""
    return StreamingResponse(body, media_type=JSON)


async def begun(items: AsyncGenerator[_T, None]) -> AsyncGenerator[_T, None] | None:
    """``items`` with the first one already made; ``None`` when there is none. Raises what making it raised."""
    try:
        first = await anext(items)
    except StopAsyncIteration:
        return None

    async def chained() -> AsyncGenerator[_T, None]:
        async with aclosing(items):
            yield first
            async for item in items:
                yield item

    return chained()
