"""The trace page on real data, and in each of its states."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from tests.e2e import seed
from tests.e2e.support import Server, Watched, accessibility

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = [pytest.mark.browser, pytest.mark.e2e]


def _open(page: Page, server: Server, trace_id: str, query: str = "") -> Locator:
    page.goto(f"{server.url}/traces/{trace_id}{query}")
    items = page.get_by_role("treeitem")
    items.first.wait_for()
    return items


def _panel(page: Page) -> Locator:
    return page.get_by_role("complementary", name="Span", exact=True)


def _attribute(page: Page, key: str) -> str:
    row = _panel(page).locator("li", has=page.get_by_text(key, exact=True)).first
    row.wait_for()
    return row.inner_text()


def test_the_waterfall_is_drawn(page: Page, server: Server, look: tuple[int, str]) -> None:
    items = _open(page, server, server.seeded.checkout)
    assert items.count() == 4
    assert [items.nth(i).get_attribute("aria-level") for i in range(4)] == ["1", "2", "3", "3"]
    assert "Charge" in items.nth(2).inner_text()
    assert "error" in items.nth(2).inner_text()
    assert "100 ms" in items.nth(2).inner_text().replace("\u00a0", " ")
    assert accessibility(page) == []


def test_a_span_is_found_and_read_by_keyboard(page: Page, server: Server, look: tuple[int, str]) -> None:
    _open(page, server, server.seeded.checkout)
    page.keyboard.press("e")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"span=[0-9a-f]{16}"))
    panel = _panel(page)
    panel.get_by_text("card gateway timed out").wait_for()
    assert "TimeoutError" in _attribute(page, "exception.type")
    assert accessibility(page) == []
    page.reload()
    panel.get_by_text("card gateway timed out").wait_for()
    page.keyboard.press("Escape")
    panel.wait_for(state="detached")


def test_attributes_keep_their_types(page: Page, server: Server) -> None:
    items = _open(page, server, server.seeded.checkout)
    items.nth(0).click()
    assert re.search(r"502\s*int", _attribute(page, "http.response.status_code"))
    assert re.search(r"129\.95\s*double", _attribute(page, "cart.total"))
    items.nth(1).click()
    assert re.search(r"false\s*bool", _attribute(page, "retry"))
    assert re.search(r'"tea",\s*"kettle"\s*\]\s*array', _attribute(page, "items"))


def test_an_attribute_leads_to_the_search_for_it(page: Page, server: Server) -> None:
    items = _open(page, server, server.seeded.checkout)
    items.nth(0).click()
    page.get_by_text("http.response.status_code").hover()
    page.get_by_role("link", name="Search for http.response.status_code").click()
    page.wait_for_url("**/traces/search?filter=*")
    page.get_by_text("1 trace, newest match first").wait_for()
    assert page.get_by_role("combobox", name="Filter").input_value() == "http.response.status_code = 502"


def test_a_link_leads_to_the_other_trace(page: Page, server: Server) -> None:
    items = _open(page, server, server.seeded.checkout)
    items.nth(1).click()
    _panel(page).get_by_role("link", name=f"trace {server.seeded.linked[:8]}").click()
    page.wait_for_url(f"**/traces/{server.seeded.linked}?span=*")
    _panel(page).get_by_role("heading", name="send receipt").wait_for()


def test_the_tree_is_folded_and_unfolded(page: Page, server: Server) -> None:
    items = _open(page, server, server.seeded.checkout)
    page.keyboard.press("[")
    page.wait_for_function("document.querySelectorAll('[role=treeitem]').length === 2")
    page.wait_for_url("**fold=*")
    page.reload()
    items.first.wait_for()
    assert items.count() == 2
    page.keyboard.press("]")
    page.wait_for_function("document.querySelectorAll('[role=treeitem]').length === 4")
    page.get_by_role("tree", name="Spans").focus()
    for key in ("Home", "ArrowDown", "ArrowLeft"):
        page.keyboard.press(key)
    page.wait_for_function("document.querySelectorAll('[role=treeitem]').length === 2")


def test_spans_are_found_within(page: Page, server: Server) -> None:
    _open(page, server, server.seeded.large)
    page.keyboard.press("/")
    page.keyboard.type("step 9")
    page.get_by_text(re.compile(r"of 4,999")).wait_for()
    page.keyboard.press("Enter")
    page.get_by_text("1 of 4,999").wait_for()
    page.keyboard.press("Shift+Enter")
    page.get_by_text("4,999 of 4,999").wait_for()
    page.keyboard.press("Escape")
    page.keyboard.press("n")
    page.get_by_text("1 of 4,999").wait_for()


def test_fifty_thousand_spans_are_scrolled_through(page: Page, server: Server) -> None:
    items = _open(page, server, server.seeded.large)
    page.get_by_text("50,000 spans").wait_for()
    assert items.count() < 100, "only rows in sight exist"
    page.keyboard.press("G")
    page.wait_for_function(f"document.getElementById('span-{seed.LARGE - 1}') !== null")
    page.keyboard.press("Enter")
    _panel(page).get_by_role("heading", name=re.compile("step")).wait_for()
    assert items.count() < 100


def test_time_is_zoomed_into_and_out_of(page: Page, server: Server) -> None:
    _open(page, server, server.seeded.checkout)
    box = page.get_by_role("img", name=re.compile("Overview")).bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 20, steps=4)
    page.mouse.up()
    page.wait_for_url("**view=*")
    page.keyboard.press("0")
    page.wait_for_url(re.compile(r"^[^?]*(\?(?!.*view=).*)?$"))
    for key in ("j", "j", "j", "z"):
        page.keyboard.press(key)
    page.wait_for_url("**view=*")


def test_the_span_is_shown_as_json(page: Page, server: Server) -> None:
    items = _open(page, server, server.seeded.checkout)
    items.nth(2).click()
    page.get_by_role("radiogroup", name="Show").get_by_text("JSON").click()
    page.wait_for_url("**panel=json*")
    shown = json.loads(_panel(page).locator("pre").inner_text())
    assert shown["name"] == "Charge"
    assert shown["traceId"] == server.seeded.checkout
    assert accessibility(page) == []


def test_what_people_send_stays_text(page: Page, server: Server, look: tuple[int, str]) -> None:
    items = _open(page, server, server.seeded.hostile)
    assert items.count() == 3
    for index in range(3):
        items.nth(index).click(position={"x": 60, "y": 10})
        _panel(page).locator("summary").first.wait_for()
        page.wait_for_timeout(100)
        assert accessibility(page) == []
        page.get_by_role("button", name="Close the span").click()
    items.nth(0).click(position={"x": 60, "y": 10})
    assert seed.SCRIPT in _attribute(page, "markup")
    assert page.evaluate("window.pwned") is None


def test_an_unknown_trace_is_said_to_be_unknown(watched: Watched, server: Server, look: tuple[int, str]) -> None:
    page = watched.page
    watched.expected.append("404")
    page.goto(f"{server.url}/traces/{'f' * 32}")
    page.get_by_role("alert").wait_for()
    assert "f" * 32 in page.get_by_role("alert").inner_text()
    assert accessibility(page) == []
    page.get_by_role("link", name="Back to the search").click()
    page.get_by_role("list", name="Traces").wait_for()


def test_a_trace_deleted_while_open_keeps_what_is_known(watched: Watched, server: Server) -> None:
    page = watched.page
    watched.expected.append("404")
    gone = {"type": "about:blank", "title": "Not found", "status": 404, "detail": "there is no such span"}
    items = _open(page, server, server.seeded.checkout)
    page.route(
        "**/api/traces/*/spans/*", lambda r: r.fulfill(status=404, json=gone, content_type="application/problem+json")
    )
    items.nth(1).click()
    _panel(page).get_by_role("alert").get_by_text("there is no such span").wait_for()
    assert items.count() == 4


def test_a_truncated_trace_says_so(page: Page, server: Server) -> None:
    cut = {"truncated": True, "warnings": ["trace has more than 4 spans, showing first 4 spans only"]}
    page.route(f"**/api/traces/{server.seeded.checkout}", lambda r: r.fulfill(json={**r.fetch().json(), **cut}))
    _open(page, server, server.seeded.checkout)
    page.get_by_role("button", name="Truncated").click()
    page.get_by_text("showing first 4 spans only").wait_for()
    assert accessibility(page) == []
