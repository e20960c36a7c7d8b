"""Realistic spans as encoded OTLP requests, made almost for free, the same for the same seed.

A benchmark that spends its two cores on making spans measures itself. So a few *templates* are encoded once: each holds
thousands of spans of whole traces, with a note of where in the bytes every id, timestamp and varying value stands. A *block*
is a copy of a template with those places overwritten by numpy: new ids, new times, new users, ports, sizes, digits. That costs
about a microsecond per span, against ten to a hundred for building protobuf messages.

The spans of one trace come from many services, hence in many requests, as they would from one collector agent per node.
What they look like is data in ``catalog.py``.

    source = SpanSource(seed=1, end=time.time_ns(), window=3600 * 10**9, spans=1_000_000)
    for request in source.requests(): channel.send(request)

``python benchmarks/spans.py`` checks the output against the official parser and prints what it is made of.
"""

from __future__ import annotations

import argparse
import math
import random
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
from catalog import (
    CALLS,
    CLIENT_LEAVES,
    ENTRIES,
    EVENTS,
    FAILURES,
    KEY_SETS,
    ROOTS,
    SCOPES,
    SERVICES,
    Digits,
    Hex,
    Int,
    Number,
    Pick,
    Scalar,
    Spec,
)
from harness import Report, scratch
from numpy.typing import NDArray

SECOND: Final = 1_000_000_000
#: Spans per request, requests per block. A collector agent's batches, eight of which hold the same few hundred traces.
BATCH: Final = 512
BLOCK_REQUESTS: Final = 8
TEMPLATES: Final = 8
_CACHE_MAGIC: Final = b"pilothouse-spans-2\n"

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]

# --- the wire ------------------------------------------------------------------------------------------------------------


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _chunk(number: int, payload: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _value(value: Scalar | object) -> bytes:
    """An ``AnyValue`` (common/v1/common.proto)."""
    match value:
        case None:
            return b""
        case bool():
            return b"\x10" + (b"\x01" if value else b"\x00")
        case str():
            return _chunk(1, value.encode())
        case int():
            return b"\x18" + _varint(value)
        case float():
            return b"\x21" + struct.pack("<d", value)
        case list():
            return _chunk(5, b"".join(_chunk(1, _value(item)) for item in value))
        case dict():
            return _chunk(6, b"".join(_chunk(1, _pair(str(key), item)) for key, item in value.items()))
        case bytes():
            return _chunk(7, value)
        case _:
            raise TypeError(value)


def _pair(key: str, value: Scalar | object) -> bytes:
    return _chunk(1, key.encode()) + _chunk(2, _value(value))


@dataclass
class _Patched:
    """Bytes under construction and the places in them that are overwritten in every block: (kind, offset, facts)."""

    data: bytearray = field(default_factory=bytearray)
    marks: list[tuple[str, int, tuple[float, ...]]] = field(default_factory=list)

    def mark(self, kind: str, width: int, *facts: float) -> None:
        """Adds ``width`` bytes to be patched."""
        self.marks.append((kind, len(self.data), facts))
        self.data += b"0" * width

    def nest(self, number: int, inner: _Patched) -> None:
        """Adds ``inner`` as the length-delimited field ``number``."""
        self.data += _varint(number << 3 | 2) + _varint(len(inner.data))
        self.marks += [(kind, at + len(self.data), facts) for kind, at, facts in inner.marks]
        self.data += inner.data


def _attribute(key: str, spec: Spec, rng: random.Random) -> _Patched:
    """A ``KeyValue`` whose value is fixed or patched as ``spec`` says."""
    value = _Patched()
    match spec:
        case Pick(values):
            value.data += _value(rng.choice(values))
        case Digits(prefix, width, cardinality, suffix):
            value.data += b"\x0a" + _varint(len(prefix) + width + len(suffix)) + prefix.encode()
            value.mark("digits", width, width, cardinality)
            value.data += suffix.encode()
        case Hex(width):
            value.data += b"\x0a" + _varint(width)
            value.mark("hex", width, width)
        case Int(low, high):
            value.data += b"\x18"
            value.mark("int", 3, low, high)
        case Number(low, high):
            value.data += b"\x21"
            value.mark("number", 8, low, high)
    pair = _Patched(bytearray(_chunk(1, key.encode())))
    pair.nest(2, value)
    return pair


# --- traces --------------------------------------------------------------------------------------------------------------


@dataclass
class _Span:
    """A span of a template; times are milliseconds from the trace's start."""

    trace: int
    parent: int
    service: int
    pod: int
    scope: int
    name: str
    kind: int
    keys: str
    start: float
    end: float = 0.0
    error: bool = False
    orphan: bool = False
    link: int = -1


class _Traces:
    """Grows traces span by span from the catalog until a template is full."""

    def __init__(self, seed: int, size: int) -> None:
        self.rng = random.Random(seed)
        self.spans: list[_Span] = []
        self.roots: list[int] = []
        self._services = {name: i for i, (name, _, _) in enumerate(SERVICES)}
        self._producers: list[int] = []
        names = [name for name, weight in ROOTS for _ in range(weight)]
        while len(self.spans) < size:
            self.roots.append(len(self.spans))
            self._pods = [self.rng.randrange(pods) for _, _, pods in SERVICES]
            self._entry(self.rng.choice(names), -1, 0.0)
            self._finish(self.roots[-1])
        del self.spans[size:]  # children come after their parents, so what remains is whole upwards
        for span in self.spans:
            span.link = span.link if span.link < size else -1

    def _add(self, parent: int, service: int, name: str, kind: int, keys: str, start: float) -> int:
        language = SERVICES[service][1]
        scope = self.rng.randrange(len(SCOPES[language]))
        self.spans.append(
            _Span(len(self.roots) - 1, parent, service, self._pods[service], scope, name, kind, keys, start)
        )
        return len(self.spans) - 1

    def _entry(self, name: str, parent: int, start: float) -> float:
        """Adds an entry and everything under it; returns when it ended, asynchronous work excluded."""
        rng, entry = self.rng, ENTRIES[name]
        service = self._services[entry.service]
        me = self._add(parent, service, entry.name, entry.kind, entry.keys, start)
        now = start + rng.uniform(0.05, 2.0)
        for step in entry.steps:
            how, _, rest = step.partition(":")
            target, _, probability = rest.partition("?")
            if probability and rng.random() > float(probability):
                continue
            if how not in CALLS:
                kind = 3 if how in CLIENT_LEAVES else 1
                leaf = self._add(me, service, target, kind, how, now)
                now = self.spans[leaf].end = now + rng.lognormvariate(0.8, 0.8)
                continue
            kind, keys, called = CALLS[how]
            call = self._add(me, service, called or ENTRIES[target].name, kind, keys, now)
            if kind == 4:
                self._producers.append(call)
                now = self.spans[call].end = now + rng.uniform(0.2, 3.0)
                self._entry(target, call, now + rng.lognormvariate(2.0, 1.0))
            else:
                now = self.spans[call].end = self._entry(target, call, now + rng.uniform(0.1, 0.6)) + rng.uniform(
                    0.1, 0.6
                )
            now += rng.uniform(0.01, 0.8)
        self.spans[me].end = now + rng.uniform(0.05, 1.5)
        return self.spans[me].end

    def _finish(self, root: int) -> None:
        """Decides what failed, what was lost and what is linked in the trace that was just grown."""
        rng = self.rng
        for index in range(root, len(self.spans)):
            span = self.spans[index]
            if rng.random() < 0.018:
                at = index
                while at >= root and rng.random() < 0.6:  # a failure travels up some of the way
                    self.spans[at].error = True
                    at = self.spans[at].parent
            if self._producers and ((span.kind == 5 and rng.random() < 0.2) or rng.random() < 0.012):
                span.link = rng.choice(self._producers[-40:])
            span.orphan = span.parent >= 0 and rng.random() < 0.0005


def _resource(service: int, pod: int) -> bytes:
    """The ``Resource`` of one pod: eight to twelve attributes."""
    name, language, _ = SERVICES[service]
    rng = random.Random(f"{name}/{pod}")
    token = f"{rng.getrandbits(40):010x}"
    attributes: list[tuple[str, Scalar]] = [
        ("service.name", name),
        ("service.namespace", "shop"),
        ("service.version", f"1.{service}.{pod % 2}"),
        ("service.instance.id", f"{rng.getrandbits(128):032x}"),
        ("host.name", f"node-{pod % 5}"),
        ("k8s.pod.name", f"{name}-{token[:9]}-{token[5:]}"),
        ("k8s.namespace.name", "shop"),
        ("telemetry.sdk.language", language),
        ("telemetry.sdk.version", "1.45.0" if service % 2 else "1.29.0"),
        ("deployment.environment.name", "production"),
        ("process.pid", rng.randrange(1, 30_000)),
        ("container.id", f"{rng.getrandbits(256):064x}"),
    ]
    return b"".join(_chunk(1, _pair(*pair)) for pair in attributes[: 12 - service % 5])


def _scope(service: int, index: int) -> bytes:
    scopes = SCOPES[SERVICES[service][1]]
    name, version = scopes[index]
    extra = _chunk(3, _pair("library.language", SERVICES[service][1])) if index == len(scopes) - 1 else b""
    return _chunk(1, name.encode()) + _chunk(2, version.encode()) + extra


class _Template:
    """One encoded block and the places to patch in it."""

    def __init__(self, seed: int, batch: int) -> None:
        size = batch * BLOCK_REQUESTS
        traces = _Traces(seed, size)
        self._rng = traces.rng
        self.spans, self.trace_count = traces.spans, traces.spans[-1].trace + 1
        # One agent per node: its requests hold the spans of the pods there, in the order in which they ended.
        order = sorted(range(size), key=lambda i: (self.spans[i].pod % 4, self.spans[i].trace, self.spans[i].end))
        self.bounds: list[tuple[int, int]] = []
        data = bytearray()
        marks: list[tuple[str, int, tuple[float, ...]]] = []
        for first in range(0, size, batch):
            request = self._request(order[first : first + batch])
            marks += [(kind, at + len(data), facts) for kind, at, facts in request.marks]
            self.bounds.append((len(data), len(data) + len(request.data)))
            data += request.data
        self.data: Bytes = np.frombuffer(bytes(data), np.uint8)
        self._index(marks)

    def _request(self, indexes: list[int]) -> _Patched:
        groups: dict[tuple[int, int], dict[int, list[int]]] = {}
        for index in indexes:
            span = self.spans[index]
            groups.setdefault((span.service, span.pod), {}).setdefault(span.scope, []).append(index)
        request = _Patched()
        for (service, pod), scopes in groups.items():
            resource_spans = _Patched(bytearray(_chunk(1, _resource(service, pod))))
            for scope, members in scopes.items():
                scope_spans = _Patched(bytearray(_chunk(1, _scope(service, scope))))
                for index in members:
                    scope_spans.nest(2, self._span(index))
                scope_spans.data += _chunk(3, b"https://opentelemetry.io/schemas/1.27.0") if service % 3 == 0 else b""
                resource_spans.nest(2, scope_spans)
            request.nest(1, resource_spans)
        return request

    def _span(self, index: int) -> _Patched:
        span, rng, out = self.spans[index], self._rng, _Patched()
        out.data += b"\x0a\x10"
        out.mark("trace", 16, span.trace)
        out.data += b"\x12\x08"
        out.mark("span", 8, index)
        if rng.random() < 0.01:
            out.data += _chunk(3, b"rojo=00f067aa0ba902b7,ot=th:8")
        if span.parent >= 0:
            out.data += b"\x22\x08"
            out.mark("lost" if span.orphan else "span", 8, span.parent)
        out.data += _chunk(5, span.name.encode()) + b"\x30" + _varint(span.kind) + b"\x39"
        out.mark("time", 8, span.trace, span.start)
        out.data += b"\x41"
        out.mark("time", 8, span.trace, span.end)
        keys = KEY_SETS[span.keys]
        missing = rng.randrange(len(keys)) if rng.random() < 0.2 else -1  # real code leaves out what it does not know
        for i, (key, spec) in enumerate(keys):
            if i != missing:
                out.nest(9, _attribute(key, spec, rng))
        if rng.random() < 0.005:
            out.data += b"\x50" + _varint(rng.randrange(1, 9))
        message, exception = rng.choice(FAILURES)
        if span.error:
            out.nest(
                11, self._event(span, "exception", (("exception.type", exception), ("exception.message", message)))
            )
        elif rng.random() < 0.09:
            for _ in range(rng.choice((1, 1, 2))):
                out.nest(11, self._event(span, *rng.choice(EVENTS)))
        if span.link >= 0:
            out.nest(13, self._link(span.link))
        if span.error:
            out.data += _chunk(15, (_chunk(2, message.encode()) if message else b"") + b"\x18\x02")
        elif rng.random() < 0.04:
            out.data += _chunk(15, b"\x18\x01")
        out.data += b"\x85\x01" + struct.pack("<I", 0x101 if span.parent >= 0 else 0x100)
        return out

    def _event(self, span: _Span, name: str, attributes: tuple[tuple[str, Scalar], ...]) -> _Patched:
        out = _Patched(bytearray(b"\x09"))
        out.mark("time", 8, span.trace, self._rng.uniform(span.start, span.end))
        out.data += _chunk(2, name.encode()) + b"".join(_chunk(3, _pair(*pair)) for pair in attributes)
        return out

    def _link(self, target: int) -> _Patched:
        out = _Patched(bytearray(b"\x0a\x10"))
        out.mark("trace", 16, self.spans[target].trace)
        out.data += b"\x12\x08"
        out.mark("span", 8, target)
        out.data += _chunk(4, _pair("messaging.operation.name", "receive")) + b"\x35" + struct.pack("<I", 0x101)
        return out

    def _index(self, marks: list[tuple[str, int, tuple[float, ...]]]) -> None:
        """Turns marks into flat index arrays, one row of byte positions per place."""
        kinds: dict[tuple[str, int], list[tuple[int, tuple[float, ...]]]] = {}
        widths = {"trace": 16, "span": 8, "lost": 8, "time": 8, "int": 3, "number": 8}
        for kind, at, facts in marks:
            kinds.setdefault((kind, widths.get(kind) or int(facts[0])), []).append((at, facts))
        self.places = {
            key: (
                np.array([at for at, _ in rows], np.int64)[:, None] + np.arange(key[1]),
                np.array([facts for _, facts in rows], np.float64),
            )
            for key, rows in sorted(kinds.items())
        }


# --- blocks --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Block:
    """Consecutive requests and the traces in them: ids (n by 16 bytes) and the start of each trace, ns."""

    requests: list[bytes]
    trace_ids: Bytes
    starts: Ints


_DIGITS: Final = np.frombuffer(b"0123456789abcdef", np.uint8)


class SpanSource:
    """The spans of one seed: ``spans`` of them (whole requests) whose traces start in ``window`` ns before ``end``."""

    def __init__(self, seed: int = 1, *, spans: int, end: int, window: int = 3600 * SECOND, batch: int = BATCH) -> None:
        self.seed, self.end, self.window, self.batch = seed, end, window, batch
        self.request_count = max(1, spans // batch)
        self.spans = self.request_count * batch
        self.block_count = math.ceil(self.request_count / BLOCK_REQUESTS)

    @cached_property
    def _templates(self) -> list[_Template]:
        return [_Template(self.seed * 1000 + i, self.batch) for i in range(min(TEMPLATES, self.block_count))]

    def block(self, number: int, *, start: int | None = None, length: int | None = None) -> Block:
        """Makes block ``number``; the same bytes whenever asked.

        ``start`` and ``length`` (ns) place its traces elsewhere than in the source's window, e.g. now, and take the place of
        the window's share of this block; the number may then exceed the source's block count.
        """
        template = self._templates[number % len(self._templates)]
        rng = np.random.default_rng((self.seed, number))
        length = self.window // self.block_count if length is None else length
        start = self.end - self.window + number * length if start is None else start
        count = template.trace_count
        trace_ids = rng.integers(0, 256, (count, 16), np.uint8)
        span_ids = rng.integers(0, 256, (len(template.spans), 8), np.uint8)
        span_ids[:, 0] |= 1
        trace_ids[:, 0] |= 1
        starts = start + (np.sort(rng.random(count)) * length).astype(np.int64)
        scale = rng.lognormal(0.0, 0.7, count) * 1e6
        data = template.data.copy()
        for (kind, width), (places, facts) in template.places.items():
            data[places] = _patch(kind, width, facts, rng, trace_ids, span_ids, starts, scale)
        take = BLOCK_REQUESTS
        if number < self.block_count:
            take = min(take, self.request_count - number * BLOCK_REQUESTS)
        return Block([data[a:b].tobytes() for a, b in template.bounds[:take]], trace_ids, starts)

    def requests(self) -> Iterator[bytes]:
        """Every request, oldest traces first."""
        for number in range(self.block_count):
            yield from self.block(number).requests

    def cached(self, directory: Path) -> Path:
        """Writes all requests to a file in ``directory`` unless it is there; the name says all that decides the content."""
        path = directory / f"spans-{self.seed}-{self.spans}-{self.batch}-{self.end}-{self.window}.otlp"
        if not path.exists():
            partial = path.with_suffix(".partial")
            with partial.open("wb") as out:
                out.write(_CACHE_MAGIC)
                for request in self.requests():
                    out.write(struct.pack("<I", len(request)))
                    out.write(request)
            partial.replace(path)
        return path


def read_cached(path: Path) -> Iterator[bytes]:
    """Yields the requests of a file that ``SpanSource.cached`` wrote."""
    with path.open("rb") as lines:
        if lines.read(len(_CACHE_MAGIC)) != _CACHE_MAGIC:
            raise ValueError(f"{path} is no file of spans of this version; delete it")
        while head := lines.read(4):
            yield lines.read(struct.unpack("<I", head)[0])


def _eights(numbers: Ints | NDArray[np.float64]) -> Bytes:
    """The eight bytes of every number, one row each."""
    out: Bytes = numbers.view(np.uint8).reshape(len(numbers), 8)
    return out


def _patch(
    kind: str,
    width: int,
    facts: NDArray[np.float64],
    rng: np.random.Generator,
    trace_ids: Bytes,
    span_ids: Bytes,
    starts: Ints,
    scale: NDArray[np.float64],
) -> Bytes:
    """The new bytes of all places of one kind, one row each."""
    count = len(facts)
    match kind:
        case "trace":
            return trace_ids[facts[:, 0].astype(np.int64)]
        case "span":
            return span_ids[facts[:, 0].astype(np.int64)]
        case "lost":
            return rng.integers(0, 256, (count, 8), np.uint8)
        case "time":
            trace = facts[:, 0].astype(np.int64)
            times = starts[trace] + (facts[:, 1] * scale[trace]).astype(np.int64)
            return _eights(times)
        case "int":
            numbers = (facts[:, 0] + rng.random(count) * (facts[:, 1] - facts[:, 0])).astype(np.int64)
            return np.stack((numbers & 0x7F | 0x80, numbers >> 7 & 0x7F | 0x80, numbers >> 14), 1).astype(np.uint8)
        case "number":
            values = np.round(facts[:, 0] + rng.random(count) * (facts[:, 1] - facts[:, 0]), 2)
            return _eights(values)
        case "hex":
            return np.asarray(_DIGITS[rng.integers(0, 16, (count, width), np.uint8)])
        case _:
            # Squared, so that some values are far more frequent than others, as users and products are.
            numbers = (rng.random(count) ** 2 * facts[:, 1]).astype(np.int64)
            return np.asarray(_DIGITS[numbers[:, None] // 10 ** np.arange(width - 1, -1, -1) % 10])


# --- self-check ----------------------------------------------------------------------------------------------------------


def check(source: SpanSource) -> dict[str, float]:
    """Parses everything with the official parser and says what it is; raises ``AssertionError`` on what cannot be."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    total: dict[str, float] = dict.fromkeys(
        ("spans", "bytes", "attributes", "resource attributes", "resources", "errors", "with events", "with links"), 0
    )
    parents: dict[bytes, set[bytes]] = {}
    wanted: list[tuple[bytes, bytes]] = []
    services: set[str] = set()
    key_sets: set[tuple[str, ...]] = set()
    kinds: set[int] = set()
    types: set[str | None] = set()
    for request in source.requests():
        message = ExportTraceServiceRequest.FromString(request)
        assert message.SerializeToString() == request, "not the canonical encoding"
        total["bytes"] += len(request)
        for resource_spans in message.resource_spans:
            total["resources"] += 1
            total["resource attributes"] += len(resource_spans.resource.attributes)
            services.add(resource_spans.resource.attributes[0].value.string_value)
            for scope_spans in resource_spans.scope_spans:
                for span in scope_spans.spans:
                    assert len(span.trace_id) == 16
                    assert len(span.span_id) == 8
                    assert span.start_time_unix_nano < span.end_time_unix_nano
                    known = parents.setdefault(span.trace_id, set())
                    assert span.span_id not in known
                    known.add(span.span_id)
                    if span.parent_span_id:
                        wanted.append((span.trace_id, span.parent_span_id))
                    total["spans"] += 1
                    total["attributes"] += len(span.attributes)
                    total["errors"] += span.status.code == 2
                    total["with events"] += bool(span.events)
                    total["with links"] += bool(span.links)
                    kinds.add(span.kind)
                    key_sets.add(tuple(pair.key for pair in span.attributes))
                    types.update(pair.value.WhichOneof("value") for pair in span.attributes)
    spans = total["spans"]
    assert spans == source.spans
    orphans = sum(parent not in parents[trace] for trace, parent in wanted)
    return {
        "spans": spans,
        "bytes per span": total["bytes"] / spans,
        "spans per trace": spans / len(parents),
        "attributes per span": total["attributes"] / spans,
        "resource attributes": total["resource attributes"] / total["resources"],
        "spans per resource in a request": spans / total["resources"],
        "key sets": len(key_sets),
        "services": len(services),
        "kinds": len(kinds),
        "value types": len(types),
        "errors %": 100 * total["errors"] / spans,
        "with events %": 100 * total["with events"] / spans,
        "with links %": 100 * total["with links"] / spans,
        "roots": spans - len(wanted),
        "orphans": orphans,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spans", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    source = SpanSource(options.seed, spans=options.spans, end=time.time_ns())
    report = Report("spans", "the generated spans")
    started = time.perf_counter()
    source.block(0)
    report.row("templates, once", seconds=time.perf_counter() - started)
    started = time.process_time()
    for _ in source.requests():
        pass
    report.row("made", spans_per_cpu_second=source.spans / (time.process_time() - started))
    for name, value in check(source).items():
        report.row(name, value=value)
    with scratch() as directory:
        path = source.cached(directory)
        assert list(read_cached(path)) == list(source.requests())
        report.row("cache file", value=f"{path.stat().st_size / source.spans:.0f} bytes/span, reads back equal")
    report.finish()


if __name__ == "__main__":
    main()
