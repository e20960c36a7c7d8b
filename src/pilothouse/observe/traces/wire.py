"""From request bytes to nested Arrow arrays, many requests at once.

The protobuf is read with message types of our own that agree with OTLP on the wire but ask for less: what is stored as bytes
(resources, scopes, arrays, key-value lists) stays bytes, unknown fields are skipped. ``ptars`` does the work in native code;
upb does the same where ptars is missing, and proves it right in the tests.

Source: opentelemetry-proto 1.x, ``collector/trace/v1``, ``trace/v1``, ``common/v1``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Final, Protocol

import pyarrow as pa
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError, Message

from pilothouse.kit.errors import InvalidInput

_Field = tuple[str, int, str]
#: Message → fields: name, number, type. ``*`` is repeated, ``?`` a member of the message's only oneof.
_MESSAGES: Final[dict[str, tuple[_Field, ...]]] = {
    "Request": (("resource_spans", 1, "*ResourceSpans"),),
    "ResourceSpans": (("resource", 1, "bytes"), ("scope_spans", 2, "*ScopeSpans"), ("schema_url", 3, "string")),
    "ScopeSpans": (("scope", 1, "bytes"), ("spans", 2, "*Span"), ("schema_url", 3, "string")),
    "Span": (
        ("trace_id", 1, "bytes"),
        ("span_id", 2, "bytes"),
        ("trace_state", 3, "string"),
        ("parent_span_id", 4, "bytes"),
        ("name", 5, "string"),
        ("kind", 6, "int32"),
        ("start", 7, "fixed64"),
        ("end", 8, "fixed64"),
        ("attributes", 9, "*KeyValue"),
        ("dropped_attributes", 10, "uint32"),
        ("events", 11, "*Event"),
        ("dropped_events", 12, "uint32"),
        ("links", 13, "*Link"),
        ("dropped_links", 14, "uint32"),
        ("status", 15, "Status"),
        ("flags", 16, "fixed32"),
    ),
    "Status": (("message", 2, "string"), ("code", 3, "int32")),
    "Event": (
        ("time", 1, "fixed64"),
        ("name", 2, "string"),
        ("attributes", 3, "*KeyValue"),
        ("dropped", 4, "uint32"),
    ),
    "Link": (
        ("trace_id", 1, "bytes"),
        ("span_id", 2, "bytes"),
        ("trace_state", 3, "string"),
        ("attributes", 4, "*KeyValue"),
        ("dropped", 5, "uint32"),
        ("flags", 6, "fixed32"),
    ),
    "KeyValue": (("key", 1, "string"), ("value", 2, "AnyValue")),
    "AnyValue": (
        ("string", 1, "?string"),
        ("bool", 2, "?bool"),
        ("int", 3, "?int64"),
        ("double", 4, "?double"),
        ("array", 5, "?bytes"),
        ("kvlist", 6, "?bytes"),
        ("bytes", 7, "?bytes"),
    ),
}
_ARROW: Final = {
    "bytes": pa.binary(),
    "string": pa.string(),
    "int32": pa.int32(),
    "uint32": pa.uint32(),
    "fixed32": pa.uint32(),
    "fixed64": pa.uint64(),
    "int64": pa.int64(),
    "double": pa.float64(),
    "bool": pa.bool_(),
}


class Decoder(Protocol):
    """Reads requests; the rows come back as one nested array ``list<ResourceSpans>``, an entry per request."""

    def decode(self, payloads: Sequence[bytes]) -> pa.ListArray:
        """Raises ``InvalidInput`` if *any* payload is malformed; try them one by one to know which."""
        ...


@cache
def _request_class(*, lenient: bool) -> type[Message]:
    """The message class of ``Request``; ``lenient`` takes text as bytes, so that bad UTF-8 does not fail the parse."""
    package = "pilothouse.lenient" if lenient else "pilothouse.strict"
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    types = descriptor_pb2.FieldDescriptorProto
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        if any(kind[0] == "?" for _, _, kind in fields):
            message.oneof_decl.add(name="value")
        for field_name, number, kind in fields:
            field = message.field.add(name=field_name, number=number, label=types.LABEL_OPTIONAL)
            if kind[0] == "*":
                field.label = types.LABEL_REPEATED
            if kind[0] == "?":
                field.oneof_index = 0
            kind = kind.lstrip("*?")
            if kind in _MESSAGES:
                field.type, field.type_name = types.TYPE_MESSAGE, f".{package}.{kind}"
            else:
                kind = "bytes" if lenient and kind == "string" else kind
                field.type = types.Type.Value(f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    found: type[Message] = message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.Request"))
    return found


class PtarsDecoder:
    """Native decoding of all payloads in one pass."""

    def __init__(self, *, lenient: bool = False) -> None:
        import ptars

        descriptor = _request_class(lenient=lenient).DESCRIPTOR
        self._handler = ptars.HandlerPool([descriptor.file]).get_for_message(descriptor)

    def decode(self, payloads: Sequence[bytes]) -> pa.ListArray:
        """Raises ``InvalidInput`` if any payload is malformed."""
        try:
            batch = self._handler.list_to_record_batch(list(payloads))
        except ValueError as error:
            raise InvalidInput(f"the request is not OTLP protobuf: {error}") from error
        column: pa.ListArray = batch.column(0)
        return column


class UpbDecoder:
    """The same rows by way of Python's protobuf: slow, and independent of ptars."""

    def __init__(self, *, lenient: bool = False) -> None:
        self._class = _request_class(lenient=lenient)
        self._type = pa.list_(_arrow_type("ResourceSpans", lenient=lenient))

    def decode(self, payloads: Sequence[bytes]) -> pa.ListArray:
        """Raises ``InvalidInput`` if any payload is malformed."""
        try:
            requests = [self._class.FromString(p) for p in payloads]
        except DecodeError as error:
            raise InvalidInput(f"the request is not OTLP protobuf: {error}") from error
        return pa.array([_plain(r)["resource_spans"] for r in requests], self._type)


def default_decoder(*, lenient: bool = False) -> Decoder:
    """``PtarsDecoder`` where its wheel exists for the platform, else ``UpbDecoder``."""
    try:
        return PtarsDecoder(lenient=lenient)
    except ImportError:
        return UpbDecoder(lenient=lenient)


def _arrow_type(message: str, *, lenient: bool) -> pa.DataType:
    fields = []
    for name, _, kind in _MESSAGES[message]:
        base = kind.lstrip("*?")
        if base in _MESSAGES:
            type_ = _arrow_type(base, lenient=lenient)
        else:
            type_ = _ARROW["bytes" if lenient and base == "string" else base]
        fields.append(pa.field(name, pa.list_(type_) if kind[0] == "*" else type_))
    return pa.struct(fields)


def _plain(message: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for name, _, kind in _MESSAGES[message.DESCRIPTOR.name]:
        value = getattr(message, name)
        if kind[0] == "*":
            plain[name] = [_plain(v) for v in value]
        elif kind in _MESSAGES:
            plain[name] = _plain(value) if message.HasField(name) else None
        else:
            plain[name] = value if kind[0] != "?" or message.HasField(name) else None
    return plain
