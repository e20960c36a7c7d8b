"""OTLP traces in JSON: the encoding of OTLP/HTTP, of our export files, and of Jaeger's second-generation HTTP API.

It is proto3's JSON with OTLP's exceptions (specification, "JSON Protobuf Encoding"): trace and span ids are hex, enums are
numbers, names are lowerCamelCase, unknown fields are ignored. What is read is wider than what is written: 64-bit integers as
strings or numbers, enums by name, ``null`` as absent.

Reading gives the protobuf form of the same message, so that everything behind it has one input format.
"""

from __future__ import annotations

import binascii
import math
from base64 import b64encode, urlsafe_b64decode
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, cast

import msgspec
from msgspec import Struct
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from pilothouse.formats.otlp.model import Span
from pilothouse.formats.otlp.proto import MAX_VALUE_DEPTH, to_traces_data
from pilothouse.kit.errors import InvalidInput, LimitExceeded


class _Hex(bytes):
    """An id, as hexadecimal digits of either case."""


class _Base64(bytes):
    """Bytes, in the standard or the URL-safe alphabet, padded or not."""


class _Int64(int):
    """A signed 64-bit integer, as a string or a number."""


class _UInt64(int):
    """An unsigned 64-bit integer, as a string or a number."""


class _UInt32(int):
    """An unsigned 32-bit integer, as a string or a number."""


class _Kind(int):
    """``SpanKind`` by number or name."""


class _Code(int):
    """``StatusCode`` by number or name."""


class _Double(float):
    """A number, or the name of one that JSON has no number for."""


class _AnyValue(Struct, rename="camel"):
    string_value: str | None = None
    bool_value: bool | None = None
    int_value: _Int64 | None = None
    double_value: _Double | None = None
    array_value: _ArrayValue | None = None
    kvlist_value: _KeyValueList | None = None
    bytes_value: _Base64 | None = None


class _ArrayValue(Struct):
    values: list[_AnyValue] | None = None


class _KeyValue(Struct):
    key: str | None = None
    value: _AnyValue | None = None


class _KeyValueList(Struct):
    values: list[_KeyValue] | None = None


class _Event(Struct, rename="camel"):
    time_unix_nano: _UInt64 | None = None
    name: str | None = None
    attributes: list[_KeyValue] | None = None
    dropped_attributes_count: _UInt32 | None = None


class _Link(Struct, rename="camel"):
    trace_id: _Hex | None = None
    span_id: _Hex | None = None
    trace_state: str | None = None
    attributes: list[_KeyValue] | None = None
    dropped_attributes_count: _UInt32 | None = None
    flags: _UInt32 | None = None


class _Status(Struct):
    message: str | None = None
    code: _Code | None = None


class _Span(Struct, rename="camel"):
    trace_id: _Hex | None = None
    span_id: _Hex | None = None
    trace_state: str | None = None
    parent_span_id: _Hex | None = None
    flags: _UInt32 | None = None
    name: str | None = None
    kind: _Kind | None = None
    start_time_unix_nano: _UInt64 | None = None
    end_time_unix_nano: _UInt64 | None = None
    attributes: list[_KeyValue] | None = None
    dropped_attributes_count: _UInt32 | None = None
    events: list[_Event] | None = None
    dropped_events_count: _UInt32 | None = None
    links: list[_Link] | None = None
    dropped_links_count: _UInt32 | None = None
    status: _Status | None = None


class _Scope(Struct, rename="camel"):
    name: str | None = None
    version: str | None = None
    attributes: list[_KeyValue] | None = None
    dropped_attributes_count: _UInt32 | None = None


class _ScopeSpans(Struct, rename="camel"):
    scope: _Scope | None = None
    spans: list[_Span] | None = None
    schema_url: str | None = None


class _Resource(Struct, rename="camel"):
    attributes: list[_KeyValue] | None = None
    dropped_attributes_count: _UInt32 | None = None


class _ResourceSpans(Struct, rename="camel"):
    resource: _Resource | None = None
    scope_spans: list[_ScopeSpans] | None = None
    schema_url: str | None = None


class _TracesData(Struct, rename="camel"):
    resource_spans: list[_ResourceSpans] | None = None


_RANGES: Final[Mapping[type, tuple[int, int]]] = {
    _Int64: (-(2**63), 2**63 - 1),
    _UInt64: (0, 2**64 - 1),
    _UInt32: (0, 2**32 - 1),
    _Kind: (-(2**31), 2**31 - 1),
    _Code: (-(2**31), 2**31 - 1),
}
_NAMES: Final[Mapping[type, Mapping[str, int]]] = {
    _Kind: dict(trace_pb2.Span.SpanKind.items()),
    _Code: dict(trace_pb2.Status.StatusCode.items()),
}
_DOUBLES: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def _read(wanted: type, value: object) -> object:
    """Reads the lenient scalars; msgspec adds the field path to what this raises."""
    if wanted is _Hex:
        return _Hex(_hex(value))
    if wanted is _Base64:
        return _Base64(_base64(value))
    if wanted is _Double:
        return _Double(_double(value))
    if isinstance(value, str) and value in _NAMES.get(wanted, ()):
        return wanted(_NAMES[wanted][value])
    return wanted(_integer(value, *_RANGES[wanted]))


def _hex(value: object) -> bytes:
    try:
        if isinstance(value, str) and value.isalnum():
            return binascii.unhexlify(value)
    except ValueError:
        pass
    if value == "":
        return b""
    raise ValueError("Expected an id in hexadecimal digits")


def _base64(value: object) -> bytes:
    try:
        if isinstance(value, str):
            text = value.rstrip("=").replace("+", "-").replace("/", "_")
            if text.replace("-", "").replace("_", "").isalnum() or not text:
                return urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        pass
    raise ValueError("Expected bytes in base64")


def _double(value: object) -> float:
    if isinstance(value, str) and value in _DOUBLES:
        return _DOUBLES[value]
    try:
        if isinstance(value, str | int | float) and not isinstance(value, bool) and len(str(value)) <= 400:
            number = float(value)
            if math.isfinite(number):
                return number
    except (ValueError, OverflowError):
        pass
    raise ValueError("Expected a number, 'NaN', 'Infinity' or '-Infinity'")


def _integer(value: object, low: int, high: int) -> int:
    try:
        text = isinstance(value, str) and len(value) <= 32 and value.isascii() and value.lstrip("-").isdigit()
        if text or (isinstance(value, float) and value.is_integer()):
            value = int(value)  # type: ignore[call-overload]  # narrowed by the line above
    except ValueError:
        pass
    if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
        return value
    raise ValueError(f"Expected an integer of {low} to {high}")


_DECODER: Final = msgspec.json.Decoder(_TracesData, dec_hook=_read)


def decode_request(data: bytes) -> bytes:
    """Turns a JSON ``ExportTraceServiceRequest`` (or ``TracesData``) into the same message in protobuf.

    Raises:
        InvalidInput: not JSON, or not of this shape; the message names the field path, such as
            ``$.resourceSpans[0].scopeSpans[0].spans[3].traceId``.
        LimitExceeded: a value nests deeper than ``MAX_VALUE_DEPTH``.
    """
    try:
        return _message(_DECODER.decode(data)).SerializeToString()
    except RecursionError:
        raise LimitExceeded(f"an attribute value nests deeper than {MAX_VALUE_DEPTH} levels") from None
    except (msgspec.DecodeError, UnicodeError) as error:
        raise InvalidInput(f"the body is no OTLP trace request in JSON: {error}") from None


def encode(spans: Iterable[Span]) -> bytes:
    """Encodes ``TracesData`` on one line; zero values are left away, 64-bit integers and times are strings.

    Grouped by resource and scope as ``proto.to_traces_data``. ``resource``, ``scope`` and ``status`` are always there.
    """
    return msgspec.json.encode(to_object(spans))


def to_object(spans: Iterable[Span]) -> dict[str, object]:
    """The same before it becomes text, to be put into a larger document."""
    return {"resourceSpans": [_group_object(group) for group in to_traces_data(spans).resource_spans]}


def _message(data: _TracesData) -> trace_pb2.TracesData:
    return trace_pb2.TracesData(resource_spans=[_resource_spans(group) for group in data.resource_spans or ()])


def _resource_spans(data: _ResourceSpans) -> trace_pb2.ResourceSpans:
    resource = data.resource or _Resource()
    return trace_pb2.ResourceSpans(
        resource=resource_pb2.Resource(
            attributes=_pairs(resource.attributes),
            dropped_attributes_count=resource.dropped_attributes_count or 0,
        ),
        scope_spans=[_scope_spans(scope_spans) for scope_spans in data.scope_spans or ()],
        schema_url=data.schema_url or "",
    )


def _scope_spans(data: _ScopeSpans) -> trace_pb2.ScopeSpans:
    scope = data.scope or _Scope()
    return trace_pb2.ScopeSpans(
        scope=common_pb2.InstrumentationScope(
            name=scope.name or "",
            version=scope.version or "",
            attributes=_pairs(scope.attributes),
            dropped_attributes_count=scope.dropped_attributes_count or 0,
        ),
        spans=[_span(span) for span in data.spans or ()],
        schema_url=data.schema_url or "",
    )


def _span(data: _Span) -> trace_pb2.Span:
    status = data.status or _Status()
    return trace_pb2.Span(
        trace_id=data.trace_id or b"",
        span_id=data.span_id or b"",
        trace_state=data.trace_state or "",
        parent_span_id=data.parent_span_id or b"",
        flags=data.flags or 0,
        name=data.name or "",
        kind=cast("trace_pb2.Span.SpanKind.ValueType", data.kind or 0),
        start_time_unix_nano=data.start_time_unix_nano or 0,
        end_time_unix_nano=data.end_time_unix_nano or 0,
        attributes=_pairs(data.attributes),
        dropped_attributes_count=data.dropped_attributes_count or 0,
        events=[
            trace_pb2.Span.Event(
                time_unix_nano=event.time_unix_nano or 0,
                name=event.name or "",
                attributes=_pairs(event.attributes),
                dropped_attributes_count=event.dropped_attributes_count or 0,
            )
            for event in data.events or ()
        ],
        dropped_events_count=data.dropped_events_count or 0,
        links=[
            trace_pb2.Span.Link(
                trace_id=link.trace_id or b"",
                span_id=link.span_id or b"",
                trace_state=link.trace_state or "",
                attributes=_pairs(link.attributes),
                dropped_attributes_count=link.dropped_attributes_count or 0,
                flags=link.flags or 0,
            )
            for link in data.links or ()
        ],
        dropped_links_count=data.dropped_links_count or 0,
        status=trace_pb2.Status(
            message=status.message or "", code=cast("trace_pb2.Status.StatusCode.ValueType", status.code or 0)
        ),
    )


def _pairs(pairs: Sequence[_KeyValue] | None, depth: int = 1) -> list[common_pb2.KeyValue]:
    return [common_pb2.KeyValue(key=pair.key or "", value=_any_value(pair.value, depth)) for pair in pairs or ()]


def _any_value(data: _AnyValue | None, depth: int) -> common_pb2.AnyValue:
    """The message of a value; of several set fields, which is malformed, one is taken."""
    if depth > MAX_VALUE_DEPTH:
        raise LimitExceeded(f"an attribute value nests deeper than {MAX_VALUE_DEPTH} levels")
    if data is None:
        return common_pb2.AnyValue()
    if data.string_value is not None:
        return common_pb2.AnyValue(string_value=data.string_value)
    if data.int_value is not None:
        return common_pb2.AnyValue(int_value=data.int_value)
    if data.bool_value is not None:
        return common_pb2.AnyValue(bool_value=data.bool_value)
    if data.double_value is not None:
        return common_pb2.AnyValue(double_value=data.double_value)
    if data.bytes_value is not None:
        return common_pb2.AnyValue(bytes_value=data.bytes_value)
    if data.array_value is not None:
        items = [_any_value(item, depth + 1) for item in data.array_value.values or ()]
        return common_pb2.AnyValue(array_value=common_pb2.ArrayValue(values=items))
    if data.kvlist_value is not None:
        pairs = _pairs(data.kvlist_value.values, depth + 1)
        return common_pb2.AnyValue(kvlist_value=common_pb2.KeyValueList(values=pairs))
    return common_pb2.AnyValue()


def _group_object(group: trace_pb2.ResourceSpans) -> dict[str, object]:
    return _present(
        {
            "resource": _present(
                {
                    "attributes": _pair_objects(group.resource.attributes),
                    "droppedAttributesCount": group.resource.dropped_attributes_count,
                }
            ),
            "scopeSpans": [_scope_object(scope_spans) for scope_spans in group.scope_spans],
            "schemaUrl": group.schema_url,
        }
    )


def _scope_object(group: trace_pb2.ScopeSpans) -> dict[str, object]:
    return _present(
        {
            "scope": _present(
                {
                    "name": group.scope.name,
                    "version": group.scope.version,
                    "attributes": _pair_objects(group.scope.attributes),
                    "droppedAttributesCount": group.scope.dropped_attributes_count,
                }
            ),
            "spans": [_span_object(span) for span in group.spans],
            "schemaUrl": group.schema_url,
        }
    )


def _span_object(span: trace_pb2.Span) -> dict[str, object]:
    return _present(
        {
            "traceId": span.trace_id.hex(),
            "spanId": span.span_id.hex(),
            "traceState": span.trace_state,
            "parentSpanId": span.parent_span_id.hex(),
            "flags": span.flags,
            "name": span.name,
            "kind": span.kind,
            "startTimeUnixNano": _big(span.start_time_unix_nano),
            "endTimeUnixNano": _big(span.end_time_unix_nano),
            "attributes": _pair_objects(span.attributes),
            "droppedAttributesCount": span.dropped_attributes_count,
            "events": [_event_object(event) for event in span.events],
            "droppedEventsCount": span.dropped_events_count,
            "links": [_link_object(link) for link in span.links],
            "droppedLinksCount": span.dropped_links_count,
            "status": _present({"message": span.status.message, "code": span.status.code}),
        }
    )


def _event_object(event: trace_pb2.Span.Event) -> dict[str, object]:
    return _present(
        {
            "timeUnixNano": _big(event.time_unix_nano),
            "name": event.name,
            "attributes": _pair_objects(event.attributes),
            "droppedAttributesCount": event.dropped_attributes_count,
        }
    )


def _link_object(link: trace_pb2.Span.Link) -> dict[str, object]:
    return _present(
        {
            "traceId": link.trace_id.hex(),
            "spanId": link.span_id.hex(),
            "traceState": link.trace_state,
            "attributes": _pair_objects(link.attributes),
            "droppedAttributesCount": link.dropped_attributes_count,
            "flags": link.flags,
        }
    )


def _pair_objects(pairs: Iterable[common_pb2.KeyValue]) -> list[dict[str, object]]:
    return [{"key": pair.key, "value": _value_object(pair.value)} for pair in pairs]


def _value_object(value: common_pb2.AnyValue) -> dict[str, object]:
    """A value under the name of its type; here a zero is written, since it says which type it is."""
    match value.WhichOneof("value"):
        case "string_value":
            return {"stringValue": value.string_value}
        case "int_value":
            return {"intValue": str(value.int_value)}
        case "bool_value":
            return {"boolValue": value.bool_value}
        case "double_value":
            return {"doubleValue": _double_object(value.double_value)}
        case "bytes_value":
            return {"bytesValue": b64encode(value.bytes_value).decode("ascii")}
        case "array_value":
            return {"arrayValue": {"values": [_value_object(item) for item in value.array_value.values]}}
        case "kvlist_value":
            return {"kvlistValue": {"values": _pair_objects(value.kvlist_value.values)}}
        case _:
            return {}


def _double_object(number: float) -> float | str:
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def _big(number: int) -> str:
    """A 64-bit integer as JSON carries it without loss; zero is left away like every zero."""
    return str(number) if number else ""


def _present(members: dict[str, object]) -> dict[str, object]:
    """Leaves away what is zero or empty, except the messages that readers expect to be there."""
    return {name: value for name, value in members.items() if value or isinstance(value, dict)}
