"""The panel's server: it answers from the moment it is made, before the first frame and while none comes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

from aiohttp import web

from streamseg.frame import Frame
from streamseg.web.address import Address
from streamseg.web.api import Api
from streamseg.web.backgrounds import Backgrounds
from streamseg.web.guard import Guard, add_headers
from streamseg.web.lobby import Lobby
from streamseg.web.loop import EventLoop
from streamseg.web.page import Page
from streamseg.web.preview import Preview
from streamseg.web.webrtc import Peers

if TYPE_CHECKING:
    from streamseg.control import Control

_LARGEST_REQUEST = 64 * 1024
"""Bytes of JSON; uploads have a bound of their own."""

_FAREWELL = 0.1
"""Seconds that answers under way get at the end."""

_SQUARE = Fraction(1)

_SILENT = logging.getLogger("streamseg.web")
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False


class Server:
    """Serves one panel. Whoever opens it closes it."""

    def __init__(self, address: Address, control: Control | None, *, aspect: Fraction = _SQUARE) -> None:
        """Begin to answer; raises SinkError where the port is taken. `aspect`: of the frames' pixels."""
        listening = address.listen()
        self.address = replace(address, port=listening.getsockname()[1])
        self.token = address.token()
        self._listening = listening
        self._preview = Preview(aspect)
        self._backgrounds = Backgrounds()
        self._api = Api(self._preview, self._backgrounds, control)
        self._loop = EventLoop(self._serve, name="web")

    @property
    def url(self) -> str:
        """What to type into a browser, token included."""
        return self.address.url(self.token)

    def show(self, frame: Frame) -> None:
        """Show a frame to whoever watches; waits for nobody."""
        self._preview.show(frame, self._loop)

    def close(self) -> None:
        """Part with everybody and stop to answer."""
        self._loop.close()
        self._backgrounds.close()

    async def _serve(self, ready: Callable[[], None]) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)  # viewers who left
        peers, lobby = Peers(self._preview), Lobby()
        application = self._application(peers, lobby)
        runner = web.AppRunner(
            application,
            access_log=None,
            logger=_SILENT,
            shutdown_timeout=_FAREWELL,
            auto_decompress=False,  # nothing is unpacked before anybody knows who sent it
        )
        await runner.setup()
        assert runner.server is not None
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lobby.door(runner.server), sock=self._listening)
        try:
            ready()
            await loop.create_future()  # until it is cancelled
        finally:
            server.close()
            self._api.closing = True
            await peers.close()
            await runner.cleanup()

    def _application(self, peers: Peers, lobby: Lobby) -> web.Application:
        guard = Guard(self.address, self.token, lobby)
        application = web.Application(middlewares=[guard.admit], client_max_size=_LARGEST_REQUEST)
        application.on_response_prepare.append(add_headers)
        application.add_routes(
            [
                web.get("/", Page().get),
                web.get("/preview.mjpg", self._preview.stream, allow_head=False),
                web.get("/preview.jpg", self._preview.picture),
                web.post("/api/webrtc", peers.offer),
                *self._api.routes(),
            ]
        )
        return application
