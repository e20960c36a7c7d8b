"""What a capability says about its data, so that an engine can store it without knowing what it means.

A capability declares its tables once; the engine creates and migrates them, the SQL surface offers their views, and the
reference of tables is generated from the same declarations.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its SQL type in DuckDB's dialect, and one sentence for the reference."""

    name: str
    type: str
    doc: str


@dataclass(frozen=True, slots=True)
class Table:
    """A small plain table, or a dictionary of a segmented one (then the engine adds ``segment`` and ``id`` in front).

    Attributes:
        key: The primary key; empty for append-only tables. Of a dictionary: the column that identifies an entry.
        follows: Of a table that lists what the rows of a segmented table have in the columns ``key``: that table, and the
            own column with their newest time. When segments go, so do entries that no row is left of.
    """

    name: str
    doc: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    follows: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class SegmentedTable:
    """A table of events, kept as a series of segments along time.

    A segment holds the rows of one day, at most ``store.segment_rows`` of them; a busy day has several, absurd timestamps
    share one. Retention drops whole segments, and a bloom filter per segment tells which may hold a key.

    Attributes:
        time: Column with the event's time, integer nanoseconds.
        key: ``BLOB`` column of 16 bytes that look-ups go by.
        dictionaries: Values that many rows share. Rows carry ``id``; ids count from 0 within each segment, so a dictionary
            goes when its segment goes.
        view: The columns people see, ``(column, SQL expression)``. Expressions see the row as ``r`` and each dictionary
            under its own name.
        joins: How the view reaches each dictionary: ``(dictionary, row's id column)``.
    """

    name: str
    doc: str
    columns: tuple[Column, ...]
    time: str
    key: str
    dictionaries: tuple[Table, ...]
    view: tuple[tuple[Column, str], ...]
    joins: tuple[tuple[str, str], ...]
