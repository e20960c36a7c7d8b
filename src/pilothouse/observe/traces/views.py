"""Traces as the console and the command line read them: pure functions from spans to the answers of ``/api/traces/``.

A trace is sent in columns, because a page needs names and times of fifty thousand spans at once, and everything else of one
span at a time. Absolute times are decimal text (a double cannot hold them), differences are numbers.
"""

from __future__ import annotations

import math
from base64 import b64encode
from typing import Annotated, Any

from msgspec import Meta, Struct

from pilothouse.formats.otlp.model import Attributes, Event, Link, Resource, Scope, Span, Value, type_name
from pilothouse.kit.units import human_count
from pilothouse.observe.traces.groups import service_of
from pilothouse.observe.traces.model import Trace, TraceSummary
from pilothouse.observe.traces.rows import WARNINGS_KEY

Nanoseconds = Annotated[str, Meta(description="Nanoseconds since the Unix epoch, as decimal text")]


class Attribute(Struct, frozen=True, rename="camel"):
    """A typed value. Ints are decimal text, bytes base64, NaN and infinities text; arrays and lists nest."""

    key: str
    type: str
    value: Any


class ServiceShare(Struct, frozen=True, rename="camel"):
    """One service's spans in a trace."""

    name: str
    span_count: int
    error_count: int


class Summary(Struct, frozen=True, rename="camel"):
    """A trace in a list of results. The root's names are empty when its root was not received."""

    trace_id: str
    root_service: str
    root_operation: str
    start: Nanoseconds
    duration_ns: int
    span_count: int
    error_count: int
    orphan_count: int
    services: list[ServiceShare]


class ResourceView(Struct, frozen=True, rename="camel"):
    """A resource."""

    service: str
    attributes: list[Attribute]
    schema_url: str


class ScopeView(Struct, frozen=True, rename="camel"):
    """An instrumentation scope."""

    name: str
    version: str
    attributes: list[Attribute]
    schema_url: str


class SpanColumns(Struct, frozen=True, rename="camel"):
    """One entry per span, in display order: depth first, siblings by start.

    ``parent`` is an index into the same columns, -1 for a root or an orphan; ``name``, ``resource`` and ``scope`` are indexes
    into the trace's lists; ``start`` is relative to the trace's; ``kind`` and ``status`` are OTLP's numbers; ``events``,
    ``links`` and ``attributes`` are counts.
    """

    span_id: list[str]
    parent: list[int]
    orphan: list[bool]
    name: list[int]
    resource: list[int]
    scope: list[int]
    kind: list[int]
    start: list[int]
    duration: list[int]
    status: list[int]
    events: list[int]
    links: list[int]
    attributes: list[int]


class TraceView(Struct, frozen=True, rename="camel"):
    """A whole trace in columns."""

    trace_id: str
    start: Nanoseconds
    duration_ns: int
    span_count: int
    truncated: bool
    warnings: list[str]
    resources: list[ResourceView]
    scopes: list[ScopeView]
    names: list[str]
    spans: SpanColumns


class EventView(Struct, frozen=True, rename="camel"):
    """A span's event."""

    name: str
    time_unix_nano: Nanoseconds
    attributes: list[Attribute]
    dropped_attributes: int


class LinkView(Struct, frozen=True, rename="camel"):
    """A span's link."""

    trace_id: str
    span_id: str
    trace_state: str
    flags: int
    attributes: list[Attribute]
    dropped_attributes: int


class SpanDetail(Struct, frozen=True, rename="camel"):
    """Everything about one span."""

    trace_id: str
    span_id: str
    parent_span_id: str
    name: str
    kind: int
    start_time_unix_nano: Nanoseconds
    end_time_unix_nano: Nanoseconds
    status: int
    status_message: str
    trace_state: str
    flags: int
    attributes: list[Attribute]
    dropped_attributes: int
    events: list[EventView]
    dropped_events: int
    links: list[LinkView]
    dropped_links: int
    resource: ResourceView
    scope: ScopeView
    warnings: list[str]


def summary(trace: TraceSummary) -> Summary:
    """A summary as it is sent."""
    return Summary(
        trace.trace_id.hex(),
        trace.root_service,
        trace.root_name,
        str(trace.start),
        trace.end - trace.start,
        trace.span_count,
        trace.error_count,
        trace.orphan_count,
        [ServiceShare(s.name, s.span_count, s.error_count) for s in trace.services],
    )


def trace_view(trace: Trace) -> TraceView:
    """A trace in columns."""
    ordered, parents, orphans = display_order(trace.spans)
    start = min(s.start for s in ordered)
    resources: dict[int, int] = {}
    scopes: dict[int, int] = {}
    names: dict[str, int] = {}
    distinct_resources: list[Resource] = []
    distinct_scopes: list[Scope] = []
    for span in ordered:
        # Spans of one resource share one object, so its identity is enough.
        if resources.setdefault(id(span.resource), len(resources)) == len(distinct_resources):
            distinct_resources.append(span.resource)
        if scopes.setdefault(id(span.scope), len(scopes)) == len(distinct_scopes):
            distinct_scopes.append(span.scope)
        names.setdefault(span.name, len(names))
    warnings = []
    if trace.truncated:
        shown = human_count(len(ordered))
        warnings.append(f"trace has more than {shown} spans, showing first {shown} spans only")
    return TraceView(
        trace.trace_id.hex(),
        str(start),
        max(s.end for s in ordered) - start,
        len(ordered),
        trace.truncated,
        warnings,
        [resource_view(r) for r in distinct_resources],
        [scope_view(s) for s in distinct_scopes],
        list(names),
        SpanColumns(
            span_id=[s.span_id.hex() for s in ordered],
            parent=parents,
            orphan=orphans,
            name=[names[s.name] for s in ordered],
            resource=[resources[id(s.resource)] for s in ordered],
            scope=[scopes[id(s.scope)] for s in ordered],
            kind=[s.kind for s in ordered],
            start=[s.start - start for s in ordered],
            duration=[s.end - s.start for s in ordered],
            status=[s.status_code for s in ordered],
            events=[len(s.events) for s in ordered],
            links=[len(s.links) for s in ordered],
            attributes=[len(s.attributes) for s in ordered],
        ),
    )


def display_order(spans: tuple[Span, ...]) -> tuple[list[Span], list[int], list[bool]]:
    """Spans depth first with siblings by start, the index of each one's parent (or -1), and whether that was not received.

    Spans whose parents form a circle hang on nothing; they follow at the end as orphans.
    """
    first: dict[bytes, int] = {}
    for i, span in enumerate(spans):
        first.setdefault(span.span_id, i)
    children: dict[int, list[int]] = {}
    tops: list[int] = []
    for i, span in enumerate(spans):
        parent = first.get(span.parent_span_id) if span.parent_span_id else None
        if parent is None or parent == i:
            tops.append(i)
        else:
            children.setdefault(parent, []).append(i)
    ordered: list[Span] = []
    parents: list[int] = []
    orphans: list[bool] = []
    reached = [False] * len(spans)

    def walk(top: int) -> None:
        stack = [(top, -1)]
        while stack:
            i, parent = stack.pop()
            if reached[i]:
                continue
            reached[i] = True
            orphans.append(parent < 0 and bool(spans[i].parent_span_id))
            here = len(ordered)
            ordered.append(spans[i])
            parents.append(parent)
            below = sorted(children.get(i, ()), key=lambda c: spans[c].start, reverse=True)
            stack.extend((child, here) for child in below)

    for top in sorted(tops, key=lambda i: spans[i].start):
        walk(top)
    for i in range(len(spans)):
        if not reached[i]:
            walk(i)
    return ordered, parents, orphans


def span_detail(span: Span) -> SpanDetail:
    """One span in full; what sanitizing said stands in ``warnings``, not among the attributes."""
    said = span.attributes.get(WARNINGS_KEY)
    return SpanDetail(
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.name,
        span.kind,
        str(span.start),
        str(span.end),
        span.status_code,
        span.status_message,
        span.trace_state,
        span.flags,
        attribute_views({k: v for k, v in span.attributes.items() if k != WARNINGS_KEY}),
        span.dropped_attributes,
        [_event(e) for e in span.events],
        span.dropped_events,
        [_link(x) for x in span.links],
        span.dropped_links,
        resource_view(span.resource),
        scope_view(span.scope),
        [str(text) for text in said] if isinstance(said, list) else [],
    )


def attribute_views(attributes: Attributes) -> list[Attribute]:
    """Attributes in their order."""
    return [Attribute(key, type_name(value), _content(value)) for key, value in attributes.items()]


def resource_view(resource: Resource) -> ResourceView:
    """A resource as it is sent."""
    return ResourceView(service_of(resource), attribute_views(resource.attributes), resource.schema_url)


def scope_view(scope: Scope) -> ScopeView:
    """A scope as it is sent."""
    return ScopeView(scope.name, scope.version, attribute_views(scope.attributes), scope.schema_url)


def _event(event: Event) -> EventView:
    return EventView(event.name, str(event.time), attribute_views(event.attributes), event.dropped_attributes)


def _link(link: Link) -> LinkView:
    return LinkView(
        link.trace_id.hex(),
        link.span_id.hex(),
        link.trace_state,
        link.flags,
        attribute_views(link.attributes),
        link.dropped_attributes,
    )


def _content(value: Value) -> Any:
    match value:
        case None | bool() | str():
            return value
        case int():
            return str(value)
        case float():
            if math.isfinite(value):
                return value
            return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        case bytes():
            return b64encode(value).decode()
        case list():
            return [{"type": type_name(item), "value": _content(item)} for item in value]
        case _:
            return attribute_views(value)
