"""How a component says how it is, in the vocabulary of the OpenTelemetry Collector's component status.

A status other than ``ok`` carries a reason a person can act on. The health listener (``:13133/status``) and ``/api/status``
are two renderings of the same values.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct


class Status(StrEnum):
    """The life of a component. ``wire`` is the name the collector's health check extension uses."""

    STARTING = "starting"
    OK = "ok"
    RECOVERABLE = "recoverable"
    PERMANENT = "permanent"
    FATAL = "fatal"
    STOPPING = "stopping"
    STOPPED = "stopped"

    @property
    def wire(self) -> str:
        """``StatusOK``, ``StatusRecoverableError`` and so on."""
        return _WIRE[self]

    @property
    def serving(self) -> bool:
        """Whether requests are answered: not while starting, stopping or stopped, nor after a fatal error."""
        return self in (Status.OK, Status.RECOVERABLE, Status.PERMANENT)


_WIRE = {
    Status.STARTING: "StatusStarting",
    Status.OK: "StatusOK",
    Status.RECOVERABLE: "StatusRecoverableError",
    Status.PERMANENT: "StatusPermanentError",
    Status.FATAL: "StatusFatalError",
    Status.STOPPING: "StatusStopping",
    Status.STOPPED: "StatusStopped",
}

#: Worst first: one fatal component makes the whole fatal, whatever the others say.
_PRECEDENCE = (
    Status.FATAL,
    Status.STOPPING,
    Status.STARTING,
    Status.PERMANENT,
    Status.RECOVERABLE,
    Status.STOPPED,
    Status.OK,
)


class Health(Struct, frozen=True):
    """The state of one component.

    Attributes:
        status: Where in its life it is.
        reason: Why, for a person; empty while ``ok``.
        since_ns: Wall time, in nanoseconds, at which it entered this status.
    """

    status: Status
    reason: str = ""
    since_ns: int = 0


def worst(healths: Iterable[Health]) -> Health:
    """The state of a whole: its worst part, the oldest among equals; ``ok`` when there are no parts.

    Precedence is Fatal > Stopping > Starting > Permanent > Recoverable > Stopped > OK.
    """
    return min(healths, key=lambda h: (_PRECEDENCE.index(h.status), h.since_ns), default=Health(Status.OK))
