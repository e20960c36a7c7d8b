"""The OTLP trace data model as plain values.

Ingest never builds these: it goes from bytes to columns. They are for everything that handles a *few* spans at a time
(one trace, one page of search results, one file being imported) and wants names instead of column positions.

Source: opentelemetry-proto, ``opentelemetry/proto/trace/v1/trace.proto`` and ``common/v1/common.proto``.
Times are integer nanoseconds since the Unix epoch. Ids are raw bytes: 16 for a trace, 8 for a span.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

#: An attribute value. Python's own types carry OTLP's: ``bool``, ``int`` (64-bit signed), ``float``, ``str``, ``bytes``,
#: ``list`` for ArrayValue, ``dict`` for KeyValueList, ``None`` for an AnyValue with nothing set.
type_names: Final = ("string", "bool", "int", "double", "bytes", "array", "kvlist", "empty")
Value = str | bool | int | float | bytes | list["Value"] | dict[str, "Value"] | None
Attributes = Mapping[str, Value]

#: ``SpanKind`` by number.
KINDS: Final = ("unspecified", "internal", "server", "client", "producer", "consumer")
#: ``Status.StatusCode`` by number.
STATUS_CODES: Final = ("unset", "ok", "error")


def type_name(value: Value) -> str:
    """Names the OTLP type that carries ``value``, one of ``type_names``."""
    match value:
        case None:
            return "empty"
        case bool():
            return "bool"
        case str():
            return "string"
        case int():
            return "int"
        case float():
            return "double"
        case bytes():
            return "bytes"
        case list():
            return "array"
        case _:
            return "kvlist"


class Resource(Struct, frozen=True):
    """What produced the spans (``resource/v1``), with the schema URL of its ``ResourceSpans``."""

    attributes: Attributes = {}
    dropped_attributes: int = 0
    schema_url: str = ""


class Scope(Struct, frozen=True):
    """The instrumentation scope, with the schema URL of its ``ScopeSpans``."""

    name: str = ""
    version: str = ""
    attributes: Attributes = {}
    dropped_attributes: int = 0
    schema_url: str = ""


class Event(Struct, frozen=True):
    """``Span.Event``."""

    time: int
    name: str = ""
    attributes: Attributes = {}
    dropped_attributes: int = 0


class Link(Struct, frozen=True):
    """``Span.Link``."""

    trace_id: bytes
    span_id: bytes
    trace_state: str = ""
    attributes: Attributes = {}
    dropped_attributes: int = 0
    flags: int = 0


class Span(Struct, frozen=True):
    """``Span`` together with the resource and scope it arrived under; ``parent_span_id`` is empty for a root."""

    trace_id: bytes
    span_id: bytes
    resource: Resource
    scope: Scope
    name: str
    start: int
    end: int
    parent_span_id: bytes = b""
    trace_state: str = ""
    flags: int = 0
    kind: int = 0
    status_code: int = 0
    status_message: str = ""
    attributes: Attributes = {}
    events: tuple[Event, ...] = ()
    links: tuple[Link, ...] = ()
    dropped_attributes: int = 0
    dropped_events: int = 0
    dropped_links: int = 0

    @property
    def service(self) -> str:
        """The resource's ``service.name``, empty when it is missing or no string."""
        name = self.resource.attributes.get("service.name")
        return name if isinstance(name, str) else ""
