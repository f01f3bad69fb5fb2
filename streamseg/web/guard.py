"""Who may come in: no other site's pages, no names that point here from elsewhere, nobody without the token.

A page of any site can make the browser on this machine send requests here. What tells them apart: the Host
they were sent to (a name an attacker points to 127.0.0.1 is not ours), the Origin they come from, and what
the browser itself says in Sec-Fetch-Site. Programs send neither of the last two, and are let in.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
import os
import re
import socket
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from aiohttp import web

from streamseg.errors import reason
from streamseg.web.address import Address
from streamseg.web.lobby import Lobby

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Sent with every answer that does not say otherwise."""

_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[\w.-]+)(?::\d{0,5})?")
"""What a Host header holds: a name or address, and perhaps a port."""

_LONGEST = 1000
"""Letters of what went wrong."""

LARGEST_SETTINGS = 8 * 1024
"""Bytes of JSON, if no more is said: the names of all classes of a large network are 4 kB."""

_BODY_SECONDS = 10

_WEEK = 7 * 24 * 3600


def failure(status: int, text: str) -> web.Response:
    """Return an answer that says what went wrong."""
    return web.json_response({"error": text[:_LONGEST]}, status=status)


class Guard:
    """Turns away who may not come in. `token`: what everybody has to bring, None on this machine alone."""

    def __init__(self, address: Address, token: str | None, lobby: Lobby) -> None:
        self._lobby = lobby
        self._loopback = address.loopback
        self._token = token
        self._cookie = f"streamseg-{address.port}"  # cookies know no ports: two panels need two names
        name = socket.gethostname().lower()
        self._names = {"localhost"} if self._loopback else {"localhost", name, f"{name}.local"}

    @web.middleware
    async def admit(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer a request, or say in JSON why not; what a handler did not expect is status 500."""
        try:
            for own in (self._refused, self._welcomed):
                if (answer := own(request)) is not None:
                    return answer
            with self._lobby.answering(request.transport):
                return await handler(request)
        except web.HTTPRequestEntityTooLarge as error:
            return failure(413, f"{request.method} {request.path}: {str(error.text).lower()}")
        except web.RequestPayloadError:
            return failure(400, f"{request.method} {request.path}: the body is not what the headers say")
        except web.HTTPException as error:
            return failure(error.status, f"{request.method} {request.path}: {error.reason.lower()}")
        except Exception as error:
            if os.environ.get("STREAMSEG_DEBUG"):
                traceback.print_exc(file=sys.stderr)
            return failure(500, f"internal error: {type(error).__name__}: {reason(error)}")

    def _refused(self, request: web.Request) -> web.Response | None:
        if "Host" not in request.headers or not self._ours(request.host):
            return failure(421, f"no panel is served as {request.host!r}; use the address printed at start")
        if self._foreign(request):
            return failure(403, "refused: the request comes from another site's page")
        if self._token and not self._known(request):
            return failure(401, "this panel needs the token: open the address printed at start")
        if "Content-Encoding" in request.headers:  # a bomb, or a stall where it is none
            return failure(415, "the body has to come as it is, without Content-Encoding")
        return None

    def _ours(self, host: str) -> bool:
        """Whether a Host header names this machine. Addresses do: only names can be pointed here."""
        parts = _HOST.fullmatch(host)
        if parts is None:
            return False
        name = parts[1].lower().strip("[]")
        if name in self._names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or not self._loopback

    def _foreign(self, request: web.Request) -> bool:
        ours = f"http://{request.host.lower()}"
        if any(origin.lower() != ours for origin in request.headers.getall("Origin", ())):
            return True
        site = request.headers.get("Sec-Fetch-Site", "none")
        follows_link = request.path == "/" and request.headers.get("Sec-Fetch-Mode") == "navigate"
        return site not in ("same-origin", "none") and not (follows_link and request.method == "GET")

    def _known(self, request: web.Request) -> bool:
        scheme, _, brought = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            brought = request.cookies.get(self._cookie, "")
        return self._is_token(brought) or self._is_token(self._in_address(request))

    def _is_token(self, text: str) -> bool:
        return self._token is not None and hmac.compare_digest(
            text.encode(errors="replace"), self._token.encode()
        )

    def _in_address(self, request: web.Request) -> str:
        return request.query.get("token", "") if request.path == "/" else ""

    def _welcomed(self, request: web.Request) -> web.Response | None:
        """Move the token from the page's address into a cookie: addresses are kept in histories."""
        if not self._token or not self._is_token(self._in_address(request)):
            return None
        moved = web.Response(status=303, headers={"Location": "/"})
        moved.set_cookie(self._cookie, self._token, max_age=_WEEK, httponly=True, samesite="Strict", path="/")
        return moved


async def add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """Add HEADERS (aiohttp's `on_response_prepare`)."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["Server"] = "streamseg"  # aiohttp's names every version


async def json_object(request: web.Request, *, most: int = LARGEST_SETTINGS) -> dict[str, object]:
    """Return the object a request holds, at most so many bytes. Raises web.HTTPException: other sites' forms
    cannot send JSON."""
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(reason="the body has to be application/json")
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            sent = await request.read()
        if len(sent) > most:
            raise web.HTTPRequestEntityTooLarge(most, len(sent))
        content = json.loads(sent.decode(request.charset or "utf-8"))
    except TimeoutError as error:
        raise web.HTTPRequestTimeout(reason=f"nothing whole came in {_BODY_SECONDS} s") from error
    except (ValueError, RecursionError, LookupError) as error:
        raise web.HTTPBadRequest(reason="the body is no JSON") from error
    if not isinstance(content, dict):
        raise web.HTTPBadRequest(reason="the body has to be a JSON object")
    return content
