"""Deep dependencies: which chains of services and operations requests take through one service, read from its traces.

Jaeger UI draws this graph ("System Architecture", "Trace Graph") from ``/analytics/v1/dependencies``; Jaeger itself answers
``/api/deep-dependencies`` with samples. Here both are computed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from pilothouse.formats.otlp.model import Span
from pilothouse.observe.traces.model import Trace

#: Example traces named for one path.
EXAMPLES: Final = 3
#: Paths in one answer; a graph of more is unreadable.
MAX_PATHS: Final = 1000
#: Steps in one path; what comes after them is left out.
MAX_STEPS: Final = 64

_ENTRY_KINDS: Final = (2, 5)  # server, consumer


class Step(Struct, frozen=True):
    """An operation by which a request enters a service."""

    service: str
    operation: str


class Path(Struct, frozen=True):
    """A chain of calls, and ids of traces that took it."""

    steps: tuple[Step, ...]
    examples: tuple[str, ...]


class Paths:
    """Collects the paths through ``service`` (and ``operation``, when given) from one trace after the other."""

    def __init__(self, service: str, operation: str = "") -> None:
        self._service, self._operation = service, operation
        self._found: dict[tuple[Step, ...], list[str]] = {}

    def add(self, trace: Trace) -> None:
        """Takes note of one trace."""
        for steps in _chains(trace):
            if any(s.service == self._service and self._operation in ("", s.operation) for s in steps):
                examples = self._found.get(steps)
                if examples is None and len(self._found) < MAX_PATHS:
                    examples = self._found[steps] = []
                if examples is not None and len(examples) < EXAMPLES and trace.trace_id.hex() not in examples:
                    examples.append(trace.trace_id.hex())

    def found(self) -> list[Path]:
        """The distinct paths, in the order in which they were first seen."""
        return [Path(steps, tuple(examples)) for steps, examples in self._found.items()]


def _chains(trace: Trace) -> Iterator[tuple[Step, ...]]:
    """Root-to-leaf chains of entries into services. Not recursive: a trace may be deeper than the stack."""
    by_id = {span.span_id: span for span in trace.spans}
    children: dict[bytes, list[Span]] = {}
    pending: list[tuple[Span, tuple[Step, ...]]] = []
    for span in by_id.values():
        if span.parent_span_id in by_id and span.parent_span_id != span.span_id:
            children.setdefault(span.parent_span_id, []).append(span)
        else:
            pending.append((span, ()))
    pending.reverse()
    walked: list[tuple[Span, tuple[Step, ...], bool]] = []
    while pending:
        span, steps = pending.pop()
        enters = not steps or steps[-1].service != span.service or span.kind in _ENTRY_KINDS
        if enters and len(steps) < MAX_STEPS:
            steps = (*steps, Step(span.service, span.name))
        walked.append((span, steps, enters))
        pending.extend((child, steps) for child in reversed(children.get(span.span_id, ())))
    # A chain ends where nothing below enters a service; parents come before their children, so look from behind.
    goes_on: set[bytes] = set()
    for span, _, enters in reversed(walked):
        if (enters or span.span_id in goes_on) and span.parent_span_id != span.span_id:
            goes_on.add(span.parent_span_id)
    return (steps for span, steps, _ in walked if span.span_id not in goes_on)
