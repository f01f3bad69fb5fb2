"""Doubles of cameras: one in this process, which fails on cue; and V4L2's, for the real OpenCV in another."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.commandline import PROJECT

DEVICE = "/dev/video7"


class Webcam:
    """A camera that knows 640x480 and 1280x720 at 30 frames a second, and can be unplugged."""

    def __init__(self, frames: int = 1_000_000, hiccups: int = 0, *, backend: str = "DOUBLE") -> None:
        self.settings: dict[int, float] = {cv2.CAP_PROP_FPS: 30.0}
        self.frames = frames
        self.hiccups = hiccups
        self.backend = backend
        self.released = 0
        self.stamps: list[float] = []
        """What its driver says of the times frames were taken, in ms: the last first."""
        self.hanging = threading.Event()
        """Clear it, and the next read does not return until it is set."""
        self.hanging.set()

    def isOpened(self) -> bool:
        """It is always there."""
        return True

    def getBackendName(self) -> str:
        """How OpenCV reaches it."""
        return self.backend

    def set(self, setting: int, value: float) -> bool:
        """Take any setting."""
        self.settings[setting] = value
        return True

    def get(self, setting: int) -> float:
        """Say what was set."""
        if setting == cv2.CAP_PROP_POS_MSEC and self.stamps:
            return self.stamps.pop()
        return self.settings.get(setting, 0.0)

    def read(self) -> tuple[bool, np.ndarray | None]:
        """Give one frame, all of it in one grey: the number of those that are left."""
        self.hanging.wait()
        if self.hiccups:
            self.hiccups -= 1
            return False, None
        if not self.frames:
            return False, None
        self.frames -= 1
        high = self.settings.get(cv2.CAP_PROP_FRAME_WIDTH, 640) > 640
        return True, self.pixels((1280, 720) if high else (640, 480))

    def pixels(self, size: tuple[int, int]) -> np.ndarray:
        """What a read gives."""
        time.sleep(0)  # let others run, as a camera does
        return np.full((size[1], size[0], 3), self.frames % 256, np.uint8)

    def release(self) -> None:
        """Count how often it was given back."""
        self.released += 1


class Emulated:
    """Runs programs to whom DEVICE is a camera; see emulator/webcam.cpp."""

    def __init__(self, folder: Path) -> None:
        self.jpeg = folder / "picture.jpg"
        self.unplugged, self.hanging = folder / "unplugged", folder / "hanging"
        self._library = folder / "webcam.so"
        source = PROJECT / "tests" / "emulator" / "webcam.cpp"
        build = "g++", "-O1", "-shared", "-fPIC", "-o", str(self._library), str(source), "-ldl"
        subprocess.run(build, check=True)

    def start(self, *command: str | Path) -> subprocess.Popen[bytes]:
        """Start `python ...`."""
        environment = {
            **os.environ,
            "PYTHONPATH": str(PROJECT),
            "LD_PRELOAD": str(self._library),
            "EMULATED_WEBCAM": DEVICE,
            "EMULATED_JPEG": str(self.jpeg),
            "EMULATED_UNPLUGGED": str(self.unplugged),
            "EMULATED_HANGING": str(self.hanging),
        }
        return subprocess.Popen(
            [sys.executable, *map(str, command)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, program: str, *arguments: str | Path) -> str:
        """Return what a Python program prints."""
        out, err = self.start("-c", program, *arguments).communicate(timeout=60)
        assert err == b"", err.decode()
        return out.decode()


def emulated(folder: Path) -> Emulated:
    """Build the emulator, or skip the test."""
    if sys.platform != "linux" or shutil.which("g++") is None:
        pytest.skip("needs Linux and g++, for a driver's double")
    return Emulated(folder)
