"""A matte steadied over time."""

from __future__ import annotations

import numpy as np

from streamseg.crop import Box, moved
from streamseg.errors import UsageError
from streamseg.scores import Plane

_ANYWHERE = Box(0, 0, 1, 1)


class Smoothing:
    """Steadies a matte over time: each new one is mixed with what came before.

    What was there keeps a share where little changes, none where a pixel changes by half or more: edges stop
    flickering and nothing that moves leaves a ghost.
    """

    def __init__(self, strength: float) -> None:
        """`strength`: 0 (off) to 1 (a small change takes twenty frames); raises UsageError."""
        if not 0 <= strength <= 1:
            raise UsageError(f"smoothing of {strength!r} is not possible; pass 0 (off) to 1 (slowest)")
        self.strength = strength
        self._strength = np.float32(0.95 * strength)
        self._steady: Plane | None = None
        self._view = _ANYWHERE

    def __call__(self, share: Plane, view: Box = _ANYWHERE) -> Plane:
        """Return the steadied matte, (h, w) in 0..1, of a part of the frame."""
        if not self._strength or self._steady is None or self._steady.shape != share.shape:
            self._steady = share
        else:
            past = moved(self._steady, self._view, view) - share
            kept = np.abs(past)  # in place from here on: 0.05 ms instead of 0.13
            kept *= -2 * self._strength
            kept += self._strength
            past *= np.maximum(kept, 0, out=kept)
            past += share
            self._steady = past
        self._view = view
        return self._steady

    def reset(self) -> None:
        """Forget the past."""
        self._steady = None
