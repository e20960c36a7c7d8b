"""Prometheus metrics of this process, on a listener of their own."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pilothouse.kit.telemetry import CONTENT_TYPE, Registry

_STATM = Path("/proc/self/statm")


def register_process(registry: Registry) -> None:
    """Adds the process's own metrics, under the names the OpenTelemetry Collector uses."""
    registry.probe("otelcol_process_cpu_seconds_total", "CPU time used, user and system.", cpu_seconds, "counter")
    registry.probe("otelcol_process_memory_rss_bytes", "Resident memory.", resident_bytes)


def metrics_routes(registry: Registry) -> list[Route]:
    """``GET /metrics``."""

    async def metrics(request: Request) -> Response:
        return Response(registry.render(), media_type=CONTENT_TYPE)

    return [Route("/metrics", metrics, methods=["GET"])]


def cpu_seconds() -> float:
    """Seconds of CPU this process has used."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def resident_bytes() -> float:
    """Resident memory now; where the system does not tell, the most there ever was."""
    if _STATM.exists():
        return int(_STATM.read_text().split()[1]) * resource.getpagesize()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024)
