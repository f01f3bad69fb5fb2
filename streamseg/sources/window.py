"""One window of an X display, through python-xlib."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import av
import numpy as np

from streamseg.errors import SourceError, UsageError, pip_extra, reason
from streamseg.sources.desktop import DesktopSource, bgr0
from streamseg.sources.screen import on_x11, usual_display
from streamseg.sources.timing import wait_until
from streamseg.sources.uris import WINDOW

if TYPE_CHECKING:
    from Xlib.display import Display

T = TypeVar("T")

_LISTED = 8
"""Windows an error names at most."""

_DEEPEST = 3
"""Levels below the root at which a program's window may lie: window managers put frames around them."""

_SETTLING = 0.2
"""Seconds in which a program draws what of its window was covered so far."""

_DEPTHS = (24, 32)
"""Bits of a pixel, in windows whose pixels are four bytes: blue, green, red and one more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A window and what it can be asked for by."""

    id: int
    title: str
    classes: tuple[str, ...]
    """WM_CLASS: the name of the program and of its kind."""

    def __str__(self) -> str:
        return f"{self.title or self.classes[-1]!r} (0x{self.id:x})"


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
            found = self._asked(lambda: _find(uri, self._display))
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


def _find(uri: str, display: Display) -> Named:
    asked = uri[len(WINDOW) :]
    windows = list(_windows(display))
    titles = ", ".join(map(str, windows[:_LISTED])) or "none"
    if not asked:
        raise UsageError(f"{uri!r} names no window; write {WINDOW}TITLE; windows found: {titles}")
    fitting = matching(asked, windows)
    if not fitting:
        raise SourceError(f"cannot capture {uri!r}: no such window; windows found: {titles}")
    if len(fitting) > 1:
        several = ", ".join(map(str, fitting[:_LISTED]))
        raise SourceError(
            f"cannot capture {uri!r}: it fits {len(fitting)} windows; name one by id: {several}"
        )
    return fitting[0]


def matching(asked: str, windows: Sequence[Named]) -> list[Named]:
    """Return the windows that `asked` means, by the first of these that fits any: id, title, class, part of
    the title; letter case counts for none."""
    wanted = asked.casefold()
    ways: tuple[Callable[[Named], bool], ...] = (
        lambda window: wanted == f"0x{window.id:x}",
        lambda window: wanted == window.title.casefold(),
        lambda window: wanted in map(str.casefold, window.classes),
        lambda window: wanted in window.title.casefold(),
    )
    return next((found for way in ways if (found := list(filter(way, windows)))), [])


def _windows(display: Display) -> Iterator[Named]:
    """The windows of programs: as the window manager lists them, without one those that are shown."""
    from Xlib.error import BadWindow

    root = display.screen().root
    listed = root.get_full_property(display.intern_atom("_NET_CLIENT_LIST"), 0)
    windows = (
        [display.create_resource_object("window", number) for number in listed.value]
        if listed is not None
        else _shown(root)
    )
    for window in windows:
        with suppress(BadWindow):  # closed meanwhile
            title, classes = _title(display, window), window.get_wm_class() or ()
            if title or classes:
                yield Named(id=window.id, title=title, classes=tuple(classes))


def _shown(window: Any, depth: int = 0) -> Iterator[Any]:
    from Xlib import X
    from Xlib.error import BadWindow

    if depth == _DEEPEST:
        return
    with suppress(BadWindow):
        for child in window.query_tree().children:
            if child.get_attributes().map_state == X.IsViewable:
                yield child
                yield from _shown(child, depth + 1)


def _title(display: Display, window: Any) -> str:
    named = window.get_full_property(display.intern_atom("_NET_WM_NAME"), 0)
    title = named.value if named is not None else window.get_wm_name() or ""
    return title.decode(errors="replace") if isinstance(title, bytes) else str(title)
