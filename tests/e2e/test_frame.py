"""The frame around every page: addresses, rail, palette, theme, server status, and the rules all pages keep."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.e2e.support import ROOT, Server, Watched, accessibility, get_json, overflows

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.e2e]


def test_the_start_leads_to_the_search(page: Page, server: Server) -> None:
    page.goto(server.url)
    page.get_by_role("list", name="Traces").wait_for()
    assert page.url == f"{server.url}/traces/search"
    assert page.title() == "Search · Pilothouse"


def test_the_rail_shows_what_the_server_reports(page: Page, server: Server) -> None:
    page.goto(server.url)
    rail = page.get_by_role("navigation", name="Planes")
    assert rail.get_by_role("link", name="Traces").get_attribute("href") == "/traces/search"
    assert not rail.get_by_text("Secure").is_visible()
    page.get_by_role("button", name="Collapse the rail").click()
    page.reload()
    page.get_by_role("button", name="Expand the rail").wait_for()
    assert page.locator("aside").first.bounding_box()["width"] < 80  # type: ignore[index]  # it is shown


def test_the_rail_is_a_sheet_on_a_small_screen(page: Page, server: Server) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{server.url}/traces/{server.seeded.checkout}")
    page.get_by_role("button", name="Open the menu").click()
    page.get_by_role("dialog").get_by_role("link", name="Traces").click()
    page.get_by_role("list", name="Traces").wait_for()
    assert not page.get_by_role("dialog").is_visible()


def test_the_palette_goes_to_a_service_and_to_a_trace(page: Page, server: Server) -> None:
    page.goto(server.url)
    page.get_by_role("list", name="Traces").wait_for()
    page.keyboard.press("Control+k")
    page.get_by_role("combobox", name="Go to").fill("paym")
    page.get_by_role("option", name="payment").wait_for()
    assert accessibility(page) == []
    page.keyboard.press("Enter")
    page.wait_for_url("**/traces/search?service=payment")
    page.keyboard.press("Control+k")
    page.get_by_role("combobox", name="Go to").fill(f"  {server.seeded.checkout.upper()} ")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/traces/{server.seeded.checkout}*")


def test_help_names_every_key(page: Page, server: Server, look: tuple[int, str]) -> None:
    page.goto(server.url)
    page.get_by_role("list", name="Traces").wait_for()
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keyboard").wait_for()
    assert accessibility(page) == []
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="detached")


def test_the_theme_is_kept(page: Page, server: Server) -> None:
    page.goto(server.url)
    page.get_by_role("button", name="Switch to the light theme").click()
    page.reload()
    page.get_by_role("button", name="Switch to the dark theme").wait_for()
    assert page.evaluate("document.documentElement.dataset.mantineColorScheme") == "light"


def test_the_range_is_part_of_the_address(page: Page, server: Server) -> None:
    page.goto(server.url)
    page.get_by_role("button", name="Time range").click()
    page.get_by_role("button", name="Last 6 hours").click()
    page.wait_for_url("**/traces/search?from=-6h")
    page.get_by_role("button", name="Live").click()
    page.wait_for_url("**from=-6h&live=1")
    page.get_by_role("list", name="Traces").get_by_role("link").first.click()
    page.wait_for_url(re.compile(r"/traces/[0-9a-f]{32}\?from=-6h&live=1"))
    page.go_back()
    page.get_by_role("button", name="Time range: Last 6 hours").wait_for()


def test_the_server_is_said_to_run(page: Page, server: Server) -> None:
    page.goto(server.url)
    page.get_by_role("button", name="Server: Running").click()
    page.get_by_text("Every component is well.").wait_for()


def test_an_unknown_address_is_said_to_be_one(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/no/such/page")
    page.get_by_role("heading", name="There is no page at this address").wait_for()


def test_a_missing_capability_is_said_to_be_missing(page: Page, server: Server) -> None:
    page.route("**/api/status", lambda route: route.fulfill(json={**route.fetch().json(), "capabilities": []}))
    page.goto(server.url)
    page.get_by_role("heading", name="This server has no traces").wait_for()


def test_nothing_overflows(page: Page, server: Server, look: tuple[int, str]) -> None:
    for path in ("/traces/search", f"/traces/{server.seeded.hostile}"):
        page.goto(f"{server.url}{path}")
        page.locator("[role=treeitem], ul[aria-label=Traces] li").first.wait_for()
        assert not overflows(page)


def test_the_page_may_run_no_code_but_its_own(server: Server, watched: Watched) -> None:
    with urllib.request.urlopen(server.url, timeout=10) as answer:
        policy = answer.headers["content-security-policy"]
        body = answer.read().decode()
    assert "script-src 'self'" in policy or "default-src 'self'" in policy
    assert not re.search(r"<script(?![^>]*\bsrc=)", body)
    watched.page.goto(server.url)
    watched.expected.append("Content Security Policy")
    watched.page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {text: 'window.x = 1'}))"
    )
    assert watched.page.evaluate("window.x") is None


def test_the_types_are_those_of_this_server(server: Server) -> None:
    committed = json.loads((ROOT / "console" / "openapi.json").read_text())
    served = get_json(f"{server.url}/api/openapi.json")
    committed["info"]["version"] = served["info"]["version"]
    assert served == committed, (
        f"save {server.url}/api/openapi.json as {Path('console/openapi.json')}, then npm run generate-types"
    )
