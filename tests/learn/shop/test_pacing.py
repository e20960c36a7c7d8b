"""When journeys start: evenly, in order, and never so late that a span would end in the future."""

from __future__ import annotations

import itertools
import threading

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from pilothouse.kit.clock import SECOND, ManualClock
from pilothouse.learn.shop.cluster import Cluster
from pilothouse.learn.shop.delivery import Delivery, Outbox
from pilothouse.learn.shop.journeys import LONGEST_NS, Shop
from pilothouse.learn.shop.pacing import Plan, Progress, arrivals, run

NOW = 1_760_000_000 * SECOND


class SkippingStop(threading.Event):
    """Waiting moves a manual clock; the stop comes at ``until``."""

    def __init__(self, clock: ManualClock, until: int) -> None:
        super().__init__()
        self._clock, self._until = clock, until

    def wait(self, timeout: float | None = None) -> bool:
        self._clock.advance(int((timeout or 0) * SECOND))
        if self._clock.now_ns() >= self._until:
            self.set()
        return self.is_set()


def keep_shop(plan: Plan, until: int) -> tuple[Progress, InMemorySpanExporter]:
    clock = ManualClock(plan.anchor)
    stop = SkippingStop(clock, until)
    outbox, exporter = Outbox(), InMemorySpanExporter()
    shop = Shop(Cluster(plan.seed, plan.anchor, outbox))
    delivery = Delivery(exporter, outbox, "here", clock, stop, pytest.fail)
    progress = run(plan, shop, outbox, delivery, clock, stop, lambda _: None)
    assert outbox.waiting == 0
    assert delivery.sent == len(exporter.get_finished_spans())
    return progress, exporter


def test_a_count_lies_in_the_past_and_needs_no_waiting() -> None:
    times = list(arrivals(Plan(rate=2, seed=1, anchor=NOW, count=10)))
    assert len(times) == 10
    assert times == sorted(times)
    assert times[0] >= NOW - LONGEST_NS - 5 * SECOND
    assert times[-1] < NOW - LONGEST_NS


def test_history_comes_first_and_time_goes_on() -> None:
    plan = Plan(rate=10, seed=1, anchor=NOW, history=60 * SECOND)
    times = list(itertools.islice(arrivals(plan), 700))
    assert times[0] >= NOW - LONGEST_NS - 60 * SECOND
    assert times[599] < NOW - LONGEST_NS <= times[600]


def test_a_duration_ends() -> None:
    plan = Plan(rate=4, seed=1, anchor=NOW, history=10 * SECOND, duration=5 * SECOND)
    assert len(list(arrivals(plan))) == 60
    progress, _ = keep_shop(plan, until=NOW + 3600 * SECOND)
    assert progress.finished
    assert progress.traces >= 60


def test_an_endless_shop_closes_when_asked_and_delivers_everything() -> None:
    progress, exporter = keep_shop(Plan(rate=5, seed=3, anchor=NOW), until=NOW + 20 * SECOND)
    assert not progress.finished
    assert progress.traces >= 95
    assert all((span.end_time or 0) <= NOW + 20 * SECOND for span in exporter.get_finished_spans())
