"""What both engines are asked, and the form in which their answers are compared.

A ``Question`` is the same for both; each engine (``ours.py``, ``theirs.py``) turns it into its own calls. ``variants`` asks
every kind several times with other services, values and traces, so that nobody is measured on a warm answer.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

from spans import SECOND, SpanSource

HOUR: Final = 3600 * SECOND
Kind = Literal["trace", "ids", "traces", "summaries", "dependencies", "services", "operations"]
#: An attribute as (key, type, text); types as Jaeger names them: bool, double, int, str, bytes, slice, map.
AttributeForm = tuple[str, str, str]


@dataclass(frozen=True)
class Search:
    """What to look for: spans that start in [start, end), ns, and all of the rest that is not empty."""

    start: int
    end: int
    service: str = ""
    operation: str = ""
    attributes: tuple[tuple[str, str], ...] = ()
    duration_min: int = 0
    limit: int = 20


@dataclass(frozen=True)
class Question:
    """One question. ``trace_id`` is hex. With ``as_shipped`` the peer is asked something easier, as Jaeger would."""

    kind: Kind
    search: Search = Search(0, 0)
    trace_id: str = ""
    as_shipped: bool = False


class Engine(Protocol):
    """A store under test. Answers are compared with ``==``; see the forms below."""

    def load(self, requests: Iterable[bytes]) -> None:
        """Stores the requests; returns when all is durable."""
        ...

    def settle(self) -> None:
        """Finishes what goes on in the background."""
        ...

    def ask(self, question: Question) -> object:
        """Answers in whatever form the engine's user gets; this is what is timed."""
        ...

    def answer(self, question: Question) -> object:
        """Answers in the form that is compared."""
        ...

    def facts(self) -> dict[str, float]:
        """``spans`` stored, ``disk_bytes`` used, and whatever else is worth a column."""
        ...

    def close(self) -> None:
        """Lets go of the store."""
        ...


@dataclass(frozen=True, order=True)
class SpanForm:
    """A span, whole, as both engines must agree on it. Empty attribute values are left out: Jaeger does not keep them."""

    span_id: str
    parent: str
    name: str
    service: str
    kind: str
    start: int
    duration: int
    status: str
    message: str
    state: str
    flags: int
    attributes: tuple[AttributeForm, ...]
    resource: tuple[AttributeForm, ...]
    scope: tuple[str, str, tuple[AttributeForm, ...]]
    events: tuple[tuple[int, str, tuple[AttributeForm, ...]], ...]
    links: tuple[tuple[str, str, str, int, tuple[AttributeForm, ...]], ...]
    dropped: tuple[int, int, int]
    schemas: tuple[str, str]


#: (trace id, root service, root operation, start, end, spans, errors, orphans, ((service, spans, errors), …))
SummaryForm = tuple[str, str, str, int, int, int, int, int, tuple[tuple[str, int, int], ...]]


def otlp_json(value: Any) -> Any:
    """A Python value (str, bool, int, float, bytes, list, dict, None) as OTLP's JSON encoding writes it."""
    import base64

    match value:
        case None:
            return {}
        case bool():
            return {"boolValue": value}
        case str():
            return {"stringValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case bytes():
            return {"bytesValue": base64.b64encode(value).decode()}
        case list():
            return {"arrayValue": {"values": [otlp_json(item) for item in value]}}
        case _:
            return {"kvlistValue": {"values": [{"key": key, "value": otlp_json(item)} for key, item in value.items()]}}


_KEYED: Final = (
    ("checkout", "http.response.status_code", "404"),
    ("frontend", "http.status_code", "302"),
    ("payment", "payment.currency", "JPY"),
    ("checkout", "app.voucher", "SUMMER"),
    ("cart", "app.cart.items.count", "7"),
    ("checkout", "messaging.destination.name", "audit"),
)
_ANYWHERE: Final = (
    ("payment.currency", "JPY"),
    ("search.query", "tent"),
    ("http.status_code", "404"),
    ("retry", "1"),
    ("fraud.decision", "deny"),
    ("faas.coldstart", "true"),
)
_SERVICES: Final = ("checkout", "api", "frontend", "cart", "catalog", "payment", "inventory", "search")


def variants(source: SpanSource, count: int) -> dict[str, list[Question]]:
    """The questions by the name of their row, ``count`` of each, the same for the same source."""
    rng = random.Random(source.seed)
    traces = []
    for _ in range(count):
        block = source.block(rng.randrange(source.block_count))
        traces.append(block.trace_ids[rng.randrange(len(block.trace_ids) // 2)].tobytes().hex())
    last = (source.end - HOUR, source.end)
    long = (source.end - min(6 * HOUR, source.window), source.end)
    services = [_SERVICES[i % len(_SERVICES)] for i in range(count)]
    recent = [Search(*last, service) for service in services]
    keyed = [Search(*last, service, attributes=((key, value),)) for service, key, value in (_KEYED * count)[:count]]
    anywhere = [Search(*long, attributes=(_ANYWHERE[i % len(_ANYWHERE)],)) for i in range(count)]
    hours = [Search(last[0] - 60 * SECOND * i, last[1] - 60 * SECOND * i) for i in range(count)]
    return {
        "trace by id": [Question("trace", trace_id=trace) for trace in traces],
        "service, 1 h, 20 newest": [Question("ids", search) for search in recent],
        "  as Jaeger ships it: any 20": [Question("ids", search, as_shipped=True) for search in recent],
        "attribute + service, 1 h": [Question("ids", search) for search in keyed],
        "attribute, any service, 6 h": [Question("ids", search) for search in anywhere],
        "summaries of 20 newest": [Question("summaries", search) for search in recent],
        "dependencies, 1 h": [Question("dependencies", search) for search in hours],
        "  peer without links": [Question("dependencies", search, as_shipped=True) for search in hours],
        "whole traces of 20 newest": [Question("traces", search) for search in recent],
        "services": [Question("services")] * count,
        "operations of a service": [
            Question("operations", Search(0, 0, service), as_shipped=True) for service in services
        ],
    }
