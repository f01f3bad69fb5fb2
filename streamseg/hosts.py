"""Names of hosts: FFmpeg calls one that is not known an input/output error."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

_NONE = "there is no host {!r}; check the address and the link"
_NO_ADDRESS = getattr(socket, "EAI_NODATA", socket.EAI_NONAME)

REFUSED = "connection refused; start the server or check the address"


def unknown_host(uri: str) -> str | None:
    """Return that the host of `uri` is not known, in words; None where it is. Asks the system, which may
    take seconds where it reaches no name server."""
    try:
        parts = urlsplit(uri)
        host = None if "@" in parts.path else parts.hostname  # or a part of a password with a slash
    except ValueError:  # no address at all
        return None
    try:
        if host:
            socket.getaddrinfo(host, None)
    except UnicodeError:  # no name of a host can be so
        return _NONE.format(host)
    except socket.gaierror as error:
        if error.errno in (socket.EAI_NONAME, _NO_ADDRESS):
            return _NONE.format(host)
        return f"host {host!r} cannot be looked up now; check the link"
    return None
