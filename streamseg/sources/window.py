"""One window of an X display, through python-xlib."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import av
import numpy as np

from streamseg.errors import SourceError, UsageError, pip_extra, reason
from streamseg.sources.desktop import DesktopSource, bgr0
from streamseg.sources.screen import on_x11, usual_display
from streamseg.sources.timing import wait_until
from streamseg.sources.windows import find_window

if TYPE_CHECKING:
    from Xlib.display import Display

T = TypeVar("T")

_SETTLING = 0.2
"""Seconds in which a program draws what of its window was covered so far."""

_DEPTHS = (24, 32)
"""Bits of a pixel, in windows whose pixels are four bytes: blue, green, red and one more."""


class WindowSource(DesktopSource):
    """A window's own pixels, also where others cover it, wherever it is moved; when it changes its size, so
    do the frames. While it is minimised frames are absent, and they end when it is closed.

    `screen:window=TITLE` also takes a part of the title, a class as `xprop` shows it, or an id (0x...).
    """

    def __init__(
        self,
        uri: str,
        *,
        live: bool | None = None,
        duration: float | None = None,
        fps: float | None = None,
    ) -> None:
        super().__init__(uri, live=live is not False, duration=duration)
        self._taken = 0
        self._absent = False
        self._redirected = False
        self._pixmap: Any = None
        self._whole = (0, 0)
        """(W, H) of that memory; the window's border is in it."""
        self._size = (0, 0)
        self._display = _connect(uri)
        try:
            found = self._asked(lambda: find_window(uri, self._display))
            self._window = self._display.create_resource_object("window", found.id)
            self._start()
            self._begin(fps)
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        try:
            if not self._asked(self._viewable):
                raise SourceError(f"cannot capture {self.uri!r}: that window is minimised; bring it up first")
            self._asked(self._follow)
            wait_until(time.monotonic() + _SETTLING, lambda: self.interrupted)
            self._asked(self._take)
        except _Gone as error:
            raise SourceError(f"cannot capture {self.uri!r}: that window has just been closed") from error

    def _picture(self) -> av.VideoFrame | None:
        try:
            picture = self._shown_or_hidden()
        except _Gone:
            self.warnings.append(f"{self.uri!r}: the window was closed after {self._taken} frames")
            return None
        self._taken += 1
        return picture

    def _shown_or_hidden(self) -> av.VideoFrame:
        self._absent = not self._asked(self._viewable)
        if not self._absent:
            try:
                return self._asked(self._take)
            except _Gone:
                self._asked(self._viewable)  # or it is gone indeed, and not minimised just now
                self._absent = True
        self._whole = 0, 0  # it gets new memory when it is shown again
        return bgr0(bytes(4 * self._size[0] * self._size[1]), *self._size)

    def _take(self) -> av.VideoFrame:
        from Xlib import X

        place = self._window.get_geometry()
        edge = place.border_width
        whole = place.width + 2 * edge, place.height + 2 * edge
        if self._whole != whole:
            self._follow()
        width, height = self._size = self._whole[0] - 2 * edge, self._whole[1] - 2 * edge
        shot = self._pixmap.get_image(edge, edge, width, height, X.ZPixmap, 0xFFFFFFFF)
        if shot.depth not in _DEPTHS:
            raise SourceError(
                f"cannot capture {self.uri!r}: its pixels have {shot.depth} bits, not 24; use screen:"
            )
        return bgr0(self._shaped(shot.data), width, height)

    def _shaped(self, pixels: bytes) -> bytes:
        """Blacken what is outside a window that is no rectangle: what lay there is in its memory still."""
        from Xlib.ext import shape

        if not self._window.shape_query_extents().bounding_shaped:
            return pixels
        width, height = self._size
        inside = np.zeros((height, width, 1), bool)
        for part in self._window.shape_get_rectangles(shape.SK.Bounding).rectangles:
            inside[max(part.y, 0) : part.y + part.height, max(part.x, 0) : part.x + part.width] = True
        return (np.frombuffer(pixels, np.uint8).reshape(height, width, 4) * inside).tobytes()

    def _follow(self) -> None:
        """Ask for the memory the window is drawn into, which is another one after each change of its size."""
        from Xlib.ext import composite

        if not self._redirected:
            self._window.composite_redirect_window(composite.RedirectAutomatic)
            self._redirected = True
        if self._pixmap is not None:
            self._pixmap.free()
        self._pixmap = self._window.composite_name_window_pixmap()
        place = self._pixmap.get_geometry()
        self._whole = place.width, place.height

    def _viewable(self) -> bool:
        from Xlib import X

        return bool(self._window.get_attributes().map_state == X.IsViewable)

    def _asked(self, question: Callable[[], T]) -> T:
        """What the X server answers; raises SourceError when it has gone, _Gone when the window has."""
        from Xlib.error import BadDrawable, BadMatch, BadPixmap, BadWindow, ConnectionClosedError

        try:
            return question()
        except (BadWindow, BadDrawable, BadPixmap, BadMatch) as error:
            raise _Gone from error
        except SourceError:  # an OSError, too
            raise
        except (ConnectionClosedError, OSError) as error:
            hint = "is the display still there?"
            raise SourceError(f"cannot read {self.uri!r}: {reason(error)}; {hint}") from error

    def close(self) -> None:
        """Let the display go, and the window be drawn as before."""
        from Xlib.error import ConnectionClosedError

        with suppress(ConnectionClosedError, OSError):  # it may have gone by itself
            self._display.close()


class _Gone(Exception):
    """The window is no more."""


def _connect(uri: str) -> Display:
    if not on_x11():
        raise UsageError(f"cannot capture {uri!r}: single windows are captured on Linux only; use screen:")
    try:
        from Xlib.display import Display
        from Xlib.error import DisplayError, XauthError, XNoAuthError
    except ImportError as error:
        hint = f"install it: {pip_extra('x11')}"
        raise UsageError(f"cannot capture {uri!r}: windows need the package python-xlib; {hint}") from error
    display = usual_display(uri)
    try:
        connected = Display(display)
    except (DisplayError, XauthError, XNoAuthError, OSError) as error:
        hint = "check DISPLAY"
        raise SourceError(f"cannot capture {uri!r} ({display}): {reason(error)}; {hint}") from error
    connected.set_error_handler(lambda *_: None)  # what fails is seen by the next answer, and not on stderr
    for extension in ("Composite", "SHAPE"):
        if not connected.has_extension(extension):
            connected.close()
            why = f"this X server lacks the extension {extension}"
            raise SourceError(f"cannot capture {uri!r}: {why}; use screen:")
    connected.composite_query_version()
    return connected
