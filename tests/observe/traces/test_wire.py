"""Two decoders, one meaning; and whatever OTLP can say comes out of the store as it went in."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.formats import strategies
from tests.observe.traces.spans import NOW, Traces, trace_id

from pilothouse.formats.otlp import json as otlp_json
from pilothouse.formats.otlp import proto
from pilothouse.formats.otlp.model import Event, Link, Resource, Scope, Span, Value, type_name
from pilothouse.kit.clock import SECOND
from pilothouse.kit.errors import InvalidInput
from pilothouse.observe.traces.columns import NEGATIVE_DURATION, WARNINGS, Batch, to_columns
from pilothouse.observe.traces.ingest import Outcome
from pilothouse.observe.traces.rows import WARNINGS_KEY
from pilothouse.observe.traces.wire import PtarsDecoder, UpbDecoder

DECODERS = [(PtarsDecoder(lenient=lenient), UpbDecoder(lenient=lenient)) for lenient in (False, True)]
_traces = count(1)


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traces]:
    """One store for all examples; each has a trace of its own."""
    with Traces(tmp_path_factory.mktemp("store") / "d", segment_rows=400, max_trace_spans=10_000) as opened:
        yield opened


# What is generated

text = strategies.text | st.sampled_from(["", "\x00", "a\x00b", "\U0001f6a2", "ﬁ", "'; --", "x" * 500])
scalars = (
    st.none()
    | text
    | st.booleans()
    | st.sampled_from([0, 1, -1, 2**63 - 1, -(2**63), 2**53 + 1])
    | strategies.int64
    | st.floats()
    | st.sampled_from([float("nan"), float("inf"), float("-inf"), -0.0, 5e-324, 1.0])
    | st.binary(max_size=6)
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3), max_leaves=8
)
attributes = st.dictionaries(text, values, max_size=6)
resources = st.builds(Resource, attributes, strategies.uint32, text)
scopes = st.builds(Scope, text, text, attributes, strategies.uint32, text)
events = st.builds(Event, strategies.uint64, text, attributes, strategies.uint32)
links = st.builds(
    Link, st.binary(max_size=20), st.binary(max_size=9), text, attributes, strategies.uint32, strategies.uint32
)
times = st.integers(NOW - 10**9, NOW + 10**9) | st.sampled_from([0, 1, 2**63 - 2])
spans = st.builds(
    Span,
    trace_id=st.just(b""),
    span_id=st.integers(1, 2**64 - 1).map(lambda n: n.to_bytes(8)),
    resource=resources,
    scope=scopes,
    name=text,
    start=times,
    end=times,
    parent_span_id=st.just(b"") | st.integers(1, 2**64 - 1).map(lambda n: n.to_bytes(8)),
    trace_state=text,
    flags=strategies.uint32,
    kind=st.integers(0, 255),
    status_code=st.integers(0, 255),
    status_message=text,
    attributes=attributes,
    events=st.lists(events, max_size=3).map(tuple),
    links=st.lists(links, max_size=3).map(tuple),
    dropped_attributes=strategies.uint32,
    dropped_events=strategies.uint32,
    dropped_links=strategies.uint32,
)
groups = st.tuples(st.lists(spans, min_size=1, max_size=5), resources, scopes)


# What is compared: every type told apart, and doubles by their bits


def exact(value: Value) -> Any:
    match value:
        case float():
            return ("double", struct.pack("<d", value))
        case list():
            return ("array", [exact(v) for v in value])
        case dict():
            return ("kvlist", exact_attributes(value))
        case _:
            return (type_name(value), value)


def exact_attributes(given_attributes: Mapping[str, Value]) -> list[Any]:
    return sorted((key, exact(value)) for key, value in given_attributes.items()) if given_attributes else []


def exact_span(span: Span) -> dict[str, Any]:
    plain: dict[str, Any] = {name: getattr(span, name) for name in span.__struct_fields__}
    plain["attributes"] = repr(exact_attributes(span.attributes))
    for name in ("resource", "scope"):
        plain[name] = exact_part(getattr(span, name))
    for name in ("events", "links"):
        plain[name] = [exact_part(part) for part in getattr(span, name)]
    return plain


def exact_part(part: Any) -> dict[str, Any]:
    return {
        n: repr(exact_attributes(v)) if n == "attributes" else v
        for n in part.__struct_fields__
        if (v := getattr(part, n)) is not None
    }


def sanitized(span: Span) -> Span:
    """What is documented to be changed."""
    if not span.name:
        span = replace(span, name="empty-span-name")
    if span.end <= span.start:
        earlier = span.attributes.get(WARNINGS_KEY)
        said: list[Value] = [*(earlier if isinstance(earlier, list) else []), WARNINGS[NEGATIVE_DURATION]]
        span = replace(span, end=span.start + 1, attributes={**span.attributes, WARNINGS_KEY: said})
    return span


def in_one_trace(made: Sequence[Span], trace: bytes) -> list[Span]:
    return [replace(span, trace_id=trace, span_id=bytes([i]) + span.span_id[1:]) for i, span in enumerate(made, 1)]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(groups, st.booleans())
def test_everything_comes_back_as_it_went_in(
    traces: Traces, group: tuple[list[Span], Resource, Scope], as_json: bool
) -> None:
    made, resource, scope = group
    shared = [replace(span, resource=resource, scope=scope) if i % 2 else span for i, span in enumerate(made)]
    trace = trace_id(next(_traces))
    sent = proto.encode(in_one_trace(shared, trace))
    if as_json:  # which knows only one NaN
        sent = otlp_json.decode_request(otlp_json.encode(proto.decode_request(sent)))
    wanted = [sanitized(span) for span in proto.decode_request(sent)]
    (outcome,) = traces.ingest.commit(traces.ingest.prepare([sent]))
    assert outcome == Outcome(accepted=len(made))
    found = traces.store.trace(trace)
    assert found is not None
    by_id = {span.span_id: exact_span(span) for span in found.spans}
    assert by_id == {span.span_id: exact_span(span) for span in wanted}


def test_whatever_was_stored_can_be_shown_by_sql(traces: Traces) -> None:
    stored = traces.rows("SELECT coalesce(sum(rows), 0) FROM segments")[0][0]
    result = traces.signals.sql("SELECT * FROM spans", 1_000_000, 60 * SECOND)
    assert len(result.rows) == stored


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(spans, max_size=3), min_size=1, max_size=4), st.booleans())
def test_both_decoders_give_the_same_columns(requests: list[list[Span]], with_rejected: bool) -> None:
    payloads = [proto.encode(spans if with_rejected else in_one_trace(spans, trace_id(1))) for spans in requests]
    for native, plain in DECODERS:
        left, right = native.decode(payloads), plain.decode(payloads)
        assert repr(left.to_pylist()) == repr(right.to_pylist())
        assert plainly(to_columns(left)) == plainly(to_columns(right))


def plainly(batch: Batch) -> str:
    def listed(value: Any) -> Any:
        return value.to_pylist() if isinstance(value, (pa.Array, pa.ChunkedArray)) else value.tolist()

    shapes = [batch.attributes.fields(i) for i in range(len(batch.attributes.hashes))]
    arrays = (batch.start, batch.trace_ids, batch.request, batch.resource, batch.scope, batch.received)
    return repr(
        (
            {name: listed(column) for name, column in batch.columns.items()},
            [listed(a) for a in arrays],
            (batch.resources, batch.scopes, batch.rejected),
            [shapes[i] for i in batch.attributes.shape],
        )
    )


@settings(max_examples=100, deadline=None)
@given(st.lists(spans, min_size=1, max_size=2), st.data())
def test_damaged_requests_are_refused_or_read_alike(made: list[Span], data: st.DataObject) -> None:
    payload = bytearray(proto.encode(in_one_trace(made, trace_id(1))))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(payload) - 1))
        match data.draw(st.sampled_from(["set", "cut", "insert"])):
            case "set":
                payload[at] = data.draw(st.integers(0, 255))
            case "cut" if at:
                del payload[at:]
            case _:
                payload[at:at] = data.draw(st.binary(max_size=4))
    for decoders in DECODERS:
        results = [_decoded(decoder, bytes(payload)) for decoder in decoders]
        if None not in results:
            assert results[0] == results[1]


def _decoded(decoder: PtarsDecoder | UpbDecoder, payload: bytes) -> str | None:
    try:
        decoded = decoder.decode([payload])
    except InvalidInput:
        return None
    to_columns(decoded)
    return repr(decoded.to_pylist())


@pytest.mark.parametrize("payload", [b"", b"\x0a\x00", b"\x0a\x02\x12\x00", b"\x0a\x04\x12\x02\x12\x00"])
def test_empty_messages_at_every_level(traces: Traces, payload: bytes) -> None:
    (outcome,) = traces.ingest.commit(traces.ingest.prepare([payload]))
    assert isinstance(outcome, Outcome)
    assert outcome.accepted == 0
