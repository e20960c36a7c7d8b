"""The store's blocking questions as awaitable ones: in threads, within the query timeout, adjusted, counted.

Both generations and both transports ask here, so that a trace is the same whichever way it is read.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from pilothouse.kit.errors import QueryTimeout
from pilothouse.kit.telemetry import Registry
from pilothouse.kit.units import SECOND, exact_duration
from pilothouse.observe.traces import adjust
from pilothouse.observe.traces.jaeger.source import TraceSource
from pilothouse.observe.traces.model import Dependency, Operation, SummaryPage, Trace, TraceQuery

_T = TypeVar("_T")


class Reader:
    """Reads traces for Jaeger's clients.

    Args:
        source: The store.
        timeout: Nanoseconds the store may work on one request; the time a client takes to read does not count.
        max_spans: Spans after which the store cuts a trace, for the warning.
        metrics: Where requests are counted, as ``jaeger_storage_requests_total`` and ``jaeger_storage_latency_seconds``.
    """

    def __init__(self, source: TraceSource, *, timeout: int, max_spans: int, metrics: Registry) -> None:
        self._source, self._timeout, self._max_spans = source, timeout, max_spans
        self._requests = metrics.counter(
            "jaeger_storage_requests_total", "Questions put to the trace store.", ("operation", "result")
        )
        self._latency = metrics.histogram(
            "jaeger_storage_latency_seconds", "Time the trace store took.", ("operation", "result")
        )

    async def services(self) -> list[str]:
        """Names of all services, sorted."""
        return [service.name for service in await self._ask("get_services", self._source.services)]

    async def operations(self, service: str, kind: int | None = None) -> Sequence[Operation]:
        """The operations of ``service`` (empty for all), of one OTLP kind or of all."""
        return await self._ask("get_operations", self._source.operations, service, kind)

    async def dependencies(self, start: int, end: int) -> Sequence[Dependency]:
        """Edges between services within a window in nanoseconds."""
        return await self._ask("get_dependencies", self._source.dependencies, start, end)

    async def summaries(self, query: TraceQuery) -> SummaryPage:
        """One page of summaries."""
        return await self._ask("find_trace_summaries", self._source.summaries, query)

    async def trace(
        self, trace_id: bytes, start: int | None = None, end: int | None = None, *, raw: bool = False
    ) -> Trace | None:
        """One trace, adjusted unless ``raw``; ``None`` when none of its spans starts in the window.

        The window only says where to look: a trace that begins in it and ends after it is shown whole.
        """
        found = await self._ask("get_trace", self._source.trace, trace_id, start, end)
        if found is not None and (start, end) != (None, None):
            found = await self._ask("get_trace", self._source.trace, trace_id)
        return await asyncio.to_thread(self._prepare, found, raw) if found is not None and found.spans else None

    async def traces(
        self, ids: Iterable[bytes], start: int | None = None, end: int | None = None, *, raw: bool = False
    ) -> AsyncGenerator[tuple[bytes, Trace | None], None]:
        """Each id with its trace, in the given order."""
        for trace_id in ids:
            yield trace_id, await self.trace(trace_id, start, end, raw=raw)

    async def find(self, query: TraceQuery, *, raw: bool = False) -> AsyncGenerator[Trace, None]:
        """Matching traces, newest first, one in memory at a time; adjusted unless ``raw``."""
        pull = _Pull(lambda: self._source.find(query))
        left, spent, result = self._timeout / SECOND, 0.0, "err"
        try:
            while True:
                began = time.perf_counter()
                try:
                    trace = await asyncio.wait_for(asyncio.to_thread(pull.next), left - spent)
                except TimeoutError:
                    raise self._too_slow() from None
                finally:
                    spent += time.perf_counter() - began
                if trace is None:
                    break
                if trace.spans:
                    yield await asyncio.to_thread(self._prepare, trace, raw)
            result = "ok"
        except GeneratorExit:
            result = "ok"
            raise
        finally:
            self._count("find_traces", result, spent)
            # Closing waits for a step that is still running, which is no reason for the loop to wait.
            asyncio.get_running_loop().run_in_executor(None, pull.close)

    def _prepare(self, trace: Trace, raw: bool) -> Trace:
        return adjust.mark_truncated(trace if raw else adjust.standard(trace), self._max_spans)

    async def _ask(self, operation: str, function: Callable[..., _T], *args: Any) -> _T:
        began, result = time.perf_counter(), "err"
        try:
            answer = await asyncio.wait_for(asyncio.to_thread(function, *args), self._timeout / SECOND)
            result = "ok"
        except TimeoutError:
            raise self._too_slow() from None
        finally:
            self._count(operation, result, time.perf_counter() - began)
        return answer

    def _count(self, operation: str, result: str, seconds: float) -> None:
        self._requests.add(1, operation, result)
        self._latency.observe(seconds, operation, result)

    def _too_slow(self) -> QueryTimeout:
        return QueryTimeout(
            f"the query took longer than {exact_duration(self._timeout)}",
            remedy="Ask for a shorter time range or a smaller limit, or raise query.timeout.",
        )


class _Pull:
    """An iterator that is made, advanced and closed in worker threads, never in two at once."""

    def __init__(self, make: Callable[[], Iterator[Trace]]) -> None:
        self._make = make
        self._iterator: Iterator[Trace] | None = None
        self._closed = False
        self._lock = threading.Lock()

    def next(self) -> Trace | None:
        """The next trace; ``None`` at the end and after ``close``."""
        with self._lock:
            if self._closed:
                return None
            if self._iterator is None:
                self._iterator = iter(self._make())
            return next(self._iterator, None)

    def close(self) -> None:
        """Lets the store release what it holds for this iterator."""
        with self._lock, suppress(Exception):
            self._closed = True
            close = getattr(self._iterator, "close", None)
            if close is not None:
                close()
