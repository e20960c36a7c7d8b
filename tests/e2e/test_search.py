"""The search page on real data, and in each of its states."""

from __future__ import annotations

import shlex
import subprocess
import sys
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.e2e import seed
from tests.e2e.support import Server, Watched, accessibility

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page, Route

pytestmark = [pytest.mark.browser, pytest.mark.e2e]

PROBLEM = {
    "type": "urn:pilothouse:problem:query-timeout",
    "title": "Query took too long",
    "status": 504,
    "detail": "the search was stopped after 10 s",
    "remedy": "Narrow the range of time.",
    "request_id": "abc123",
}


def _rows(page: Page) -> Locator:
    return page.get_by_role("list", name="Traces").get_by_role("listitem")


def _query(page: Page) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


def test_traces_are_listed(page: Page, server: Server, look: tuple[int, str]) -> None:
    page.goto(f"{server.url}/traces/search?service=payment")
    row = _rows(page).first
    row.wait_for()
    text = row.inner_text()
    assert "POST /checkout" in text
    assert "170 ms" in text.replace("\u00a0", " ")
    assert accessibility(page) == []


def test_all_pages_come_in_without_gaps_or_repeats(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/traces/search?service=catalog")
    _rows(page).first.wait_for()
    for _ in range(100):
        page.locator("[data-scroll-restoration-id]").evaluate("(list) => { list.scrollTop = list.scrollHeight }")
        if page.get_by_text("These are all.").is_visible():
            break
        page.wait_for_timeout(50)
    page.get_by_text(f"{seed.MANY} traces, newest match first").wait_for()
    assert _rows(page).last.get_attribute("aria-posinset") == str(seed.MANY)
    assert _rows(page).count() < 80, "only rows in sight exist"


def test_a_service_and_its_operation_are_chosen(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/traces/search")
    page.get_by_role("combobox", name="Service").fill("catal")
    page.get_by_role("option", name="catalog").click()
    page.wait_for_url("**service=catalog*")
    page.get_by_role("combobox", name="Operation").click()
    page.get_by_role("option", name="GET /product/1").click()
    page.wait_for_url("**operation=*")
    assert _query(page) == {"service": "catalog", "operation": "GET /product/1"}
    page.get_by_text("43 traces").wait_for()
    page.get_by_role("combobox", name="Service").press("Backspace")


def test_errors_and_durations_narrow_the_list(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/traces/search")
    _rows(page).first.wait_for()
    page.get_by_role("radiogroup", name="Status").get_by_text("Error").click()
    page.get_by_text("1 trace, newest match first").wait_for()
    page.get_by_role("textbox", name="Max duration").fill("1ms")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="No trace matches").wait_for()
    assert _query(page) == {"status": "error", "max": "1ms"}
    assert accessibility(page) == []
    page.get_by_role("button", name="Clear the filters").click()
    _rows(page).first.wait_for()
    assert _query(page) == {}


def test_the_filter_is_completed_from_the_server(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/traces/search")
    field = page.get_by_role("combobox", name="Filter")
    field.press_sequentially("http.resp")
    page.get_by_role("option", name="http.response.status_code").wait_for()
    assert accessibility(page) == []
    field.press("Tab")
    field.press_sequentially("= ")
    page.get_by_role("option", name="502").wait_for()
    field.press("ArrowDown")
    field.press("Enter")
    assert field.input_value().strip() == "http.response.status_code = 502"
    field.press("Escape")
    field.press("Enter")
    page.get_by_text("1 trace, newest match first").wait_for()
    assert _query(page) == {"filter": "http.response.status_code = 502"}


def test_a_mistake_in_the_filter_is_underlined_where_it_is(watched: Watched, server: Server) -> None:
    page = watched.page
    page.goto(f"{server.url}/traces/search")
    field = page.get_by_role("combobox", name="Filter")
    field.fill("service checkout")
    field.press("Enter")
    page.get_by_text("an operator is missing before this").wait_for()
    assert page.locator("[class*=wrong]").inner_text() == "checkout"
    assert "filter" not in _query(page)
    watched.expected.append("400")
    field.fill("kind = sideways and a = 1")
    field.press("Enter")
    page.locator("[class*=wrong]").wait_for()
    assert page.locator("[class*=wrong]").inner_text() == "sideways"
    assert accessibility(page) == []


def test_the_list_is_walked_by_keyboard(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/traces/search?service=catalog")
    _rows(page).first.wait_for()
    for key in ("j", "j", "j", "k"):
        page.keyboard.press(key)
    page.wait_for_function("document.activeElement.closest('li')?.ariaPosInSet === '2'")
    page.keyboard.press("Enter")
    page.get_by_role("tree", name="Spans").wait_for()
    page.go_back()
    _rows(page).first.wait_for()
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Filter"


def test_the_same_question_works_in_the_terminal(page: Page, server: Server) -> None:
    page.goto(f"{server.url}/traces/search?service=checkout&filter=http.route%20%3D%20%22/orders/%7Bid%7D%22&from=-6h")
    page.get_by_role("button", name="Same in the terminal").click()
    page.get_by_role("button", name="Copied").wait_for()
    words = shlex.split(page.evaluate("navigator.clipboard.readText()"))
    assert words[0] == "pilothouse"
    command = [sys.executable, "-m", *words, "--server", server.url, "-o", "json"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert answer.returncode == 0, answer.stderr
    assert "traceId" in answer.stdout


def test_an_empty_store_says_how_to_fill_it(page: Page, server: Server, look: tuple[int, str]) -> None:
    def empty(route: Route) -> None:
        found = route.fetch().json()
        route.fulfill(json={**found, "store": {**found["store"], "spans": 0, "oldest": None, "newest": None}})

    page.route("**/api/status", empty)
    page.route("**/api/traces/search*", lambda r: r.fulfill(json={"traces": [], "next": None, "warnings": []}))
    page.goto(f"{server.url}/traces/search")
    page.get_by_role("heading", name="No spans have arrived yet").wait_for()
    command = page.locator("pre").first.inner_text()
    assert f"{server.otlp_http}/v1/traces" in command
    assert accessibility(page) == []


def test_the_first_command_works_as_it_stands(page: Page, server: Server) -> None:
    found = {"spans": 0, "bytes": 0, "segments": 0, "oldest": None, "newest": None}
    page.route("**/api/status", lambda r: r.fulfill(json={**r.fetch().json(), "store": found}))
    page.route("**/api/traces/search*", lambda r: r.fulfill(json={"traces": [], "next": None, "warnings": []}))
    page.goto(f"{server.url}/traces/search")
    command = page.locator("pre").first.inner_text()
    answer = subprocess.run(["sh", "-c", f"{command} -w '%{{http_code}}'"], capture_output=True, text=True, check=True)
    assert answer.stdout.endswith("200"), answer.stdout
    page.unroute_all()
    page.goto(f"{server.url}/traces/search?service=hello")
    _rows(page).first.wait_for()


def test_a_refusal_says_what_and_what_to_do(watched: Watched, server: Server, look: tuple[int, str]) -> None:
    page = watched.page
    watched.expected.append("504")
    page.route(
        "**/api/traces/search*",
        lambda r: r.fulfill(status=504, json=PROBLEM, content_type="application/problem+json"),
    )
    page.goto(f"{server.url}/traces/search")
    alert = page.get_by_role("alert")
    alert.wait_for()
    for text in (PROBLEM["title"], PROBLEM["detail"], PROBLEM["remedy"], PROBLEM["request_id"]):
        assert str(text) in alert.inner_text()
    assert accessibility(page) == []
    page.unroute_all()
    page.get_by_role("button", name="Try again").click()
    _rows(page).first.wait_for()


def test_a_server_that_went_away_is_said_to_be_away_and_comes_back(watched: Watched, server: Server) -> None:
    page = watched.page
    watched.expected.append("ERR_")
    page.goto(f"{server.url}/traces/search")
    _rows(page).first.wait_for()
    page.route("**/api/**", lambda route: route.abort())
    page.get_by_role("button", name="Refresh").click()
    page.locator("[data-state=stale]").wait_for()
    page.get_by_role("button", name="Server: No answer").wait_for()
    assert _rows(page).first.is_visible(), "the data stays"
    page.unroute_all()
    page.get_by_role("button", name="Server: Running").wait_for()
    page.locator("[data-state=stale]").wait_for(state="detached")


def test_a_token_is_asked_for_and_sent(watched: Watched, server: Server) -> None:
    page = watched.page
    watched.expected.append("401")

    def guard(route: Route) -> None:
        if route.request.headers.get("authorization") == "Bearer sesame":
            route.continue_()
        else:
            problem = {
                "title": "Token needed",
                "status": 401,
                "detail": "this server wants a token",
                "type": "about:blank",
            }
            route.fulfill(status=401, json=problem, content_type="application/problem+json")

    page.route("**/api/**", guard)
    page.goto(f"{server.url}/traces/search")
    page.get_by_role("textbox", name="Server token").fill("sesame")
    assert accessibility(page) == []
    page.get_by_role("button", name="Unlock").click()
    _rows(page).first.wait_for()


def test_a_search_in_flight_shows_its_skeleton(page: Page, server: Server) -> None:
    held: list[Route] = []
    page.route("**/api/traces/search*", lambda route: held.append(route))
    page.goto(f"{server.url}/traces/search")
    page.locator("[data-state=loading]").wait_for()
    assert accessibility(page) == []
    for route in held:
        route.continue_()
    _rows(page).first.wait_for()
