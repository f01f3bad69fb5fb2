"""Breaking off connections whose owner cannot be told to."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from streamseg.sinks.sockets import break_off

pytestmark = pytest.mark.skipif(os.name == "nt", reason="sockets are no files there")


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """It accepts nothing by itself, and reads nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def connected(server: socket.socket, *, full: bool) -> socket.socket:
    """A connection to it; `full`: it takes nothing more."""
    made = socket.create_connection(server.getsockname())
    made.setblocking(False)
    with suppress(BlockingIOError):
        while full:
            made.send(bytes(1 << 16))
    made.setblocking(True)
    return made


def broken(connection: socket.socket) -> bool:
    """Nothing can be sent any more."""
    try:
        connection.send(b"?")
    except BrokenPipeError:
        return True
    return False


def test_what_takes_nothing_is_broken_off(server: socket.socket) -> None:
    """Whoever waits for it fails at once; a connection beside it that takes something stays."""
    with connected(server, full=True) as full, connected(server, full=False) as taking:
        assert break_off(*server.getsockname())
        assert broken(full)
        assert not broken(taking)
        assert not break_off(*server.getsockname())


def test_other_ports_are_left_alone(server: socket.socket) -> None:
    """A connection to another server that takes nothing either is not ours to break off."""
    with socket.create_server(("127.0.0.1", 0)) as other, connected(other, full=True) as full:
        assert not break_off(*server.getsockname())
        full.setblocking(False)
        with pytest.raises(BlockingIOError):
            full.send(bytes(1 << 20))


def test_who_takes_something_in_time_is_spared(server: socket.socket) -> None:
    """With patience the server may still read what was sent; without it would have been too late."""

    def read() -> None:
        accepted.setblocking(False)
        with suppress(BlockingIOError):
            while accepted.recv(1 << 16):
                pass

    with connected(server, full=True) as full:
        accepted, _ = server.accept()
        with accepted:
            reader = threading.Timer(0.2, read)
            reader.start()
            assert not break_off(*server.getsockname(), patience=10)
            reader.join()
        full.close()


def test_another_host_at_the_same_port_is_left_alone(server: socket.socket) -> None:
    """Two services take RTMP at 1935; one may be congested while the other is lost."""
    with socket.create_server(("127.0.0.2", server.getsockname()[1])) as other, connected(other, full=True):
        assert not break_off(*server.getsockname())
        assert break_off(*other.getsockname())


def test_datagrams_and_files_are_no_connections(server: socket.socket) -> None:
    """Nothing is found, and nothing fails."""
    with socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        datagrams.connect(server.getsockname())
        assert not break_off(*server.getsockname())
        datagrams.send(b"?")
