"""Explicit lifecycles: whatever runs is a ``Service``, and one ``Supervisor`` starts and stops them all.

Services start in order and stop in reverse, so a service may rely on those before it for its whole life. A failing start
undoes what had started. A service that dies while running is reported by name through ``Supervisor.failed``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from pilothouse.kit.clock import Clock
from pilothouse.kit.errors import PilothouseError
from pilothouse.kit.health import Health, Status

_log = logging.getLogger(__name__)


class Service(Protocol):
    """Something that runs from ``start`` to ``stop``."""

    @property
    def name(self) -> str:
        """Unique within a process, such as ``ingest`` or ``listener otlp_grpc``."""
        ...

    async def start(self) -> None:
        """Returns when the service is ready; raises if it cannot be."""
        ...

    async def stop(self) -> None:
        """Drains and releases everything; returns when done. Called at most once, only after ``start`` returned."""
        ...

    def health(self) -> Health:
        """The state now; cheap, called from any thread."""
        ...


class ServiceCrashed(PilothouseError):
    """A service reported a fatal error while it was running."""

    slug, title = "service-crashed", "Component failed"


class Supervisor:
    """Starts services in order, watches them, stops them in reverse.

    Args:
        services: In the order in which they start.
        clock: Source of ``since_ns`` in the health of services that are not running.
        stop_timeout: Seconds one service may take to drain before it is abandoned (and logged).
        watch_interval: Seconds between two looks at the services' health.
        starting: Called with a service's name just before it starts, to show progress.
    """

    def __init__(
        self,
        services: Sequence[Service],
        clock: Clock,
        *,
        stop_timeout: float = 15.0,
        watch_interval: float = 0.5,
        starting: Callable[[str], None] | None = None,
    ) -> None:
        self._services = list(services)
        self._clock = clock
        self._stop_timeout = stop_timeout
        self._watch_interval = watch_interval
        self._starting = starting
        self._running: list[Service] = []
        self._phase: dict[str, Health] = {s.name: self._at(Status.STOPPED) for s in self._services}
        self._watcher: asyncio.Task[None] | None = None
        #: Completed with the first ``ServiceCrashed``; await it beside the stop signal. Exists after ``start``.
        self.failed: asyncio.Future[ServiceCrashed] | None = None

    async def start(self) -> None:
        """Starts every service; on the first failure stops those already started, in reverse, and raises that failure."""
        self.failed = failed = asyncio.get_running_loop().create_future()
        for service in self._services:
            self._phase[service.name] = self._at(Status.STARTING)
            if self._starting is not None:
                self._starting(service.name)
            try:
                await service.start()
            except BaseException as error:
                self._phase[service.name] = self._at(Status.FATAL, str(error))
                _log.debug("%s did not start: %s", service.name, error)
                await self.stop()
                raise
            self._running.append(service)
            del self._phase[service.name]
        self._watcher = asyncio.create_task(self._watch(failed), name="supervisor")

    async def stop(self) -> None:
        """Stops what runs, in reverse order. One service that fails or hangs does not keep the others from stopping."""
        if self._watcher is not None:
            self._watcher.cancel()
            self._watcher = None
        while self._running:
            service = self._running.pop()
            self._phase[service.name] = self._at(Status.STOPPING)
            try:
                await asyncio.wait_for(service.stop(), self._stop_timeout)
            except TimeoutError:
                _log.error("%s did not stop within %.0f s and was abandoned", service.name, self._stop_timeout)
            except Exception:
                _log.exception("%s failed while stopping", service.name)
            self._phase[service.name] = self._at(Status.STOPPED)

    def health(self) -> dict[str, Health]:
        """Every service's state by name, in starting order."""
        return {s.name: self._phase.get(s.name) or s.health() for s in self._services}

    async def _watch(self, failed: asyncio.Future[ServiceCrashed]) -> None:
        """Looks for services that died. Polling keeps ``Service`` free of callbacks; a death is found within the interval."""
        while not failed.done():
            for service in self._running:
                health = service.health()
                if health.status is Status.FATAL:
                    failed.set_result(ServiceCrashed(f"{service.name} failed: {health.reason}"))
                    return
            await asyncio.sleep(self._watch_interval)

    def _at(self, status: Status, reason: str = "") -> Health:
        return Health(status, reason, self._clock.now_ns())
