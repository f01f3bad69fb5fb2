"""HTTP push: a PUT request whose body is sent piece by piece (chunked transfer), and whose answer is read."""

from __future__ import annotations

import select
import socket
import ssl
import time
from base64 import b64encode
from collections.abc import Callable
from urllib.parse import SplitResult, unquote, urlsplit

from streamseg.errors import reason
from streamseg.hosts import REFUSED, unknown_host

_REFUSAL = 1.0
"""Seconds in which a server may refuse before the body is sent; those that know of no such question say
nothing."""

_SEND_BUFFER = 1 << 18
"""Bytes on their way: with more, a server that takes nothing would be noticed late."""

_LONGEST_ANSWER = 1 << 16
"""Bytes of an answer's header."""


class Upload:
    """One request. Life: `open`, `write` often, then `commit` or `discard`.

    After a failure `lost` says what happened; what is written from then on is dropped. Nothing raises inside
    `write`: PyAV would keep that until some other call fails.
    """

    def __init__(self, url: str, *, timeout: float, method: str = "PUT", ask: bool = True) -> None:
        """`timeout`: seconds in which the server must take something, or answer. `ask`: give it a moment to
        refuse before the body is sent."""
        self.lost: str | None = None
        self._url, self._timeout, self._method, self._ask = urlsplit(url), timeout, method, ask
        self._socket: socket.socket | None = None
        self._received = b""

    @property
    def deletes(self) -> bool:
        """It asks for a deletion, not for something to be stored."""
        return self._method == "DELETE"

    def open(self) -> None:
        """Connect and send the header; raises OSError, also where the server refuses at once."""
        self.lost, self._received = None, b""
        self._socket = _connected(self._url, self._timeout)
        self._attempt(self._begin)
        if self.lost is not None:
            self.discard()
            raise ConnectionError(self.lost)

    def write(self, content: bytes) -> int:
        """Send a chunk."""
        self._attempt(lambda: self._pass_on(content))
        return len(content)

    def commit(self) -> None:
        """Send the end and read the answer; raises ConnectionError unless the server has taken everything."""
        self._attempt(self._end)
        self.discard()
        if self.lost is not None:
            raise ConnectionError(self.lost)

    def discard(self) -> None:
        """Break off: the server sees that the body is not complete."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _attempt(self, step: Callable[[], None]) -> None:
        if self._socket is not None and self.lost is None:
            try:
                step()
            except OSError as error:
                self.lost = reason(error)

    def _begin(self) -> None:
        asking = self._ask and self._method == "PUT"
        self._send(_header(self._url, self._method, ask=asking))
        if asking:
            self._look_at(self._answer(_REFUSAL))

    def _pass_on(self, content: bytes) -> None:
        if (self._look_at(self._answer(0)) or 0) >= 200:
            raise ConnectionError("the server wants no more")
        self._send(b"%x\r\n%s\r\n" % (len(content), content))

    def _end(self) -> None:
        if self._method == "PUT":
            self._send(b"0\r\n\r\n")
        while (status := self._look_at(self._answer(self._timeout))) is None or status < 200:
            if status is None:
                raise TimeoutError("the server does not answer")

    def _send(self, content: bytes) -> None:
        assert self._socket is not None
        left = memoryview(content)
        while left:
            left = left[self._socket.send(left) :]

    def _answer(self, seconds: float) -> str | None:
        """The status line of the next answer without its version; None if none comes in time."""
        end = time.monotonic() + seconds
        while b"\r\n\r\n" not in self._received:
            left = max(0.0, end - time.monotonic())
            if not self._receive(left) and not left:
                return None
        head, self._received = self._received.split(b"\r\n\r\n", 1)
        version, _, status = head.split(b"\r\n", 1)[0].decode("latin-1").partition(" ")
        if not version.startswith("HTTP/") or not status[:3].isdigit():
            raise ConnectionError("the server does not speak HTTP")
        return status

    def _receive(self, seconds: float) -> bool:
        """Read what has come; False if nothing has. A readable TLS socket may hold nothing for us."""
        assert self._socket is not None
        if not select.select([self._socket], [], [], seconds)[0]:
            return False
        self._socket.setblocking(False)
        try:
            piece = self._socket.recv(4096)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        finally:
            self._socket.settimeout(self._timeout)
        if not piece:
            raise ConnectionResetError("the server closed the connection")
        self._received += piece
        if len(self._received) > _LONGEST_ANSWER:
            raise ConnectionError("the server does not speak HTTP")
        return True

    def _look_at(self, status: str | None) -> int | None:
        if status is None:
            return None
        if int(status[:3]) >= 300:
            raise ConnectionError(f"the server answers {status!r}")
        return int(status[:3])


def _connected(url: SplitResult, timeout: float) -> socket.socket:
    host = url.hostname or ""
    secure = url.scheme.lower() == "https"
    try:
        connection = socket.create_connection((host, url.port or (443 if secure else 80)), timeout)
    except (socket.gaierror, UnicodeError) as error:
        raise ConnectionError(unknown_host(url.geturl()) or reason(error)) from error
    except ConnectionRefusedError as error:
        raise ConnectionError(REFUSED) from error
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
    if not secure:
        return connection
    try:
        return ssl.create_default_context().wrap_socket(connection, server_hostname=host)
    except OSError:
        connection.close()
        raise


def _header(url: SplitResult, method: str, *, ask: bool) -> bytes:
    host = url.netloc.rpartition("@")[2]
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", "User-Agent: streamseg", "Connection: close"]
    if method == "PUT":
        lines += ["Transfer-Encoding: chunked", f"Content-Type: {_type_of(url.path)}"]
    if ask:
        lines.append("Expect: 100-continue")
    if url.username is not None:
        user = f"{unquote(url.username)}:{unquote(url.password or '')}"
        lines.append(f"Authorization: Basic {b64encode(user.encode()).decode()}")
    return "\r\n".join([*lines, "", ""]).encode()


def _type_of(path: str) -> str:
    return "application/vnd.apple.mpegurl" if path.endswith(".m3u8") else "video/mp2t"
