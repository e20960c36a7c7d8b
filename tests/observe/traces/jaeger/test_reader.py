"""Asking the store: time limits, counting, and letting go of what is no longer wanted."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any

import pytest
from tests.observe.traces.jaeger.memory import T0, MemoryStore, S, make_span, shop, trace_id

from pilothouse.kit.errors import InvalidInput, QueryTimeout
from pilothouse.kit.telemetry import Registry
from pilothouse.kit.units import MILLISECOND, SECOND
from pilothouse.observe.traces.jaeger.reader import Reader
from pilothouse.observe.traces.model import Trace, TraceQuery

EVERYTHING = TraceQuery(start=0, end=T0 + 60 * S)


class Stuck(MemoryStore):
    """Answers once it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def services(self) -> Any:
        self.go.wait(20)
        return []

    def find(self, query: TraceQuery) -> Iterator[Trace]:
        yield Trace(trace_id(1), (make_span(1),))
        self.go.wait(20)


def reader_of(store: MemoryStore, timeout: int = 10 * SECOND) -> tuple[Reader, Registry]:
    metrics = Registry()
    return Reader(store, timeout=timeout, max_spans=store.max_spans, metrics=metrics), metrics


def requests(metrics: Registry) -> list[str]:
    return [line for line in metrics.render().splitlines() if line.startswith("jaeger_storage_requests_total{")]


def test_questions_are_counted_by_outcome() -> None:
    class Broken(MemoryStore):
        def operations(self, service: str, kind: int | None = None) -> Any:
            raise InvalidInput("no")

    async def ask() -> Registry:
        reader, metrics = reader_of(Broken(shop().spans))
        await reader.services()
        await reader.trace(trace_id(1))
        await reader.trace(trace_id(99))
        await reader.summaries(EVERYTHING)
        assert [t.trace_id async for t in reader.find(EVERYTHING)] == [trace_id(2), trace_id(1)]
        with pytest.raises(InvalidInput):
            await reader.operations("")
        return metrics

    metrics = asyncio.run(ask())
    assert requests(metrics) == [
        f'jaeger_storage_requests_total{{operation="{operation}",result="{result}"}} {count}'
        for operation, result, count in (
            ("find_trace_summaries", "ok", 1),
            ("find_traces", "ok", 1),
            ("get_operations", "err", 1),
            ("get_services", "ok", 1),
            ("get_trace", "ok", 2),
        )
    ]
    assert 'jaeger_storage_latency_seconds_count{operation="get_trace",result="ok"} 2' in metrics.render()


def test_the_store_has_only_so_much_time() -> None:
    async def ask() -> Registry:
        store = Stuck()
        reader, metrics = reader_of(store, 50 * MILLISECOND)
        with pytest.raises(QueryTimeout, match="the query took longer than 50ms"):
            await reader.services()
        traces = reader.find(EVERYTHING)
        assert (await anext(traces)).trace_id == trace_id(1)
        with pytest.raises(QueryTimeout):
            await anext(traces)
        store.go.set()
        return metrics

    assert [line.split("{")[1] for line in requests(asyncio.run(ask()))] == [
        'operation="find_traces",result="err"} 1',
        'operation="get_services",result="err"} 1',
    ]


def test_the_time_a_client_takes_does_not_count() -> None:
    async def ask() -> int:
        reader, _ = reader_of(shop(), SECOND)
        seen = 0
        async with aclosing(reader.find(EVERYTHING)) as traces:
            async for _ in traces:
                seen += 1
                await asyncio.sleep(0.6)
        return seen

    assert asyncio.run(ask()) == 2


def test_a_search_that_is_given_up_is_closed_in_the_store() -> None:
    store = shop()

    async def ask() -> None:
        reader, _ = reader_of(store)
        async with aclosing(reader.find(EVERYTHING)) as traces:
            await anext(traces)
        await asyncio.get_running_loop().shutdown_default_executor()

    asyncio.run(ask())
    assert store.closed == 1


def test_one_trace_is_in_memory_at_a_time() -> None:
    made: list[int] = []

    class Counting(MemoryStore):
        def find(self, query: TraceQuery) -> Iterator[Trace]:
            for number in range(1, 6):
                made.append(number)
                yield Trace(trace_id(number), (make_span(1, trace=number),))

    async def ask() -> None:
        reader, _ = reader_of(Counting())
        async with aclosing(reader.find(EVERYTHING)) as traces:
            await anext(traces)
            assert made == [1]
            await anext(traces)
            assert made == [1, 2]

    asyncio.run(ask())


def test_a_window_says_where_to_look_and_cuts_nothing() -> None:
    async def ask() -> list[int]:
        reader, _ = reader_of(shop())
        windows = [(T0, T0 + 1), (T0 + S, T0 + 2 * S), (None, T0 + 1), (T0 + 1, None)]
        found = [await reader.trace(trace_id(1), start, end) for start, end in windows]
        return [len(trace.spans) if trace else 0 for trace in found]

    assert asyncio.run(ask()) == [4, 0, 4, 4]
