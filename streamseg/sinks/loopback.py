"""What Linux tells of v4l2loopback's devices. Only `/sys` is read: to ask a device itself means to open it,
which counts as using it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

SYSTEM = Path("/sys/class/video4linux")

INSTALL = (
    "sudo apt install v4l2loopback-dkms && sudo modprobe v4l2loopback exclusive_caps=1 card_label=streamseg"
)
"""Browsers only take a device for a camera that was made with exclusive_caps=1."""

_FORMAT = re.compile(r"(.{4}):(\d+)x(\d+)@")


@dataclass(frozen=True, slots=True)
class Loopback:
    """A device of v4l2loopback."""

    path: str
    """`/dev/video4`."""
    label: str
    """The name under which programs list it."""
    fourcc: str | None = None
    """V4L2's code of the pixel format it is held to, by who reads it or by its keep_format; None: to none."""
    size: tuple[int, int] | None = None
    """(W, H) it is held to."""


def loopbacks() -> list[Loopback]:
    """Return the devices of v4l2loopback there are, by number."""
    found = [each for each in SYSTEM.glob("video*") if (each / "max_openers").exists()]
    return [_read(each) for each in sorted(found, key=lambda each: int(each.name[5:] or 0))]


def is_video_device(path: str) -> bool:
    """Tell whether `/dev/videoN` is a camera of any kind."""
    return (SYSTEM / Path(path).name).exists()


def _read(folder: Path) -> Loopback:
    held = _FORMAT.match(_text(folder / "format"))
    path, label = f"/dev/{folder.name}", _text(folder / "name").strip()
    if held is None:
        return Loopback(path, label)
    return Loopback(path, label, held[1], (int(held[2]), int(held[3])))


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
