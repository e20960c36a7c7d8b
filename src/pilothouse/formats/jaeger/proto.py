"""Jaeger spans in protobuf: ``jaeger.api_v2``, which the first generation of gRPC queries answers with.

>>> span = JaegerSpan(bytes(15) + b"1", bytes(7) + b"2", "buy", start=5, duration=1, process=Process("shop"))
>>> from_message(to_message(span)) == span
True
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from pilothouse.formats.jaeger.model import JaegerSpan, Log, Process, Reference, Tags, TagValue
from pilothouse.formats.jaeger.protos import api_v2_model_pb2 as pb
from pilothouse.kit.errors import InvalidInput

_SECOND: Final = 1_000_000_000


def to_message(span: JaegerSpan) -> pb.Span:
    """A ``jaeger.api_v2.Span`` that carries its own process, as Jaeger answers queries with."""
    return pb.Span(
        trace_id=span.trace_id,
        span_id=span.span_id,
        operation_name=span.operation,
        references=[
            pb.SpanRef(
                trace_id=ref.trace_id,
                span_id=ref.span_id,
                ref_type=pb.FOLLOWS_FROM if ref.type == "FOLLOWS_FROM" else pb.CHILD_OF,
            )
            for ref in span.references
        ],
        flags=span.flags,
        start_time=to_timestamp(span.start),
        duration=to_duration(span.duration),
        tags=_to_tags(span.tags),
        logs=[pb.Log(timestamp=to_timestamp(log.time), fields=_to_tags(log.fields)) for log in span.logs],
        process=pb.Process(service_name=span.process.service, tags=_to_tags(span.process.tags)),
        warnings=span.warnings,
    )


def from_message(message: pb.Span, batch_process: Process | None = None) -> JaegerSpan:
    """A span of a query's answer or of a batch, whose process counts when the span has none of its own.

    Raises:
        InvalidInput: an id has not its 16 (or 8, for old clients' trace ids) and 8 bytes.
    """
    own = from_process(message.process) if message.HasField("process") else None
    return JaegerSpan(
        trace_id=_trace_id(message.trace_id),
        span_id=_span_id(message.span_id),
        operation=message.operation_name,
        start=from_timestamp(message.start_time),
        duration=from_duration(message.duration),
        process=own or batch_process or Process(""),
        references=tuple(
            Reference(
                "FOLLOWS_FROM" if ref.ref_type == pb.FOLLOWS_FROM else "CHILD_OF",
                _trace_id(ref.trace_id),
                _span_id(ref.span_id),
            )
            for ref in message.references
        ),
        flags=message.flags,
        tags=_from_tags(message.tags),
        logs=tuple(Log(from_timestamp(log.timestamp), _from_tags(log.fields)) for log in message.logs),
        warnings=tuple(message.warnings),
    )


def from_process(message: pb.Process) -> Process:
    """A ``jaeger.api_v2.Process``."""
    return Process(message.service_name, _from_tags(message.tags))


def to_timestamp(ns: int) -> Timestamp:
    """Nanoseconds since the epoch as protobuf's ``Timestamp``."""
    seconds, nanos = divmod(ns, _SECOND)
    return Timestamp(seconds=seconds, nanos=nanos)


def from_timestamp(message: Timestamp) -> int:
    """The instant in nanoseconds; 0 for an empty message."""
    return message.seconds * _SECOND + message.nanos


def to_duration(ns: int) -> Duration:
    """Nanoseconds as protobuf's ``Duration``, whose two fields have the same sign."""
    seconds, nanos = divmod(abs(ns), _SECOND)
    sign = -1 if ns < 0 else 1
    return Duration(seconds=sign * seconds, nanos=sign * nanos)


def from_duration(message: Duration) -> int:
    """The length in nanoseconds."""
    return message.seconds * _SECOND + message.nanos


def _trace_id(raw: bytes) -> bytes:
    if len(raw) not in (8, 16):
        raise InvalidInput(f"a trace id has 16 bytes, not {len(raw)}")
    return raw.rjust(16, b"\0")


def _span_id(raw: bytes) -> bytes:
    if len(raw) != 8:
        raise InvalidInput(f"a span id has 8 bytes, not {len(raw)}")
    return raw


def _to_tags(tags: Tags) -> list[pb.KeyValue]:
    return [_to_tag(key, value) for key, value in tags]


def _to_tag(key: str, value: TagValue) -> pb.KeyValue:
    match value:
        case str():
            return pb.KeyValue(key=key, v_type=pb.STRING, v_str=value)
        case bool():
            return pb.KeyValue(key=key, v_type=pb.BOOL, v_bool=value)
        case int():
            return pb.KeyValue(key=key, v_type=pb.INT64, v_int64=value)
        case float():
            return pb.KeyValue(key=key, v_type=pb.FLOAT64, v_float64=value)
        case _:
            return pb.KeyValue(key=key, v_type=pb.BINARY, v_binary=value)


def _from_tags(tags: Iterable[pb.KeyValue]) -> Tags:
    return tuple((tag.key, _from_tag(tag)) for tag in tags)


def _from_tag(tag: pb.KeyValue) -> TagValue:
    match tag.v_type:
        case pb.BOOL:
            return tag.v_bool
        case pb.INT64:
            return tag.v_int64
        case pb.FLOAT64:
            return tag.v_float64
        case pb.BINARY:
            return tag.v_binary
        case _:
            return tag.v_str
