"""Pictures and GIFs: values kept where the file can, names kept, nothing replaced by surprise."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamseg.errors import SinkError, UsageError
from streamseg.frame import Frame, Tracks, VideoFormat
from streamseg.sinks import Sink, open_sink
from streamseg.sinks.images import encode_picture, snapshot
from tests.clips import TICKS, frame_times, gradient, picture, read_frames
from tests.sinking import made_frames, write_frames

EXACT = ["gray", "gray16le", "rgb24", "bgr24", "gbrp", "rgba", "gbrap", "ya8", "bgra", "bgr0"]


def stored(content: bytes, folder: Path, extension: str = ".png") -> av.VideoFrame:
    """What plain PyAV reads from the content of a picture file."""
    path = folder / f"stored{extension}"
    path.write_bytes(content)
    return read_frames(path)[0]


def named(name: str | None, size: tuple[int, int] = (32, 24)) -> Frame:
    """A frame of a still."""
    frame = made_frames([0], size=size)[0]
    frame.name = name
    return frame


def fed(uri: Path | str, frames: list[Frame], **options: object) -> Sink:
    """A sink that got all frames, closed."""
    sink = open_sink(str(uri), **options)  # type: ignore[arg-type]
    sink.start(VideoFormat(32, 24, TICKS), frames[0], Tracks())
    for frame in frames:
        sink.write(frame)
    sink.close()
    return sink


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    width=st.integers(1, 70),
    height=st.integers(1, 70),
    pixel_format=st.sampled_from(EXACT),
    extension=st.sampled_from([".png", ".tiff", ".bmp"]),
)
def test_grey_rgb_and_alpha_are_kept_to_the_bit(
    tmp_path_factory: pytest.TempPathFactory, width: int, height: int, pixel_format: str, extension: str
) -> None:
    """PNG and TIFF of any size hold the very values; BMP does where it has such pixels."""
    before = picture(width, height, 1, pixel_format)
    after = stored(encode_picture(before, extension), tmp_path_factory.mktemp("exact"), extension)
    deep = pixel_format == "gray16le" and extension != ".bmp"
    name = "rgba64le" if deep else "rgba"
    if pixel_format == "gray16le" and not deep:
        return
    assert np.array_equal(after.to_ndarray(format=name), before.to_ndarray(format=name))


@pytest.mark.parametrize(
    ("pixel_format", "stored_as"),
    [
        ("gray10le", "gray16be"),
        ("gbrp12le", "rgb48be"),
        ("yuv420p10le", "rgb48be"),
        ("yuva444p10le", "rgba64be"),
        ("gray", "gray"),
        ("yuv420p", "rgb24"),
        ("yuva420p", "rgba"),
    ],
)
def test_depth_and_alpha_choose_the_kind_of_png(tmp_path: Path, pixel_format: str, stored_as: str) -> None:
    """More than 8 bits become a 16-bit PNG, transparency an RGBA one, grey stays grey."""
    assert stored(encode_picture(picture(33, 21, 0, pixel_format), ".png"), tmp_path).format.name == stored_as


def test_a_label_map_is_a_palette_png_whose_indices_are_the_ids(tmp_path: Path) -> None:
    """Whoever opens the file without its palette finds the class ids, pixel for pixel."""
    ids = (np.arange(21 * 33) % 21).astype(np.uint8).reshape(21, 33)
    colours = np.stack([np.full(256, 255), *[np.arange(256) * k % 256 for k in (3, 5, 7)]], axis=-1).astype(
        np.uint8
    )
    content = encode_picture(av.VideoFrame.from_ndarray((ids, colours), format="pal8"), ".png")
    after = stored(content, tmp_path)
    assert after.format.name == "pal8"
    indices, palette = after.to_ndarray()
    assert np.array_equal(indices, ids)
    assert np.array_equal(palette[:21], colours[:21])


@pytest.mark.parametrize(
    ("matrix", "full", "red"),
    [
        (1, False, (63, 102, 240)),
        (5, False, (81, 90, 240)),
        (9, False, (74, 97, 240)),
        (1, True, (54, 99, 255)),
        (2, False, (81, 90, 240)),
    ],
)
@pytest.mark.parametrize("extension", [".png", ".jpg", ".webp"])
def test_red_is_red_whatever_matrix_and_range(
    tmp_path: Path, extension: str, matrix: int, full: bool, red: tuple[int, int, int]
) -> None:
    """YUV of BT.709, 601 and 2020, limited and full, becomes the same red, as other programs see it."""
    frame = av.VideoFrame(32, 32, "yuv420p")
    for plane, code in zip(frame.planes, red, strict=True):
        plane.update(bytes([code]) * plane.buffer_size)
    frame.colorspace, frame.color_range = matrix, 2 if full else 1
    path = tmp_path / f"red{extension}"
    path.write_bytes(encode_picture(frame, extension))
    blue, green, found = cv2.imread(str(path))[16, 16].astype(int)
    assert found >= 250 and green <= 6 and blue <= 6


def test_alpha_survives_in_webp_and_bmp_is_refused_nothing(tmp_path: Path) -> None:
    """WebP keeps transparency; JPEG cannot, and says what can."""
    clear = picture(32, 24, 0, "rgba").to_ndarray()
    clear[:, :16, 3] = 0
    frame = av.VideoFrame.from_ndarray(clear, format="rgba")
    (tmp_path / "a.webp").write_bytes(encode_picture(frame, ".webp"))
    alpha = cv2.imread(str(tmp_path / "a.webp"), cv2.IMREAD_UNCHANGED)[..., 3]
    assert np.array_equal(alpha, clear[..., 3])
    with pytest.raises(UsageError, match=r"'.jpg' cannot hold transparency; use .png"):
        encode_picture(frame, ".jpg")


@pytest.mark.parametrize("extension", [".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".TIFF"])
def test_one_picture_in_one_file(tmp_path: Path, extension: str) -> None:
    """The extension says the kind; other programs read it back as the same picture."""
    path = tmp_path / f"out{extension}"
    frame = Frame(picture(160, 120), 0.0)
    frame.picture.pts, frame.picture.time_base = 0, TICKS
    write_frames(path, [frame])
    read = cv2.imread(str(path))
    assert np.abs(read[..., ::-1].astype(int) - gradient(160, 120, 0)).mean() < 6


def test_more_than_one_picture_needs_a_number(tmp_path: Path) -> None:
    """A video into `out.png` is refused with the pattern that works; nothing is written."""
    with pytest.raises(UsageError, match=r"number them: .*out-%05d.png"):
        open_sink(str(tmp_path / "out.png"), expected_frames=2)
    with pytest.raises(SinkError, match=r"number them: .*out-%05d.png"):
        fed(tmp_path / "out.png", made_frames([0, 3000], size=(32, 24)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("uri", ["out.png", "%05d.png", "there/", "new"])
def test_a_picture_that_cannot_be_kept_concerns_its_own_sink_only(tmp_path: Path, uri: str) -> None:
    """What goes wrong after the first frame is a SinkError, with which a run goes on for its other sinks."""
    frames = [named("a.jpg"), named("a.jpg")]
    sink = open_sink(f"{tmp_path}/{uri}", inputs=[str(tmp_path / "in" / "a.jpg")])
    sink.start(VideoFormat(32, 24, TICKS), frames[0], Tracks())
    sink.write(frames[0])
    if uri == "%05d.png":
        (tmp_path / "00002.png").write_bytes(b"new")
    with pytest.raises(SinkError):
        sink.write(frames[1])


def test_labels_are_refused_where_they_would_blur(tmp_path: Path) -> None:
    """Class ids in a JPEG or WebP would be other classes: refused before anything is written."""
    ids = np.zeros((24, 32), np.uint8)
    shown = av.VideoFrame.from_ndarray((ids, np.zeros((256, 4), np.uint8)), format="pal8")
    shown.pts, shown.time_base = 0, TICKS
    for name in ("out.jpg", "out.webp", "%05d.jpg"):
        with pytest.raises(UsageError, match=r"would blur class ids; use \.png"):
            open_sink(str(tmp_path / name)).start(VideoFormat(32, 24, TICKS), Frame(shown, 0.0), Tracks())
    assert list(tmp_path.iterdir()) == []


def test_a_sequence_counts_from_one(tmp_path: Path) -> None:
    """`%05d` begins at 00001, in a folder that is made if missing."""
    fed(tmp_path / "new" / "f%05d_100%.png", made_frames([0, 3000, 6000], size=(32, 24)))
    assert sorted(each.name for each in (tmp_path / "new").iterdir()) == [
        f"f0000{n}_100%.png" for n in (1, 2, 3)
    ]
    fed(tmp_path / "%d.png", made_frames([0], size=(32, 24)))
    assert (tmp_path / "1.png").exists()


def test_a_sequence_does_not_mix_with_an_older_one(tmp_path: Path) -> None:
    """Any picture of the same pattern is refused without -y."""
    (tmp_path / "00042.png").write_bytes(b"")
    with pytest.raises(UsageError, match=r"00042.png' exists; pass -y"):
        open_sink(str(tmp_path / "%05d.png"))
    fed(tmp_path / "%05d.png", made_frames([0], size=(32, 24)), overwrite=True)
    with pytest.raises(UsageError, match="same file as input"):
        open_sink(str(tmp_path / "%05d.png"), overwrite=True, inputs=[str(tmp_path / "00042.png")])


@pytest.mark.parametrize("uri", ["masks/", "masks", "there"])
def test_a_folder_keeps_names_and_subfolders(tmp_path: Path, uri: str) -> None:
    """`photos/a/b.jpg` becomes `masks/a/b.png`; a frame without a name gets its number."""
    (tmp_path / "there").mkdir()
    frames = [named("c.jpg"), named("a/b.jpeg", (64, 48)), named(None)]
    fed(f"{tmp_path}/{uri}", frames)
    folder = tmp_path / uri
    assert sorted(str(each.relative_to(folder)) for each in folder.rglob("*.png")) == [
        "00003.png",
        "a/b.png",
        "c.png",
    ]
    assert read_frames(folder / "a" / "b.png")[0].width == 64


def test_pictures_that_differ_by_extension_only_keep_it(tmp_path: Path) -> None:
    """a.jpg and A.png would both become a.png: both keep their extension, a line says so, others lose it."""
    names = ["sub/a.jpg", "sub/A.png", "a.jpg", "b.jpg", "b.webp", "b.jpg.gif"]
    inputs = [str(tmp_path / "in" / name) for name in names]
    sink = fed(tmp_path / "out", [named(name) for name in names], inputs=inputs)
    written = {each.relative_to(tmp_path / "out").as_posix() for each in (tmp_path / "out").rglob("*.png")}
    clashing = {"sub/a.jpg.png", "sub/A.png.png", "b.jpg.png", "b.webp.png", "b.jpg.gif.png"}
    assert written == {"a.png", *clashing}
    assert sink.notes == ["5 pictures differ by their extension only, so it is kept: 'sub/a.jpg.png'"]


def test_two_pictures_of_one_name_are_refused_at_once(tmp_path: Path) -> None:
    """a.jpg and A.jpg are the same file where case means nothing: refused before anything is written."""
    inputs = [str(tmp_path / "in" / "sub" / name) for name in ("a.jpg", "A.jpg", "b.jpg")]
    with pytest.raises(UsageError, match=r"'sub/a.jpg' and 'sub/A.jpg' would both become 'sub/a.jpg.png'"):
        fed(tmp_path / "out", [named("sub/a.jpg")], inputs=[*inputs, str(tmp_path / "in/b.jpg")])
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_checked_before_the_first_picture(tmp_path: Path) -> None:
    """When the last of three pictures exists, or is an input, the first is not written either."""
    inputs = [str(tmp_path / name) for name in ("a.jpg", "b.jpg", "c.png", "d.png")]
    for name in inputs:
        Path(name).write_bytes(b"old")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UsageError, match=r"c.png' is the same file as input"):
        fed(tmp_path, [named("a.jpg")], inputs=inputs, overwrite=True)
    assert sorted(tmp_path.iterdir()) == before
    masks = tmp_path / "masks"
    masks.mkdir()
    for name in ("c.png", "d.png"):
        (masks / name).write_bytes(b"old")
    with pytest.raises(UsageError, match=r"c.png' and 1 more exist; pass -y to overwrite them"):
        fed(masks, [named("a.jpg")], inputs=inputs)
    assert len(list(masks.iterdir())) == 2


def test_a_forgotten_extension_is_no_folder_for_a_video(tmp_path: Path) -> None:
    """Frames without names into `clip` are refused with both names that work; nothing is created."""
    with pytest.raises(UsageError, match=r"clip.mp4', or a folder for its pictures, '.*clip/'"):
        fed(tmp_path / "clip", made_frames([0], size=(32, 24)))
    assert list(tmp_path.iterdir()) == []
    fed(f"{tmp_path}/clip/", made_frames([0], size=(32, 24)))
    assert [each.name for each in (tmp_path / "clip").iterdir()] == ["00001.png"]


def test_names_never_lead_out_of_the_folder(tmp_path: Path) -> None:
    """A name with dots or a root in it stays inside."""
    fed(tmp_path / "out", [named("../../evil.jpg"), named("/etc/evil2.jpg")])
    assert sorted(str(each.relative_to(tmp_path)) for each in tmp_path.rglob("*.png")) == [
        "out/etc/evil2.png",
        "out/evil.png",
    ]


def test_a_folder_overwrites_only_what_it_may(tmp_path: Path) -> None:
    """An older picture needs -y, an input of this run is never replaced."""
    old = tmp_path / "a.png"
    old.write_bytes(b"old")
    with pytest.raises(UsageError, match="pass -y"):
        fed(tmp_path, [named("a.jpg")])
    with pytest.raises(UsageError, match="same file as input"):
        fed(tmp_path, [named("a.png")], overwrite=True, inputs=[str(old)])
    fed(tmp_path, [named("a.jpg")], overwrite=True)
    assert read_frames(old)[0].width == 32


def test_pictures_keep_the_shape_of_their_pixels(tmp_path: Path) -> None:
    """The sample aspect ratio is in the PNG."""
    write_frames(tmp_path / "out.png", made_frames([0]), aspect=Fraction(4, 3))
    with av.open(str(tmp_path / "out.png")) as container:
        assert next(container.decode(video=0)) and container.streams.video[0].sample_aspect_ratio == Fraction(
            4, 3
        )


def test_a_picture_too_large_for_its_kind_is_one_line(tmp_path: Path) -> None:
    """WebP ends at 16383 pixels: refused by name and size, nothing written."""
    wide = Frame(av.VideoFrame(17_000, 2, "yuv420p"), 0.0)
    wide.picture.pts, wide.picture.time_base = 0, TICKS
    with pytest.raises(SinkError, match=r"cannot store a picture of 17000x2 as '.webp'"):
        fed(tmp_path / "out.webp", [wide])


def test_snapshots_are_numbered(tmp_path: Path) -> None:
    """Each one gets the next unused number and holds the frame."""
    paths = [snapshot(made_frames([0])[0], tmp_path) for _ in range(2)]
    assert [path.name for path in paths] == ["streamseg-0001.png", "streamseg-0002.png"]
    assert read_frames(paths[1])[0].width == 64


def test_a_gif_moves_at_its_own_times_for_ever(tmp_path: Path) -> None:
    """Times are kept to 1/100 s, each frame has colours of its own, and it loops."""
    path = tmp_path / "out.gif"
    frames = made_frames([0, 7, 30, 31], time_base=Fraction(1, 100), duration=10)
    sink = write_frames(path, frames)
    assert frame_times(path) == [Fraction(n, 100) for n in (0, 7, 30, 31)]
    assert sink.pts_exact
    for frame, stored_frame in zip(frames, read_frames(path), strict=True):
        distance = stored_frame.to_ndarray(format="rgb24").astype(int) - frame.picture.to_ndarray(
            format="rgb24"
        )
        assert np.abs(distance).mean() < 8
    assert b"NETSCAPE2.0\x03\x01\x00\x00" in path.read_bytes()


def test_a_gif_can_be_transparent(tmp_path: Path) -> None:
    """Where alpha is below one half the GIF is transparent, elsewhere opaque."""
    pixels = picture(64, 48, 0, "rgba").to_ndarray()
    pixels[:, :32, 3] = 0
    frame = Frame(av.VideoFrame.from_ndarray(pixels, format="rgba"), 0.0)
    frame.picture.pts, frame.picture.time_base = 0, TICKS
    write_frames(tmp_path / "out.gif", [frame])
    alpha = read_frames(tmp_path / "out.gif")[0].to_ndarray(format="rgba")[..., 3]
    assert np.array_equal(alpha, pixels[..., 3])


def test_a_gif_of_labels_keeps_their_colours(tmp_path: Path) -> None:
    """A palette picture needs no new palette: its colours come out to the byte."""
    ids = (np.arange(24 * 32) % 7).astype(np.uint8).reshape(24, 32)
    colours = np.stack([np.full(256, 255), *[np.arange(256) * k % 256 for k in (3, 5, 7)]], axis=-1).astype(
        np.uint8
    )
    shown = av.VideoFrame.from_ndarray((ids, colours), format="pal8")
    shown.pts, shown.time_base = 0, TICKS
    write_frames(tmp_path / "out.gif", [Frame(shown, 0.0)])
    assert np.array_equal(
        read_frames(tmp_path / "out.gif")[0].to_ndarray(format="rgb24"), colours[ids][..., 1:]
    )
