"""Cameras: what they really give, their clock, and how they are lost and found. No camera is needed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamseg.errors import SourceError
from streamseg.frame import Frame
from streamseg.sources import camera, cameras, capture, open_source
from streamseg.sources.camera import CameraSource
from streamseg.sources.cameras import Camera
from tests.clips import make_clip, read_frames
from tests.webcam import Webcam


@pytest.fixture(autouse=True)
def plugged_in(monkeypatch: pytest.MonkeyPatch) -> list[Camera]:
    """The cameras the system lists: none to begin with. Waits are short."""
    found: list[Camera] = []
    for module in (cameras, capture):
        monkeypatch.setattr(module, "list_cameras", lambda: list(found))
    monkeypatch.setattr(capture, "_PAUSE", 0.0)
    monkeypatch.setattr(camera, "_AGAIN", 0.01)
    return found


def plugged(webcam: Webcam, uri: str = "0", *, live: bool = False, **options: object) -> CameraSource:
    """Open a camera source on a double of a camera; not live, so that no frame is lost."""
    return CameraSource(uri, capture=lambda _: webcam, live=live, **options)  # type: ignore[arg-type, return-value]


def shade(frame: Frame) -> int:
    """The grey a double's frame is made of: how many were left."""
    return int(frame.picture.to_ndarray()[0, 0, 0])


def until(frames: Iterator[Frame], wanted: Callable[[Frame], bool]) -> Frame:
    """Return the first frame of a kind; all come in order."""
    last = Fraction(-1)
    for frame in islice(frames, 10_000):
        assert last < frame.time
        last = frame.time
        if wanted(frame):
            return frame
    raise AssertionError("no such frame")


def test_size_and_rate_are_those_it_gives() -> None:
    """For a size the camera does not have it gives another, and that is what the source promises."""
    webcam = Webcam()
    with plugged(webcam, size=(1920, 1080), fps=60) as source:
        assert (source.video.width, source.video.height) == (1280, 720)
        assert source.video.rate == 60
        assert source.video.spare_chroma
        assert source.warnings == ["camera '0': asked for 1920x1080, it gives 1280x720"]
    assert webcam.settings[cv2.CAP_PROP_FOURCC] == cv2.VideoWriter.fourcc(*"MJPG")
    assert webcam.released == 1


def test_a_camera_is_live_unless_told_otherwise() -> None:
    """Live, only the newest frame is kept for who takes one late; otherwise the camera waits."""
    webcam = Webcam(frames=500)
    with plugged(webcam, live=True) as live, plugged(Webcam(frames=500)) as patient:
        assert live.live
        assert not patient.live
        assert [shade(frame) for frame in islice(patient, 2)] == [499 % 256, 498 % 256]
        while not webcam.released:  # all has been read, though nobody took any
            time.sleep(0.01)
        newest = next(iter(live))
        assert (shade(newest), newest.time) == (0, 0)


def test_frames_have_the_drivers_time() -> None:
    """V4L2 says when a picture was taken: that is its time, from 0 on, in microseconds."""
    webcam = Webcam(backend="V4L2")
    taken = time.monotonic() - 0.5
    webcam.stamps = [1000 * (taken + count / 25) for count in range(5)][::-1]
    with plugged(webcam) as source:
        frames = list(islice(source, 5))
    assert source.video.time_base == Fraction(1, 1_000_000)
    assert [frame.picture.pts for frame in frames] == pytest.approx(
        [0, 40_000, 80_000, 120_000, 160_000], abs=1
    )
    assert [frame.captured - taken for frame in frames] == pytest.approx(
        [0, 0.04, 0.08, 0.12, 0.16], abs=1e-6
    )
    assert all(frame.picture.format.name == "bgr24" for frame in frames)


def test_frames_of_one_moment_are_a_millisecond_apart() -> None:
    """Files that count milliseconds would have both at one time."""
    webcam = Webcam(backend="V4L2")
    taken = 1000 * (time.monotonic() - 0.5)
    webcam.stamps = [taken + 40.0002, taken + 40.0001, taken + 40, taken]
    with plugged(webcam) as source:
        pts = [frame.picture.pts for frame in islice(source, 4)]
    assert pts == [0, pytest.approx(40_000, abs=1), pts[1] + 1000, pts[1] + 2000]


@pytest.mark.parametrize(
    ("backend", "stamp"), [("V4L2", 0.0), ("V4L2", 1234.5), ("V4L2", 1e12), ("MSMF", None)]
)
def test_a_time_on_another_clock_is_none(backend: str, stamp: float | None) -> None:
    """A time that cannot be when the picture was taken is left; then it is when the picture was read."""
    webcam = Webcam(backend=backend)
    before = time.monotonic()
    webcam.stamps = [1000 * before - 100 if stamp is None else stamp]
    with plugged(webcam) as source:
        assert before <= next(iter(source)).captured <= time.monotonic()


def test_the_driver_holds_few_frames_back() -> None:
    """The driver is asked for two buffers: one it fills, one that is read."""
    webcam = Webcam()
    with plugged(webcam):
        assert webcam.settings[cv2.CAP_PROP_BUFFERSIZE] == 2


def test_a_hiccup_is_no_end() -> None:
    """A few failed reads, as cameras have them while they start, are waited out."""
    with plugged(Webcam(hiccups=4)) as source:
        assert not next(iter(source)).absent


def test_what_opencv_cannot_read_is_a_hiccup() -> None:
    """Frames that OpenCV refuses are passed over."""
    webcam = Webcam()
    broken = [cv2.error("broken"), cv2.error("broken")]
    whole = webcam.pixels

    def pixels(size: tuple[int, int]) -> np.ndarray:
        if broken:
            raise broken.pop()
        return whole(size)

    webcam.pixels = pixels  # type: ignore[method-assign]
    with plugged(webcam) as source:
        assert not next(iter(source)).absent
    assert not broken


def test_dead_camera_is_an_error() -> None:
    """A camera that opens but never gives a frame is reported, and given back."""
    webcam = Webcam(frames=0)
    with pytest.raises(SourceError, match="camera '0' gives no frame; check its cable"):
        plugged(webcam)
    assert webcam.released == 1


def test_a_camera_that_hangs_from_the_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A camera whose first read does not return is reported."""
    monkeypatch.setattr(camera, "_STARTING", 0.05)
    monkeypatch.setattr(camera, "_CLOSING", 0.05)
    webcam = Webcam()
    webcam.hanging.clear()
    try:
        with pytest.raises(SourceError, match="camera '0' gives no frame for"):
            plugged(webcam)
    finally:
        webcam.hanging.set()
        for thread in threading.enumerate():
            if thread.name == "streamseg-camera":
                thread.join()
    assert webcam.released == 1


def test_unplugged_camera_is_waited_for(plugged_in: list[Camera]) -> None:
    """While the camera is away frames are absent and black, at its rate; plugged in again it is found under
    another number, and the run goes on."""
    first = Camera(number=0, uri="camera:0", identity="046d:0825:1234", port="1-2")
    again = Camera(number=3, uri="camera:3", identity="046d:0825:1234", port="1-4")
    other = Camera(number=1, uri="camera:1", identity="046d:0825:9999", port="1-3")
    plugged_in += [first, other]
    webcams = {0: Webcam(frames=3), 1: Webcam(), 3: Webcam()}
    with CameraSource("camera:0", capture=webcams.__getitem__, fps=200, live=False) as source:  # type: ignore[arg-type]
        frames = iter(source)
        present = list(islice(frames, 3))
        plugged_in.remove(first)
        gone = [next(frames) for _ in range(12)]
        plugged_in.append(again)
        until(frames, lambda frame: not frame.absent)
        assert source.reconnects == 1
        assert source.warnings == ["camera 'camera:0' was lost once"]
        plugged_in.remove(again)
        webcams[3].frames = 0
        until(frames, lambda frame: frame.absent)
        webcams[3].frames = 1_000_000
        plugged_in.append(again)
        until(frames, lambda frame: not frame.absent)
        assert source.reconnects == 2
        assert source.warnings == ["camera 'camera:0' was lost 2 times"]
    assert not any(frame.absent for frame in present)
    assert all(frame.absent and frame.size == (640, 480) for frame in gone)
    assert all(
        frame.picture.format.name == "bgr24" and not frame.picture.to_ndarray().any() for frame in gone
    )
    assert gone[-1].captured - gone[0].captured > 9.9 / 200  # one of eleven may be late
    assert webcams[0].released == 1
    assert webcams[1].released == 0
    assert webcams[3].released == 2


@pytest.mark.parametrize(
    ("limit", "why"), [(0, "was lost; plug"), (2, "was lost, and 2 attempts to reach it failed; plug")]
)
def test_a_camera_may_be_given_up(plugged_in: list[Camera], limit: int, why: str) -> None:
    """After as many attempts as were allowed the camera is given up; without any at once."""
    camera = Camera(number=0, uri="camera:0", identity="046d:0825:1234")
    plugged_in.append(camera)
    said: list[str] = []
    with (
        plugged(Webcam(frames=1), reconnect=limit, say=said.append) as source,
        pytest.raises(SourceError, match=f"camera '0' {why}"),
    ):
        frames = iter(source)
        next(frames)
        plugged_in.clear()
        list(frames)
    assert said == ["camera '0' was lost; waiting for it"]


def test_loss_and_return_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a run goes on it is told that the camera is away, and that it is back."""
    said: list[str] = []
    webcam = Webcam(frames=1)
    with plugged(webcam, say=said.append) as source:
        frames = iter(source)
        until(frames, lambda frame: frame.absent)
        webcam.frames = 1_000_000
        until(frames, lambda frame: not frame.absent)
    assert said == ["camera '0' was lost; waiting for it", "camera '0' is back"]


def test_a_twin_is_not_taken_for_it(plugged_in: list[Camera]) -> None:
    """Of two cameras of one make without serial numbers the other one is left alone."""
    lost = Camera(number=0, uri="camera:0", identity="046d:0825:", port="1-2")
    twin = Camera(number=1, uri="camera:1", identity="046d:0825:", port="1-3")
    plugged_in += [lost, twin]
    ports = cameras.twins(lost)
    assert cameras.find_again(lost, ports) == lost
    plugged_in.remove(lost)
    with pytest.raises(SourceError, match="camera camera:0 is not plugged in"):
        cameras.find_again(lost, ports)
    moved = Camera(number=4, uri="camera:4", identity="046d:0825:", port="2-1")
    plugged_in.append(moved)
    assert cameras.find_again(lost, ports) == moved


def test_a_virtual_camera_is_known_by_its_number(plugged_in: list[Camera]) -> None:
    """Virtual cameras of one name are told apart by their numbers."""
    virtual = [Camera(number=number, uri=f"camera:{number}", identity="::Virtual") for number in (4, 5)]
    plugged_in += virtual
    assert cameras.find_again(virtual[1], cameras.twins(virtual[1])) == virtual[1]


def test_a_hanging_camera_is_opened_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """A read that does not return is a loss after a while; what hangs keeps nobody from ending."""
    monkeypatch.setattr(camera, "_LEAVING", 0.01)
    webcams = [Webcam(), Webcam()]
    opened = iter(webcams)
    source = CameraSource("0", capture=lambda _: next(opened), live=False, read_timeout=0.05)  # type: ignore[arg-type, return-value]
    try:
        frames = iter(source)
        next(frames)
        webcams[0].hanging.clear()
        until(frames, lambda frame: frame.absent)
        until(frames, lambda frame: not frame.absent)
        assert source.reconnects == 1
        assert not source.stuck()  # nobody has asked it to end
        source.interrupt()
        assert source.stuck()
    finally:
        webcams[0].hanging.set()
        source.close()
    assert not source.stuck()
    assert [webcam.released for webcam in webcams] == [1, 1]


def test_only_so_many_reads_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where every attempt to reach a camera hangs, no more than two wait in it at a time."""
    webcams: list[Webcam] = []

    def opened(_: int) -> Webcam:
        webcams.append(Webcam())
        if len(webcams) > 1:
            webcams[-1].hanging.clear()
        return webcams[-1]

    source = CameraSource("0", capture=opened, live=False, fps=200, read_timeout=0.02)  # type: ignore[arg-type]
    monkeypatch.setattr(camera, "_STARTING", 0.02)
    try:
        frames = iter(source)
        next(frames)
        webcams[0].hanging.clear()
        until(frames, lambda frame: frame.absent)
        for _ in range(60):  # 0.3 s, an attempt every 0.03
            assert next(frames).absent
        assert len(webcams) == 2
    finally:
        for webcam in webcams:
            webcam.hanging.set()
        source.close()


def test_interrupted_it_ends_though_it_is_away() -> None:
    """Whoever wants no more frames of a camera that is away is not kept waiting."""
    with plugged(Webcam(frames=1)) as source:
        frames = iter(source)
        until(frames, lambda frame: frame.absent)
        source.interrupt()
        assert list(frames) == []
        assert not source.stuck()


def test_real_capture_is_read_to_its_end(tmp_path: Path) -> None:
    """Read through OpenCV itself (which takes a file for a camera), every picture arrives in order."""
    path = tmp_path / "clip.avi"
    make_clip(path, codec="mjpeg", pixel_format="yuvj420p", frames=6, time_base=Fraction(1, 30), pts=range(6))
    with CameraSource("0", capture=lambda _: cv2.VideoCapture(str(path)), live=False) as source:
        frames = list(islice(source, 6))
        assert next(iter(source._frames())).absent
    assert source.video.rate == 30
    for frame, plain in zip(frames, read_frames(path), strict=True):
        difference = frame.picture.to_ndarray().astype(int) - plain.to_ndarray(format="bgr24")
        assert np.abs(difference).mean() < 2
    assert all(early.time < late.time for early, late in pairwise(frames))


def test_absent_camera_is_answered_with_those_there_are(
    plugged_in: list[Camera], capfd: pytest.CaptureFixture[str]
) -> None:
    """A camera that is not there is answered with the cameras found; OpenCV's own lines stay away."""
    with pytest.raises(SourceError, match="no camera was found; try demo: or test: instead"):
        open_source("camera:63")
    plugged_in += [Camera(number=0, uri="/dev/video0", name="Front"), Camera(number=2, uri="/dev/video2")]
    with pytest.raises(
        SourceError, match=r"cannot open camera '63': .*; cameras found: /dev/video0 \(Front\), /dev/video2"
    ):
        open_source("63")
    assert capfd.readouterr().err == ""


def test_a_camera_one_may_not_open(
    tmp_path: Path, plugged_in: list[Camera], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without permission that is said, with the command that gives it."""
    device = tmp_path / "video0"
    device.touch()
    plugged_in.append(Camera(number=0, uri=str(device), name="Front"))
    monkeypatch.setattr(cameras.os, "access", lambda path, mode: False)
    with pytest.raises(
        SourceError, match=r"no permission for .*video0 \(group video\); sudo usermod -aG video"
    ):
        open_source("camera:front")
