"""How a command talks to a running server: the API of the console listener, with the address and token of the configuration.

Standard library only, because a command should start in a blink. Errors come back as the exceptions the server raised.
"""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from pilothouse.kit import errors
from pilothouse.kit.config import Effective, split_address


class Client:
    """A connection to one server. Not thread-safe.

    Args:
        base_url: Such as ``http://127.0.0.1:8686``.
        token: The bearer token, or empty.
        timeout: Seconds to wait for an answer.
        ca_file: Certificates to trust beside the system's, for a self-signed server.
    """

    def __init__(self, base_url: str, token: str = "", *, timeout: float = 30.0, ca_file: str = "") -> None:
        self.base_url = base_url.rstrip("/")
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise errors.UsageError(f"{base_url!r} is not an address of a server", remedy="Write http://HOST:PORT.")
        self._host, self._port, self._prefix = parts.hostname, parts.port, parts.path
        self._tls = ssl.create_default_context(cafile=ca_file or None) if parts.scheme == "https" else None
        self._token, self._timeout = token, timeout

    def get(self, path: str, params: Mapping[str, object] | None = None) -> Any:
        """The JSON answer of ``GET path``. ``None`` parameters are left out, lists are repeated.

        Raises:
            ServerUnreachable: Nobody answers there.
            PilothouseError: What the server answered, in its own class.
        """
        return msgspec.json.decode(self.raw("GET", path, params).read())

    def post(self, path: str, body: object) -> Any:
        """The JSON answer of ``POST path``. Raises as ``get`` does."""
        return msgspec.json.decode(self.raw("POST", path, None, msgspec.json.encode(body), "application/json").read())

    def raw(
        self,
        method: str,
        path: str,
        params: Mapping[str, object] | None = None,
        body: bytes | None = None,
        media_type: str = "",
        accept: str = "application/json",
    ) -> http.client.HTTPResponse:
        """The answer itself, for bodies that are not JSON. Raises as ``get`` does."""
        headers = {"accept": accept, "user-agent": "pilothouse-cli"}
        if media_type:
            headers["content-type"] = media_type
        if self._token:
            headers["authorization"] = f"Bearer {self._token}"
        target = self._prefix + quote(path, safe="/%:") + _query(params)
        try:
            connection = self._connect()
            connection.request(method, target, body, headers)
            response = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise errors.ServerUnreachable(
                f"no Pilothouse answers at {self.base_url}: {reason.lower()}",
                remedy="Start one with `pilothouse up`, or name its address with --server.",
            ) from error
        if response.status >= 400:
            raise _error(response.status, response.read())
        return response

    def events(self, path: str, params: Mapping[str, object] | None = None) -> Iterator[tuple[str, Any]]:
        """Server-sent events of ``GET path`` as ``(name, data)``, until the server ends the stream.

        Raises:
            PilothouseError: Also the error that ended a stream.
        """
        response = self.raw("GET", path, params, accept="text/event-stream")
        name, data = "message", ""
        try:
            for raw in response:
                line = raw.decode().rstrip("\r\n")
                field, _, value = line.partition(":")
                if not line and data:
                    decoded = msgspec.json.decode(data)
                    if name == "problem":
                        raise _error(decoded.get("status", 500), data.encode())
                    yield name, decoded
                if not line:
                    name, data = "message", ""
                elif field == "event":
                    name = value.strip()
                elif field == "data":
                    data += value.strip()
        except TimeoutError as error:
            raise errors.ServerUnreachable(f"{self.base_url} went silent") from error
        finally:
            response.close()

    def _connect(self) -> http.client.HTTPConnection:
        if self._tls is not None:
            return http.client.HTTPSConnection(self._host, self._port, timeout=self._timeout, context=self._tls)
        return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)


def connect(effective: Effective, server: str = "", *, timeout: float = 30.0) -> Client:
    """A client for ``server``, or for the console listener of the configuration.

    Raises:
        UsageError: The configuration has no console listener, or a port that is only known to the running server.
    """
    config = effective.config
    if server:
        return Client(server, config.server.token, timeout=timeout, ca_file=config.server.tls_cert)
    if not config.listen.console or config.listen.console.endswith(":0"):
        raise errors.UsageError("the configuration does not say where the server listens", remedy="Use --server URL.")
    host, port = split_address(config.listen.console)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - replaced, not bound
    scheme = "https" if config.server.tls_cert else "http"
    url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
    return Client(url, config.server.token, timeout=timeout, ca_file=config.server.tls_cert)


#: For problems of types that only the server knows, such as those of a capability that is not installed here.
_BY_STATUS: Final[Mapping[int, type[errors.PilothouseError]]] = {
    401: errors.Unauthorized,
    403: errors.Forbidden,
    404: errors.NotFound,
    413: errors.LimitExceeded,
    503: errors.Overloaded,
    504: errors.QueryTimeout,
}
_UNKNOWN: Final = errors.PilothouseError


def _query(params: Mapping[str, object] | None) -> str:
    pairs = [
        (name, str(one).lower() if isinstance(one, bool) else str(one))
        for name, value in (params or {}).items()
        for one in (value if isinstance(value, list | tuple) else (value,))
        if one is not None
    ]
    return f"?{urlencode(pairs)}" if pairs else ""


def _error(status: int, body: bytes) -> errors.PilothouseError:
    """The exception a problem document stands for; a plain one for an answer that is not ours."""
    try:
        document = msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError:
        return errors.ServerUnreachable(f"the server answered {status} without saying why; is it a Pilothouse?")
    slug = str(document.get("type", "")).rpartition(":")[2]
    kind = errors.by_slug().get(slug) or _BY_STATUS.get(status, errors.InvalidInput if status < 500 else _UNKNOWN)
    error = kind.__new__(kind)
    errors.PilothouseError.__init__(
        error,
        str(document.get("detail", f"the server answered {status}")),
        where=document.get("where") or None,
        remedy=document.get("remedy") or None,
    )
    return error
