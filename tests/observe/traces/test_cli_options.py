"""What the options of search and export mean, and how answers are written."""

from __future__ import annotations

import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.formats.expression import decode_text
from pilothouse.kit.errors import UsageError
from pilothouse.kit.units import DAY, HOUR, MINUTE, SECOND
from pilothouse.observe.traces import printing
from pilothouse.observe.traces.options import combined_filter, parameters, window

NOW = 1_760_000_000 * SECOND


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (NOW - HOUR, NOW)),
        ({"since": "7d"}, (NOW - 7 * DAY, NOW)),
        ({"start": "-2h", "end": "-1h"}, (NOW - 2 * HOUR, NOW - HOUR)),
        ({"start": "5", "end": "now"}, (5, NOW)),
        ({"start": "2025-10-09T08:53:20Z", "end": "2025-10-09T08:53:21.5Z"}, (NOW, NOW + 1_500_000_000)),
        ({"since": "10m", "end": "-1h"}, (NOW - HOUR - 10 * MINUTE, NOW - HOUR)),
    ],
)
def test_windows(options: dict[str, str], expected: tuple[int, int]) -> None:
    assert window(NOW, **options) == expected


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"since": "1h", "start": "-1h"}, "--since and --start"),
        ({"since": "soon"}, "--since"),
        ({"start": "yesterday"}, "--start"),
        ({"end": "-x"}, "--end"),
        ({"start": "now", "end": "-1h"}, "before it begins"),
    ],
)
def test_windows_that_make_no_sense(options: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        window(NOW, **options)


def test_parameters_are_absolute_and_absent_ones_left_out() -> None:
    asked = parameters(NOW, service="cart", attr=("a=b",), min_duration="5ms")
    assert asked["start"] == str(NOW - HOUR)
    assert asked["end"] == str(NOW)
    assert asked["filter"] == '"a" = "b"'
    assert {key for key, value in asked.items() if value is None} == {"operation", "status", "maxDuration"}


def test_attributes_join_the_filter_whole() -> None:
    assert combined_filter("a = 1 or b = 2", ["c=3"]) == '(a = 1 or b = 2) and "c" = "3"'
    assert combined_filter("a = 1") == "a = 1"
    assert combined_filter(None) == ""
    assert combined_filter(None, ["x=1=2"]) == '"x" = "1=2"'
    for wrong in ("novalue", "=x"):
        with pytest.raises(UsageError, match="--attr"):
            combined_filter(None, [wrong])


@given(
    st.text(st.characters(codec="utf-8"), min_size=1).filter(lambda key: "=" not in key),
    st.text(st.characters(codec="utf-8")),
)
def test_no_attribute_breaks_out_of_its_quotes(key: str, value: str) -> None:
    compiled = decode_text(combined_filter(None, [f"{key}={value}"]))
    text = repr(compiled)
    assert repr(key) in text
    assert repr(value) in text


def test_ages_and_clocks() -> None:
    assert printing.ago(str(NOW - 5 * SECOND), NOW) == "5 s ago"
    assert printing.ago("2025-10-09T08:50:20Z", NOW) == "3 min ago"
    assert printing.ago(str(NOW - 49 * HOUR), NOW) == "2 d ago"
    assert printing.ago(str(NOW + HOUR), NOW) == "0 s ago"
    today = time.time_ns()
    assert len(printing.clock(str(today))) == len("12:00:00.000")
    assert printing.clock("123456789").endswith(".123")
    assert (printing.plural(1, "span"), printing.plural(1200, "span")) == ("1 span", "1,200 spans")


def summary(name: str = "GET /a/rather/long/operation/{id}") -> dict[str, object]:
    return {
        "traceId": "f" * 32,
        "rootService": "storefront",
        "rootOperation": name,
        "start": str(NOW),
        "durationNs": 12_400_000,
        "spanCount": 1234,
        "errorCount": 3,
        "orphanCount": 0,
        "services": [{"name": f"service-{i}", "spanCount": 1, "errorCount": 0} for i in range(12)],
    }


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_a_row_of_a_search_fits_the_terminal_and_keeps_the_id(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    rows, columns = printing.summaries([summary()], width)
    cells = [max(len(column.title or column.key), len(rows[0][column.key])) for column in columns]
    assert sum(cells) + 2 * (len(cells) - 1) <= width
    assert rows[0]["id"] == "f" * 32
    assert rows[0]["errors"] == "✗ 3"


def test_a_row_in_a_pipe_is_not_cut_and_a_missing_root_is_told() -> None:
    rows, _ = printing.summaries([summary("x" * 500), {**summary(""), "rootService": ""}], 120)
    assert rows[0]["root"].endswith("x" * 500)
    assert "service-11" in rows[0]["services"]
    assert rows[1]["root"] == "(root not received)"
