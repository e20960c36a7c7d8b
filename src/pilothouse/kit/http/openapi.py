"""One OpenAPI 3.1 document, made from the endpoints that serve the requests, so that it cannot lie about them.

The console's TypeScript types are generated from it. Schemas are JSON Schema 2020-12 by msgspec.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from pilothouse.kit.http.endpoint import Endpoint
from pilothouse.kit.http.problems import MEDIA_TYPE, Problem

_REF = "#/components/schemas/{name}"


def openapi(groups: Mapping[str, tuple[str, Sequence[Endpoint]]], *, title: str, version: str) -> dict[str, Any]:
    """The document.

    Args:
        groups: Endpoints by tag, each with the prefix they are mounted at.
        title: Of the API.
        version: Of the API.
    """
    every = [e for _, endpoints in groups.values() for e in endpoints]
    types = [t for e in every for t in (e.params, e.body, e.returns) if t is not None]
    schemas, components = msgspec.json.schema_components([*types, Problem], ref_template=_REF)
    by_type = {repr(t): s for t, s in zip([*types, Problem], schemas, strict=True)}
    hidden: set[str] = set()
    paths: dict[str, Any] = {}
    for tag, (prefix, endpoints) in groups.items():
        for endpoint in endpoints:
            path = prefix.rstrip("/") + re.sub(r":\w+}", "}", endpoint.path)
            operation = _operation(endpoint, tag, path, by_type, components, hidden)
            paths.setdefault(path, {})[endpoint.method.lower()] = operation
    used = {name: schema for name, schema in components.items() if name not in hidden}
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "tags": [{"name": tag} for tag in groups],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": dict(sorted(used.items())),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _operation(
    endpoint: Endpoint,
    tag: str,
    path: str,
    by_type: Mapping[str, Any],
    components: Mapping[str, Any],
    hidden: set[str],
) -> dict[str, Any]:
    media = "text/event-stream" if endpoint.stream else endpoint.produces
    answer = {"schema": by_type[repr(endpoint.returns)]} if endpoint.returns is not None else {}
    problem = {MEDIA_TYPE: {"schema": by_type[repr(Problem)]}}
    operation: dict[str, Any] = {
        "operationId": f"{tag}_{endpoint.handler.__name__.strip('_')}",
        "tags": [tag],
        "summary": endpoint.summary,
        "responses": {
            "200": {"description": "The answer", "content": {media: answer}},
            "default": {"description": "A problem document (RFC 9457)", "content": problem},
        },
    }
    if endpoint.description:
        operation["description"] = endpoint.description
    if endpoint.params is not None:
        reference = by_type[repr(endpoint.params)]["$ref"].rpartition("/")[2]
        hidden.add(reference)
        operation["parameters"] = _parameters(components[reference], set(re.findall(r"{(\w+)}", path)))
    if endpoint.body is not None:
        content = {"application/json": {"schema": by_type[repr(endpoint.body)]}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _parameters(schema: Mapping[str, Any], in_path: set[str]) -> list[dict[str, Any]]:
    """A Struct's properties as parameters; its descriptions move from schema to parameter."""
    required = schema.get("required", ())
    found = []
    for name, original in schema.get("properties", {}).items():
        described = dict(original)
        parameter = {
            "name": name,
            "in": "path" if name in in_path else "query",
            "required": name in in_path or name in required,
            "schema": described,
        }
        if description := described.pop("description", None):
            parameter["description"] = description
        found.append(parameter)
    return found
