"""Stills: order, names, orientation, native formats, and those that cannot be read."""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamseg.errors import SourceError
from streamseg.sources import open_source
from streamseg.sources.exif import orientation
from streamseg.sources.images import read_picture
from tests.clips import gradient, make_clip


def write(path: Path, size: tuple[int, int] = (24, 16), index: int = 0) -> None:
    """Write a gradient as a picture of any kind OpenCV knows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lossy = [cv2.IMWRITE_WEBP_QUALITY, 90] if path.suffix == ".webp" else []
    cv2.imwrite(str(path), gradient(*size, index)[:, :, ::-1], lossy)


def test_folder_is_read_in_natural_order(tmp_path: Path) -> None:
    """img2 comes before img10, subfolders are read too, hidden and foreign files are not."""
    for name in ("img10.png", "img2.png", "IMG1.PNG", "sub/a.png", ".hidden.png", ".git/x.png"):
        write(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    with open_source(str(tmp_path)) as source:
        names = [frame.name for frame in source]
        assert source.stills and not source.live
        assert source.expected_frames == 4
        assert source.paths == tuple(str(tmp_path / name) for name in names if name)
    assert names == ["IMG1.PNG", "img2.png", "img10.png", "sub/a.png"]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*.png", ["a1.png", "a2.png"]),
        ("**/*.png", ["a1.png", "a2.png", "sub/b.png"]),
        ("a%d.png", ["a1.png", "a2.png"]),
        ("sub/*", ["b.png"]),
        ("?1.png", ["a1.png"]),
    ],
)
def test_patterns(tmp_path: Path, pattern: str, names: list[str]) -> None:
    """A glob or a numbered sequence stands for its pictures, named relative to the folder they share."""
    for name in ("a1.png", "a2.png", "sub/b.png"):
        write(tmp_path / name)
    with open_source(str(tmp_path / pattern)) as source:
        assert [frame.name for frame in source] == names


def test_stills_become_a_video(tmp_path: Path) -> None:
    """Frames of a folder follow one another at 25 a second, or as asked, for as long as asked."""
    for number in range(10):
        write(tmp_path / f"{number}.png")
    with open_source(str(tmp_path)) as source:
        assert [frame.time for frame in source][:3] == [0, Fraction(1, 25), Fraction(2, 25)]
    with open_source(str(tmp_path), fps=29.97, duration=0.1) as source:
        assert source.video.rate == Fraction(30000, 1001)
        assert [frame.time for frame in source] == [0, Fraction(1001, 30000), Fraction(1001, 15000)]


def test_live_stills_are_paced(tmp_path: Path) -> None:
    """Pictures shown as if they were live come at their rate."""
    for number in range(3):
        write(tmp_path / f"{number}.png")
    with open_source(str(tmp_path), fps=100, live=True) as source:
        captured = [frame.captured for frame in source]
    assert captured[2] - captured[0] > 0.0199


@pytest.mark.parametrize(
    ("name", "pixel_format"),
    [
        ("a.png", "rgb24"),
        ("a.bmp", "bgr24"),
        ("a.ppm", "rgb24"),
        ("a.tif", "rgb24"),
        ("a.webp", "yuv420p"),
        ("a.jpg", "yuvj420p"),
    ],
)
def test_formats_stay_native(tmp_path: Path, name: str, pixel_format: str) -> None:
    """A picture keeps the pixel format of its file; its colours are those OpenCV reads."""
    write(tmp_path / name, (240, 160))
    with open_source(str(tmp_path / name)) as source:
        frame = next(iter(source))
    assert frame.picture.format.name == pixel_format
    difference = frame.picture.to_ndarray(format="bgr24").astype(int) - cv2.imread(str(tmp_path / name))
    assert np.abs(difference).mean() < 3


@pytest.mark.parametrize(
    ("shape", "depth", "expected"), [((), np.uint16, "gray16be"), ((4,), np.uint8, "rgba")]
)
def test_depth_and_alpha_stay(tmp_path: Path, shape: tuple[int, ...], depth: type, expected: str) -> None:
    """16-bit grey stays 16 bits deep, and an alpha channel stays."""
    pixels = np.random.default_rng(0).integers(0, np.iinfo(depth).max, (16, 24, *shape), depth)
    cv2.imwrite(str(tmp_path / "a.png"), pixels)
    picture, whole = read_picture(tmp_path / "a.png")
    assert whole
    assert picture.format.name == expected
    native = picture.to_ndarray()
    assert np.array_equal(native[..., [2, 1, 0, 3]] if shape else native.astype(depth), pixels)


_UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: lambda a: np.rot90(a),
}


def _exif(value: int, order: str = "<") -> bytes:
    start = b"II*\0" if order == "<" else b"MM\0*"
    entries = struct.pack(order + "HHIHH", 0x010F, 3, 1, 7, 0) + struct.pack(
        order + "HHIHH", 0x0112, 3, 1, value, 0
    )
    return start + struct.pack(order + "IH", 8, 2) + entries + b"\0\0\0\0"


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_exif_orientation_is_applied(tmp_path: Path, value: int, suffix: str) -> None:
    """Each of the eight EXIF orientations comes out upright, and nothing of it is left in the frame."""
    path = tmp_path / f"a{suffix}"
    write(path, (48, 32))
    plain = read_picture(path)[0].to_ndarray(format="rgb24")
    content = path.read_bytes()
    if suffix == ".jpg":
        body = b"Exif\0\0" + _exif(value, ">")
        content = content[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + content[2:]
    else:
        chunk = b"eXIf" + _exif(value)
        checksum = struct.pack(">I", __import__("zlib").crc32(chunk))
        content = content[:33] + struct.pack(">I", len(chunk) - 4) + chunk + checksum + content[33:]
    path.write_bytes(content)
    picture, _ = read_picture(path)
    expected = _UPRIGHT[value](plain)
    assert picture.rotation == 0
    assert np.abs(picture.to_ndarray(format="rgb24").astype(int) - expected).mean() < 1.5


@given(st.binary(max_size=80), st.sampled_from([b"Exif\0\0", b"eXIf", b"EXIF", b"II*\0", b"MM\0*", b""]))
@settings(max_examples=60, derandomize=True)
def test_nonsense_has_no_orientation(noise: bytes, mark: bytes) -> None:
    """Whatever bytes follow an EXIF mark, the answer is an orientation and never an exception."""
    assert orientation(mark + noise) in range(1, 9)
    assert orientation(mark + b"II*\0\x08\0\0\0" + noise) in range(1, 9)


def test_unreadable_pictures_are_skipped(tmp_path: Path) -> None:
    """What is no picture in a folder is skipped and named; the rest keeps an unbroken time."""
    write(tmp_path / "1.png")
    (tmp_path / "2.png").write_bytes(b"")
    (tmp_path / "3.jpg").write_text("not a picture")
    make_clip(tmp_path / "clip.mp4", frames=1)
    (tmp_path / "clip.mp4").rename(tmp_path / "4.jpg")
    write(tmp_path / "5.png")
    with open_source(str(tmp_path)) as source:
        assert [(frame.name, frame.picture.pts) for frame in source] == [("1.png", 0), ("5.png", 1)]
        warnings = source.warnings
    assert len(warnings) == 3
    assert "skipped '2.png': cannot read '2.png': the file is empty" in warnings[0]
    assert "the file is text" in warnings[1]
    assert "it holds QuickTime / MOV; rename it" in warnings[2]


@pytest.fixture
def readable() -> Iterator[Path]:
    """A folder of an ordinary user's, who is who runs the test: root may read anything."""
    before = os.geteuid()
    with TemporaryDirectory() as name:  # in tmp_path only its owner may look
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
        os.seteuid(before)


def as_ordinary_user() -> None:
    """From here on permissions count."""
    if os.geteuid() == 0:
        os.seteuid(65534)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
def test_what_cannot_be_reached_is_skipped_and_told(readable: Path) -> None:
    """A subfolder without permission and a link to nothing get a line each; the rest is read."""
    for name in ("a.png", "private/b.png", "listed/c.png", "z.png"):
        write(readable / name)
    (readable / "y.png").symlink_to("gone.png")
    (readable / "notes").symlink_to("gone.txt")
    (readable / "private").chmod(0)
    (readable / "listed").chmod(0o444)
    as_ordinary_user()
    with open_source(str(readable)) as source:
        assert [frame.name for frame in source] == ["a.png", "z.png"]
        assert source.expected_frames == 2
        assert sorted(source.warnings) == [
            "skipped 'listed/c.png': permission denied",
            "skipped 'y.png': it is a link to 'gone.png', which does not exist",
            "skipped folder 'private': permission denied",
        ]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
def test_a_folder_that_cannot_be_read_is_not_called_empty(readable: Path) -> None:
    """Where all pictures are out of reach the error says so."""
    write(readable / "sub" / "a.png")
    (readable / "sub").chmod(0)
    as_ordinary_user()
    with pytest.raises(SourceError, match=r"no files at all; skipped folder 'sub': permission denied$"):
        open_source(str(readable))


def test_wrong_extension_does_not_matter(tmp_path: Path) -> None:
    """A picture is known by its content: a PNG called .jpg is read."""
    write(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "50%d off?.jpg")
    with open_source(str(tmp_path / "50%d off?.jpg")) as source:
        assert next(iter(source)).picture.format.name == "rgb24"


def test_cut_jpeg_is_shown_and_named(tmp_path: Path) -> None:
    """A JPEG that was cut short is shown as far as it goes, with a warning."""
    write(tmp_path / "a.jpg", (320, 240))
    content = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(content[: len(content) * 2 // 3])
    with open_source(str(tmp_path / "a.jpg")) as source:
        assert len(list(source)) == 1
        assert source.warnings == ["'a.jpg' was cut short: part of the picture is missing"]


def test_animated_gif_is_a_video(tmp_path: Path) -> None:
    """A GIF is read as a video with its own times."""
    make_clip(
        tmp_path / "a.gif", codec="gif", pixel_format="rgb8", frames=4, rate=10, time_base=Fraction(1, 100)
    )
    with open_source(str(tmp_path / "a.gif")) as source:
        assert not source.stills
        assert [frame.time for frame in source] == [Fraction(number, 10) for number in range(4)]


def test_what_is_no_folder_of_pictures(tmp_path: Path) -> None:
    """Folders and patterns without pictures, and missing ones, are answered in one line."""
    (tmp_path / "none").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.txt").touch()
    (tmp_path / "clips").mkdir()
    make_clip(tmp_path / "clips" / "talk.mp4", frames=1)
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 50)
    (tmp_path / "bads").mkdir()
    (tmp_path / "bads" / "a.png").touch()
    (tmp_path / "bads" / "b.png").touch()
    for name, message in {
        "none": r"folder '.*none' holds no pictures \(png, .*\), no files at all",
        "other": r"folder '.*' holds no pictures .*, only 1 other files",
        "clips": r"folder '.*' holds no pictures but videos; name one of them, like 'talk.mp4'",
        "x*.png": r"pattern '.*' holds no pictures .*, no files at all",
        "bda.png": r"cannot open '.*': no such file; did you mean 'bad.png'",
        "bad.png": r"cannot read 'bad.png': ",
        "bads": r"none of the 2 pictures of '.*' can be read; skipped 'a.png'",
    }.items():
        with pytest.raises(SourceError, match=message) as caught:
            open_source(str(tmp_path / name))
        assert "\n" not in str(caught.value)


def test_picture_without_frames_is_unreadable(tmp_path: Path) -> None:
    """A file that only starts like a picture is refused, whatever FFmpeg does with it."""
    (tmp_path / "a.bmp").write_bytes(b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + b"\0" * 40)
    with pytest.raises(SourceError, match=r"cannot read 'a\.bmp'"):
        read_picture(tmp_path / "a.bmp")


def test_deep_tiff_orientation(tmp_path: Path) -> None:
    """In a TIFF the orientation stands in the file's own directory."""
    assert orientation(_exif(6)) == 6
    assert orientation(_exif(9)) == 1
    assert av.VideoFrame(1, 1, "gray").rotation == 0
