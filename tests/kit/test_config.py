"""Where a setting comes from, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from pilothouse.kit import config
from pilothouse.kit.errors import ConfigError
from pilothouse.kit.units import DAY, MIB


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "pilothouse.toml"
    path.write_text(text)
    return path


def test_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/somewhere")
    effective = config.load({}, {})
    assert effective.config.listen.otlp_grpc == "127.0.0.1:4317"
    assert effective.config.store.retention_age == 7 * DAY
    assert effective.config.server.data == "/somewhere/pilothouse"
    assert set(effective.origins.values()) == {"default"}


def test_a_flag_beats_the_environment_beats_the_file_beats_the_default(tmp_path: Path) -> None:
    path = write(
        tmp_path, '# ours\n[store]\nthreads = 3\n\n[listen]\nconsole = "127.0.0.1:1"\notlp_grpc = "127.0.0.1:2"\n'
    )
    env = {"PILOTHOUSE_LISTEN__CONSOLE": "127.0.0.1:3", "PILOTHOUSE_LISTEN__OTLP_GRPC": "127.0.0.1:4"}
    effective = config.load({"listen.otlp_grpc": "127.0.0.1:5", "listen.otlp_http": None}, env, path)
    listen = effective.config.listen
    assert (listen.otlp_grpc, listen.console, effective.config.store.threads) == ("127.0.0.1:5", "127.0.0.1:3", 3)
    assert effective.origins["listen.otlp_grpc"] == "flag --otlp-grpc"
    assert effective.origins["listen.console"] == "env PILOTHOUSE_LISTEN__CONSOLE"
    assert effective.origins["store.threads"] == f"file {path}:3"
    assert effective.origins["listen.otlp_http"] == "default"
    assert effective.file == str(path)


def test_the_file_is_found_where_it_is_expected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "xdg" / "pilothouse" / "pilothouse.toml"
    own.parent.mkdir(parents=True)
    own.write_text("[store]\nthreads = 5\n")
    env = {"XDG_CONFIG_HOME": str(tmp_path / "xdg")}
    assert config.load({}, env).config.store.threads == 5
    write(tmp_path, "[store]\nthreads = 6\n")
    assert config.load({}, env).config.store.threads == 6
    named = tmp_path / "other.toml"
    named.write_text("[store]\nthreads = 7\n")
    assert config.load({}, {**env, "PILOTHOUSE_CONFIG": str(named)}).config.store.threads == 7


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ('[listen]\n\nconsol = "x"\n', 3, "Did you mean 'listen.console'?"),
        ("[stor]\nthreads = 1\n", 1, "Did you mean [store]?"),
        ("threads = 1\n", 1, "Did you mean [store]?"),
        ('[server]\nretention_age = "1d"\n', 2, "Did you mean 'store.retention_age'?"),
        ('[store]\nretention_age = "soon"\n', 2, "'soon' is not a duration"),
        ("[store]\nretention_age = 7\n", 2, "has no unit"),
        ('[store]\nmemory = "1 parsec"\n', 2, "is not a size"),
        ("[store]\nthreads = 0\n", 2, "must be at least 1"),
        ("[store]\nthreads = true\n", 2, "not a whole number"),
        ("[server]\nephemeral = 3\n", 2, "neither true nor false"),
        ("[server]\ndata = 3\n", 2, "is not text"),
        ('[server]\nlog_level = "loud"\n', 2, "is not one of"),
        ('[listen]\nconsole = "localhost"\n', 2, "is not an address"),
        ('[listen]\nconsole = "localhost:99999"\n', 2, "is not an address"),
        ("[listen\n", 1, "not valid TOML"),
    ],
)
def test_a_wrong_file_is_refused_with_its_line(tmp_path: Path, text: str, line: int, says: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        config.load({}, {}, path)
    assert caught.value.sentence().startswith(f"{path}:{line}")
    assert says in caught.value.sentence()


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        config.load({}, {}, tmp_path / "none.toml")


@pytest.mark.parametrize("name", ["PILOTHOUSE_LISTEN__CONSOL", "PILOTHOUSE_LISTEN_CONSOLE"])
def test_a_misspelt_variable_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="Did you mean PILOTHOUSE_LISTEN__CONSOLE") as caught:
        config.load({}, {name: "127.0.0.1:1"})
    assert caught.value.where == f"env {name}"


def test_variables_that_kubernetes_sets_are_not_ours() -> None:
    config.load({}, {"PILOTHOUSE_PORT": "tcp://10.0.0.1:8686", "PILOTHOUSE_SERVICE_HOST": "10.0.0.1"})


@pytest.mark.parametrize("address", ["0.0.0.0:4317", ":4317", "[::]:4317", "192.0.2.1:4317", "example.com:4317"])
def test_listening_beyond_loopback_needs_a_token(address: str) -> None:
    with pytest.raises(ConfigError, match="no token protects it") as caught:
        config.load({"listen.otlp_grpc": address}, {})
    assert caught.value.where == "flag --otlp-grpc: listen.otlp_grpc"
    loaded = config.load({"listen.otlp_grpc": address}, {"PILOTHOUSE_SERVER__TOKEN": "s3cret"})
    assert loaded.config.server.token == "s3cret"


def test_health_may_listen_beyond_loopback_without_a_token() -> None:
    config.load({"listen.health": "0.0.0.0:13133", "listen.console": "[::1]:0", "listen.metrics": ""}, {})


def test_a_certificate_needs_its_key() -> None:
    with pytest.raises(ConfigError, match="go together"):
        config.load({"server.tls_cert": "cert.pem"}, {})


def test_a_secret_is_never_shown_and_has_no_flag() -> None:
    token = next(s for s in config.settings() if s.key == "server.token")
    assert token.show("s3cret") == "(set)"
    assert token.flag == ""


def test_every_setting_is_described_and_no_two_share_a_flag() -> None:
    settings = config.settings()
    flags = [s.flag for s in settings if s.flag]
    assert all(s.description for s in settings)
    assert len(set(flags)) == len(flags)


def test_what_is_shown_can_be_read_back(tmp_path: Path) -> None:
    shown = {s.env: s.show(s.default) for s in config.settings() if not s.secret}
    assert config.load({}, shown).config == config.load({}, {}).config


def test_a_size_may_be_a_bare_number(tmp_path: Path) -> None:
    assert config.load({}, {}, write(tmp_path, f"[store]\nmemory = {64 * MIB}\n")).config.store.memory == 64 * MIB
