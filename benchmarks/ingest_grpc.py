"""The bar: OTLP over gRPC, every field kept, acknowledged after commit, client included, on two cores.

``pilothouse up`` and the client are two processes that share the cores. What counts is wall time from the first request to
the last acknowledgement; afterwards the store must hold exactly what was acknowledged, by SQL.

    python benchmarks/ingest_grpc.py --spans 1000000
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Final

from harness import PeakMemory, Report, directory_bytes, scratch
from spans import SECOND, SpanSource

from server import Server, result

BAR: Final = 60_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spans", type=int, default=200_000)
    parser.add_argument("--warm", type=int, default=20_000, help="spans sent before the clock starts")
    parser.add_argument("--batch", type=int, default=512, help="spans per request")
    parser.add_argument("--in-flight", type=int, default=16, help="requests on their way at the same time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--directory", type=Path, help="where the store goes while it runs")
    options = parser.parse_args()
    now = time.time_ns()
    source = SpanSource(options.seed, spans=options.spans, end=now, window=3600 * SECOND, batch=options.batch)
    warm = SpanSource(options.seed + 1000, spans=options.warm, end=now, window=3600 * SECOND, batch=options.batch)
    report = Report(
        "ingest_grpc", "OTLP/gRPC, full fidelity, acknowledged after commit, client included", spans=source.spans,
        batch=options.batch, in_flight=options.in_flight, seed=options.seed,
    )  # fmt: skip
    with scratch(options.directory) as directory, Server(directory / "data") as server:
        expected = int(result(server.send(warm))["acknowledged"])
        before = server.cpu()
        with PeakMemory(server.process.pid) as memory:
            client = result(server.send(source, in_flight=options.in_flight))
        used = server.cpu() - before
        expected += int(client["acknowledged"])
        stored = server.count()
        rate = client["acknowledged"] / client["wall"]
        report.row("wall", spans_per_s=rate, seconds=client["wall"])
        report.row("server", spans_per_cpu_s=client["acknowledged"] / used, seconds=used)
        report.row("client", spans_per_cpu_s=client["acknowledged"] / client["cpu"], seconds=client["cpu"])
        report.row("request p50", seconds=client["p50"])
        report.row("request p95", seconds=client["p95"])
        report.row("server's peak memory", mb=memory.peak / 1e6)
        report.row("on disk now", bytes_per_span=directory_bytes(directory) / stored)
        report.row("acknowledged", spans=expected)
        report.row("stored", spans=stored)
        report.note(
            f"{client['retries']:.0f} requests were sent again when told to; {client['rejected']:.0f} spans rejected."
        )
    report.bar("stored = acknowledged", wanted=f"{expected:,}", measured=stored, met=stored == expected, unit="spans")
    report.bar("ingest", wanted=f"at least {BAR:,}", measured=rate, met=rate >= BAR, unit="spans/s")
    report.finish()


if __name__ == "__main__":
    main()
