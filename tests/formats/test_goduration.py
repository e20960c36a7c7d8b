from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.formats import goduration
from pilothouse.kit.errors import InvalidInput

int64 = st.integers(-(2**63), 2**63 - 1)


@given(int64)
def test_round_trip(ns: int) -> None:
    assert goduration.parse(goduration.render(ns)) == ns


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("0", 0),
        ("-0", 0),
        ("1ns", 1),
        ("2us", 2_000),
        ("2µs", 2_000),
        ("2μs", 2_000),
        ("1.5ms", 1_500_000),
        (".5s", 500_000_000),
        ("5.s", 5_000_000_000),
        ("1h2m3.004s", 3_723_004_000_000),
        ("-1m", -60_000_000_000),
        ("+1m", 60_000_000_000),
        ("1s1s", 2_000_000_000),
        ("0.1234567891s", 123_456_789),
        ("-9223372036854775808ns", -(2**63)),
    ],
)
def test_parse(text: str, ns: int) -> None:
    assert goduration.parse(text) == ns


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1_100, "1.1µs"),
        (2_200_000, "2.2ms"),
        (3_300_000_000, "3.3s"),
        (245_000_000_000, "4m5s"),
        (245_001_000_000, "4m5.001s"),
        (18_367_001_000_000, "5h6m7.001s"),
        (480_000_000_001, "8m0.000000001s"),
        (-1_500_000, "-1.5ms"),
        (3_600_000_000_000, "1h0m0s"),
    ],
)
def test_render(ns: int, text: str) -> None:
    assert goduration.render(ns) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3",
        "-",
        "s",
        ".",
        "-.",
        ".s",
        "+.s",
        "1d",
        "1 s",
        " 1s",
        "1s ",
        "1e3s",
        "--1s",
        "1,5s",
        "\uff19s",
        "9223372037s",
        "1s" * 99,
        "9" * 127 + "s",
        "\x00",
        "1\x00s",
        "NaNs",
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        goduration.parse(text)


@given(st.text(max_size=20))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    with suppress(InvalidInput):
        assert isinstance(goduration.parse(text), int)
