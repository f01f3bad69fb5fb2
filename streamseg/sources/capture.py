"""An open camera: what is asked of it, and its pictures as it makes them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

import cv2

# isort: split
import av
import numpy as np
from numpy.typing import NDArray

from streamseg.colour import BT601, FULL, LIMITED
from streamseg.errors import SourceError
from streamseg.pictures import rows
from streamseg.sources.cameras import Camera, list_cameras, locked, told, unlock
from streamseg.sources.quiet import silent
from streamseg.sources.v4l2 import Mode, modes

Pixels: TypeAlias = NDArray[Any]

_TRIES = 10
"""Failed reads in a row after which a camera counts as gone: some fail once or twice while they start."""
_DAMAGED = 5
"""So many in a row of a camera's JPEGs may be refused before OpenCV gets them, which is less strict."""
_PAUSE = 0.05
"""Seconds between those tries."""
_VGA = 640 * 480
"""Above this many pixels few cameras deliver their full rate uncompressed."""
_BUFFERS = 2
"""One is filled while the other is read. With one many cameras give every second frame only; more hold
frames back where somebody reads late."""
_OLDEST = 1.0
"""Seconds; a driver's time of a frame that is further back is on another clock."""
_USUAL_RATE = 30.0

_RAW = {
    "NV12": ("nv12", (1, 1)),
    "YU12": ("yuv420p", (1, 0.5, 0.5)),
    "YUYV": ("yuyv422", (2,)),
    "UYVY": ("uyvy422", (2,)),
    "GREY": ("gray", (1,)),
}
"""V4L2's name of a pixel format, least bytes first: FFmpeg's, and the bytes of a line in each plane per pixel
of width."""
_NATIVE = (*_RAW, "MJPG")
"""Formats in which frames are taken as they are, in the order they are preferred at the same rate."""


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture, and when it was taken (`time.monotonic()`): by the driver's word where that is known."""

    picture: av.VideoFrame
    captured: float


def open_device(number: int) -> cv2.VideoCapture:
    """Open a camera by its number: on Linux through V4L2, elsewhere through what OpenCV finds first."""
    return cv2.VideoCapture(number, cv2.CAP_V4L2 if sys.platform == "linux" else cv2.CAP_ANY)


class Capture:
    """A camera's pictures in its own pixel format where V4L2 gives that (YUYV, NV12, ...; MJPEG decoded),
    else bgr24. Belongs to one thread at a time."""

    def __init__(
        self,
        camera: Camera,
        *,
        uri: str,
        size: tuple[int, int] | None,
        fps: float | None,
        opened: Callable[[int], cv2.VideoCapture] = open_device,
    ) -> None:
        """Open it and ask for a size and a rate; raises SourceError. `uri` is what messages call it."""
        if locked(camera):
            why = f"no permission for {camera.uri} (group video)"
            raise SourceError(f"cannot open camera {uri!r}: {why}; {unlock()}")
        with silent():
            self._device = opened(camera.number)
        if not self._device.isOpened():
            self._device.release()
            raise SourceError(
                f"cannot open camera {uri!r}: no such camera, or it is in use; {told(list_cameras())}"
            )
        self._uri = uri
        try:
            with silent():
                self._ask(camera, size, fps)
        except BaseException:
            self._device.release()
            raise

    def _ask(self, camera: Camera, size: tuple[int, int] | None, fps: float | None) -> None:
        wanted = fourcc_for(size, fps, offered(camera))
        if wanted:
            self._device.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*wanted))
        if size is not None:
            self._device.set(cv2.CAP_PROP_FRAME_WIDTH, size[0])
            self._device.set(cv2.CAP_PROP_FRAME_HEIGHT, size[1])
        if fps is not None:
            self._device.set(cv2.CAP_PROP_FPS, fps)
        self._device.set(cv2.CAP_PROP_BUFFERSIZE, _BUFFERS)
        given = self._device.get(cv2.CAP_PROP_FPS)
        self.rate = Fraction(given).limit_denominator(1001) if 0 < given <= 1000 else None
        """Frames a second, where the camera says so."""
        self._v4l2 = self._device.getBackendName() == "V4L2"
        self._fourcc = self._native_fourcc()
        self._decoder = av.CodecContext.create("mjpeg", "r")
        self._decoder.thread_count = 1  # each further thread holds a frame back
        self._decoder.options = {"err_detect": "explode"}  # no picture rather than half of one

    def _native_fourcc(self) -> str:
        """Have frames left as they are where we know what that means; empty where they come as BGR."""
        code = int(self._device.get(cv2.CAP_PROP_FOURCC))
        fourcc = code.to_bytes(4, "little", signed=code < 0).decode("latin-1").rstrip()
        known = self._v4l2 and fourcc in _NATIVE
        return fourcc if known and self._device.set(cv2.CAP_PROP_CONVERT_RGB, 0) else ""

    def read(self) -> Shot:
        """Wait for the next picture; raises SourceError when the camera has gone."""
        for failed in range(_TRIES):
            if failed > _DAMAGED:
                self._leave_to_opencv()
            good, pixels = self._read()
            now = time.monotonic()
            picture = self._picture(pixels) if good else None
            if picture is not None:
                return Shot(picture, self._taken(now))
            time.sleep(0 if good else _PAUSE)
        what_to_do = "check its cable and that no other program uses it"
        raise SourceError(f"camera {self._uri!r} gives no frame; {what_to_do}")

    def _read(self) -> tuple[bool, Pixels]:
        with silent():
            try:
                return self._device.read()
            except cv2.error:  # what came cannot be made a picture
                return False, np.empty(0, np.uint8)

    def _taken(self, now: float) -> float:
        stamp = self._device.get(cv2.CAP_PROP_POS_MSEC) / 1000 if self._v4l2 else 0.0
        return stamp if now - _OLDEST < stamp <= now else now

    def _picture(self, pixels: Pixels) -> av.VideoFrame | None:
        """Make a picture of what OpenCV gave; None where that is damaged."""
        if not self._fourcc:
            return av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels, np.uint8), format="bgr24")
        if self._fourcc == "MJPG":
            return self._decoded(pixels)
        size = tuple(
            int(self._device.get(side)) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
        )
        picture = raw(pixels, self._fourcc, size)
        if picture is None:  # lines padded, or another format than the driver said
            self._leave_to_opencv()
        return picture

    def _leave_to_opencv(self) -> None:
        """Take BGR from now on: OpenCV copes with more."""
        if self._fourcc:
            self._fourcc = ""
            self._device.set(cv2.CAP_PROP_CONVERT_RGB, 1)

    def _decoded(self, pixels: Pixels) -> av.VideoFrame | None:
        if not pixels.size:  # an empty packet would be the end of all
            return None
        with suppress(av.FFmpegError):
            return next(iter(self._decoder.decode(av.Packet(pixels.tobytes()))), None)
        return None

    def release(self) -> None:
        """Give the camera back."""
        self._device.release()


def raw(pixels: Pixels, fourcc: str, size: tuple[int, ...]) -> av.VideoFrame | None:
    """Make a picture of uncompressed `pixels` of a size (W, H), tagged as V4L2 means them; None where they
    are too few or too many."""
    name, widths = _RAW[fourcc]
    width, height = size
    picture = av.VideoFrame(width, height, name)
    planes = [
        (rows(plane), round(share * width)) for plane, share in zip(picture.planes, widths, strict=True)
    ]
    data = pixels.reshape(-1).view(np.uint8)
    if data.size != sum(len(lines) * line for lines, line in planes):
        return None
    begin = 0
    for lines, line in planes:
        end = begin + len(lines) * line
        lines[:, :line] = data[begin:end].reshape(-1, line)
        begin = end
    picture.colorspace = BT601
    picture.color_range = FULL if name == "gray" else LIMITED
    return picture


def offered(camera: Camera) -> list[Mode]:
    """Return what a camera says it can; nothing where it cannot be asked."""
    if not camera.uri.startswith("/"):
        return []
    try:
        return modes(camera.uri)
    except OSError:
        return []


def fourcc_for(size: tuple[int, int] | None, fps: float | None, modes: Sequence[Mode]) -> str | None:
    """Return the pixel format to ask for: uncompressed where that comes as fast as wanted, else MJPEG. None:
    any will do."""
    if size is None:
        return None
    wanted = fps or _USUAL_RATE
    fitting = [mode for mode in modes if mode.size == size and mode.fourcc in _NATIVE]
    if not fitting:
        return "MJPG" if size[0] * size[1] > _VGA else None

    def suits(mode: Mode) -> tuple[float, int]:
        fast = mode.fourcc == "MJPG" or size[0] * size[1] <= _VGA
        rate = float(mode.rates[0]) if mode.rates else wanted * fast
        return min(rate, wanted), -_NATIVE.index(mode.fourcc)

    return max(fitting, key=suits).fourcc
