"""The exposition is what Prometheus reads, and the books balance."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.kit.telemetry import Ledger, Registry


def test_exposition() -> None:
    registry = Registry()
    counter = registry.counter("spans_total", "Spans.\nAll.", ("receiver", "transport"))
    counter.add(2, "otlp", "grpc")
    counter.add(1.5, 'a"b\\c\n', "http")
    registry.gauge("depth", "Depth.").set(-3)
    registry.probe("rss", "Memory.", lambda: 12.0)
    histogram = registry.histogram("seconds", "Time.", ("op",), buckets=(0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 7):
        histogram.observe(value, "find")
    assert registry.render() == (
        "# HELP depth Depth.\n# TYPE depth gauge\ndepth -3\n"
        "# HELP rss Memory.\n# TYPE rss gauge\nrss 12\n"
        "# HELP seconds Time.\n# TYPE seconds histogram\n"
        'seconds_bucket{op="find",le="0.1"} 2\nseconds_bucket{op="find",le="1"} 3\nseconds_bucket{op="find",le="+Inf"} 4\n'
        'seconds_sum{op="find"} 7.65\nseconds_count{op="find"} 4\n'
        "# HELP spans_total Spans.\\nAll.\n# TYPE spans_total counter\n"
        'spans_total{receiver="a\\"b\\\\c\\n",transport="http"} 1.5\n'
        'spans_total{receiver="otlp",transport="grpc"} 2\n'
    )


def test_numbers_that_are_not_finite() -> None:
    registry = Registry()
    registry.gauge("x", "X", ("k",)).set(float("nan"), "a")
    registry.gauge("x", "X", ("k",)).set(float("-inf"), "b")
    assert 'x{k="a"} NaN\nx{k="b"} -Inf\n' in registry.render()


def test_one_name_is_one_metric() -> None:
    registry = Registry()
    assert registry.counter("a", "A") is registry.counter("a", "A")
    with pytest.raises(TypeError, match="is a counter"):
        registry.histogram("a", "A")


def test_counting_from_many_threads_loses_nothing() -> None:
    counter = Registry().counter("a", "A")

    def count() -> None:
        for _ in range(2000):
            counter.add()

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counter.value() == 8000


counts = st.integers(0, 10_000)
reasons = st.dictionaries(st.sampled_from(["queue_full", "invalid_id", "too_large"]), counts, max_size=3)


@given(st.lists(st.tuples(counts, counts, counts, reasons, reasons)))
def test_movements_that_cancel_keep_the_balance(
    movements: list[tuple[int, int, int, dict[str, int], dict[str, int]]],
) -> None:
    ledger = Ledger()
    for stored, duplicate, queued, refused, dropped in movements:
        received = stored + duplicate + queued + sum(refused.values()) + sum(dropped.values())
        ledger.post(received=received, queued=received)
        ledger.post(queued=queued - received, stored=stored, duplicate=duplicate, refused=refused, dropped=dropped)
    balance = ledger.balance()
    assert balance.difference == 0
    assert balance.queued == sum(m[2] for m in movements)
    assert balance.received >= balance.stored


@given(st.integers(-100, 100).filter(bool))
def test_a_lost_span_shows(lost: int) -> None:
    ledger = Ledger()
    ledger.post(received=1000 + lost, stored=1000)
    assert ledger.balance().difference == lost
