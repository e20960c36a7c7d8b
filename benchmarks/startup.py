"""The bars: how long until `pilothouse up --ephemeral` answers, and `pilothouse --help` has printed. Beside a bare Python.

python benchmarks/startup.py --repeat 20
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from typing import Final

from harness import Report, median

from server import Server

UP_BAR: Final = 1.5
HELP_BAR: Final = 0.3


def _run(*arguments: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def _up() -> float:
    with Server() as server:
        return server.seconds_to_ready


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    report = Report("startup", "Starting", repeat=options.repeat)
    bare, shown, ready = [], [], []
    _run("-m", "pilothouse", "--help")  # compiles what is not compiled yet
    for _ in range(options.repeat):
        bare.append(_run("-c", "pass"))
        shown.append(_run("-m", "pilothouse", "--help"))
        ready.append(_up())
    for name, times in (
        ("python -c pass", bare),
        ("pilothouse --help", shown),
        ("pilothouse up --ephemeral, ready", ready),
    ):
        report.row(name, median_s=median(times), worst_s=max(times))
    for name, times, bar in (("up --ephemeral ready", ready, UP_BAR), ("--help", shown, HELP_BAR)):
        report.bar(name, wanted=f"at most {bar}", measured=median(times), met=median(times) <= bar, unit="s")
    report.finish()


if __name__ == "__main__":
    main()
