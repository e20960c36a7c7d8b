"""Numbers in the prose are the numbers in the code."""

from __future__ import annotations

import re

import pytest
from tests.docs.pages import DOCS

from pilothouse.kit import config
from pilothouse.kit.http import service
from pilothouse.observe.traces.columns import WARNINGS
from pilothouse.observe.traces.groups import NO_SERVICE
from pilothouse.observe.traces.schema import MAX_SHAPES
from pilothouse.signals.bloom import ZONE_ROWS

_DEFAULTS = {s.key: s for s in config.settings()}


def default(key: str) -> str:
    """A default as prose writes it: ``64 MiB``, ``20 ms``, ``2,048``."""
    setting = _DEFAULTS[key]
    if setting.unit == "":
        return f"{setting.default:,}"
    return re.sub(r"(?<=\d)(?=[a-zA-Z])", " ", setting.default_text)


FACTS = {
    "explanation/store.md": (
        f"{MAX_SHAPES:,}",
        f"{ZONE_ROWS:,}",
        default("store.segment_rows"),
        default("store.checkpoint_bytes"),
    ),
    "explanation/ingest.md": (
        default("ingest.commit_wait"),
        default("ingest.group_spans"),
        default("ingest.max_body"),
        default("ingest.queue_bytes"),
        *(f"`{name}`" for name in NO_SERVICE.values()),
    ),
    "explanation/security.md": (
        f"{service.MAX_HEAD >> 10} KiB, in {service.HEAD_TIMEOUT:.0f} seconds",
        f"{service.MAX_CONNECTIONS:,} at once",
        default("ingest.max_body"),
        default("query.max_trace_spans"),
    ),
    "how-to/retention.md": (default("store.retention_bytes"), default("store.memory"), default("store.segment_rows")),
    "how-to/sql.md": (default("query.max_rows"), default("query.memory")),
}


@pytest.mark.parametrize("page", FACTS)
def test_numbers(page: str) -> None:
    text = " ".join((DOCS / page).read_text("utf-8").split())
    assert [fact for fact in FACTS[page] if fact not in text] == []


def test_the_warnings_are_those_that_are_told() -> None:
    assert len(WARNINGS) == 2, "explanation/ingest.md says which mendings leave a warning"
