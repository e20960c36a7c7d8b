"""The one way to write an HTTP endpoint: typed parameters in, a typed value out, errors as problem documents.

An ``Endpoint`` is data. From it come the route, the validation, the error answers and the OpenAPI document, so that these
cannot disagree::

    class Find(Struct, rename="camel"):
        service: str = ""
        limit: Annotated[int, Meta(ge=1, le=1000)] = 20

    Endpoint("GET", "/search", search, "Find traces", params=Find, returns=Page)     # async def search(params: Find) -> Page

A handler is ``async (params) -> value``; with ``body``, ``async (params, body) -> value``; without ``params`` the first
argument is left out. It may return a Starlette ``Response`` for anything that is not JSON. With ``stream`` it is an async
generator of ``Event``, sent as server-sent events.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

Handler = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Event:
    """One server-sent event (HTML standard, section 9.2).

    Attributes:
        name: The event's type.
        data: Encoded as JSON on one line.
        id: What a client sends back as ``Last-Event-ID``; empty for none.
    """

    name: str
    data: object
    id: str = ""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation of Pilothouse's own API.

    Attributes:
        method: ``GET``, ``POST``, ``PUT``, ``PATCH`` or ``DELETE``.
        path: Below the capability's mount, such as ``/{traceId}/spans/{spanId}``; a name in braces is a field of ``params``.
        handler: See the module.
        summary: One line for the OpenAPI document.
        params: A Struct of path and query parameters, decoded leniently from text. A list field collects repeats.
        body: The type of the JSON request body.
        returns: The type of the JSON answer, of one event with ``stream``, or ``None`` for a raw ``Response``.
        stream: The answer is a stream of server-sent events.
        produces: Media type of a raw response.
        max_body: Bytes of body read before answering 413.
        description: More than the summary, if needed.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    params: type[msgspec.Struct] | None = None
    body: Any = None
    returns: Any = None
    stream: bool = False
    produces: str = "application/json"
    max_body: int = 1 << 20
    description: str = ""
