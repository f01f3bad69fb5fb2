"""The portrait of `demo:` in slow pan, zoom and sway: Eileen Collins, by NASA, public domain."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.sources.planes import Plane, from_rgb, halved

_FILE = Path(__file__).with_name("portrait.jpg")
_FACE, _CROWN = 244.0, 15.0
"""The column the view stays around, and the row of the topmost hair, in pixels of the portrait."""
_ZOOM = (1.10, 1.32)
_SWAY = math.radians(1.4)
_PERIOD = 8.0
"""Seconds for one round of the movement."""


class Portrait:
    """Resamples the portrait's planes for every frame: subpixel motion, nothing but yuv420p on the way."""

    def __init__(self, width: int, height: int, rate: Fraction) -> None:
        self._size = width, height
        self._rate = rate
        with av.open(str(_FILE), "r") as container:
            rgb = next(container.decode(video=0)).to_ndarray(format="rgb24")
        luma, *chroma = from_rgb(rgb)
        self._planes = [np.rint(plane).astype(np.uint8) for plane in (luma, *map(halved, chroma))]
        side = float(rgb.shape[0])
        self._view = min(side, side * width / height), min(side, side * height / width)

    def paint(self, picture: list[Plane], index: int) -> None:
        """Fill the planes of frame `index`."""
        luma = self._placement(2 * math.pi * float(index / self._rate) / _PERIOD)
        for number, (plane, source) in enumerate(zip(picture, self._planes, strict=True)):
            matrix = _of_chroma(luma) if number else luma
            cv2.warpAffine(
                source,
                matrix,
                (plane.shape[1], plane.shape[0]),
                dst=plane,
                flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REFLECT_101,
            )

    def _placement(self, angle: float) -> NDArray[np.float64]:
        """Return the (2, 3) matrix from pixels of the frame to pixels of the portrait."""
        low, high = _ZOOM
        zoom = (low + high) / 2 - (high - low) / 2 * math.cos(angle)
        wide, tall = self._view[0] / zoom, self._view[1] / zoom
        side = self._planes[0].shape[0]
        x = _within(_FACE + 26 * math.sin(angle), wide / 2, side)
        y = _within(tall / 2 + _CROWN / 2 + 5 * math.sin(2 * angle), tall / 2, side)
        sway, scale = _SWAY * math.sin(angle + 1), wide / self._size[0]
        turn = scale * np.array([[math.cos(sway), -math.sin(sway)], [math.sin(sway), math.cos(sway)]])
        middle = np.array([(self._size[0] - 1) / 2, (self._size[1] - 1) / 2])
        return np.hstack([turn, (np.array([x - 0.5, y - 0.5]) - turn @ middle)[:, None]])


def _of_chroma(luma: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the same placement for planes of half size, whose pixels lie between those of full ones."""
    chroma = luma.copy()
    chroma[:, 2] = (luma[:, :2] @ (0.5, 0.5) + luma[:, 2] - 0.5) / 2
    return chroma


def _within(middle: float, half: float, side: int) -> float:
    return min(max(middle, half), side - half)
