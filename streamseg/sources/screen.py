"""The screen, through mss."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any

import av
import mss
from mss.exception import ScreenShotError

from streamseg.errors import SourceError, UsageError, reason
from streamseg.sources.desktop import DesktopSource, bgr0


class ScreenSource(DesktopSource):
    """The screen or a part of it, from its upper left corner.

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
            self._begin(fps)
        except BaseException:
            self.close()
            raise

    def _picture(self) -> av.VideoFrame:
        try:
            shot = self._screen.grab(self._area)
        except (ScreenShotError, OSError, AssertionError) as error:  # mss asserts that X answers at all
            why = "nothing came" if isinstance(error, AssertionError) else reason(error)
            hint = "is the display still there, and as large as it was?"
            raise SourceError(f"cannot read {self.uri!r}: {why}; {hint}") from error
        return bgr0(shot.raw, shot.width, shot.height)

    def close(self) -> None:
        """Let the display go."""
        with suppress(ScreenShotError):  # it may have gone by itself
            self._screen.close()


def _open(uri: str) -> mss.MSS:
    """Connect to the display."""
    place = uri.partition(":")[2]
    monitor_only = not place or place.isdigit()
    options: dict[str, Any] = {}
    if not on_x11():
        if not monitor_only:
            raise UsageError(f"cannot understand {uri!r}; write screen: or, for the second monitor, screen:2")
        display = "the desktop"
    else:
        display = usual_display(uri) if monitor_only else place
        options = {"display": display, "with_cursor": True}
    try:
        return mss.MSS(**options)
    except (ScreenShotError, OSError) as error:
        hint = "check the display's name"
        if "not found" in str(error):
            hint = "on Debian: apt install libxcb-randr0 libxcb-render0 libxcb-shm0 libxcb-xfixes0"
        raise SourceError(f"cannot capture {uri!r} ({display}): {reason(error)}; {hint}") from error


def on_x11() -> bool:
    """Whether the screen is an X display."""
    return sys.platform.startswith("linux")


def usual_display(uri: str) -> str:
    """Return the X display programs use here; raises SourceError where there is none."""
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
