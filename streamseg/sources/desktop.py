"""What the screen and a window have in common: pictures taken at a steady rate."""

from __future__ import annotations

import math
import time
from abc import abstractmethod
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np

from streamseg.frame import Frame, VideoFormat
from streamseg.pictures import rows
from streamseg.sources.base import Source
from streamseg.sources.timing import exact_rate, wait_until

_TICKS = Fraction(1, 1_000_000)
_RATE = 30.0


class DesktopSource(Source):
    """Frames (bgr0) of something that is on the screen; pts are microseconds, the first 0. Moments that come
    while nobody takes a frame are passed over."""

    _absent = False
    """There is nothing to see now: frames say so."""

    def _begin(self, fps: float | None) -> None:
        """Take the first picture; what is shown must be known by now."""
        rate = exact_rate(str(fps or _RATE))
        self._step = float(1 / rate)
        self._last: int | None = None
        first = self._frame()
        if first is None:
            raise RuntimeError("it ended before it began")
        self._first = first
        width, height = first.size
        self.video = VideoFormat(width=width, height=height, time_base=_TICKS, rate=rate)

    @abstractmethod
    def _picture(self) -> av.VideoFrame | None:
        """Take a picture now; None when there is nothing more to see. Raises SourceError.

        Sets `_absent` where there is nothing to see at the moment.
        """

    def __iter__(self) -> Iterator[Frame]:
        frame: Frame | None = self._first
        while frame is not None and (self.duration is None or frame.time < Fraction(str(self.duration))):
            yield frame
            if not wait_until(self._next_moment(), lambda: self.interrupted):
                return
            frame = self._frame()

    def _next_moment(self) -> float:
        """The first multiple of the step that has not passed: a late frame delays none after it."""
        return self._zero + self._step * math.ceil((time.monotonic() - self._zero) / self._step)

    def _frame(self) -> Frame | None:
        picture = self._picture()
        if picture is None:
            return None
        captured = time.monotonic()
        if self._last is None:
            self._zero = captured
            self._last = -1
        self._last = max(self._last + 1, round((captured - self._zero) / _TICKS))
        picture.pts, picture.time_base = self._last, _TICKS
        return Frame(picture, captured, absent=self._absent)


def bgr0(pixels: bytes | bytearray, width: int, height: int) -> av.VideoFrame:
    """Return a picture of `pixels`, blue, green, red and a byte that means nothing, line by line."""
    # Not as bgra, which would spare the copy: the fourth byte is no opacity, often it is 0.
    picture = av.VideoFrame(width, height, "bgr0")
    lines = np.frombuffer(pixels, np.uint8, 4 * width * height).reshape(height, 4 * width)
    rows(picture.planes[0])[:, : 4 * width] = lines
    return picture
