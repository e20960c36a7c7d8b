"""The shop's stories: reproducible, rich in what OTLP can carry, and with exactly one guilty operation."""

from __future__ import annotations

import statistics
from collections import Counter

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from pilothouse.learn.shop.cluster import Cluster
from pilothouse.learn.shop.dealings import GUILTY_OPERATION, GUILTY_WHEN
from pilothouse.learn.shop.delivery import Outbox
from pilothouse.learn.shop.journeys import LONGEST_NS, Shop
from pilothouse.learn.shop.services import DEPLOYMENTS

EPOCH = 1_760_000_000_000_000_000


def play(seed: int, journeys: int, epoch: int = EPOCH) -> list[ReadableSpan]:
    """The spans of some journeys, all of which start at the same moment."""
    outbox = Outbox()
    shop = Shop(Cluster(seed, epoch, outbox))
    for _ in range(journeys):
        shop.happen(EPOCH)
    spans = []
    while batch := outbox.next_batch():
        spans += batch
        outbox.delivered(batch)
    return spans


@pytest.fixture(scope="module")
def day() -> list[ReadableSpan]:
    return play(seed=42, journeys=1200)


def context(span: ReadableSpan) -> tuple[int, int]:
    assert span.context is not None
    return span.context.trace_id, span.context.span_id


def test_the_same_seed_and_clock_give_the_same_bytes() -> None:
    assert encode_spans(play(7, 60)).SerializeToString() == encode_spans(play(7, 60)).SerializeToString()


def test_another_clock_gives_the_same_story_under_other_ids() -> None:
    first, second = play(7, 60, EPOCH), play(7, 60, EPOCH + 1)
    assert [(s.name, s.start_time, s.end_time) for s in first] == [(s.name, s.start_time, s.end_time) for s in second]
    assert not {context(s) for s in first} & {context(s) for s in second}


def test_every_service_works(day: list[ReadableSpan]) -> None:
    seen = Counter(span.resource.attributes["service.name"] for span in day)
    assert set(seen) == {deployment.name for deployment in DEPLOYMENTS}
    assert len(seen) >= 6
    assert len({span.resource.attributes["k8s.pod.name"] for span in day}) == sum(d.replicas for d in DEPLOYMENTS)


def test_time_is_possible(day: list[ReadableSpan]) -> None:
    for span in day:
        assert span.start_time is not None
        assert span.end_time is not None
        assert EPOCH <= span.start_time <= span.end_time <= EPOCH + LONGEST_NS
        assert all(span.start_time <= event.timestamp <= span.end_time for event in span.events)


def test_every_parent_is_there_but_the_payment_providers(day: list[ReadableSpan]) -> None:
    known = {context(span) for span in day}
    orphans = {span.name for span in day if span.parent and (span.parent.trace_id, span.parent.span_id) not in known}
    assert orphans == {"POST /webhooks/payment"}


def test_every_kind_of_value_kind_and_relation_occurs(day: list[ReadableSpan]) -> None:
    values = [value for span in day for value in (span.attributes or {}).values()]
    assert {type(value) for value in values} == {str, bool, int, float, bytes, tuple, dict}
    assert {type(item) for value in values if isinstance(value, tuple) for item in value} == {str, int, float}
    assert {span.kind for span in day} == set(SpanKind)
    assert {event.name for span in day for event in span.events} >= {"exception", "retry", "item counted"}
    assert max(span.dropped_events for span in day) > 0
    assert {dict(s.context.trace_state).get("shop") for s in day if s.context} >= {"tier:gold", "tier:basic", None}
    assert any(len(span.links) > 1 for span in day if span.kind is SpanKind.CONSUMER)
    assert {span.instrumentation_scope.name for span in day if span.instrumentation_scope} >= {
        "shop.http",
        "shop.kafka",
    }


def test_links_lead_to_messages(day: list[ReadableSpan]) -> None:
    producers = {context(span) for span in day if span.kind is SpanKind.PRODUCER}
    linked = {(link.context.trace_id, link.context.span_id) for span in day for link in span.links}
    assert linked == producers


def test_things_fail_now_and_then(day: list[ReadableSpan]) -> None:
    failed = {span.resource.attributes["service.name"] for span in day if span.status.status_code is StatusCode.ERROR}
    assert failed >= {"storefront", "checkout", "payment", "cart", "mailer"}
    traces = {context(span)[0] for span in day}
    broken = {context(span)[0] for span in day if span.status.status_code is StatusCode.ERROR}
    assert 0.02 < len(broken) / len(traces) < 0.25


def test_the_guilty_operation_is_slow_under_its_condition_only(day: list[ReadableSpan]) -> None:
    def milliseconds(span: ReadableSpan) -> float:
        assert span.start_time is not None
        assert span.end_time is not None
        return (span.end_time - span.start_time) / 1e6

    queries = [span for span in day if span.name == GUILTY_OPERATION]
    guilty = [s for s in queries if all((s.attributes or {})[key] == value for key, value in GUILTY_WHEN.items())]
    assert guilty
    assert min(milliseconds(span) for span in guilty) >= 700
    assert max(milliseconds(span) for span in queries if span not in guilty) < 25
    others = [milliseconds(span) for span in day if span.name.startswith(("SELECT", "GET")) and span not in queries]
    assert statistics.median(others) < 25
