"""``pilothouse demo``: opens the shop and keeps the user posted in few words."""

from __future__ import annotations

import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from pilothouse.kit.clock import SystemClock
from pilothouse.kit.config import Server, load, split_address
from pilothouse.kit.errors import EXIT_INTERRUPTED, MissingExtra, UsageError
from pilothouse.kit.units import SECOND, human_duration, parse_duration

if TYPE_CHECKING:
    from pilothouse.learn.shop.delivery import Delivery
    from pilothouse.learn.shop.pacing import Plan, Progress

#: A run that will end waits this long for a server that is away; one without an end waits for ever.
_PATIENCE = 15 * SECOND


def _duration(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    try:
        return parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command()
@click.option("--endpoint", metavar="ADDRESS", help="OTLP server, HOST:PORT or URL. Default: the configured listener.")
@click.option(
    "--protocol", type=click.Choice(["grpc", "http"]), default="grpc", show_default=True, help="OTLP transport."
)
@click.option("--rate", type=click.FloatRange(0.001, 2000), default=2.0, show_default=True, help="Traces a second.")
@click.option(
    "--seed", type=click.IntRange(0), help="Makes the same things happen again. Default: random, and printed."
)
@click.option("--duration", callback=_duration, metavar="TIME", help="Stop after this time, such as 30s.")
@click.option(
    "--count", type=click.IntRange(1), metavar="N", help="Send N requests' traces of the recent past and stop."
)
@click.option("--once", is_flag=True, help="Same as --count 1; prints the trace id.")
@click.option("--history", callback=_duration, metavar="TIME", help="First fill this much of the past, such as 1h.")
@click.option(
    "--at", type=click.IntRange(1), metavar="NS", help="With --count: pretend that now is NS since the epoch."
)
@click.option("--config", "config_file", type=click.Path(dir_okay=False), help="Configuration file.", metavar="FILE")
def demo(
    endpoint: str | None,
    protocol: str,
    rate: float,
    seed: int | None,
    duration: int | None,
    count: int | None,
    once: bool,
    history: int | None,
    at: int | None,
    config_file: str | None,
) -> None:
    """Send traces of a small shop to a running server.

    Nine services sell, fail, retry and queue, written on the OpenTelemetry SDK. Everything follows from the seed. One operation
    is slow under one condition that only attributes reveal.
    """
    count = 1 if once else count
    if count is not None and (duration is not None or history is not None):
        raise UsageError("--count and --once end by themselves", remedy="Leave out --duration and --history.")
    if at is not None and count is None:
        raise UsageError("--at needs --count: a shop in the past cannot wait for now")
    try:
        from pilothouse.learn.shop.pacing import Plan
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("opentelemetry"):
            raise
        raise MissingExtra("The demo shop", "demo") from error
    plan = Plan(
        rate=rate,
        seed=secrets.randbelow(100_000) if seed is None else seed,
        anchor=time.time_ns() if at is None else at,
        history=history or 0,
        count=count,
        duration=duration,
    )
    config = load(file=Path(config_file) if config_file else None).config
    configured = config.listen.otlp_http if protocol == "http" else config.listen.otlp_grpc
    url = _url(endpoint or configured, secure=bool(config.server.tls_cert) and endpoint is None)
    _open_shop(plan, protocol, url, config.server)


def _url(address: str, *, secure: bool) -> str:
    """``http://host:port`` from what the user wrote, or from the configuration."""
    if address.startswith(("http://", "https://")):
        return address.rstrip("/").removesuffix("/v1/traces")
    if not address or address.endswith(":0"):
        raise UsageError("the configuration does not say where the server listens", remedy="Use --endpoint ADDRESS.")
    try:
        host, port = split_address(address)
    except ValueError as error:
        raise UsageError(str(error), where="--endpoint") from error
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - connected to, not bound
    return f"{'https' if secure else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


def _open_shop(plan: Plan, protocol: str, url: str, server: Server) -> None:
    from pilothouse.learn.shop.cluster import Cluster
    from pilothouse.learn.shop.delivery import Delivery, Outbox, make_exporter
    from pilothouse.learn.shop.journeys import Shop
    from pilothouse.learn.shop.pacing import run
    from pilothouse.learn.shop.services import DEPLOYMENTS

    endless = plan.count is None and plan.duration is None
    what = f"{_plural(plan.count, 'journey')}" if plan.count else f"{plan.rate:g} journeys/s"
    past = f" and the last {human_duration(plan.history)}" if plan.history else ""
    until = "" if plan.count else f", {f'for {human_duration(plan.duration)}' if plan.duration else 'until Ctrl-C'}"
    click.echo(f"The shop is open: {len(DEPLOYMENTS)} services, {what}{past}, seed {plan.seed}.")
    click.echo(f"Sending OTLP/{'HTTP' if protocol == 'http' else 'gRPC'} to {url}{until}.")
    if not plan.count:
        click.echo("One operation is slow, for some customers only. To find out which, start with:")
        click.echo("  pilothouse traces search --service catalog --min-duration 500ms")

    outbox, clock, stop = Outbox(), SystemClock(), threading.Event()
    shop = Shop(Cluster(plan.seed, plan.anchor, outbox))
    with _stopping(stop), _StatusLine() as line:
        exporter = make_exporter(protocol, url, server.token, server.tls_cert)
        delivery = Delivery(exporter, outbox, url, clock, stop, line.say, None if endless else _PATIENCE)
        try:
            progress = run(plan, shop, outbox, delivery, clock, stop, lambda now: line.show(now, delivery))
        finally:
            delivery.close()
    click.echo(f"The shop is closed: {_plural(progress.traces, 'trace')}, {_plural(delivery.sent, 'span')} delivered.")
    if outbox.waiting:
        click.echo(f"{_plural(outbox.waiting, 'span')} could not be delivered: the server was away.", err=True)
    if plan.count == 1 and progress.finished:
        click.echo(f"  pilothouse traces show {outbox.latest_trace:032x}")
    if not progress.finished and not endless:
        sys.exit(EXIT_INTERRUPTED)


def _plural(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


@contextmanager
def _stopping(stop: threading.Event) -> Iterator[None]:
    """Ctrl-C and SIGTERM ask for an orderly end. Signals belong to the main thread; elsewhere the caller stops us."""

    def ask(signum: int, frame: FrameType | None) -> None:
        stop.set()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _StatusLine:
    """One line that counts, on a terminal only; messages go above it, to standard error."""

    def __init__(self) -> None:
        self._live: Callable[[str], None] | None = None

    def __enter__(self) -> _StatusLine:
        if sys.stdout.isatty():
            from rich.console import Console

            self._status = Console(highlight=False).status("Opening…", spinner="dots")
            self._status.start()
            self._live = self._status.update
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._status.stop()
            self._live = None

    def show(self, progress: Progress, delivery: Delivery) -> None:
        """Counts."""
        if self._live is not None:
            self._live(f"{progress.traces:,} traces · {delivery.sent:,} spans delivered")

    def say(self, message: str) -> None:
        """Tells what changed."""
        if self._live is not None:
            self._live("Waiting for the server…")
        click.echo(message, err=True)
