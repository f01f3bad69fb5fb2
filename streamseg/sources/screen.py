"""The screen, through mss."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from typing import Any

import av
import mss
import numpy as np
from mss.exception import ScreenShotError

from streamseg.errors import SourceError, UsageError, reason
from streamseg.frame import Frame, VideoFormat
from streamseg.sources.base import Source
from streamseg.sources.timing import exact_rate, wait_until

_TICKS = Fraction(1, 1_000_000)
_RATE = 30.0


class ScreenSource(Source):
    """Frames (bgr0) of the screen or a part of it from its upper left corner; pts are microseconds, the first
    0. Moments that come while nobody takes a frame are passed over.

    `screen:` is all there is to see, `screen:2` the second monitor, `screen::1` another X display.
    """

    def __init__(
        self,
        uri: str,
        *,
        live: bool | None = None,
        duration: float | None = None,
        size: tuple[int, int] | None = None,
        fps: float | None = None,
    ) -> None:
        super().__init__(uri, live=live is not False, duration=duration)
        self._screen = _open(uri)
        try:
            self._area = _area(uri, self._screen.monitors, size)
            rate = exact_rate(str(fps or _RATE))
            self._step = float(1 / rate)
            self._last: int | None = None
            self._first = self._frame()
            width, height = self._first.size
            self.video = VideoFormat(width=width, height=height, time_base=_TICKS, rate=rate)
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Iterator[Frame]:
        frame = self._first
        while self.duration is None or frame.time < Fraction(str(self.duration)):
            yield frame
            if not wait_until(self._next_moment(), lambda: self.interrupted):
                return
            frame = self._frame()

    def _next_moment(self) -> float:
        """The first multiple of the step that has not passed: a late frame delays none after it."""
        return self._zero + self._step * math.ceil((time.monotonic() - self._zero) / self._step)

    def _frame(self) -> Frame:
        try:
            shot = self._screen.grab(self._area)
        except (ScreenShotError, OSError, AssertionError) as error:  # mss asserts that X answers at all
            why = "nothing came" if isinstance(error, AssertionError) else reason(error)
            hint = "is the display still there, and as large as it was?"
            raise SourceError(f"cannot read {self.uri!r}: {why}; {hint}") from error
        captured = time.monotonic()
        if self._last is None:
            self._zero = captured
            self._last = -1
        # Not as bgra, which would spare the copy: the fourth byte is no opacity, often it is 0.
        picture = av.VideoFrame(shot.width, shot.height, "bgr0")
        plane = picture.planes[0]
        rows = np.asarray(memoryview(plane)).reshape(shot.height, plane.line_size)
        rows[:, : 4 * shot.width] = np.frombuffer(shot.raw, np.uint8).reshape(shot.height, -1)
        self._last = max(self._last + 1, round((captured - self._zero) / _TICKS))
        picture.pts, picture.time_base = self._last, _TICKS
        return Frame(picture, captured)

    def close(self) -> None:
        """Let the display go."""
        with suppress(ScreenShotError):  # it may have gone by itself
            self._screen.close()


def _open(uri: str) -> mss.MSS:
    """Connect to the display."""
    place = uri.partition(":")[2]
    monitor_only = not place or place.isdigit()
    options: dict[str, Any] = {}
    if not sys.platform.startswith("linux"):
        if not monitor_only:
            raise UsageError(f"cannot understand {uri!r}; write screen: or, for the second monitor, screen:2")
        display = "the desktop"
    else:
        display = _usual_display(uri) if monitor_only else place
        options = {"display": display, "with_cursor": True}
    try:
        return mss.MSS(**options)
    except (ScreenShotError, OSError) as error:
        hint = "check the display's name"
        if "not found" in str(error):
            hint = "on Debian: apt install libxcb-randr0 libxcb-render0 libxcb-shm0 libxcb-xfixes0"
        raise SourceError(f"cannot capture {uri!r} ({display}): {reason(error)}; {hint}") from error


def _usual_display(uri: str) -> str:
    display = os.environ.get("DISPLAY", "")
    if not display:
        wayland = bool(os.environ.get("WAYLAND_DISPLAY"))
        why = "Wayland shows it to no program" if wayland else "DISPLAY is not set"
        raise SourceError(f"cannot capture {uri!r}: there is no X display ({why}); name one like screen::0")
    return display


def _area(uri: str, monitors: list[dict[str, Any]], size: tuple[int, int] | None) -> dict[str, int]:
    """Return what to capture, in the desktop's coordinates. The first of `monitors` is all of them."""
    place = uri.partition(":")[2]
    number = int(place) if place.isdigit() else 0
    if number >= len(monitors):
        there = len(monitors) - 1
        raise SourceError(f"cannot capture {uri!r}: there is no monitor {number}; the last is screen:{there}")
    monitor = monitors[number]
    width, height = size or (monitor["width"], monitor["height"])
    if width > monitor["width"] or height > monitor["height"]:
        whole = f"{monitor['width']}x{monitor['height']}"
        raise SourceError(f"cannot capture {uri!r} at {width}x{height}: it is only {whole}; ask for less")
    return {"left": monitor["left"], "top": monitor["top"], "width": width, "height": height}
