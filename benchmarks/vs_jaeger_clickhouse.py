"""Our store beside Jaeger's ClickHouse schema and SQL: the same spans, the same questions, equal answers, in one run.

Each engine has a process of its own, so that memory and processor time are its own. They take turns, portion by portion when
loading and question by question when reading, so that a noisy neighbour disturbs both. Every answer is compared; a wrong one
fails the run whatever its speed. Figures are medians.

The peer is favoured where there was a choice; see ``peer_jaeger_clickhouse.py``. Our side pays for everything: decoding,
commits that are durable before they are acknowledged (2,048 spans each or what gathered meanwhile), and answers as the
objects that the APIs encode.

    python benchmarks/vs_jaeger_clickhouse.py --spans 1000000
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from harness import PeakMemory, Report, Stopwatch, median, rss, scratch
from questions import HOUR, Engine, Question, variants
from spans import SpanSource

NAMES: Final = ("ours", "peer")
PORTIONS: Final = 4
#: The claims about reading, and the rows that each rests on; of several rows the worst counts.
CLAIMS: Final = {
    "trace by id": ("trace by id",),
    "service + 1 h": ("service, 1 h, 20 newest",),
    "attribute search": ("attribute + service, 1 h", "attribute, any service, 6 h"),
    "summaries": ("summaries of 20 newest",),
    "dependencies": ("dependencies, 1 h", "  peer without links"),
}


def _open(name: str, directory: Path, threads: int) -> Engine:
    if name == "ours":
        from ours import Ours

        return Ours(directory, threads)
    from theirs import Theirs

    return Theirs(directory, threads)


def _portion(source: SpanSource, number: int) -> Iterator[bytes]:
    first, last = (source.block_count * n // PORTIONS for n in (number, number + 1))
    for block in range(first, last):
        yield from source.block(block).requests


def _serve(pipe: Connection, name: str, directory: Path, threads: int, source: SpanSource) -> None:
    """The engine's process: does what it is told and answers (result, wall seconds, processor seconds)."""
    engine = _open(name, directory, threads)
    source.block(0)  # the templates, which are nobody's cost
    orders: dict[str, Callable[[Any], object]] = {
        "load": lambda number: engine.load(_portion(source, number)),
        "settle": lambda _: engine.settle(),
        "ask": engine.ask,
        "answer": engine.answer,
        "facts": lambda _: engine.facts(),
        "close": lambda _: engine.close(),
    }
    pipe.send(None)
    while True:
        order, argument = pipe.recv()
        with Stopwatch() as watch:
            result = orders[order](argument)
        pipe.send((None if order == "ask" else result, watch.wall, watch.cpu))
        if order == "close":
            return


@dataclass
class Measured:
    """What one order took."""

    result: Any
    wall: float
    cpu: float


class Worker:
    """An engine in its own process."""

    def __init__(self, name: str, directory: Path, threads: int, source: SpanSource) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, name, directory, threads, source), daemon=True)
        self.process.start()
        theirs.close()
        self._name = name
        self._receive()

    def do(self, order: str, argument: object = None) -> Measured:
        """Sends an order and waits until it is carried out."""
        self._pipe.send((order, argument))
        return Measured(*self._receive())

    def _receive(self) -> Any:
        try:
            return self._pipe.recv()
        except EOFError:
            raise SystemExit(f"the process of {self._name} ended; see above") from None

    def rss(self) -> int:
        """Resident bytes now."""
        return rss(self.process.pid or 0)

    def stop(self) -> None:
        """Ends the process."""
        with contextlib.suppress(OSError, SystemExit):  # it may have ended on its own
            self.do("close")
            self.process.join(20)
        self.process.kill()


def load(workers: dict[str, Worker], report: Report, source: SpanSource) -> float:
    """Loads both, taking turns; returns the ratio of the insert rates, conversion included on both sides."""
    wall = dict.fromkeys(NAMES, 0.0)
    cpu = dict.fromkeys(NAMES, 0.0)
    peak = dict.fromkeys(NAMES, 0)
    for portion in range(PORTIONS):
        for name in NAMES if portion % 2 else reversed(NAMES):
            with PeakMemory(workers[name].process.pid or 0) as memory:
                done = workers[name].do("load", portion)
            wall[name] += done.wall
            peak[name] = max(peak[name], memory.peak)
            cpu[name] += done.cpu + (workers[name].do("settle").cpu if portion == PORTIONS - 1 else 0.0)
    facts = {name: workers[name].do("facts").result for name in NAMES}
    for name in NAMES:
        if facts[name]["spans"] != source.spans:
            raise SystemExit(f"{name} holds {facts[name]['spans']:,} spans after {source.spans:,} were acknowledged")
    rate = {name: source.spans / wall[name] for name in NAMES}
    alone = source.spans / facts["peer"]["insert_wall"]
    report.row(
        "insert, spans/s", ours=rate["ours"], peer=rate["peer"], wall_ratio=rate["ours"] / rate["peer"],
        ours_cpu=source.spans / cpu["ours"], peer_cpu=source.spans / cpu["peer"], cpu_ratio=cpu["peer"] / cpu["ours"],
    )  # fmt: skip
    report.row("  peer's INSERT alone", ours=rate["ours"], peer=alone, wall_ratio=rate["ours"] / alone)
    _smaller(report, "disk, bytes/span", {name: facts[name]["disk_bytes"] / source.spans for name in NAMES})
    _smaller(report, "memory while loading, MB", {name: peak[name] / 1e6 for name in NAMES})
    return rate["ours"] / rate["peer"]


def _smaller(report: Report, what: str, figures: dict[str, float]) -> None:
    report.row(what, ours=figures["ours"], peer=figures["peer"], wall_ratio=figures["peer"] / figures["ours"])


def read(workers: dict[str, Worker], report: Report, questions: dict[str, list[Question]]) -> dict[str, float]:
    """Asks both, taking turns, and compares; returns the ratio of the median times by row."""
    ratios: dict[str, float] = {}
    for row, asked in questions.items():
        wall: dict[str, list[float]] = {name: [] for name in NAMES}
        cpu: dict[str, list[float]] = {name: [] for name in NAMES}
        for question in asked[:1]:  # opened files, resolved attribute types
            for name in NAMES:
                workers[name].do("ask", question)
        for i, question in enumerate(asked):
            for name in NAMES if i % 2 else reversed(NAMES):
                done = workers[name].do("ask", question)
                wall[name].append(1000 * done.wall)
                cpu[name].append(1000 * done.cpu)
        equal: str | None = None
        if not asked[0].as_shipped:
            same = [workers["ours"].do("answer", q).result == workers["peer"].do("answer", q).result for q in asked]
            equal = f"{sum(same)}/{len(same)}"
        ours, peer = median(wall["ours"]), median(wall["peer"])
        ours_cpu, peer_cpu = median(cpu["ours"]), median(cpu["peer"])
        ratios[row] = peer / ours
        report.row(row, ours=ours, peer=peer, wall_ratio=peer / ours, ours_cpu=ours_cpu, peer_cpu=peer_cpu,
                   cpu_ratio=peer_cpu / ours_cpu, equal=equal)  # fmt: skip
        if equal is not None and sum(same) != len(same):
            report.bar(f"equal answers: {row}", wanted="all", measured=sum(same), met=False)
    return ratios


def compare_whole_traces(workers: dict[str, Worker], report: Report, source: SpanSource, count: int) -> None:
    """Compares ``count`` traces down to the last attribute of the last link; not timed."""
    questions = variants(source, count)["trace by id"]
    same = [workers["ours"].do("answer", q).result == workers["peer"].do("answer", q).result for q in questions]
    report.row("every field of whole traces", equal=f"{sum(same)}/{len(same)}")
    report.bar("equal: every field of whole traces", wanted="all", measured=sum(same), met=all(same))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spans", type=int, default=200_000)
    parser.add_argument("--hours", type=float, default=6.0, help="over which the traces are spread")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compare", type=int, default=40, help="traces that are compared field by field")
    parser.add_argument("--directory", type=Path, help="where the stores go while it runs")
    options = parser.parse_args()
    source = SpanSource(options.seed, spans=options.spans, end=time.time_ns(), window=int(options.hours * HOUR))
    report = Report(
        "vs_jaeger_clickhouse", "Pilothouse beside Jaeger's ClickHouse schema and SQL on chDB", spans=source.spans,
        hours=options.hours, seed=options.seed, repeat=options.repeat, threads=options.threads,
    )  # fmt: skip
    with scratch(options.directory) as directory:
        workers: dict[str, Worker] = {}
        try:
            for name in NAMES:
                workers[name] = Worker(name, directory / name, options.threads, source)
            insert = load(workers, report, source)
            ratios = read(workers, report, variants(source, options.repeat))
            compare_whole_traces(workers, report, source, options.compare)
            _smaller(report, "memory after reading, MB", {name: workers[name].rss() / 1e6 for name in NAMES})
        finally:
            for worker in workers.values():
                worker.stop()
    report.note(
        "Times in ms, columns 'cpu' in CPU-ms (for inserts spans per CPU-second); a ratio above 1 is in our favour."
    )
    report.note(
        "Both inserts start from encoded OTLP; 'INSERT alone' leaves out the conversion to rows, of the peer only."
    )
    report.note(
        "'As Jaeger ships it' takes any 20 traces, not the newest (jaeger#8996), so it is no answer to our question."
    )
    report.note(
        "Jaeger computes no dependencies with ClickHouse; the peer's query is the fastest of ten that were tried."
    )
    report.note(
        "Jaeger's operations table forgets names when it merges (they are not in its sort key), so they are not compared."
    )
    report.bar("insert rate", wanted="at least 1.5 times the peer's", measured=insert, met=insert >= 1.5, unit="times")
    claims = {claim: min(ratios[row] for row in rows) for claim, rows in CLAIMS.items()}
    for claim, ratio in claims.items():
        report.bar(claim, wanted="never slower", measured=ratio, met=ratio >= 1.0, unit="times as fast")
    twice = sum(ratio >= 2 for ratio in claims.values())
    report.bar("claims with 2 times or more", wanted="at least 3", measured=twice, met=twice >= 3)
    report.finish()


if __name__ == "__main__":
    main()
