"""A virtual camera that other programs open like a real one, through pyvirtualcam: v4l2loopback on Linux, OBS
or Unity Capture elsewhere."""

from __future__ import annotations

import os
import re
import sys
from fractions import Fraction
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from streamseg.errors import SinkError, UsageError, pip_extra
from streamseg.frame import Frame, Tracks, VideoFormat
from streamseg.handoff import Repeater
from streamseg.sinks.base import Destination, Sink
from streamseg.sinks.camera_pictures import CameraPictures
from streamseg.sinks.geometry import square_size
from streamseg.sinks.loopback import INSTALL, Loopback, is_video_device, loopbacks

if TYPE_CHECKING:
    from types import ModuleType

    from streamseg.control import Control

_BACKENDS = {"v4l2loopback": "v4l2loopback", "obs": "obs", "unity": "unitycapture"}
"""Names in our URIs to pyvirtualcam's."""

_PLANAR = ("I420", "yuv420p")
_FORMATS = {
    "YU12": _PLANAR,
    "NV12": ("NV12", "nv12"),
    "YUYV": ("YUYV", "yuyv422"),
}
"""V4L2's codes to pyvirtualcam's names and FFmpeg's. Every backend takes I420, and so does every consumer."""

_USUAL_RATE = 30
_SLOWEST, _FASTEST = 15, 120
"""Frames a second a camera is said to give: programs take one that gives fewer for broken, and some files
claim thousands."""

_PERMISSION = f"sudo usermod -aG video {os.environ.get('USER', '$USER')}, then log in again"
_BUSY = "another program writes to it", "end that one, or name another: -o vcam:/dev/videoN"

_TOLD = (
    ("missing permissions", "no permission", _PERMISSION),
    ("not a video output device", *_BUSY),
    ("in use", *_BUSY),
    ("busy", *_BUSY),
    ("Multiple cameras", *_BUSY),
    ("could not be started", "OBS itself uses it", "press Stop Virtual Camera in OBS"),
    ("not a V4L2 device", "it is not one of v4l2loopback's", INSTALL),
    ("capabilities", "it is no camera at all", INSTALL),
    (
        "OBS Virtual Camera",
        "OBS is not installed, or its virtual camera was never started",
        "install OBS from https://obsproject.com, press Start Virtual Camera in it, then Stop",
    ),
    (
        "No camera registered",
        "Unity Capture has no such camera",
        "install it: https://github.com/schellingb/UnityCapture",
    ),
)
"""What pyvirtualcam says, what it means, and what to do."""


class VirtualCameraSink(Sink):
    """Feeds a virtual camera: from `ready` on there is a picture, black until the first frame is finished;
    while no frame comes, the last one again."""

    kind = "a virtual camera"
    paces = True

    def __init__(self, destination: Destination) -> None:
        """Raises SinkError where pyvirtualcam or a device is missing, UsageError for another system's."""
        self.uri = destination.uri
        self.notes = []
        self._camera: Any = None
        self._repeater: Repeater[NDArray[np.uint8]] | None = None
        self._library = _load(self.uri)
        asked = re.sub(r"^vcam:?", "", self.uri, count=1, flags=re.IGNORECASE)
        self._backend = _BACKENDS.get(asked.lower())
        self._device = asked if asked and self._backend is None else None
        known = self._library.camera.BACKENDS
        if self._backend is not None and self._backend not in known:
            names = ", ".join(f"vcam:{name}" for name, its in _BACKENDS.items() if its in known)
            raise UsageError(f"no virtual camera {self.uri!r} on this system; possible are vcam: and {names}")
        self._devices()

    def ready(self, video: VideoFormat, control: Control | None = None) -> None:  # noqa: ARG002
        """Open the device and show black."""
        aspect = Fraction(video.sample_aspect_ratio)
        rate = min(max(_SLOWEST, float(video.rate or _USUAL_RATE)), _FASTEST)
        width, height = square_size((video.width, video.height), aspect)
        failures = []
        for device in self._fit_for_use():
            size = device.size or (width + width % 2, height + height % 2)
            code, name = _PLANAR if device.fourcc is None else _FORMATS[device.fourcc]
            try:
                self._camera = self._library.Camera(
                    *size,
                    rate,
                    fmt=self._library.PixelFormat[code],
                    device=device.path or None,
                    backend=self._backend,
                )
            except RuntimeError as error:
                failures.append(str(error))
                continue
            self._pictures = CameraPictures(size, name, aspect)
            black = self._pictures.black()
            self._repeater = Repeater(self._send, black, seconds=1 / rate, name="virtual-camera")
            return
        raise self._refused("\n".join(failures))

    def start(self, video: VideoFormat, first: Frame, tracks: Tracks) -> None:  # noqa: ARG002  (silent)
        """Get ready, if it is not yet."""
        if self._repeater is None:
            self.ready(video)

    def write(self, frame: Frame) -> None:
        """Show a frame, fitted to the size the device was opened with."""
        assert self._repeater is not None
        self._repeater.put(self._pictures(frame.picture))

    def close(self) -> None:
        """Give the device back."""
        if self._repeater is not None:
            self._repeater.close()
            self._repeater = None
        if self._camera is not None:
            self._camera.close()
            self._camera = None

    def _send(self, picture: NDArray[np.uint8]) -> None:
        try:
            self._camera.send(picture)
        except RuntimeError as error:
            raise SinkError(f"virtual camera {self.uri!r} has gone: {error}; begin again") from error

    def _devices(self) -> list[Loopback]:
        """Return the devices to try; raises SinkError where there is none."""
        if not sys.platform.startswith("linux"):
            return [Loopback(self._device or "", "")]
        found = loopbacks()
        if self._device is None:
            if not found:
                raise self._error("this system has none", INSTALL)
            return found
        path = os.path.realpath(self._device)  # udev has other names for it
        named = [device for device in found if device.path == path]
        self._check(path, named, ", ".join(each.path for each in found))
        return named or [Loopback(path, "")]

    def _check(self, path: str, named: list[Loopback], others: str) -> None:
        instead = f"found: {others}" if others else INSTALL
        if not os.access(path, os.F_OK):
            raise self._error("no such device", instead)
        if not named and is_video_device(path):
            raise self._error("that is a real camera", instead)
        if not os.access(path, os.W_OK):
            raise self._error("no permission", _PERMISSION)

    def _fit_for_use(self) -> list[Loopback]:
        """Return the devices to try that are not held to what nobody can send here."""
        devices = self._devices()
        fit = [each for each in devices if each.size is None or _can_send(each.fourcc, each.size)]
        if not fit:
            held = devices[0]
            size = "x".join(map(str, held.size or ()))
            raise self._error(
                f"{held.path} is held to {held.fourcc} of {size}",
                f"end who reads it, or set one of {', '.join(_FORMATS)}, of even size, with v4l2loopback-ctl",
            )
        return fit

    def _refused(self, said: str) -> SinkError:
        for sign, found, fix in _TOLD:
            if sign in said:
                return self._error(found, fix)
        return self._error(said.replace("\n", "; "), "see that no other program uses it")

    def _error(self, found: str, fix: str) -> SinkError:
        return SinkError(f"cannot open virtual camera {self.uri!r}: {found}; {fix}")


def _can_send(fourcc: str | None, size: tuple[int, int]) -> bool:
    return fourcc in _FORMATS and size[0] % 2 == size[1] % 2 == 0


def _load(uri: str) -> ModuleType:
    try:
        return import_module("pyvirtualcam")
    except ImportError as error:
        raise SinkError(
            f"cannot open virtual camera {uri!r}: pyvirtualcam is not installed; {pip_extra('vcam')}"
        ) from error
