"""Cameras: what they really give, their clock, and how they fail. No camera is needed."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from streamseg.errors import SourceError, UsageError
from streamseg.sources import camera, open_source
from streamseg.sources.camera import CameraSource, index_of, list_cameras
from tests.clips import make_clip, read_frames


class Webcam:
    """A camera that knows 640x480 and 1280x720 at 30 frames a second, and can be unplugged."""

    def __init__(self, frames: int = 1000, hiccups: int = 0) -> None:
        self.settings: dict[int, float] = {cv2.CAP_PROP_FPS: 30.0, cv2.CAP_PROP_BUFFERSIZE: 4.0}
        self.frames = frames
        self.hiccups = hiccups
        self.released = 0
        self.age = 0.0
        """Of the frame read last, in frames: whoever keeps up gets the oldest the driver holds."""

    def isOpened(self) -> bool:
        """It is always there."""
        return True

    def set(self, setting: int, value: float) -> bool:
        """Take any setting."""
        self.settings[setting] = value
        return True

    def get(self, setting: int) -> float:
        """Say what was set."""
        return self.settings.get(setting, 0.0)

    def read(self) -> tuple[bool, np.ndarray | None]:
        """Give one frame, all of it in one grey."""
        if self.hiccups:
            self.hiccups -= 1
            return False, None
        if not self.frames:
            return False, None
        self.frames -= 1
        self.age = self.settings[cv2.CAP_PROP_BUFFERSIZE] - 1
        high = self.settings.get(cv2.CAP_PROP_FRAME_WIDTH, 640) > 640
        return True, np.full((720, 1280, 3) if high else (480, 640, 3), self.frames % 256, np.uint8)

    def release(self) -> None:
        """Count how often it was given back."""
        self.released += 1


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that goes on by 40 ms whenever it is read, and by what is slept."""
    state = SimpleNamespace(now=1000.0)

    def monotonic() -> float:
        state.now += 0.04
        return float(state.now)

    def sleep(seconds: float) -> None:
        state.now += seconds

    monkeypatch.setattr(camera, "time", SimpleNamespace(monotonic=monotonic, sleep=sleep))
    return state


def plugged(webcam: Webcam, uri: str = "0", **options: object) -> CameraSource:
    """Open a camera source on a double of a camera."""
    return CameraSource(uri, capture=lambda _: webcam, **options)  # type: ignore[arg-type, return-value]


def test_size_and_rate_are_those_it_gives(clock: SimpleNamespace) -> None:
    """For a size the camera does not have it gives another, and that is what the source promises."""
    webcam = Webcam()
    with plugged(webcam, size=(1920, 1080), fps=60) as source:
        assert (source.video.width, source.video.height) == (1280, 720)
        assert source.video.rate == 60
        assert source.warnings == ["camera '0': asked for 1920x1080, it gives 1280x720"]
        assert source.live
    assert webcam.settings[cv2.CAP_PROP_FOURCC] == cv2.VideoWriter.fourcc(*"MJPG")
    assert webcam.released == 1


def test_pts_follow_the_clock(clock: SimpleNamespace) -> None:
    """The first frame is at 0 and later ones when they were captured, in microseconds."""
    with plugged(Webcam(), duration=0.2) as source:
        frames = list(source)
    assert source.video.time_base == Fraction(1, 1_000_000)
    assert [frame.picture.pts for frame in frames] == [0, 40_000, 80_000, 120_000, 160_000]
    assert [frame.captured - frames[0].captured for frame in frames] == pytest.approx(
        [0, 0.04, 0.08, 0.12, 0.16]
    )
    assert all(frame.picture.format.name == "bgr24" for frame in frames)


def test_frames_are_new(clock: SimpleNamespace) -> None:
    """The driver is asked to hold no frame back, before the first is read."""
    webcam = Webcam()
    with plugged(webcam):
        assert webcam.age == 0


def test_a_hiccup_is_no_end(clock: SimpleNamespace) -> None:
    """A few failed reads, as cameras have them while they start, are waited out."""
    with plugged(Webcam(hiccups=4), duration=0.05) as source:
        assert len(list(source)) >= 1


def test_unplugged_camera_is_an_error(clock: SimpleNamespace) -> None:
    """A camera that stops giving frames is reported with how far it came, and does not spin for ever."""
    with (
        plugged(Webcam(frames=3)) as source,
        pytest.raises(SourceError, match=r"gives no frame after 3 frames; check"),
    ):
        for _ in source:
            pass


def test_dead_camera_is_an_error(clock: SimpleNamespace) -> None:
    """A camera that opens but never gives a frame is reported, and given back."""
    webcam = Webcam(frames=0)
    with pytest.raises(SourceError, match="camera '0' gives no frame at all; check its cable"):
        plugged(webcam)
    assert webcam.released == 1


def test_real_capture_is_read_to_its_end(tmp_path: Path, clock: SimpleNamespace) -> None:
    """Read through OpenCV itself (which takes a file for a camera), every picture arrives in order."""
    path = tmp_path / "clip.avi"
    make_clip(path, codec="mjpeg", pixel_format="yuvj420p", frames=6, time_base=Fraction(1, 30), pts=range(6))
    with CameraSource("0", capture=lambda _: cv2.VideoCapture(str(path))) as source:
        frames = []
        with pytest.raises(SourceError, match="after 6 frames"):
            for frame in source:
                frames.append(frame)  # noqa: PERF402  (what came before the error counts)
    assert source.video.rate == 30
    for frame, plain in zip(frames, read_frames(path), strict=True):
        difference = frame.picture.to_ndarray().astype(int) - plain.to_ndarray(format="bgr24")
        assert np.abs(difference).mean() < 2
    assert all(early.time < late.time for early, late in pairwise(frames))


def test_absent_camera_is_answered_with_those_there_are(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A camera that is not there is answered with the cameras found; OpenCV's own lines stay away."""
    monkeypatch.setattr(camera, "list_cameras", lambda: ["/dev/video0", "/dev/video2"])
    with pytest.raises(
        SourceError, match=r"cannot open camera '63': .*; cameras found: /dev/video0, /dev/video2"
    ):
        open_source("63")
    monkeypatch.setattr(camera, "list_cameras", list)
    with pytest.raises(SourceError, match="no camera was found; try demo: or test: instead"):
        open_source("camera:63")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("uri", "index"), [("0", 0), ("12", 12), ("camera:", 0), ("camera:3", 3), ("/dev/video7", 7)]
)
def test_camera_names(uri: str, index: int) -> None:
    """A camera is named by its number in one of three ways."""
    assert index_of(uri) == index


def test_camera_without_number() -> None:
    """A camera is no word."""
    with pytest.raises(UsageError, match="cannot understand camera 'camera:front'; write its number"):
        open_source("camera:front")


@pytest.mark.parametrize("platform", ["linux", "win32"])
def test_cameras_are_listed(monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    """Cameras are listed as sources, on Linux without opening them."""
    opened: list[int] = []

    def probe(number: int) -> bool:
        opened.append(number)
        return number == 1

    monkeypatch.setattr(camera, "_opens", probe)
    monkeypatch.setattr(camera.sys, "platform", platform)
    cameras = list_cameras()
    assert cameras == (
        ["camera:1"] if platform == "win32" else [f"/dev/video{name[10:]}" for name in cameras]
    )
    assert bool(opened) == (platform == "win32")


def test_metadata_nodes_are_no_cameras(tmp_path: Path) -> None:
    """Of the nodes of one camera only the first counts; one that cannot be asked does."""
    for name, index in (("video0", "0\n"), ("video1", "1\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "index").write_text(index)
    assert [camera._first_node(tmp_path / name) for name in ("video0", "video1", "video2")] == [
        True,
        False,
        True,
    ]


def test_probing_an_absent_camera() -> None:
    """Trying to open a camera that is not there says no."""
    assert not camera._opens(63)


def test_a_camera_number_no_system_has() -> None:
    """A number too long for any system is answered like a word."""
    with pytest.raises(UsageError, match="cannot understand camera '999999999999999999'"):
        index_of("999999999999999999")
