"""Transparency, label maps, pixel aspect and frames of another size: what each container makes of them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from streamseg.effects import effect
from streamseg.errors import SinkError, UsageError
from streamseg.frame import Frame
from streamseg.pictures import alpha_of as transparency
from streamseg.pictures import rows, shape
from streamseg.sinks import Encoding
from streamseg.sinks.pixels import Conversion
from tests.clips import make_clip, read_frames
from tests.runs import run_uris
from tests.sinking import made_frames, write_frames


def first(path: Path) -> av.VideoFrame:
    """The first frame of a clip."""
    return read_frames(path)[0]


@pytest.mark.parametrize(("extension", "stored"), [("mov", "yuva444p12le"), ("mkv", "bgra"), ("nut", "bgra")])
def test_transparency_is_kept_by_containers_that_can(tmp_path: Path, extension: str, stored: str) -> None:
    """ProRes 4444 in .mov (its decoder says 12 bits) and FFV1 in .mkv: the alpha plane comes out."""
    path = tmp_path / f"out.{extension}"
    write_frames(path, cut_out("rgba"))
    assert first(path).format.name == stored
    assert np.abs(alpha_of(first(path)) - half_transparent()).max() <= 2


@pytest.mark.parametrize("name", ["out.mov", "out.mkv", "out.png", "out.tiff"])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p10le", "bgr0", "gbrp10le", "gray"])
def test_a_figure_cut_out_is_wholly_opaque(tmp_path: Path, pixel_format: str, name: str) -> None:
    """Whatever the depths of clip and file: in the middle of the figure alpha is the largest code there is,
    outside it is 0."""
    clip, target = tmp_path / "clip.mkv", tmp_path / name
    make_clip(clip, frames=1, codec="ffv1", pixel_format=pixel_format)
    run_uris(str(clip), str(target), effect=effect("cutout"))
    stored = first(target)
    alpha = transparency(stored)
    assert np.unique(alpha[50:70, 70:90]).tolist() == [shape(stored.format.name).largest]
    assert np.unique(alpha[:10]).tolist() == [0]


@pytest.mark.parametrize("before", ["yuva420p", "yuva444p10le", "gbrap", "gbrap10le", "rgba", "ya8"])
@pytest.mark.parametrize("after", ["yuva444p10le", "rgba", "argb", "rgba64be", "ya16be", "yuva420p"])
def test_every_opacity_survives_a_change_of_format(before: str, after: str) -> None:
    """From 0 to the largest code, alpha is scaled to the other format's codes, to the nearest."""
    picture = av.VideoFrame(128, 16, before)
    largest = shape(before).largest
    codes = np.arange(128 * 16).reshape(16, 128) % (largest + 1)
    codes[0, -1] = largest
    transparency(picture)[:] = codes
    made = transparency(Conversion(picture, after, "ffv1")(picture)).astype(int)
    assert np.abs(made - codes * (shape(after).largest / largest)).max() <= 0.5


def test_transparency_in_webm_is_there_for_who_reads_it(tmp_path: Path) -> None:
    """VP9 with its alpha layer, as libvpx's decoder (and a browser) sees it."""
    path = tmp_path / "out.webm"
    write_frames(path, cut_out("yuva420p"))
    decoder = av.CodecContext.create("libvpx-vp9", "r")
    with av.open(str(path)) as container:
        packet = next(container.demux(video=0))
        decoded = decoder.decode(packet)[0]
    assert decoded.format.name == "yuva420p"
    assert np.abs(alpha_of(decoded) - half_transparent()).mean() <= 4


@pytest.mark.parametrize("name", ["out.mp4", "out.avi", "out.ts", "out.y4m", "out.flv"])
def test_transparency_that_would_be_lost_is_refused(tmp_path: Path, name: str) -> None:
    """One line says where transparency can go, and nothing is written."""
    with pytest.raises(UsageError, match=r"cannot hold transparency; use .*\.mov"):
        write_frames(tmp_path / name, cut_out("yuva420p"))
    assert list(tmp_path.iterdir()) == []


def test_a_codec_without_alpha_is_named(tmp_path: Path) -> None:
    """Asking for H.264 and transparency in .mov says which codecs can."""
    with pytest.raises(UsageError, match="codec 'libx264' cannot hold transparency; use prores"):
        write_frames(tmp_path / "out.mov", cut_out("rgba"), encoding=Encoding(codec="h264"))


@pytest.mark.parametrize(
    ("extension", "encoding"),
    [
        *((each, Encoding()) for each in ("mkv", "mov", "mp4", "webm", "nut", "ts", "avi", "flv")),
        *(("mp4", Encoding(codec=each)) for each in ("h264", "libx264", "libx264rgb", "hevc", "vp9")),
        ("mkv", Encoding(codec="vp9")),
        ("mov", Encoding(codec="qtrle")),
        ("avi", Encoding(codec="png")),
        ("mp4", Encoding(preset="ultrafast")),
        ("mp4", Encoding(codec="hevc", preset="ultrafast")),
    ],
    ids=str,
)
def test_label_maps_are_stored_without_loss(tmp_path: Path, extension: str, encoding: Encoding) -> None:
    """Every container and codec that can keeps the colours of a palette picture to the byte, odd size
    included."""
    path = tmp_path / f"out.{extension}"
    frames, colours, ids = label_frames()
    write_frames(path, frames, rate=Fraction(10), encoding=encoding)
    for index, stored in enumerate(read_frames(path)):
        assert np.array_equal(stored.to_ndarray(format="rgb24"), colours[(ids + index) % 21][..., 1:])


@pytest.mark.parametrize(
    ("name", "encoding", "message"),
    [
        ("out.mov", Encoding(codec="prores"), "codec 'prores' would blur class ids; leave it out"),
        ("out.mp4", Encoding(codec="mpeg4"), "codec 'mpeg4' would blur class ids"),
        ("out.mkv", Encoding(codec="av1"), "codec 'av1' would blur class ids"),
        ("out.mp4", Encoding(crf=30), "crf 30 would do nothing to label video, which is lossless"),
        ("out.mov", Encoding(crf=30), "crf 30 would do nothing"),
        ("out.mp4", Encoding(bitrate=100_000), "bitrate 100000 would do nothing"),
        ("out.mkv", Encoding(preset="slow"), "encoder 'ffv1' has no presets"),
    ],
)
def test_options_that_mean_nothing_to_label_maps_are_refused(
    tmp_path: Path, name: str, encoding: Encoding, message: str
) -> None:
    """Whoever asks for loss is told, and nothing is written."""
    with pytest.raises(UsageError, match=message):
        write_frames(tmp_path / name, label_frames()[0], encoding=encoding)
    assert list(tmp_path.iterdir()) == []


def label_frames() -> tuple[list[Frame], np.ndarray, np.ndarray]:
    """Three palette pictures of 21 classes; their palette, (256, 4) ARGB; the first one's ids, the others'
    are one and two more."""
    ids = (np.arange(45 * 67) % 21).astype(np.uint8).reshape(45, 67)
    colours = np.stack([np.full(256, 255), *(np.arange(256) * k % 256 for k in (3, 5, 7))], axis=-1).astype(
        np.uint8
    )
    frames = []
    for index in range(3):
        picture = av.VideoFrame.from_ndarray(((ids + index) % 21, colours), format="pal8")
        picture.pts, picture.time_base, picture.duration = index, Fraction(1, 10), 1
        frames.append(Frame(picture, 0.0))
    return frames, colours, ids


@pytest.mark.parametrize(
    ("extension", "codec"),
    [
        ("mp4", None),
        ("mov", "prores"),
        ("mkv", None),
        ("mkv", "ffv1"),
        ("webm", None),
        ("ts", None),
        ("avi", None),
    ],
)
def test_the_display_size_is_right(tmp_path: Path, extension: str, codec: str | None) -> None:
    """Pixels 4/3 as wide as high: the file either says so or has square pixels and the wider picture."""
    path = tmp_path / f"out.{extension}"
    frames = made_frames(range(0, 60_000, 3000), size=(48, 48))
    write_frames(path, frames, encoding=Encoding(codec=codec), aspect=Fraction(4, 3))
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        aspect = Fraction(stream.sample_aspect_ratio or 1)
        assert (stream.width * aspect, stream.height) == (64, 48)


@pytest.mark.parametrize(
    ("size", "box"), [((64, 24), (64, 24)), ((20, 48), (20, 48)), ((640, 480), (64, 48))]
)
def test_frames_of_another_size_are_fitted_into_the_first(
    tmp_path: Path, size: tuple[int, int], box: tuple[int, int]
) -> None:
    """A later frame of another shape is scaled, keeps its proportions and is framed in black; times stay."""
    path = tmp_path / "out.mkv"
    white = made_frames([3000], size=size)[0]
    for plane, code in zip(white.picture.planes, (235, 128, 128), strict=True):
        plane.update(bytes([code]) * plane.buffer_size)
    sink = write_frames(path, [*made_frames([0]), white], encoding=Encoding(codec="ffv1"))
    stored = read_frames(path)[1]
    luma = rows(stored.planes[0])[:, :64]
    lit = luma > 125
    assert (lit.any(axis=0).sum(), lit.any(axis=1).sum()) == box
    assert sink.pts_exact == (stored.pts * stored.time_base == Fraction(3000, 90_000))


def test_an_encoder_that_refuses_is_named(tmp_path: Path) -> None:
    """A size the encoder cannot do is one line with the encoder, the size and a way out; nothing is left."""
    with pytest.raises(SinkError, match=r"encoder 'libx265' refuses 2x64 yuv420p; try another codec"):
        write_frames(tmp_path / "out.mp4", made_frames([0], size=(2, 64)), encoding=Encoding(codec="hevc"))
    assert list(tmp_path.iterdir()) == []


def half_transparent() -> np.ndarray:
    """(48, 64) alpha: left half clear, right half opaque."""
    alpha = np.zeros((48, 64), int)
    alpha[:, 32:] = 255
    return alpha


def alpha_of(picture: av.VideoFrame) -> np.ndarray:
    """(48, 64) alpha of a picture, as 8 bits."""
    if picture.format.name == "yuva444p12le":
        return rows(picture.planes[3]).view(np.uint16)[:48, :64].astype(int) * 255 // 4095
    if picture.format.name == "yuva420p":
        return rows(picture.planes[3])[:48, :64].astype(int)
    return picture.to_ndarray(format="rgba")[..., 3].astype(int)


def cut_out(pixel_format: str) -> list[Frame]:
    """Two frames, the left half transparent."""
    frames = made_frames([0, 3000], pixel_format="rgba")
    for frame in frames:
        pixels = frame.picture.to_ndarray()
        pixels[..., 3] = half_transparent()
        picture = av.VideoFrame.from_ndarray(pixels, format="rgba").reformat(format=pixel_format)
        frame.native = frame.with_picture(picture).native
    return frames


def test_pictures_too_low_for_x265_are_refused(tmp_path: Path) -> None:
    """The encoder, which would bring the process down, is not opened; the line says what it needs."""
    with pytest.raises(SinkError, match="'libx265' needs 32 lines and more, these pictures have 24"):
        write_frames(tmp_path / "o.mp4", made_frames([0], size=(36, 24)), encoding=Encoding(codec="hevc"))
    write_frames(tmp_path / "o.mp4", made_frames([0], size=(36, 32)), encoding=Encoding(codec="hevc"))
