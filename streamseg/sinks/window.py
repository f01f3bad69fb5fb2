"""A window on the screen, through OpenCV."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from streamseg.errors import SinkClosed, SinkError, UsageError, pip_install, redacted
from streamseg.frame import Frame, Tracks, VideoFormat
from streamseg.screens import no_screen
from streamseg.sinks.base import Destination, Sink
from streamseg.sinks.geometry import square_size

if TYPE_CHECKING:
    from types import ModuleType

_TITLE = "streamseg"

_LARGEST = (1600, 900)
"""Pixels a window opens with at most; it can be resized."""
_SHARE = 0.9
"""Of a monitor chosen, a window opens with at most so much."""

_DENSITY = 2 if sys.platform == "darwin" else 1
"""Pixels to the unit windows are measured in; macOS tells of none but half of a Retina screen's."""

NOTE_SECONDS = 2.0
"""How long a note stays."""

_QUIT = {"q", "\x1b"}

_OWN = (("h", "this help"), ("f", "fullscreen"), ("q", "quit"))
"""The keys of the window itself."""


class WindowSink(Sink):
    """Shows frames at their display aspect; q, Esc and the close button end the run, f fills the screen, h
    shows what the keys do; on_key gets the rest. What is written into the picture is on the screen only."""

    kind = "a window"
    paces = True
    on_key: Callable[[str], None] | None = None
    """Called with each key pressed, as a character."""
    keys: Sequence[tuple[str, str]] = ()
    """What on_key does, for the help: keys and texts."""
    shown: Frame | None = None
    """The frame on the screen."""

    def __init__(self, destination: Destination) -> None:
        """`window`, or `window:2` for the second monitor. Raises SinkError where there is no screen, or no
        such monitor."""
        self.uri = redacted(destination.uri)
        self.notes = []
        self._open = self._full = self._helping = False
        self._told, self._told_at, self._noted = "", 0.0, ""
        if missing := no_screen():
            raise SinkError(f"cannot open a window: there is no screen ({missing}); write a file: -o out.mp4")
        number = re.fullmatch(r"window:?(\d{0,4})", self.uri, re.IGNORECASE)
        if number is None:
            raise UsageError(f"cannot understand {self.uri!r}; write window or, for monitor 2, window:2")
        self._monitor = _monitor(self.uri, int(number[1])) if number[1] else None
        self._title = f"{_TITLE} {number[1]}".strip()

    def start(self, video: VideoFormat, first: Frame, tracks: Tracks) -> None:  # noqa: ARG002  (silent)
        """Open the window."""
        cv2 = self._cv2 = _load_cv2()
        from streamseg.sinks.display import Display

        self._display = Display()
        self._aspect = Fraction(video.sample_aspect_ratio)
        width, height = square_size(first.size, self._aspect)
        left, top, *most = self._monitor or (0, 0, *_LARGEST)
        share = _SHARE if self._monitor else 1
        scale = min(1, share * most[0] / width, share * most[1] / height)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        try:
            cv2.namedWindow(self._title, cv2.WINDOW_NORMAL | cv2.WINDOW_FREERATIO | cv2.WINDOW_GUI_NORMAL)
            cv2.resizeWindow(self._title, *size)
            if self._monitor:
                cv2.moveWindow(self._title, left + (most[0] - size[0]) // 2, top + (most[1] - size[1]) // 2)
        except cv2.error as error:
            raise SinkError(
                f"cannot open a window: this OpenCV has none; {pip_install('opencv-python')}"
            ) from error
        self._open, self._size = True, size

    def write(self, frame: Frame) -> None:
        """Show a frame; raises SinkClosed when the viewer has left."""
        self.shown = frame
        self._size = self._area()
        self._draw(frame)
        self.idle()

    def idle(self) -> None:
        """Handle keys, the close button and a change of size; raises SinkClosed when the viewer has left."""
        if not self._open:
            return
        code = self._cv2.waitKeyEx(1)
        if not self._visible():
            self._open = False
            raise SinkClosed("the window was closed")
        if 0 <= code < 0x80:  # others are arrows and the like
            self._press(chr(code))
        self._redraw()

    def tell(self, text: str) -> None:
        """Show a line of text on the screen for a moment. Safe on any thread."""
        self._told_at, self._told = time.monotonic(), text

    def _press(self, key: str) -> None:
        if key in _QUIT:
            raise SinkClosed("the viewer quit")
        if key == "f":
            self._full = not self._full
            mode = self._cv2.WINDOW_FULLSCREEN if self._full else self._cv2.WINDOW_NORMAL
            self._cv2.setWindowProperty(self._title, self._cv2.WND_PROP_FULLSCREEN, mode)
        elif key == "h":
            self._helping = not self._helping
            if self.shown is not None:
                self._draw(self.shown)
        elif self.on_key is not None:
            self.on_key(key)

    def _redraw(self) -> None:
        """Show the frame again where the window's size or its note has changed since."""
        size, note = self._area(), self._note()
        if self.shown is not None and (size, note) != (self._size, self._noted):
            self._size = size
            self._draw(self.shown)

    def _note(self) -> str:
        return self._told if time.monotonic() < self._told_at + NOTE_SECONDS else ""

    def _draw(self, frame: Frame) -> None:
        """Show a frame at the size of the window, which then has nothing to scale."""
        from streamseg.sinks.display import framed, with_help, with_note

        width, height = square_size(frame.size, self._aspect)
        scale = min(self._size[0] / width, self._size[1] / height)
        inner = max(1, round(width * scale)), max(1, round(height * scale))
        pixels = framed(self._display(frame.picture, inner), self._size)
        if self._helping:
            pixels = with_help(pixels, [*self.keys, *_OWN])
        self._noted = self._note()
        if self._noted:
            pixels = with_note(pixels, self._noted)
        self._cv2.imshow(self._title, pixels)

    def _area(self) -> tuple[int, int]:
        """(W, H) of what the window shows; the last one while it is hidden."""
        try:
            *_, width, height = self._cv2.getWindowImageRect(self._title)
        except self._cv2.error:
            return self._size
        return (width * _DENSITY, height * _DENSITY) if width > 0 and height > 0 else self._size

    def _visible(self) -> bool:
        try:
            return bool(self._cv2.getWindowProperty(self._title, self._cv2.WND_PROP_VISIBLE) >= 1)
        except self._cv2.error:  # Qt's answer when its last window has gone
            return False

    def close(self) -> None:
        """Close the window."""
        if self._open:
            self._open = False
            self._cv2.destroyWindow(self._title)
            self._cv2.waitKey(1)


def _monitor(uri: str, number: int) -> tuple[int, int, int, int]:
    """Return left, top, width, height of a monitor, counted from 1."""
    import mss
    from mss.exception import ScreenShotError

    try:
        with mss.MSS() as screen:
            monitors = screen.monitors[1:]
    except (ScreenShotError, OSError) as error:
        raise SinkError(f"cannot open {uri!r}: nobody tells where monitors are; use -o window") from error
    if not 1 <= number <= len(monitors):
        last = f"the last is window:{len(monitors)}"
        raise SinkError(f"cannot open {uri!r}: there is no monitor {number}; {last}")
    chosen = monitors[number - 1]
    return chosen["left"], chosen["top"], chosen["width"], chosen["height"]


def _load_cv2() -> ModuleType:
    os.environ.setdefault("QT_LOGGING_RULES", "*=false")  # Qt tells the terminal about fonts it does not find
    import cv2

    if _mixed_up(Path(cv2.__file__).parent):
        raise SinkError(
            "cannot open a window: PyAV was loaded before OpenCV, Qt would hang; import streamseg before av"
        )
    return cv2


def _mixed_up(package: Path) -> bool:
    """Tell whether OpenCV's Qt got PyAV's copies of libxcb-shape, -shm and -xfixes. Both wheels ship them
    by the same names; whoever is loaded first provides them; with PyAV's the first window never returns."""
    try:
        loaded = Path("/proc/self/maps").read_text()
    except OSError:
        return False
    return (package / "qt" / "plugins").is_dir() and "/av.libs/libxcb-sh" in loaded
