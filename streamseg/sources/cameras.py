"""Which cameras there are, what they are called, and how one is known again after it was unplugged."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2

from streamseg.errors import SourceError, UsageError, pip_extra
from streamseg.sources.quiet import silent

_SYSFS = Path("/sys/class/video4linux")
_LINKS = Path("/dev/v4l/by-id")
_TRIED = 4
"""Camera numbers tried where the system cannot be asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """A camera that can be opened."""

    number: int
    """What OpenCV calls it; after a replug it may be another."""
    uri: str
    """As a source: `/dev/video0`, elsewhere `camera:0`."""
    name: str = ""
    """As its maker or driver calls it."""
    identity: str | None = None
    """Maker, product and serial number: the same wherever it is plugged in. None where nobody says."""
    port: str = ""
    """Where it is plugged in: tells twins without serial numbers apart. Empty for virtual cameras."""
    links: tuple[str, ...] = ()
    """Its names in /dev/v4l/by-id."""

    def __str__(self) -> str:
        return f"{self.uri} ({self.name})" if self.name else self.uri


def list_cameras() -> list[Camera]:
    """Return the cameras there are: on Linux without opening any, elsewhere as cv2-enumerate-cameras lists
    them, without that by trying."""
    if sys.platform == "linux":
        return on_linux()
    listed = _enumerated()
    if listed is not None:
        return listed
    return [Camera(number=number, uri=f"camera:{number}") for number in range(_TRIED) if _opens(number)]


def on_linux(sysfs: Path = _SYSFS, dev: Path = Path("/dev"), links: Path = _LINKS) -> list[Camera]:
    """Return the cameras V4L2 knows, by number."""
    nodes = [node for node in sysfs.glob("video*") if node.name[5:].isdigit()]
    # A camera often has a second node for its metadata, which gives no pictures.
    nodes = [node for node in nodes if _read(node / "index") in ("", "0") and (dev / node.name).exists()]
    linked = [(link.name, link.resolve().name) for link in sorted(links.glob("*"))] if links.is_dir() else []
    return [
        _described(node, dev / node.name, tuple(name for name, target in linked if target == node.name))
        for node in sorted(nodes, key=lambda node: int(node.name[5:]))
    ]


def _described(node: Path, device: Path, links: tuple[str, ...]) -> Camera:
    name = _read(node / "name")
    interface = (node / "device").resolve()
    usb = interface.parent
    product = [_read(usb / fact) for fact in ("idVendor", "idProduct", "serial")]
    told = ":".join(product) if product[0] else interface.name if interface.exists() else ""
    return Camera(
        number=int(node.name[5:]),
        uri=str(device),
        name=name,
        # One USB device may hold several cameras (colour and infrared): its interface tells them apart.
        identity=f"{told}:{_read(interface / 'bInterfaceNumber')}:{name}" if told or name else None,
        port=usb.name if interface.exists() else "",
        links=links,
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def _enumerated() -> list[Camera] | None:
    try:
        from cv2_enumerate_cameras import enumerate_cameras, supported_backends
    except ImportError:
        return None
    # All of them on one backend: each backend lists the same cameras once more.
    backend = supported_backends[0]
    return [
        Camera(
            number=backend + found.index,
            uri=f"camera:{found.index}",
            name=found.name,
            identity=found.path or None,
        )
        for found in enumerate_cameras(backend)
    ]


def _opens(number: int) -> bool:
    with silent():
        camera = cv2.VideoCapture(number)
        opened = camera.isOpened()
        camera.release()
    return bool(opened)


def find_camera(uri: str) -> Camera:
    """Return the camera `uri` means: `0`, `camera:0`, `/dev/video0`, a link to that, or a part of its name.

    Raises UsageError for what is no camera's name, SourceError where there is no such camera.
    """
    asked = re.sub("(?i)^camera:", "", uri)
    asked = os.path.realpath(asked) if "/" in asked else asked
    number = re.fullmatch(r"(?:/dev/video)?(\d{1,4})?", asked)
    if number is not None:
        return _numbered(int(number[1] or 0))
    if asked.isdigit():
        raise UsageError(f"cannot understand camera {uri!r}; write its number: 0, camera:0 or /dev/video0")
    cameras = list_cameras()
    fitting = [camera for camera in cameras if _called(camera, asked)]
    if not fitting:
        why = "no such device" if "/" in asked else "none is called so"
        raise SourceError(f"cannot open camera {uri!r}: {why}; {told(cameras)}{_names_hint(cameras)}")
    if len(fitting) > 1:
        raise UsageError(f"cannot tell which camera {uri!r} is: {', '.join(map(str, fitting))}; name one")
    return fitting[0]


def _numbered(number: int) -> Camera:
    """A camera by its number; one that is not listed too, for opening it will tell."""
    linux = sys.platform == "linux"
    uri = f"/dev/video{number}" if linux else f"camera:{number}"
    listed = list_cameras() if linux else _enumerated() or []
    return next(
        (camera for camera in listed if (camera.number == number if linux else camera.uri == uri)),
        Camera(number=number, uri=uri),
    )


def _called(camera: Camera, asked: str) -> bool:
    names = (camera.name, *camera.links)
    return asked == camera.uri or any(asked.casefold() in name.casefold() for name in names)


def _names_hint(cameras: Sequence[Camera]) -> str:
    if sys.platform == "linux" or any(camera.name for camera in cameras):
        return ""
    return f"; their names are known after: {pip_extra('cameras')}"


def twins(camera: Camera) -> frozenset[str]:
    """Return the ports of other cameras that cannot be told from this one: of the same make, without serial
    numbers or with the same one."""
    if camera.identity is None:
        return frozenset()
    return frozenset(
        other.port
        for other in list_cameras()
        if other.identity == camera.identity and other.port != camera.port
    )


def find_again(lost: Camera, others: frozenset[str]) -> Camera:
    """Return `lost` as it is called now, which is at none of the ports `others`; raises SourceError while it
    is away."""
    if lost.identity is None:
        return lost
    same = [camera for camera in list_cameras() if camera.identity == lost.identity]
    same = [camera for camera in same if camera.port not in others]
    if not same:
        raise SourceError(f"camera {lost} is not plugged in")
    return max(same, key=lambda camera: (camera.port == lost.port, camera.number == lost.number))


def told(cameras: Sequence[Camera]) -> str:
    """Return what an error says of the cameras there are."""
    if not cameras:
        return "no camera was found; try demo: or test: instead"
    return f"cameras found: {', '.join(map(str, cameras))}"


def locked(camera: Camera) -> bool:
    """Whether the system keeps this user from opening it."""
    return Path(camera.uri).exists() and not os.access(camera.uri, os.R_OK | os.W_OK)


def unlock() -> str:
    """Return the command that lets this user open cameras."""
    return f"sudo usermod -aG video {os.environ.get('USER', '$USER')}   (then log in again)"
