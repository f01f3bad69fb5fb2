"""The newest finished frame, for whoever watches: as JPEG, and as a stream of them (MJPEG)."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction

import av
import cv2
from aiohttp import web
from av.video.reformatter import Interpolation, VideoReformatter

from streamseg.colour import BT601, LIMITED, reading_of
from streamseg.frame import Frame
from streamseg.grey import readable
from streamseg.sinks.display import Display
from streamseg.sinks.geometry import square_size
from streamseg.sources.upright import copied
from streamseg.web.loop import EventLoop

LARGEST = 1280
"""Pixels of the longer side."""

_QUALITY = 80

_REPEAT = 1.0
"""Seconds after which a picture is sent again: who comes late or lost it gets it, who has left is noticed."""

MOST_STREAMS = 4
"""MJPEG streams of one browser: it keeps six connections to one place, and panic needs one."""

_UNSENT = 128 * 1024
"""Bytes that may wait in the system for a slow viewer: about two pictures, so that what is seen is new."""

_BOUNDARY = "picture"

_NEXT = f"\r\n--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\n\r\n".encode()
"""What stands before a picture. It is sent right after the last one: Chromium shows none before it has read
the header of the next."""


class Preview:
    """Keeps the newest frame. `show` may be called from any thread; all else happens on the event loop.

    A frame is encoded when somebody asks, once for all of them. Who is slow gets fewer frames, all new.
    """

    def __init__(self, aspect: Fraction) -> None:
        """`aspect`: width of the frames' pixels over their height."""
        self.frame: Frame | None = None
        """The newest one."""
        self.watchers = 0
        self._aspect = aspect
        self._streams: Counter[tuple[str | None, str]] = Counter()
        """How many each browser has: an address and a program."""
        self._arrival = asyncio.Event()
        self._display, self._swscale = Display(), VideoReformatter()
        self._encoded: tuple[Frame, bytes] | None = None

    def show(self, frame: Frame, loop: EventLoop) -> None:
        """Keep a frame, and tell those who watch."""
        self.frame = frame
        if self.watchers:
            loop.call(self._arrived)

    def _arrived(self) -> None:
        arrival, self._arrival = self._arrival, asyncio.Event()
        arrival.set()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Be told of new frames while in this block."""
        self.watchers += 1
        try:
            yield
        finally:
            self.watchers -= 1

    async def after(self, seen: Frame | None) -> Frame:
        """Return the newest frame: at once if it is another than `seen`, else when one comes, or `seen` after
        a while."""
        while True:
            arrival = self._arrival
            if self.frame is not None and self.frame is not seen:
                return self.frame
            with suppress(TimeoutError):
                await asyncio.wait_for(arrival.wait(), _REPEAT)
                continue
            if self.frame is not None:
                return self.frame

    def size(self, frame: Frame) -> tuple[int, int]:
        """(W, H) in which a frame is shown: its pixels square, its sides even and at most LARGEST."""
        width, height = square_size(frame.size, self._aspect)
        scale = min(1.0, LARGEST / max(width, height))
        return max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)

    def jpeg(self, frame: Frame) -> bytes:
        """Return a frame as JPEG; transparent parts show a checkerboard."""
        if self._encoded is None or self._encoded[0] is not frame:
            pixels = self._display(frame.picture, self.size(frame))
            _, code = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
            self._encoded = frame, code.tobytes()
        return self._encoded[1]

    def yuv(self, frame: Frame) -> av.VideoFrame:
        """Return a frame's picture as it is shown, as browsers read VP8: yuv420p, BT.601, limited range.

        It is the caller's own, with times of its own: others are given the frame, too.
        """
        before = reading_of(frame.picture)
        width, height = self.size(frame)
        shown = self._swscale.reformat(
            readable(frame.picture, before),
            width=width,
            height=height,
            format="yuv420p",
            src_colorspace=before.matrix,
            dst_colorspace=BT601,
            src_color_range=before.range,
            dst_color_range=LIMITED,
            interpolation=Interpolation.BILINEAR,
            threads=1,
        )
        return copied(shown) if shown is frame.picture else shown

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Answer with pictures, one after the other, until the viewer leaves."""
        browser = request.remote, request.headers.get("User-Agent", "")
        if self._streams[browser] >= MOST_STREAMS:
            raise web.HTTPServiceUnavailable(reason="too many streams of one program; ask for preview.jpg")
        self._streams[browser] += 1
        try:
            return await self._streamed(request)
        finally:
            self._streams[browser] -= 1
            self._streams += Counter()  # forgets who has none

    async def _streamed(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.headers["Content-Type"] = f"multipart/x-mixed-replace; boundary={_BOUNDARY}"
        await response.prepare(request)
        _keep_little(request.transport)
        with self.watching(), suppress(ConnectionError):  # they leave when they like
            await response.write(_NEXT)
            frame = None
            while True:
                frame = await self.after(frame)
                await response.write(self.jpeg(frame) + _NEXT)
        return response

    async def picture(self, _request: web.Request) -> web.Response:
        """Answer with the newest picture."""
        if self.frame is None:
            raise web.HTTPServiceUnavailable(reason="no picture yet")
        return web.Response(body=self.jpeg(self.frame), content_type="image/jpeg")


def _keep_little(transport: asyncio.Transport | None) -> None:
    """Have `write` wait for a slow viewer soon, instead of filling the megabytes the system would hold."""
    if transport is not None:
        transport.set_write_buffer_limits(high=_UNSENT)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _UNSENT)
