"""Somebody who looks at a window and presses its keys, in a process of its own, for tests."""

from __future__ import annotations

import os
import subprocess
import sys

VIEWER = """
import ctypes, subprocess, sys, time
import mss
from fractions import Fraction
from streamseg.errors import SinkClosed
from streamseg.frame import Tracks, VideoFormat
from streamseg.sinks import open_sink
from tests.clips import TICKS, gradient
import av
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
    return xdotool("search", "--onlyvisible", "--name", "^streamseg").split()

def at(x, y):
    with mss.MSS() as screen:
        return screen.grab({"left": x, "top": y, "width": 1, "height": 1}).pixel(0, 0)

def painted(x, y):
    # the window has a grey of its own until it is painted
    wanted = sink.shown.picture.to_ndarray(format="rgb24")[y, x // 2]
    wait(lambda: near([int(code) for code in wanted], at(x, y)))
    return at(x, y)

def near(one, other):
    # the window may still get another size, and its picture other pixels
    return all(abs(a - b) < 20 for a, b in zip(one, other))

def press(key):
    xdotool("windowfocus", "--sync", window()[0])
    xdotool("key", key)

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
for index, frame in enumerate(frames):
    # bright everywhere: a window not painted yet is black
    bright = av.VideoFrame.from_ndarray(255 - gradient(320, 120, index) // 2, format="rgb24")
    bright.pts, bright.time_base = frame.picture.pts, TICKS
    frame.native = bright.reformat(format="yuv420p")
sink = open_sink(sys.argv[1] if len(sys.argv) > 1 else "window")
sink.keys = [("x", "nothing at all")]
keys = []
sink.on_key = keys.append
sink.start(VideoFormat(320, 120, TICKS, None, Fraction(2)), frames[0], Tracks())
for frame in frames:
    sink.write(frame)
assert sink.shown is frames[1] and sink.paces
"""


def viewer(screen: str, script: str, uri: str = "window") -> list[str]:
    """Run VIEWER and `script` on the screen; return what it printed, which includes everything on stderr."""
    ran = subprocess.run(
        [sys.executable, "-c", VIEWER + script, uri],
        env={**os.environ, "DISPLAY": screen},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
    )
    return ran.stdout.splitlines()
