"""Makes the environment in .venv and installs a lock file into it, with one line of progress.

Used by the Makefile::

    python tools/install.py .venv requirements.lock        # exactly what the lock says, every hash checked
    python tools/install.py .venv --project                # this source tree, without touching what is installed

Runs on the standard library of any Python 3.11 or newer.
"""

from __future__ import annotations

import re
import subprocess
import sys
import venv
from collections import deque
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BAR = 24


def draw(text: str, done: int, total: int) -> None:
    """One line that is redrawn on a terminal, and a few plain lines in a log."""
    if sys.stderr.isatty():
        filled = BAR * done // max(1, total)
        bar = "█" * filled + "░" * (BAR - filled)
        sys.stderr.write(f"\r\x1b[2K  {bar} {done}/{total} {text[:50]}")
        sys.stderr.flush()
    elif done == total or done % 25 == 0:
        print(f"  {done}/{total} {text}", file=sys.stderr)


def make_environment(folder: Path) -> Path:
    """A virtual environment; returns its interpreter."""
    python = folder / "bin" / "python"
    if not python.exists():
        try:
            venv.create(folder, with_pip=True, symlinks=True)
        except (OSError, subprocess.CalledProcessError):
            sys.exit("This Python cannot make environments. On Debian or Ubuntu: apt-get install python3-venv")
    return python


def install(python: Path, lock: Path) -> None:
    """Installs the lock, counting the packages as pip reaches them."""
    total = len(re.findall(r"^[a-z0-9].*==", lock.read_text(), re.MULTILINE))
    pip = [
        str(python),
        "-m",
        "pip",
        "install",
        "--no-deps",
        "--require-hashes",
        "--disable-pip-version-check",
        "--no-input",
    ]
    said: deque[str] = deque(maxlen=15)
    seen = 0
    with subprocess.Popen(
        [*pip, "--progress-bar", "off", "-r", str(lock)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        for line in process.stdout or ():
            said.append(line)
            if match := re.match(r"(?:Collecting|Requirement already satisfied:) ([\w.-]+)", line):
                seen += 1
                draw(match[1], seen, total)
            elif line.startswith("Installing"):
                draw("unpacking", total, total)
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[2K")
    if process.returncode:
        sys.exit(f"{''.join(said)}\nThe packages of {lock.name} could not be installed; pip's last lines are above.")


def install_project(python: Path) -> None:
    """Installs this source tree so that edits take effect at once; the build tools come from the lock."""
    pip = [
        str(python),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--disable-pip-version-check",
    ]
    subprocess.run([*pip, "--editable", str(ROOT)], check=True)


def main() -> None:
    """Does what the arguments say."""
    folder, what = Path(sys.argv[1]), sys.argv[2]
    python = make_environment(folder)
    if what == "--project":
        install_project(python)
    else:
        install(python, ROOT / what)


if __name__ == "__main__":
    main()
