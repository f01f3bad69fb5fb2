"""Whether there is a screen that windows can be opened on."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path


def no_screen() -> str:
    """Return why no window can be opened here, as a clause; "" where one can.

    Asked before, as Qt, which draws OpenCV's windows, ends the whole process where it finds no screen.
    """
    if not sys.platform.startswith("linux"):
        return ""
    display = os.environ.get("DISPLAY", "")
    if display:
        return "" if _answers(display) else f"nothing answers at DISPLAY={display}"
    if not os.environ.get("WAYLAND_DISPLAY"):
        return "DISPLAY is not set"
    return "OpenCV's windows need X, and DISPLAY is not set" if _needs_x() else ""


def _answers(display: str) -> bool:
    if not display.startswith((":", "unix:")):  # another machine may take minutes to say so
        return True
    import mss
    from mss.exception import ScreenShotError

    try:
        mss.MSS(display=display).close()
    except ScreenShotError as error:
        return "connect" not in str(error)  # else it lacks what captures need, and windows do not
    except OSError:
        return True
    return True


def _needs_x() -> bool:
    """Whether OpenCV brought a Qt of its own, and that knows X only; the distributions' know Wayland too."""
    found = find_spec("cv2")
    plugins = Path(found.origin or "").parent / "qt" / "plugins" / "platforms" if found else None
    return plugins is not None and plugins.is_dir() and not list(plugins.glob("*wayland*"))
