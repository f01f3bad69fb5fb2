"""The virtual camera: a picture from the first moment to the last, never the room, as consumers expect it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import streamseg
from streamseg.cli.request import Request
from streamseg.control import Control
from streamseg.errors import RuntimeFailure, SinkError, UsageError
from streamseg.frame import Frame, Tracks, VideoFormat
from streamseg.report import Report
from streamseg.segmenter import Segmenter
from streamseg.settings import Settings
from streamseg.sinks import loopback, open_sink
from streamseg.stats import Stats
from tests.cameras import FakeBackend, emulated_device, fake_backends, fake_device
from tests.clips import TICKS
from tests.commandline import FAST, PROGRAM, PROJECT, Cli
from tests.doubles import ListSink, ListSource
from tests.sinking import made_frames

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="stands in for Linux's devices")


@pytest.fixture
def devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands for /sys/class/video4linux, with no device in it; those that are put there can be written."""
    system, access = tmp_path / "sys", os.access

    def accessible(path: str | Path, mode: int) -> bool:
        at = Path(path)
        return (system / at.name).is_dir() if at.parent == Path("/dev") else access(path, mode)

    monkeypatch.setattr(loopback, "SYSTEM", system)
    monkeypatch.setattr(os, "access", accessible)
    return system


@pytest.fixture
def backend(devices: Path, monkeypatch: pytest.MonkeyPatch) -> type[FakeBackend]:
    """A system with one virtual camera, /dev/video4."""
    fake_device(devices, "video4")
    return fake_backends(monkeypatch, "v4l2loopback")


def shown(
    backend: type[FakeBackend], frames: list[Frame], aspect: Fraction = Fraction(1), uri: str = "vcam:"
) -> FakeBackend:
    """Show frames; return the camera that got them."""
    sink = open_sink(uri)
    video = VideoFormat(*frames[0].size, TICKS, Fraction(30), aspect)
    sink.ready(video)
    sink.start(video, frames[0], Tracks())
    for frame in frames:
        sink.write(frame)
    sink.close()
    assert backend.opened[-1].closed
    return backend.opened[-1]


def run(source: ListSource, **options: object) -> Report:
    """Run the null network, which sees a disc, into the camera."""
    with (
        streamseg.Segmenter("selfie", runtime="null") as segmenter,
        streamseg.open_compositor(streamseg.effect("mask"), classes=segmenter.classes) as compositor,
    ):
        return streamseg.run(source, segmenter, compositor, [open_sink("vcam:")], **options)  # type: ignore[arg-type]


def test_the_real_pyvirtualcam_feeds_a_device(tmp_path: Path) -> None:
    """Through pyvirtualcam's own v4l2loopback backend an odd-sized run arrives as I420: black, then white
    around a black figure. Who comes second is told in one line that the device is in use."""
    environment = {**emulated_device(tmp_path), "PYTHONPATH": str(PROJECT)}
    device = tmp_path / "video4"
    command = [*PROGRAM, "run", "test:161x121@30,0.5s", "-o", f"vcam:{device}", "--quiet", *FAST]
    first = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (first.returncode, first.stderr) == (0, "")
    assert Path(f"{device}.format").read_text() == "YU12:162x122"
    sent = np.frombuffer(device.read_bytes(), np.uint8).reshape(-1, 183, 162)
    assert len(sent) >= 16
    assert (sent[0, :122] == 16).all()
    assert (sent[0, 122:] == 128).all()
    assert (sent[-1, 0, 0], sent[-1, 60, 80]) == (235, 16)
    second = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert second.returncode == 1
    assert second.stderr.splitlines() == [
        f"error: cannot open virtual camera 'vcam:{device}': another program writes to it; "
        "end that one, or name another: -o vcam:/dev/videoN"
    ]


def test_there_is_a_picture_before_the_first_frame(backend: type[FakeBackend]) -> None:
    """Black comes from the start on, again and again, while no frame has been read yet."""

    def wait_for_black(index: int) -> None:
        if not index:
            backend.opened[0].wait_for(lambda sent: len(sent) >= 3)

    run(ListSource(before=wait_for_black))
    camera = backend.opened[0]
    assert all((camera.luma(index) == 16).all() for index in range(3))
    assert camera.luma(-1).max() == 235
    assert camera.closed


def test_there_is_a_picture_while_the_network_is_loaded(
    backend: type[FakeBackend], cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long that takes, who opens the camera sees black; if it fails, the camera is closed."""
    opened = Request.open_segmenter

    def slow(request: Request, settings: Settings) -> Segmenter:
        backend.opened[-1].wait_for(lambda sent: len(sent) >= 3)
        if settings.effect == "mask":
            raise RuntimeFailure("the network is too large")
        return opened(request, settings)

    monkeypatch.setattr(Request, "open_segmenter", slow)
    given = ("test:64x48@30,0.1s", "-o", "vcam:", "--quiet")
    assert cli.run(*given).code == 0
    assert cli.run(*given, "--effect", "mask").error == "error: the network is too large"
    assert len(backend.opened) == 2
    for camera in backend.opened:
        assert all((camera.luma(index) == 16).all() for index in range(3))
        assert camera.closed


def test_panic_while_the_source_says_nothing_hides_the_last_frame(backend: type[FakeBackend]) -> None:
    """What is sent again and again until the next frame comes is the background from then on."""
    control = Control(Settings(effect="mask"))

    def press(index: int) -> None:
        if index == 3:
            camera = backend.opened[0]
            camera.wait_for(lambda _sent: camera.luma(-1).max() == 235)
            control.panic = True
            camera.wait_for(lambda _sent: camera.luma(-1).max() == 16)

    run(ListSource(before=press), control=control)
    control.close()
    assert backend.opened[0].luma(-1).max() == 16


def test_while_paused_the_last_frame_goes_on(backend: type[FakeBackend]) -> None:
    """A paused run keeps sending what was shown last, never anything else; then it goes on."""
    control = streamseg.Control()
    repeated: list[np.ndarray] = []

    def go_on() -> None:
        camera = backend.opened[0]
        before = len(camera.sent)
        camera.wait_for(lambda sent: len(sent) >= before + 3)
        repeated.extend(camera.sent[before - 1 : before + 3])
        control.paused = False

    waiting = threading.Thread(target=go_on)

    def pause(stats: Stats) -> None:
        if stats.frames_out == 2:
            control.paused = True
            waiting.start()

    report = run(ListSource(range(0, 200, 40)), control=control, watch=pause)
    waiting.join()
    assert report.frames_out == 5
    assert len(repeated) == 4
    assert all(np.array_equal(each, repeated[0]) for each in repeated)
    assert repeated[0].min() < 20 < 200 < repeated[0].max()


def test_where_no_frame_ever_comes_the_device_is_given_back(backend: type[FakeBackend]) -> None:
    """A source that fails at once leaves the camera closed and no thread."""
    with pytest.raises(streamseg.SourceError, match="unplugged"):
        run(ListSource([], error=streamseg.SourceError("unplugged")))
    assert backend.opened[0].closed


def test_a_file_is_shown_at_its_own_pace(backend: type[FakeBackend]) -> None:
    """The camera is for people to watch; its rate is one that programs accept, whatever the source claims."""
    assert open_sink("vcam:").paces
    assert shown(backend, made_frames([0])).fps == 30
    sink = open_sink("vcam:")
    sink.ready(VideoFormat(64, 48, TICKS, Fraction(1, 2)))
    sink.close()
    assert backend.opened[-1].fps == 15
    sink = open_sink("vcam:")
    sink.ready(VideoFormat(64, 48, TICKS, Fraction(90_000)))
    sink.close()
    assert backend.opened[-1].fps == 120


def test_planes_arrive_as_they_are(backend: type[FakeBackend]) -> None:
    """A picture in what consumers expect is not converted: the same bytes."""
    frames = made_frames([0, 3000])
    camera = shown(backend, frames)
    assert (camera.fourcc, camera.size) == ("I420", (64, 48))
    for frame, sent in zip(frames, camera.sent[-2:], strict=True):
        assert np.array_equal(sent, frame.picture.to_ndarray().reshape(-1))


ORANGE = (230, 120, 30)
ORANGE_601 = (138.5, 72.2, 182.7)
"""Y, Cb, Cr of ORANGE after BT.601 in limited range, worked out by hand."""


@pytest.mark.parametrize("held", ["YU12", "NV12", "YUYV"])
@pytest.mark.parametrize(
    ("pixel_format", "matrix", "full"),
    [
        ("yuv420p", 5, 1), ("yuv420p", 1, 1), ("yuv420p", 1, 2), ("yuvj420p", 5, 2), ("yuv420p", 9, 1),
        ("yuv420p10le", 1, 1), ("yuv444p", 1, 1), ("nv12", 1, 1), ("gbrp", 0, 2), ("bgr24", 0, 2),
    ],
)  # fmt: skip
def test_colours_are_those_of_a_webcam(
    devices: Path, monkeypatch: pytest.MonkeyPatch, pixel_format: str, matrix: int, full: int, held: str
) -> None:
    """Whatever matrix, range and layout a picture has, the camera's is BT.601, limited, in the layout its
    device is held to."""
    backend = fake_backends(monkeypatch, "v4l2loopback")
    fake_device(devices, "video4", held=f"{held}:64x48@30\n")
    solid = av.VideoFrame.from_ndarray(np.full((48, 64, 3), ORANGE, np.uint8), format="rgb24")
    picture = solid.reformat(format=pixel_format, dst_colorspace=matrix or None, dst_color_range=full)
    picture.colorspace, picture.color_range = matrix, full
    camera = shown(backend, [Frame(picture, 0.0)])
    sent = camera.sent[-1].astype(int)
    if held == "YU12":
        seen = sent[:3072].mean(), sent[3072:3840].mean(), sent[3840:].mean()
    elif held == "NV12":
        seen = sent[:3072].mean(), sent[3072::2].mean(), sent[3073::2].mean()
    else:
        seen = sent[::2].mean(), sent[1::4].mean(), sent[3::4].mean()
    assert camera.fourcc == {"YU12": "I420", "YUYV": "YUY2"}.get(held, held)
    assert np.abs(np.subtract(seen, ORANGE_601)).max() <= 2


def test_what_is_transparent_is_black(backend: type[FakeBackend]) -> None:
    """A cut-out shows black around the person: the room that lies beneath it is not sent."""
    pixels = np.full((48, 64, 4), (*ORANGE, 0), np.uint8)
    pixels[24:, :, 3] = 255
    frames = [
        Frame(av.VideoFrame.from_ndarray(pixels, format="rgba").reformat(format=name), 0.0)
        for name in ("yuva420p", "gbrap", "rgba")
    ]
    camera = shown(backend, frames)
    for index in (-3, -2, -1):
        assert (camera.luma(index)[:24] == 16).all()
        assert np.abs(camera.luma(index)[24:].astype(int) - ORANGE_601[0]).max() <= 2
        chroma = camera.sent[index][3072:].reshape(2, 24, 32)
        assert (chroma[:, :12] == 128).all()


def test_odd_sizes_grow_by_an_edge(backend: type[FakeBackend]) -> None:
    """A camera's size is even: an odd picture gets one more column and row, and keeps every pixel."""
    frames = made_frames([0], size=(63, 47))
    camera = shown(backend, frames)
    assert camera.size == (64, 48)
    luma = np.frombuffer(frames[0].picture.planes[0], np.uint8).reshape(47, -1)[:, :63]
    assert np.array_equal(camera.luma(-1)[:47, :63], luma)


def test_a_size_that_changes_is_fitted(backend: type[FakeBackend]) -> None:
    """The device keeps its size: other frames are scaled into it, framed in black, undistorted."""
    bright = av.VideoFrame.from_ndarray(np.full((96, 96, 3), 255, np.uint8), format="rgb24")
    frames = [*made_frames([0]), Frame(bright.reformat(format="yuv420p"), 0.0)]
    camera = shown(backend, frames)
    assert len(backend.opened) == 1
    assert camera.luma(-1)[24, 32] > 230
    assert (camera.luma(-1)[:, [0, -1]] == 16).all()
    assert (camera.luma(-1)[0, 10:54] > 200).all()


def test_pixels_are_square(backend: type[FakeBackend]) -> None:
    """Anamorphic pictures are shown at their display aspect: consumers take pixels for square."""
    assert shown(backend, made_frames([0]), aspect=Fraction(2)).size == (128, 48)


def test_a_device_held_to_a_size_gets_it(devices: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device whose reader is still there, or that was told to keep its format, silently ignores another:
    it is given the one it has."""
    backend = fake_backends(monkeypatch, "v4l2loopback")
    fake_device(devices, "video4", held="NV12:320x240@30\n")
    camera = shown(backend, made_frames([0]))
    assert (camera.fourcc, camera.size) == ("NV12", (320, 240))


def test_a_format_nobody_can_send_is_named(devices: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device held to JPEG, or to an odd size, is refused with what could be set; another one is taken."""
    backend = fake_backends(monkeypatch, "v4l2loopback")
    fake_device(devices, "video3", held="MJPG:320x240@30\n")
    fake_device(devices, "video4", held="YU12:321x240@30\n")
    with pytest.raises(SinkError, match=r"/dev/video3 is held to MJPG of 320x240; .*YU12, NV12, YUYV"):
        open_sink("vcam:").ready(VideoFormat(64, 48, TICKS))
    with pytest.raises(SinkError, match=r"/dev/video4 is held to YU12 of 321x240; "):
        open_sink("/dev/video4").ready(VideoFormat(64, 48, TICKS))
    fake_device(devices, "video5")
    assert shown(backend, made_frames([0])).device() == "/dev/video5"


def test_the_first_device_that_opens_is_taken(devices: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several the lowest number that is free; a cable's camera, which has no such device, is none."""
    backend = fake_backends(monkeypatch, "v4l2loopback")
    for name in ("video10", "video9", "video4"):
        fake_device(devices, name)
    (devices / "video0").mkdir()
    first, second = open_sink("vcam:"), open_sink("vcam:")
    first.ready(VideoFormat(64, 48, TICKS))
    monkeypatch.setattr(backend, "__init__", refusing_when(backend, "/dev/video4"))
    second.ready(VideoFormat(64, 48, TICKS))
    assert [camera.device() for camera in backend.opened] == ["/dev/video4", "/dev/video9"]
    first.close()
    second.close()


def refusing_when(backend: type[FakeBackend], device: str) -> object:
    """A constructor that finds `device` in use."""
    usual = backend.__init__

    def construct(self: FakeBackend, **options: object) -> None:
        if options["device"] == device:
            raise ValueError(f"Device {device} is already in use.")
        usual(self, **options)  # type: ignore[arg-type]

    return construct


@pytest.mark.parametrize("uri", ["/dev/video4", "vcam:/dev/video4", "vcam:v4l2loopback", "vcam", "VCAM:"])
def test_how_a_camera_is_named(backend: type[FakeBackend], uri: str) -> None:
    """By its device, with or without the scheme, by its backend, or not at all."""
    assert shown(backend, made_frames([0]), uri=uri).device() == "/dev/video4"


def test_a_link_to_a_device_is_that_device(
    devices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Named by a link, as udev makes them, a device still gets the format it is held to."""
    backend = fake_backends(monkeypatch, "v4l2loopback")
    fake_device(devices, "video4", held="YUYV:320x240@30\n")
    link = tmp_path / "meeting"
    link.symlink_to("/dev/video4")
    camera = shown(backend, made_frames([0]), uri=f"vcam:{link}")
    assert (camera.device(), camera.fourcc, camera.size) == ("/dev/video4", "YUY2", (320, 240))


@pytest.mark.parametrize(("uri", "known"), [("vcam:obs", "obs"), ("vcam:unity", "unitycapture")])
def test_other_systems_cameras_are_named_by_their_program(
    monkeypatch: pytest.MonkeyPatch, uri: str, known: str
) -> None:
    """On Windows and macOS obs and unity choose the backend, and no device is looked for; Unity's may have a
    name of its own."""
    backend = fake_backends(monkeypatch, known)
    monkeypatch.setattr(sys, "platform", "win32")
    assert shown(backend, made_frames([0]), uri=uri).device() is None
    assert shown(backend, made_frames([0]), uri="vcam:My Camera").device() == "My Camera"


def test_another_systems_camera_is_refused(backend: type[FakeBackend]) -> None:
    """OBS's camera on Linux: a usage error that says what there is."""
    with pytest.raises(UsageError, match=r"no virtual camera 'vcam:obs' on this system; possible are vcam: "):
        open_sink("vcam:obs")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Could not access /dev/video4 due to missing permissions. Did you", "no permission; sudo usermod"),
        ("Device /dev/video4 is not a video output device.", "another program writes to it; end that"),
        ("Device /dev/video4 is already in use.", "another program writes to it"),
        ("... could not be configured: Device or resource busy", "another program writes to it"),
        ("Device /dev/video4 is not a V4L2 device.", "not one of v4l2loopback's; sudo apt install"),
        ("OBS Virtual Camera device not found! Did you install OBS?", "install OBS from .*Start Virtual"),
        ("OBS Virtual Camera is not installed in your system. Use", "install OBS from"),
        ("virtual camera output could not be started", "OBS itself uses it; press Stop Virtual Camera"),
        ("No camera registered. Did you install any camera?", "Unity Capture has no such.*UnityCapture"),
        ("an answer of another version", "an answer of another version; see that"),
    ],
)
def test_refusals_say_what_to_do(backend: type[FakeBackend], said: str, told: str) -> None:
    """What pyvirtualcam says in its own words becomes one line with the way out."""
    backend.refusal = said
    with pytest.raises(SinkError, match=f"^cannot open virtual camera 'vcam:': .*{told}") as caught:
        open_sink("vcam:").ready(VideoFormat(64, 48, TICKS))
    assert "\n" not in str(caught.value)


def test_without_a_device_the_module_is_named(devices: Path, cli: Cli, backend_only: None) -> None:
    """No v4l2loopback: before anything else happens, the two commands that make a camera."""
    for uri in ("vcam:", "/dev/video7"):
        ended = cli.run("test:64x48@30,1s", "-o", uri)
        assert ended.code == 1
        assert "sudo modprobe v4l2loopback exclusive_caps=1 card_label=streamseg" in ended.error


@pytest.fixture
def backend_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """pyvirtualcam is there."""
    fake_backends(monkeypatch, "v4l2loopback")


def test_a_real_camera_is_not_written_to(devices: Path, backend_only: None) -> None:
    """/dev/video0 as an output while it is a webcam: said so, with the devices that would do."""
    (devices / "video0").mkdir(parents=True)
    fake_device(devices, "video4")
    with pytest.raises(SinkError, match=r"'/dev/video0': that is a real camera; found: /dev/video4"):
        open_sink("/dev/video0")


def test_a_locked_device_is_told_at_once(backend: type[FakeBackend], monkeypatch: pytest.MonkeyPatch) -> None:
    """No permission is found before anything is opened."""
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    with pytest.raises(SinkError, match="no permission; sudo usermod -aG video"):
        open_sink("vcam:/dev/video4")


def test_without_the_package_the_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """pyvirtualcam missing: the pip command that installs the extra."""
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)
    with pytest.raises(SinkError, match=r"pyvirtualcam is not installed; .*pip install .*\[vcam\]"):
        open_sink("vcam:")


def test_a_camera_that_breaks_ends_alone(backend: type[FakeBackend]) -> None:
    """A device that takes no more frames is an error of its own; the file beside it is finished."""
    other, source = ListSink(), ListSource()

    def breaks(stats: Stats) -> None:
        backend.opened[0].broken = True

    with (
        streamseg.Segmenter("selfie", runtime="null") as segmenter,
        streamseg.open_compositor(streamseg.effect("mask"), classes=segmenter.classes) as compositor,
    ):
        report = streamseg.run(source, segmenter, compositor, [open_sink("vcam:"), other], watch=breaks)
    assert report.sinks_failed == ["virtual camera 'vcam:' has gone: Stream does not exist.; begin again"]
    assert (len(other.frames), other.ended) == (10, "closed")
    assert backend.opened[0].closed
