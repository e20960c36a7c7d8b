"""What a room offers to the house, so that ``server`` and ``cli`` need not know any room.

A capability is found through the entry-point group ``pilothouse.capabilities``. Loading the object must cost nothing:
endpoints and services are functions that import what they need when called, commands are import strings.

Example, a capability of its own package::

    def _services(context: Context) -> Sequence[Service]:
        from mine.worker import Worker
        return [Worker(context)]

    capability = Capability(
        name="mine", title="Mine", plane="observe", summary="Digs.", services=_services,
        commands={"mine": LazyCommand("mine.cli:mine", "Dig from the terminal.")},
    )
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final, Protocol

from pilothouse.kit.errors import ConfigError

if TYPE_CHECKING:
    from pilothouse.kit.clock import Clock
    from pilothouse.kit.config import Config
    from pilothouse.kit.http import Endpoint
    from pilothouse.kit.service import Service
    from pilothouse.kit.telemetry import Ledger, Registry

GROUP: Final = "pilothouse.capabilities"
PLANES: Final = ("observe", "secure", "operate", "measure", "assist", "learn")


class SqlResult(Protocol):
    """The answer to one read-only query."""

    @property
    def columns(self) -> Sequence[tuple[str, str]]:
        """``(name, SQL type)`` of every column."""
        ...

    @property
    def rows(self) -> Sequence[Sequence[Any]]:
        """Values JSON can hold: integers beyond 2**53 and times are text."""
        ...

    @property
    def truncated(self) -> bool:
        """Whether rows were cut off at the limit."""
        ...


class Signals(Protocol):
    """The substrate that stores what happened, as the house sees it; capabilities know the concrete type."""

    @property
    def service(self) -> Service:
        """Its lifecycle; started before every capability."""
        ...

    def sql(self, sql: str, max_rows: int, timeout: int) -> SqlResult:
        """Runs one read-only query; blocking. ``timeout`` is nanoseconds.

        Raises:
            InvalidInput: The SQL is wrong, or not read-only.
            QueryTimeout: It took longer than ``timeout``.
            LimitExceeded: It needed more than ``query.memory``.
        """
        ...

    def stats(self) -> Mapping[str, Any]:
        """What is stored: ``spans``, ``bytes``, ``segments``, ``oldest``, ``newest`` (nanoseconds or ``None``)."""
        ...


@dataclass(frozen=True, slots=True)
class Listener:
    """An address the process listens on, for the block ``up`` prints and for ``/api/status``.

    Attributes:
        name: Key in the section ``[listen]``, such as ``otlp_grpc``.
        protocol: ``HTTP`` or ``gRPC``, with ``S`` or ``+TLS`` when encrypted.
        address: ``HOST:PORT`` as bound, so never with port 0.
        purpose: A few words: what to send or open there.
    """

    name: str
    protocol: str
    address: str
    purpose: str

    @property
    def url(self) -> str:
        """What to paste into a browser or an exporter. A wildcard host becomes one that can be connected to."""
        host, _, port = self.address.rpartition(":")
        host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)  # noqa: S104 - replaced, not bound
        return f"{'https' if self.protocol in ('HTTPS', 'gRPC+TLS') else 'http'}://{host}:{port}"


@dataclass(slots=True)
class Context:
    """What the house gives every capability. One per process.

    Attributes:
        config: The effective configuration.
        clock: The only source of time.
        signals: The substrate. Concretely ``pilothouse.signals.Signals``.
        metrics: Where to register counters.
        ledgers: Each capability that accepts data registers its account by name; ``/api/status`` and health read them.
        version: Of Pilothouse.
        shared: Objects a capability makes once and uses from both its endpoints and its services, by its own name.
    """

    config: Config
    clock: Clock
    signals: Any
    metrics: Registry
    version: str
    ledgers: dict[str, Ledger] = field(default_factory=dict)
    shared: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LazyCommand:
    """A command that is imported only when it is run or asked for its own help.

    Attributes:
        target: ``package.module:attribute`` of a ``click.Command``.
        help: The one line in the list of commands.
    """

    target: str
    help: str


def _nothing(context: Context) -> Sequence[Any]:
    return ()


@dataclass(frozen=True, slots=True)
class Capability:
    """What one room offers.

    Attributes:
        name: Lower case; its endpoints are mounted at ``/api/<name>/``.
        title: For the console's navigation.
        plane: One of ``PLANES``.
        summary: One sentence: what it answers.
        endpoints: Makes the endpoints of Pilothouse's own API. Called after ``services``, before anything starts.
        services: Makes what has to run, foreign-protocol listeners included, in starting order.
        commands: Top-level commands by name.
        tables: ``module:attribute`` of the sequence of tables it keeps in the signals substrate.
    """

    name: str
    title: str
    plane: str
    summary: str
    endpoints: Callable[[Context], Sequence[Endpoint]] = _nothing
    services: Callable[[Context], Sequence[Service]] = _nothing
    commands: Mapping[str, LazyCommand] = field(default_factory=dict)
    tables: str = ""

    def __post_init__(self) -> None:
        if self.plane not in PLANES:
            raise ValueError(f"capability {self.name}: plane {self.plane!r} is not one of {', '.join(PLANES)}")


@cache
def capabilities() -> tuple[Capability, ...]:
    """Every installed capability, by plane and name.

    Raises:
        ConfigError: A third party's capability cannot be imported; names the package.
    """
    return tuple(sorted(_load(metadata.entry_points(group=GROUP)), key=lambda c: (PLANES.index(c.plane), c.name)))


def _load(points: Iterable[metadata.EntryPoint]) -> Iterable[Capability]:
    for point in points:
        try:
            loaded = point.load()
        except Exception as error:
            owner = point.dist.name if point.dist else "an installed package"
            raise ConfigError(
                f"capability '{point.name}' of {owner} cannot be loaded: {error}",
                where=point.value,
                remedy="Repair or uninstall that package.",
            ) from error
        if not isinstance(loaded, Capability):
            raise ConfigError(f"'{point.value}' is not a Capability", where=f"entry point {point.name}")
        yield loaded
