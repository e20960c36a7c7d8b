"""Runs every benchmark, one after the other, and ends with one table of all bars. ``make bench`` calls this.

python benchmarks/run.py            some minutes; sizes at which a bar can already be judged
python benchmarks/run.py --full     the sizes the bars speak of; needs about half an hour and 10 GB of disk
python benchmarks/run.py --quick    a minute or two; shows that everything works, proves nothing
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from harness import RESULTS, text

#: By benchmark: the options for (--quick, no option, --full).
SIZES: Final[dict[str, tuple[str, str, str]]] = {
    "startup": ("--repeat 3", "--repeat 7", "--repeat 15"),
    "ingest_grpc": ("--spans 100000", "--spans 1000000", "--spans 3000000"),
    "disk": ("--spans 100000", "--spans 1000000", "--spans 3000000"),
    "vs_jaeger_clickhouse": (
        "--spans 100000 --hours 6 --repeat 3",
        "--spans 1000000 --hours 6 --repeat 9",
        "--spans 5000000 --hours 24 --repeat 15",
    ),
    "at_scale": ("--spans 100000 --seconds 5", "--spans 1000000 --seconds 30", "--spans 10000000 --seconds 180"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true")
    size.add_argument("--full", action="store_true")
    parser.add_argument("only", nargs="*", help=f"of {', '.join(SIZES)}; all when none is named")
    options = parser.parse_args()
    if unknown := set(options.only) - set(SIZES):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    column = 0 if options.quick else 2 if options.full else 1
    lines: list[str] = []
    missed = False
    for name in options.only or SIZES:
        if name == "vs_jaeger_clickhouse" and importlib.util.find_spec("chdb") is None:
            lines.append(f"  skip  {name}: the peer is not installed (pip install 'pilothouse[bench]')")
            continue
        file = RESULTS / f"{name}.json"
        file.unlink(missing_ok=True)
        began = time.perf_counter()
        command = [sys.executable, str(Path(__file__).parent / f"{name}.py"), *SIZES[name][column].split()]
        code = subprocess.run(command, check=False).returncode
        took = f"({time.perf_counter() - began:.0f} s)"
        missed = missed or code != 0
        if not file.exists():
            lines.append(f"  FAIL  {name}: ended with {code}, see above {took}")
            continue
        for bar in json.loads(file.read_text())["bars"]:
            mark = "pass" if bar["met"] else "FAIL"
            lines.append(
                f"  {mark}  {name}: {bar['what']} {text(bar['measured'])} {bar['unit']} (bar: {bar['wanted']})"
            )
    print("\nAll bars" + (" (too small to prove anything)" if options.quick else ""))
    print("\n".join(lines))
    sys.exit(1 if missed and not options.quick else 0)


if __name__ == "__main__":
    main()
