"""OTLP spans as Jaeger spans and back, with the keys and rules of the OpenTelemetry Collector's Jaeger translator.

Sources: OpenTelemetry specification "OpenTelemetry to Jaeger Transformation" and "Transformation to non-OTLP Formats";
opentelemetry-collector-contrib ``pkg/translator/jaeger``.

What Jaeger's model has no place for is lost on the way there: attributes of scopes and links, schema URLs, dropped counts,
the type of nested values (they become JSON text), the bits of ``flags`` but the sampled one.
"""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Iterable
from typing import Final

import msgspec

from pilothouse.formats.jaeger.model import (
    NO_SERVICE_NAME,
    JaegerSpan,
    Log,
    Process,
    Reference,
    RefType,
    Tags,
    TagValue,
)
from pilothouse.formats.otlp.model import KINDS, Attributes, Event, Link, Resource, Scope, Span, Value

#: The span attribute that carries warnings about the span, an array of strings.
WARNINGS: Final = "@jaeger@warnings"

_KIND: Final = "span.kind"
_ERROR: Final = "error"
_STATUS_CODE: Final = "otel.status_code"
_STATUS_MESSAGE: Final = "otel.status_description"
_TRACE_STATE: Final = "w3c.tracestate"
_EVENT_NAME: Final = "event"
_REF_TYPE: Final = "opentracing.ref_type"
_SERVICE: Final = "service.name"
_HTTP_STATUS_CODE: Final = "http.status_code"
_HTTP_STATUS_MESSAGE: Final = "http.status_message"
#: The second pair is what collectors wrote before scopes were called so; it is only read.
_SCOPE_KEYS: Final = (("otel.scope.name", "otel.scope.version"), ("otel.library.name", "otel.library.version"))
_CODES: Final = {"OK": 1, "ERROR": 2}
_SAMPLED: Final = 1


def from_otlp(spans: Iterable[Span]) -> list[JaegerSpan]:
    """Translates spans in order; those of one resource share one ``Process``."""
    processes: dict[int, tuple[Resource, Process]] = {}
    translated = []
    for span in spans:
        known = processes.get(id(span.resource))
        if known is None:
            known = processes[id(span.resource)] = span.resource, _process(span.resource)
        translated.append(_from_span(span, known[1]))
    return translated


def to_otlp(spans: Iterable[JaegerSpan]) -> list[Span]:
    """Translates spans in order; those of one process share one ``Resource``."""
    resources: dict[int, tuple[Process, Resource]] = {}
    translated = []
    for span in spans:
        known = resources.get(id(span.process))
        if known is None:
            known = resources[id(span.process)] = span.process, _resource(span.process)
        translated.append(_to_span(span, known[1]))
    return translated


def _process(resource: Resource) -> Process:
    service = resource.attributes.get(_SERVICE)
    rest = {key: value for key, value in resource.attributes.items() if key != _SERVICE}
    return Process(service if isinstance(service, str) else NO_SERVICE_NAME, _tags(rest))


def _from_span(span: Span, process: Process) -> JaegerSpan:
    warnings = span.attributes.get(WARNINGS)
    return JaegerSpan(
        trace_id=span.trace_id,
        span_id=span.span_id,
        operation=span.name,
        start=span.start,
        duration=span.end - span.start,
        process=process,
        references=_references(span),
        flags=span.flags & _SAMPLED,
        tags=_span_tags(span),
        logs=tuple(_log(event) for event in span.events),
        warnings=tuple(item for item in warnings if isinstance(item, str)) if isinstance(warnings, list) else (),
    )


def _span_tags(span: Span) -> Tags:
    """Scope, attributes, then what OTLP has fields for, in the order of the Collector."""
    scope = [
        (key, text) for key, text in zip(_SCOPE_KEYS[0], (span.scope.name, span.scope.version), strict=True) if text
    ]
    attributes = span.attributes
    if isinstance(attributes.get(WARNINGS), list):
        attributes = {key: value for key, value in attributes.items() if key != WARNINGS}
    fields: list[tuple[str, TagValue]] = []
    if 0 < span.kind < len(KINDS):
        fields.append((_KIND, KINDS[span.kind]))
    if span.status_code in _CODES.values():
        fields.append((_STATUS_CODE, "ERROR" if span.status_code == _CODES["ERROR"] else "OK"))
    if span.status_code == _CODES["ERROR"]:
        fields.append((_ERROR, True))
    if span.status_message:
        fields.append((_STATUS_MESSAGE, span.status_message))
    if span.trace_state:
        fields.append((_TRACE_STATE, span.trace_state))
    return (*scope, *_tags(attributes), *fields)


def _references(span: Span) -> tuple[Reference, ...]:
    """The parent first; a link to the parent only gives it its type."""
    references = []
    if any(span.parent_span_id):
        references.append(Reference("CHILD_OF", span.trace_id, span.parent_span_id))
    for link in span.links:
        kind: RefType = "CHILD_OF" if link.attributes.get(_REF_TYPE) == "child_of" else "FOLLOWS_FROM"
        reference = Reference(kind, link.trace_id, link.span_id)
        to_parent = (link.trace_id, link.span_id) == (span.trace_id, span.parent_span_id)
        if to_parent and any(span.parent_span_id):
            references[0] = reference
        else:
            references.append(reference)
    return tuple(references)


def _log(event: Event) -> Log:
    tags = _tags(event.attributes)
    if event.name and _EVENT_NAME not in event.attributes:
        tags = ((_EVENT_NAME, event.name), *tags)
    return Log(event.time, tags)


def _tags(attributes: Attributes) -> Tags:
    return tuple((key, _tag_value(value)) for key, value in attributes.items())


def _tag_value(value: Value) -> TagValue:
    match value:
        case None:
            return ""
        case list() | dict():
            return msgspec.json.encode(_plain(value)).decode()
        case _:
            return value


def _plain(value: Value) -> object:
    """A nested value as JSON can carry it: bytes in base64, floats that JSON lacks by name."""
    match value:
        case list():
            return [_plain(item) for item in value]
        case dict():
            return {key: _plain(item) for key, item in value.items()}
        case bytes():
            return b64encode(value).decode("ascii")
        case float() if not math.isfinite(value):
            return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        case _:
            return value


def _resource(process: Process) -> Resource:
    attributes: dict[str, Value] = {}
    if process.service and process.service != NO_SERVICE_NAME:
        attributes[_SERVICE] = process.service
    attributes.update(process.tags)
    if "hostname" in attributes and "host.name" not in attributes:
        attributes["host.name"] = attributes.pop("hostname")
    version = attributes.get("jaeger.version")
    if isinstance(version, str) and "opencensus.exporterversion" not in attributes:
        attributes["opencensus.exporterversion"] = f"Jaeger-{version}"
        del attributes["jaeger.version"]
    return Resource(attributes)


def _to_span(span: JaegerSpan, resource: Resource) -> Span:
    attributes: dict[str, Value] = dict(span.tags)
    scope = _take_scope(attributes)
    kind = _take_kind(attributes)
    status_code, status_message = _take_status(attributes, kind)
    trace_state = attributes.get(_TRACE_STATE)
    if isinstance(trace_state, str):
        del attributes[_TRACE_STATE]
    if span.warnings:
        attributes[WARNINGS] = list(span.warnings)
    parent = span.parent_span_id
    return Span(
        trace_id=span.trace_id,
        span_id=span.span_id,
        resource=resource,
        scope=scope,
        name=span.operation,
        start=span.start,
        end=span.start + span.duration,
        parent_span_id=parent if any(parent) else b"",
        trace_state=trace_state if isinstance(trace_state, str) else "",
        flags=span.flags & _SAMPLED,
        kind=kind,
        status_code=status_code,
        status_message=status_message,
        attributes=attributes,
        events=tuple(_event(log) for log in span.logs),
        links=tuple(
            Link(reference.trace_id, reference.span_id, attributes={_REF_TYPE: reference.type.lower()})
            for reference in span.references
            if not (reference.type == "CHILD_OF" and reference.span_id == parent)
        ),
    )


def _take_scope(attributes: dict[str, Value]) -> Scope:
    for name_key, version_key in _SCOPE_KEYS:
        name = attributes.get(name_key)
        if isinstance(name, str):
            del attributes[name_key]
            version = attributes.get(version_key)
            if isinstance(version, str):
                del attributes[version_key]
            return Scope(name, version if isinstance(version, str) else "")
    return Scope()


def _take_kind(attributes: dict[str, Value]) -> int:
    """The kind by its word; a tag with any other value stays a tag."""
    word = attributes.get(_KIND)
    if isinstance(word, str) and word in KINDS[1:]:
        del attributes[_KIND]
        return KINDS.index(word)
    return 0


def _take_status(attributes: dict[str, Value], kind: int) -> tuple[int, str]:
    """A true ``error`` tag wins over ``otel.status_code``, which wins over ``http.status_code``."""
    code = attributes.pop(_STATUS_CODE, None)
    if attributes.get(_ERROR) is True:
        del attributes[_ERROR]
        message = attributes.pop(_STATUS_MESSAGE, attributes.get(_HTTP_STATUS_MESSAGE))
        return _CODES["ERROR"], message if isinstance(message, str) else ""
    if code is not None:
        message = attributes.pop(_STATUS_MESSAGE, "")
        return _CODES.get(str(code).upper(), 0), message if isinstance(message, str) else ""
    if _http_failed(attributes.get(_HTTP_STATUS_CODE), kind):
        message = attributes.get(_HTTP_STATUS_MESSAGE)
        return _CODES["ERROR"], message if isinstance(message, str) else ""
    return 0, ""


def _http_failed(value: Value, kind: int) -> bool:
    """Semantic conventions for HTTP: 5xx and unknown codes are errors, 4xx only for who made the request."""
    try:
        code = int(value) if isinstance(value, str | int) and not isinstance(value, bool) else 200
    except ValueError:
        return False
    if 400 <= code < 500:
        return KINDS[kind] == "client"
    return not 100 <= code < 400


def _event(log: Log) -> Event:
    attributes: dict[str, Value] = dict(log.fields)
    name = attributes.get(_EVENT_NAME)
    if isinstance(name, str):
        del attributes[_EVENT_NAME]
    return Event(log.time, name if isinstance(name, str) else "", attributes)
