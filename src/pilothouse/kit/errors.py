"""One tree for everything that can go wrong, because errors are part of the interface.

An error says *what* was wrong, *where* (``file:line``, a field path, a parameter) and *what to do next* (``remedy``). The
surfaces only translate: the command line prints one sentence and exits with ``exit_code``; HTTP answers a problem document
with ``status`` and ``slug`` (RFC 9457, section 3). A traceback is never what a user sees.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Final

#: Exit codes that no error class owns.
EXIT_OK: Final = 0
EXIT_BUG: Final = 1
EXIT_INTERRUPTED: Final = 130


class PilothouseError(Exception):
    """Root of the tree. Never raised itself; catch it at a surface.

    Args:
        what: One sentence without a final line break: what was wrong, with the offending value.
        where: The place: ``file:line``, ``listen.console``, ``query parameter 'limit'``.
        remedy: What to do next, as an imperative sentence.
    """

    exit_code: ClassVar[int] = EXIT_BUG
    #: HTTP status of the problem document.
    status: ClassVar[int] = 500
    #: Last segment of the problem type URI; stable, for programs to match on.
    slug: ClassVar[str] = "internal"
    #: Short, the same for every occurrence (RFC 9457, section 3.1.4).
    title: ClassVar[str] = "Internal error"

    def __init__(self, what: str, *, where: str | None = None, remedy: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.remedy = remedy

    def sentence(self) -> str:
        """Everything the error knows, on one line: ``where: what. remedy``."""
        text = f"{self.where}: {self.what}" if self.where else self.what
        if self.remedy:
            text = f"{text.rstrip('.')}. {self.remedy}"
        return text

    def __str__(self) -> str:
        return self.sentence()


class UsageError(PilothouseError):
    """The command line cannot be understood."""

    exit_code, status, slug, title = 2, 400, "usage", "Wrong usage"


class ConfigError(PilothouseError):
    """A setting is unknown, malformed or unsafe."""

    exit_code, status, slug, title = 3, 500, "configuration", "Wrong configuration"


class ServerUnreachable(PilothouseError):
    """A command needs a running server and there is none at that address."""

    exit_code, status, slug, title = 4, 502, "server-unreachable", "Server unreachable"


class NotFound(PilothouseError):
    """The thing asked for does not exist (any more)."""

    exit_code, status, slug, title = 5, 404, "not-found", "Not found"


class DataDirBusy(PilothouseError):
    """Another process holds the data directory."""

    exit_code, status, slug, title = 6, 503, "data-directory-busy", "Data directory in use"


class PortTaken(PilothouseError):
    """A listener's address is in use, or may not be bound by this user."""

    exit_code, status, slug, title = 7, 503, "port-taken", "Address in use"


class StorageFull(PilothouseError):
    """There is no space left; nothing was written, retry after making some."""

    exit_code, status, slug, title = 8, 503, "storage-full", "Storage full"


class StorageReadOnly(PilothouseError):
    """The data directory cannot be written."""

    exit_code, status, slug, title = 8, 503, "storage-read-only", "Storage not writable"


class StorageIncompatible(PilothouseError):
    """The store was written by a newer version, or is damaged."""

    exit_code, status, slug, title = 9, 500, "storage-incompatible", "Storage not readable"


class InvalidInput(PilothouseError):
    """A value is not what its format or parameter allows."""

    exit_code, status, slug, title = 10, 400, "invalid-input", "Invalid input"


class LimitExceeded(PilothouseError):
    """An input is larger, deeper or longer than its documented limit."""

    exit_code, status, slug, title = 11, 413, "limit-exceeded", "Limit exceeded"


class QueryTimeout(PilothouseError):
    """A query took longer than ``query.timeout`` and was stopped."""

    exit_code, status, slug, title = 12, 504, "query-timeout", "Query timed out"


class RequestTooSlow(PilothouseError):
    """The request's body did not arrive in time."""

    exit_code, status, slug, title = 12, 408, "request-too-slow", "Request too slow"


class Overloaded(PilothouseError):
    """There is no room to accept this now; the same request may succeed later.

    Args:
        what: As for every error.
        retry_after: Seconds after which a retry makes sense.
        where: As for every error.
        remedy: As for every error.
    """

    exit_code, status, slug, title = 13, 503, "overloaded", "Overloaded"

    def __init__(
        self, what: str, *, retry_after: float = 1.0, where: str | None = None, remedy: str | None = None
    ) -> None:
        super().__init__(what, where=where, remedy=remedy)
        self.retry_after = retry_after


class MissingExtra(PilothouseError):
    """A feature needs an optional part that is not installed.

    Args:
        feature: What was asked for, as the subject of a sentence.
        extra: The name of the extra in ``pilothouse[extra]``.
    """

    exit_code, status, slug, title = 14, 501, "missing-extra", "Optional part not installed"

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs the optional part '{extra}', which is not installed",
            remedy=f'Install it with: pip install "pilothouse[{extra}]"',
        )
        self.extra = extra


class Unauthorized(PilothouseError):
    """The request carries no credential, or a wrong one."""

    exit_code, status, slug, title = 15, 401, "unauthorized", "Not authenticated"


class Forbidden(PilothouseError):
    """The credential is good but does not allow this."""

    exit_code, status, slug, title = 15, 403, "forbidden", "Not allowed"


class MethodNotAllowed(PilothouseError):
    """The path exists, but not with this HTTP method."""

    exit_code, status, slug, title = 10, 405, "method-not-allowed", "Method not allowed"


class UnsupportedMediaType(PilothouseError):
    """The body's content type or encoding is not one this endpoint reads."""

    exit_code, status, slug, title = 10, 415, "unsupported-media-type", "Unsupported media type"


def exit_codes() -> list[tuple[int, str]]:
    """The documented table of exit codes, ``(code, meaning)``, sorted; the reference is generated from it."""
    table = {
        EXIT_OK: "Success; also `pilothouse up` after an orderly stop by Ctrl-C or SIGTERM",
        EXIT_BUG: "A defect in Pilothouse; set PILOTHOUSE_DEBUG=1 to see where",
        EXIT_INTERRUPTED: "Interrupted by Ctrl-C before the command had finished",
    }
    for error in _tree(PilothouseError):
        if error.exit_code not in table:
            table[error.exit_code] = error.title
        elif error.exit_code > EXIT_BUG and error.title not in table[error.exit_code]:
            table[error.exit_code] += f"; {error.title[0].lower()}{error.title[1:]}"
    return sorted(table.items())


def by_slug() -> dict[str, type[PilothouseError]]:
    """Every error class by its slug, for whoever reads a problem document back."""
    return {error.slug: error for error in _tree(PilothouseError)}


def _tree(root: type[PilothouseError]) -> Iterator[type[PilothouseError]]:
    for child in root.__subclasses__():
        yield child
        yield from _tree(child)
