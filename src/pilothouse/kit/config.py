"""One typed schema for every setting, and one way to find out where a value came from.

Precedence: command-line flag > environment (``PILOTHOUSE_SECTION__KEY``) > ``pilothouse.toml`` > default. The schema is
these classes and nothing else: flags, environment names, ``pilothouse config show`` and the reference are derived from them.
A key that is not in the schema is an error with a suggestion, never silently ignored.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, get_type_hints

import msgspec
from msgspec import Meta, Struct

from pilothouse.kit.errors import ConfigError
from pilothouse.kit.units import DAY, GIB, HOUR, MIB, MILLISECOND, SECOND, exact_duration, exact_size
from pilothouse.kit.units import parse_duration as _parse_duration
from pilothouse.kit.units import parse_size as _parse_size

FILE_NAME: Final = "pilothouse.toml"
LOG_LEVELS: Final = ("debug", "info", "warning", "error")
ENV_PREFIX: Final = "PILOTHOUSE_"
#: Where data goes unless ``$XDG_DATA_HOME`` says otherwise.
_DATA_DIR: Final = "~/.local/share/pilothouse"
#: Environment variables that are not settings.
ENV_CONFIG: Final = "PILOTHOUSE_CONFIG"
ENV_DEBUG: Final = "PILOTHOUSE_DEBUG"


def _setting(description: str, *, unit: str = "", flag: str = "", secret: bool = False) -> Meta:
    """Describes one setting.

    Args:
        description: For the reference and for ``--help``.
        unit: ``bytes``, ``duration`` (nanoseconds inside), ``address`` or empty.
        flag: The command-line flag when it is not simply ``--`` and the key; ``"-"`` for none.
        secret: Never printed, and has no flag, because command lines are visible to other users.
    """
    return Meta(description=description, extra={"unit": unit, "flag": "-" if secret else flag, "secret": secret})


class Server(Struct, frozen=True, forbid_unknown_fields=True):
    """The process as a whole."""

    data: Annotated[str, _setting("Directory that holds the store; made when missing")] = ""
    ephemeral: Annotated[
        bool, _setting("Keep everything in memory and a temporary directory; gone when the server stops")
    ] = False
    token: Annotated[
        str, _setting("Bearer token every request must carry; required to listen beyond loopback", secret=True)
    ] = ""
    tls_cert: Annotated[str, _setting("Certificate chain (PEM file); with it every listener but health speaks TLS")] = (
        ""
    )
    tls_key: Annotated[str, _setting("Private key (PEM file) of the certificate")] = ""
    log_level: Annotated[str, _setting("Least severe message that is logged: debug, info, warning or error")] = (
        "warning"
    )
    ui_assets: Annotated[str, _setting("Directory with a built Jaeger UI, served on the Jaeger HTTP listener")] = ""


class Listen(Struct, frozen=True, forbid_unknown_fields=True):
    """Where each listener listens. An empty address turns a listener off; port 0 takes any free port."""

    console: Annotated[str, _setting("Console and Pilothouse's own API (HTTP)", unit="address")] = "127.0.0.1:8686"
    otlp_grpc: Annotated[str, _setting("OpenTelemetry protocol over gRPC", unit="address")] = "127.0.0.1:4317"
    otlp_http: Annotated[str, _setting("OpenTelemetry protocol over HTTP", unit="address")] = "127.0.0.1:4318"
    jaeger_http: Annotated[str, _setting("Jaeger's HTTP query API, both generations", unit="address")] = (
        "127.0.0.1:16686"
    )
    jaeger_grpc: Annotated[str, _setting("Jaeger's gRPC query API, both generations", unit="address")] = (
        "127.0.0.1:16685"
    )
    metrics: Annotated[str, _setting("Pilothouse's own metrics, in Prometheus' text format", unit="address")] = (
        "127.0.0.1:8888"
    )
    health: Annotated[
        str, _setting("Health for probes; may listen beyond loopback without a token", unit="address")
    ] = "127.0.0.1:13133"


class Store(Struct, frozen=True, forbid_unknown_fields=True):
    """The embedded store."""

    memory: Annotated[int, _setting("Memory the store may use", unit="bytes", flag="--store-memory")] = 384 * MIB
    threads: Annotated[int, _setting("Threads the store may use", flag="--store-threads")] = 2
    retention_age: Annotated[int, _setting("Remove what is older; 0 keeps it for ever", unit="duration")] = 7 * DAY
    retention_bytes: Annotated[
        int, _setting("Remove the oldest when the store is larger; 0 for no limit", unit="bytes")
    ] = 20 * GIB
    segment_rows: Annotated[int, _setting("Spans after which a time segment is closed", flag="-")] = 983_040
    checkpoint_bytes: Annotated[
        int, _setting("Write-ahead log size that triggers a checkpoint", unit="bytes", flag="-")
    ] = 128 * MIB


class Ingest(Struct, frozen=True, forbid_unknown_fields=True):
    """What is accepted, and how much may wait."""

    max_body: Annotated[
        int, _setting("Largest request, after decompression", unit="bytes", flag="--ingest-max-body")
    ] = 64 * MIB
    queue_bytes: Annotated[
        int, _setting("Bytes that may wait for a commit; beyond it requests are refused", unit="bytes", flag="-")
    ] = 64 * MIB
    group_spans: Annotated[int, _setting("Spans that make a commit start at once", flag="-")] = 2048
    commit_wait: Annotated[int, _setting("Longest wait for a commit to fill", unit="duration", flag="-")] = (
        20 * MILLISECOND
    )
    dedupe_window: Annotated[
        int, _setting("Time in which an exact retransmission is recognised", unit="duration", flag="-")
    ] = 60 * SECOND


class Query(Struct, frozen=True, forbid_unknown_fields=True):
    """What one question may cost."""

    timeout: Annotated[int, _setting("Longest a query may run", unit="duration", flag="--query-timeout")] = 10 * SECOND
    max_rows: Annotated[int, _setting("Most rows one SQL query may return", flag="--query-max-rows")] = 10_000
    memory: Annotated[int, _setting("Memory one SQL query may use", unit="bytes", flag="--query-memory")] = 256 * MIB
    max_trace_spans: Annotated[int, _setting("Spans of one trace that are shown; the rest is cut with a warning")] = (
        100_000
    )
    lookback: Annotated[
        int, _setting("How far back a search without times looks", unit="duration", flag="--query-lookback")
    ] = 48 * HOUR


class Console(Struct, frozen=True, forbid_unknown_fields=True):
    """The web console."""

    enabled: Annotated[bool, _setting("Serve the web console beside the API", flag="-")] = True


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """Every effective setting. Sizes are bytes, durations nanoseconds."""

    server: Server = Server()
    listen: Listen = Listen()
    store: Store = Store()
    ingest: Ingest = Ingest()
    query: Query = Query()
    console: Console = Console()


class Setting(Struct, frozen=True):
    """One setting of the schema, as flags, environment and reference see it.

    Attributes:
        key: ``section.name``.
        kind: ``str``, ``bool`` or ``int``.
        default: As inside: bytes, nanoseconds.
        unit: ``bytes``, ``duration``, ``address`` or empty.
        flag: ``--name``, or empty when the command line does not offer it.
        env: The environment variable.
    """

    key: str
    kind: type
    default: str | bool | int
    description: str
    unit: str
    flag: str
    env: str
    secret: bool

    @property
    def default_text(self) -> str:
        """The default as it would be written, the same on every machine."""
        return _DATA_DIR if self.key == "server.data" else self.show(self.default)

    @property
    def section(self) -> str:
        """The part of the key before the dot."""
        return self.key.partition(".")[0]

    @property
    def name(self) -> str:
        """The part of the key after the dot."""
        return self.key.partition(".")[2]

    def show(self, value: object) -> str:
        """``value`` as it would be written in the file; a secret only says whether it is set."""
        if self.secret:
            return "(set)" if value else ""
        if isinstance(value, bool):
            return str(value).lower()
        if self.unit == "bytes" and isinstance(value, int):
            return exact_size(value)
        if self.unit == "duration" and isinstance(value, int):
            return exact_duration(value)
        return str(value)


class Effective(Struct, frozen=True):
    """A configuration and where each value came from.

    Attributes:
        config: The values.
        origins: For every key ``default``, ``file PATH:LINE``, ``env NAME`` or ``flag --name``.
        file: The configuration file that was read, or empty.
    """

    config: Config
    origins: Mapping[str, str]
    file: str = ""

    def value(self, key: str) -> Any:
        """The effective value of ``section.name``."""
        section, _, name = key.partition(".")
        return getattr(getattr(self.config, section), name)


def settings() -> list[Setting]:
    """Every setting, in the order of the schema."""
    found = []
    for section, kind in get_type_hints(Config).items():
        hints = get_type_hints(kind, include_extras=True)
        for field in msgspec.structs.fields(kind):
            meta: Meta = hints[field.name].__metadata__[0]
            extra = meta.extra or {}
            flag = extra["flag"] or f"--{field.name.replace('_', '-')}"
            found.append(
                Setting(
                    key=f"{section}.{field.name}",
                    kind=type(field.default),
                    default=default_data_dir() if (section, field.name) == ("server", "data") else field.default,
                    description=meta.description or "",
                    unit=extra["unit"],
                    flag="" if flag == "-" else flag,
                    env=f"{ENV_PREFIX}{section.upper()}__{field.name.upper()}",
                    secret=extra["secret"],
                )
            )
    return found


def default_data_dir() -> str:
    """``$XDG_DATA_HOME/pilothouse``, else ``~/.local/share/pilothouse`` (XDG Base Directory specification)."""
    base = os.environ.get("XDG_DATA_HOME")
    return str(Path(base) / "pilothouse") if base else str(Path(_DATA_DIR).expanduser())


def find_file(env: Mapping[str, str]) -> Path | None:
    """The file read when none is named: ``$PILOTHOUSE_CONFIG``, else ``./pilothouse.toml``, else the user's own."""
    if named := env.get(ENV_CONFIG):
        return Path(named)
    home = Path(env.get("XDG_CONFIG_HOME") or "~/.config").expanduser()
    return next((p for p in (Path(FILE_NAME), home / "pilothouse" / FILE_NAME) if p.is_file()), None)


def load(
    flags: Mapping[str, object] | None = None,
    env: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> Effective:
    """Puts the layers together.

    Args:
        flags: Values by key (``listen.console``); ``None`` means "not given". Strings are parsed as in the file.
        env: The environment; the process's own when omitted.
        file: A configuration file that must exist; without it ``find_file`` looks for one.

    Raises:
        ConfigError: An unknown key, a value that does not parse, or a combination that is not safe.
    """
    env = os.environ if env is None else env
    known = {s.key: s for s in settings()}
    values: dict[str, Any] = {key: s.default for key, s in known.items()}
    origins = dict.fromkeys(known, "default")
    path = file or find_file(env)
    layers = [
        _from_env(env, known),
        [(k, v, f"flag {known[k].flag}") for k, v in (flags or {}).items() if v is not None],
    ]
    if path is not None:
        layers.insert(0, _from_file(path, known))
    for layer in layers:
        for key, raw, origin in layer:
            values[key] = _parse(known[key], raw, origin)
            origins[key] = origin
    nested: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        section, _, name = key.partition(".")
        nested.setdefault(section, {})[name] = value
    config = msgspec.convert(nested, Config)
    _check(config, origins)
    return Effective(config=config, origins=origins, file=str(path or ""))


def split_address(address: str) -> tuple[str, int]:
    """``("127.0.0.1", 4317)`` from ``127.0.0.1:4317``; an IPv6 host is written in brackets.

    Raises:
        ValueError: Not ``HOST:PORT`` with a port from 0 to 65535.
    """
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%\w]+)\]|([^:\s\[\]]*)):(\d{1,5})", address)
    if match is None or int(match[3]) > 65535:
        raise ValueError(f"{address!r} is not an address; write HOST:PORT, such as 127.0.0.1:4317 or [::1]:4317")
    return match[1] or match[2] or "0.0.0.0", int(match[3])  # noqa: S104 - the meaning of an empty host, not a default


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach ``host``. Names other than ``localhost`` are taken as reachable by others."""
    return host == "localhost" or host == "::1" or re.fullmatch(r"127(\.\d{1,3}){3}", host) is not None


_Item = tuple[str, object, str]


def _from_env(env: Mapping[str, str], known: Mapping[str, Setting]) -> list[_Item]:
    """Settings in the environment. Only names with ``__`` are ours for certain: Kubernetes sets ``PILOTHOUSE_PORT`` itself."""
    by_env = {s.env: s for s in known.values()}
    flat = {s.env.replace("__", "_"): s for s in known.values()}
    found: list[_Item] = []
    for name, raw in env.items():
        if not name.startswith(ENV_PREFIX):
            continue
        if setting := by_env.get(name):
            found.append((setting.key, raw, f"env {name}"))
        elif "__" in name or name in flat:
            near = flat[name].env if name in flat else _near(name, by_env)
            raise ConfigError(
                "unknown setting in the environment",
                where=f"env {name}",
                remedy=f"Did you mean {near}?" if near else "`pilothouse config show` lists every setting.",
            )
    return found


def _from_file(path: Path, known: Mapping[str, Setting]) -> list[_Item]:
    try:
        text = path.read_text("utf-8")
        tree = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigError(f"the configuration file cannot be read: {reason}", where=str(path)) from error
    except tomllib.TOMLDecodeError as error:
        match = re.search(r"\(at line (\d+)", str(error))
        place = f"{path}:{match[1]}" if match else str(path)
        raise ConfigError(f"not valid TOML: {re.sub(r' [(]at .*', '', str(error))}", where=place) from error
    lines = _lines(text)
    sections = {s.section for s in known.values()}
    found: list[_Item] = []
    for section, table in tree.items():
        place = f"{path}:{lines.get(section, 1)}"
        if section not in sections or not isinstance(table, dict):
            what = f"unknown section [{section}]" if isinstance(table, dict) else f"'{section}' is outside any section"
            near = (
                _near(section, sections) or next((k for k in known if k.endswith(f".{section}")), "").partition(".")[0]
            )
            raise ConfigError(what, where=place, remedy=f"Did you mean [{near}]?" if near else None)
        for name, raw in table.items():
            key = f"{section}.{name}"
            origin = f"file {path}:{lines.get(key, lines.get(section, 1))}"
            if key not in known:
                near = _near(key, known)
                raise ConfigError(
                    f"unknown key '{key}'",
                    where=origin.removeprefix("file "),
                    remedy=f"Did you mean '{near}'?" if near else "`pilothouse config show` lists every setting.",
                )
            found.append((key, raw, origin))
    return found


def _lines(text: str) -> dict[str, int]:
    """The line of every ``[section]`` and ``section.key``: ``tomllib`` knows values, not places."""
    places: dict[str, int] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        if match := re.match(r"\s*\[\s*([\w-]+)\s*\]", line):
            section = match[1]
            places.setdefault(section, number)
        elif match := re.match(r"\s*([\w-]+(?:\s*\.\s*[\w-]+)?)\s*=", line):
            name = re.sub(r"\s", "", match[1])
            places.setdefault(f"{section}.{name}" if section else name, number)
            places.setdefault(name.partition(".")[0], number)
    return places


def _near(name: str, known: Mapping[str, object] | set[str]) -> str:
    """The known name most like ``name``, or empty. The part after the dot counts alone too: a key in the wrong section."""
    if close := difflib.get_close_matches(name, known, n=1, cutoff=0.75):
        return close[0]
    return next((k for k in sorted(known) if "." in k and k.partition(".")[2] == name.partition(".")[2]), "")


def _parse(setting: Setting, raw: object, origin: str) -> str | bool | int:
    """A value of the setting's kind from text or from TOML's own types."""
    where = f"{origin.removeprefix('file ')}: {setting.key}"
    try:
        if setting.kind is bool:
            return _parse_bool(raw)
        if setting.kind is int:
            return _parse_int(setting.unit, raw)
        if not isinstance(raw, str):
            raise ValueError(f"{raw!r} is not text; put it in quotes")  # noqa: TRY004 - reported as one kind below
        if setting.unit == "address" and raw:
            split_address(raw)
    except ValueError as error:
        raise ConfigError(str(error), where=where) from error
    return str(Path(raw).expanduser()) if setting.key == "server.data" else raw


def _parse_bool(raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    if isinstance(raw, str) and raw.lower() in ("true", "1", "yes", "on"):
        return True
    if isinstance(raw, str) and raw.lower() in ("false", "0", "no", "off", ""):
        return False
    raise ValueError(f"{raw!r} is neither true nor false")


def _parse_int(unit: str, raw: object) -> int:
    if isinstance(raw, str) and unit == "duration":
        return _parse_duration(raw)
    if isinstance(raw, str) and unit == "bytes":
        return _parse_size(raw)
    if isinstance(raw, str) and re.fullmatch(r"[0-9][0-9_]*", raw.strip()):
        return int(raw)
    if isinstance(raw, int) and not isinstance(raw, bool) and raw >= 0 and (unit != "duration" or raw == 0):
        return raw
    if unit == "duration" and isinstance(raw, int | float):
        raise ValueError(f"{raw!r} has no unit; write it as text, such as '20ms' or '7d'")
    raise ValueError(f"{raw!r} is not a whole number of at least 0")


def _check(config: Config, origins: Mapping[str, str]) -> None:
    """Refuses combinations that are not safe or cannot work."""
    if bool(config.server.tls_cert) != bool(config.server.tls_key):
        missing = "server.tls_key" if config.server.tls_cert else "server.tls_cert"
        raise ConfigError("a certificate and its key go together", where=missing, remedy="Set both or none.")
    for key, minimum in (("store.threads", 1), ("store.memory", 64 * MIB), ("query.timeout", 1), ("query.max_rows", 1)):
        section, _, name = key.partition(".")
        if getattr(getattr(config, section), name) < minimum:
            raise ConfigError(f"must be at least {minimum}", where=f"{origins[key].removeprefix('file ')}: {key}")
    if config.server.log_level not in LOG_LEVELS:
        where = f"{origins['server.log_level'].removeprefix('file ')}: server.log_level"
        raise ConfigError(f"{config.server.log_level!r} is not one of {', '.join(LOG_LEVELS)}", where=where)
    if config.server.token:
        return
    for name in ("console", "otlp_grpc", "otlp_http", "jaeger_http", "jaeger_grpc", "metrics"):
        address = getattr(config.listen, name)
        if address and not is_loopback(split_address(address)[0]):
            raise ConfigError(
                f"{address} can be reached by other machines, and no token protects it",
                where=f"{origins[f'listen.{name}'].removeprefix('file ')}: listen.{name}",
                remedy="Set PILOTHOUSE_SERVER__TOKEN (or server.token in a file only you can read), or listen on 127.0.0.1.",
            )
