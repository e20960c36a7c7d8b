"""Tables, JSON and YAML; nothing that drives the terminal; nothing but the answer in a pipe."""

from __future__ import annotations

import json

import pytest
import yaml

from pilothouse.kit.terminal import Column, note, plain, print_rows, print_value, progress

ROWS = [{"name": "checkout", "stats": {"spans": 12}}, {"name": "a" * 300, "stats": {}}]
COLUMNS = [Column("name"), Column("stats.spans", "SPANS", right=True)]


def test_a_table_in_a_pipe_is_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(ROWS, COLUMNS)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["NAME", "SPANS"]
    assert lines[1].split() == ["checkout", "12"]
    assert lines[2].strip() == "a" * 300


def test_other_forms_hold_everything(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(ROWS, COLUMNS[:1], "json")
    assert json.loads(capsys.readouterr().out) == ROWS
    print_rows(ROWS, COLUMNS[:1], "yaml")
    assert yaml.safe_load(capsys.readouterr().out) == ROWS
    print_value({"ü": [1, None, "- x: y"]}, "yaml")
    assert yaml.safe_load(capsys.readouterr().out) == {"ü": [1, None, "- x: y"]}


def test_data_does_not_drive_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    evil = "\x1b]0;owned\x07 [bold red]x[/] \x1b[2J"
    print_rows([{"name": evil}], COLUMNS[:1])
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "[bold red]x[/]" in out
    assert plain("a\nb\tc") == "a\nb\\x09c"


def test_only_the_answer_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    note("by the way")
    with progress("working", 3) as bar:
        bar.advance()
        bar.describe("still working")
    print_rows([], COLUMNS, empty="Nothing.")
    assert capsys.readouterr() == ("", "")
