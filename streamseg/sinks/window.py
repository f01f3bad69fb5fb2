"""A window on the screen, through OpenCV."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from numpy.typing import NDArray

from streamseg.errors import SinkClosed, SinkError, pip_install, redacted
from streamseg.frame import Frame, Tracks, VideoFormat
from streamseg.pictures import shape
from streamseg.sinks.base import Destination, Sink
from streamseg.sinks.geometry import square_size
from streamseg.sinks.pixels import Conversion

if TYPE_CHECKING:
    from types import ModuleType

_TITLE = "streamseg"

_LARGEST = (1600, 900)
"""Pixels a window opens with at most; it can be resized."""

_QUIT = {"q", "\x1b"}

_CHECKER = 16
"""Side of the squares behind transparent pictures, in pixels."""


class WindowSink(Sink):
    """Shows frames at their display aspect; q, Esc and the close button end the run; on_key gets the rest."""

    kind = "a window"
    paces = True
    on_key: Callable[[str], None] | None = None
    """Called with each key pressed, as a character."""
    shown: Frame | None = None
    """The frame on the screen."""

    def __init__(self, destination: Destination) -> None:
        """Raises SinkError where there is no screen."""
        self.uri = redacted(destination.uri)
        self.notes = []
        self._open = False
        if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise SinkError(
                "cannot open a window: there is no screen (DISPLAY is not set); write a file: -o out.mp4"
            )

    def start(self, video: VideoFormat, first: Frame, tracks: Tracks) -> None:  # noqa: ARG002  (silent)
        """Open the window."""
        cv2 = self._cv2 = _load_cv2()
        self._aspect = Fraction(video.sample_aspect_ratio)
        width, height = square_size(first.size, self._aspect)
        scale = min(1, _LARGEST[0] / width, _LARGEST[1] / height)
        try:
            cv2.namedWindow(_TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
            cv2.resizeWindow(_TITLE, max(1, round(width * scale)), max(1, round(height * scale)))
        except cv2.error as error:
            raise SinkError(
                f"cannot open a window: this OpenCV has none; {pip_install('opencv-python')}"
            ) from error
        self._open = True

    def write(self, frame: Frame) -> None:
        """Show a frame; raises SinkClosed when the viewer has left."""
        self._cv2.imshow(_TITLE, display_picture(frame.picture, square_size(frame.size, self._aspect)))
        self.shown = frame
        self.idle()

    def idle(self) -> None:
        """Handle keys and the close button; raises SinkClosed when the viewer has left."""
        if not self._open:
            return
        code = self._cv2.waitKey(1) & 0xFF
        if not self._visible():
            self._open = False
            raise SinkClosed("the window was closed")
        if code == 0xFF:
            return
        key = chr(code)
        if key in _QUIT:
            raise SinkClosed("the viewer quit")
        if self.on_key is not None:
            self.on_key(key)

    def _visible(self) -> bool:
        try:
            return bool(self._cv2.getWindowProperty(_TITLE, self._cv2.WND_PROP_VISIBLE) >= 1)
        except self._cv2.error:  # Qt's answer when its last window has gone
            return False

    def close(self) -> None:
        """Close the window."""
        if self._open:
            self._open = False
            self._cv2.destroyWindow(_TITLE)
            self._cv2.waitKey(1)


def display_picture(picture: av.VideoFrame, size: tuple[int, int]) -> NDArray[np.uint8]:
    """(H, W, 3) BGR at `size`; transparent parts show a checkerboard."""
    alpha = shape(picture.format.name).alpha
    name = "bgra" if alpha else "bgr24"
    shown = Conversion(picture, name, "window")(picture)
    if (shown.width, shown.height) != size:
        shown = shown.reformat(width=size[0], height=size[1])
    array = np.asarray(shown.to_ndarray(), np.uint8)
    return over_checkerboard(array) if alpha else array


def over_checkerboard(bgra: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W, 3) BGR of a (H, W, 4) BGRA picture over light and dark grey squares."""
    height, width = bgra.shape[:2]
    squares = (np.arange(height)[:, None] // _CHECKER + np.arange(width) // _CHECKER) % 2
    grey = np.where(squares == 1, 204, 153).astype(np.uint16)[..., None]
    alpha = bgra[..., 3:].astype(np.uint16)
    return ((bgra[..., :3] * alpha + grey * (255 - alpha) + 127) // 255).astype(np.uint8)


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
