"""Pilothouse: what a cloud-native platform needs around it, in one process.

The layout is in ``docs/``: ``kit`` and ``formats`` are the ground, ``signals`` stores what happened, capabilities live in
planes (``observe``, ``learn``, …), ``server`` and ``cli`` are the surfaces. Importing this package imports nothing else.
"""

__all__ = ["__version__"]

#: The version of the package, of its HTTP API and of ``pilothouse --version``. The build reads this line.
__version__ = "0.1.0"
