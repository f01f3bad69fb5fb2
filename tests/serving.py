"""A folder behind http:, and bytes behind tcp:, on this machine."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, repeat
from pathlib import Path


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve a folder; the address given has a user and a password, which no message may show."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://user:secret@127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@dataclass(frozen=True)
class Turn:
    """What one connection gets."""

    content: bytes = b""
    seconds: float = 0.0
    """Over which the content is spread."""
    silent: bool = False
    """Nothing comes afterwards, but the connection stays; else it is closed."""
    begun: threading.Event = field(default_factory=threading.Event)
    """Set when somebody has connected."""


@contextmanager
def taking_turns(*turns: Turn) -> Iterator[str]:
    """A server that treats each connection after the other as its turn says, and all further ones as the
    last."""
    finished = threading.Event()

    def serve() -> None:
        for turn in chain(turns, repeat(turns[-1])):
            try:
                connection, _ = server.accept()
            except OSError:
                return
            turn.begun.set()
            with connection, suppress(ConnectionError):
                _send(connection, turn)
                if turn.silent:
                    connection.settimeout(0.05)
                    while not finished.is_set() and not _left(connection):
                        pass

    def _send(connection: socket.socket, turn: Turn) -> None:
        step = 20 if turn.seconds else 1
        parts = max(1, round(turn.seconds * step))
        size = -(-len(turn.content) // parts)
        for part in range(parts):
            connection.sendall(turn.content[part * size : (part + 1) * size])
            if finished.wait(turn.seconds / parts):
                return

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        finally:
            finished.set()
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            thread.join()


def _left(connection: socket.socket) -> bool:
    try:
        return not connection.recv(1000)
    except TimeoutError:
        return False
