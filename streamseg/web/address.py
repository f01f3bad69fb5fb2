"""Where the panel listens: `web:PORT` on this machine only, `web:HOST:PORT` for others, who need a token."""

from __future__ import annotations

import ipaddress
import re
import secrets
import socket
from dataclasses import dataclass

from streamseg.errors import SinkError, UsageError, reason

_PARTS = re.compile(r"web:(?:(\[[0-9a-f:.]+\]|[^:/\[\]]+):)?(\d{1,5})/?", re.IGNORECASE)

_BACKLOG = 64
"""Connections that may wait to be answered."""


@dataclass(frozen=True, slots=True)
class Address:
    """An IP address to listen at and a port; port 0 is any free one."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Only programs on this machine get there."""
        return ipaddress.ip_address(self.host).is_loopback

    def token(self) -> str | None:
        """Return a new secret for those who come from elsewhere; None where nobody can."""
        return None if self.loopback else secrets.token_urlsafe(24)

    def listen(self) -> socket.socket:
        """Return a socket that listens there; the caller closes it. Raises SinkError."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((self.host, self.port))
            listening.listen(_BACKLOG)
        except OSError as error:
            listening.close()
            raise SinkError(
                f"cannot serve the panel at {self.host} port {self.port}: {reason(error)}; "
                "choose another port: -o web:8081"
            ) from error
        return listening

    def url(self, token: str | None) -> str:
        """Return what to type into a browser; an address that means all of this machine's becomes one."""
        host = self.host
        if ipaddress.ip_address(host).is_unspecified:
            host = _outward(host)
        host = f"[{host}]" if ":" in host else host
        return f"http://{host}:{self.port}/" + (f"?token={token}" if token else "")


def parse_address(uri: str) -> Address:
    """Parse `web:8080`, `web:0.0.0.0:8080`, `web:[::1]:8080`, `web:localhost:8080`. Raises UsageError."""
    match = _PARTS.fullmatch(uri)
    if match is None or int(match[2]) > 65535:
        raise UsageError(f"{uri!r} is no address for the panel; write web:8080, for others web:0.0.0.0:8080")
    host = (match[1] or "127.0.0.1").strip("[]")
    return Address(_numeric(uri, host), int(match[2]))


def _numeric(uri: str, host: str) -> str:
    """Return a host's IP address; raises UsageError where it has none."""
    if host.lower() == "localhost":
        return "127.0.0.1"
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        return str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])
    except (OSError, UnicodeError) as error:
        raise UsageError(
            f"{uri!r}: no address of this machine is called {host!r}; write web:0.0.0.0:8080"
        ) from error


def _outward(host: str) -> str:
    """Return the address by which others reach this machine; connecting a UDP socket sends nothing."""
    family, far = (socket.AF_INET6, "2001:db8::1") if ":" in host else (socket.AF_INET, "192.0.2.254")
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((far, 9))
        except OSError:  # no network at all
            return "::1" if ":" in host else "127.0.0.1"
        return str(probe.getsockname()[0])
