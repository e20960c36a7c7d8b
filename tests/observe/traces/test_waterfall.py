"""The waterfall is exact where it can be checked: widths, guides, places of bars, marks beside colours."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from pilothouse.observe.traces.waterfall import ASCII, UNICODE, colour, draw, legend, rows

MS = 1_000_000


def trace(*spans: tuple[int, str, str, int, int], errors: tuple[int, ...] = (), orphans: tuple[int, ...] = ()) -> Any:
    """A columnar trace of ``(parent, service, name, start ms, duration ms)``."""
    services = sorted({span[1] for span in spans})
    names = sorted({span[2] for span in spans})
    count = len(spans)
    return {
        "traceId": "0" * 31 + "1",
        "start": "1700000000000000000",
        "durationNs": max((start + duration for *_, start, duration in spans), default=0) * MS,
        "spanCount": count,
        "truncated": False,
        "warnings": [],
        "resources": [{"service": service, "attributes": [], "schemaUrl": ""} for service in services],
        "scopes": [{"name": "", "version": "", "attributes": [], "schemaUrl": ""}],
        "names": names,
        "spans": {
            "spanId": [f"{i + 1:016x}" for i in range(count)],
            "parent": [span[0] for span in spans],
            "orphan": [i in orphans for i in range(count)],
            "name": [names.index(span[2]) for span in spans],
            "resource": [services.index(span[1]) for span in spans],
            "scope": [0] * count,
            "kind": [1] * count,
            "start": [span[3] * MS for span in spans],
            "duration": [span[4] * MS for span in spans],
            "status": [2 if i in errors else 0 for i in range(count)],
            "events": [0] * count,
            "links": [0] * count,
            "attributes": [0] * count,
        },
    }


SHOP = trace(
    (-1, "web", "GET /", 0, 100),
    (0, "web", "GET /cart", 0, 50),
    (1, "cart", "GET /cart", 10, 30),
    (0, "web", "render", 50, 50),
    errors=(2,),
)


def plain(lines: Any) -> list[str]:
    return [line.plain.rstrip() for line in lines]


def test_a_whole_drawing() -> None:
    assert plain(draw(SHOP, 70)) == [
        "                       ╷0                ╷50 ms                 100 ms",
        "web GET /              █████████████████████████████████████    100 ms",
        "├─ web GET /cart       ██████████████████▌                       50 ms",
        "│ └─ ✗ cart GET /cart     ▐███████████                           30 ms",
        "└─ web render                            ▐██████████████████     50 ms",
    ]


@pytest.mark.parametrize("width", [30, 59, 60, 80, 120, 200])
@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
def test_no_line_is_wider_than_asked(width: int, glyphs: Any) -> None:
    long = trace((-1, "a-service-with-a-long-name", "an operation " * 20, 0, 9), (0, "b", "x" * 300, 0, 1))
    for line in draw(long, width, glyphs):
        assert line.cell_len <= width
    for line in legend(rows(long), width, glyphs):
        assert line.cell_len <= max(width, 40)


def test_below_sixty_columns_there_are_no_bars_but_every_span_and_duration() -> None:
    lines = plain(draw(SHOP, 40))
    assert len(lines) == 4
    assert not any("█" in line for line in lines)
    assert [line.split()[-2] for line in lines] == ["100", "50", "30", "50"]


def test_bars_lie_where_time_says() -> None:
    lines = plain(draw(SHOP, 120))[1:]
    bars = [(line.index("█"), line.rindex("█") + 1) for line in lines]
    (begin, end), first, inner, last = bars
    scale = (end - begin) / 100
    assert first[0] == begin
    assert first[1] == pytest.approx(begin + 50 * scale, abs=1)
    assert inner[0] == pytest.approx(begin + 10 * scale, abs=1)
    assert inner[1] == pytest.approx(begin + 40 * scale, abs=1)
    assert last[1] == end


def test_an_instant_and_a_clock_gone_wrong_still_have_a_bar() -> None:
    odd = trace((-1, "a", "root", 0, 100), (0, "a", "nothing", 100, 0), (0, "a", "before", -50, 10))
    for line in draw(odd, 100):
        if "root" not in line.plain and "╷" not in line.plain:
            assert sum(line.plain.count(glyph) for glyph in "█▌▐") == 1


def test_failure_is_a_mark_and_not_only_a_colour() -> None:
    drawn = plain(draw(SHOP, 80))
    assert [("✗" in line) for line in drawn] == [False, False, False, True, False]
    assert "!" in plain(draw(SHOP, 80, ASCII))[3]
    assert "✗1" in next(legend(rows(SHOP), 80)).plain


def test_ascii_has_nothing_else() -> None:
    lines = [*draw(trace((-1, "a", "x" * 100, 0, 1), (0, "a", "y", 0, 1)), 80, ASCII), *legend(rows(SHOP), 80, ASCII)]
    assert all(line.plain.isascii() for line in lines)


def test_a_missing_parent_is_told() -> None:
    lines = plain(draw(trace((-1, "a", "late", 0, 5), orphans=(0,)), 80))
    assert "(parent missing)" in lines[1]


def test_depth_folds_and_tells_how_many() -> None:
    lines = plain(draw(SHOP, 80, depth=1))
    assert len(lines) == 4
    assert "web GET /cart (+1)" in lines[2]
    assert "(+3)" in plain(draw(SHOP, 80, depth=0))[1]


def test_a_limit_tells_what_is_left() -> None:
    wide = trace((-1, "a", "root", 0, 9), *((0, "a", f"child {i}", 0, 1) for i in range(500)))
    lines = plain(draw(wide, 80, limit=10))
    assert len(lines) == 12
    assert "491 more spans" in lines[-1]


def test_a_compact_drawing_names_a_service_where_it_changes() -> None:
    compact = trace(
        (-1, "storefront", "a rather long name of an operation", 0, 9),
        (0, "storefront", "another rather long name", 0, 9),
        (1, "cart", "the end of which is what tells it apart", 0, 9),
    )
    _, _, same, other = plain(draw(compact, 70))
    assert "storefront" not in same
    assert "cart" in other
    assert "apart" in other


def test_deep_traces_keep_room_for_names() -> None:
    depth = 3000
    deep = trace(*((i - 1, "a", f"level {i}", 0, 1) for i in range(depth)))
    lines = plain(draw(deep, 80))
    assert len(lines) == depth + 1
    assert lines[-1].startswith("⋯")
    assert "level 2999" in lines[-1]


def test_data_cannot_drive_the_terminal() -> None:
    evil = trace((-1, "a\x1b[2J", "b\nc\r\x07", 0, 1))
    drawn = "".join(line.plain for line in [*draw(evil, 80), *legend(rows(evil), 80)])
    assert drawn.isprintable()


def test_markup_in_names_is_text() -> None:
    lines = plain(draw(trace((-1, "a", "[bold red]x[/]", 0, 1)), 80))
    assert "[bold red]x[/]" in lines[1]


def test_colours_are_stable_and_not_red() -> None:
    # The same as the console's: see its palette.
    assert (colour("storefront"), colour("checkout"), colour("fraud-check")) == ("#3fb8c9", "#a9bd55", "#35bd9b")


def test_an_empty_trace_draws_an_axis_only() -> None:
    assert len(list(draw(trace(), 80))) == 1


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(-50, 150), st.integers(0, 150)), min_size=1, max_size=12),
    st.integers(20, 150),
)
def test_any_tree_fits(shape: list[tuple[int, int, int]], width: int) -> None:
    spans = [
        (-1 if i == 0 else parent % i, "a", f"span {i}", start, took) for i, (parent, start, took) in enumerate(shape)
    ]
    lines = list(draw(trace(*spans), width))
    assert all(isinstance(line, Text) and line.cell_len <= max(width, 20) for line in lines)
