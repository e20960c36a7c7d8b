"""Pilothouse: what a cloud-native platform needs around it, in one process.

The layout is in ``docs/``: ``kit`` and ``formats`` are the ground, ``signals`` stores what happened, capabilities live in
planes (``observe``, ``learn``, …), ``server`` and ``cli`` are the surfaces. Importing this package imports nothing else.
"""

from typing import Final

__all__ = ["__version__"]

#: The version of the package, of its HTTP API and of ``pilothouse --version``.
__version__: Final = "0.1.0"
