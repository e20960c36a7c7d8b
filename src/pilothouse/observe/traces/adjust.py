"""What Jaeger does to a trace before it shows it, unless the reader asks for it raw.

Stored spans are what was sent. These functions make them readable: span ids that an RPC's two sides share become two ids,
copies go, attributes are in order. Each is a pure function from ``Trace`` to ``Trace`` that returns its argument when there
is nothing to do; ``standard`` is all of them in Jaeger's order. Whatever a reader should know about a span is a text in its
attribute ``@jaeger@warnings``, an array of strings.

Clock skew is measured but never corrected (Jaeger's ``max-clock-skew-adjust`` is 0 by default): the spans say by how much
they would have moved.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Generic, NamedTuple, TypeVar

import msgspec
from msgspec.structs import replace

from pilothouse.formats import goduration
from pilothouse.formats.jaeger.translate import WARNINGS
from pilothouse.formats.otlp.model import Attributes, Event, Link, Resource, Scope, Span, Value
from pilothouse.observe.traces.model import Trace

_SERVER, _CLIENT = 2, 3
_IP_KEYS: Final = ("ip", "peer.ipv4")
_LIBRARY_KEYS: Final = (
    "telemetry.sdk.language",
    "telemetry.sdk.name",
    "telemetry.sdk.version",
    "telemetry.distro.name",
    "telemetry.distro.version",
)


def standard(trace: Trace) -> Trace:
    """All adjusters, in Jaeger's order: dropping copies needs sorted collections, skew needs unique ids."""
    for adjust in (
        separate_shared_ids,
        sort_collections,
        drop_copies,
        report_clock_skew,
        write_ip_addresses,
        move_library_attributes,
        drop_empty_links,
    ):
        trace = adjust(trace)
    return trace


def mark_truncated(trace: Trace, limit: int) -> Trace:
    """Says on the first span that there were more than ``limit`` spans; unchanged unless ``trace.truncated``."""
    if not trace.truncated or not trace.spans:
        return trace
    text = f"trace has more than {limit} spans, showing first {limit} spans only"
    return _with_spans(trace, [warn(trace.spans[0], text), *trace.spans[1:]])


def warn(span: Span, *texts: str) -> Span:
    """``span`` with more warnings; anything else found under the attribute's name gives way."""
    old = span.attributes.get(WARNINGS)
    kept: list[Value] = list(old) if isinstance(old, list) else []
    return replace(span, attributes={**span.attributes, WARNINGS: [*kept, *texts]})


def separate_shared_ids(trace: Trace) -> Trace:
    """Gives a server span that shares its id with a client span (Zipkin's habit) an id of its own, below the client's.

    The shared id becomes the server span's parent, and what was below the shared id moves below the server span. New ids
    count up from 1, leaving out the ids in use.
    """
    clients = {span.span_id for span in trace.spans if span.kind == _CLIENT}
    shared = {i for i, span in enumerate(trace.spans) if span.kind == _SERVER and span.span_id in clients}
    if not shared:
        return trace
    used = {span.span_id for span in trace.spans}
    spans, renamed, number = list(trace.spans), dict[bytes, bytes](), 0
    for i in sorted(shared):
        number += 1
        while (fresh := number.to_bytes(8, "big")) in used:
            number += 1
        renamed[spans[i].span_id] = fresh
        spans[i] = replace(spans[i], span_id=fresh, parent_span_id=spans[i].span_id)
    for i, span in enumerate(spans):
        parent = renamed.get(span.parent_span_id)
        if parent is not None and parent != span.span_id and i not in shared:
            spans[i] = replace(span, parent_span_id=parent)
    return _with_spans(trace, spans)


def sort_collections(trace: Trace) -> Trace:
    """Attributes of every level by key, events by time."""
    resources, scopes = _Shared(_sorted_resource), _Shared(_sorted_scope)

    def sort(span: Span) -> Span:
        events = sorted((_sorted_event(e) for e in span.events), key=lambda e: e.time) if span.events else ()
        return replace(
            span,
            attributes=_by_key(span.attributes),
            events=tuple(events),
            links=tuple(map(_sorted_link, span.links)) if span.links else (),
            resource=resources(span.resource),
            scope=scopes(span.scope),
        )

    return _with_spans(trace, map(sort, trace.spans))


def drop_copies(trace: Trace) -> Trace:
    """Keeps one of several spans that are equal in everything. Expects ``sort_collections`` to have run."""
    often = {key for key, count in Counter(map(_outline, trace.spans)).items() if count > 1}
    if not often:
        return trace
    seen: set[bytes] = set()
    kept: list[Span] = []
    for span in trace.spans:
        if _outline(span) in often:
            # Encoded, because a dict is not hashable and NaN does not equal itself.
            content = msgspec.msgpack.encode(span)
            if content in seen:
                continue
            seen.add(content)
        kept.append(span)
    return _with_spans(trace, kept)


def report_clock_skew(trace: Trace) -> Trace:
    """Warns where the clock of another host seems to be off, and where that cannot be told.

    A span is compared with its parent when both come from different hosts, or from unknown ones; spans of the same host
    below it share its skew. The time of the network is taken to be the same in both directions.
    """
    nodes: dict[bytes, int] = {}
    said: dict[int, str] = {}
    for i, span in enumerate(trace.spans):
        if nodes.setdefault(span.span_id, i) != i:
            said[i] = "duplicate span IDs; skipping clock skew adjustment"
    children: dict[int, list[int]] = {}
    roots: list[int] = []
    for i in nodes.values():
        parent = trace.spans[i].parent_span_id
        if parent in nodes:
            children.setdefault(nodes[parent], []).append(i)
            continue
        roots.append(i)
        if parent.strip(b"\0"):
            said[i] = f"parent span ID={parent.hex()} is not in the trace; skipping clock skew adjustment"
    for i, delta in _skews(trace.spans, roots, children):
        said[i] = f"clock skew adjustment disabled; not applying calculated delta of {goduration.render(delta)}"
    if not said:
        return trace
    return _with_spans(trace, (warn(span, said[i]) if i in said else span for i, span in enumerate(trace.spans)))


def write_ip_addresses(trace: Trace) -> Trace:
    """Writes an IPv4 address that was sent as a number, in ``ip`` or ``peer.ipv4``, with dots."""

    def resource(value: Resource) -> Resource:
        attributes = _dotted(value.attributes)
        return value if attributes is value.attributes else replace(value, attributes=attributes)

    resources = _Shared(resource)

    def adjust(span: Span) -> Span:
        attributes, origin = _dotted(span.attributes), resources(span.resource)
        if attributes is span.attributes and origin is span.resource:
            return span
        return replace(span, attributes=attributes, resource=origin)

    return _with_spans(trace, map(adjust, trace.spans))


def move_library_attributes(trace: Trace) -> Trace:
    """Moves what describes the telemetry library from the spans to their resource, unless the resource disagrees."""
    gained: dict[int, dict[str, Value]] = {}
    spans: list[Span] = []
    for span in trace.spans:
        found = [key for key in _LIBRARY_KEYS if key in span.attributes]
        if not found:
            spans.append(span)
            continue
        known = gained.setdefault(id(span.resource), dict(span.resource.attributes))
        left, warnings = dict(span.attributes), []
        for key in found:
            value = left[key]
            if key in known and not (isinstance(value, str) and known[key] == value):
                warnings.append(f"conflicting values between Span and Resource for attribute {key}")
            else:
                known[key] = value
                del left[key]
        span = replace(span, attributes=left)
        spans.append(warn(span, *warnings) if warnings else span)
    if not gained:
        return trace

    def grow(resource: Resource) -> Resource:
        attributes = gained.get(id(resource))
        return resource if attributes is None else replace(resource, attributes=_by_key(attributes))

    resources = _Shared(grow)
    return _with_spans(trace, (replace(span, resource=resources(span.resource)) for span in spans))


def drop_empty_links(trace: Trace) -> Trace:
    """Removes links that name no trace, and says so once for each."""

    def adjust(span: Span) -> Span:
        links = tuple(link for link in span.links if link.trace_id.strip(b"\0"))
        lost = len(span.links) - len(links)
        return warn(replace(span, links=links), *["Invalid span link removed"] * lost) if lost else span

    return _with_spans(trace, map(adjust, trace.spans))


_T = TypeVar("_T")


class _Shared(Generic[_T]):
    """Applies a function once per object: thousands of spans share one resource, and still shall afterwards."""

    def __init__(self, function: Callable[[_T], _T]) -> None:
        self._function = function
        self._known: dict[int, tuple[_T, _T]] = {}

    def __call__(self, value: _T) -> _T:
        found = self._known.get(id(value))
        if found is None:
            # The original is kept too, so that its id is not given to another object meanwhile.
            found = self._known[id(value)] = value, self._function(value)
        return found[1]


class _Outline(NamedTuple):
    span_id: bytes
    parent: bytes
    start: int
    end: int
    name: str


def _outline(span: Span) -> _Outline:
    """What copies have in common at least; cheap to compare."""
    return _Outline(span.span_id, span.parent_span_id, span.start, span.end, span.name)


def _with_spans(trace: Trace, spans: Iterable[Span]) -> Trace:
    return replace(trace, spans=tuple(spans))


def _by_key(attributes: Attributes) -> Attributes:
    keys = list(attributes)
    ordered = sorted(keys)
    return attributes if keys == ordered else {key: attributes[key] for key in ordered}


def _sorted_resource(resource: Resource) -> Resource:
    return replace(resource, attributes=_by_key(resource.attributes))


def _sorted_scope(scope: Scope) -> Scope:
    return replace(scope, attributes=_by_key(scope.attributes))


def _sorted_event(event: Event) -> Event:
    return replace(event, attributes=_by_key(event.attributes))


def _sorted_link(link: Link) -> Link:
    return replace(link, attributes=_by_key(link.attributes))


def _skews(spans: tuple[Span, ...], roots: list[int], children: Mapping[int, list[int]]) -> Iterable[tuple[int, int]]:
    """Each span whose clock is off, and by how many nanoseconds. Not recursive: a trace may be deeper than the stack."""
    hosts = _Hosts()
    stack: list[tuple[int, int, str, int]] = [(i, -1, hosts(spans[i].resource), 0) for i in roots]
    while stack:
        i, parent, host, delta = stack.pop()
        own = hosts(spans[i].resource)
        if parent >= 0 and (own != host or not own):
            host, delta = own, _skew(spans[i], spans[parent])
        if delta:
            yield i, delta
        stack.extend((child, i, host, delta) for child in children.get(i, ()))


def _skew(child: Span, parent: Span) -> int:
    """By how much the child would have to move to lie within its parent; 0 when it does, or when it may outlive it."""
    spare = (parent.end - parent.start) - (child.end - child.start)
    if spare < 0:
        return max(0, parent.start - child.start)
    if parent.start <= child.start and child.end <= parent.end:
        return 0
    return parent.start + spare // 2 - child.start


class _Hosts:
    """What identifies the host of a resource: ``host.id``, else the first ``host.ip``, else ``host.name``."""

    def __init__(self) -> None:
        self._known: dict[int, str] = {}

    def __call__(self, resource: Resource) -> str:
        if id(resource) not in self._known:
            self._known[id(resource)] = self._read(resource.attributes)
        return self._known[id(resource)]

    @staticmethod
    def _read(attributes: Attributes) -> str:
        for key in ("host.id", "host.ip", "host.name"):
            value = attributes.get(key)
            if isinstance(value, list):
                value = value[0] if value else None
            if isinstance(value, str) and value:
                return value
        return ""


def _dotted(attributes: Attributes) -> Attributes:
    """``attributes`` with addresses as text; the same object when there is none to write."""
    written: dict[str, Value] = {}
    for key in _IP_KEYS:
        value = attributes.get(key)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        # Only an unsigned 32-bit number is an address; bool is an int to Python.
        if isinstance(value, int) and not isinstance(value, bool) and -(2**31) <= value < 2**32:
            written[key] = ".".join(str(byte) for byte in (value % 2**32).to_bytes(4, "big"))
    return {**attributes, **written} if written else attributes
