"""The tutorial does what it says, from `make up` to Jaeger's API."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.docs.pages import DOCS, run_page

pytestmark = pytest.mark.e2e


def test_first_trace(tmp_path: Path) -> None:
    run_page(DOCS / "tutorials" / "first-trace.md", tmp_path)
