"""Which cameras there are and what they are called, on a system made of files."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from streamseg.cli.request import default_source
from streamseg.errors import SourceError, UsageError
from streamseg.sources import cameras, open_source
from streamseg.sources.cameras import Camera, find_again, find_camera, list_cameras, on_linux
from streamseg.sources.uris import kind_of


class System:
    """What Linux shows of cameras, in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.sysfs, self.dev, self.links = folder / "sys", folder / "dev", folder / "by-id"
        for each in (self.sysfs, self.dev, self.links):
            each.mkdir()

    def plug(
        self, number: int, name: str, *, port: str, serial: str = "", index: int = 0, link: str = ""
    ) -> None:
        """Show a node of a USB camera."""
        node, interface = self.sysfs / f"video{number}", self._folder / port / f"{port}:1.0"
        interface.mkdir(parents=True, exist_ok=True)
        facts = {"idVendor": "046d", "idProduct": "0825", "serial": serial}
        for fact, value in facts.items():
            if value:
                (interface.parent / fact).write_text(f"{value}\n")
        (interface / "bInterfaceNumber").write_text("00\n")
        node.mkdir()
        (node / "index").write_text(f"{index}\n")
        (node / "name").write_text(f"{name}\n")
        (node / "device").symlink_to(interface)
        (self.dev / node.name).touch()
        if link:
            (self.links / link).symlink_to(self.dev / node.name)

    def cameras(self) -> list[Camera]:
        """The cameras found."""
        return on_linux(self.sysfs, self.dev, self.links)


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> System:
    """A Linux with the cameras a test plugs in."""
    made = System(tmp_path)
    monkeypatch.setattr(cameras.sys, "platform", "linux")
    monkeypatch.setattr(cameras, "on_linux", made.cameras)
    return made


def test_cameras_are_listed_by_number_with_their_names(system: System) -> None:
    """Each camera has its name, its links and an identity; its metadata's node is none, nor is one that is
    not in /dev."""
    system.plug(10, "Front", port="1-1", serial="A1", link="usb-front-video-index0")
    system.plug(11, "Front", port="1-1", serial="A1", index=1)
    system.plug(2, "HD Pro Webcam C920", port="1-2")
    system.plug(3, "Elsewhere", port="1-3")
    (system.dev / "video3").unlink()
    back, front = list_cameras()
    assert (back.number, front.number) == (2, 10)
    assert str(front) == f"{system.dev}/video10 (Front)"
    assert front.links == ("usb-front-video-index0",)
    assert front.identity == "046d:0825:A1:00:Front"
    assert (front.port, back.port) == ("1-1", "1-2")


def test_a_virtual_camera_is_the_last_choice(system: System) -> None:
    """Where no SOURCE is named the first camera is taken that is plugged in anywhere; a virtual one if it is
    the only one."""
    for number in (0, 2):
        node = system.sysfs / f"video{number}"
        node.mkdir()
        (node / "name").write_text("Virtual\n")
        (system.dev / node.name).touch()
    assert default_source() == f"{system.dev}/video0"
    system.plug(1, "Front", port="1-1")
    assert default_source() == f"{system.dev}/video1"
    assert [camera.port for camera in list_cameras()] == ["", "1-1", ""]


def test_a_camera_is_known_by_its_serial_number_on_any_port(system: System) -> None:
    """Replugged elsewhere a camera has another number and port, and the same identity."""
    system.plug(0, "Front", port="1-1", serial="A1")
    lost = find_camera("0")
    system.plug(4, "Front", port="2-7", serial="A1")
    (system.dev / "video0").unlink()
    again = find_again(lost, frozenset())
    assert (again.number, again.port) == (4, "2-7")


@pytest.mark.parametrize(
    "uri",
    ["camera:c920", "camera:HD Pro", "CAMERA:usb-logitech", "camera:{links}/usb-logitech", "camera:2"],
)
def test_ways_to_name_a_camera(system: System, uri: str) -> None:
    """A part of its name, in any letter case, a link and a number name a camera."""
    system.plug(0, "Front", port="1-1")
    system.plug(2, "HD Pro Webcam C920", port="1-2", link="usb-logitech")
    found = find_camera(uri.format(links=system.links))
    assert found.name == "HD Pro Webcam C920"


@pytest.mark.parametrize(
    ("uri", "number"), [("0", 0), ("12", 12), ("camera:", 0), ("camera:3", 3), ("/dev/video7", 7)]
)
def test_camera_numbers(system: System, uri: str, number: int) -> None:
    """A number is taken though the system lists no such camera: opening it will tell."""
    assert find_camera(uri) == Camera(number=number, uri=f"/dev/video{number}")


def test_a_name_that_fits_no_camera_or_several(system: System) -> None:
    """Then the cameras found are named."""
    system.plug(0, "Front left", port="1-1")
    system.plug(1, "Front right", port="1-2")
    with pytest.raises(
        SourceError, match=r"cannot open camera 'camera:back': none is called so; cameras found: "
    ):
        open_source("camera:back")
    with pytest.raises(UsageError, match=r"cannot tell which camera 'camera:front' is: .*left\), .*right\)"):
        open_source("camera:front")
    with pytest.raises(SourceError, match="'camera:/dev/v4l/by-id/usb-x': no such device; cameras found: "):
        open_source("camera:/dev/v4l/by-id/usb-x")


def test_a_camera_number_no_system_has() -> None:
    """A number too long for any system is refused."""
    with pytest.raises(UsageError, match="cannot understand camera '999999999999999999'; write its number"):
        find_camera("999999999999999999")


def test_links_of_v4l_are_cameras() -> None:
    """The links udev makes name a camera without a word in front."""
    assert kind_of("/dev/v4l/by-id/usb-046d_HD_Pro-video-index0") == "camera"
    assert kind_of("/dev/v4l/by-path/pci-0000:00:14.0-usb-0:1:1.0-video-index0") == "camera"


def test_elsewhere_cameras_are_listed_by_a_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no V4L2 cv2-enumerate-cameras tells the names, from the first backend it knows."""
    found = {
        1400: [SimpleNamespace(index=1, name="Front", path=r"\\?\usb#vid_046d#7")],
        700: [SimpleNamespace(index=0, name="Front", path="x")],
    }
    package = SimpleNamespace(supported_backends=(1400, 700), enumerate_cameras=found.__getitem__)
    monkeypatch.setattr(cameras.sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "cv2_enumerate_cameras", package)
    expected = Camera(number=1401, uri="camera:1", name="Front", identity=r"\\?\usb#vid_046d#7")
    assert list_cameras() == [expected]
    assert find_camera("camera:front") == find_camera("1") == expected
    assert find_camera("0") == Camera(number=0, uri="camera:0")


def test_without_that_package_cameras_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the first numbers are tried, and whoever names a camera is told how to get it."""
    monkeypatch.setattr(cameras.sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "cv2_enumerate_cameras", None)
    monkeypatch.setattr(cameras, "_opens", lambda number: number == 1)
    assert list_cameras() == [Camera(number=1, uri="camera:1")]
    with pytest.raises(
        SourceError, match=r"none is called so; cameras found: camera:1; their names .*pip install"
    ):
        find_camera("camera:front")


def test_probing_an_absent_camera() -> None:
    """Trying to open a camera that is not there says no."""
    assert not cameras._opens(63)
