"""Sizes and durations survive being written and read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.kit import units


@given(st.integers(0, 10**18))
def test_exact_duration_is_read_back(nanoseconds: int) -> None:
    assert units.parse_duration(units.exact_duration(nanoseconds)) == nanoseconds


@given(st.integers(0, 1 << 50))
def test_exact_size_is_read_back(size: int) -> None:
    assert units.parse_size(units.exact_size(size)) == size


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("20ms", 20_000_000),
        ("1h30m", 5_400 * 10**9),
        ("7d", 604_800 * 10**9),
        ("0", 0),
        ("1.5s", 1_500_000_000),
        ("3us", 3000),
    ],
)
def test_durations(text: str, nanoseconds: int) -> None:
    assert units.parse_duration(text) == nanoseconds


@pytest.mark.parametrize("text", ["", "7", "7 d", "d", "1h30", "-1s", "1e3s", "1s;", "٣s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        units.parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"), [("64MiB", 64 << 20), ("1.5 GB", 1_500_000_000), ("4096", 4096), ("2kb", 2000)]
)
def test_sizes(text: str, size: int) -> None:
    assert units.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MiB", "-1", "5 parsecs", "1e9", "1__0"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        units.parse_size(text)


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0 ns"),
        (412_000, "412 µs"),
        (999_949, "1 ms"),
        (12_400_000, "12.4 ms"),
        (3_100_000_000, "3.1 s"),
        (59_990_000_000, "1 min"),
        (61_000_000_000, "1 min 1 s"),
        (7_500 * 10**9, "2 h 5 min"),
        (90 * 3600 * 10**9, "3 d 18 h"),
        (-5_000_000, "-5 ms"),
    ],
)
def test_durations_for_people(nanoseconds: int, text: str) -> None:
    assert units.human_duration(nanoseconds) == text


@given(st.floats(0, 1e19))
def test_every_duration_can_be_shown(nanoseconds: float) -> None:
    assert units.human_duration(nanoseconds)


def test_counts_sizes_and_rates_for_people() -> None:
    assert units.human_count(950) == "950"
    assert units.human_count(999.7) == "1 k"
    assert units.human_size(3_140_000_000) == "3.14 GB"
    assert units.human_rate(1234, "spans") == "1.23 k spans/s"
