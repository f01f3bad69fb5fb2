"""Where the panel listens."""

from __future__ import annotations

import socket

import pytest

from streamseg.errors import SinkError, UsageError
from streamseg.sinks import open_sink
from streamseg.web.address import Address, parse_address


@pytest.mark.parametrize(
    ("uri", "host", "port", "loopback"),
    [
        ("web:8080", "127.0.0.1", 8080, True),
        ("web:8080/", "127.0.0.1", 8080, True),
        ("web:localhost:80", "127.0.0.1", 80, True),
        ("web:127.0.0.2:1", "127.0.0.2", 1, True),
        ("web:[::1]:8080", "::1", 8080, True),
        ("web:0.0.0.0:8080", "0.0.0.0", 8080, False),
        ("web:[::]:8080", "::", 8080, False),
        ("web:192.168.1.5:8080", "192.168.1.5", 8080, False),
    ],
)
def test_an_address_is_read(uri: str, host: str, port: int, loopback: bool) -> None:
    """A port alone means this machine only; who listens elsewhere asks for a token, a new one each time."""
    address = parse_address(uri)
    assert (address.host, address.port, address.loopback) == (host, port, loopback)
    tokens = address.token(), address.token()
    assert tokens == (None, None) if loopback else (len(tokens[0] or "") >= 32 and tokens[0] != tokens[1])


@pytest.mark.parametrize(
    "uri", ["web:", "web:http", "web:70000", "web:::1:80", "web:a:b:80", "web:-1", "web:8080x"]
)
def test_what_is_no_address_is_refused(uri: str) -> None:
    """One line, with what to write instead."""
    with pytest.raises(UsageError, match=r"write web:8080|no address of this machine"):
        open_sink(uri)


def test_the_address_to_open_names_a_machine() -> None:
    """All addresses of this machine are told as one that a browser can open; a token is part of it."""
    assert parse_address("web:127.0.0.1:80").url(None) == "http://127.0.0.1:80/"
    assert parse_address("web:[::1]:80").url(None) == "http://[::1]:80/"
    told = parse_address("web:0.0.0.0:80").url("secret")
    assert told.endswith(":80/?token=secret") and "0.0.0.0" not in told
    assert "[::]" not in parse_address("web:[::]:80").url("secret")


def test_a_taken_port_is_told_before_anything_is_opened() -> None:
    """Another program's port is an error of the output, with another port to try."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(
            SinkError, match=rf"cannot serve the panel at 127.0.0.1 port {port}: .*-o web:8081"
        ):
            open_sink(f"web:{port}")


def test_an_address_of_another_machine_is_told() -> None:
    """One cannot listen at what one does not have."""
    with pytest.raises(SinkError, match=r"192\.0\.2\.77"):
        Address("192.0.2.77", 0).listen()
