"""What every test may use."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the configuration or the data of whoever runs it."""
    home = tmp_path_factory.mktemp("home")
    for name in [n for n in os.environ if n.startswith("PILOTHOUSE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))


@pytest.fixture(scope="session")
def chromium() -> Path:
    """The browser that `make test` installs; tests that need it skip with the reason when there is none."""
    for name in (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome"):
        if name and (found := shutil.which(name)):
            return Path(found)
    pytest.skip("no Chromium: install it (Debian: apt-get install chromium) or set CHROMIUM to its path")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests come last: Playwright keeps an event loop running in the main thread, where others start their own."""
    items.sort(key=lambda item: "tests/e2e/" in item.nodeid)
