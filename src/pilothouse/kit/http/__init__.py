"""The one HTTP stack: Starlette on uvicorn with uvloop and httptools.

``endpoint`` says what an operation is, ``routes`` turns it into a Starlette route, ``openapi`` into a document, ``guard`` puts
authentication, limits, headers and problem documents around an application, ``service`` listens. Foreign protocols use the
same guard and service around routes of their own.
"""

from pilothouse.kit.http.endpoint import Endpoint, Event
from pilothouse.kit.http.guard import CSP_STRICT, Guard, read_body
from pilothouse.kit.http.openapi import openapi
from pilothouse.kit.http.problems import Problem, problem_response
from pilothouse.kit.http.routes import application, closed, routes
from pilothouse.kit.http.service import HttpService, Tls, http_listener

__all__ = [
    "CSP_STRICT",
    "Endpoint",
    "Event",
    "Guard",
    "HttpService",
    "Problem",
    "Tls",
    "application",
    "closed",
    "http_listener",
    "openapi",
    "problem_response",
    "read_body",
    "routes",
]
