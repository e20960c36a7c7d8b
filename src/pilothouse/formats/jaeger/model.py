"""Jaeger's span model: flat tags, references instead of a parent, a process instead of a resource.

Source: jaeger-idl ``proto/api_v2/model.proto``. Times are integer nanoseconds, ids bytes, as everywhere in this package;
each encoding has its own units.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

#: Python's own types carry Jaeger's: ``str`` string, ``bool`` bool, ``int`` int64, ``float`` float64, ``bytes`` binary.
TagValue = str | bool | int | float | bytes
#: Tags in order; a key may occur twice.
Tags = tuple[tuple[str, TagValue], ...]
RefType = Literal["CHILD_OF", "FOLLOWS_FROM"]

#: The service name that stands for a resource without one.
NO_SERVICE_NAME: Final = "OTLPResourceNoServiceName"


class Reference(Struct, frozen=True):
    """Another span: the parent, or one that is linked."""

    type: RefType
    trace_id: bytes
    span_id: bytes


class Log(Struct, frozen=True):
    """Something that happened at ``time``; its name is the field ``event``."""

    time: int
    fields: Tags = ()


class Process(Struct, frozen=True):
    """What emitted a span."""

    service: str
    tags: Tags = ()


class JaegerSpan(Struct, frozen=True):
    """A span; ``trace_id`` has 16 bytes and ``span_id`` 8. Bit 0 of ``flags`` says that it was sampled, bit 1 debug."""

    trace_id: bytes
    span_id: bytes
    operation: str
    start: int
    duration: int
    process: Process
    references: tuple[Reference, ...] = ()
    flags: int = 0
    tags: Tags = ()
    logs: tuple[Log, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def parent_span_id(self) -> bytes:
        """The first ``CHILD_OF`` within the same trace; empty without one."""
        for reference in self.references:
            if reference.type == "CHILD_OF" and reference.trace_id == self.trace_id:
                return reference.span_id
        return b""
