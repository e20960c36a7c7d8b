"""The reference says what the code says, all of it; and every dependency has its reason."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

import click
import pytest
from tests.docs.pages import DOCS, ROOT, Page
from tools.docs_reference import MARK, Reference

from pilothouse.cli.tree import root


@pytest.fixture
def reference(monkeypatch: pytest.MonkeyPatch) -> Reference:
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)  # as the tool does: the default as it is for most people
    return Reference()


def test_the_generated_part_is_up_to_date(reference: Reference) -> None:
    for name, made in reference.pages().items():
        _, mark, below = (DOCS / "reference" / name).read_text("utf-8").partition(MARK)
        assert mark, name
        assert below.strip() == made.strip(), f"docs/reference/{name}: run tools/docs_reference.py"
    assert reference.gaps == []


def test_what_has_no_description_is_a_gap(reference: Reference, monkeypatch: pytest.MonkeyPatch) -> None:
    reference.house.context.metrics.counter("silent_total", "")
    list(reference.metrics())
    assert reference.gaps == ["metric silent_total"]

    status = root.get_command(click.Context(root), "status")
    assert status is not None
    monkeypatch.setattr(status, "help", None)
    monkeypatch.setattr(status, "params", [*status.params, click.Option(["--silent"])])
    list(reference.commands())
    assert reference.gaps[1:] == ["command pilothouse status", "pilothouse status --silent TEXT"]


@pytest.mark.e2e
def test_a_running_server_has_nothing_undocumented(tmp_path: Path) -> None:
    page = Page(tmp_path, demo=5)
    try:
        page.run("curl -sS http://127.0.0.1:8888/metrics", 0, 0)
        names = re.findall(r"^# HELP (\w+)", page.said, re.MULTILINE)
        assert names
        documented = (DOCS / "reference" / "metrics.md").read_text("utf-8")
        assert [name for name in names if f"`{name}`" not in documented] == []
        page.run("pilothouse status -o json", 0, 0)
        addresses = re.findall(r'"name": "(\w+)",\s+"protocol"', page.said)
        documented = (DOCS / "reference" / "listeners.md").read_text("utf-8")
        assert addresses
        assert [name for name in addresses if f"`listen.{name}`" not in documented] == []
    finally:
        page.close()


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [*project["dependencies"], *(x for extra in project["optional-dependencies"].values() for x in extra)]
    names = {re.split(r"[^\w.-]", requirement, maxsplit=1)[0] for requirement in wanted}
    rows = re.findall(
        r"^\| `([\w.-]+)` \| ([^|]+) \| ([^|]+) \|$",
        (DOCS / "explanation" / "dependencies.md").read_text("utf-8"),
        re.MULTILINE,
    )
    assert {name for name, _, _ in rows} == names
    assert all(why.strip() and instead.strip() for _, why, instead in rows)


def test_relative_links_lead_somewhere() -> None:
    """Sphinx checks links between pages; this holds for readers of the sources too, files and pictures included."""
    for page in DOCS.rglob("*.md"):
        if "_build" in page.parts:
            continue
        for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text("utf-8")):
            assert os.path.exists(page.parent / target), f"{page.relative_to(ROOT)}: {target}"
