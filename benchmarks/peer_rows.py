"""Encoded OTLP requests to the rows of Jaeger's ClickHouse tables, as one Arrow table.

Jaeger does this in Go, span by span. The peer must not pay for being driven from Python, so this is columns all the way, on the
same decoder (ptars) that we use ourselves; Python sees only the rare array and key-value-list attributes, once per distinct
value. Facts of the format: ids in lower-case hex; attributes split by type into parallel key and value arrays, at every level;
bytes as base64 under ``@bytes@key``, arrays and lists as OTLP JSON under ``@slice@key`` and ``@map@key``; kind as a lower-case
word, empty for unspecified; status as ``Unset``, ``Ok`` or ``Error``; resource and scope repeated on every span.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from ptars import HandlerPool

#: Attribute types, in the order of the tables' columns, and what each is called in OTLP.
TYPES: Final = ("bool", "double", "int", "str", "complex")
KINDS: Final = ("", "internal", "server", "client", "producer", "consumer")
STATUSES: Final = ("Unset", "Ok", "Error")
_SIMPLE: Final = {"bool": "bool_value", "double": "double_value", "int": "int_value", "str": "string_value"}
_HEX: Final = np.frombuffer(b"".join(b"%02x" % i for i in range(256)), np.uint16)

Indexes = NDArray[np.int64]


def json_value(value: AnyValue) -> Any:
    """An ``AnyValue`` as OTLP's JSON encoding writes it."""
    match value.WhichOneof("value"):
        case "string_value":
            return {"stringValue": value.string_value}
        case "bool_value":
            return {"boolValue": value.bool_value}
        case "int_value":
            return {"intValue": str(value.int_value)}
        case "double_value":
            return {"doubleValue": value.double_value}
        case "bytes_value":
            return {"bytesValue": base64.b64encode(value.bytes_value).decode()}
        case "array_value":
            return {"arrayValue": {"values": [json_value(item) for item in value.array_value.values]}}
        case "kvlist_value":
            pairs = value.kvlist_value.values
            return {"kvlistValue": {"values": [{"key": pair.key, "value": json_value(pair.value)} for pair in pairs]}}
        case _:
            return {}


def json_text(value: AnyValue) -> str:
    """The text that stands in a ``complex`` column for an array or a key-value list."""
    return json.dumps(json_value(value), separators=(",", ":"))


@cache
def _array_text(items: tuple[bytes, ...]) -> str:
    value = AnyValue()
    value.array_value.SetInParent()
    for item in items:
        value.array_value.values.add().ParseFromString(item)
    return json_text(value)


@cache
def _kvlist_text(items: tuple[bytes, ...]) -> str:
    value = AnyValue()
    value.kvlist_value.SetInParent()
    for item in items:
        value.kvlist_value.values.add().ParseFromString(item)
    return json_text(value)


def _offsets(lists: Any) -> Indexes:
    """The list boundaries, relative to ``lists.flatten()``."""
    offsets: Indexes = lists.offsets.to_numpy().astype(np.int64)
    return np.asarray(offsets - offsets[0])


def _parents(lists: Any) -> Indexes:
    """For every item of ``lists``, the index of the list it is in."""
    return np.repeat(np.arange(len(lists)), np.diff(_offsets(lists)))


def _list(offsets: Indexes, values: Any) -> Any:
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values)


def _hex(column: Any) -> Any:
    """Binary to lower-case hex text; empty stays empty."""
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    offsets = np.frombuffer(column.buffers()[1], np.int32)[column.offset : column.offset + len(column) + 1]
    data = (
        np.frombuffer(column.buffers()[2], np.uint8)[offsets[0] : offsets[-1]] if offsets[-1] else np.empty(0, np.uint8)
    )
    ends = ((offsets - offsets[0]) * 2).astype(np.int32)
    return pa.StringArray.from_buffers(len(column), pa.py_buffer(ends), pa.py_buffer(_HEX[data]))


def _words(column: Any, words: Sequence[str]) -> Any:
    return pc.take(pa.array(words), pc.fill_null(column, 0))


def _typed(attributes: Any) -> dict[str, tuple[Any, Any]]:
    """A column of attribute lists as, for every type, a column of key lists and one of value lists."""
    offsets, items = _offsets(attributes), attributes.flatten()
    keys, values = items.field("key"), items.field("value")
    out: dict[str, tuple[Any, Any]] = {}
    for name, member in _SIMPLE.items():
        chosen = values.field(member)
        mask = chosen.is_valid().to_numpy(zero_copy_only=False)
        where = np.concatenate(([0], np.cumsum(mask)))[offsets]
        take = pa.array(np.flatnonzero(mask))
        out[name] = (_list(where, keys.take(take)), _list(where, chosen.take(take)))
    out["complex"] = _complex(offsets, keys, values)
    return out


def _complex(offsets: Indexes, keys: Any, values: Any) -> tuple[Any, Any]:
    members = [values.field(name) for name in ("bytes_value", "array_value", "kvlist_value")]
    mask = np.logical_or.reduce([member.is_valid().to_numpy(zero_copy_only=False) for member in members])
    take = pa.array(np.flatnonzero(mask))
    texts: list[str] = []
    names: list[str] = []
    raw, arrays, lists = (member.take(take).to_pylist() for member in members)
    for key, data, array, pairs in zip(keys.take(take).to_pylist(), raw, arrays, lists, strict=True):
        if data is not None:
            names.append("@bytes@" + key)
            texts.append(base64.b64encode(data).decode())
        elif array is not None:
            names.append("@slice@" + key)
            texts.append(_array_text(tuple(array["values"])))
        else:
            names.append("@map@" + key)
            texts.append(_kvlist_text(tuple(pairs["values"])))
    where = np.concatenate(([0], np.cumsum(mask)))[offsets]
    return _list(where, pa.array(names, pa.string())), _list(where, pa.array(texts, pa.string()))


def _flat(columns: dict[str, Any], prefix: str, attributes: Any, take: Any = None) -> None:
    """Adds the ten columns of one level's attributes, repeated as ``take`` says."""
    for name, (keys, values) in _typed(attributes).items():
        columns[f"{prefix}{name}_attributes.key"] = keys if take is None else keys.take(take)
        columns[f"{prefix}{name}_attributes.value"] = values if take is None else values.take(take)


def _nested(columns: dict[str, Any], level: str, lists: Any, members: dict[str, Any], attributes: Any) -> None:
    """Adds the columns of events or links: one list per span, and per item a list of (key, value)."""
    offsets = _offsets(lists)
    for name, values in members.items():
        columns[f"{level}.{name}"] = _list(offsets, values)
    for name, (keys, values) in _typed(attributes).items():
        pairs = pa.StructArray.from_arrays([keys.flatten(), values.flatten()], ["key", "value"])
        columns[f"{level}.{name}_attributes"] = _list(offsets, _list(_offsets(keys), pairs))


class Converter:
    """Turns batches of requests into tables; keeps the decoder between calls."""

    def __init__(self) -> None:
        message = ExportTraceServiceRequest.DESCRIPTOR
        self._handler = HandlerPool([message.file]).get_for_message(message)

    def table(self, requests: Sequence[bytes]) -> Any:
        """One row per span of ``requests``, with the columns of Jaeger's ``spans`` table."""
        resource_lists = self._handler.list_to_record_batch(list(requests)).column(0)
        resource_spans = resource_lists.flatten()
        scope_lists = resource_spans.field("scope_spans")
        scope_spans = scope_lists.flatten()
        span_lists = scope_spans.field("spans")
        spans = span_lists.flatten()
        scope_of = _parents(span_lists)
        resource_of = pa.array(_parents(scope_lists)[scope_of])
        scope_at = pa.array(scope_of)
        resource, scope = resource_spans.field("resource"), scope_spans.field("scope")

        start = spans.field("start_time_unix_nano").to_numpy().astype(np.int64)
        end = spans.field("end_time_unix_nano").to_numpy().astype(np.int64)
        status = spans.field("status")
        columns: dict[str, Any] = {
            "id": _hex(spans.field("span_id")),
            "trace_id": _hex(spans.field("trace_id")),
            "trace_state": spans.field("trace_state"),
            "parent_span_id": _hex(spans.field("parent_span_id")),
            "name": spans.field("name"),
            "kind": _words(spans.field("kind"), KINDS),
            "start_time": pa.array(start).view(pa.timestamp("ns")),
            "status_code": _words(status.field("code"), STATUSES),
            "status_message": pc.fill_null(status.field("message"), ""),
            "duration": pa.array(end - start),
        }
        _flat(columns, "", spans.field("attributes"))
        events, links = spans.field("events"), spans.field("links")
        flat = events.flatten()
        members = {
            "name": flat.field("name"),
            "timestamp": pa.array(flat.field("time_unix_nano").to_numpy().astype(np.int64)).view(pa.timestamp("ns")),
            "dropped_attributes_count": flat.field("dropped_attributes_count"),
        }
        _nested(columns, "events", events, members, flat.field("attributes"))
        flat = links.flatten()
        members = {
            "trace_id": _hex(flat.field("trace_id")),
            "span_id": _hex(flat.field("span_id")),
            "trace_state": flat.field("trace_state"),
            "dropped_attributes_count": flat.field("dropped_attributes_count"),
            "flags": flat.field("flags"),
        }
        _nested(columns, "links", links, members, flat.field("attributes"))
        columns["service_name"] = _service_names(resource.field("attributes")).take(resource_of)
        _flat(columns, "resource_", resource.field("attributes"), resource_of)
        columns["scope_name"] = scope.field("name").take(scope_at)
        columns["scope_version"] = scope.field("version").take(scope_at)
        _flat(columns, "scope_", scope.field("attributes"), scope_at)
        columns["resource_schema_url"] = resource_spans.field("schema_url").take(resource_of)
        columns["scope_schema_url"] = scope_spans.field("schema_url").take(scope_at)
        columns["flags"] = spans.field("flags")
        for name in ("attributes", "events", "links"):
            columns[f"dropped_{name}_count"] = spans.field(f"dropped_{name}_count")
        columns["scope_dropped_attributes_count"] = scope.field("dropped_attributes_count").take(scope_at)
        return pa.table(columns)


def _service_names(attributes: Any) -> Any:
    """The ``service.name`` of every resource."""
    items = attributes.flatten()
    chosen = np.flatnonzero(pc.equal(items.field("key"), "service.name").to_numpy(zero_copy_only=False))
    values = items.field("value").field("string_value").take(pa.array(chosen)).to_pylist()
    names = [""] * len(attributes)
    for parent, name in zip(_parents(attributes)[chosen], values, strict=True):
        names[parent] = name or ""
    return pa.array(names)
