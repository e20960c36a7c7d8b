"""Entry point of child processes: the command line, but dying with the parent, however the parent dies."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Final

#: ``prctl(2)``: the signal this process gets when its parent ends.
_PR_SET_PDEATHSIG: Final = 1


def main() -> None:
    """Ties this process to its parent, where the system can (Linux), and runs the command line."""
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            return
    from pilothouse.cli.tree import run

    run()


if __name__ == "__main__":
    main()
