"""``pilothouse demo``: a small shop, instrumented with the OpenTelemetry SDK, that sends traces worth looking at.

Nine services buy, sell, fail, retry and queue in simulated time, from a seed. One of them is guilty of being slow, under one
condition that only attributes reveal; see ``pilothouse.learn.shop.journeys``.
"""

from __future__ import annotations

from pilothouse.kit.capability import Capability, LazyCommand

capability = Capability(
    name="shop",
    title="Demo shop",
    plane="learn",
    summary="A small shop that sends traces worth looking at.",
    commands={
        "demo": LazyCommand("pilothouse.learn.shop.cli:demo", "Send traces of a small shop to a running server."),
    },
)
