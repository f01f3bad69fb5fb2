"""High dynamic range: PQ and HLG as ordinary video, for networks, and ordinary colours as PQ and HLG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.colour import BT709, Rgb, luma_weights

Codes: TypeAlias = NDArray[np.uint8]
FineCodes: TypeAlias = NDArray[np.uint16]

PQ, HLG = 16, 18
"""Transfer characteristics as numbered in ITU-T H.273."""

NAMES = {PQ: "PQ", HLG: "HLG"}
"""Those of high dynamic range."""

WIDE = 9
"""Primaries of ITU-R BT.2020, as numbered in H.273."""

_WHITE = 203.0
"""cd/m2 of a white sheet of paper in PQ, and in HLG on its reference display (ITU-R BT.2408)."""

_PEAK, _GAMMA = 1000.0, 1.2
"""cd/m2 of HLG's reference display, and the system gamma that goes with it (ITU-R BT.2100, table 5)."""

_KNEE, BRIGHTEST = 0.8, 4.0
"""Shares of white's light: from the first on it is compressed, at the second nothing brighter can be told."""

STEPS = 1023
"""Of the square root of light, up to the brightest."""

TO_BT709 = np.array([[1.1330, -0.0084, -0.1246], [-0.1006, 1.1187, -0.0182], [-0.5877, -0.0728, 1.6605]])
"""Green, blue and red light of BT.2020's primaries in those of BT.709 (ITU-R BT.2407, 2.1)."""

TO_BT2020 = np.array([[0.9195, 0.0114, 0.0691], [0.0880, 0.8956, 0.0164], [0.3293, 0.0433, 0.6274]])
"""The way back (ITU-R BT.2087, table 1)."""

_FINE_STEPS, _LIGHTEST = 16_383, 2.0
"""Of the square root of light up to so many shares of white: HLG's scene has 1.6 for BT.709's blue."""

_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
"""PQ's constants (ITU-R BT.2100, table 4)."""

_A = 0.17883277
_B, _C = 1 - 4 * _A, 0.5 - _A * math.log(4 * _A)
"""HLG's (table 5)."""


def to_sdr(planes: Sequence[Codes], transfer: int, primaries: int) -> list[Codes]:
    """Return green, blue and red planes (or one of grey) of PQ or HLG in the codes of ordinary video.

    Those are of ITU-R BT.709 and BT.1886. Planes of any other transfer come back as they are.
    """
    if transfer not in NAMES:
        return list(planes)
    light = cv2.LUT(cv2.merge(planes), shares_of_white(transfer))
    if primaries == WIDE and len(planes) == 3:
        light = cv2.transform(light, TO_BT709)
    # Looked up by the square root, whose steps are about as even to the eye as those of the codes.
    np.clip(light, 0, BRIGHTEST, out=light)
    cv2.sqrt(light, dst=light)
    steps = np.multiply(light, STEPS / math.sqrt(BRIGHTEST), out=light).astype(np.uint16)
    return list(cv2.split(codes_of_roots().take(steps)))  # type: ignore[arg-type]  # they are uint8


@lru_cache
def shares_of_white(transfer: int) -> NDArray[np.float32]:
    """(256,) light of each code of PQ or HLG, white's being 1."""
    signal = np.arange(256) / 255
    light = pq_light(signal) if transfer == PQ else hlg_light(signal)
    return (light / _WHITE).astype(np.float32)


@lru_cache(maxsize=1)
def codes_of_roots() -> Codes:
    """(1024,) codes for the square roots of 0 to `BRIGHTEST` shares of white."""
    share = np.linspace(0, math.sqrt(BRIGHTEST), STEPS + 1) ** 2
    bright = 1 - (1 - _KNEE) * np.exp((_KNEE - share) / (1 - _KNEE))
    codes: Codes = np.rint(255 * np.where(share < _KNEE, share, bright) ** (1 / 2.4)).astype(np.uint8)
    return codes


def pq_light(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Light in cd/m2, 0 to 10000, for a PQ signal of 0 to 1: the EOTF of ITU-R BT.2100, table 4."""
    power = signal ** (1 / _M2)
    light: NDArray[np.float64] = 10_000 * (np.maximum(power - _C1, 0) / (_C2 - _C3 * power)) ** (1 / _M1)
    return light


def hlg_light(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Light in cd/m2, 0 to 1000, for an HLG signal of 0 to 1: inverse OETF and, channel by channel, OOTF of
    ITU-R BT.2100, table 5."""
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - _C) / _A) + _B) / 12)
    light: NDArray[np.float64] = _PEAK * scene**_GAMMA
    return light


def to_hdr(planes: Sequence[Codes], transfer: int, primaries: int) -> list[FineCodes]:
    """Return green, blue and red planes of ordinary video in PQ or HLG of 16 bits and full range.

    White shines with 203 cd/m2 (ITU-R BT.2408). 1920x1080 take 24 ms of CPU for PQ and 33 for HLG.
    """
    light = cast(NDArray[np.float32], cv2.LUT(cv2.merge(planes), ordinary_light()))
    if primaries == WIDE:
        cv2.transform(light, TO_BT2020, dst=light)
    if transfer == HLG:
        _unshow(light, primaries)
    cv2.sqrt(light, dst=light)
    steps = np.multiply(light, _FINE_STEPS / math.sqrt(_LIGHTEST), out=light).astype(np.uint16)
    signals = signals_of_roots(transfer).take(steps)
    return [signals[..., channel] for channel in range(3)]


@lru_cache(maxsize=512)
def colour_to_hdr(rgb: Rgb, transfer: int, primaries: int) -> tuple[float, float, float]:
    """Return a colour in a picture's PQ or HLG, still 0..255; for any other transfer it stays as it is."""
    if transfer not in NAMES:
        return rgb
    red, green, blue = (np.full((1, 1), value, np.uint8) for value in rgb)
    signals = to_hdr([green, blue, red], transfer, primaries)
    green_signal, blue_signal, red_signal = (float(signal[0, 0]) / 257 for signal in signals)
    return red_signal, green_signal, blue_signal


def _unshow(light: NDArray[np.float32], primaries: int) -> None:
    """Make of (H, W, 3) light as displayed that of the scene, white's still 1: BT.2100's inverse OOTF."""
    red, green, blue = luma_weights(WIDE if primaries == WIDE else BT709)
    shine = np.maximum(cv2.transform(light, np.array([[green, blue, red]])), 1e-9)
    gain = cv2.pow(shine, 1 / _GAMMA - 1)
    light *= gain[..., np.newaxis]


@lru_cache(maxsize=1)
def ordinary_light() -> NDArray[np.float32]:
    """(256,) light of each code of ordinary video, white's being 1 (ITU-R BT.1886)."""
    return ((np.arange(256) / 255) ** 2.4).astype(np.float32)


@lru_cache
def signals_of_roots(transfer: int) -> FineCodes:
    """(16384,) PQ or HLG of 16 bits for square roots of light as `to_hdr` takes them."""
    share = np.linspace(0, math.sqrt(_LIGHTEST), _FINE_STEPS + 1) ** 2
    signal = (
        pq_signal(share * _WHITE) if transfer == PQ else hlg_signal(share * (_WHITE / _PEAK) ** (1 / _GAMMA))
    )
    return np.rint(65535 * signal).astype(np.uint16)


def pq_signal(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """PQ, 0 to 1, for light in cd/m2: the inverse EOTF of ITU-R BT.2100, table 4."""
    power = (light / 10_000) ** _M1
    signal: NDArray[np.float64] = ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2
    return signal


def hlg_signal(scene: NDArray[np.float64]) -> NDArray[np.float64]:
    """HLG, 0 to 1, for light of the scene, 0 to 1: the OETF of ITU-R BT.2100, table 5."""
    bright = _A * np.log(np.maximum(12 * scene - _B, 1e-9)) + _C
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), bright)
