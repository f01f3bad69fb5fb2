"""Cameras, through OpenCV."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from cv2.utils import logging

from streamseg.errors import SourceError, UsageError
from streamseg.frame import Frame, VideoFormat
from streamseg.sources.base import Source

_TICKS = Fraction(1, 1_000_000)
_TRIES = 10
"""Failed reads in a row after which a camera counts as gone: some fail once or twice while they start."""
_PAUSE = 0.05
"""Seconds between those tries."""
_VGA = 640 * 480
"""Above this many pixels few cameras deliver their full rate uncompressed: ask for MJPEG."""


class CameraSource(Source):
    """A camera's frames (bgr24), in the size and rate it really gives; pts are microseconds, the first 0."""

    def __init__(
        self,
        uri: str,
        *,
        live: bool | None = None,
        duration: float | None = None,
        size: tuple[int, int] | None = None,
        fps: float | None = None,
        capture: Callable[[int], cv2.VideoCapture] = cv2.VideoCapture,
    ) -> None:
        super().__init__(uri, live=live is not False, duration=duration)
        self._index = index_of(uri)
        with _silent():
            self._camera = capture(self._index)
        if not self._camera.isOpened():
            self._camera.release()
            raise SourceError(f"cannot open camera {uri!r}: no such camera, or it is in use; {_found()}")
        try:
            self._start(size, fps)
        except BaseException:
            self._camera.release()
            raise

    def _start(self, size: tuple[int, int] | None, fps: float | None) -> None:
        if size is not None and size[0] * size[1] > _VGA:
            self._camera.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        if size is not None:
            self._camera.set(cv2.CAP_PROP_FRAME_WIDTH, size[0])
            self._camera.set(cv2.CAP_PROP_FRAME_HEIGHT, size[1])
        if fps is not None:
            self._camera.set(cv2.CAP_PROP_FPS, fps)
        self._camera.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # or the driver hands out frames that are old
        self._zero: float | None = None
        self._last = -1
        self._count = 0
        self._first = self._frame()
        given = self._camera.get(cv2.CAP_PROP_FPS)
        rate = Fraction(given).limit_denominator(1001) if 0 < given <= 1000 else None
        width, height = self._first.size
        self.video = VideoFormat(width=width, height=height, time_base=_TICKS, rate=rate)
        if size is not None and size != (width, height):
            asked = f"{size[0]}x{size[1]}"
            self.warnings.append(f"camera {self.uri!r}: asked for {asked}, it gives {width}x{height}")

    def __iter__(self) -> Iterator[Frame]:
        frame = self._first
        while self.duration is None or frame.time < Fraction(str(self.duration)):
            yield frame
            frame = self._frame()

    def _frame(self) -> Frame:
        """Read one frame; raises SourceError when the camera has gone."""
        for _ in range(_TRIES):
            with _silent():
                good, pixels = self._camera.read()
            captured = time.monotonic()
            if good:
                break
            time.sleep(_PAUSE)
        else:
            after = f"after {self._count} frames" if self._count else "at all"
            what_to_do = "check its cable and that no other program uses it"
            raise SourceError(f"camera {self.uri!r} gives no frame {after}; {what_to_do}")
        self._count += 1
        self._zero = captured if self._zero is None else self._zero
        picture = av.VideoFrame.from_ndarray(np.asarray(pixels, np.uint8), format="bgr24")
        self._last = max(self._last + 1, round((captured - self._zero) / _TICKS))
        picture.pts, picture.time_base = self._last, _TICKS
        return Frame(picture, captured)

    def close(self) -> None:
        """Give the camera back."""
        self._camera.release()


def index_of(uri: str) -> int:
    """Return the camera number in `0`, `camera:0`, `camera:` or `/dev/video0`; raises UsageError."""
    number = re.fullmatch(r"(?:(?i:camera):|/dev/video)?(\d{0,4})", uri.removeprefix("camera:/dev/video"))
    if number is None:
        raise UsageError(f"cannot understand camera {uri!r}; write its number: 0, camera:0 or /dev/video0")
    return int(number[1] or 0)


def list_cameras() -> list[str]:
    """Return the cameras there are, as sources: `/dev/video0` on Linux, elsewhere `camera:0` by trying."""
    if sys.platform == "linux":
        devices = Path("/sys/class/video4linux").glob("video*")
        # A camera often has a second node for its metadata, which gives no pictures.
        numbers = sorted(int(device.name[5:]) for device in devices if _first_node(device))
        return [f"/dev/video{number}" for number in numbers if Path(f"/dev/video{number}").exists()]
    return [f"camera:{number}" for number in range(4) if _opens(number)]


def _first_node(device: Path) -> bool:
    try:
        return (device / "index").read_text().strip() == "0"
    except OSError:
        return True


def _opens(number: int) -> bool:
    with _silent():
        camera = cv2.VideoCapture(number)
        opened = camera.isOpened()
        camera.release()
    return bool(opened)


def _found() -> str:
    cameras = list_cameras()
    found = f"cameras found: {', '.join(cameras)}"
    return found if cameras else "no camera was found; try demo: or test: instead"


@contextmanager
def _silent() -> Iterator[None]:
    """Keep OpenCV from writing its own lines to stderr: what matters is in our message."""
    before = logging.getLogLevel()
    logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        logging.setLogLevel(before)
