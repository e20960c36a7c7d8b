from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.observe.traces.jaeger.memory import MS, T0, make_span, span_id, trace_id

from pilothouse.formats.jaeger.translate import WARNINGS
from pilothouse.formats.otlp.model import Event, Link, Resource, Span
from pilothouse.observe.traces import adjust
from pilothouse.observe.traces.model import Trace


def trace_of(*spans: Span, truncated: bool = False) -> Trace:
    return Trace(trace_id(1), spans, truncated)


def warnings(span: Span) -> list[str]:
    found = span.attributes.get(WARNINGS, [])
    assert isinstance(found, list)
    return [str(text) for text in found]


def host(name: str) -> Resource:
    return Resource({"service.name": "x", "host.name": name})


def test_a_trace_with_nothing_wrong_keeps_its_spans() -> None:
    trace = trace_of(make_span(1), make_span(2, parent=1, duration=5 * MS))
    assert adjust.standard(trace) == trace


def test_server_span_that_shares_its_clients_id_becomes_its_child() -> None:
    client, server = make_span(7, kind=3), make_span(7, kind=2, parent=0)
    inner = make_span(8, parent=7, kind=1)
    result = adjust.separate_shared_ids(trace_of(client, server, inner)).spans
    assert [s.span_id for s in result] == [span_id(7), span_id(1), span_id(8)]
    assert [s.parent_span_id for s in result] == [b"", span_id(7), span_id(1)]


def test_new_ids_avoid_ids_in_use() -> None:
    spans = [make_span(n, kind=3) for n in (1, 2, 3)] + [make_span(n, kind=2) for n in (1, 2)]
    result = adjust.separate_shared_ids(trace_of(*spans)).spans
    assert {s.span_id for s in result} == {span_id(n) for n in (1, 2, 3, 4, 5)}


def test_server_spans_alone_keep_their_ids() -> None:
    trace = trace_of(make_span(1), make_span(1))
    assert adjust.separate_shared_ids(trace) is trace


def test_collections_are_sorted_at_every_level() -> None:
    messy = {"b": 1, "a": 2}
    span = make_span(
        1,
        attributes=messy,
        resource=Resource(messy),
        events=(Event(T0 + 2, "late", messy), Event(T0 + 1, "early")),
        links=(Link(trace_id(2), span_id(2), attributes=messy),),
    )
    (result,) = adjust.sort_collections(trace_of(span)).spans
    for attributes in (
        result.attributes,
        result.resource.attributes,
        result.events[1].attributes,
        result.links[0].attributes,
    ):
        assert list(attributes) == ["a", "b"]
    assert [e.name for e in result.events] == ["early", "late"]


def test_shared_resources_stay_shared() -> None:
    resource = Resource({"z": 1, "service.name": "s", "telemetry.sdk.name": "opentelemetry"})
    spans = [make_span(n, resource=resource, attributes={"telemetry.sdk.language": "go"}) for n in (1, 2)]
    first, second = adjust.standard(trace_of(*spans)).spans
    assert first.resource is second.resource


def test_copies_go_even_with_nan_and_unsorted_attributes() -> None:
    one = make_span(1, attributes={"x": math.nan, "a": 1})
    copy = make_span(1, attributes={"a": 1, "x": math.nan})
    other = make_span(1, attributes={"a": 1.0, "x": math.nan})
    assert len(adjust.standard(trace_of(one, copy, other)).spans) == 2


def test_spans_that_differ_only_by_resource_are_no_copies() -> None:
    trace = trace_of(make_span(1, resource=host("a")), make_span(1, resource=host("b")))
    assert len(adjust.drop_copies(trace).spans) == 2


@pytest.mark.parametrize(
    ("start", "duration", "delta"),
    [
        (0, 50, "35ms"),  # before the parent: into its middle
        (80, 50, "-45ms"),  # ends after the parent
        (0, 150, "10ms"),  # longer than the parent: at least not before it
        (20, 50, ""),  # fits
        (20, 150, ""),  # longer, and starts after it
    ],
)
def test_clock_skew_is_reported_and_not_applied(start: int, duration: int, delta: str) -> None:
    parent = make_span(1, start=10 * MS, duration=100 * MS, resource=host("a"))
    child = make_span(2, parent=1, start=start * MS, duration=duration * MS, resource=host("b"))
    result = adjust.report_clock_skew(trace_of(parent, child)).spans
    expected = [f"clock skew adjustment disabled; not applying calculated delta of {delta}"] if delta else []
    assert warnings(result[1]) == expected
    assert (result[1].start, result[1].end) == (child.start, child.end)
    assert not warnings(result[0])


def test_one_host_has_one_clock() -> None:
    parent = make_span(1, start=10 * MS, duration=100 * MS, resource=host("a"))
    child = make_span(2, parent=1, resource=host("a"))
    trace = trace_of(parent, child)
    assert adjust.report_clock_skew(trace) is trace


def test_skew_is_inherited_on_the_same_host() -> None:
    spans = (
        make_span(1, start=10 * MS, duration=100 * MS, resource=host("a")),
        make_span(2, parent=1, start=50 * MS, duration=70 * MS, resource=host("b")),
        make_span(3, parent=2, start=60 * MS, duration=20 * MS, resource=host("b")),
    )
    result = adjust.report_clock_skew(trace_of(*spans)).spans
    assert all("delta of -25ms" in warnings(span)[0] for span in result[1:])


@pytest.mark.parametrize(
    "attributes",
    [{"host.id": "h"}, {"host.ip": "10.0.0.1"}, {"host.ip": ["10.0.0.1", "x"]}, {"host.ip": [], "host.name": "h"}],
)
def test_what_identifies_a_host(attributes: dict[str, object]) -> None:
    spans = [
        make_span(1, start=10 * MS, duration=100 * MS, resource=Resource(dict(attributes))),  # type: ignore[arg-type]
        make_span(2, parent=1, resource=Resource(dict(attributes))),  # type: ignore[arg-type]
    ]
    assert not warnings(adjust.report_clock_skew(trace_of(*spans)).spans[1])


def test_missing_parents_and_duplicate_ids_are_named() -> None:
    result = adjust.report_clock_skew(trace_of(make_span(1, parent=99), make_span(1, name="again"))).spans
    assert warnings(result[0]) == [
        "parent span ID=0000000000000063 is not in the trace; skipping clock skew adjustment"
    ]
    assert warnings(result[1]) == ["duplicate span IDs; skipping clock skew adjustment"]


def test_depth_is_no_limit_and_cycles_end() -> None:
    deep = [make_span(n, parent=n - 1, resource=host("a")) for n in range(1, 5000)]
    assert len(adjust.standard(trace_of(*deep)).spans) == 4999
    ring = [make_span(1, parent=2), make_span(2, parent=1), make_span(3, parent=3)]
    assert len(adjust.standard(trace_of(*ring)).spans) == 3


@pytest.mark.parametrize(
    ("sent", "written"),
    [
        (1 << 24 | 2 << 16 | 3 << 8 | 4, "1.2.3.4"),
        (float(1 << 26 | 2 << 16 | 3 << 8 | 4), "4.2.3.4"),
        (-1, "255.255.255.255"),
        ("something", "something"),
        (True, True),
        (1 << 40, 1 << 40),
        (1.5, 1.5),
    ],
)
@pytest.mark.parametrize("key", ["ip", "peer.ipv4"])
def test_addresses_sent_as_numbers(key: str, sent: object, written: object) -> None:
    span = make_span(1, attributes={key: sent}, resource=Resource({key: sent}))  # type: ignore[dict-item]
    (result,) = adjust.write_ip_addresses(trace_of(span)).spans
    assert (result.attributes[key], result.resource.attributes[key]) == (written, written)


def test_library_attributes_move_to_the_resource_of_all_its_spans() -> None:
    resource = Resource({"service.name": "s"})
    first = make_span(1, resource=resource, attributes={"telemetry.sdk.name": "otel", "mine": 1})
    second = make_span(2, resource=resource)
    result = adjust.move_library_attributes(trace_of(first, second)).spans
    assert dict(result[0].attributes) == {"mine": 1}
    assert dict(result[1].resource.attributes) == {"service.name": "s", "telemetry.sdk.name": "otel"}


def test_library_attributes_that_disagree_stay() -> None:
    resource = Resource({"telemetry.sdk.name": "other"})
    (result,) = adjust.move_library_attributes(
        trace_of(make_span(1, resource=resource, attributes={"telemetry.sdk.name": "otel"}))
    ).spans
    assert result.attributes["telemetry.sdk.name"] == "otel"
    assert warnings(result) == ["conflicting values between Span and Resource for attribute telemetry.sdk.name"]


def test_links_to_nowhere_go_with_a_warning_each() -> None:
    links = (Link(bytes(16), span_id(1)), Link(trace_id(5), span_id(1)), Link(b"", b""))
    (result,) = adjust.drop_empty_links(trace_of(make_span(1, links=links))).spans
    assert result.links == links[1:2]
    assert warnings(result) == ["Invalid span link removed"] * 2


def test_truncation_is_said_on_the_first_span() -> None:
    trace = trace_of(make_span(1, attributes={WARNINGS: ["old"]}), make_span(2), truncated=True)
    first, second = adjust.mark_truncated(trace, 2).spans
    assert warnings(first) == ["old", "trace has more than 2 spans, showing first 2 spans only"]
    assert not warnings(second)
    assert adjust.mark_truncated(replace(trace, truncated=False), 2).spans[0] == trace.spans[0]


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
attribute_maps = st.dictionaries(
    st.sampled_from(["ip", "peer.ipv4", "telemetry.sdk.name", "host.ip", "host.id", WARNINGS, "z", "a"]), values
)
spans = st.builds(
    make_span,
    st.integers(1, 6),
    parent=st.integers(0, 8),
    start=st.integers(0, 100),
    duration=st.integers(-5, 100),
    kind=st.integers(0, 7),
    attributes=attribute_maps,
    resource=st.builds(Resource, attribute_maps),
    links=st.lists(st.builds(Link, st.binary(max_size=16), st.binary(max_size=8)), max_size=2).map(tuple),
)


@given(st.lists(spans, max_size=12))
def test_any_trace_can_be_adjusted_and_keeps_its_story(found: list[Span]) -> None:
    trace = trace_of(*found)
    result = adjust.standard(trace)
    assert len(result.spans) <= len(found)
    assert {s.name for s in result.spans} == {s.name for s in found}
    assert {(s.start, s.end) for s in result.spans} == {(s.start, s.end) for s in found}
    assert all(any(link.trace_id) for span in result.spans for link in span.links)
