"""Pictures and videos as backgrounds: colours, shapes, time, and what cannot be one."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from streamseg.compositors import open_compositor
from streamseg.compositors.planes import Canvas
from streamseg.effects import Fit, effect
from streamseg.errors import StreamsegError, UsageError
from streamseg.frame import Frame, Matte
from streamseg.pictures import planes
from tests.clips import make_clip
from tests.compositing import noise, read

NOBODY = Matte(np.zeros((4, 4), np.uint8))


def behind(path: Path, picture: av.VideoFrame, fit: Fit = "crop") -> av.VideoFrame:
    """The background alone, for one frame."""
    picture.pts, picture.time_base = 0, Fraction(1, 25)
    with open_compositor(effect("replace", background=str(path), background_fit=fit)) as compositor:
        return compositor(Frame(picture, captured=0.0), NOBODY).picture


def flat_clip(path: Path, levels: list[int], pts: list[int], ticks: int = 10) -> Path:
    """Write a lossless grey clip: a frame of each level, at `pts` in ticks of 1/`ticks` s."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=ticks)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "gray"
        stream.time_base = stream.codec_context.time_base = Fraction(1, ticks)
        for level, when in zip(levels, pts, strict=True):
            frame = av.VideoFrame.from_ndarray(np.full((16, 16), level, np.uint8), format="gray")
            frame.pts, frame.time_base = when, Fraction(1, ticks)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def levels_shown(path: Path, times: list[Fraction]) -> list[int]:
    """Level of the background at each time of the frames in front."""
    shown = []
    with open_compositor(effect("replace", background=str(path))) as compositor:
        for time in times:
            picture = noise(16, 16, "gray")
            picture.pts, picture.time_base = time.numerator, Fraction(1, time.denominator)
            shown.append(int(read(compositor(Frame(picture, captured=0.0), NOBODY).picture)[0][8, 8]))
    return shown


@pytest.mark.parametrize("colour_range", [1, 2])
@pytest.mark.parametrize("matrix", [1, 2, 6, 9])
@pytest.mark.parametrize(
    "kind", ["yuv420p", "yuvj420p", "yuv422p10le", "yuv444p12le", "gray", "gray10le", "gbrp", "gbrp16le"]
)
def test_colours_of_a_picture_are_those_of_a_painted_colour(
    tmp_path: Path, kind: str, matrix: int, colour_range: int
) -> None:
    """A picture of one colour gives the codes of that colour in the frame's matrix, range and depth."""
    path = tmp_path / "sea.png"
    cv2.imwrite(str(path), np.full((20, 30, 3), (0x90, 0x60, 0x20), np.uint8))
    picture = noise(32, 18, kind)
    picture.colorspace, picture.color_range = matrix, colour_range
    made = behind(path, picture)
    wanted = Canvas.of(picture).codes((0x20, 0x60, 0x90))
    slack = max(1, (1 << picture.format.components[0].bits) // 256)
    for plane, code in zip(read(made), wanted, strict=True):
        assert np.abs(plane - code).max() <= slack


@pytest.mark.parametrize("size", [(64, 36), (36, 64), (33, 33), (1, 1), (7, 90)])
def test_crop_pad_and_stretch(tmp_path: Path, size: tuple[int, int]) -> None:
    """Crop keeps the middle and the shape, pad adds black, stretch shows all of it."""
    card = np.zeros((60, 120, 3), np.uint8)
    card[:, :30], card[:, 30:90], card[:, 90:] = 90, 180, 250
    path = tmp_path / "card.png"
    cv2.imwrite(str(path), card)
    width, height = size
    picture = noise(width, height, "gray")
    cropped, padded, stretched = (planes(behind(path, picture, fit))[0] for fit in ("crop", "pad", "stretch"))
    if width <= height:
        assert (np.abs(cropped.astype(int) - 180) <= 1).all()
    if min(size) > 20:
        row = stretched[height // 2]
        assert abs(int(row[2]) - 90) <= 1
        assert abs(int(row[-3]) - 250) <= 1
        edge = padded[0] if width <= 2 * height else padded[:, 0]
        assert (edge == 0).all()
        assert abs(int(padded[height // 2, width // 2]) - 180) <= 1


@pytest.mark.parametrize("kind", ["yuv420p", "yuv411p", "yuv440p", "yuv420p10le"])
@pytest.mark.parametrize("size", [(31, 17), (17, 31), (2, 2), (40, 9)])
def test_padding_works_for_any_sampling_and_odd_sizes(
    tmp_path: Path, kind: str, size: tuple[int, int]
) -> None:
    """Chroma and luma of a padded picture stay together."""
    path = tmp_path / "red.png"
    cv2.imwrite(str(path), np.full((50, 50, 3), (0, 0, 255), np.uint8))
    picture = noise(*size, kind)
    canvas = Canvas.of(picture)
    made = read(behind(path, picture, "pad"))
    for plane, red, black in zip(made, canvas.codes((255, 0, 0)), canvas.codes((0, 0, 0)), strict=True):
        middle = int(plane[plane.shape[0] // 2, plane.shape[1] // 2])
        assert abs(middle - red) <= 4
        assert set(np.unique(plane // 8)) <= {
            n // 8 for near in (red, black) for n in range(near - 4, near + 5)
        }


def test_a_video_runs_by_its_times_and_starts_over(tmp_path: Path) -> None:
    """Frames at 0, 0.1, 0.4 s last until the next, the last as long as the one before it; then the first."""
    path = flat_clip(tmp_path / "loop.mkv", [10, 20, 30], [0, 1, 4])
    times = [Fraction(tenth, 10) for tenth in range(16)]
    assert levels_shown(path, times) == [10, 20, 20, 20, 30, 30, 30] * 2 + [10, 20]


def test_a_video_begins_with_the_first_frame_in_front(tmp_path: Path) -> None:
    """Streams that start late, on either side, start together; a gap in front skips rounds."""
    path = flat_clip(tmp_path / "late.mkv", [10, 20, 30, 40], [50, 51, 52, 53])
    tenths = [36_000, 36_001, 36_003, 36_004, 36_404, 36_407, 36_000, 36_001]
    assert levels_shown(path, [Fraction(tenth, 10) for tenth in tenths]) == [10, 20, 40, 10, 10, 40, 40, 10]


def test_a_video_converts_only_what_is_shown(tmp_path: Path) -> None:
    """A background faster than the frames in front is passed over, not slowed down."""
    path = flat_clip(tmp_path / "fast.mkv", list(range(10, 110, 10)), list(range(10)), ticks=100)
    assert levels_shown(path, [Fraction(0), Fraction(5, 100), Fraction(9, 100)]) == [10, 60, 100]


def test_a_damaged_video_does_not_end_the_run(tmp_path: Path) -> None:
    """A background cut off in the middle goes on with what can be read."""
    path = tmp_path / "cut.mkv"
    make_clip(path, frames=30, size=(64, 64), codec="ffv1", pixel_format="yuv420p")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    assert len(levels_shown(path, [Fraction(n, 10) for n in range(30)])) == 30


def test_a_video_that_vanishes_leaves_its_last_frame(tmp_path: Path) -> None:
    """A background that cannot be opened again stays as it was."""
    path = flat_clip(tmp_path / "gone.mkv", [10, 20], [0, 1])
    with open_compositor(effect("replace", background=str(path))) as compositor:
        shown = []
        for tenth in range(5):
            picture = noise(16, 16, "gray")
            picture.pts, picture.time_base = tenth, Fraction(1, 10)
            shown.append(int(read(compositor(Frame(picture, captured=0.0), NOBODY).picture)[0][0, 0]))
            path.unlink(missing_ok=True)
    assert shown == [10, 20, 20, 20, 20]


def test_an_inverted_failure_shows_the_backdrop(tmp_path: Path) -> None:
    """When segmentation fails the picture is all background, inverted or not."""
    path = tmp_path / "sea.png"
    cv2.imwrite(str(path), np.full((20, 30, 3), 99, np.uint8))
    picture = noise(30, 20, "gray")
    picture.pts, picture.time_base = 0, Fraction(1, 25)
    failed = Matte(np.zeros((4, 4), np.uint8), failure="gone")
    with open_compositor(effect("silhouette", background=str(path), invert=True)) as compositor:
        assert (read(compositor(Frame(picture, captured=0.0), failed).picture)[0] == 99).all()


@pytest.mark.parametrize(
    "content", [None, b"", b"not a picture at all\n" * 50, b"\x89PNG\r\n\x1a\n" + bytes(60)]
)
@pytest.mark.parametrize("name", ["beach.jpg", "beach.mp4", "beach"])
def test_what_is_no_picture_is_refused_before_the_first_frame(
    tmp_path: Path, name: str, content: bytes | None
) -> None:
    """Missing, empty, text, broken: one line that names it."""
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StreamsegError, match=r"background.*beach") as caught:
        open_compositor(effect("replace", background=str(path)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("uri", ["0", "camera:0", "rtsp://user:word@camera/1", "-"])
def test_what_is_live_is_no_background(uri: str) -> None:
    """Cameras and streams cannot start over; they are not even opened, and passwords are not shown."""
    with pytest.raises(UsageError, match="is live; give a picture") as caught:
        open_compositor(effect("replace", background=uri))
    assert "word" not in str(caught.value)


def test_a_background_that_cannot_be_bent_so_far_is_said(tmp_path: Path) -> None:
    """A picture 1000 times wider than high, stretched to a frame of the contrary shape: one line."""
    cv2.imwrite(str(tmp_path / "thin.png"), np.zeros((2, 1000, 3), np.uint8))
    with pytest.raises(StreamsegError, match="a background of 1000x2 cannot become 3x999"):
        behind(tmp_path / "thin.png", noise(3, 999, "yuv420p"), fit="stretch")
