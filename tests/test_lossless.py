"""The native pixel format, from file to file: with FFV1 in and out, untouched pixels keep their bytes."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

import streamseg
from tests.clips import make_clip, read_frames
from tests.runs import run_uris

FORMATS = [
    "yuv420p",
    "yuv422p",
    "yuv444p",
    "yuv420p10le",
    "yuv422p10le",
    "yuv444p12le",
    "yuv420p12le",
    "gray",
    "gray10le",
    "gbrp10le",
    "bgr0",
]

BACKGROUND = (192, 64, 32)


def disc(width: int, height: int) -> NDArray[np.float64]:
    """(H, W) distance from the middle in units of the null runtime's radius, as stretched to the frame."""
    x = (np.arange(width) + 0.5) / width - 0.5
    y = (np.arange(height) + 0.5) / height - 0.5
    distance: NDArray[np.float64] = np.hypot(x, y[:, None]) / 0.35
    return distance


def planes(frame: av.VideoFrame) -> list[NDArray[np.generic]]:
    """Every plane as (h, w) codes."""
    kin = {"bgr0": "gbrp", "0rgb": "gbrp"}.get(frame.format.name, frame.format.name)
    planar = frame.reformat(format=kin)
    kind = np.uint8 if planar.format.components[0].bits == 8 else np.uint16
    size = np.dtype(kind).itemsize
    return [
        np.frombuffer(plane, kind).reshape(plane.height, plane.line_size // size)[:, : plane.width]
        for plane in planar.planes
    ]


@pytest.mark.parametrize("size", [(96, 64), (85, 61)], ids=["even", "odd"])
@pytest.mark.parametrize("pixel_format", FORMATS)
def test_untouched_pixels_keep_their_bytes(tmp_path: Path, pixel_format: str, size: tuple[int, int]) -> None:
    """Where the matte is 255 the output is the source's very codes, where it is 0 the background's."""
    clip, target = tmp_path / "clip.mkv", tmp_path / "out.mkv"
    make_clip(clip, size=size, frames=3, codec="ffv1", pixel_format=pixel_format)
    recipe = streamseg.effect("replace", background=f"#{''.join(f'{part:02x}' for part in BACKGROUND)}")
    run_uris(str(clip), str(target), effect=recipe, encoding=streamseg.Encoding(codec="ffv1"))
    compare(clip, target, codes(BACKGROUND, pixel_format))


def test_full_range_keeps_its_bytes_and_its_mark(tmp_path: Path) -> None:
    """A full-range clip is neither squeezed nor marked otherwise."""
    clip, target = tmp_path / "clip.mkv", tmp_path / "out.mkv"
    make_clip(clip, size=(96, 64), frames=3, codec="ffv1", full_range=True)
    recipe = streamseg.effect("replace", background="white")
    run_uris(str(clip), str(target), effect=recipe, encoding=streamseg.Encoding(codec="ffv1"))
    compare(clip, target, [255, 128, 128])
    result = read_frames(target)[0]
    assert result.color_range == 2
    assert result.to_ndarray()[0, 0] == 255


def codes(rgb: tuple[int, int, int], pixel_format: str) -> list[float]:
    """The code of a colour in each plane, by ITU-R BT.601 (limited range; grey and RGB: full)."""
    depth = next((bits for bits in (10, 12) if pixel_format.endswith(f"{bits}le")), 8)
    red, green, blue = (part / 255 for part in rgb)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    if pixel_format.startswith("yuv"):
        blueness, redness = (blue - luma) / 1.772, (red - luma) / 1.402
        return [
            code * 2 ** (depth - 8) for code in (16 + 219 * luma, 128 + 224 * blueness, 128 + 224 * redness)
        ]
    largest = 2**depth - 1
    return (
        [luma * largest]
        if pixel_format.startswith("gray")
        else [part * largest for part in (green, blue, red)]
    )


def compare(clip: Path, target: Path, background: list[float]) -> None:
    """Hold every plane of `target` to the source's within the figure and to the background's code outside."""
    sources, results = read_frames(clip), read_frames(target)
    assert len(sources) == len(results) == 3
    for source, result in zip(sources, results, strict=True):
        for before, after, code in zip(planes(source), planes(result), background, strict=True):
            reach = disc(before.shape[1], before.shape[0])
            figure, ground = reach < 0.85, reach > 1.15
            assert figure.any()
            assert np.array_equal(after[figure], before[figure])
            assert len(np.unique(after[ground])) == 1
            assert abs(int(after[ground][0]) - code) <= 1


@pytest.mark.parametrize(
    ("pixel_format", "codec", "suffix"),
    [
        ("yuv420p10le", "libx264", ".mp4"),
        ("yuv420p10le", "libx265", ".mp4"),
        ("yuv422p10le", "prores_ks", ".mov"),
        ("yuv420p10le", "ffv1", ".mkv"),
    ],
)
def test_ten_bits_stay_ten_bits(tmp_path: Path, pixel_format: str, codec: str, suffix: str) -> None:
    """A 10-bit clip comes out with 10 bits through every encoder that has them."""
    clip, target = tmp_path / "clip.mkv", tmp_path / f"out{suffix}"
    make_clip(clip, frames=3, codec="ffv1", pixel_format=pixel_format)
    run_uris(str(clip), str(target), encoding=streamseg.Encoding(codec=codec))
    assert read_frames(target)[0].format.components[0].bits == 10
