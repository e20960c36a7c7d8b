"""OTLP traces in protobuf, by way of the generated classes (upb).

This is the readable path: ``signals`` and ingest go from bytes to columns without it, and are tested against it. Sources:
opentelemetry-proto ``trace/v1/trace.proto``, ``common/v1/common.proto``, ``collector/trace/v1/trace_service.proto``.

>>> from pilothouse.formats.otlp.model import Resource, Scope, Span
>>> span = Span(bytes(15) + b"1", bytes(7) + b"2", Resource({"service.name": "shop"}), Scope("lib"), "buy", start=10, end=25)
>>> decode_request(encode([span])) == [span]
True
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, cast

from google.protobuf.internal.containers import RepeatedCompositeFieldContainer
from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from pilothouse.formats.otlp.model import Attributes, Event, Link, Resource, Scope, Span, Value
from pilothouse.kit.errors import InvalidInput, LimitExceeded

#: How deep arrays and key-value lists may nest in one value. Each level costs two protobuf messages, of which decoders
#: everywhere allow about 100, so whatever is within this limit can be read by any client.
MAX_VALUE_DEPTH: Final = 32


def decode_request(data: bytes) -> list[Span]:
    """Decodes an ``ExportTraceServiceRequest`` or ``TracesData`` (the same bytes), in the order of the message.

    Ids come as they are, of whatever length. Of attributes with the same key the last counts. Unknown fields are ignored.

    Raises:
        InvalidInput: the bytes are no such message, or a string in it is no UTF-8.
        LimitExceeded: a value nests deeper than ``MAX_VALUE_DEPTH``.
    """
    message = trace_pb2.TracesData()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise InvalidInput(f"the bytes are no OTLP trace request: {error}") from None
    return list(from_traces_data(message))


def from_traces_data(message: trace_pb2.TracesData) -> Iterator[Span]:
    """The spans of a parsed message; spans under one resource or scope share its value."""
    for resource_spans in message.resource_spans:
        resource = resource_of(resource_spans)
        for scope_spans in resource_spans.scope_spans:
            scope = scope_of(scope_spans)
            for span in scope_spans.spans:
                yield _span(span, resource, scope)


def resource_of(message: trace_pb2.ResourceSpans) -> Resource:
    """The resource of a ``ResourceSpans``, with its schema URL."""
    resource = message.resource
    return Resource(_attributes(resource.attributes), resource.dropped_attributes_count, message.schema_url)


def scope_of(message: trace_pb2.ScopeSpans) -> Scope:
    """The scope of a ``ScopeSpans``, with its schema URL."""
    scope = message.scope
    attributes = _attributes(scope.attributes)
    return Scope(scope.name, scope.version, attributes, scope.dropped_attributes_count, message.schema_url)


def encode(spans: Iterable[Span]) -> bytes:
    """Encodes ``TracesData``, which is also a valid ``ExportTraceServiceRequest``; grouped as ``to_traces_data`` says."""
    return to_traces_data(spans).SerializeToString()


def to_traces_data(spans: Iterable[Span]) -> trace_pb2.TracesData:
    """One ``ResourceSpans`` for each distinct resource and one ``ScopeSpans`` for each distinct scope in it, by first use.

    Raises:
        LimitExceeded: a value nests deeper than ``MAX_VALUE_DEPTH``.
    """
    message = trace_pb2.TracesData()
    groups = _Groups(message)
    for span in spans:
        groups.spans_of(span.resource, span.scope).append(_span_message(span))
    return message


def any_value_from_bytes(data: bytes) -> Value:
    """Decodes one serialized ``AnyValue``.

    Raises:
        InvalidInput: the bytes are no ``AnyValue``.
        LimitExceeded: it nests deeper than ``MAX_VALUE_DEPTH``.
    """
    message = common_pb2.AnyValue()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise InvalidInput(f"the bytes are no OTLP value: {error}") from None
    return from_any_value(message)


def any_value_to_bytes(value: Value) -> bytes:
    """Serializes one ``AnyValue``; the inverse of ``any_value_from_bytes``."""
    return to_any_value(value).SerializeToString()


def from_any_value(message: common_pb2.AnyValue, depth: int = 1) -> Value:
    """The value of a parsed ``AnyValue``; ``None`` when nothing is set."""
    _check_depth(depth)
    match message.WhichOneof("value"):
        case "string_value":
            return message.string_value
        case "int_value":
            return message.int_value
        case "bool_value":
            return message.bool_value
        case "double_value":
            return message.double_value
        case "bytes_value":
            return message.bytes_value
        case "array_value":
            return [from_any_value(item, depth + 1) for item in message.array_value.values]
        case "kvlist_value":
            return {item.key: from_any_value(item.value, depth + 1) for item in message.kvlist_value.values}
        case _:
            return None


def to_any_value(value: Value, depth: int = 1) -> common_pb2.AnyValue:
    """An ``AnyValue`` message of ``value``."""
    _check_depth(depth)
    match value:
        case None:
            return common_pb2.AnyValue()
        case str():
            return common_pb2.AnyValue(string_value=value)
        case bool():
            return common_pb2.AnyValue(bool_value=value)
        case int():
            return common_pb2.AnyValue(int_value=value)
        case float():
            return common_pb2.AnyValue(double_value=value)
        case bytes():
            return common_pb2.AnyValue(bytes_value=value)
        case list():
            items = [to_any_value(item, depth + 1) for item in value]
            return common_pb2.AnyValue(array_value=common_pb2.ArrayValue(values=items))
        case _:
            pairs = [common_pb2.KeyValue(key=key, value=to_any_value(item, depth + 1)) for key, item in value.items()]
            return common_pb2.AnyValue(kvlist_value=common_pb2.KeyValueList(values=pairs))


def _check_depth(depth: int) -> None:
    if depth > MAX_VALUE_DEPTH:
        raise LimitExceeded(f"an attribute value nests deeper than {MAX_VALUE_DEPTH} levels")


def _attributes(pairs: Iterable[common_pb2.KeyValue]) -> Attributes:
    return {pair.key: from_any_value(pair.value) for pair in pairs}


def _pairs(attributes: Attributes) -> list[common_pb2.KeyValue]:
    return [common_pb2.KeyValue(key=key, value=to_any_value(value)) for key, value in attributes.items()]


def _span(span: trace_pb2.Span, resource: Resource, scope: Scope) -> Span:
    return Span(
        trace_id=span.trace_id,
        span_id=span.span_id,
        resource=resource,
        scope=scope,
        name=span.name,
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        parent_span_id=span.parent_span_id,
        trace_state=span.trace_state,
        flags=span.flags,
        kind=span.kind,
        status_code=span.status.code,
        status_message=span.status.message,
        attributes=_attributes(span.attributes),
        events=tuple(
            Event(event.time_unix_nano, event.name, _attributes(event.attributes), event.dropped_attributes_count)
            for event in span.events
        ),
        links=tuple(
            Link(
                link.trace_id,
                link.span_id,
                link.trace_state,
                _attributes(link.attributes),
                link.dropped_attributes_count,
                link.flags,
            )
            for link in span.links
        ),
        dropped_attributes=span.dropped_attributes_count,
        dropped_events=span.dropped_events_count,
        dropped_links=span.dropped_links_count,
    )


def _span_message(span: Span) -> trace_pb2.Span:
    message = trace_pb2.Span(
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_span_id=span.parent_span_id,
        trace_state=span.trace_state,
        flags=span.flags,
        name=span.name,
        start_time_unix_nano=span.start,
        end_time_unix_nano=span.end,
        attributes=_pairs(span.attributes),
        dropped_attributes_count=span.dropped_attributes,
        dropped_events_count=span.dropped_events,
        dropped_links_count=span.dropped_links,
        # Enums are open: numbers beyond the known ones are kept.
        kind=cast("trace_pb2.Span.SpanKind.ValueType", span.kind),
        status=trace_pb2.Status(
            message=span.status_message, code=cast("trace_pb2.Status.StatusCode.ValueType", span.status_code)
        ),
    )
    for event in span.events:
        message.events.add(
            time_unix_nano=event.time,
            name=event.name,
            attributes=_pairs(event.attributes),
            dropped_attributes_count=event.dropped_attributes,
        )
    for link in span.links:
        message.links.add(
            trace_id=link.trace_id,
            span_id=link.span_id,
            trace_state=link.trace_state,
            attributes=_pairs(link.attributes),
            dropped_attributes_count=link.dropped_attributes,
            flags=link.flags,
        )
    return message


class _Groups:
    """Finds the ``ScopeSpans`` a span belongs in.

    Equality is that of the serialized form, since Python's would take ``1``, ``1.0`` and ``True`` for the same value. Spans
    usually share one object, so that is looked at first.
    """

    def __init__(self, message: trace_pb2.TracesData) -> None:
        self._message = message
        self._by_identity: dict[tuple[int, int], tuple[Resource, Scope, trace_pb2.ScopeSpans]] = {}
        self._resources: dict[bytes, trace_pb2.ResourceSpans] = {}
        self._scopes: dict[tuple[bytes, bytes], trace_pb2.ScopeSpans] = {}

    def spans_of(self, resource: Resource, scope: Scope) -> RepeatedCompositeFieldContainer[trace_pb2.Span]:
        known = self._by_identity.get((id(resource), id(scope)))
        if known is None:
            # The values are kept beside the message, so that their ids are not used again meanwhile.
            known = resource, scope, self._find(resource, scope)
            self._by_identity[id(resource), id(scope)] = known
        return known[2].spans

    def _find(self, resource: Resource, scope: Scope) -> trace_pb2.ScopeSpans:
        outer = trace_pb2.ResourceSpans(
            resource=resource_pb2.Resource(
                attributes=_pairs(resource.attributes), dropped_attributes_count=resource.dropped_attributes
            ),
            schema_url=resource.schema_url,
        )
        inner = trace_pb2.ScopeSpans(
            scope=common_pb2.InstrumentationScope(
                name=scope.name,
                version=scope.version,
                attributes=_pairs(scope.attributes),
                dropped_attributes_count=scope.dropped_attributes,
            ),
            schema_url=scope.schema_url,
        )
        outer_key, inner_key = outer.SerializeToString(), inner.SerializeToString()
        if outer_key not in self._resources:
            self._message.resource_spans.append(outer)
            self._resources[outer_key] = self._message.resource_spans[-1]
        if (outer_key, inner_key) not in self._scopes:
            scopes = self._resources[outer_key].scope_spans
            scopes.append(inner)
            self._scopes[outer_key, inner_key] = scopes[-1]
        return self._scopes[outer_key, inner_key]
