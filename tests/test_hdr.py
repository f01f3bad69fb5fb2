"""High dynamic range: what the network sees of PQ and HLG, and how much better its mattes are for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

import streamseg
from streamseg.frame import Frame
from streamseg.hdr import HLG, PQ, hlg_light, pq_light, to_sdr
from streamseg.models.card import InputSpec
from streamseg.network_input import NetworkInput
from streamseg.pictures import planes

Plane = NDArray[np.float64]

TO_BT2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
"""Linear light of BT.709's primaries in those of BT.2020 (ITU-R BT.2087, 3.1)."""

SPEC = InputSpec(name="picture", width=32, height=32)


def pq_signal(light: Plane) -> Plane:
    """The inverse EOTF of ITU-R BT.2100, table 4, for light in cd/m2."""
    power = (light / 10_000) ** (2610 / 16384)
    signal: Plane = ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)
    return signal


def hlg_signal(light: Plane) -> Plane:
    """The inverse OOTF, channel by channel, and the OETF of ITU-R BT.2100, table 5, for 1000 cd/m2."""
    scene, a = (light / 1000) ** (1 / 1.2), 0.17883277
    b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), a * np.log(np.maximum(12 * scene - b, 1e-9)) + c)


SIGNALS: dict[int, Callable[[Plane], Plane]] = {PQ: pq_signal, HLG: hlg_signal}


def graded(rgb: NDArray[np.uint8], transfer: int, *, tag: int | None = None) -> av.VideoFrame:
    """An SDR picture as 10-bit BT.2020 video, its white of 203 cd/m2, tagged with its transfer."""
    light = ((rgb / 255) ** 2.4 @ TO_BT2020.T).clip(0) * 203
    signal = SIGNALS[transfer](light)
    luma = signal @ (0.2627, 0.6780, 0.0593)
    blueness, redness = (signal[..., 2] - luma) / 1.8814, (signal[..., 0] - luma) / 1.4746
    made = av.VideoFrame(rgb.shape[1], rgb.shape[0], "yuv444p10le")
    for plane, codes in zip(
        planes(made), (64 + 876 * luma, 512 + 896 * blueness, 512 + 896 * redness), strict=True
    ):
        plane[:] = np.rint(codes)
    made.colorspace, made.color_range, made.color_primaries = 9, 1, 9
    made.color_trc = transfer if tag is None else tag
    made.pts, made.time_base = 0, Fraction(1, 25)
    return made


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_the_formulas_are_those_of_the_standard(transfer: int) -> None:
    """Light to signal and back is the same light; white is at 58 % of PQ and 75 % of HLG (BT.2408)."""
    to_light = {PQ: pq_light, HLG: hlg_light}[transfer]
    light = np.array([0.01, 1, 10, 100, 203, 999])
    np.testing.assert_allclose(to_light(SIGNALS[transfer](light)), light, rtol=1e-6)
    white = {PQ: 0.58, HLG: 0.75}[transfer]
    assert abs(to_light(np.array(white)) - 203) < 4


@pytest.mark.parametrize("transfer", [PQ, HLG])
@pytest.mark.parametrize(
    "rgb", [(0, 0, 0), (40, 40, 40), (128, 128, 128), (200, 60, 90), (20, 150, 60), (90, 80, 210)]
)
def test_the_network_sees_the_colours_of_ordinary_video(rgb: Sequence[int], transfer: int) -> None:
    """A colour graded for PQ or HLG arrives as in SDR, to 8 codes; untouched it is far off."""
    flat = np.broadcast_to(np.array(rgb, np.uint8), (48, 64, 3))
    found = NetworkInput(SPEC)(graded(flat, transfer))[0][0, :, 16, 16] * 255
    np.testing.assert_allclose(found, rgb, atol=8)
    if max(rgb) > 150 and transfer == PQ:
        plain = NetworkInput(SPEC)(graded(flat, transfer, tag=1))[0][0, :, 16, 16] * 255
        assert np.abs(plain - rgb).max() > 40


def test_brighter_light_never_becomes_darker() -> None:
    """Codes rise with the signal, and what is twice as bright as paper is still told from it."""
    signal = np.arange(256, dtype=np.uint8).reshape(1, 256)
    for transfer in (PQ, HLG):
        (codes,) = to_sdr([signal], transfer, 9)
        assert (np.diff(codes.astype(int)) >= 0).all()
        assert codes[0, 0] == 0 and codes[0, -1] == 255
    paper, lamp = (round(255 * float(pq_signal(np.array(light)))) for light in (203.0, 406.0))
    codes = to_sdr([signal], PQ, 9)[0][0]
    assert codes[lamp] - codes[paper] >= 5


@pytest.mark.parametrize("transfer", [0, 1, 2, 4, 6, 13, 14, 15])
def test_other_transfers_are_left_alone(transfer: int) -> None:
    """Ordinary video, also wide or of 10 bits, reaches the network with the very planes swscale made."""
    made = [np.zeros((2, 2), np.uint8)]
    assert to_sdr(made, transfer, 9)[0] is made[0]


@pytest.mark.parametrize(("transfer", "least"), [(PQ, 0.97), (HLG, 0.97)])
def test_mattes_of_hdr_are_those_of_sdr(transfer: int, least: float) -> None:
    """The portrait in PQ or HLG gives nearly the matte it gives in SDR, and clearly more of it than the same
    codes taken for SDR."""
    with (
        streamseg.open_source("demo:320x180@1,8s") as source,
        streamseg.Segmenter("selfie", crop="off", smooth=0.0) as segmenter,
    ):
        now, before = [], []
        for frame in source:
            wanted = segmenter(frame).alpha > 127
            rgb = frame.picture.to_ndarray(format="rgb24")
            for tag, found in ((transfer, now), (1, before)):
                seen = segmenter(Frame(graded(rgb, transfer, tag=tag), 0.0)).alpha > 127
                found.append((wanted & seen).sum() / (wanted | seen).sum())
    assert np.mean(now) > least
    assert np.mean(now) > np.mean(before) + 0.04


@pytest.mark.parametrize("name", ["hdr10_hevc.mp4", "hlg_vp9.webm"])
def test_real_files_are_recognised(data: Path, name: str) -> None:
    """What encoders write as HDR10 and HLG is read as such: the network's input is not the untagged one."""
    with streamseg.open_source(data / "awkward" / "generated" / name) as source:
        picture = next(iter(source)).picture
    tagged = NetworkInput(SPEC)(picture)[0].copy()
    picture.color_trc = 1
    assert np.abs(NetworkInput(SPEC)(picture)[0] - tagged).mean() > 0.03
