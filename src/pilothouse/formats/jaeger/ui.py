"""Jaeger UI's JSON: what ``/api/traces`` answers, what people download from the UI, and what ``traces import`` reads back.

Source: the UI model of jaegertracing/jaeger (``internal/uimodel``). Times are microseconds, so nanoseconds are cut off; ids are
hex; integers beyond 2^53 are written as strings, since JavaScript would round them; binary values are base64.
"""

from __future__ import annotations

import math
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct, UnsetType

from pilothouse.formats import ids
from pilothouse.formats.jaeger.model import JaegerSpan, Log, Process, Reference, Tags, TagValue
from pilothouse.formats.jaeger.translate import from_otlp, to_otlp
from pilothouse.formats.otlp.model import Span
from pilothouse.kit.errors import InvalidInput

_MICROSECOND: Final = 1000
_SAFE_INTEGER: Final = 2**53 - 1


class UiKeyValue(Struct):
    """A tag; ``type`` is ``string``, ``bool``, ``int64``, ``float64`` or ``binary``."""

    key: str
    type: str = ""
    value: Any = None


class UiLog(Struct):
    """An event; ``timestamp`` in microseconds since the epoch."""

    timestamp: int
    fields: list[UiKeyValue] | None = None


class UiReference(Struct, rename={"ref_type": "refType", "trace_id": "traceID", "span_id": "spanID"}):
    """``refType`` is ``CHILD_OF`` or ``FOLLOWS_FROM``."""

    ref_type: str
    trace_id: str
    span_id: str


class UiProcess(Struct, rename={"service_name": "serviceName"}):
    """What emitted spans."""

    service_name: str
    tags: list[UiKeyValue] | None = None


class UiSpan(
    Struct,
    rename={
        "trace_id": "traceID",
        "span_id": "spanID",
        "parent_span_id": "parentSpanID",
        "operation_name": "operationName",
        "start_time": "startTime",
        "process_id": "processID",
    },
):
    """A span; ``startTime`` and ``duration`` in microseconds. ``parentSpanID`` and ``process`` are only read."""

    trace_id: str
    span_id: str
    operation_name: str
    start_time: int
    duration: int
    parent_span_id: str | UnsetType = UNSET
    flags: int | UnsetType = UNSET
    references: list[UiReference] | None = None
    tags: list[UiKeyValue] | None = None
    logs: list[UiLog] | None = None
    process_id: str | UnsetType = UNSET
    process: UiProcess | UnsetType | None = UNSET
    warnings: list[str] | None = None


class UiTrace(Struct, rename={"trace_id": "traceID"}):
    """A trace; spans name their process by its key in ``processes``."""

    trace_id: str
    spans: list[UiSpan]
    processes: dict[str, UiProcess]
    warnings: list[str] | None = None


class _Document(Struct):
    """The envelope of ``/api/traces``, as far as reading goes."""

    data: list[UiTrace]


def to_trace(spans: Sequence[Span], warnings: Sequence[str] = ()) -> UiTrace:
    """The spans of one trace, in their order; equal resources become one process (``p1``, ``p2``, …)."""
    translated = from_otlp(spans)
    process_ids: dict[str, str] = {}
    by_identity: dict[int, str] = {}
    processes: dict[str, UiProcess] = {}
    for span in translated:
        if id(span.process) not in by_identity:
            # Equal in writing: Python takes 1, 1.0 and True for equal.
            name = process_ids.setdefault(repr(span.process), f"p{len(process_ids) + 1}")
            by_identity[id(span.process)] = name
            processes.setdefault(name, UiProcess(span.process.service, _to_tags(span.process.tags)))
    return UiTrace(
        trace_id=ids.jaeger_trace_id(translated[0].trace_id) if translated else "",
        spans=[_to_span(span, by_identity[id(span.process)]) for span in translated],
        processes=processes,
        warnings=list(warnings) or None,
    )


def encode(traces: Iterable[UiTrace]) -> bytes:
    """The document ``{"data": […], "total": n, "limit": 0, "offset": 0, "errors": null}`` that Jaeger UI imports."""
    data = list(traces)
    return msgspec.json.encode({"data": data, "total": len(data), "limit": 0, "offset": 0, "errors": None})


def decode(data: bytes) -> list[Span]:
    """The spans of a downloaded document (``{"data": […]}``) or of a single trace.

    Raises:
        InvalidInput: not JSON, or not of this shape; the message names the field path or the span.
    """
    try:
        try:
            traces = msgspec.json.decode(data, type=_Document).data
        except msgspec.ValidationError as error:
            if "`data`" not in str(error):
                raise
            traces = [msgspec.json.decode(data, type=UiTrace)]
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise InvalidInput(f"the document is no trace in Jaeger's JSON: {error}") from None
    return [span for trace in traces for span in from_trace(trace)]


def from_trace(trace: UiTrace) -> list[Span]:
    """The spans of a decoded trace; those of one process share one resource.

    Raises:
        InvalidInput: an id, a time or a tag is malformed, or a process is missing; ``where`` names the span.
    """
    processes = {
        name: Process(process.service_name, _from_tags(process.tags, f"processes.{name}"))
        for name, process in trace.processes.items()
    }
    return to_otlp(_from_span(span, processes, f"spans[{index}]") for index, span in enumerate(trace.spans))


def _to_span(span: JaegerSpan, process_id: str) -> UiSpan:
    return UiSpan(
        trace_id=ids.jaeger_trace_id(span.trace_id),
        span_id=span.span_id.hex(),
        operation_name=span.operation,
        start_time=span.start // _MICROSECOND,
        duration=max(0, span.duration) // _MICROSECOND,
        flags=span.flags or UNSET,
        references=[
            UiReference(ref.type, ids.jaeger_trace_id(ref.trace_id), ref.span_id.hex()) for ref in span.references
        ],
        tags=_to_tags(span.tags),
        logs=[UiLog(log.time // _MICROSECOND, _to_tags(log.fields)) for log in span.logs],
        process_id=process_id,
        warnings=list(span.warnings) or None,
    )


def _to_tags(tags: Tags) -> list[UiKeyValue]:
    return [_to_tag(key, value) for key, value in tags]


def _to_tag(key: str, value: TagValue) -> UiKeyValue:
    match value:
        case str():
            return UiKeyValue(key, "string", value)
        case bool():
            return UiKeyValue(key, "bool", value)
        case int():
            return UiKeyValue(key, "int64", value if -_SAFE_INTEGER <= value <= _SAFE_INTEGER else str(value))
        case float() if math.isfinite(value):
            return UiKeyValue(key, "float64", value)
        case float():
            name = "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
            return UiKeyValue(key, "float64", name)
        case _:
            return UiKeyValue(key, "binary", b64encode(value).decode("ascii"))


def _from_span(span: UiSpan, processes: Mapping[str, Process], where: str) -> JaegerSpan:
    trace_id, span_id = _id(ids.trace_id, span.trace_id, where), _id(ids.span_id, span.span_id, where)
    references = [
        Reference(
            "FOLLOWS_FROM" if ref.ref_type == "FOLLOWS_FROM" else "CHILD_OF",
            _id(ids.trace_id, ref.trace_id, where),
            _id(ids.span_id, ref.span_id, where),
        )
        for ref in span.references or ()
        if ref.trace_id.strip("0") and ref.span_id.strip("0")
    ]
    if not references and span.parent_span_id and span.parent_span_id.strip("0"):
        references = [Reference("CHILD_OF", trace_id, _id(ids.span_id, span.parent_span_id, where))]
    return JaegerSpan(
        trace_id=trace_id,
        span_id=span_id,
        operation=span.operation_name,
        start=_time(span.start_time, where),
        duration=_time(span.duration, where),
        process=_process(span, processes, where),
        references=tuple(references),
        flags=(span.flags or 0) & 0xFFFFFFFF,
        tags=_from_tags(span.tags, where),
        logs=tuple(Log(_time(log.timestamp, where), _from_tags(log.fields, where)) for log in span.logs or ()),
        warnings=tuple(span.warnings or ()),
    )


def _process(span: UiSpan, processes: Mapping[str, Process], where: str) -> Process:
    if span.process_id and span.process_id in processes:
        return processes[span.process_id]
    if span.process:
        return Process(span.process.service_name, _from_tags(span.process.tags, where))
    raise InvalidInput(f"there is no process {span.process_id or ''!r}", where=where)


def _id(read: Callable[[str], bytes], text: str, where: str) -> bytes:
    try:
        return read(text)
    except InvalidInput as error:
        error.where = where
        raise


def _time(microseconds: int, where: str) -> int:
    if not 0 <= microseconds < 2**64 // _MICROSECOND:
        raise InvalidInput(f"{microseconds} is no time in microseconds", where=where)
    return microseconds * _MICROSECOND


def _from_tags(tags: Sequence[UiKeyValue] | None, where: str) -> Tags:
    return tuple((tag.key, _from_tag(tag, where)) for tag in tags or ())


def _from_tag(tag: UiKeyValue, where: str) -> TagValue:
    """Reads a value as its declared type; older exports write every value as text, or no type at all."""
    try:
        value = _READERS[tag.type](tag.value)
    except (KeyError, ValueError, TypeError, OverflowError):
        raise InvalidInput(
            f"the tag {tag.key[:64]!r} is no {tag.type[:16] or 'string, bool or number'}: {str(tag.value)[:64]!r}",
            where=where,
        ) from None
    return value


def _read_any(value: object) -> TagValue:
    if isinstance(value, bool | str | float):
        return value
    return _read_int(value)


def _read_string(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _read_bool(value: object) -> bool:
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}[str(value)]


def _read_int(value: object) -> int:
    if isinstance(value, str) and len(value) <= 20 and value.isascii() and "_" not in value:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not -(2**63) <= value < 2**63:
        raise ValueError
    return value


def _read_float(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError
    return float(value)


def _read_binary(value: object) -> bytes:
    if not isinstance(value, str):
        raise TypeError
    return b64decode(value, validate=True)


_READERS: Final[Mapping[str, Callable[[object], TagValue]]] = {
    "": _read_any,
    "string": _read_string,
    "bool": _read_bool,
    "int64": _read_int,
    "float64": _read_float,
    "binary": _read_binary,
}
