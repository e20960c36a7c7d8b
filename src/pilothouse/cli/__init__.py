"""The command ``pilothouse``: a tree of commands that are imported only when they are called."""

from __future__ import annotations


def main() -> None:
    """Runs the command line of this process and exits."""
    from pilothouse.cli.tree import run

    run()
