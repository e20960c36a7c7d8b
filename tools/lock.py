"""Writes requirements.lock and requirements-bench.lock: exact versions and hashes of everything `make` installs.

Run it after a change of dependencies in pyproject.toml::

    python tools/lock.py            # keep what is pinned and still allowed
    python tools/lock.py --upgrade  # take the newest

It resolves with pip-tools, in an environment of its own, on the oldest Python that is supported, then holds what was picked
against the first release of every Python that is supported. The hashes of every file of a version are listed. No address is
written: pip asks whatever index it is set to.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADER = """\
# Exact versions and hashes of {what}.
# Written by tools/lock.py from pyproject.toml; do not edit.
#
"""
OPTIONS = [
    "--generate-hashes",
    "--strip-extras",
    "--allow-unsafe",
    "--no-header",
    "--annotation-style=line",
    "--no-emit-index-url",
    "--no-emit-trusted-host",
    "--no-emit-find-links",
    "--no-emit-options",
    "--quiet",
]


def compile_lock(python: Path, requirements: list[str], output: Path, what: str, extra: list[str]) -> None:
    """Resolves ``requirements`` into ``output``."""
    with tempfile.TemporaryDirectory() as folder:
        source, resolved = Path(folder) / "requirements.in", Path(folder) / "resolved.txt"
        source.write_text("\n".join(requirements) + "\n")
        if output.exists():
            resolved.write_text(output.read_text())
        command = [str(python), "-m", "piptools", "compile", *OPTIONS, *extra, "-o", str(resolved), str(source)]
        subprocess.run(command, check=True, cwd=ROOT)
        # The annotations name the temporary file; what matters is that the project asked for it.
        text = (
            resolved.read_text()
            .replace(f"-r {source}", "pilothouse")
            .replace("-c requirements.lock", "requirements.lock")
        )
        output.write_text(HEADER.format(what=what) + text)
    print(f"{output.name}: {sum(1 for line in text.splitlines() if '==' in line)} packages")


def check_pythons(python: Path, lock: Path, versions: list[str]) -> None:
    """Fails unless all of ``lock`` installs as wheels on each of ``versions``.

    A package may want a later patch release than whoever resolves happens to have; pip-tools does not notice.
    """
    for version in versions:
        with tempfile.TemporaryDirectory() as folder:
            wheels = ["--only-binary=:all:", f"--python-version={version}", f"--target={folder}"]
            pip = [str(python), "-m", "pip", "install", "--dry-run", "--quiet", "--no-deps", "--require-hashes"]
            if subprocess.run([*pip, *wheels, "-r", str(lock)], check=False).returncode:
                sys.exit(f"{lock.name} does not install on Python {version}: see above, and limit that package.")


def main() -> None:
    """Writes both files."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    oldest = project["project"]["requires-python"].removeprefix(">=")
    if sys.version_info[:2] != tuple(int(part) for part in oldest.split(".")):
        sys.exit(f"Run this with Python {oldest}, the oldest that is supported.")
    extras = project["project"]["optional-dependencies"]
    needed = [*project["project"]["dependencies"], *extras["demo"], *project["dependency-groups"]["dev"]]
    upgrade = ["--upgrade"] if "--upgrade" in sys.argv[1:] else []
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder) / "bin" / "python"
        subprocess.run([python, "-m", "pip", "install", "--quiet", "pip-tools>=7.5,<8"], check=True)
        lock = ROOT / "requirements.lock"
        compile_lock(
            python, needed, lock, "what Pilothouse runs on, its demo, its tests and its documentation", upgrade
        )
        within = ["--constraint", lock.name, *upgrade]
        compile_lock(
            python, extras["bench"], ROOT / "requirements-bench.lock", "the peer that `make bench` measures", within
        )
        named = [classifier.rpartition(" :: ")[2] for classifier in project["project"]["classifiers"]]
        check_pythons(python, lock, [f"{name}.0" for name in named if name.startswith("3.")])


if __name__ == "__main__":
    main()
