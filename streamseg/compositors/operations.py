"""Doing a recipe's operations to mattes."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg import mattes
from streamseg.effects import Echo, Feather, Invert, MatteOperation, Outline, Threshold
from streamseg.mattes import Alpha


class Operations:
    """A recipe's operations, in order. Keeps the echo of earlier mattes."""

    def __init__(self, operations: Sequence[MatteOperation]) -> None:
        self._operations = operations
        self._trails = {echo: Trail(echo) for echo in operations if isinstance(echo, Echo)}

    def __call__(self, alpha: Alpha, size: tuple[int, int], time: Fraction) -> Alpha:
        """Return the matte for a frame of `size` (W, H) at `time` (seconds).

        It is brought to the frame's size only where an operation speaks of the frame's pixels.
        """
        for operation in self._operations:
            match operation:
                case Invert():
                    alpha = mattes.invert(alpha)
                case Echo():
                    alpha = self._trails[operation](alpha, time)
                case Threshold(level):
                    alpha = mattes.threshold(_at(size, alpha), level)
                case Feather(radius):
                    alpha = mattes.feather(_at(size, alpha), radius)
                case Outline(width):
                    alpha = mattes.outline(_at(size, alpha), max(1.0, width * size[1] / 1080))
        return alpha

    def reset(self) -> None:
        """Forget the echo."""
        for trail in self._trails.values():
            trail.reset()


class Trail:
    """The mattes of earlier moments, fading by the clock: as long at any frame rate."""

    def __init__(self, echo: Echo) -> None:
        self._echo = echo
        self._trace: NDArray[np.float32] | None = None
        self._time = Fraction(0)

    def __call__(self, alpha: Alpha, time: Fraction) -> Alpha:
        """Return the larger of the matte and the trace of those before it, pixel by pixel."""
        trace = self._trace
        if trace is None or time < self._time:
            trace = np.zeros(alpha.shape, np.float32)
        elif trace.shape != alpha.shape:  # the segmenter looks more closely, or less
            trace = np.asarray(cv2.resize(trace, alpha.shape[::-1]), np.float32)
        trace *= 0.5 ** (float(time - self._time) / self._echo.half_life)
        echoed = np.maximum(alpha, trace.astype(np.uint8))
        self._trace = np.maximum(trace, alpha * np.float32(self._echo.strength))
        self._time = time
        return echoed

    def reset(self) -> None:
        """Forget the past."""
        self._trace = None


def _at(size: tuple[int, int], alpha: Alpha) -> Alpha:
    return alpha if alpha.shape == size[::-1] else cast(Alpha, cv2.resize(alpha, size))
