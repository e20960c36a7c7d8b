"""What Pilothouse counts about itself: a small metrics registry, and the ledger that accounts for every span.

The exposition is Prometheus' text format 0.0.4. Names are given by whoever counts, because dashboards for the
OpenTelemetry Collector and Jaeger query theirs. Everything here may be called from any thread.
"""

from __future__ import annotations

import math
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Protocol, TypeVar

from msgspec import Struct

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
#: Seconds; from a cache hit to a query at its time limit.
DEFAULT_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

_Key = tuple[str, ...]


class Metric(Protocol):
    """Anything the registry can render."""

    name: str
    help: str
    kind: str

    def samples(self) -> Iterator[tuple[str, Mapping[str, str], float]]:
        """``(suffix, labels, value)`` of every series."""
        ...


class Counter:
    """A number per label set that only grows.

    Args:
        name: With the ``_total`` suffix, if the dashboards expect one.
        text: One sentence of help.
        labels: Label names, in the order of ``add``'s values.
    """

    kind = "counter"

    def __init__(self, name: str, text: str, labels: Sequence[str] = ()) -> None:
        self.name, self.help, self._labels = name, text, tuple(labels)
        self._values: dict[_Key, float] = {} if labels else {(): 0.0}
        self._lock = threading.Lock()

    def add(self, amount: float = 1, *labels: str) -> None:
        """Adds ``amount`` to the series with these label values."""
        with self._lock:
            self._values[labels] = self._values.get(labels, 0.0) + amount

    def value(self, *labels: str) -> float:
        """The series' value; 0 for one never touched."""
        return self._values.get(labels, 0.0)

    def samples(self) -> Iterator[tuple[str, Mapping[str, str], float]]:
        """``(suffix, labels, value)`` of every series."""
        with self._lock:
            items = sorted(self._values.items())
        for key, value in items:
            yield "", dict(zip(self._labels, key, strict=True)), value


class Gauge(Counter):
    """A number per label set that goes up and down."""

    kind = "gauge"

    def set(self, value: float, *labels: str) -> None:
        """Sets the series with these label values."""
        with self._lock:
            self._values[labels] = value


class Probe:
    """A metric whose value is asked for when it is scraped, such as memory or queue depth.

    Args:
        name: The metric's name.
        text: One sentence of help.
        read: Returns the value; called from the thread that renders.
        kind: ``gauge`` or ``counter``.
    """

    def __init__(self, name: str, text: str, read: Callable[[], float], kind: str = "gauge") -> None:
        self.name, self.help, self.kind, self._read = name, text, kind, read

    def samples(self) -> Iterator[tuple[str, Mapping[str, str], float]]:
        """The one series, read now."""
        yield "", {}, self._read()


class Histogram:
    """Observations per label set, counted into buckets.

    Args:
        name: Without suffix; the unit is part of it (``…_seconds``).
        text: One sentence of help.
        labels: Label names, in the order of ``observe``'s values.
        buckets: Upper bounds, ascending; ``+Inf`` is implied.
    """

    kind = "histogram"

    def __init__(
        self, name: str, text: str, labels: Sequence[str] = (), buckets: Sequence[float] = DEFAULT_BUCKETS
    ) -> None:
        self.name, self.help, self._labels, self._bounds = name, text, tuple(labels), tuple(buckets)
        self._counts: dict[_Key, list[int]] = {}
        self._sums: dict[_Key, float] = {}
        self._lock = threading.Lock()

    def observe(self, value: float, *labels: str) -> None:
        """Counts one observation."""
        with self._lock:
            counts = self._counts.setdefault(labels, [0] * (len(self._bounds) + 1))
            counts[bisect_left(self._bounds, value)] += 1
            self._sums[labels] = self._sums.get(labels, 0.0) + value

    def samples(self) -> Iterator[tuple[str, Mapping[str, str], float]]:
        """``_bucket`` (cumulative), ``_sum`` and ``_count`` of every series."""
        with self._lock:
            series = [(key, list(counts), self._sums[key]) for key, counts in sorted(self._counts.items())]
        for key, counts, total in series:
            labels = dict(zip(self._labels, key, strict=True))
            running = 0
            for bound, count in zip((*map(_number, self._bounds), "+Inf"), counts, strict=True):
                running += count
                yield "_bucket", {**labels, "le": bound}, running
            yield "_sum", labels, total
            yield "_count", labels, running


_M = TypeVar("_M", bound=Metric)


class Registry:
    """Every metric of one process. Asking for a name again gives the same metric."""

    def __init__(self) -> None:
        self._metrics: dict[str, Metric] = {}
        self._lock = threading.Lock()

    def counter(self, name: str, text: str, labels: Sequence[str] = ()) -> Counter:
        """The counter of that name."""
        return self._get(name, Counter, lambda: Counter(name, text, labels))

    def gauge(self, name: str, text: str, labels: Sequence[str] = ()) -> Gauge:
        """The gauge of that name."""
        return self._get(name, Gauge, lambda: Gauge(name, text, labels))

    def histogram(
        self, name: str, text: str, labels: Sequence[str] = (), buckets: Sequence[float] = DEFAULT_BUCKETS
    ) -> Histogram:
        """The histogram of that name."""
        return self._get(name, Histogram, lambda: Histogram(name, text, labels, buckets))

    def probe(self, name: str, text: str, read: Callable[[], float], kind: str = "gauge") -> Probe:
        """A metric read when scraped."""
        return self._get(name, Probe, lambda: Probe(name, text, read, kind))

    def render(self) -> str:
        """Everything, in Prometheus' text format, metrics by name."""
        lines: list[str] = []
        with self._lock:
            metrics = sorted(self._metrics.items())
        for name, metric in metrics:
            lines.append(f"# HELP {name} {_escape(metric.help, quote=False)}")
            lines.append(f"# TYPE {name} {metric.kind}")
            for suffix, labels, value in metric.samples():
                pairs = ",".join(f'{key}="{_escape(text)}"' for key, text in labels.items())
                lines.append(
                    f"{name}{suffix}{{{pairs}}} {_number(value)}" if pairs else f"{name}{suffix} {_number(value)}"
                )
        return "\n".join(lines) + "\n"

    def _get(self, name: str, kind: type[_M], make: Callable[[], _M]) -> _M:
        with self._lock:
            metric = self._metrics.get(name)
            if metric is None:
                metric = self._metrics[name] = make()
        if not isinstance(metric, kind):
            raise TypeError(f"metric {name} is a {metric.kind}")
        return metric


class Balance(Struct, frozen=True, rename="camel"):
    """The ledger at one moment. ``received = stored + duplicate + refused + dropped + queued`` unless something leaks."""

    received: int = 0
    stored: int = 0
    duplicate: int = 0
    refused: dict[str, int] = {}
    dropped: dict[str, int] = {}
    queued: int = 0

    @property
    def difference(self) -> int:
        """``received`` minus everything accounted for: 0, or a defect."""
        settled = self.stored + self.duplicate + sum(self.refused.values()) + sum(self.dropped.values())
        return self.received - settled - self.queued


class Ledger:
    """Accounts for every span, so that none is lost without a number that says so.

    Each movement is one atomic ``post`` whose sides cancel out, as in double-entry bookkeeping::

        post(received=100, queued=98, dropped={"invalid_id": 2})
        post(queued=-98, stored=90, duplicate=8)
        post(received=50, refused={"queue_full": 50})
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._received = self._stored = self._duplicate = self._queued = 0
        self._refused: dict[str, int] = {}
        self._dropped: dict[str, int] = {}

    def post(
        self,
        *,
        received: int = 0,
        stored: int = 0,
        duplicate: int = 0,
        queued: int = 0,
        refused: Mapping[str, int] | None = None,
        dropped: Mapping[str, int] | None = None,
    ) -> None:
        """Records one movement. ``queued`` is a change and may be negative; reasons are short snake_case words.

        A movement whose sides do not cancel is recorded all the same: ``balance`` then shows the difference, and health
        turns permanent, which is more use than an exception in the middle of a write.
        """
        with self._lock:
            self._received += received
            self._stored += stored
            self._duplicate += duplicate
            self._queued += queued
            for into, reasons in ((self._refused, refused), (self._dropped, dropped)):
                for reason, count in (reasons or {}).items():
                    if count:
                        into[reason] = into.get(reason, 0) + count

    def balance(self) -> Balance:
        """A consistent copy of all accounts."""
        with self._lock:
            return Balance(
                self._received, self._stored, self._duplicate, dict(self._refused), dict(self._dropped), self._queued
            )


def _escape(text: str, *, quote: bool = True) -> str:
    text = text.replace("\\", r"\\").replace("\n", r"\n")
    return text.replace('"', r"\"") if quote else text


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))
