"""How well a service is instrumented, judged by its recent traces, in the shape Jaeger UI's Quality page reads.

Jaeger answers ``/api/quality-metrics`` with samples; these numbers are counted. Each metric counts the service's spans that
pass and those that fail, with examples to look at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct, field

from pilothouse.formats.otlp.model import Span
from pilothouse.observe.traces.model import Trace

#: Examples kept for each outcome.
EXAMPLES: Final = 5

_DOCS: Final = "https://opentelemetry.io/docs/specs/otel/trace/api/"


class Example(Struct, rename={"trace_id": "traceID", "span_ids": "spanIDs"}):
    """Spans of one trace that show an outcome."""

    trace_id: str
    span_ids: list[str]


class Metric(Struct, rename="camel"):
    """One question about every span of the service, and how often it was answered with yes."""

    name: str
    category: str
    description: str
    metric_documentation_link: str = _DOCS
    metric_weight: float = 1.0
    pass_count: int = 0
    pass_examples: list[Example] = field(default_factory=list)
    failure_count: int = 0
    failure_examples: list[Example] = field(default_factory=list)

    def count(self, trace: Trace, span: Span, *, passed: bool) -> None:
        """Notes the answer for one span."""
        if passed:
            self.pass_count += 1
        else:
            self.failure_count += 1
        examples = self.pass_examples if passed else self.failure_examples
        if examples and examples[-1].trace_id == trace.trace_id.hex():
            if len(examples[-1].span_ids) < EXAMPLES:
                examples[-1].span_ids.append(span.span_id.hex())
        elif len(examples) < EXAMPLES:
            examples.append(Example(trace.trace_id.hex(), [span.span_id.hex()]))


class Score(Struct):
    """The part of all answers in one category that were yes, as a percentage."""

    key: str
    label: str
    max: int
    value: int


class Client(Struct, rename="camel"):
    """A telemetry library the service uses."""

    version: str
    min_version: str
    count: int
    examples: list[Example]


class Report(Struct, rename="camel"):
    """The whole answer."""

    trace_quality_documentation_link: str
    scores: list[Score]
    metrics: list[Metric]
    clients: list[Client]


class Judge:
    """Judges the spans of ``service`` in one trace after the other."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._clients: dict[str, Client] = {}
        self._metrics = {
            "parent": Metric("HasParent", "completeness", "The span's parent was received too, or it is a root."),
            "root": Metric("HasRoot", "completeness", "The trace of the span has a root span."),
            "id": Metric("UniqueSpanId", "consistency", "No other span of the trace has the span's id."),
            "clock": Metric("ClockAgrees", "consistency", "The span does not start before its parent."),
        }

    def add(self, trace: Trace) -> None:
        """Takes note of one trace, which should not have been adjusted: adjusting hides what is judged."""
        by_id: dict[bytes, Span] = {}
        twice: set[bytes] = set()
        for span in trace.spans:
            if by_id.setdefault(span.span_id, span) is not span:
                twice.add(span.span_id)
        rooted = any(_is_root(span) for span in trace.spans)
        for span in trace.spans:
            if span.service != self._service:
                continue
            parent = by_id.get(span.parent_span_id)
            count: Callable[..., None] = lambda key, passed, span=span: self._metrics[key].count(  # noqa: E731
                trace, span, passed=passed
            )
            count("parent", _is_root(span) or parent is not None)
            count("root", rooted)
            count("id", span.span_id not in twice)
            count("clock", parent is None or parent.start <= span.start)
            self._meet(trace, span)

    def report(self) -> Report:
        """What was found so far."""
        metrics = list(self._metrics.values())
        categories = dict.fromkeys(metric.category for metric in metrics)
        return Report(_DOCS, [_score(c, metrics) for c in categories], metrics, list(self._clients.values()))

    def _meet(self, trace: Trace, span: Span) -> None:
        library = [span.resource.attributes.get(f"telemetry.sdk.{part}") for part in ("name", "language", "version")]
        version = " ".join(part for part in library if isinstance(part, str)) or "unknown"
        client = self._clients.setdefault(version, Client(version, "", 0, []))
        client.count += 1
        if len(client.examples) < EXAMPLES and (
            not client.examples or client.examples[-1].trace_id != trace.trace_id.hex()
        ):
            client.examples.append(Example(trace.trace_id.hex(), [span.span_id.hex()]))


def _is_root(span: Span) -> bool:
    return not span.parent_span_id.strip(b"\0")


def _score(category: str, metrics: list[Metric]) -> Score:
    passed = sum(m.pass_count for m in metrics if m.category == category)
    total = passed + sum(m.failure_count for m in metrics if m.category == category)
    return Score(category, category.capitalize(), 100, 100 * passed // total if total else 0)
