"""From decoded requests to the columns of ``schema.SPANS``, with what must be refused or mended on the way.

One call handles all requests of a group commit. Nothing here makes a Python object per span.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct
from numpy.typing import NDArray

from pilothouse.observe.traces.mending import (
    ARRAY,
    INVALID_KEY,
    KVLIST,
    RESOURCE,
    SCOPE,
    is_utf8,
    length_delimited,
    mended,
    mended_text,
)
from pilothouse.observe.traces.shapes import ShapedAttributes, split

#: Bits of the column ``warnings``, and their texts.
NEGATIVE_DURATION: Final = 1
INVALID_UTF8: Final = 2
WARNINGS: Final = {
    NEGATIVE_DURATION: "Negative duration detected, sanitizing end timestamp. The span ended before or when it started.",
    INVALID_UTF8: "Invalid UTF-8 detected, replaced what could not be read.",
}

#: The greatest signed 64-bit integer, which is no time in SQL either: there it means "infinity".
_INFINITY: Final = np.uint64(0x7FFFFFFFFFFFFFFF)


class Rejected(Struct, frozen=True):
    """Spans of one request that cannot be kept: how many, and why, as reasons of the ledger."""

    request: int
    reasons: dict[str, int]


class Batch(Struct, frozen=True):
    """Spans ready for the store, but for the numbers that the segment gives (resource, scope, shape, commit).

    Attributes:
        columns: By the name in ``schema.SPANS``; those the commit fills in are missing.
        start: Nanoseconds, the column ``start`` as numbers.
        trace_ids: Shape ``(n, 16)``.
        request: For each span, the request it came in.
        resource, scope: For each span, the place in ``resources`` and ``scopes``.
        attributes: The split attributes.
        received: Spans per request, rejected ones included.
        rejected: What was left out.
    """

    columns: dict[str, pa.Array]
    start: NDArray[np.int64]
    trace_ids: NDArray[np.uint8]
    request: NDArray[np.int64]
    resource: NDArray[np.int64]
    scope: NDArray[np.int64]
    resources: list[bytes]
    scopes: list[bytes]
    attributes: ShapedAttributes
    received: NDArray[np.int64]
    rejected: list[Rejected]

    def __len__(self) -> int:
        return len(self.start)


def to_columns(requests: pa.ListArray) -> Batch:
    """Flattens decoded requests (from a strict or a lenient decoder)."""
    n = len(requests)
    resource_spans, request_of_resource = _flatten(requests, np.arange(n))
    scope_spans, resource_of_scope = _flatten(resource_spans.field("scope_spans"), np.arange(len(resource_spans)))
    spans, scope = _flatten(scope_spans.field("spans"), np.arange(len(scope_spans)))
    resource = resource_of_scope[scope]
    request = request_of_resource[resource]
    received = np.bincount(request, minlength=n)

    spans, keep, rejected = _refuse(spans, request)
    if keep is not None:
        request, resource, scope = request[keep], resource[keep], scope[keep]
    resources, bad_resources, resource_number = _encoded(resource_spans, "resource")
    scopes, bad_scopes, scope_number = _encoded(scope_spans, "scope")
    resource, scope = resource_number[resource], scope_number[scope]
    text = _Text(spans, bad_resources[resource] | bad_scopes[scope])
    start = spans.field("start").to_numpy().astype(np.int64)
    duration = spans.field("end").to_numpy().astype(np.int64) - start
    negative = duration <= 0
    duration = np.where(negative, 1, duration)
    parent = _ids(spans.field("parent_span_id"))
    status = spans.field("status")
    name = text.of("name", "invalid-span-name")
    kind = spans.field("kind").to_numpy()
    columns = {
        "trace_id": spans.field("trace_id"),
        "span_id": pa.array(_ids(spans.field("span_id"))),
        "parent_span_id": pa.array(parent, mask=parent == 0),
        "start": pa.array(start),
        "duration": pa.array(duration),
        "name": pc.if_else(pc.equal(name, ""), "empty-span-name", name),
        "kind": pa.array(np.where((kind < 0) | (kind > 255), 0, kind).astype(np.uint8)),
        "status": _small(pc.struct_field(status, "code")),
        "status_message": pc.fill_null(text.convert(pc.struct_field(status, "message"), text.all), ""),
        "trace_state": text.of("trace_state"),
        "flags": spans.field("flags"),
        "events": _events(spans.field("events"), text),
        "links": _links(spans.field("links"), text),
        "dropped_attributes": spans.field("dropped_attributes"),
        "dropped_events": spans.field("dropped_events"),
        "dropped_links": spans.field("dropped_links"),
    }
    attributes = split(_rebuilt(spans.field("attributes"), text.all, partial(_key_values, text)))
    columns |= attributes.columns
    columns["warnings"] = pa.array((negative * NEGATIVE_DURATION + text.mended * INVALID_UTF8).astype(np.uint8))
    return Batch(
        columns,
        start,
        _matrix(spans.field("trace_id"), 16),
        request,
        resource,
        scope,
        resources,
        scopes,
        attributes,
        received,
        rejected,
    )


def _flatten(lists: pa.ListArray, owner: NDArray[np.int64]) -> tuple[pa.StructArray, NDArray[np.int64]]:
    """The values of all lists, and for each the owner of its list."""
    return lists.flatten(), np.repeat(owner, np.diff(np.asarray(lists.offsets)))


def _refuse(
    spans: pa.StructArray, request: NDArray[np.int64]
) -> tuple[pa.StructArray, NDArray[np.int64] | None, list[Rejected]]:
    """Leaves out spans whose ids or times no store could keep. ``keep`` is ``None`` if that is none of them."""
    lengths = {n: pc.binary_length(spans.field(n)).to_numpy() for n in ("trace_id", "span_id", "parent_span_id")}
    bad = {
        "invalid_trace_id": (lengths["trace_id"] != 16) | _is_zero(spans.field("trace_id"), 16),
        "invalid_span_id": (lengths["span_id"] != 8) | _is_zero(spans.field("span_id"), 8),
        "invalid_parent_span_id": (lengths["parent_span_id"] != 0) & (lengths["parent_span_id"] != 8),
        "timestamp_out_of_range": (spans.field("start").to_numpy() >= _INFINITY)
        | (spans.field("end").to_numpy() >= _INFINITY),
    }
    any_bad = np.logical_or.reduce(list(bad.values()))
    if not any_bad.any():
        return spans, None, []
    reasons: dict[int, dict[str, int]] = {}
    counted = np.zeros(len(any_bad), bool)
    for reason, mask in bad.items():
        for number, count in zip(*np.unique(request[mask & ~counted], return_counts=True), strict=True):
            reasons.setdefault(int(number), {})[reason] = int(count)
        counted |= mask
    keep = np.nonzero(~any_bad)[0]
    return spans.take(pa.array(keep)), keep, [Rejected(*item) for item in sorted(reasons.items())]


def _is_zero(ids: pa.Array, length: int) -> NDArray[np.bool_]:
    zero: NDArray[np.bool_] = pc.equal(ids, pa.scalar(bytes(length), ids.type)).to_numpy(zero_copy_only=False)
    return zero


def _matrix(ids: pa.Array, length: int) -> NDArray[np.uint8]:
    """Ids that all have the same length, as rows of bytes; no copy."""
    _, offsets, data = ids.buffers()
    first = np.frombuffer(offsets, np.int32)[ids.offset] if len(ids) else 0
    return np.frombuffer(data or b"", np.uint8, len(ids) * length, int(first)).reshape(-1, length)


def _ids(ids: pa.Array) -> NDArray[np.uint64]:
    """Span ids as numbers; 0 where there is none."""
    present = pc.binary_length(ids).to_numpy() == 8
    numbers = np.zeros(len(ids), np.uint64)
    data = ids if present.all() else ids.filter(pa.array(present))
    numbers[present] = _matrix(data, 8).reshape(-1).view(">u8")
    return numbers


def _small(numbers: pa.Array) -> pa.Array:
    values = pc.fill_null(numbers, 0).to_numpy()
    return pa.array(np.where((values < 0) | (values > 255), 0, values).astype(np.uint8))


class _Text:
    """Text columns of one batch. From a lenient decoder they are bytes, and what is no UTF-8 is mended and remembered.

    Attributes:
        all: Every span's place, the owner of its own values.
        mended: For each span, whether any of its text was.
    """

    def __init__(self, spans: pa.StructArray, mended: NDArray[np.bool_]) -> None:
        self._spans = spans
        self.all = np.arange(len(spans))
        self.mended = mended

    def of(self, name: str, instead: str = "") -> pa.Array:
        """A text column of the spans; invalid values become ``instead``, or keep what can be read of them."""
        return self.convert(self._spans.field(name), self.all, instead)

    def convert(self, column: pa.Array, owner: NDArray[np.int64], instead: str = "") -> pa.Array:
        """Any text array, at whatever level; ``owner`` tells each value's span."""
        if pa.types.is_string(column.type):
            return column
        try:
            return column.cast(pa.string())
        except pa.ArrowInvalid:
            values = column.to_pylist()
            self.mended[owner[[i for i, v in enumerate(values) if v is not None and not is_utf8(v)]]] = True
            return pa.array([None if v is None else mended_text(v, instead) for v in values], pa.string())

    def nested(self, column: pa.Array, owner: NDArray[np.int64], kind: Mapping[int, Any]) -> pa.Array:
        """Encoded arrays or key-value lists."""
        if column.null_count == len(column):
            return column
        values = column.to_pylist()
        readable = [None if v is None else mended(v, kind) for v in values]
        self.mended[owner[[i for i, v in enumerate(values) if readable[i] is not v]]] = True
        return pa.array(readable, column.type)


def _rebuilt(
    lists: pa.ListArray, owner: NDArray[np.int64], change: Callable[[pa.StructArray, NDArray[np.int64]], pa.StructArray]
) -> pa.ListArray:
    """The same lists over changed values; ``change`` also takes the owner of each value's list."""
    offsets = np.asarray(lists.offsets)
    return pa.ListArray.from_arrays(pa.array(offsets - offsets[0]), change(*_flatten(lists, owner)))


def _key_values(text: _Text, pairs: pa.StructArray, owner: NDArray[np.int64]) -> pa.StructArray:
    if pa.types.is_string(pairs.type.field("key").type):
        return pairs
    value = pairs.field("value")
    fields = {f.name: pc.struct_field(value, f.name) for f in value.type}
    fields["string"] = text.convert(fields["string"], owner)
    fields["array"] = text.nested(fields["array"], owner, ARRAY)
    fields["kvlist"] = text.nested(fields["kvlist"], owner, KVLIST)
    key = text.convert(pairs.field("key"), owner, INVALID_KEY)
    return pa.StructArray.from_arrays([key, pa.StructArray.from_arrays(fields.values(), fields)], ["key", "value"])


def _typed(text: _Text, attributes: pa.ListArray, owner: NDArray[np.int64]) -> pa.ListArray:
    """Attributes as ``schema.ATTRIBUTES`` has them."""

    def flat(pairs: pa.StructArray, of: NDArray[np.int64]) -> pa.StructArray:
        pairs = _key_values(text, pairs, of)
        value = pairs.field("value")
        names = [f.name for f in value.type]
        return pa.StructArray.from_arrays(
            [pairs.field("key"), *(pc.struct_field(value, n) for n in names)], ["key", *names]
        )

    return _rebuilt(attributes, owner, flat)


def _events(events: pa.ListArray, text: _Text) -> pa.ListArray:
    def flat(e: pa.StructArray, of: NDArray[np.int64]) -> pa.StructArray:
        name, attributes = text.convert(e.field("name"), of), _typed(text, e.field("attributes"), of)
        return pa.StructArray.from_arrays(
            [e.field("time"), name, attributes, e.field("dropped")], ["time", "name", "attributes", "dropped"]
        )

    return _rebuilt(events, text.all, flat)


def _links(links: pa.ListArray, text: _Text) -> pa.ListArray:
    def flat(x: pa.StructArray, of: NDArray[np.int64]) -> pa.StructArray:
        return pa.StructArray.from_arrays(
            [
                x.field("trace_id"),
                x.field("span_id"),
                text.convert(x.field("trace_state"), of),
                _typed(text, x.field("attributes"), of),
                x.field("dropped"),
                x.field("flags"),
            ],
            ["trace_id", "span_id", "trace_state", "attributes", "dropped", "flags"],
        )

    return _rebuilt(links, text.all, flat)


def _encoded(groups: pa.StructArray, part: str) -> tuple[list[bytes], NDArray[np.bool_], NDArray[np.int64]]:
    """The distinct groups without their spans, encoded: field 1 is the resource or scope, field 3 the schema URL.

    Also whether each was mended, and for each group as it came the number of its distinct one.
    """
    lenient = not pa.types.is_string(groups.type.field("schema_url").type)
    bodies, urls = (pc.dictionary_encode(pc.fill_null(groups.field(f), "")) for f in (part, "schema_url"))
    pairs = np.asarray(bodies.indices).astype(np.int64) * max(len(urls.dictionary), 1) + np.asarray(urls.indices)
    distinct, number = np.unique(pairs, return_inverse=True)
    encoded: list[bytes] = []
    changed = np.zeros(len(distinct), bool)
    for i, pair in enumerate(distinct.tolist()):
        body, url = bodies.dictionary[pair // len(urls.dictionary)], urls.dictionary[pair % len(urls.dictionary)]
        body, url = body.as_py(), url.as_py()
        if lenient:
            readable = mended(body, RESOURCE if part == "resource" else SCOPE)
            changed[i] = readable is not body or not is_utf8(url)
            body, url = readable, mended_text(url)
        encoded.append(length_delimited(b"\x0a", body) + (length_delimited(b"\x1a", url.encode()) if url else b""))
    return encoded, changed, number.astype(np.int64)
