"""Puts the capabilities of one process together: context, listeners, console, status, SQL. This is ``pilothouse up``."""
