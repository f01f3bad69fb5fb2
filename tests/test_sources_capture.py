"""Pictures as the camera makes them; through the real OpenCV, on a double of V4L2's driver."""

from __future__ import annotations

import json
import select
import signal
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from streamseg.pictures import rows
from streamseg.sources.cameras import Camera
from streamseg.sources.capture import Capture, fourcc_for, raw
from streamseg.sources.v4l2 import Mode, modes
from tests.clips import picture
from tests.commandline import FAST
from tests.webcam import DEVICE, Emulated, Webcam, emulated


@pytest.fixture(scope="module")
def webcam(tmp_path_factory: pytest.TempPathFactory) -> Emulated:
    """A webcam for other processes; its JPEG is a picture of 1280x720."""
    made = emulated(tmp_path_factory.mktemp("webcam"))
    made.jpeg.write_bytes(jpeg(1280, 720))
    return made


def jpeg(width: int, height: int) -> bytes:
    """A picture as webcams send it: JPEG with half the chroma columns."""
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuvj422p"
    encoder.time_base = Fraction(1, 30)
    shown = picture(width, height, 3).reformat(format="yuvj422p")
    shown.pts = 0
    return b"".join(bytes(packet) for packet in (*encoder.encode(shown), *encoder.encode(None)))


class Native(Webcam):
    """A V4L2 camera that can leave frames as they are."""

    def __init__(self, fourcc: str, *pictures: np.ndarray) -> None:
        super().__init__(backend="V4L2")
        self.settings |= {
            cv2.CAP_PROP_FOURCC: cv2.VideoWriter.fourcc(*fourcc),
            cv2.CAP_PROP_FRAME_WIDTH: 64,
            cv2.CAP_PROP_FRAME_HEIGHT: 48,
        }
        self.pictures = list(pictures)

    def pixels(self, size: tuple[int, int]) -> np.ndarray:
        """As they are, or BGR."""
        if self.settings.get(cv2.CAP_PROP_CONVERT_RGB) == 0:
            return self.pictures.pop(0)
        return np.full((48, 64, 3), 77, np.uint8)


def opened(device: Webcam) -> Capture:
    """Capture from a double."""
    camera = Camera(number=0, uri="camera:0")
    return Capture(camera, uri="0", size=None, fps=None, opened=lambda _: device)  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize(
    ("fourcc", "name", "planes"),
    [
        ("YUYV", "yuyv422", [(48, 128)]),
        ("UYVY", "uyvy422", [(48, 128)]),
        ("NV12", "nv12", [(48, 64), (24, 64)]),
        ("YU12", "yuv420p", [(48, 64), (24, 32), (24, 32)]),
        ("GREY", "gray", [(48, 64)]),
    ],
)
def test_uncompressed_frames_stay_as_they_are(fourcc: str, name: str, planes: list[tuple[int, int]]) -> None:
    """Every byte the camera sends is in the picture, tagged as V4L2 means it."""
    sent = np.random.default_rng(1).integers(0, 256, sum(h * w for h, w in planes), np.uint8)
    shown = opened(Native(fourcc, sent)).read().picture
    assert (shown.format.name, shown.width, shown.height) == (name, 64, 48)
    kept = [
        rows(plane)[:, :width].reshape(-1) for plane, (_, width) in zip(shown.planes, planes, strict=True)
    ]
    assert np.array_equal(np.concatenate(kept), sent)
    assert (int(shown.colorspace), int(shown.color_range)) == (5, 2 if name == "gray" else 1)


def test_lines_with_padding_are_left_to_opencv() -> None:
    """Where the bytes are not those of the size, frames come as BGR from then on."""
    device = Native("YUYV", np.zeros(64 * 48 * 2 + 48, np.uint8))
    reading = opened(device)
    for _ in range(2):
        shown = reading.read().picture
        assert shown.format.name == "bgr24"
        assert (shown.to_ndarray() == 77).all()


def test_a_damaged_jpeg_is_passed_over() -> None:
    """Of frames the camera could not send whole none is shown; the next whole one is."""
    whole = jpeg(64, 48)
    broken = whole[: len(whole) // 2], b"", b"no picture", whole
    device = Native("MJPG", *(np.frombuffer(each, np.uint8).reshape(1, -1) for each in broken))
    shown = opened(device).read().picture
    assert (shown.format.name, shown.width, shown.height) == ("yuvj422p", 64, 48)
    sent = cv2.imdecode(np.frombuffer(whole, np.uint8), cv2.IMREAD_COLOR)
    difference = shown.to_ndarray(format="bgr24").astype(int) - sent
    assert np.abs(difference).mean() < 6
    assert device.pictures == []


def test_unknown_formats_come_as_bgr() -> None:
    """A pixel format we do not know is converted by OpenCV."""
    device = Native("BA81")
    assert opened(device).read().picture.format.name == "bgr24"
    assert cv2.CAP_PROP_CONVERT_RGB not in device.settings


OFFERED = [
    Mode("YUYV", (640, 480), (Fraction(30), Fraction(15))),
    Mode("NV12", (640, 480), (Fraction(30),)),
    Mode("YUYV", (1280, 720), (Fraction(10),)),
    Mode("MJPG", (1280, 720), (Fraction(60), Fraction(30))),
    Mode("H264", (1280, 720), (Fraction(60),)),
    Mode("YUYV", (1920, 1080), ()),
    Mode("MJPG", (1920, 1080), ()),
]


@pytest.mark.parametrize(
    ("size", "fps", "fourcc"),
    [
        (None, None, None),
        ((640, 480), None, "NV12"),
        ((640, 480), 15, "NV12"),
        ((1280, 720), None, "MJPG"),
        ((1280, 720), 10, "YUYV"),
        ((1280, 720), 60, "MJPG"),
        ((1920, 1080), None, "MJPG"),
        ((800, 600), None, "MJPG"),
        ((320, 240), None, None),
    ],
)
def test_the_pixel_format_fits_size_and_rate(
    size: tuple[int, int] | None, fps: float | None, fourcc: str | None
) -> None:
    """Uncompressed frames are asked for where they come as fast as wanted, the smallest first, else MJPEG."""
    assert fourcc_for(size, fps, OFFERED) == fourcc


def test_size_that_bytes_do_not_fit() -> None:
    """Too few bytes for a picture make none."""
    assert raw(np.zeros(10, np.uint8), "NV12", (64, 48)) is None


def test_a_camera_says_what_it_can(webcam: Emulated) -> None:
    """Formats, sizes and rates come from the driver; what is no camera is an error of the system."""
    told = webcam.run(f"from streamseg.sources.v4l2 import modes; print(modes({DEVICE!r}))")
    thirty = (Fraction(30),)
    assert eval(told) == [
        Mode("YUYV", (640, 480), thirty),
        Mode("YUYV", (1280, 720), (Fraction(10),)),
        Mode("MJPG", (640, 480), thirty),
        Mode("MJPG", (1280, 720), thirty),
        Mode("NV12", (640, 480), thirty),
    ]
    assert modes("/dev/null") == []
    with pytest.raises(FileNotFoundError):
        modes("/dev/video6789")


READ = """
import sys, time
from streamseg.pictures import rows
from streamseg.sources.camera import CameraSource
size = tuple(map(int, sys.argv[1].split("x")))
with CameraSource("/dev/video7", size=size) as source:
    frames = iter(source)
    frame = [next(frames) for _ in range(4)][-1]
    age = time.monotonic() - frame.captured
    print(frame.picture.format.name, *frame.size, source.video.rate, age)
    rows(frame.picture.planes[0])[:, : size[0]].tofile(sys.argv[2])
"""


@pytest.mark.parametrize(
    ("size", "expected"),
    [("640x480", "nv12 640 480 30"), ("1280x720", "yuvj422p 1280 720 30")],
)
def test_opencv_gives_the_cameras_own_pixels(
    webcam: Emulated, size: str, expected: str, tmp_path: Path
) -> None:
    """Asked for a size, OpenCV hands over what the camera made, with the time the driver says."""
    told, _, age = webcam.run(READ, size, tmp_path / "pixels").rpartition(" ")
    assert told == expected
    assert float(age) > 0.005  # the double says that each picture was taken 5 ms before it came
    luma = np.fromfile(tmp_path / "pixels", np.uint8)
    if size == "640x480":
        y, x = np.mgrid[:480, :640]
        assert np.array_equal(luma.reshape(480, 640), (16 + y // 4 + x // 8).astype(np.uint8))
    else:
        sent = cv2.imread(str(webcam.jpeg), cv2.IMREAD_GRAYSCALE)
        assert np.abs(luma.reshape(720, 1280).astype(int) - sent).max() <= 2


REPLUG = """
import sys
from pathlib import Path
import streamseg
from streamseg.sources import camera

flag, target, report = map(Path, sys.argv[1:])

class Replugged(camera.CameraSource):
    def __iter__(self):
        for count, frame in enumerate(super().__iter__()):
            if count == 5:
                flag.touch()
            if frame.absent:
                flag.unlink(missing_ok=True)
            yield frame
            if self.reconnects and not frame.absent:
                return

with (
    Replugged("/dev/video7", read_timeout=0.3) as source,
    streamseg.Segmenter("selfie", runtime="null") as segmenter,
    streamseg.open_compositor(streamseg.effect("mask")) as compositor,
):
    streamseg.run(source, segmenter, compositor, [streamseg.open_sink(target)]).save(report)
"""


@pytest.mark.parametrize("fault", ["unplugged", "hanging"])
def test_a_run_goes_on_when_the_camera_is_back(webcam: Emulated, fault: str, tmp_path: Path) -> None:
    """Unplugged in the middle of a run, or hanging, the camera is waited for and used again; the file plays,
    its frames go on by the clock, and the report counts the return."""
    flag, target, report = getattr(webcam, fault), tmp_path / "out.mkv", tmp_path / "report.json"
    try:
        webcam.run(REPLUG, flag, target, report)
    finally:
        flag.unlink(missing_ok=True)
    found = json.loads(report.read_text())
    assert found["reconnects"] == 1
    assert found["notes"][0] == f"camera {DEVICE!r} was lost once"
    with av.open(str(target)) as container:
        times = [frame.time for frame in container.decode(video=0)]
    assert len(times) == found["frames_out"]
    assert times == sorted(set(times))


def test_the_program_reads_a_camera(webcam: Emulated, tmp_path: Path) -> None:
    """What a camera sends with half the chroma columns is stored as players expect it."""
    target = tmp_path / "out.mp4"
    arguments = "-m", "streamseg", "run", DEVICE, "-o", target, "--duration", "0.5", *FAST
    run = webcam.start(*arguments)
    _, err = run.communicate(timeout=60)
    assert run.returncode == 0, err
    with av.open(str(target)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.codec_context.pix_fmt) == (640, 480, "yuv420p")
        assert sum(1 for _ in container.decode(video=0)) > 5


def test_a_run_can_be_stopped_though_the_driver_hangs(webcam: Emulated) -> None:
    """Ctrl-C ends a run whose camera does not return from a read."""
    run = webcam.start("-m", "streamseg", "run", DEVICE, "-o", "-", "-q", *FAST)
    assert run.stdout is not None
    try:
        run.stdout.read(640 * 480)
        webcam.hanging.touch()
        while select.select([run.stdout], [], [], 0.5)[0]:  # until no more frames come
            run.stdout.read1()
        run.send_signal(signal.SIGINT)
        _, err = run.communicate(timeout=60)
    finally:
        webcam.hanging.unlink(missing_ok=True)
        run.kill()
    assert (run.returncode, err) == (130, b"")


def test_a_camera_may_be_given_up_at_once(webcam: Emulated) -> None:
    """With `--reconnect 0` a run whose camera is unplugged ends with one line."""
    run = webcam.start("-m", "streamseg", "run", DEVICE, "-o", "-", "-q", "--reconnect", "0", *FAST)
    assert run.stdout is not None
    try:
        run.stdout.read(640 * 480)
        webcam.unplugged.touch()
        _, err = run.communicate(timeout=60)
    finally:
        webcam.unplugged.unlink(missing_ok=True)
        run.kill()
    assert (run.returncode, err) == (1, b"error: camera '/dev/video7' was lost; plug it in again\n")


def test_a_camera_that_is_gone_before_it_is_opened(webcam: Emulated) -> None:
    """A camera that is not there is one line."""
    webcam.unplugged.touch()
    try:
        run = webcam.start("-m", "streamseg", "run", DEVICE, "-o", "null:")
        _, err = run.communicate(timeout=60)
    finally:
        webcam.unplugged.unlink()
    assert run.returncode == 1
    assert err.startswith(b"error: cannot open camera '/dev/video7': no such camera, or it is in use; ")
    assert err.count(b"\n") == 1


def test_jpegs_that_are_always_refused_are_left_to_opencv() -> None:
    """A camera whose every JPEG is damaged is read through OpenCV, which shows what there is."""
    device = Native("MJPG", *[np.zeros((1, 10), np.uint8)] * 10)
    shown = opened(device).read().picture
    assert shown.format.name == "bgr24"
    assert len(device.pictures) == 4
