"""What is painted into PQ and HLG frames: colours, pictures and videos as bright as paper, not as the sun."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import streamseg
from streamseg.colour import overlay_palette
from streamseg.compositors import open_compositor
from streamseg.compositors.layers import class_codes
from streamseg.compositors.planes import Canvas
from streamseg.frame import Frame, Matte
from streamseg.hdr import HLG, PQ
from streamseg.pictures import planes
from tests.clips import read_frames
from tests.runs import run_uris
from tests.test_hdr import graded

Rgb = tuple[int, int, int]
Numbers = NDArray[np.float64]

NOBODY = Matte(np.zeros((4, 4), np.uint8))
COLOURS = [(255, 255, 255), (0, 0, 0), (0, 177, 64), (255, 0, 0), (0, 0, 255), (128, 128, 128), (250, 200, 9)]
XY = {1: ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06)), 9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046))}
"""Chromaticities of red, green and blue (ITU-R BT.709, BT.2020)."""


def to_xyz(primaries: int) -> Numbers:
    """(3, 3) from linear red, green and blue to CIE XYZ, white being D65 (SMPTE RP 177)."""
    x, y = np.array(XY[primaries]).T
    columns = np.array([x / y, np.ones(3), (1 - x - y) / y])
    white = np.array([0.3127 / 0.3290, 1, (1 - 0.3127 - 0.3290) / 0.3290])
    return columns * np.linalg.solve(columns, white)


def signal(rgb: Rgb, transfer: int, primaries: int) -> Numbers:
    """Red, green and blue of PQ or HLG, 0 to 1, for a colour of BT.1886 whose white has 203 cd/m2."""
    turned = np.linalg.inv(to_xyz(primaries)) @ to_xyz(1)
    light = 203 * (turned @ (np.array(rgb) / 255) ** 2.4).clip(0)
    if transfer == PQ:
        power = (light / 10_000) ** 0.1593017578125
        return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375
    shine = to_xyz(primaries)[1] @ light / 1000
    scene = light / 1000 * max(shine, 1e-12) ** (-0.2 / 1.2)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), a * np.log(np.maximum(12 * scene, 0.3) - b) + c)


def codes(rgb: Rgb, transfer: int, primaries: int = 9) -> Numbers:
    """The 10-bit code values of limited range, matrix BT.2020 (ITU-T H.273)."""
    red, green, blue = signal(rgb, transfer, primaries)
    luma = 0.2627 * red + 0.6780 * green + 0.0593 * blue
    return np.array([64 + 876 * luma, 512 + 896 * (blue - luma) / 1.8814, 512 + 896 * (red - luma) / 1.4746])


def blank(transfer: int, pixels: str = "yuv420p10le", primaries: int = 9) -> av.VideoFrame:
    """A dark picture, tagged."""
    made = av.VideoFrame(64, 48, pixels)
    for plane in planes(made):
        plane.fill(300)
    made.colorspace, made.color_range, made.color_primaries = 9, 1, primaries
    made.color_trc, made.pts, made.time_base = transfer, 0, Fraction(1, 25)
    return made


def clip_of(path: Path, *pictures: av.VideoFrame) -> Path:
    """Write a lossless clip, its colours tagged like the first picture."""
    first = pictures[0]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = first.width, first.height, first.format.name
        for name in ("colorspace", "color_range", "color_primaries", "color_trc"):
            setattr(stream.codec_context, name, getattr(first, name))
        for index, picture in enumerate(pictures):
            picture.pts, picture.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def behind(picture: av.VideoFrame, background: Path | str) -> list[float]:
    """Code values in the middle of each plane of a frame without a person."""
    with open_compositor(streamseg.effect("replace", background=str(background))) as compositor:
        return middle(compositor(Frame(picture, captured=0.0), NOBODY).picture)


def middle(picture: av.VideoFrame) -> list[float]:
    """Code values in the middle of each plane."""
    return [float(plane[plane.shape[0] // 2, plane.shape[1] // 2]) for plane in planes(picture)]


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_white_is_paper_white(transfer: int, tmp_path: Path) -> None:
    """A run over an HDR clip puts white at 58 % of PQ and 75 % of HLG (BT.2408), and the file says which."""
    clip = clip_of(tmp_path / "clip.mkv", blank(transfer), blank(transfer))
    recipe = streamseg.effect("silhouette")
    run_uris(str(clip), str(tmp_path / "o.mkv"), effect=recipe, encoding=streamseg.Encoding(codec="ffv1"))
    (shown, _) = read_frames(tmp_path / "o.mkv")
    luma, blueness, redness = planes(shown)
    assert abs(int(luma[0, 0]) - {PQ: 64 + 0.58 * 876, HLG: 64 + 0.75 * 876}[transfer]) <= 2
    assert blueness[0, 0] == redness[0, 0] == 512
    assert luma[24, 32] == 64, "black stays black"
    assert (shown.color_trc, shown.color_primaries) == (transfer, 9)


@pytest.mark.parametrize("rgb", COLOURS)
@pytest.mark.parametrize("primaries", [1, 9])
@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_a_colour_has_the_codes_of_the_standards(transfer: int, primaries: int, rgb: Rgb) -> None:
    """Flat colours are turned from BT.709 into the frame's primaries and transfer, to a code of 10 bits."""
    canvas = Canvas.of(blank(transfer, primaries=primaries))
    np.testing.assert_allclose(canvas.codes(rgb), codes(rgb, transfer, primaries), atol=1)
    planar = Canvas.of(blank(transfer, "gbrp12le", primaries)).codes(rgb)
    np.testing.assert_allclose(planar, 4095 * signal(rgb, transfer, primaries)[[1, 2, 0]], atol=3)


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_a_grey_frame_gets_the_luma_of_a_colour(transfer: int) -> None:
    """Of a colour a grey HDR frame shows the luma."""
    canvas = Canvas.of(blank(transfer, "gray10le"))
    assert abs(canvas.codes((0, 177, 64))[0] - codes((0, 177, 64), transfer)[0]) <= 1


def test_classes_have_their_colours() -> None:
    """The colours of classes in an HDR frame are mapped like any other."""
    tables = class_codes(Canvas.of(blank(PQ)))
    for label in (0, 1, 15, 255):
        red, green, blue = (int(value) for value in overlay_palette()[label])
        wanted = codes((red, green, blue), PQ)
        np.testing.assert_allclose([table[label] for table in tables], wanted, atol=1)


def test_the_legend_is_no_brighter_than_paper() -> None:
    """Its letters are light grey, also in PQ."""
    picture = av.VideoFrame(640, 360, "yuv420p10le")
    Canvas.of(blank(PQ)).tag(picture)
    for plane in planes(picture):
        plane.fill(64)
    labels = np.ones((360, 640), np.uint8)
    labels[:, 320:] = 2
    recipe = streamseg.effect("overlay")
    with open_compositor(recipe, classes=("background", "cat", "dog")) as compositor:
        picture.pts, picture.time_base = 0, Fraction(1, 25)
        matte = Matte(np.full((36, 64), 255, np.uint8), labels)
        shown = compositor(Frame(picture, captured=0.0), matte).picture
    assert 450 < planes(shown)[0].max() <= codes((255, 255, 255), PQ)[0]


@pytest.mark.parametrize("rgb", COLOURS)
@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_a_picture_behind_is_as_bright_as_its_colours(transfer: int, rgb: Rgb, tmp_path: Path) -> None:
    """A PNG of one colour gives the codes of that colour, to 3 of 1023 (swscale takes deep RGB for 0.4 %
    brighter than it is); grey frames get their luma."""
    path = tmp_path / "sea.png"
    cv2.imwrite(str(path), np.full((20, 30, 3), rgb[::-1], np.uint8))
    wanted = codes(rgb, transfer)
    np.testing.assert_allclose(behind(blank(transfer), path), wanted, atol=3)
    np.testing.assert_allclose(behind(blank(transfer, "gray10le"), path), wanted[:1], atol=3)


def test_every_frame_of_a_video_behind_is_mapped(tmp_path: Path) -> None:
    """An SDR video whose frames differ is mapped frame by frame."""
    ordinary = Canvas.of(av.VideoFrame(64, 48, "gbrp10le"))
    shown = [ordinary.flat(rgb) for rgb in COLOURS[2:5]]
    path = clip_of(tmp_path / "sdr.mkv", *shown)
    with open_compositor(streamseg.effect("replace", background=str(path))) as compositor:
        for index, rgb in enumerate(COLOURS[2:5]):
            picture = blank(PQ)
            picture.pts = index
            made = compositor(Frame(picture, captured=0.0), NOBODY).picture
            np.testing.assert_allclose(middle(made), codes(rgb, PQ), atol=4)


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_a_background_of_the_same_transfer_keeps_its_codes(transfer: int, tmp_path: Path) -> None:
    """Nothing is mapped where nothing differs: lamps stay brighter than paper."""
    lamp = blank(transfer)
    for plane, code in zip(planes(lamp), (850, 500, 530), strict=True):
        plane.fill(code)
    path = clip_of(tmp_path / "lamp.mkv", lamp, lamp)
    assert behind(blank(transfer), path) == [850, 500, 530]


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_an_hdr_background_is_ordinary_behind_an_ordinary_frame(transfer: int, tmp_path: Path) -> None:
    """A colour graded for PQ or HLG has, behind an SDR frame, the codes of that colour, to 8."""
    rgb = (200, 60, 90)
    path = clip_of(
        tmp_path / "hdr.mkv", graded(np.broadcast_to(np.array(rgb, np.uint8), (48, 64, 3)), transfer)
    )
    red, green, blue = rgb
    front = av.VideoFrame(64, 48, "gbrp")
    front.pts, front.time_base = 0, Fraction(1, 25)
    np.testing.assert_allclose(behind(front, path), (green, blue, red), atol=8)


def test_an_hlg_background_fits_a_pq_frame(tmp_path: Path) -> None:
    """Between two kinds of high dynamic range a colour keeps its looks, to 15 of 1023 codes."""
    rgb = (128, 128, 128)
    path = clip_of(tmp_path / "hlg.mkv", graded(np.full((48, 64, 3), 128, np.uint8), HLG))
    np.testing.assert_allclose(behind(blank(PQ), path), codes(rgb, PQ), atol=15)
