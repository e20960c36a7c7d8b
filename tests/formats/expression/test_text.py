import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.formats.expression.strategies import textual, written

from pilothouse.formats.expression import (
    And,
    Attribute,
    Compare,
    Constant,
    Exists,
    Expression,
    Field,
    FilterError,
    In,
    Match,
    Not,
    Or,
    decode_text,
)
from pilothouse.formats.expression.ast import Level
from pilothouse.formats.expression.build import MAX_DEPTH, MAX_NODES


@given(textual)
def test_round_trip(expression: Expression) -> None:
    assert repr(decode_text(written(expression))) == repr(expression)


def anything(key: str, level: Level | None = None) -> Attribute:
    return Attribute(key, level)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("service = checkout", Compare("eq", Field("resource", "service"), Constant("string", "checkout"))),
        ("name != GET", Compare("ne", Field("span", "name"), Constant("string", "GET"))),
        ("operation=GET", Compare("eq", Field("span", "name"), Constant("string", "GET"))),
        ("duration >= 1.5ms", Compare("gte", Field("span", "duration"), Constant("duration", 1_500_000))),
        ("status = Error", Compare("eq", Field("span", "status"), Constant("string", "error"))),
        ("kind != server", Compare("ne", Field("span", "kind"), Constant("string", "server"))),
        ("span.startTime < 1970-01-01T00:00:01Z", Compare("lt", Field("span", "startTime"), Constant("time", 10**9))),
        ("event.name ~ exc.*on", Match(Field("event", "name"), "exc.*on")),
        ("http.status_code >= 500", Compare("gte", anything("http.status_code"), Constant("any", "500"))),
        ("resource.k8s.pod.name = p", Compare("eq", anything("k8s.pod.name", "resource"), Constant("any", "p"))),
        ("resource.name = p", Compare("eq", anything("name", "resource"), Constant("any", "p"))),
        ('"name" = "a b"', Compare("eq", anything("name"), Constant("any", "a b"))),
        ("span.'event.name' = ''", Compare("eq", anything("event.name", "span"), Constant("any", ""))),
        (r'a = "x\"\\\d"', Compare("eq", anything("a"), Constant("any", r'x"\\d'))),
        ("url = http://x/?a=b", Compare("eq", anything("url"), Constant("any", "http://x/?a=b"))),
        ("a<-1", Compare("lt", anything("a"), Constant("any", "-1"))),
        ("exists a.b", Exists(anything("a.b"))),
        ("a.b EXISTS", Exists(anything("a.b"))),
        ("a !~ x", And((Exists(anything("a")), Not(Match(anything("a"), "x"))))),
        ("a in (1, 'b c')", In(anything("a"), (Constant("any", "1"), Constant("any", "b c")))),
        ("a not in (1)", In(anything("a"), (Constant("any", "1"),), negated=True)),
        (
            "kind in (SERVER,client)",
            In(Field("span", "kind"), (Constant("string", "server"), Constant("string", "client"))),
        ),
        ("(((a exists)))", Exists(anything("a"))),
        ("not not a exists", Not(Not(Exists(anything("a"))))),
        ("a = and", Compare("eq", anything("a"), Constant("any", "and"))),
    ],
)
def test_what_a_text_means(text: str, expected: Expression) -> None:
    assert decode_text(text) == expected


def test_and_binds_tighter_than_or_and_not_tightest() -> None:
    a, b, c = (Exists(anything(key)) for key in "abc")
    assert decode_text("exists a or exists b and exists c") == Or((a, And((b, c))))
    assert decode_text("(exists a or exists b) and exists c") == And((Or((a, b)), c))
    assert decode_text("not exists a and exists b") == And((Not(a), b))
    assert decode_text("exists a AND exists b And exists c") == And((a, b, c))


@pytest.mark.parametrize(
    ("text", "marked", "what"),
    [
        ("", "", "a key is wanted"),
        ("   ", "", "a key is wanted"),
        ("a", "", "an operator is wanted after 'a', not the end"),
        ("a b", "b", "an operator is wanted"),
        ("a =", "", "a value is wanted"),
        ("a = 1 b = 2", "b", "'b' is not expected here"),
        ("a = 1 and", "", "a key is wanted"),
        ("a = 1 and or b", "or", "a key is wanted"),
        ("a = 1)", ")", "')' is not expected"),
        ("(a = 1", "", "')' is wanted"),
        ("()", ")", "a key is wanted"),
        ("a = 'x", "'x", "has no end"),
        ("a not like b", "like", "'in' is wanted"),
        ("a in 1", "1", "'(' is wanted"),
        ("a in ()", ")", "a value is wanted"),
        ("a in (1 2)", "2", "')' is wanted"),
        ("a in (1,", "", "a value is wanted"),
        ('"" = 1', '""', "has no key"),
        ("span. = 1", "span.", "has no key"),
        ("duration > 5", "5", "not a duration"),
        ("duration in (5ms, 6)", "6", "not a duration"),
        ("status = bad", "bad", "is no status"),
        ("status > error", "error", "no order"),
        ("duration ~ x", "x", "matches text"),
        ("name ~ '^a'", "'^a'", "an anchor"),
        ("name ~ (", "(", "a value is wanted"),
        ("name !~ '('", "'('", "no RE2"),
        ("a = \ud800", "\ud800", "surrogate"),
        ("=", "=", "a key is wanted"),
    ],
)
def test_errors_mark_the_wrong_part(text: str, marked: str, what: str) -> None:
    with pytest.raises(FilterError) as caught:
        decode_text(text)
    error = caught.value
    assert text[error.offset : error.offset + error.length] == marked
    assert what in error.what
    assert error.where == f"filter, character {error.offset + 1}"
    if not marked:
        assert error.offset == len(text)


@pytest.mark.parametrize(
    "text",
    [
        "(" * (MAX_DEPTH + 1) + "a exists" + ")" * (MAX_DEPTH + 1),
        "not " * (MAX_DEPTH + 1) + "a exists",
        "(" * 10_000,
        "not " * 4_000,
        " or ".join(["a=1"] * (MAX_NODES + 1)),
        "a in (" + ",".join("1" * (MAX_NODES + 2)) + ")",
        "a = " + "x" * 20_000,
    ],
)
def test_size_and_depth_are_limited(text: str) -> None:
    with pytest.raises(FilterError, match=r"more than|deeper"):
        decode_text(text)


words = st.sampled_from(["a", "span.", "event.name", "service", "duration", "and", "or", "not", "in", "exists"])
marks = st.sampled_from(
    ["=", "!=", ">", "~", "!~", "(", ")", ",", "'x'", '"', "'", "5ms", "error", "\\", "é", "[", " ", "\x00"]
)
tokens = words | marks


@given(st.lists(tokens, max_size=12).map(" ".join) | st.lists(tokens, max_size=12).map("".join) | st.text(max_size=30))
def test_any_text_is_a_filter_or_refused_within_its_bounds(text: str) -> None:
    error = refusal(text)
    assert error is None or 0 <= error.offset <= error.offset + error.length <= len(text)


def refusal(text: str) -> FilterError | None:
    try:
        decode_text(text)
    except FilterError as error:
        return error
    return None
