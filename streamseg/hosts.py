"""Names of hosts: FFmpeg calls one that is not known an input/output error."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

REFUSED = "connection refused; start the server or check the address"


def unknown_host(uri: str) -> str | None:
    """Return that the host of `uri` is not known, in words; None where it is. Asks the system, which may
    take seconds where it reaches no name server."""
    try:
        host = urlsplit(uri).hostname
    except ValueError:  # no address at all
        return None
    try:
        if host:
            socket.getaddrinfo(host, None)
    except (socket.gaierror, UnicodeError):  # the latter: no name of a host can be so
        return f"there is no host {host!r}; check the address and the link"
    return None
