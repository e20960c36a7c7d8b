"""``pilothouse up``: starts the house, says where it listens, and stops it in order."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from pilothouse import __version__
from pilothouse.kit import config as kit_config
from pilothouse.kit.errors import EXIT_INTERRUPTED
from pilothouse.kit.units import exact_duration, human_size

if TYPE_CHECKING:
    from pilothouse.server.app import House

_HEADINGS: Final = {
    "server": "Server",
    "listen": "Listeners (HOST:PORT; empty turns one off)",
    "store": "Store",
    "ingest": "Ingest",
    "query": "Queries",
}


class _UpCommand(click.Command):
    """Lists its many options in the sections of the configuration."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {"": [], **{heading: [] for heading in _HEADINGS.values()}}
        by_parameter = {_parameter(s): s for s in kit_config.settings()}
        for parameter in self.get_params(ctx):
            if (record := parameter.get_help_record(ctx)) is None:
                continue
            setting = by_parameter.get(parameter.name or "")
            sections[_HEADINGS[setting.section] if setting else ""].append(record)
        for heading, records in sections.items():
            with formatter.section(heading or "Options"):
                formatter.write_dl(records)


def _parameter(setting: kit_config.Setting) -> str:
    return setting.key.replace(".", "__")


def _setting_options(command: Callable[..., int]) -> Callable[..., int]:
    """One option for each setting that has a flag."""
    for setting in reversed(kit_config.settings()):
        if not setting.flag:
            continue
        shown = setting.default_text
        help_text = f"{setting.description}{f' [default: {shown}]' if shown and setting.kind is not bool else ''}."
        kind: dict[str, Any] = (
            {"is_flag": True, "default": None} if setting.kind is bool else {"metavar": _metavar(setting)}
        )
        command = click.option(setting.flag, _parameter(setting), help=help_text, **kind)(command)
    return command


def _metavar(setting: kit_config.Setting) -> str:
    if setting.unit:
        return {"bytes": "SIZE", "duration": "TIME", "address": "ADDRESS"}[setting.unit]
    if setting.kind is int:
        return "N"
    return {"server.data": "DIR", "server.ui_assets": "DIR", "server.log_level": "LEVEL"}.get(setting.key, "FILE")


@click.command(cls=_UpCommand)
@click.option("--demo", is_flag=True, help="Also run the demo shop, which sends traces.")
@click.option("--config", "config_file", type=click.Path(dir_okay=False), help="Configuration file.", metavar="FILE")
@_setting_options
def up(demo: bool, config_file: str | None, **flags: object) -> int:
    """Start Pilothouse: receive traces, answer questions, show the console. Ctrl-C stops it in order.

    A token for listening beyond this machine comes from PILOTHOUSE_SERVER__TOKEN or the configuration file, never from a flag.
    """
    began = time.perf_counter()
    given = {key.replace("__", ".", 1): value for key, value in flags.items() if value is not None}
    effective = kit_config.load(given, file=Path(config_file) if config_file else None)
    level = effective.config.server.log_level.upper()
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")

    # Starting the demo forks, and gRPC would log that it does not follow; nothing of gRPC is used in the child.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(effective, demo, began))


async def _serve(effective: kit_config.Effective, demo: bool, began: float) -> int:
    stop: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    _on_signals(stop)
    progress = _StartProgress()
    progress("the libraries")
    from pilothouse.server.app import House

    house = House(effective, demo=demo, starting=progress)
    starting = asyncio.create_task(house.supervisor.start())
    try:
        either: set[asyncio.Future[Any]] = {starting, stop}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
        await asyncio.gather(starting, return_exceptions=stop.done())
    finally:
        progress.done()
    if stop.done():
        await house.supervisor.stop()
        return 0
    click.echo(_welcome(house, demo, time.perf_counter() - began))
    failed = house.supervisor.failed
    if failed is None:
        raise RuntimeError("the supervisor started without a failure signal")
    ends: set[asyncio.Future[Any]] = {stop, failed}
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    _say("Stopping: finishing what was accepted …")
    await house.supervisor.stop()
    _say("Stopped.")
    if failed.done():
        raise failed.result()
    return 0


def _on_signals(stop: asyncio.Future[None]) -> None:
    """The first SIGINT or SIGTERM asks for an orderly stop, the second ends the process where it stands."""

    def ask() -> None:
        if stop.done():
            os._exit(EXIT_INTERRUPTED)
        stop.set_result(None)

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ask)


def _welcome(house: House, demo: bool, seconds: float) -> str:
    """The one block of addresses."""
    config = house.context.config
    listeners = house.listeners()
    width = max((len(x.purpose) for x in listeners), default=0) + 3
    head = click.style(f"Pilothouse {__version__} is up", bold=True)
    lines = [f"{head} (ready in {seconds:.1f} s)", ""]
    lines += [f"  {x.purpose:<{width}}{click.style(x.url, fg='cyan')}" for x in listeners]
    age = exact_duration(config.store.retention_age) if config.store.retention_age else "ever"
    size = f", at most {human_size(config.store.retention_bytes)}" if config.store.retention_bytes else ""
    kept = "until it stops (--ephemeral)" if config.server.ephemeral else f"for {age}{size}, in {config.server.data}"
    lines += ["", f"  {'Traces are kept':<{width}}{kept}"]
    if demo:
        lines.append(f"  {'Demo shop':<{width}}sends traces until this stops")
    lines += ["", "  Ctrl-C stops it in order."]
    return "\n".join(lines)


def _say(text: str) -> None:
    if sys.stderr.isatty():
        click.echo(text, err=True)


class _StartProgress:
    """One line on a terminal that says what is starting."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()

    def __call__(self, what: str) -> None:
        if self._shown:
            click.echo(f"\r\x1b[2KStarting {what} …", err=True, nl=False)

    def done(self) -> None:
        """Clears the line."""
        if self._shown:
            click.echo("\r\x1b[2K", err=True, nl=False)
