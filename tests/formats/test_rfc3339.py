import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.formats import rfc3339
from pilothouse.kit.errors import InvalidInput


@given(st.integers(-(2**63), 2**64 - 1))
def test_round_trip_of_every_storable_instant(ns: int) -> None:
    assert rfc3339.parse(rfc3339.render(ns)) == ns


@given(st.integers(-62_135_596_800 * 10**9, 253_402_300_800 * 10**9 - 1))
def test_round_trip_of_every_writable_instant(ns: int) -> None:
    assert rfc3339.parse(rfc3339.render(ns)) == ns


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.000000001Z", 1),
        ("1969-12-31T23:59:59.999999999Z", -1),
        ("2026-08-16T18:56:20.123456789Z", 1_786_906_580_123_456_789),
        ("2026-08-16T18:56:20.1234567899Z", 1_786_906_580_123_456_789),
        ("2026-08-16T20:56:20.5+02:00", 1_786_906_580_500_000_000),
        ("2026-08-16T13:26:20-05:30", 1_786_906_580_000_000_000),
        ("1970-01-01T00:00:00-00:00", 0),
    ],
)
def test_parse(text: str, ns: int) -> None:
    assert rfc3339.parse(text) == ns


@pytest.mark.parametrize(
    ("ns", "text"),
    [(0, "1970-01-01T00:00:00Z"), (1_500_000_000, "1970-01-01T00:00:01.5Z"), (-1, "1969-12-31T23:59:59.999999999Z")],
)
def test_render(ns: int, text: str) -> None:
    assert rfc3339.render(ns) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-08-16",
        "2026-08-16 18:56:20Z",
        "2026-08-16t18:56:20z",
        "2026-08-16T18:56:20",
        "2026-08-16T18:56:20.Z",
        "2026-13-16T18:56:20Z",
        "2026-02-30T18:56:20Z",
        "2026-08-16T24:00:00Z",
        "2026-08-16T18:56:60Z",
        "0000-08-16T18:56:20Z",
        "2026-08-16T18:56:20+24:00",
        "2026-08-16T18:56:20+02:60",
        "\uff12026-08-16T18:56:20Z",
        "2026-08-16T18:56:20Z\n",
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        rfc3339.parse(text)


@pytest.mark.parametrize("ns", [-62_135_596_801 * 10**9, 253_402_300_800 * 10**9, 10**40])
def test_unwritable(ns: int) -> None:
    with pytest.raises(InvalidInput):
        rfc3339.render(ns)
