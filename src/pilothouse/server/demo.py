"""The demo shop as a child process: it sends to this server over the network, like any other application.

Its own process, because a load generator inside the server would compete for the interpreter and prove nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections import deque
from collections.abc import Callable
from typing import Final

from pilothouse.kit.clock import Clock
from pilothouse.kit.health import Health, Status

#: Seconds the shop may take to close.
_PATIENCE: Final = 5.0
#: How much of the past the shop fills, so that the first search finds something.
HISTORY: Final = "15m"


class DemoShop:
    """Runs ``pilothouse demo`` beside the server. When it ends, health turns recoverable: the server itself is well.

    Args:
        endpoint: URL of the OTLP/gRPC listener, known once that has started.
        token: The server's bearer token, handed over in the environment.
        config_file: The configuration file of this server, or empty.
        clock: The time.
    """

    name = "demo shop"

    def __init__(self, endpoint: Callable[[], str], token: str, config_file: str, clock: Clock) -> None:
        self._endpoint, self._token, self._config_file, self._clock = endpoint, token, config_file, clock
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._said: deque[str] = deque(maxlen=5)
        self._health = Health(Status.STOPPED)

    async def start(self) -> None:
        """Starts the process; does not wait for its first trace."""
        environment = dict(os.environ)
        if self._token:
            environment["PILOTHOUSE_SERVER__TOKEN"] = self._token
        if self._config_file:
            environment["PILOTHOUSE_CONFIG"] = self._config_file
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "pilothouse.cli.child",
            "demo",
            "--endpoint",
            self._endpoint(),
            "--history",
            HISTORY,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
            # Ctrl-C in the terminal is for the server, which then stops the shop.
            start_new_session=True,
        )
        self._reader = asyncio.create_task(self._watch(self._process), name=self.name)
        self._health = Health(Status.OK, "", self._clock.now_ns())

    async def stop(self) -> None:
        """Asks the shop to close, and insists after a while."""
        if self._process is None or self._reader is None:
            return
        self._health = Health(Status.STOPPING, "", self._clock.now_ns())
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)
            done, _ = await asyncio.wait({self._reader}, timeout=_PATIENCE)
            if done:
                break

    def health(self) -> Health:
        """Recoverable once the shop has ended by itself, with its last words."""
        return self._health

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        if process.stderr is not None:
            async for line in process.stderr:
                self._said.append(line.decode(errors="replace").strip())
        code = await process.wait()
        if self._health.status is Status.OK:
            words = " ".join(self._said) or "it said nothing"
            self._health = Health(
                Status.RECOVERABLE, f"the demo shop ended with code {code}: {words}", self._clock.now_ns()
            )
