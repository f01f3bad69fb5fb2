"""The screen, through PyAV."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from fractions import Fraction

import av
from av.container import InputContainer

from streamseg.errors import SourceError, reason
from streamseg.frame import Frame, Tracks, VideoFormat
from streamseg.sources.base import Source

_TIMEOUT = 10.0
_GRABBERS = {"linux": "x11grab", "win32": "gdigrab", "darwin": "avfoundation"}


class ScreenSource(Source):
    """Frames of the screen or a part of it from its upper left corner; pts start at 0.

    `screen:` is the usual display, `screen::1` another X display (on macOS `screen:1` another screen).
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
        self.uri = uri
        self.live = live is not False
        self.warnings = []
        self.tracks = Tracks()
        self.duration = duration
        self._container = _open(uri, size, fps or 30.0)
        try:
            stream = self._container.streams.video[0]
            self._time_base = Fraction(stream.time_base or 1)
            self._pictures = self._container.decode(video=0)
            self._zero: int | None = None
            self._last = -1
            self._first = self._frame()
            width, height = self._first.size
            rate = Fraction(stream.average_rate) if stream.average_rate else None
            self.video = VideoFormat(width=width, height=height, time_base=self._time_base, rate=rate)
        except BaseException:
            self._container.close()
            raise

    def __iter__(self) -> Iterator[Frame]:
        frame = self._first
        while self.duration is None or frame.time < Fraction(str(self.duration)):
            yield frame
            frame = self._frame()

    def _frame(self) -> Frame:
        try:
            picture = next(self._pictures)
        except (av.FFmpegError, StopIteration) as error:
            hint = "is the display still there?"
            raise SourceError(f"cannot read {self.uri!r} any more: {reason(error)}; {hint}") from error
        ticks = picture.pts or 0
        self._zero = ticks if self._zero is None else self._zero
        self._last = max(self._last + 1, ticks - self._zero)
        picture.pts, picture.time_base = self._last, self._time_base
        return Frame(picture, time.monotonic())

    def close(self) -> None:
        """Let the display go."""
        self._container.close()


def _open(uri: str, size: tuple[int, int] | None, fps: float) -> InputContainer:
    grabber = _GRABBERS.get(sys.platform, "x11grab")
    if grabber not in av.formats_available:
        raise SourceError(f"cannot capture {uri!r}: this PyAV has no {grabber}; use a camera or a file")
    place = uri.partition(":")[2]
    usual = {"gdigrab": "desktop", "avfoundation": place or "1"}
    display = usual.get(grabber) or _display(uri, place)
    options = {"framerate": f"{fps:g}", "draw_mouse": "1", "capture_cursor": "1"}
    if size is not None:
        options["video_size"] = f"{size[0]}x{size[1]}"
    try:
        return av.open(display, "r", format=grabber, options=options, timeout=(_TIMEOUT, _TIMEOUT))
    except (av.FFmpegError, OSError, ValueError) as error:
        asked = f" at {size[0]}x{size[1]}" if size else ""
        hint = "check the display's name and that the size fits on it"
        raise SourceError(f"cannot capture {uri!r} ({display}){asked}: {reason(error)}; {hint}") from error


def _display(uri: str, place: str) -> str:
    display = place or os.environ.get("DISPLAY", "")
    if not display:
        wayland = bool(os.environ.get("WAYLAND_DISPLAY"))
        why = "Wayland shows it to no program" if wayland else "DISPLAY is not set"
        raise SourceError(f"cannot capture {uri!r}: there is no X display ({why}); name one like screen::0")
    return display
