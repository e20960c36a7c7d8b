"""Compiled filters against the evaluator: over a store that was filled the real way, with everything that can lie in one."""

import math
import random
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import re2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from pilothouse.formats.expression import (
    FIELDS,
    And,
    Attribute,
    Compare,
    Constant,
    Exists,
    Expression,
    Field,
    In,
    Match,
    Not,
    Or,
    Reference,
    Some,
    decode_text,
    matches,
)
from pilothouse.formats.otlp import proto
from pilothouse.formats.otlp.model import KINDS, STATUS_CODES, Event, Link, Resource, Scope, Span, Value
from pilothouse.kit.clock import SECOND, ManualClock
from pilothouse.kit.telemetry import Ledger
from pilothouse.observe.traces import filter_sources, ingest, rows
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
OTHERS: list[Value] = [None, b"", b"-", b"200", [], ["a", 1], {}, {"a": 1}]
VALUES: list[Value] = [*TEXTS, *INTS, *DOUBLES, math.nan, True, False, *OTHERS]
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
    "%",
    "_",
    r"\Qa%\E",
]
PATTERNS += ["ru", "e", "", "\0", "é", r"\pL", "[(?<n>]", r"\(?<?n", "-", "er", r"\\Q", "0"]


class Stored(Span, frozen=True):
    """A span as it was read back, under the service that the store lists it by."""

    listed: str = ""

    @property
    def service(self) -> str:
        return self.listed


class Filled:
    """The store, its spans by segment, and what a filter selects."""

    def __init__(self, signals: Signals) -> None:
        self.signals, self.segments, self.catalogue = signals, signals.segments[SPANS.name], KeyCatalogue()
        self.spans: dict[tuple[int, int], Stored] = {}
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

    def query(self, expression: Expression, select: Callable[[int, str, str], str]) -> list[tuple[Any, ...]]:
        """Rows of all segments; ``select`` makes the statement for one from its table and the condition."""
        params, selects = Params(), []
        with self.signals.database.reading() as connection:
            for segment in self.segments.all():
                sql = compiled(expression, self.catalogue.of(connection, segment.id), segment.id, params)
                selects.append(select(segment.id, f"{self.segments.name_of(segment.id)} r", sql))
            return connection.execute(" UNION ALL ".join(selects), params.values).fetchall()

    def select(self, expression: Expression) -> set[tuple[Any, ...]]:
        found = self.query(expression, lambda n, table, sql: f"SELECT {n}, r.rowid FROM {table} WHERE {sql}")
        assert len(found) == len(set(found))
        return set(found)

    def answers(self, expression: Expression) -> set[tuple[Any, ...]]:
        found = self.query(expression, lambda n, table, sql: f"SELECT {n}, r.rowid, {sql} FROM {table}")
        assert {type(answer) for *_, answer in found} == {bool}
        return {(segment, row) for segment, row, answer in found if answer}

    def expected(self, expression: Expression) -> set[tuple[int, int]]:
        return {key for key, span in self.spans.items() if matches(expression, span)}


def attributes(rng: random.Random, size: int = 3) -> dict[str, Value]:
    return {key: rng.choice(VALUES) for key in rng.sample(KEYS, rng.randint(0, size))}


def resource(rng: random.Random) -> Resource:
    named: dict[str, Value] = (
        {"service.name": rng.choice(["shop", "a", "", 5, "missing-service-name", NASTY[0]])}
        if rng.random() < 0.8
        else {}
    )
    return Resource(attributes(rng) | named, rng.choice([0, 300]), rng.choice(["", "a", "https://r", "u" * 300]))


def scope(rng: random.Random) -> Scope:
    return Scope(
        rng.choice(WORDS), rng.choice(WORDS), attributes(rng), rng.choice([0, 300]), rng.choice(["", "a", "u" * 20_000])
    )


def span(rng: random.Random, number: int, day: int, resources: list[Resource], scopes: list[Scope]) -> Span:
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
        kind=rng.choice([0, 1, 2, 3, 4, 5, 6, 255, 1000]),
        status_code=rng.choice([0, 1, 2, 3, 255, 900]),
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


def repeated(rng: random.Random, message: TracesData) -> bytes:
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


@contextmanager
def stored(path: Path, *requests: bytes) -> Iterator[Filled]:
    """A store with these requests in it."""
    clock = ManualClock(NOW)
    signals = Signals(path, Settings(384 * MB, 1, 64 * MB, 256 * MB, 983_040, 0, 0), clock, TABLES)
    signals.open()
    try:
        into = ingest.Ingest(signals, clock, Ledger(), dedupe_window=60 * SECOND)
        for request in requests:
            (outcome,) = into.commit(into.prepare([request]))
            assert not isinstance(outcome, Exception)
            assert not outcome.rejected
        yield Filled(signals)
    finally:
        signals.close()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    """Three segments: one with rows beyond its shapes, one of few shapes, and one for absurd times."""
    rng = random.Random(7)
    resources, scopes = [resource(rng) for _ in range(25)], [scope(rng) for _ in range(25)]
    requests = [
        repeated(
            rng,
            proto.to_traces_data([span(rng, 1000 * day + n + 1, day, resources, scopes) for n in range(count)]),
        )
        for day, count in ((0, 140), (1, 60))
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ingest, "MAX_SHAPES", 90)
        with stored(tmp_path_factory.mktemp("store"), *requests) as filled:
            yield filled


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


def constant_for(reference: Reference) -> st.SearchStrategy[Constant]:
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
def leaves(draw: st.DrawFn) -> Expression:
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


def branches(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    several = st.lists(inner, min_size=2, max_size=3).map(tuple)
    quantified = st.builds(Some, st.sampled_from(["event", "link"]), inner)
    return st.builds(And, several) | st.builds(Or, several) | st.builds(Not, inner) | quantified


EXPRESSIONS = st.recursive(leaves(), branches, max_leaves=5)
SLOW = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much]


@settings(max_examples=150, deadline=None, suppress_health_check=SLOW)
@given(EXPRESSIONS)
def test_any_filter_selects_what_the_evaluator_does(filled: Filled, expression: Expression) -> None:
    assert filled.select(expression) == filled.expected(expression)


@settings(max_examples=250, deadline=None, suppress_health_check=SLOW)
@given(leaves())
def test_any_condition_answers_as_the_evaluator_does(filled: Filled, expression: Expression) -> None:
    assert filled.answers(expression) == filled.expected(expression)


def test_the_store_has_what_the_filters_are_to_be_tried_on(filled: Filled) -> None:
    loose = [filled.catalogue._segments[segment.id].loose for segment in filled.segments.all()]
    assert sorted(loose) == [False, False, True]
    assert {len(span.events) for span in filled.spans.values()} > {0, 1, 2}
    assert sum("@jaeger@warnings" in span.attributes for span in filled.spans.values()) > 20


@pytest.mark.parametrize("text", ["a exists", "not a exists", "a = 200 or b ~ a", "b != 1", "span.a > 0"])
def test_a_key_of_many_shapes_is_looked_up_by_bits(filled: Filled, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filter_sources, "_FEW_SHAPES", 0)
    expression = decode_text(text)
    assert filled.answers(expression) == filled.expected(expression)


# What a person writes, and what DuckDB is given: the plain forms are plain comparisons.


SHOP = Resource({"service.name": "shop", "pod": "p-1", "n": 7}, schema_url="https://r")
SPAN = Span(
    trace_id=b"\1" * 16,
    span_id=b"\2" * 8,
    resource=SHOP,
    scope=Scope("lib", "2", {"s": "scoped"}),
    name="GET /items",
    start=NOW,
    end=NOW + 250_000_000,
    kind=2,
    status_code=2,
    attributes={"code": 500, "text": "500", "ratio": 0.5, "nan": math.nan, "flag": True, "big": BIG + 1, "pod": "p-1"},
    events=(
        Event(NOW + 50, "start", {"code": 1, "pod": "p-2"}),
        Event(NOW + 100, "exception", {"code": 2, "type": "IOError", "pod": "p-1"}),
    ),
    links=(Link(b"\3" * 16, b"\4" * 8, "a=b", {"l": 1}),),
)
OTHER = Span(b"\1" * 16, b"\5" * 8, Resource({"pod": "p-9"}), Scope(), "other", NOW, NOW, parent_span_id=b"\2" * 8)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    with stored(tmp_path_factory.mktemp("shop"), proto.encode([SPAN, OTHER])) as filled:
        yield filled


def names(filled: Filled, expression: Expression) -> set[str]:
    return {filled.spans[key].name for key in filled.select(expression)}


@pytest.mark.parametrize(
    ("text", "sql"),
    [
        ("service = shop", "(r.service = $1)"),
        ("name in (a, b)", "(r.name IN ($1, $2))"),
        ("name != a", "(NOT (r.name = $1))"),
        ("duration > 1s", "(r.duration > 1000000000)"),
        ("status = error", "(r.status = 2)"),
        ("status != error", "(NOT (r.status = 2))"),
        ("kind = server", "(r.kind = 2)"),
        ("kind = unspecified", "((r.kind = 0) OR (r.kind >= 6))"),
        ("kind ~ x", "FALSE"),
        ("span.startTime >= 1970-01-01T00:00:01Z", "(r.start >= 1000000000)"),
        ("span.traceID = ab", "(r.trace_id = $1)"),
        ("span.spanID = 000000000000000a", "(r.span_id = 10)"),
        ("span.spanID = nothex", "FALSE"),
        ("span.parentSpanID exists", "(r.parent_span_id IS NOT NULL)"),
        ("span.statusMessage = ''", "FALSE"),
        ("span.statusMessage = a", "(r.status_message = $1)"),
        ("span.code = 500 and service = shop", "(((SHAPES) AND (CODE = 500)) AND (r.service = $1))"),
        ("span.code > 499.5", "((SHAPES) AND (CODE::DOUBLE > $1))"),
        ("span.code exists", "(SHAPES)"),
        ("span.code = text", "FALSE"),
        ("span.missing = 1", "FALSE"),
        ("not span.missing = 1", "TRUE"),
        ("span.missing != 1 or span.missing ~ a or service = a", "(r.service = $1)"),
        ("scope.name = lib", "(r.scope_id IN (SELECT g.id FROM scopes g WHERE g.segment = 0 AND (g.name = $1)))"),
    ],
)
def test_plain_conditions_are_plain_comparisons(shop: Filled, text: str, sql: str) -> None:
    params = Params()
    (segment,) = shop.segments.all()
    with shop.signals.database.reading() as connection:
        keys = shop.catalogue.of(connection, segment.id)
        made = compiled(decode_text(text), keys, segment.id, params)
    (place,) = keys.places("code")
    assert made == sql.replace("SHAPES", place.condition).replace("CODE", place.value)
    assert len(params.values) == made.count("$")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("service = shop", {"GET /items"}),
        ("service = missing-service-name", {"other"}),
        ("code = 500 and text = 500 and code = 500.0", {"GET /items"}),
        ("code > 499 and not text > 499", {"GET /items"}),
        ("text > 4x", {"GET /items"}),
        ("big = 9007199254740993", {"GET /items"}),
        ("big = 9007199254740992", set()),
        ("big = 9007199254740992.0", {"GET /items"}),
        ("nan > 0 or nan = NaN or nan <= 0", set()),
        ("nan != 1", {"GET /items"}),
        ("flag = true", {"GET /items"}),
        ("flag != false", {"GET /items"}),
        ("flag ~ ru", {"GET /items"}),
        ("ratio ~ 5", set()),
        ("missing != 1", set()),
        ("not missing = 1", {"GET /items", "other"}),
        ("pod = p-1", {"GET /items"}),
        ("pod != p-1", {"other"}),
        ("pod not in (p-9)", {"GET /items"}),
        ("resource.pod in (p-1, p-9)", {"GET /items", "other"}),
        ("span.pod exists", {"GET /items"}),
        ("event.pod = p-2", {"GET /items"}),
        ("event.pod != p-2", set()),
        ("event.name = exception and event.type ~ IO", {"GET /items"}),
        ("event.timeSinceStart = 50ns", {"GET /items"}),
        ("event.timeSinceStart > 100ns", set()),
        ("link.traceID = 03030303030303030303030303030303", {"GET /items"}),
        ("link.l = 1 and link.traceState = a=b", {"GET /items"}),
        ("scope.s = scoped and scope.version = 2", {"GET /items"}),
        ("resource.schemaURL ~ //r", {"GET /items"}),
        ("resource.schemaURL != https://r", set()),
        ("not resource.schemaURL exists", {"other"}),
        ("span.parentSpanID = 0202020202020202", {"other"}),
        ("span.parentSpanID != 0202020202020203", {"other"}),
        ("duration = 250ms", {"GET /items"}),
        ("duration = 1ns", {"other"}),
        ('span."@jaeger@warnings" exists', {"other"}),
    ],
)
def test_named_filters(shop: Filled, text: str, expected: set[str]) -> None:
    assert names(shop, decode_text(text)) == expected


def test_a_quantifier_binds_one_element_and_sees_what_is_around_it(shop: Filled) -> None:
    def event(name: str, code: int) -> Expression:
        named = Compare("eq", Field("event", "name"), Constant("string", name))
        return And((named, Compare("eq", Attribute("code", "event"), Constant("int", code))))

    assert names(shop, event("start", 2)) == {"GET /items"}
    assert names(shop, Some("event", event("start", 2))) == set()
    assert names(shop, Some("event", event("start", 1))) == {"GET /items"}
    around = Compare("eq", Attribute("pod", "event"), Attribute("pod", "resource"))
    assert names(shop, Some("event", And((event("exception", 2), around)))) == {"GET /items"}
    assert names(shop, Some("event", And((event("start", 1), around)))) == set()
    inner = Some("link", And((Compare("lt", Attribute("l", "link"), Attribute("code", "event")), around)))
    assert names(shop, Some("event", inner)) == {"GET /items"}


def test_a_hundred_questions_to_the_resource_are_asked_at_once(shop: Filled) -> None:
    many = [Compare("eq", Attribute(f"k{n}", "resource"), Constant("any", "x")) for n in range(100)]
    assert names(shop, Or((*many, Compare("eq", Attribute("n", "resource"), Constant("int", 7))))) == {"GET /items"}
    assert names(shop, And(tuple(Not(one) for one in many))) == {"GET /items", "other"}
    params = Params()
    with shop.signals.database.reading() as connection:
        sql = compiled(Or(tuple(many)), shop.catalogue.of(connection, 0), 0, params)
    assert sql.count("FROM resources") == 1


def test_a_span_with_more_keys_than_a_shape_takes_is_still_found(tmp_path: Path) -> None:
    many = Span(
        b"\1" * 16, b"\2" * 8, SHOP, Scope(), "many", NOW, NOW + 1, attributes={f"k{n}": n for n in range(65_536)}
    )
    with stored(tmp_path, proto.encode([many, SPAN])) as filled:
        assert names(filled, decode_text("k65535 = 65535 and k0 < 1")) == {"many"}
        assert names(filled, decode_text("k65535 != 65535 or k65536 exists")) == set()
        assert names(filled, decode_text("code = 500")) == {"GET /items"}


# What comes from people never becomes SQL.

HOSTILE = [
    *NASTY,
    "'; DELETE FROM resources; --",
    '"; DROP TABLE shapes; --',
    "$99",
    "{0}",
    "{7}",
    "g.id",
    "r.service",
    "lambda e: e",
    "') OR (TRUE",
    "\\'",
    "\u2028\u0000'",
    "?",
    ":name",
    "/*",
    "k" * 4000 + "'",
]


#: Literals and quoted names of our own.
LITERALS = {"", "-", "0x", "s:", "i:", "d:", "b:", "o:", "o:2d", "true", "%016x", *KINDS, *STATUS_CODES}
QUOTED = {"key", "string", "bool", "int", "double", "bytes", "array", "kvlist", "name", "time"}


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:30]))
def test_hostile_keys_and_values_are_only_parameters(filled: Filled, text: str) -> None:
    constants = (Constant("string", text), Constant("any", text))
    asked = [
        Or(
            (
                In(Attribute(text, level), constants, negated=True),
                Compare("gt", Attribute(text, level), constants[1]),
                Compare("ne", Attribute(text, level), Attribute(text[::-1], level)),
                Match(Attribute(text, level), re2.escape(text)[:1000]),
            )
        )
        for level in (None, *FIELDS)
    ]
    fields = [Field(level, name) for level in FIELDS for name in FIELDS[level] if FIELDS[level][name] in ("text", "id")]
    texts = [Compare("eq", field, constants[0]) for field in fields]
    expression = Or((*texts, *asked, Some("event", Compare("eq", Attribute(text, "event"), Attribute(text)))))
    assert filled.select(expression) == filled.expected(expression)
    with filled.signals.database.reading() as connection:
        for segment in filled.segments.all():
            params = Params()
            sql = compiled(expression, filled.catalogue.of(connection, segment.id), segment.id, params)
            assert text in params.values
            assert set(re.findall("'([^']*)'", sql)) <= LITERALS
            assert set(re.findall('"([^"]*)"', sql)) <= QUOTED
            assert not re.search(r"[;?\\]|--|/\*", sql)
