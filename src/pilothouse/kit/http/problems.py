"""Errors on the wire: RFC 9457 problem documents.

``type`` is ``urn:pilothouse:problem:<slug>``: stable, meant for programs, and not an address that could go stale. The members
``where``, ``remedy`` and ``request_id`` are extensions (RFC 9457, section 3.2).
"""

from __future__ import annotations

import msgspec
from msgspec import Struct
from starlette.exceptions import HTTPException
from starlette.responses import Response

from pilothouse.kit.errors import Forbidden, MethodNotAllowed, NotFound, Overloaded, PilothouseError, Unauthorized

MEDIA_TYPE = "application/problem+json"


class Problem(Struct, frozen=True, omit_defaults=True):
    """A problem document.

    Attributes:
        type: ``urn:pilothouse:problem:`` and the error's slug.
        title: The same for every occurrence of the type.
        status: The HTTP status, repeated.
        detail: This occurrence, for a person.
        where: Which parameter, field or place.
        remedy: What to do next.
        request_id: Also in the header ``x-request-id`` and in the server's log.
    """

    type: str
    title: str
    status: int
    detail: str
    where: str = ""
    remedy: str = ""
    request_id: str = ""


def problem(error: PilothouseError, request_id: str = "") -> Problem:
    """The document for an error."""
    return Problem(
        type=f"urn:pilothouse:problem:{error.slug}",
        title=error.title,
        status=error.status,
        detail=error.what,
        where=error.where or "",
        remedy=error.remedy or "",
        request_id=request_id,
    )


def problem_response(error: PilothouseError, request_id: str = "") -> Response:
    """The document as an HTTP answer, with ``Retry-After`` or ``WWW-Authenticate`` where the status asks for one."""
    headers = {"cache-control": "no-store"}
    if isinstance(error, Overloaded):
        headers["retry-after"] = str(max(1, round(error.retry_after)))
    if isinstance(error, Unauthorized):
        headers["www-authenticate"] = 'Bearer realm="pilothouse"'
    body = msgspec.json.encode(problem(error, request_id))
    return Response(body, status_code=error.status, media_type=MEDIA_TYPE, headers=headers)


def from_http_exception(error: HTTPException, path: str) -> PilothouseError:
    """Starlette's own refusals (no route, wrong method) in our tree."""
    if error.status_code == 404:
        return NotFound(f"there is nothing at {path}", remedy="GET /api/openapi.json lists every operation.")
    if error.status_code == 405:
        allowed = ", ".join(sorted((error.headers or {}).get("Allow", "").split(", ")))
        return MethodNotAllowed(f"{path} does not allow this method", remedy=f"Use {allowed}." if allowed else None)
    if error.status_code == 401:
        return Unauthorized(error.detail)
    return Forbidden(error.detail) if error.status_code == 403 else PilothouseError(error.detail)
