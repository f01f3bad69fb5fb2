"""Pictures with something to hide, and how much of it can be seen in others."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from fractions import Fraction

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.frame import Frame, VideoFormat
from streamseg.sources.base import Source

SIZE = 160, 120


def secret(index: int, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    """(H, W) grey noise: what a camera sees that nobody shall; another for each frame."""
    width, height = size
    return np.random.default_rng(1000 + index).integers(30, 226, (height, width)).astype(np.uint8)


class SecretSource(Source):
    """Yields frames full of secrets, 25 a second; `before` is called before each."""

    def __init__(
        self,
        count: int,
        *,
        live: bool = False,
        before: Callable[[int], None] = lambda index: None,
        size_of: Callable[[int], tuple[int, int]] = lambda index: SIZE,
        time_of: Callable[[int], Fraction] = lambda index: Fraction(index, 25),
    ) -> None:
        super().__init__("secret:", live=live)
        self.video = VideoFormat(*size_of(0), Fraction(1, 1000), Fraction(25))
        self._count, self._before, self._size_of, self._time_of = count, before, size_of, time_of

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self._count):
            self._before(index)
            picture = av.VideoFrame.from_ndarray(secret(index, self._size_of(index)), "gray")
            picture = picture.reformat(format="yuv420p")
            picture.pts, picture.time_base = int(self._time_of(index) * 1000), Fraction(1, 1000)
            yield Frame(picture, time.monotonic() + float(self._time_of(index)))

    def close(self) -> None:
        """Nothing to close."""


def seen(picture: av.VideoFrame, index: int) -> NDArray[np.float64]:
    """(8, 8) how much of the frame's secret can be seen in each part of a finished picture: 1 is all, 0
    nothing.

    The regression of the picture's fine detail on that of the secret; what is transparent cannot be seen.
    """
    shown = picture.to_ndarray(format="rgba").astype(np.float64)
    luma = shown[..., :3].mean(axis=2) * shown[..., 3] / 255
    return _regression(luma, secret(index, (picture.width, picture.height)).astype(np.float64))


def _regression(luma: NDArray[np.float64], truth: NDArray[np.float64]) -> NDArray[np.float64]:
    detail, wanted = (each - cv2.GaussianBlur(each, (0, 0), 2) for each in (luma, truth))
    height, width = truth.shape
    rows, columns = np.arange(8 + 1) * height // 8, np.arange(8 + 1) * width // 8
    parts = np.empty((8, 8))
    for row in range(8):
        for column in range(8):
            part = np.s_[rows[row] : rows[row + 1], columns[column] : columns[column + 1]]
            parts[row, column] = (detail[part] * wanted[part]).sum() / (wanted[part] ** 2).sum()
    return parts
