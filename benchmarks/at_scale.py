"""The bar: with ten million spans stored and 20,000 a second coming in, how long do people wait, and how much memory is used?

Everything goes through the front door: spans over gRPC, questions over HTTP to Pilothouse's own API and to Jaeger's. The
incoming rate is kept whatever the server does (an open loop); questions come one at a time, each with other parameters.

    python benchmarks/at_scale.py --spans 10000000 --seconds 120
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from harness import PeakMemory, Report, percentile, scratch
from questions import HOUR
from spans import SpanSource

from server import Server, result

TRACE_BAR: Final = 0.050
SEARCH_BAR: Final = 0.150
MEMORY_BAR: Final = 1.5e9
_SERVICES: Final = (
    "checkout",
    "api",
    "frontend",
    "cart",
    "catalog",
    "payment",
    "inventory",
    "search",
    "gateway",
    "fraud",
)
_OPERATIONS: Final = (
    ("checkout", "POST /checkout"), ("api", "GET /api/v2/search"), ("cart", "shop.v1.CartService/GetCart"),
    ("search", "GET /search"), ("payment", "shop.v1.PaymentService/Charge"),
)  # fmt: skip
_FILTERS: Final = (
    "service = checkout and http.response.status_code = 404",
    "service = frontend and http.status_code >= 400",
    "payment.currency = JPY",
    "fraud.decision = deny",
    "search.query = tent",
    "resource.host.name = node-3 and faas.coldstart = true",
)
_TAGS: Final = (
    ("checkout", "http.response.status_code:404"),
    ("payment", "payment.currency:JPY"),
    ("cart", "cache.hit:false"),
)

Asked = Callable[[], Any]


class Questions:
    """What people ask of this server, with ever other parameters."""

    def __init__(self, server: Server, traces: list[str], seed: int) -> None:
        self._server, self._traces, self._rng = server, traces, random.Random(seed)

    def traces(self) -> dict[str, Asked]:
        """One trace, by its id."""
        rng = self._rng
        return {
            "/api/traces/{id}": lambda: self._server.get("console", f"/api/traces/{rng.choice(self._traces)}"),
            "Jaeger /api/traces/{id}": lambda: self._server.get(
                "jaeger_http", f"/api/traces/{rng.choice(self._traces)}"
            ),
        }

    def searches(self) -> dict[str, Asked]:
        """Searches of the last hours, from the console and from Jaeger UI."""
        rng = self._rng

        def ours(**parameters: object) -> Any:
            return self._server.get("console", "/api/traces/search", limit=20, **parameters)

        def jaeger(**parameters: object) -> Any:
            now = time.time_ns()
            times = {"start": (now - HOUR) // 1000, "end": now // 1000, "limit": 20}
            return self._server.get("jaeger_http", "/api/traces", **times, **parameters)

        def operation() -> dict[str, object]:
            return dict(zip(("service", "operation"), rng.choice(_OPERATIONS), strict=True))

        return {
            "everything, 1 h": lambda: ours(start="-1h"),
            "service, 1 h": lambda: ours(service=rng.choice(_SERVICES), start="-1h"),
            "service, 6 h before": lambda: ours(service=rng.choice(_SERVICES), start="-12h", end="-6h"),
            "operation + duration, 6 h": lambda: ours(**operation(), minDuration="40ms", start="-6h"),
            "service + errors, 1 h": lambda: ours(service=rng.choice(_SERVICES), status="error", start="-1h"),
            "filter on attributes, 1 h": lambda: ours(filter=rng.choice(_FILTERS), start="-1h"),
            "filter on attributes, 24 h": lambda: ours(filter=rng.choice(_FILTERS), start="-24h"),
            "Jaeger: service, 1 h": lambda: jaeger(service=rng.choice(_SERVICES)),
            "Jaeger: service + tag, 1 h": lambda: jaeger(
                **dict(zip(("service", "tag"), rng.choice(_TAGS), strict=True))
            ),
            "Jaeger: operation + minDuration, 1 h": lambda: jaeger(**operation(), minDuration="40ms"),
        }


def _ask(questions: dict[str, Asked], seconds: float, pause: float) -> dict[str, list[float]]:
    """Asks everything in turn until the time is over; the waiting times in seconds by question."""
    waited: dict[str, list[float]] = {name: [] for name in questions}
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        for name, ask in questions.items():
            began = time.perf_counter()
            ask()
            waited[name].append(time.perf_counter() - began)
            time.sleep(pause)
    return waited


def _trace_ids(source: SpanSource, count: int) -> list[str]:
    rng = random.Random(source.seed)
    ids = []
    for _ in range(min(count, source.block_count)):
        block = source.block(rng.randrange(source.block_count))
        ids += [block.trace_ids[rng.randrange(len(block.trace_ids) // 2)].tobytes().hex() for _ in range(4)]
    return ids


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spans", type=int, default=200_000, help="stored before anything is measured")
    parser.add_argument("--hours", type=float, default=24.0, help="over which these are spread")
    parser.add_argument("--rate", type=float, default=20_000, help="spans per second coming in meanwhile; 0 for none")
    parser.add_argument("--seconds", type=float, default=15.0, help="how long to ask")
    parser.add_argument("--pause", type=float, default=0.02, help="seconds between an answer and the next question")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--directory", type=Path, help="where the store goes while it runs")
    options = parser.parse_args()
    source = SpanSource(options.seed, spans=options.spans, end=time.time_ns(), window=int(options.hours * HOUR))
    report = Report(
        "at_scale", "Waiting for answers while spans come in", spans=source.spans, hours=options.hours, rate=options.rate,
        seconds=options.seconds, seed=options.seed,
    )  # fmt: skip
    with scratch(options.directory) as directory, Server(directory / "data") as server:
        with PeakMemory(server.process.pid) as filling:
            filled = result(server.send(source))
        report.row("filling", per_s=filled["acknowledged"] / filled["wall"], peak_mb=filling.peak / 1e6)
        questions = Questions(server, _trace_ids(source, 200), options.seed)
        asked = {**questions.traces(), **questions.searches()}
        _ask(asked, 0.1, 0.0)  # once each: files, plans, imports
        client = server.send(source, rate=options.rate, seconds=options.seconds + 3) if options.rate else None
        time.sleep(3 if client else 0)  # until it has made its templates and sends
        with PeakMemory(server.process.pid) as memory:
            waited = _ask(asked, options.seconds, options.pause)
        if client:
            came = result(client)
            report.row(
                "coming in",
                per_s=came["acknowledged"] / came["wall"],
                p50_ms=1000 * came["p50"],
                p95_ms=1000 * came["p95"],
            )
            report.note(
                f"{came['late']:.0f} incoming requests waited for a free slot, {came['retries']:.0f} were sent again."
            )
        for name, times in waited.items():
            report.row(name, n=len(times), p50_ms=1000 * percentile(times, 0.5), p95_ms=1000 * percentile(times, 0.95))
        report.row("while asking", peak_mb=memory.peak / 1e6)
    for what, names, bar in (
        ("trace by id", questions.traces(), TRACE_BAR),
        ("search", questions.searches(), SEARCH_BAR),
    ):
        times = [one for name in names for one in waited[name]]
        found = percentile(times, 0.95)
        report.row(f"all: {what}", n=len(times), p50_ms=1000 * percentile(times, 0.5), p95_ms=1000 * found)
        report.bar(
            f"{what}, p95", wanted=f"at most {1000 * bar:.0f}", measured=1000 * found, met=found <= bar, unit="ms"
        )
    peak = max(memory.peak, filling.peak)
    report.bar(
        "memory", wanted=f"at most {MEMORY_BAR / 1e9} GB", measured=peak / 1e9, met=peak <= MEMORY_BAR, unit="GB"
    )
    report.finish()


if __name__ == "__main__":
    main()
