"""Doing a recipe's operations to mattes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg import mattes
from streamseg.effects import Echo, Feather, Invert, MatteOperation, Outline, Threshold
from streamseg.mattes import Alpha


@dataclass(frozen=True, slots=True)
class Trace:
    """What earlier mattes left behind."""

    codes: NDArray[np.float32]
    """(h, w), 0..255."""
    time: Fraction
    """Of the last of them, in seconds: it fades from there."""


Traces: TypeAlias = dict[Echo, Trace]


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
            trail.past = None

    @property
    def traces(self) -> Traces:
        """The echo, for other operations of the same recipe."""
        return {echo: trail.past for echo, trail in self._trails.items() if trail.past is not None}

    def recall(self, traces: Traces) -> None:
        """Go on with the echo of others."""
        for echo, trail in self._trails.items():
            trail.past = traces.get(echo)


class Trail:
    """The mattes of earlier moments, fading by the clock: as long at any frame rate."""

    def __init__(self, echo: Echo) -> None:
        self._echo = echo
        self.past: Trace | None = None

    def __call__(self, alpha: Alpha, time: Fraction) -> Alpha:
        """Return the larger of the matte and the trace of those before it, pixel by pixel."""
        strong = alpha * np.float32(self._echo.strength)
        past = self.past
        if past is None or time < past.time:
            self.past = Trace(strong, time)
            return alpha
        trace = past.codes
        if trace.shape != alpha.shape:  # the segmenter looks more closely, or less
            trace = np.asarray(cv2.resize(trace, alpha.shape[::-1]), np.float32)
        trace = trace * np.float32(0.5 ** (float(time - past.time) / self._echo.half_life))
        self.past = Trace(np.maximum(trace, strong), time)
        return np.maximum(alpha, trace.astype(np.uint8))


def _at(size: tuple[int, int], alpha: Alpha) -> Alpha:
    return alpha if alpha.shape == size[::-1] else cast(Alpha, cv2.resize(alpha, size))
