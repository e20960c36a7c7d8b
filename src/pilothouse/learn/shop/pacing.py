"""When the shop's customers come: evenly, at a rate, in the past until now, and then as time passes."""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Callable, Iterator
from typing import Final

from msgspec import Struct

from pilothouse.kit.clock import SECOND, Clock
from pilothouse.learn.shop.delivery import Delivery, Outbox
from pilothouse.learn.shop.journeys import LONGEST_NS, Shop

#: Spans that may wait before they are sent; far more than one second makes, so only a backfill gets there.
_FLUSH_AT: Final = 4096
_TICK_SECONDS: Final = 0.5


class Plan(Struct, frozen=True):
    """What to send.

    Attributes:
        rate: Journeys a second.
        seed: Decides everything that happens.
        anchor: "Now" at the start, in nanoseconds.
        history: Nanoseconds to fill before the anchor.
        count: Journeys after which to stop, the last of them ending before the anchor; ``None`` for no end.
        duration: Nanoseconds after the anchor at which to stop; ``None`` for no end.
    """

    rate: float
    seed: int
    anchor: int
    history: int = 0
    count: int | None = None
    duration: int | None = None


class Progress(Struct):
    """How far a run has come; ``finished`` is false when it was stopped before its end."""

    traces: int = 0
    finished: bool = False


def arrivals(plan: Plan) -> Iterator[int]:
    """The nanoseconds at which journeys start, in order: one in every ``1/rate`` seconds, at a random moment of it.

    Every journey starts early enough to end before the moment it is due, so that no span ends in the future.
    """
    rng = random.Random(f"arrivals {plan.seed}")  # noqa: S311 - a story, not a secret
    gap = SECOND / plan.rate
    past = plan.history if plan.count is None else math.ceil(plan.count * gap)
    first = plan.anchor - LONGEST_NS - past
    number = plan.count
    if plan.duration is not None:
        number = math.ceil((plan.history + plan.duration) / gap)
    index = 0
    while number is None or index < number:
        yield first + int((index + rng.random()) * gap)
        index += 1


def run(
    plan: Plan,
    shop: Shop,
    outbox: Outbox,
    delivery: Delivery,
    clock: Clock,
    stop: threading.Event,
    report: Callable[[Progress], None],
) -> Progress:
    """Lets journeys happen when they are due and delivers their spans, until the plan ends or ``stop`` is set.

    Raises:
        ServerUnreachable, Unauthorized, InvalidInput: As ``Delivery.flush``.
    """
    progress = Progress()
    for at in arrivals(plan):
        while at > clock.now_ns() - LONGEST_NS and not stop.is_set():
            delivery.flush()
            report(progress)
            stop.wait(_TICK_SECONDS)
        if stop.is_set():
            break
        progress.traces += shop.happen(at)
        if outbox.waiting >= _FLUSH_AT:
            delivery.flush()
            report(progress)
    else:
        progress.finished = True
    delivery.flush()
    report(progress)
    return progress
