import pytest

from pilothouse.formats.expression import FilterError
from pilothouse.formats.expression.regex import MAX_PATTERN, check, compile_pattern


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "a|b",
        "[^x]",
        "[$^]",
        "[]^]",
        "[^]$]",
        r"[\]^]",
        r"\^\$",
        r"\\",
        r"\Q^$\b\E",
        r"\Q^",
        "[[:alpha:]^]",
        "(?:a)",
        "(?P<name>a)",
        "(?<name>a)",
        "(?s).",
        "(?m)a",
        "(?s:a)",
        "a{2,3}",
        "a{,3}?",
        r"a\?",
        r"\pL\p{Greek}\d\x{263a}",
        "[*+?]?",
    ],
)
def test_accepted(pattern: str) -> None:
    check(pattern)


@pytest.mark.parametrize(
    ("pattern", "what"),
    [
        ("^a", "an anchor"),
        ("a$", "an anchor"),
        ("(^|b)", "an anchor"),
        (r"\Aa", "an anchor"),
        (r"a\z", "an anchor"),
        (r"\\^", "an anchor"),
        (r"[\\]^", "an anchor"),
        (r"\Qa\E^", "an anchor"),
        (r"\bword", "a word boundary"),
        (r"\B", "a word boundary"),
        (r"\C", "single-byte"),
        ("a*?", "lazy"),
        ("a+?", "lazy"),
        ("a??", "lazy"),
        ("a{1,2}?", "lazy"),
        ("(?i)a", "flag"),
        ("(?si:a)", "flag"),
        ("(?U)a", "flag"),
        ("(", "no RE2"),
        ("a**", "no RE2"),
        ("(?=a)", "no RE2"),
        (r"(a)\1", "no RE2"),
        ("[a", "no RE2"),
        ("a{1001}", "no RE2"),
        ("(((a{100}){100}){100})", "no RE2"),
        ("x" * (MAX_PATTERN + 1), "more than"),
    ],
)
def test_refused(pattern: str, what: str) -> None:
    with pytest.raises(FilterError, match=what):
        check(pattern)


def test_a_pattern_matches_anywhere_and_respects_case() -> None:
    pattern = compile_pattern("b+")
    assert pattern.search("abbc") is not None
    assert pattern.search("ABBC") is None
