"""Connections FFmpeg gives no handle on: found among the sockets of this process, and broken off."""

from __future__ import annotations

import os
import select
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_OPEN = Path("/dev/fd")
"""Names every file this process holds, on Linux, macOS and the BSDs."""


def break_off(host: str, port: int, *, patience: float = 0.0) -> bool:
    """Shut the TCP connections of this process to a server that take nothing, also after so many seconds;
    tell whether there were any. Who waits for them then fails at once.

    Where sockets are no files, as on Windows, none is found.
    """
    broken, end = False, time.monotonic() + patience
    places = _places(host, port)
    for descriptor in _descriptors():
        with _connection(descriptor) as connection:
            if connection is None or _place(connection) not in places:
                continue
            if _takes(connection, max(0.0, end - time.monotonic())):
                continue
            with suppress(OSError):  # it has just ended
                connection.shutdown(socket.SHUT_RDWR)
            broken = True
    return broken


def can_break_off() -> bool:
    """Whether connections can be found here."""
    return bool(_descriptors())


def _descriptors() -> list[int]:
    try:
        return [int(entry.name) for entry in _OPEN.iterdir()]
    except OSError:
        return []


@contextmanager
def _connection(descriptor: int) -> Iterator[socket.socket | None]:
    """The socket behind a descriptor that others own; None where there is none any more, or none of TCP's.
    A duplicate: the descriptor may mean something else at any moment."""
    try:
        copy = os.dup(descriptor)
    except OSError:
        yield None
        return
    if not stat.S_ISSOCK(os.fstat(copy).st_mode):
        os.close(copy)
        yield None
        return
    with socket.socket(fileno=copy) as found:
        internet = found.family in (socket.AF_INET, socket.AF_INET6)
        yield found if internet and found.type == socket.SOCK_STREAM else None


def _places(host: str, port: int) -> set[tuple[str, int]]:
    """The addresses a server may have."""
    try:
        return {(info[4][0], port) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}  # type: ignore[misc]
    except (OSError, UnicodeError):
        return set()


def _place(connection: socket.socket) -> tuple[str, int] | None:
    """Address and port of the other end."""
    try:
        host, port = connection.getpeername()[:2]
    except OSError:
        return None
    return host, port


def _takes(connection: socket.socket, patience: float) -> bool:
    poll = select.poll()
    poll.register(connection, select.POLLOUT)
    return bool(poll.poll(patience * 1000))
