"""The window: on a real (virtual) screen, with real keys, in a process of its own as a user would run it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import av
import numpy as np
import pytest

from streamseg.errors import SinkError
from streamseg.sinks import open_sink
from streamseg.sinks.window import display_picture, over_checkerboard
from tests.clips import read_frames
from tests.commandline import FAST, PROJECT, process
from tests.sinking import made_frames

T = TypeVar("T")

needs_screen = pytest.mark.skipif(
    shutil.which("Xvfb") is None, reason="needs Xvfb, a screen without a monitor"
)
needs_keys = pytest.mark.skipif(shutil.which("xdotool") is None, reason="needs xdotool, which presses keys")

VIEWER = """
import ctypes, subprocess, sys, time
from fractions import Fraction
from streamseg.errors import SinkClosed
from streamseg.frame import Tracks, VideoFormat
from streamseg.sinks import open_sink
from tests.clips import TICKS
from tests.sinking import made_frames

def xdotool(*words):
    return subprocess.run(["xdotool", *words], capture_output=True, text=True).stdout

def wait(ready, seconds=10):
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise SystemExit("nothing happened in time")
        sink.idle()

def window():
    return xdotool("search", "--onlyvisible", "--name", "^streamseg$").split()

def close_button(number):
    x11 = ctypes.CDLL("libX11.so.6")
    x11.XOpenDisplay.restype = ctypes.c_void_p
    x11.XInternAtom.restype = ctypes.c_ulong
    display = ctypes.c_void_p(x11.XOpenDisplay(None))
    atoms = [x11.XInternAtom(display, name, 0) for name in (b"WM_PROTOCOLS", b"WM_DELETE_WINDOW")]
    class Message(ctypes.Structure):
        _fields_ = [("type", ctypes.c_int), ("serial", ctypes.c_ulong), ("sent", ctypes.c_int),
                    ("display", ctypes.c_void_p), ("window", ctypes.c_ulong), ("kind", ctypes.c_ulong),
                    ("format", ctypes.c_int), ("data", ctypes.c_long * 5), ("rest", ctypes.c_long * 24)]
    message = Message(33, 0, 1, display, number, atoms[0], 32)
    message.data[0] = atoms[1]
    x11.XSendEvent(display, ctypes.c_ulong(number), 0, ctypes.c_long(0), ctypes.byref(message))
    x11.XFlush(display)

frames = made_frames([0, 3000], size=(320, 120))
sink = open_sink("window")
keys = []
sink.on_key = keys.append
sink.start(VideoFormat(320, 120, TICKS, None, Fraction(2)), frames[0], Tracks())
for frame in frames:
    sink.write(frame)
assert sink.shown is frames[1] and sink.paces
"""


@pytest.fixture(scope="module")
def screen() -> Iterator[str]:
    """A virtual screen of its own: DISPLAY's value."""
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1280x800x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    with os.fdopen(reading) as told:
        number = told.readline().strip()
    yield f":{number}"
    server.terminate()
    server.wait()


def viewer(screen: str, script: str) -> list[str]:
    """Run VIEWER and `script` on the screen; return what it printed, which includes everything on stderr."""
    ran = subprocess.run(
        [sys.executable, "-c", VIEWER + script],
        env={**os.environ, "DISPLAY": screen},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
    )
    return ran.stdout.splitlines()


@needs_screen
@needs_keys
def test_keys_reach_their_handler_and_q_ends(screen: str) -> None:
    """Space, digits and letters are handed on, q ends; the display aspect is right, nothing is printed."""
    script = """
wait(window)
print(xdotool("getwindowgeometry", window()[0]).splitlines()[2].strip())
xdotool("windowfocus", "--sync", window()[0])
for key, character in ("space", " "), ("3", "3"), ("i", "i"), ("s", "s"):
    xdotool("key", key)
    wait(lambda: character in keys)
xdotool("key", "q")
try:
    wait(lambda: False)
except SinkClosed as error:
    print(error)
sink.close()
print(keys, window())
"""
    assert viewer(screen, script) == ["Geometry: 640x120", "the viewer quit", "[' ', '3', 'i', 's'] []"]


@needs_screen
@needs_keys
def test_the_close_button_ends(screen: str) -> None:
    """Closing the window by its button is an ordinary end; nothing more happens to it afterwards."""
    script = """
wait(window)
close_button(int(window()[0]))
try:
    wait(lambda: False)
except SinkClosed as error:
    print(error)
sink.idle()
sink.close()
"""
    assert viewer(screen, script) == ["the window was closed"]


@needs_screen
@needs_keys
def test_a_picture_stays_and_takes_other_effects(screen: str, tmp_path: Path) -> None:
    """A photo stays in the window: 9 shows it as a mask, s writes what is seen, q ends an ordinary run."""
    photo = PROJECT / "streamseg" / "sources" / "portrait.jpg"
    environment = {**os.environ, "DISPLAY": screen, "PYTHONPATH": str(PROJECT)}

    def press(key: str) -> None:
        subprocess.run(["xdotool", "key", key], env=environment, check=True)

    def corner() -> int:
        """Brightness, in a new snapshot, of where the null runtime sees nobody."""
        before = set(tmp_path.glob("streamseg*.png"))
        press("s")
        new = until(lambda: set(tmp_path.glob("streamseg*.png")) - before)
        return int(read_frames(new.pop())[0].to_ndarray(format="gray")[0, 0])

    with process("run", photo, *FAST, env=environment, cwd=tmp_path) as run, ending(run):
        search = ["xdotool", "search", "--sync", "--onlyvisible", "--name", "^streamseg$", "windowfocus"]
        subprocess.run(search, env=environment, check=True, timeout=30)
        assert corner() > 235
        press("9")
        until(lambda: corner() < 20)
        press("q")
        _, said = run.communicate(timeout=30)
    assert (run.returncode, said.decode().splitlines()[-1][:15]) == (0, "done: 1 picture")


@contextmanager
def ending(run: subprocess.Popen[bytes]) -> Iterator[None]:
    """Kill a process that a failure left behind: its picture would stay for ever."""
    try:
        yield
    finally:
        run.kill()


def until(ready: Callable[[], T], seconds: float = 20) -> T:
    """Return the first answer that is true."""
    end = time.monotonic() + seconds
    while not (answer := ready()):
        assert time.monotonic() < end, "nothing happened in time"
    return answer


@needs_screen
def test_libraries_loaded_in_the_wrong_order_are_named(screen: str) -> None:
    """With PyAV before OpenCV Qt would hang for ever: one line says so instead."""
    ran = subprocess.run(
        [
            sys.executable,
            "-c",
            "import av\n" + VIEWER,
        ],
        env={**os.environ, "DISPLAY": screen},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )
    if ran.returncode == 0:
        pytest.skip("these builds of PyAV and OpenCV get along")
    assert ran.stderr.splitlines()[-1].endswith("import streamseg before av")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there always is a screen")
def test_without_a_screen_a_file_is_suggested(monkeypatch: pytest.MonkeyPatch) -> None:
    """No DISPLAY: one line, before any work is done."""
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(SinkError, match=r"no screen.*write a file: -o out.mp4"):
        open_sink("window")


def test_a_window_that_never_opened_is_closed_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle, close and abort before the first frame do nothing."""
    monkeypatch.setenv("DISPLAY", ":99")
    sink = open_sink("window:")
    sink.idle()
    sink.close()
    sink.abort()


@pytest.mark.parametrize("pixel_format", ["yuv420p", "gray", "rgb24", "yuv420p10le", "nv12", "rgba"])
def test_pictures_are_shown_as_bgr_of_the_display_size(pixel_format: str) -> None:
    """Any pixel format, any size: what the screen gets is BGR and has square pixels."""
    frame = made_frames([0], pixel_format=pixel_format)[0]
    shown = display_picture(frame.picture, (128, 48))
    assert (shown.shape, shown.dtype) == ((48, 128, 3), np.uint8)
    same = display_picture(frame.picture, (64, 48)).astype(int)
    assert np.abs(same - frame.picture.to_ndarray(format="bgr24")).mean() < 8


def test_transparent_parts_show_squares() -> None:
    """Where alpha is 0 there is a checkerboard, where it is 255 the picture, to the byte."""
    pixels = np.zeros((32, 32, 4), np.uint8)
    pixels[16:] = (10, 20, 30, 255)
    shown = over_checkerboard(pixels)
    assert (shown[16:] == (10, 20, 30)).all()
    assert {tuple(pixel) for pixel in shown[:16].reshape(-1, 3).tolist()} == {(153,) * 3, (204,) * 3}
    frame = av.VideoFrame.from_ndarray(pixels, format="bgra")
    assert np.array_equal(display_picture(frame, (32, 32)), shown)
