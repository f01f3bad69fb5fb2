"""Pixels: native formats kept, depth and chroma kept, colours tagged and converted right, any size taken."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.codec import Codec
from av.codec.codec import UnknownCodecError
from hypothesis import given, settings
from hypothesis import strategies as st

from streamseg.colour import FULL, LIMITED, Tags, tags_of
from streamseg.errors import SinkError, UsageError
from streamseg.frame import Frame
from streamseg.pictures import planes as planes_of
from streamseg.pictures import rows, shape
from streamseg.sinks import Encoding
from streamseg.sinks.codecs import needs_hardware, pixel_formats
from streamseg.sinks.pixels import Conversion, best_format
from tests.clips import read_frames
from tests.sinking import made_frames, write_frames

FORMATS = [
    "yuv420p",
    "yuvj420p",
    "yuv422p",
    "yuv444p",
    "nv12",
    "yuv420p10le",
    "p010le",
    "yuv422p10le",
    "yuv444p12le",
    "gray",
    "gray10le",
    "rgb24",
    "bgr24",
    "gbrp",
    "gbrp10le",
    "bgr0",
]
FAST = Encoding(preset="ultrafast")


def first(path: Path) -> av.VideoFrame:
    """The first frame of a clip."""
    return read_frames(path)[0]


def planes(picture: av.VideoFrame) -> list[bytes]:
    """The samples of every plane, padding left out."""
    wide = 2 if shape(picture.format.name).depth > 8 else 1
    packed = [
        wide * sum(each.plane == index for each in picture.format.components)
        for index in range(len(picture.planes))
    ]
    return [
        rows(plane)[:, : plane.width * sample].tobytes()
        for plane, sample in zip(picture.planes, packed, strict=True)
    ]


@pytest.mark.parametrize(
    ("pixel_format", "codec", "extension"),
    [
        ("yuv420p10le", "h264", "mp4"),
        ("yuv422p10le", "h264", "mkv"),
        ("yuv444p10le", "h264", "mov"),
        ("yuv420p10le", "hevc", "mp4"),
        ("yuv420p12le", "hevc", "mkv"),
        ("yuv444p12le", "hevc", "mp4"),
        ("yuv420p10le", "av1", "mkv"),
        ("yuv422p10le", "prores", "mov"),
        ("yuv420p10le", "ffv1", "mkv"),
        ("yuv422p12le", "ffv1", "mkv"),
        ("yuv422p", "h264", "mp4"),
        ("yuv444p", "vp9", "webm"),
        ("yuvj420p", "h264", "mp4"),
        ("gray", "ffv1", "mkv"),
        ("gray10le", "ffv1", "mkv"),
    ],
)
def test_an_encoder_that_takes_the_native_format_gets_it(
    tmp_path: Path, pixel_format: str, codec: str, extension: str
) -> None:
    """10 and 12 bits, 4:2:2, 4:4:4, full range and grey come out as they went in."""
    path = tmp_path / f"out.{extension}"
    write_frames(path, made_frames([0, 3000], pixel_format=pixel_format), encoding=Encoding(codec=codec))
    assert first(path).format.name == pixel_format


@pytest.mark.parametrize(
    ("source", "encoder", "expected"),
    [
        ("p010le", "libx264", "yuv420p10le"),
        ("yuv420p12le", "libx264", "yuv420p10le"),
        ("yuv422p12le", "libx264", "yuv422p10le"),
        ("yuv411p", "libx264", "yuv422p"),
        ("yuv420p", "prores_ks", "yuv422p10le"),
        ("yuv420p10le", "libvpx-vp9", "yuv420p"),
        ("yuv444p", "libsvtav1", "yuv420p"),
        ("rgb24", "libx264", "yuv420p"),
        ("gbrp10le", "libx264", "yuv420p10le"),
        ("gray10le", "libx265", "yuv420p10le"),
        ("rgb24", "prores_ks", "yuv444p10le"),
        ("yuva420p", "prores_ks", "yuva444p10le"),
        ("rgba", "libvpx-vp9", "yuva420p"),
        ("rgba", "libx264", None),
        ("yuva420p", "libx265", None),
        ("nv12", "wrapped_avframe", "yuv420p"),
        ("p010le", "wrapped_avframe", "yuv420p10le"),
    ],
)
def test_the_nearest_format_loses_least(source: str, encoder: str, expected: str | None) -> None:
    """Depth goes last, then chroma; RGB and grey become what players show; lost transparency is no option."""
    assert best_format(source, encoder, pixel_formats(encoder)) == expected


@pytest.mark.parametrize(
    ("source", "encoder", "expected"),
    [
        ("yuyv422", "libx264", "yuv420p"),
        ("yuvj422p", "libx264", "yuv420p"),
        ("yuv422p10le", "libx265", "yuv420p10le"),
        ("nv12", "libvpx-vp9", "yuv420p"),
        ("yuyv422", "ffv1", "yuv422p"),
        ("yuyv422", "prores_ks", "yuv422p10le"),
    ],
)
def test_what_cameras_send_becomes_what_players_show(source: str, encoder: str, expected: str) -> None:
    """Few players show the 4:2:2 that webcams send; encoders for editing keep it."""
    assert best_format(source, encoder, pixel_formats(encoder), playable=True) == expected


@pytest.mark.parametrize("pixel_format", [name for name in FORMATS if name not in ("nv12", "p010le", "bgr0")])
def test_ffv1_keeps_every_sample(tmp_path: Path, pixel_format: str) -> None:
    """Lossless in .mkv: planar formats keep their planes to the byte, packed RGB its pixels."""
    path = tmp_path / "out.mkv"
    frames = made_frames([0, 3000], size=(37, 23), pixel_format=pixel_format)
    write_frames(path, frames, encoding=Encoding(codec="ffv1"))
    stored = first(path)
    assert (stored.width, stored.height) == (37, 23)
    if shape(pixel_format).rgb:
        name = "rgb48le" if shape(pixel_format).depth > 8 else "rgb24"
        assert np.array_equal(stored.to_ndarray(format=name), frames[0].picture.to_ndarray(format=name))
    else:
        assert planes(stored) == planes(frames[0].picture)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    width=st.integers(1, 70),
    height=st.integers(1, 70),
    pixel_format=st.sampled_from(FORMATS),
    extension=st.sampled_from(["mp4", "mkv", "webm", "mov"]),
)
def test_any_size_in_any_format_is_taken(
    tmp_path_factory: pytest.TempPathFactory, width: int, height: int, pixel_format: str, extension: str
) -> None:
    """From 1x1 to 70x70 in every format: out comes that size, at most rounded up to even, and the picture."""
    path = tmp_path_factory.mktemp("sizes") / f"out.{extension}"
    frames = made_frames([0, 3000], size=(width, height), pixel_format=pixel_format)
    encoding = Encoding(codec="ffv1") if extension == "mkv" else Encoding(crf=1)
    write_frames(path, frames, encoding=encoding)
    stored = first(path)
    assert width <= stored.width <= width + 1
    assert height <= stored.height <= height + 1
    luma, before = (
        rows(Conversion(each, "gray", "png")(each).planes[0]) for each in (stored, frames[0].picture)
    )
    assert abs(int(luma[0, 0]) - int(before[0, 0])) <= 40


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (3, 3), (35, 17)])
def test_odd_pictures_are_padded_with_their_own_edge(tmp_path: Path, size: tuple[int, int]) -> None:
    """Where 4:2:0 needs even sizes the last column and row are repeated: no black line, no refusal."""
    path = tmp_path / "out.mp4"
    write_frames(path, made_frames([0, 3000], size=size), encoding=Encoding(codec="h264", crf=0))
    luma = rows(first(path).planes[0])
    width, height = size
    if width % 2:
        assert np.array_equal(luma[:height, width], luma[:height, width - 1])
    if height % 2:
        assert np.array_equal(luma[height, :width], luma[height - 1, :width])


def test_colours_of_rgb_become_tagged_bt709(tmp_path: Path) -> None:
    """Pure red in an MP4 is Y 63, Cb 102, Cr 240 (BT.709, limited range), and tagged so."""
    red = av.VideoFrame.from_ndarray(np.full((32, 32, 3), (255, 0, 0), np.uint8), format="rgb24")
    red.pts, red.time_base = 0, Fraction(1, 30)
    path = tmp_path / "out.mp4"
    write_frames(path, [Frame(red, 0.0)], encoding=Encoding(crf=1))
    stored = first(path)
    codes = [int(rows(plane)[8, 8]) for plane in stored.planes]
    assert max(abs(code - wanted) for code, wanted in zip(codes, (63, 102, 240), strict=True)) <= 1
    assert (stored.colorspace, stored.color_primaries, stored.color_trc, stored.color_range) == (1, 1, 1, 1)


@pytest.mark.parametrize("extension", ["mp4", "mkv", "mov", "webm"])
def test_colour_tags_are_carried(tmp_path: Path, extension: str) -> None:
    """Matrix, primaries, transfer and range of an HDR frame are those of the file."""
    frames = made_frames([0, 3000], pixel_format="yuv420p10le")
    for frame in frames:
        frame.picture.colorspace, frame.picture.color_range = 9, 1
        frame.picture.color_primaries, frame.picture.color_trc = 9, 16
    path = tmp_path / f"out.{extension}"
    write_frames(path, frames)
    stored = first(path)
    assert (stored.colorspace, stored.color_primaries, stored.color_trc, stored.color_range) == (9, 9, 16, 1)


@pytest.mark.parametrize("extension", ["mp4", "mov", "mkv", "ts", "nut"])
@pytest.mark.parametrize("said", [LIMITED, FULL])
def test_a_range_is_carried_where_nothing_else_is_said(tmp_path: Path, extension: str, said: int) -> None:
    """A picture tagged `tv` or `pc`, without matrix, primaries and transfer, is tagged so in the file."""
    frames = made_frames([0, 3000])
    for frame in frames:
        frame.picture.color_range = said
    path = tmp_path / f"out.{extension}"
    write_frames(path, frames, encoding=FAST)
    assert tags_of(first(path)) == Tags(range=said)


def test_nothing_is_said_of_colours_where_nothing_was(tmp_path: Path) -> None:
    """An untagged picture stays untagged."""
    write_frames(tmp_path / "out.mp4", made_frames([0, 3000]), encoding=FAST)
    assert tags_of(first(tmp_path / "out.mp4")) == Tags()


def hardware_encoders() -> list[str]:
    """Every encoder of this FFmpeg that may find no hardware."""
    found = []
    for name in sorted(av.codecs_available):
        with suppress(UnknownCodecError):
            found += [name] if Codec(name, "w").type == "video" and needs_hardware(name) else []
    return found


@pytest.mark.parametrize("encoder", hardware_encoders())
@pytest.mark.parametrize("pixel_format", ["yuv420p", "rgb24", "gray10le", "rgba"])
def test_missing_hardware_is_one_line(tmp_path: Path, encoder: str, pixel_format: str) -> None:
    """An encoder without its hardware is refused by name, whatever the pixels, and leaves no file."""
    path = tmp_path / "out.mkv"
    try:
        write_frames(
            path, made_frames([0, 3000], pixel_format=pixel_format), encoding=Encoding(codec=encoder)
        )
    except (SinkError, UsageError) as error:
        assert encoder in str(error)
        assert "\n" not in str(error)
        assert not list(tmp_path.iterdir())
    else:  # it is there
        assert path.exists()


def test_full_range_becomes_limited_where_it_cannot_be_told(tmp_path: Path) -> None:
    """ProRes means limited range: white of a full-range frame, 255, becomes 940 of 10 bits."""
    white = av.VideoFrame(32, 32, "yuvj420p")
    for plane, code in zip(white.planes, (255, 128, 128), strict=True):
        plane.update(bytes([code]) * plane.buffer_size)
    white.pts, white.time_base = 0, Fraction(1, 30)
    path = tmp_path / "out.mov"
    write_frames(path, [Frame(white, 0.0)], encoding=Encoding(codec="prores"))
    assert abs(int(rows(first(path).planes[0]).view(np.uint16)[4, 4]) - 940) <= 4


@pytest.mark.parametrize(
    ("name", "tag", "white"), [("out.mkv", 2, 255), ("out.nut", 0, 235), ("out.avi", 0, 235)]
)
def test_ffv1_is_of_full_range_where_the_container_says_so(
    tmp_path: Path, name: str, tag: int, white: int
) -> None:
    """FFV1 itself does not tell: in NUT and AVI a full-range clip becomes limited, as everybody reads it."""
    full = made_frames([0, 3000], pixel_format="yuvj420p")
    for frame in full:
        planes_of(frame.picture)[0][:] = 255
    write_frames(tmp_path / name, full, encoding=Encoding(codec="ffv1"))
    read = first(tmp_path / name)
    assert read.color_range == tag
    assert (planes_of(read)[0] == white).all()


@pytest.mark.parametrize(("name", "target"), [("gray", "yuv420p"), ("gray10le", "yuv420p10le")])
def test_grey_of_limited_range_keeps_its_code_values(name: str, target: str) -> None:
    """Grey from a video is luma already; only grey of full range is scaled."""
    grey = made_frames([0], pixel_format=name)[0].picture
    grey.color_range = 1
    assert planes(Conversion(grey, target, "libx264")(grey))[0] == planes(grey)[0]
    grey.color_range = 2
    assert planes(Conversion(grey, target, "libx264")(grey))[0] != planes(grey)[0]


def test_grey_of_another_depth_becomes_luma() -> None:
    """12-bit grey of limited range fits into 10-bit YUV: the same values, two bits fewer."""
    grey = made_frames([0], pixel_format="gray12le")[0].picture
    before = rows(grey.planes[0]).view(np.uint16)[:, : grey.width]
    grey.color_range = LIMITED
    after = rows(Conversion(grey, "yuv420p10le", "libx264")(grey).planes[0]).view(np.uint16)[:, : grey.width]
    assert np.abs(before / 4 - after).max() <= 2


BANDS = "high dynamic range (PQ) is stored in 8 bits: smooth areas may show bands"
DULL = "cannot say that its colours are PQ: they will look dull; use .mp4, .mkv or .mov"


@pytest.mark.parametrize(
    ("name", "codec", "lost"),
    [
        ("o.mp4", None, []),
        ("o.mkv", "ffv1", []),
        ("o.mov", None, []),
        ("o.png", None, []),
        ("o.ts", "h264", []),
        ("o.webm", None, [BANDS]),
        ("o.mkv", "mpeg4", [BANDS]),
        ("o.jpg", None, [BANDS, f"'.jpg' {DULL}"]),
        ("o-%02d.webp", None, [BANDS, f"'.webp' {DULL}"]),
        ("o.tiff", None, [f"'.tiff' {DULL}"]),
        ("o.gif", None, [BANDS, f"GIF {DULL}"]),
        ("o.avi", "ffv1", [f"avi {DULL}"]),
        ("o.y4m", None, [f"yuv4mpegpipe {DULL}"]),
    ],
)
def test_what_high_dynamic_range_loses_is_said(
    tmp_path: Path, name: str, codec: str | None, lost: list[str]
) -> None:
    """A note for 8 bits, one for files that lose the transfer, none for others: those have it when read."""
    frames = made_frames([0], pixel_format="yuv420p10le")
    frames[0].picture.color_trc, frames[0].picture.color_primaries, frames[0].picture.colorspace = 16, 9, 9
    sink = write_frames(tmp_path / name, frames, encoding=Encoding(codec=codec))
    assert [note for note in sink.notes if "PQ" in note] == lost
    (path,) = tmp_path.iterdir()
    assert (first(path).color_trc == 16) == (DULL not in " ".join(lost))
    frames[0].picture.color_trc = 1
    again = write_frames(tmp_path / name, frames, encoding=Encoding(codec=codec), overwrite=True)
    assert not [note for note in again.notes if "dull" in note or "bands" in note]
