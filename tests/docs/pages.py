"""Runs the pages of the documentation: their files, commands and queries, in order, against a server started for the page.

What happens to a block is said by a comment in the line before it:

===============================  ======================================================================================
``<!-- test: start -->``         Started in the background; waits for the block of addresses. ``make up`` stands for what the
                                 Makefile says it runs. A page without such a block gets ``pilothouse up --ephemeral``.
``<!-- test: run -->``           Run in the page's shell, in which variables stay; has to succeed.
``<!-- test: fails 10 -->``      Run; has to exit with that code.
``<!-- test: sql -->``           Given to ``pilothouse sql``; has to return rows.
``<!-- test: filter -->``        Every line is a filter; a search with it has to find a trace.
``<!-- test: install -->``       Stands for installing the package whose ``pyproject.toml`` the page wrote.
``<!-- test: file NAME -->``     Written to a file in the page's directory.
``<!-- test: shows -->``         Lines that the block before printed, in this order and form; a line ``…`` stands for any.
``<!-- test: skip: WHY -->``     Not run.
===============================  ======================================================================================

A page's ports are its own: wherever a page says ``127.0.0.1:4317`` (or another default address), the block that is run says the
test's address, and what it prints is turned back.
"""

from __future__ import annotations

import json
import os
import re
import select
import shlex
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from pilothouse.kit import config

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
_BLOCK = re.compile(
    r"(?:^<!-- test: (?P<test>[^\n]*?) -->\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
#: Languages of blocks that do something; each needs a comment that says what to do with it.
ACTIVE = ("bash", "python", "sql", "toml")


@dataclass(frozen=True)
class Block:
    """A fenced block: what to do with it, its text, and where it stands."""

    test: str
    language: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    """All blocks of a page, marked or not."""
    text = page.read_text("utf-8")
    return [
        Block(m["test"] or "", m["language"], m["text"], text.count("\n", 0, m.start()) + 1)
        for m in _BLOCK.finditer(text)
    ]


def shape(line: str) -> str:
    """A line without what differs from run to run: ids, numbers, times, bars, widths."""
    line = re.sub(r"\x1b\[[\d;]*m", "", line)
    line = re.sub(r"[█▌▐▏▎▍▋▊▉╷]+", " ", line)
    line = re.sub(r"\b(?=[0-9a-f]*\d)[0-9a-f]{16,32}\b", "ID", line)
    line = re.sub(r"\b\d\d:\d\d:\d\d\.\d{3}\b|\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\b)", "TIME", line)
    line = re.sub(r"\d[\d,]*(\.\d+)*( ?(ns|µs|ms|s|min|h|d|B|kB|MB|GB|k|M)\b)?", "N", line)
    return " ".join(re.sub(r"N( N)+", "N", line).split())


def missing(expected: str, actual: str) -> str:
    """The first expected line that does not come in its place; empty if all do."""
    rest = iter([shape(line) for line in actual.splitlines()])
    for line in expected.splitlines():
        wanted = shape(line)
        if wanted and wanted != "…" and wanted not in rest:
            return line
    return ""


class Page:
    """A page that is being run.

    Args:
        folder: Its working directory, with a home of its own.
        demo: Traces of the demo shop to load once the server is up.
        starts: The page starts the server itself.

    Attributes:
        said: What the last block printed.
    """

    def __init__(self, folder: Path, *, demo: int = 0, starts: bool = False) -> None:
        self.folder = folder
        self._demo, self._starts = demo, starts
        self._server: subprocess.Popen[str] | None = None
        self.said = ""
        self._addresses = {s.key: str(s.default) for s in config.settings() if s.unit == "address"}
        self._ours = dict(zip(self._addresses.values(), _free_addresses(len(self._addresses)), strict=True))
        bin_folder = folder / "bin"
        bin_folder.mkdir()
        for name, command in (
            ("python", sys.executable),
            ("pilothouse", f"{shlex.quote(sys.executable)} -m pilothouse"),
        ):
            (bin_folder / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
            (bin_folder / name).chmod(0o755)
        # What a machine trusts by its environment would win over the certificate that a page names.
        inherited = {k: v for k, v in os.environ.items() if k not in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")}
        self.environment = inherited | {"PATH": f"{bin_folder}:{os.environ['PATH']}", "HOME": str(folder)}
        self.environment["PYTHONPATH"] = f"{folder}:{os.environ.get('PYTHONPATH', '')}".rstrip(":")
        for key, address in self._addresses.items():
            self.environment[f"PILOTHOUSE_{key.upper().replace('.', '__')}"] = self._ours[address]
        self._shell = subprocess.Popen(
            ["bash"],
            cwd=folder,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
        )
        assert self._shell.stdin is not None
        # A command that fails is noticed wherever it stands in its block.
        self._shell.stdin.write("trap 'failed=$?' ERR\n")

    def close(self) -> None:
        """Ends the shell and the server."""
        self._shell.kill()
        self._shell.wait()
        if self._server is not None and self._server.poll() is None:
            self._server.send_signal(signal.SIGTERM)
            assert self._server.wait(30) == 0

    def do(self, block: Block) -> None:
        """Does what the block's comment says."""
        verb, _, argument = block.test.partition(" ")
        text = block.text
        if verb == "start":
            self.start(text)
        elif verb == "file":
            path = self.folder / argument
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self._replaced(text))
        elif verb == "shows":
            line = missing(block.text, self.said)
            assert not line, f"line {block.line}: {line!r} was not printed, but:\n{self.said}"
        elif verb in ("run", "fails"):
            self.run(text, int(argument or 0), block.line)
        elif verb == "filter":
            self._find(text.splitlines(), block.line)
        elif verb == "install":
            self._install()
        elif verb == "sql":
            (self.folder / "query.sql").write_text(text)
            self.run("pilothouse sql - -o json < query.sql", 0, block.line)
            assert self.said.strip() not in ("", "[]"), f"line {block.line}: the query returned nothing"
        else:
            assert verb == "skip:", f"line {block.line}: 'test: {block.test}' means nothing"

    def _find(self, filters: list[str], line: int) -> None:
        """Searches with each filter, by the API because that is quicker than a command."""
        if self._server is None:
            self.start()
        base = f"http://{self._ours[self._addresses['listen.console']]}/api/traces/search?"
        for text in filters:
            asked = urlencode({"start": "-1d", "limit": 1, "filter": text})
            with urllib.request.urlopen(base + asked, timeout=30) as answer:
                assert json.load(answer)["traces"], f"line {line}: nothing is found by: {text}"

    def _install(self) -> None:
        """Puts the entry points where Python finds them, as pip would; the package is in the page's folder already."""
        project = tomllib.loads((self.folder / "pyproject.toml").read_text())["project"]
        metadata = self.folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
        )
        groups = [
            f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in points.items())
            for group, points in project["entry-points"].items()
        ]
        (metadata / "entry_points.txt").write_text("\n".join(groups))

    def start(self, command: str = "pilothouse up --ephemeral") -> None:
        """Starts the server with a command of a page."""
        if command.strip() == "make up":
            recipe = re.search(
                r"^up:.*\n(?:\t.*\n)*\t@exec \$\(BIN\)/(pilothouse up .*) \$\(ARGS\)$",
                (ROOT / "Makefile").read_text(),
                re.MULTILINE,
            )
            assert recipe, "the Makefile does not end `up` with the command"
            command = recipe[1]
        self._server = subprocess.Popen(
            ["bash", "-c", f"exec {self._replaced(command)}"],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
        )
        self.said = self._shown(_until(self._server, "Ctrl-C stops"))
        if self._demo:
            self.run(f"pilothouse demo --count {self._demo} --seed 7", 0, 0)

    def run(self, text: str, code: int, line: int) -> None:
        """Runs commands in the page's shell."""
        if self._server is None and not self._starts:
            self.start()
        assert self._shell.stdin is not None
        # Standard input is the shell's own, so no command may read from it.
        text = self._replaced(text)
        ask = 'code=$?; [ $code = 0 ] && code=$failed; echo; echo "<<done $code>>"'
        self._shell.stdin.write(f"failed=0; {{\n{text}\n}} </dev/null\n{ask}\n")
        said = _until(self._shell, r"<<done \d+>>\n")
        body, _, rest = said.rpartition("<<done ")
        self.said = self._shown(body)
        assert int(rest.partition(">>")[0]) == code, f"line {line}: {text}\n{self.said}"

    def _replaced(self, text: str) -> str:
        for theirs, ours in self._ours.items():
            port = re.escape(theirs.rpartition(":")[2])
            text = re.sub(rf"(127\.0\.0\.1|localhost|0\.0\.0\.0):{port}\b", rf"\1:{ours.rpartition(':')[2]}", text)
        return text

    def _shown(self, text: str) -> str:
        for theirs, ours in self._ours.items():
            text = re.sub(rf":{ours.rpartition(':')[2]}\b", f":{theirs.rpartition(':')[2]}", text)
        return text


def run_page(path: Path, folder: Path, *, demo: int = 0) -> None:
    """Runs all blocks of a page in order."""
    found = blocks(path)
    assert any(block.test for block in found)
    unmarked = [block.line for block in found if block.language in ACTIVE and not block.test]
    assert not unmarked, f"{path.name}: no comment says what to do with the blocks at lines {unmarked}"
    page = Page(folder, demo=demo, starts=any(block.test == "start" for block in found))
    try:
        for block in found:
            if block.test:
                page.do(block)
    finally:
        page.close()


def _free_addresses(count: int) -> list[str]:
    """Addresses that were free a moment ago, each with another port."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _until(process: subprocess.Popen[str], pattern: str, seconds: float = 60) -> str:
    """Output up to the pattern; fails with everything said when the process ends or is silent for too long."""
    assert process.stdout is not None
    descriptor, said, deadline = process.stdout.fileno(), b"", time.monotonic() + seconds
    while not re.search(pattern, said.decode(errors="replace")):
        ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        data = os.read(descriptor, 1 << 16) if ready else b""
        assert data, f"no {pattern!r} in:\n{said.decode(errors='replace')}"
        said += data
    return said.decode(errors="replace")
