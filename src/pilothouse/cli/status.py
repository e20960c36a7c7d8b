"""``pilothouse status``: how the running server is, from ``/api/status``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from pilothouse.kit import units
from pilothouse.kit.client import connect
from pilothouse.kit.config import load
from pilothouse.kit.terminal import Column, Output, output_option, print_pairs, print_rows, print_value, server_options


@click.command()
@click.option("-v", "--verbose", is_flag=True, help="Also every component.")
@output_option
@server_options
def status(verbose: bool, output: Output, server: str, config_file: str | None) -> None:
    """Show how the running server is; exits 1 unless it is well."""
    answer = connect(load(file=Path(config_file) if config_file else None), server, timeout=5).get("/api/status")
    if output != "table":
        print_value(answer, output)
    else:
        _print(answer, verbose)
    if answer["status"] != "ok":
        click.get_current_context().exit(1)


def _print(answer: Mapping[str, Any], verbose: bool) -> None:
    store, ingest = answer["store"], answer["ingest"]
    reasons = [f"{c['name']}: {c['reason']}" for c in answer["components"] if c["reason"]]
    print_pairs(
        {
            "status": answer["status"] + (f" ({'; '.join(reasons)})" if reasons else ""),
            "version": answer["version"],
            "up for": units.human_duration(answer["uptimeSeconds"] * units.SECOND),
            "data": "in memory only" if answer["ephemeral"] else answer["dataDir"],
            "stored": f"{units.human_count(store['spans'])} spans, {units.human_size(store['bytes'])}",
            "accepted": f"{units.human_count(ingest['stored'])} of {units.human_count(ingest['received'])} spans, "
            f"{units.human_rate(ingest['spansPerSecond'], 'spans')}",
            **{f"{verb}": _reasons(ingest[verb]) for verb in ("refused", "dropped") if ingest[verb]},
        }
    )
    click.echo()
    print_rows(answer["listeners"], [Column("purpose", "WHAT"), Column("protocol"), Column("url", "ADDRESS")])
    if verbose:
        click.echo()
        columns = [Column("name", "COMPONENT"), Column("status"), Column("since"), Column("reason")]
        print_rows(answer["components"], columns)


def _reasons(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{units.human_count(count)} {reason.replace('_', ' ')}" for reason, count in counts.items())
