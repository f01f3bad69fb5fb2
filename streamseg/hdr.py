"""High dynamic range, as a network needs it: PQ and HLG turned into codes like those it was trained on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Codes: TypeAlias = NDArray[np.uint8]

PQ, HLG = 16, 18
"""Transfer characteristics as numbered in ITU-T H.273."""

WIDE = 9
"""Primaries of ITU-R BT.2020, as numbered in H.273."""

_WHITE = 203.0
"""cd/m2 of a white sheet of paper in PQ, and in HLG on its reference display (ITU-R BT.2408)."""

_PEAK = 1000.0
"""cd/m2 of HLG's reference display, for which its system gamma is 1.2 (ITU-R BT.2100, table 5)."""

_KNEE, BRIGHTEST = 0.8, 4.0
"""Shares of white's light: from the first on it is compressed, at the second nothing brighter can be told."""

STEPS = 1023
"""Of the square root of light, up to the brightest."""

TO_BT709 = np.array([[1.1330, -0.0084, -0.1246], [-0.1006, 1.1187, -0.0182], [-0.5877, -0.0728, 1.6605]])
"""Green, blue and red light of BT.2020's primaries in those of BT.709 (ITU-R BT.2407, 2.1)."""


def to_sdr(planes: Sequence[Codes], transfer: int, primaries: int) -> list[Codes]:
    """Return green, blue and red planes (or one of grey) of PQ or HLG in the codes of ordinary video.

    Those are of ITU-R BT.709 and BT.1886. Planes of any other transfer come back as they are.
    """
    if transfer not in (PQ, HLG):
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
    m1, m2 = 2610 / 16384, 2523 / 4096 * 128
    c1, c2, c3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
    power = signal ** (1 / m2)
    light: NDArray[np.float64] = 10_000 * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)
    return light


def hlg_light(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Light in cd/m2, 0 to 1000, for an HLG signal of 0 to 1: inverse OETF and, channel by channel, OOTF of
    ITU-R BT.2100, table 5."""
    a = 0.17883277
    b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    light: NDArray[np.float64] = _PEAK * scene**1.2
    return light
