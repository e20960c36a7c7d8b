"""Compiled filters against the evaluator: over a store that was filled the real way, with everything that can lie in one."""

import math
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from pilothouse.formats.expression import (
    FIELDS,
    And,
    Attribute,
    Compare,
    Constant,
    Exists,
    Field,
    In,
    Match,
    Not,
    Or,
    Some,
    matches,
)
from pilothouse.formats.otlp import proto
from pilothouse.formats.otlp.model import KINDS, STATUS_CODES, Event, Link, Resource, Scope, Span
from pilothouse.kit.clock import SECOND, ManualClock
from pilothouse.kit.telemetry import Ledger
from pilothouse.observe.traces import ingest, rows
from pilothouse.observe.traces.filter_sql import compiled
from pilothouse.observe.traces.keys import KeyCatalogue
from pilothouse.observe.traces.params import Params
from pilothouse.observe.traces.schema import SPANS, TABLES
from pilothouse.signals.store import Settings, Signals

MB = 1 << 20
NOW = 1_700_000_000 * SECOND
DAY = 86_400 * SECOND
BIG = 2**53

NASTY = [
    "a'b",
    'q"',
    "x; DROP TABLE spans_0; --",
    "$1",
    "lambda x: x",
    "nul\0",
    "{}",
    "\\",
    "%",
    "k" * 4000,
    "é\u0301",
    "😀",
]
KEYS = ["a", "b", "http.status_code", "name", "service.name", "@jaeger@warnings", *NASTY[:7]]
TEXTS = ["", "a", "b", "200", "200.0", "2e2", "true", "false", "NaN", "-5", "shop", "GET /a\nb", "ac", "A", *NASTY]
INTS = [0, 1, 200, -5, BIG, BIG + 1, -BIG - 1, -BIG - 2, 2**62, 2**63 - 1, -(2**63)]
DOUBLES = [0.0, -0.0, 1.0, 200.0, 0.5, -5.0, float(BIG), 2.0**63, 1e300, math.inf, -math.inf]
TIMES = [NOW, NOW + 1, NOW + 50, NOW - DAY, 0, 2**63 - 1, 2**64 - 1]
OFFSETS = [0, 1, 50, -50, 10**9, -BIG - 2]
OTHERS = [None, b"", b"-", b"200", [], ["a", 1], {}, {"a": 1}]
VALUES = TEXTS + INTS + DOUBLES + [math.nan, True, False] + OTHERS
WORDS = ["", "a", "b", "shop", "GET /a\nb", "ac"]
IDS = [b"\1" * 8, b"\xff" * 8, b"\0" * 7 + b"\x0a"]
PATTERNS = [
    "a",
    "a.c",
    "[x^$]+",
    "(a|b){2}",
    r"\d\.",
    r"\d\d",
    "\\Q^$\\E",
    "(?s)x",
    "(?s)a.b",
    "a.b",
    "(?P<n>a)",
    "(?<n>a)",
]
PATTERNS += ["ru", "e", "", "\0", "é", r"\pL", "[(?<n>]", r"\(?<?n", "-", "er", r"\\Q", "0"]


class Stored(Span, frozen=True):
    """A span as it was read back, under the service that the store lists it by."""

    listed: str = ""

    @property
    def service(self):
        return self.listed


class Filled:
    """The store, its spans by segment, and what a filter selects."""

    def __init__(self, signals):
        self.signals, self.segments, self.catalogue = signals, signals.segments[SPANS.name], KeyCatalogue()
        self.spans = {}
        with signals.database.reading() as connection:
            for segment in self.segments.all():
                keys = self.catalogue.of(connection, segment.id)
                found = connection.execute(
                    f"SELECT {rows.COLUMNS}, r.rowid, r.service FROM {self.segments.name_of(segment.id)} r"
                ).fetchall()
                made = rows.spans(connection, segment.id, keys, rows.GroupReader(), [row[:-2] for row in found])
                for span, (*_, rowid, service) in zip(made, found, strict=True):
                    fields = {name: getattr(span, name) for name in Span.__struct_fields__}
                    self.spans[segment.id, rowid] = Stored(**fields, listed=service)

    def query(self, expression, select):
        """Rows of all segments; ``select`` makes the statement for one from its table and the condition."""
        params, selects = Params(), []
        with self.signals.database.reading() as connection:
            for segment in self.segments.all():
                sql = compiled(expression, self.catalogue.of(connection, segment.id), segment.id, params)
                selects.append(select(segment.id, f"{self.segments.name_of(segment.id)} r", sql))
            return connection.execute(" UNION ALL ".join(selects), params.values).fetchall()

    def select(self, expression):
        found = self.query(expression, lambda n, table, sql: f"SELECT {n}, r.rowid FROM {table} WHERE {sql}")
        assert len(found) == len(set(found))
        return set(found)

    def answers(self, expression):
        found = self.query(expression, lambda n, table, sql: f"SELECT {n}, r.rowid, {sql} FROM {table}")
        assert {type(answer) for *_, answer in found} == {bool}
        return {(segment, row) for segment, row, answer in found if answer}

    def expected(self, expression):
        return {key for key, span in self.spans.items() if matches(expression, span)}


def attributes(rng, size=3):
    return {key: rng.choice(VALUES) for key in rng.sample(KEYS, rng.randint(0, size))}


def resource(rng):
    named = (
        {"service.name": rng.choice(["shop", "a", "", 5, "missing-service-name", NASTY[0]])}
        if rng.random() < 0.8
        else {}
    )
    return Resource(attributes(rng) | named, rng.choice([0, 300]), rng.choice(["", "a", "https://r", "u" * 300]))


def scope(rng):
    return Scope(
        rng.choice(WORDS), rng.choice(WORDS), attributes(rng), rng.choice([0, 300]), rng.choice(["", "a", "u" * 20_000])
    )


def span(rng, number, day, resources, scopes):
    start = rng.choice([NOW, NOW + 50, NOW + rng.randint(0, 100), *([2**63 - 2] if day else [])]) - day * DAY * (
        rng.random() < 0.9
    )
    return Span(
        trace_id=rng.choice([b"\1" * 16, b"\xab" * 16, number.to_bytes(16)]),
        span_id=rng.choice([*IDS, number.to_bytes(8)]),
        resource=rng.choice(resources),
        scope=rng.choice(scopes),
        name=rng.choice(WORDS),
        start=start,
        end=min(start + rng.choice([0, 1, 50, 200, 10**9]), 2**63 - 2),
        parent_span_id=rng.choice([b"", bytes(8), *IDS]),
        trace_state=rng.choice(WORDS),
        kind=rng.choice([0, 1, 2, 3, 4, 5, 6, 77, 1000]),
        status_code=rng.choice([0, 1, 2, 3, 900]),
        status_message=rng.choice(WORDS),
        attributes=attributes(rng, 4),
        events=tuple(
            Event(rng.choice([start, start + 50, *TIMES]) % 2**64, rng.choice(WORDS), attributes(rng))
            for _ in range(rng.choice([0, 0, 1, 2, 3]))
        ),
        links=tuple(
            Link(
                rng.choice([b"\1" * 16, b"", b"\xab"]), rng.choice([*IDS, b"\1\1"]), rng.choice(WORDS), attributes(rng)
            )
            for _ in range(rng.choice([0, 0, 1, 2]))
        ),
    )


def repeated(rng, message):
    """The same with keys that a later attribute of the same name hides."""
    for group in message.resource_spans:
        lists = [group.resource.attributes]
        for inner in group.scope_spans:
            lists.append(inner.scope.attributes)
            for one in inner.spans:
                lists += [one.attributes, *(e.attributes for e in one.events), *(x.attributes for x in one.links)]
        for pairs in lists:
            if pairs and rng.random() < 0.3:
                hidden = KeyValue(key=rng.choice(pairs).key, value=AnyValue(int_value=200))
                others = list(pairs)
                del pairs[:]
                pairs.extend([hidden, *others])
    return message.SerializeToString()


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """Three segments: one of few shapes, one with rows beyond its shapes, and one for absurd times."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ingest, "MAX_SHAPES", 90)
        limits = Settings(384 * MB, 1, 64 * MB, 256 * MB, 983_040, 0, 0)
        clock = ManualClock(NOW)
        signals = Signals(tmp_path_factory.mktemp("store"), limits, clock, TABLES)
        signals.open()
        into = ingest.Ingest(signals, clock, Ledger(), dedupe_window=60 * SECOND)
        rng = random.Random(7)
        resources, scopes = [resource(rng) for _ in range(25)], [scope(rng) for _ in range(25)]
        for day, count in ((0, 140), (1, 60)):
            spans = [span(rng, 1000 * day + n + 1, day, resources, scopes) for n in range(count)]
            (outcome,) = into.commit(into.prepare([repeated(rng, proto.to_traces_data(spans))]))
            assert not isinstance(outcome, Exception)
            assert outcome.accepted == count
    yield Filled(signals)
    signals.close()


CONSTANTS = st.one_of(
    st.builds(Constant, st.just("any"), st.sampled_from([*TEXTS, "9007199254740993", "9007199254740992.0", "1e300"])),
    st.builds(Constant, st.just("any"), st.sampled_from(INTS).map(str)),
    st.builds(Constant, st.just("string"), st.sampled_from(TEXTS)),
    st.builds(Constant, st.just("int"), st.sampled_from(INTS)),
    st.builds(Constant, st.just("double"), st.sampled_from(DOUBLES)),
    st.builds(Constant, st.just("bool"), st.booleans()),
)
ORDERED = ["gt", "gte", "lt", "lte"]
KEY = st.sampled_from([*KEYS[:6], *KEYS, *NASTY, "missing"])
ATTRIBUTES = st.builds(Attribute, KEY, st.sampled_from([None, None, "span", *FIELDS]))
ALL_FIELDS = st.sampled_from([Field(level, name) for level, names in FIELDS.items() for name in names])
REFERENCES = ATTRIBUTES | ALL_FIELDS
ID_TEXTS = [*(i.hex() for i in IDS), "01" * 16, "ab" * 16, "ab", "zz", "", "0", "AB", "00" * 8, "0101"]


def constant_for(reference):
    if isinstance(reference, Attribute):
        return CONSTANTS
    text = {"kind": KINDS, "status": STATUS_CODES, "id": ID_TEXTS, "text": [*WORDS, *TEXTS, "https://r", "u" * 300]}
    match reference.type:
        case "duration":
            return st.builds(Constant, st.just("duration"), st.sampled_from([*OFFSETS, 200]))
        case "time":
            return st.builds(Constant, st.just("time"), st.sampled_from([*TIMES, -1, NOW + 100, 2**63]))
        case kind:
            return st.builds(Constant, st.just("string"), st.sampled_from(text[kind]))


@st.composite
def leaves(draw):
    reference = draw(REFERENCES)
    match draw(st.sampled_from(["compare", "compare", "in", "match", "exists", "references"])):
        case "compare":
            return Compare(draw(st.sampled_from(["eq", "ne", *ORDERED])), reference, draw(constant_for(reference)))
        case "in":
            several = draw(st.lists(constant_for(reference), min_size=1, max_size=4).map(tuple))
            return In(reference, several, draw(st.booleans()))
        case "match":
            return Match(reference, draw(st.sampled_from(PATTERNS)))
        case "exists":
            return Exists(reference)
        case _:
            return Compare(draw(st.sampled_from(["eq", "ne", *ORDERED])), reference, draw(REFERENCES))


def branches(inner):
    several = st.lists(inner, min_size=2, max_size=3).map(tuple)
    quantified = st.builds(Some, st.sampled_from(["event", "link"]), inner)
    return st.builds(And, several) | st.builds(Or, several) | st.builds(Not, inner) | quantified


EXPRESSIONS = st.recursive(leaves(), branches, max_leaves=5)
SLOW = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much]


@settings(max_examples=150, deadline=None, suppress_health_check=SLOW)
@given(EXPRESSIONS)
def test_any_filter_selects_what_the_evaluator_does(filled, expression):
    assert filled.select(expression) == filled.expected(expression)


@settings(max_examples=250, deadline=None, suppress_health_check=SLOW)
@given(leaves())
def test_any_condition_answers_as_the_evaluator_does(filled, expression):
    assert filled.answers(expression) == filled.expected(expression)
