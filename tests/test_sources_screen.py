"""The screen, under Xvfb where that is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from streamseg.errors import SourceError
from streamseg.sources import desktop, open_source, timing
from tests.commandline import FAST, PROJECT, process
from tests.x11 import Xvfb

linux = pytest.mark.skipif(sys.platform != "linux", reason="X displays are Linux's")


PAINT = """
import ctypes, sys
x11 = ctypes.CDLL("libX11.so.6")
x11.XOpenDisplay.restype = display = ctypes.c_void_p
x11.XDefaultRootWindow.argtypes = [display]
x11.XDefaultRootWindow.restype = window = ctypes.c_ulong
x11.XSetWindowBackground.argtypes = [display, window, ctypes.c_ulong]
x11.XClearWindow.argtypes = [display, window]
x11.XSync.argtypes = [display, ctypes.c_int]
screen = x11.XOpenDisplay(sys.argv[1].encode())
root = x11.XDefaultRootWindow(screen)
x11.XSetWindowBackground(screen, root, int(sys.argv[2]))
x11.XClearWindow(screen, root)
x11.XSync(screen, 0)
"""


def paint(display: str, colour: int) -> None:
    """Fill the screen with a colour, 0xRRGGBB."""
    subprocess.run([sys.executable, "-c", PAINT, display, str(colour)], check=True)


def test_screen_is_captured(display: str) -> None:
    """The whole screen arrives live, from time 0 on, for as long as asked."""
    with open_source(f"screen:{display}", fps=50, duration=0.2) as source:
        assert source.live
        assert (source.video.width, source.video.height) == (320, 240)
        assert source.video.rate == 50
        times = [frame.time for frame in source]
    assert times[0] == 0
    assert all(early < late for early, late in pairwise(times))
    assert times[-1] < Fraction(1, 5)


def test_usual_display_and_part_of_it(display: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a name the display is the usual one; a size takes that part of it."""
    monkeypatch.setenv("DISPLAY", display)
    with open_source("screen:", size=(64, 48), live=False) as source:
        assert next(iter(source)).size == (64, 48)
        assert not source.live


def test_part_larger_than_the_screen(display: str) -> None:
    """A part that does not fit is refused with what was asked and what there is."""
    with pytest.raises(SourceError, match=r"cannot capture 'screen::\d+' at 400x100: it is only 320x240"):
        open_source(f"screen:{display}", size=(400, 100))


def test_monitor_by_number(display: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`screen:1` is the first monitor; one that is not there is refused with the last that is."""
    monkeypatch.setenv("DISPLAY", display)
    with open_source("screen:1") as source:
        assert (source.video.width, source.video.height) == (320, 240)
    with pytest.raises(SourceError, match="there is no monitor 7; the last is screen:1"):
        open_source("screen:7")


def test_screen_that_goes_away_ends_in_one_line(xvfb: Callable[[], Xvfb]) -> None:
    """When the display is gone that is said, with its name."""
    screen = xvfb()
    with open_source(f"screen:{screen.display}", fps=100) as source:
        frames = iter(source)
        next(frames)
        screen.stop()
        with pytest.raises(SourceError, match=r"cannot read 'screen::\d+': .*; is the display still there"):
            list(frames)


def test_rate_is_kept_and_late_moments_passed_over(display: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames come at whole multiples of the step; whoever takes one late gets the next one in time."""
    clock = SimpleNamespace(now=100.0)

    def sleep(seconds: float) -> None:
        clock.now += seconds

    stopped = SimpleNamespace(monotonic=lambda: clock.now, sleep=sleep)
    monkeypatch.setattr(desktop, "time", stopped)
    monkeypatch.setattr(timing, "time", stopped)
    times = []
    with open_source(f"screen:{display}", fps=10, duration=0.75) as source:
        for frame in source:
            times.append(frame.time)
            clock.now += 0.25 if len(times) == 2 else 0.01
    assert times == [Fraction(tenth, 10) for tenth in (0, 1, 4, 5, 6, 7)]


def test_screen_through_the_program(display: str, tmp_path: Path) -> None:
    """In a process of its own, where OpenCV's and PyAV's X libraries meet, the screen's pixels come out."""
    paint(display, 0x20C040)
    target = tmp_path / "screen.mkv"
    effect = "--effect", "outline", "--outline-width", "0.5", "--codec", "ffv1"
    run = process("run", f"screen:{display}", "-o", target, "--duration", "0.5", *effect, *FAST[:2])
    _, err = run.communicate(timeout=60)
    assert run.returncode == 0, err
    with av.open(str(target)) as container:
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(pictures) > 2
    for picture in pictures:
        assert picture.shape == (240, 320, 3)
        assert np.abs(picture[:20, :20].astype(int) - (0x20, 0xC0, 0x40)).max() <= 2


def test_screen_and_window_in_one_run(display: str) -> None:
    """The screen is read while a window shows it: Qt and the capture share one process."""
    environment = {**os.environ, "DISPLAY": display, "PYTHONPATH": str(PROJECT)}
    run = process("run", "screen:", "-o", "window", "--duration", "0.5", *FAST[:2], env=environment)
    _, err = run.communicate(timeout=60)
    assert run.returncode == 0, err
    assert b"done: " in err


@linux
@pytest.mark.parametrize(
    ("wayland", "why"), [("", "DISPLAY is not set"), ("wayland-0", "Wayland shows it to no program")]
)
def test_no_display(monkeypatch: pytest.MonkeyPatch, wayland: str, why: str) -> None:
    """Where there is no X display that is said, and why."""
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setenv("WAYLAND_DISPLAY", wayland)
    with pytest.raises(SourceError, match=f"there is no X display \\({why}\\); name one like screen::0"):
        open_source("screen:")


@linux
def test_display_that_is_not_there() -> None:
    """A display nobody serves is named in the answer."""
    with pytest.raises(SourceError, match=r"cannot capture 'screen::9876' \(:9876\): .*; check the display"):
        open_source("screen::9876")
