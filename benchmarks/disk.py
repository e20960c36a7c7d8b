"""The bar: bytes on disk of a typical span (ten attributes) after a checkpoint.

python benchmarks/disk.py --spans 2000000
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Final

from harness import Report, scratch
from ours import Ours
from questions import HOUR
from spans import SpanSource

BAR: Final = 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spans", type=int, default=200_000)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--directory", type=Path, help="where the store goes while it runs")
    options = parser.parse_args()
    source = SpanSource(options.seed, spans=options.spans, end=time.time_ns(), window=int(options.hours * HOUR))
    report = Report("disk", "Bytes on disk per span", spans=source.spans, hours=options.hours, seed=options.seed)
    sent = sum(map(len, source.requests()))
    with scratch(options.directory) as directory:
        ours = Ours(directory, threads=2)
        ours.load(source.requests())
        ours.settle()
        facts = ours.facts()
        ours.close()
    size = facts["disk_bytes"] / facts["spans"]
    report.row("OTLP as received", bytes_per_span=sent / source.spans)
    report.row("on disk", bytes_per_span=size)
    report.bar("disk", wanted=f"at most {BAR}", measured=size, met=size <= BAR, unit="bytes/span")
    report.finish()


if __name__ == "__main__":
    main()
