"""What the browser tests share: the server under test, a page that is watched, and what is checked on every page."""

from __future__ import annotations

import json
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e import seed

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = Path(__file__).parents[2]
AXE = ROOT / "console" / "node_modules" / "axe-core" / "axe.min.js"


@dataclass
class Server:
    """A running ``pilothouse up`` and what was sent to it."""

    url: str
    otlp_http: str
    seeded: seed.Seeded


@dataclass
class Watched:
    """A page with what must not happen on it."""

    page: Page
    errors: list[str] = field(default_factory=list)
    #: Texts of console errors that a test provokes, such as a refused request.
    expected: list[str] = field(default_factory=list)

    def unexpected(self) -> list[str]:
        """What went wrong and was not provoked."""
        return [e for e in self.errors if not any(text in e for text in self.expected)]


def status(url: str) -> dict[str, Any]:
    """``/api/status`` of a server."""
    return get_json(f"{url}/api/status")


def get_json(url: str) -> dict[str, Any]:
    """A JSON answer."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def accessibility(page: Page) -> list[str]:
    """What axe finds wrong, one line each."""
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: npm ci in console/")
    page.evaluate(AXE.read_text())
    result = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [f"{v['id']}: {v['nodes'][0]['html'][:200]}" for v in result["violations"]]


def overflows(page: Page) -> bool:
    """Whether the page can be scrolled sideways, which it never should."""
    wide: bool = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    return wide
