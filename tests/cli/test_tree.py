"""The command line as a person meets it: help, errors in one sentence, documented exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pilothouse import __version__
from pilothouse.cli import tree
from pilothouse.kit.errors import NotFound, exit_codes


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        tree.run(list(arguments))
    said = capsys.readouterr()
    return int(caught.value.code or 0), said.out, said.err


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--help"], []):
        code, out, _ = run(capsys, *arguments)
        assert code == 0
        for name in ("up", "status", "sql", "config", "demo", "traces"):
            assert f"\n  {name} " in out


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys\nfrom pilothouse.cli import tree\ntry:\n    tree.run(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'duckdb', 'pyarrow', 'numpy', 'grpc', 'starlette', 'uvicorn', 'rich', 'google', 'asyncio', 'yaml'}\n"
        "print('IMPORTED', sorted(heavy & set(sys.modules)))\n"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "IMPORTED []"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--version")[1] == f"pilothouse, version {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["statsu"], 2, "Did you mean 'status'?"),
        (["status", "--nope"], 2, "No such option"),
        (["sql"], 2, "Missing argument"),
        (["config", "show", "-o", "xml"], 2, "is not one of"),
        (["config", "show", "--config", "none.toml"], 3, "cannot be read"),
        (["up", "--otlp-grpc", "0.0.0.0:4317"], 3, "no token protects it"),
        (["up", "--retention-age", "soon"], 3, "is not a duration"),
        (["status", "--server", "http://127.0.0.1:9"], 4, "no Pilothouse answers at http://127.0.0.1:9"),
        (["status", "--server", "somewhere"], 2, "is not an address of a server"),
    ],
)
def test_errors_are_one_sentence_and_a_code(
    capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, says: str
) -> None:
    got, out, err = run(capsys, *arguments)
    assert (got, out) == (code, "")
    assert says in err
    assert err.startswith("pilothouse: ")
    assert err.count("\n") == 1
    assert code in dict(exit_codes())


def test_a_defect_is_admitted_without_a_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(tree.root, "main", broken)
    code, _, err = run(capsys, "status")
    assert code == 1
    assert "ZeroDivisionError: division by zero" in err
    assert "Traceback" not in err
    monkeypatch.setenv("PILOTHOUSE_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        tree.run(["status"])


def test_interrupted_and_not_found(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def raising(error: BaseException) -> None:
        def main(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr(tree.root, "main", main)

    raising(KeyboardInterrupt())
    assert run(capsys, "status")[0] == 130
    raising(NotFound("no such trace"))
    assert run(capsys, "status") == (5, "", "pilothouse: no such trace\n")


def test_config_show_says_where_each_value_comes_from(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "pilothouse.toml"
    file.write_text("[store]\nthreads = 4\n")
    monkeypatch.setenv("PILOTHOUSE_SERVER__TOKEN", "s3cret")
    code, out, _ = run(capsys, "config", "show", "--config", str(file), "-o", "json")
    rows = {row["key"]: row for row in json.loads(out)}
    assert code == 0
    assert (rows["store.threads"]["value"], rows["store.threads"]["origin"]) == ("4", f"file {file}:2")
    assert (rows["server.token"]["value"], rows["server.token"]["origin"]) == ("(set)", "env PILOTHOUSE_SERVER__TOKEN")
    assert "s3cret" not in out
    assert len(yaml.safe_load(run(capsys, "config", "show", "-o", "yaml")[1])) == len(rows)
    table = run(capsys, "config", "show", "--all")[1]
    assert "listen.otlp_grpc" in table
    assert "s3cret" not in table


def test_every_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    for name in tree.COMMANDS:
        code, out, _ = run(capsys, name, "--help")
        assert (code, out.startswith(f"Usage: pilothouse {name}")) == (0, True)


def test_up_offers_a_flag_for_every_setting_that_has_one(capsys: pytest.CaptureFixture[str]) -> None:
    from pilothouse.kit.config import settings

    out = run(capsys, "up", "--help")[1]
    assert all(s.flag in out for s in settings())
    assert "--token" not in out
