"""The substrate that stores what happened: events in columns, on one embedded engine.

A capability declares tables (``tables``), writes through a group commit (``writer``) and asks its questions in SQL. This
module knows no plane: what a span is, only the declarations say.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pilothouse.kit.clock import Clock
from pilothouse.kit.config import Config
from pilothouse.signals.store import Settings, Signals


def open(config: Config, clock: Clock, tables: Sequence[Any]) -> Signals:  # noqa: A001 - as the standard library's modules
    """The store that ``config`` describes; it is opened when its ``service`` starts.

    Args:
        config: Sections ``server``, ``store`` and ``query``.
        clock: For retention.
        tables: The declarations of all capabilities (``Table`` and ``SegmentedTable``).
    """
    store = config.store
    return Signals(
        None if config.server.ephemeral else Path(config.server.data).expanduser(),
        Settings(
            memory=store.memory,
            threads=store.threads,
            checkpoint_bytes=store.checkpoint_bytes,
            query_memory=config.query.memory,
            segment_rows=store.segment_rows,
            retention_age=store.retention_age,
            retention_bytes=store.retention_bytes,
        ),
        clock,
        tables,
    )
