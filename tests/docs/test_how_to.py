"""What the how-to pages tell the reader to do works: every command, query, filter and program on them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.docs.pages import DOCS, run_page

pytestmark = pytest.mark.e2e

#: Traces of the demo shop that a page asks about.
DEMO = {"filter": 150, "sql": 150, "jaeger-and-grafana": 60, "export-and-import": 60, "write-a-capability": 20}
PAGES = sorted((DOCS / "how-to").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page(page: Path, tmp_path: Path) -> None:
    if "openssl" in page.read_text("utf-8") and shutil.which("openssl") is None:
        pytest.skip("this page makes a certificate with openssl, which is not installed")
    run_page(page, tmp_path, demo=DEMO.get(page.stem, 0))
