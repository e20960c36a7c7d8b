"""From decoded requests to the columns of ``schema.SPANS``, with what must be refused or mended on the way.

One call handles all requests of a group commit. Nothing here makes a Python object per span.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct
from numpy.typing import NDArray

from pilothouse.observe.traces.shapes import ShapedAttributes, split

#: Bits of the column ``warnings``, and their texts.
NEGATIVE_DURATION: Final = 1
INVALID_UTF8: Final = 2
WARNINGS: Final = {
    NEGATIVE_DURATION: "Negative duration detected, sanitizing end timestamp. The span ended before or when it started.",
    INVALID_UTF8: "Invalid UTF-8 detected, replaced what could not be read.",
}

_INT64_MAX: Final = np.uint64(0x7FFFFFFFFFFFFFFF)


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
    text = _Text(spans)
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
        "status_message": pc.fill_null(text.convert(pc.struct_field(status, "message")), ""),
        "trace_state": text.of("trace_state"),
        "flags": spans.field("flags"),
        "events": _events(spans.field("events"), text),
        "links": _links(spans.field("links"), text),
        "dropped_attributes": spans.field("dropped_attributes"),
        "dropped_events": spans.field("dropped_events"),
        "dropped_links": spans.field("dropped_links"),
    }
    attributes = split(_rebuilt(spans.field("attributes"), lambda f: _key_values(f, text)))
    columns |= attributes.columns
    columns["warnings"] = pa.array((negative * NEGATIVE_DURATION + text.mended * INVALID_UTF8).astype(np.uint8))
    return Batch(
        columns,
        start,
        _matrix(spans.field("trace_id"), 16),
        request,
        resource,
        scope,
        _encoded(resource_spans, "resource"),
        _encoded(scope_spans, "scope"),
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
        "timestamp_out_of_range": (spans.field("start").to_numpy() > _INT64_MAX)
        | (spans.field("end").to_numpy() > _INT64_MAX),
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
    """Text columns of one batch. From a lenient decoder they are bytes, and what is no UTF-8 is mended and remembered."""

    def __init__(self, spans: pa.StructArray) -> None:
        self._spans = spans
        self.mended = np.zeros(len(spans), bool)

    def of(self, name: str, instead: str | None = None) -> pa.Array:
        """A text column of the spans; invalid values become ``instead``, or keep what can be read of them."""
        column = self._spans.field(name)
        if not pa.types.is_string(column.type):
            valid = np.array([_is_utf8(v) for v in column.to_pylist()], bool)
            self.mended |= ~valid
        return self.convert(column, instead)

    def convert(self, column: pa.Array, instead: str | None = None) -> pa.Array:
        """Any text array, at whatever level."""
        if pa.types.is_string(column.type):
            return column
        try:
            return column.cast(pa.string())
        except pa.ArrowInvalid:
            return pa.array([_mended(v, instead) for v in column.to_pylist()], pa.string())


def _is_utf8(value: bytes | None) -> bool:
    try:
        (value or b"").decode()
    except UnicodeDecodeError:
        return False
    return True


def _mended(value: bytes | None, instead: str | None) -> str | None:
    if value is None:
        return None
    return instead if instead is not None and not _is_utf8(value) else value.decode(errors="replace")


def _rebuilt(lists: pa.ListArray, change: Any) -> pa.ListArray:
    """The same lists over changed values."""
    offsets = np.asarray(lists.offsets)
    return pa.ListArray.from_arrays(pa.array(offsets - offsets[0]), change(lists.flatten()))


def _key_values(pairs: pa.StructArray, text: _Text) -> pa.StructArray:
    if pa.types.is_string(pairs.type.field("key").type):
        return pairs
    value = pairs.field("value")
    names = [f.name for f in value.type]
    fields = [pc.struct_field(value, n) for n in names]
    fields[0] = text.convert(fields[0])
    key = text.convert(pairs.field("key"), "invalid-tag-key")
    return pa.StructArray.from_arrays([key, pa.StructArray.from_arrays(fields, names)], ["key", "value"])


def _typed(attributes: pa.ListArray, text: _Text) -> pa.ListArray:
    """Attributes as ``schema.ATTRIBUTES`` has them."""

    def flat(pairs: pa.StructArray) -> pa.StructArray:
        pairs = _key_values(pairs, text)
        value = pairs.field("value")
        names = [f.name for f in value.type]
        return pa.StructArray.from_arrays(
            [pairs.field("key"), *(pc.struct_field(value, n) for n in names)], ["key", *names]
        )

    return _rebuilt(attributes, flat)


def _events(events: pa.ListArray, text: _Text) -> pa.ListArray:
    def flat(e: pa.StructArray) -> pa.StructArray:
        return pa.StructArray.from_arrays(
            [e.field("time"), text.convert(e.field("name")), _typed(e.field("attributes"), text), e.field("dropped")],
            ["time", "name", "attributes", "dropped"],
        )

    return _rebuilt(events, flat)


def _links(links: pa.ListArray, text: _Text) -> pa.ListArray:
    def flat(x: pa.StructArray) -> pa.StructArray:
        return pa.StructArray.from_arrays(
            [
                x.field("trace_id"),
                x.field("span_id"),
                text.convert(x.field("trace_state")),
                _typed(x.field("attributes"), text),
                x.field("dropped"),
                x.field("flags"),
            ],
            ["trace_id", "span_id", "trace_state", "attributes", "dropped", "flags"],
        )

    return _rebuilt(links, flat)


def _encoded(groups: pa.StructArray, part: str) -> list[bytes]:
    """Each group without its spans, encoded: field 1 is the resource or scope, field 3 the schema URL."""
    urls = groups.field("schema_url").to_pylist()
    return [
        _length_delimited(b"\x0a", body or b"")
        + (_length_delimited(b"\x1a", url if isinstance(url, bytes) else url.encode()) if url else b"")
        for body, url in zip(groups.field(part).to_pylist(), urls, strict=True)
    ]


def _length_delimited(tag: bytes, body: bytes) -> bytes:
    length, size = len(body), bytearray()
    while length > 0x7F:
        size.append(length & 0x7F | 0x80)
        length >>= 7
    size.append(length)
    return tag + bytes(size) + body
