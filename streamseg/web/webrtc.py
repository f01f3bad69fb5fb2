"""The preview as WebRTC video, through aiortc: a twentieth of MJPEG's bytes, for more of the processor."""

from __future__ import annotations

import ipaddress
import re
import time
from fractions import Fraction
from importlib.util import find_spec
from typing import TYPE_CHECKING

import av
from aiohttp import web
from av.video.frame import PictureType

from streamseg.frame import Frame
from streamseg.web.guard import json_object
from streamseg.web.preview import Preview

if TYPE_CHECKING:
    from aiortc import MediaStreamTrack, RTCPeerConnection

MOST = 4
"""Viewers at once: each has an encoder."""

_LARGEST_OFFER = 64 * 1024
"""Bytes; browsers' are below 8 kB."""

_CLOCK = 90_000

_CANDIDATE = re.compile(r"a=candidate:\S+ \d+ \S+ \d+ (\S+) [^\r\n]*\r?\n")

_MOST_CANDIDATES = 16
"""Addresses of one viewer that are tried: each gets packets from us."""


def available() -> bool:
    """Whether aiortc is installed."""
    return find_spec("aiortc") is not None


class Peers:
    """The viewers by WebRTC. No server elsewhere is asked for anything: it works where addresses do."""

    def __init__(self, preview: Preview) -> None:
        if available():
            import aiortc  # noqa: F401  (now: while frames come nobody has the time)
        self._preview = preview
        self._peers: set[RTCPeerConnection] = set()

    async def offer(self, request: web.Request) -> web.Response:
        """Answer a browser's offer of a connection (`{"type": "offer", "sdp": ...}`)."""
        if not available():
            raise web.HTTPNotImplemented(reason="aiortc is not installed")
        content = await json_object(request, most=_LARGEST_OFFER)
        if content.get("type") != "offer" or not isinstance(content.get("sdp"), str):
            raise web.HTTPBadRequest(reason="the body has to be a webrtc offer: type and sdp")
        while len(self._peers) >= MOST:  # nothing is waited for from here to where the new one counts
            await self._make_room()
        return web.json_response(await self._connect(str(content["sdp"])))

    async def _make_room(self) -> None:
        """Part with one who never came, or has left without a word. Raises web.HTTPException if all watch."""
        for peer in self._peers:
            if peer.connectionState != "connected":
                return await self._leave(peer)
        raise web.HTTPServiceUnavailable(reason=f"{MOST} are watching by webrtc already")

    async def _connect(self, sdp: str) -> dict[str, str]:
        from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))  # by default it would ask Google's
        self._peers.add(peer)

        @peer.on("connectionstatechange")
        async def changed() -> None:
            if peer.connectionState in ("failed", "closed", "disconnected"):
                await self._leave(peer)

        try:
            await peer.setRemoteDescription(RTCSessionDescription(reachable(sdp), "offer"))
            peer.addTrack(_track(self._preview))
            await peer.setLocalDescription(await peer.createAnswer())
        except Exception as error:  # whatever aiortc makes of a text from anywhere
            await self._leave(peer)
            raise web.HTTPBadRequest(reason="the offer cannot be answered") from error
        return {"type": "answer", "sdp": peer.localDescription.sdp}

    async def _leave(self, peer: RTCPeerConnection) -> None:
        if peer in self._peers:
            self._peers.discard(peer)
            await peer.close()

    async def close(self) -> None:
        """Part with everybody."""
        for peer in tuple(self._peers):
            await self._leave(peer)


def reachable(sdp: str) -> str:
    """Return an offer with no more addresses than a viewer needs, and without names of hosts: they would be
    looked up, `.local` ones by asking the whole network. The browser finds us anyway."""
    left = _MOST_CANDIDATES

    def kept(candidate: re.Match[str]) -> str:
        nonlocal left
        try:
            ipaddress.ip_address(candidate[1])
        except ValueError:
            return ""
        left -= 1
        return candidate[0] if left >= 0 else ""

    return _CANDIDATE.sub(kept, sdp)


def _track(preview: Preview) -> MediaStreamTrack:
    """Return an aiortc track that shows the newest frame, and waits for the next."""
    from aiortc import VideoStreamTrack

    class Track(VideoStreamTrack):
        def __init__(self) -> None:
            super().__init__()
            self._seen: Frame | None = None
            self._started = time.monotonic()

        async def recv(self) -> av.VideoFrame:
            before = self._seen
            with preview.watching():
                self._seen = await preview.after(before)
            picture = preview.yuv(self._seen)
            if before is not None and before.hidden != self._seen.hidden:
                picture.pict_type = PictureType.I  # or what was seen before panic would shine through
            picture.pts = round((time.monotonic() - self._started) * _CLOCK)
            picture.time_base = Fraction(1, _CLOCK)
            return picture

    return Track()
