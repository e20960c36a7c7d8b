"""What every benchmark shares: where it ran, how it is timed, how its result is printed and judged.

A benchmark makes a ``Report``, adds rows and bars, and ends with ``finish()``: a table for people, then one line of JSON for
machines (also written to ``benchmarks/results/NAME.json``), and an exit code that says whether every bar was met.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Final

Cell = str | int | float | bool | None
RESULTS: Final = Path(__file__).parent / "results"
_LIBRARIES: Final = ("duckdb", "pyarrow", "grpcio", "protobuf", "ptars", "chdb")


def environment() -> dict[str, Cell]:
    """Names what the figures depend on: processors, memory, system, versions."""
    model = ""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    facts: dict[str, Cell] = {
        "cpu": model or platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }
    for library in _LIBRARIES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            facts[library] = metadata.version(library)
    return facts


def human(number: float) -> str:
    """Writes a count or a measure with three significant digits: 81,400; 12.3; 0.045."""
    if number == 0 or number != number:
        return "0" if number == 0 else "-"
    magnitude = len(str(int(abs(number))))
    return f"{round(number, 3 - magnitude):,.{max(0, 3 - magnitude)}f}" if abs(number) >= 1 else f"{number:.3g}"


def median(values: Sequence[float]) -> float:
    """The middle value; NaN of nothing."""
    return statistics.median(values) if values else float("nan")


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` (0..1) of ``values`` lie, by nearest rank; NaN of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


class Stopwatch:
    """Wall and processor seconds of this process, all threads, between ``with`` and its end; adds up when used again."""

    wall = 0.0
    cpu = 0.0

    def __enter__(self) -> Stopwatch:
        self._cpu, self._wall = time.process_time(), time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall += time.perf_counter() - self._wall
        self.cpu += time.process_time() - self._cpu


def processes(pid: int) -> list[int]:
    """``pid`` and everything under it."""
    found = [pid]
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += processes(int(child))
    return found


def rss(pid: int) -> int:
    """Resident bytes of ``pid`` and its children; 0 when it is gone."""
    total = 0
    for one in processes(pid):
        with contextlib.suppress(OSError, IndexError, ValueError):
            total += int(Path(f"/proc/{one}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return total


def cpu_seconds(pid: int) -> float:
    """Processor seconds that ``pid`` and its children have used; 0 when it is gone."""
    total = 0.0
    for one in processes(pid):
        with contextlib.suppress(OSError, IndexError, ValueError):
            fields = Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
            total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


class PeakMemory:
    """Watches the resident bytes of a process (and its children) while inside ``with``."""

    peak = 0

    def __init__(self, pid: int, interval: float = 0.2) -> None:
        self._pid, self._interval, self._stop = pid, interval, threading.Event()

    def __enter__(self) -> PeakMemory:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self.peak = max(self.peak, rss(self._pid))
            if self._stop.wait(self._interval):
                return


def free_port() -> int:
    """A loopback port that is free now; whoever starts a server on it must cope with losing the race."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def scratch(where: Path | None = None) -> Iterator[Path]:
    """A directory on disk that is gone afterwards; under ``where``, else the system's temporary directory."""
    path = Path(tempfile.mkdtemp(prefix="pilothouse-bench-", dir=where))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def directory_bytes(path: Path) -> int:
    """Bytes of all files under ``path``, as allocated on disk."""
    return sum(file.stat().st_blocks * 512 for file in path.rglob("*") if file.is_file())


class Report:
    """Rows of figures and the bars they must meet."""

    def __init__(self, name: str, title: str, **setting: Cell) -> None:
        self.name, self.title, self.setting = name, title, setting
        self.rows: list[dict[str, Cell]] = []
        self.bars: list[dict[str, Cell]] = []
        self.notes: list[str] = []

    def row(self, what: str, **cells: Cell) -> None:
        """Adds a line of the table; floats are rounded when printed, not in the JSON."""
        self.rows.append({"what": what, **cells})

    def bar(self, what: str, *, wanted: str, measured: float, met: bool, unit: str = "") -> None:
        """Adds a claim and whether the measurement bears it out."""
        self.bars.append({"what": what, "wanted": wanted, "measured": measured, "unit": unit, "met": met})

    def note(self, remark: str) -> None:
        """Adds a remark under the table: a caveat, what was used, what is not comparable."""
        self.notes.append(remark)

    def finish(self) -> None:
        """Prints table, bars and JSON, keeps the JSON in ``results/``, and exits with 1 when a bar was missed."""
        facts = environment()
        setting = ", ".join(f"{key}={value}" for key, value in self.setting.items())
        print(f"\n{self.title}" + (f" ({setting})" if setting else ""))
        print("  " + ", ".join(f"{key} {value}" for key, value in facts.items()))
        _table(self.rows)
        for note in self.notes:
            print(f"  * {note}")
        for bar in self.bars:
            mark = "pass" if bar["met"] else "FAIL"
            print(f"  {mark}  {bar['what']}: {text(bar['measured'])} {bar['unit']} (bar: {bar['wanted']})")
        result = {
            "name": self.name, "title": self.title, "setting": self.setting, "environment": facts, "rows": self.rows,
            "bars": self.bars, "notes": self.notes,
        }  # fmt: skip
        line = json.dumps(result)
        print(line, flush=True)
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{self.name}.json").write_text(line + "\n")
        if not all(bar["met"] for bar in self.bars):
            sys.exit(1)


def text(cell: Cell) -> str:
    """A cell as people read it: whole numbers exactly, others to three digits."""
    match cell:
        case None:
            return ""
        case bool():
            return "yes" if cell else "NO"
        case float():
            return human(cell)
        case int():
            return f"{cell:,}"
        case _:
            return cell


def _table(rows: Sequence[dict[str, Cell]]) -> None:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = [[column.replace("_", " ") if column != "what" else "" for column in columns]]
    lines += [[text(row.get(column)) for column in columns] for row in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    for first, *rest in lines:
        print(
            "  "
            + "  ".join([first.ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(rest, widths[1:], strict=True))])
        )
