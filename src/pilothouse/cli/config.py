"""``pilothouse config show``: each effective value and where it came from."""

from __future__ import annotations

from pathlib import Path

import click

from pilothouse.kit import config as kit_config
from pilothouse.kit.terminal import Column, Output, output_option, print_rows


@click.group()
def config() -> None:
    """Show the effective configuration."""


@config.command()
@click.option("--config", "config_file", type=click.Path(dir_okay=False), help="Configuration file.")
@click.option("--all", "everything", is_flag=True, help="Also say what each setting is for.")
@output_option
def show(config_file: str | None, everything: bool, output: Output) -> None:
    """Print every setting, its value and where the value came from."""
    effective = kit_config.load(file=Path(config_file) if config_file else None)
    rows = [
        {
            "key": setting.key,
            "value": setting.show(effective.value(setting.key)),
            "origin": effective.origins[setting.key],
            "default": setting.show(setting.default),
            "flag": setting.flag,
            "env": setting.env,
            "description": setting.description,
        }
        for setting in kit_config.settings()
    ]
    columns = [Column("key", "SETTING"), Column("value"), Column("origin", "FROM", style="dim")]
    print_rows(rows, [*columns, Column("description", "WHAT FOR")] if everything else columns, output)
