"""Stand-ins for virtual cameras, which need a kernel module: a backend beneath the real pyvirtualcam, and
v4l2loopback beneath its own backend."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

_SHIM = Path(__file__).parent / "emulator" / "v4l2loopback.cpp"


class FakeBackend:
    """What pyvirtualcam asks of a backend, kept to the letter: one opening per device, one closing, flat
    bytes, nothing after the end."""

    opened: ClassVar[list[FakeBackend]] = []
    in_use: ClassVar[set[str | None]] = set()
    refusal: ClassVar[str | None] = None
    """What opening fails with."""

    def __init__(self, *, width: int, height: int, fps: float, fourcc: int, device: str | None) -> None:
        if self.refusal is not None:
            raise RuntimeError(self.refusal)
        assert device not in self.in_use, f"Device {device} is already in use."
        self.in_use.add(device)
        self.size, self.fps, self._device = (width, height), fps, device
        self.fourcc = fourcc.to_bytes(4, "little").decode()
        self.sent: list[NDArray[np.uint8]] = []
        self.closed = False
        self._changed = threading.Condition()
        self.broken = False
        self.opened.append(self)

    def send(self, frame: NDArray[np.uint8]) -> None:
        """Take a picture."""
        assert not self.closed
        assert frame.flags.c_contiguous
        assert (frame.dtype, frame.ndim) == (np.uint8, 1)
        if self.broken:
            raise RuntimeError("Stream does not exist.")
        with self._changed:
            self.sent.append(frame)
            self._changed.notify_all()

    def wait_for(self, ready: Callable[[list[NDArray[np.uint8]]], bool]) -> None:
        """Wait until what was sent satisfies `ready`."""
        with self._changed:
            assert self._changed.wait_for(lambda: ready(self.sent), 10), "nothing happened in time"

    def luma(self, index: int) -> NDArray[np.uint8]:
        """(H, W) luma of a picture sent as I420."""
        width, height = self.size
        return self.sent[index][: width * height].reshape(height, width)

    def close(self) -> None:
        """End."""
        assert not self.closed
        self.closed = True
        self.in_use.discard(self._device)

    def device(self) -> str | None:
        """Which it is."""
        return self._device

    def native_fourcc(self) -> None:
        """Not told."""


def fake_backends(monkeypatch: pytest.MonkeyPatch, *names: str) -> type[FakeBackend]:
    """Make `names` all backends pyvirtualcam has; return the class they are made of."""
    library: Any = pytest.importorskip("pyvirtualcam", reason="needs pyvirtualcam, of the extra vcam")
    backend = type("Backend", (FakeBackend,), {"opened": [], "in_use": set()})
    monkeypatch.setattr(library.camera, "BACKENDS", dict.fromkeys(names, backend))
    return backend


def fake_device(folder: Path, name: str, label: str = "streamseg", held: str = "") -> None:
    """Add a device of v4l2loopback to a folder that stands for /sys/class/video4linux."""
    device = folder / name
    device.mkdir(parents=True)
    (device / "name").write_text(f"{label}\n")
    (device / "max_openers").write_text("10\n")
    (device / "format").write_text(held)


def emulated_device(folder: Path) -> dict[str, str]:
    """Make the file `video4` behave as a device to the real pyvirtualcam, in processes with the environment
    returned."""
    pytest.importorskip("pyvirtualcam", reason="needs pyvirtualcam, of the extra vcam")
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("needs g++ to build what stands for v4l2loopback: apt-get install g++")
    flags = ("-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC")
    subprocess.run([compiler, *flags, "-o", folder / "shim.so", _SHIM, "-ldl"], check=True)
    (folder / "video4").touch()
    return {**os.environ, "LD_PRELOAD": str(folder / "shim.so"), "EMULATED_CAMERA": str(folder / "video4")}
