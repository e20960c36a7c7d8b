"""Resources and scopes as they come on the wire: read once each, then known by their bytes.

A process sends the same few resources with every request, so what is parsed here is remembered. ``encoded`` is a
``ResourceSpans`` or ``ScopeSpans`` message without its spans.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans

from pilothouse.formats.otlp import proto
from pilothouse.formats.otlp.model import Resource
from pilothouse.kit.errors import InvalidInput, LimitExceeded
from pilothouse.signals.duckdb.segments import Entry

_REMEMBERED: Final = 20_000
_REMEMBERED_BYTES: Final = 16 << 20
#: Jaeger's words for a resource without a usable ``service.name``.
NO_SERVICE: Final = {
    "missing": "missing-service-name",
    "empty": "empty-service-name",
    "wrong": "service-name-wrong-type",
}


class Groups:
    """Parses resources and scopes, each distinct one once. Raises ``InvalidInput`` or ``LimitExceeded`` for bad ones."""

    def __init__(self) -> None:
        self._resources: dict[bytes, Entry] = {}
        self._scopes: dict[bytes, Entry] = {}
        self._bytes = 0

    def service(self, encoded: bytes) -> str:
        """The service that a resource names."""
        return str(self.resource_entry(encoded)[1])

    def resource_entry(self, encoded: bytes) -> Entry:
        """A resource's row in the dictionary table."""
        known = self._resources.get(encoded)
        if known is None:
            message = _parsed(ResourceSpans, encoded, "resource_spans")
            resource = proto.resource_of(message)  # raises for what could not be read again
            attributes = typed_rows(message.resource.attributes)
            known = self._remember(self._resources, encoded, (encoded, service_of(resource), attributes))
        return known

    def scope_entry(self, encoded: bytes) -> Entry:
        """A scope's row in the dictionary table."""
        known = self._scopes.get(encoded)
        if known is None:
            message = _parsed(ScopeSpans, encoded, "scope_spans")
            scope = proto.scope_of(message)
            attributes = typed_rows(message.scope.attributes)
            known = self._remember(self._scopes, encoded, (encoded, scope.name, scope.version, attributes))
        return known

    def _remember(self, into: dict[bytes, Entry], encoded: bytes, known: Entry) -> Entry:
        self._bytes += len(encoded)
        if len(into) >= _REMEMBERED or self._bytes > _REMEMBERED_BYTES:
            self._resources.clear()  # only hostile input has so many; starting over costs one parse each
            self._scopes.clear()
            self._bytes = len(encoded)
        into[encoded] = known
        return known


def service_of(resource: Resource) -> str:
    """The service a resource names, with Jaeger's words for one that names none."""
    value = resource.attributes.get("service.name")
    if "service.name" not in resource.attributes:
        return NO_SERVICE["missing"]
    return value or NO_SERVICE["empty"] if isinstance(value, str) else NO_SERVICE["wrong"]


def typed_rows(attributes: Iterable[Any]) -> list[dict[str, Any]]:
    """``KeyValue`` messages as rows of ``schema.ATTRIBUTES``."""
    return [_typed_row(a.key, a.value) for a in attributes]


def check_nested(array: Iterable[bytes], kvlist: Iterable[bytes]) -> None:
    """Makes sure that nested values, which the store keeps encoded, can be read again.

    Raises:
        InvalidInput: One cannot.
        LimitExceeded: One nests deeper than readers follow.
    """
    for data in array:
        proto.from_any_value(AnyValue(array_value=_parsed(ArrayValue, data, "array_value")))
    for data in kvlist:
        proto.from_any_value(AnyValue(kvlist_value=_parsed(KeyValueList, data, "kvlist_value")))


def _typed_row(key: str, value: AnyValue) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(("string", "bool", "int", "double", "array", "kvlist", "bytes"))
    which = value.WhichOneof("value")
    if which is not None and (name := which.removesuffix("_value")) in row:
        content = getattr(value, which)
        row[name] = content.SerializeToString() if name in ("array", "kvlist") else content
    return {"key": key, **row}


def _parsed(message: Any, data: bytes, where: str) -> Any:
    try:
        return message.FromString(data)
    except DecodeError as error:
        if "MaxDepth" in str(error):  # upb follows about 100 levels of messages
            raise LimitExceeded(f"an attribute value nests deeper than {proto.MAX_VALUE_DEPTH} levels") from error
        raise InvalidInput(f"the request is not OTLP protobuf: {error}", where=where) from error
