"""Gaps in time: what was seen before one says nothing about what comes after."""

from __future__ import annotations

import time
from collections.abc import Callable
from fractions import Fraction

from streamseg.frame import Frame

LONGEST = 2
"""Seconds between two frames of one scene."""


class Gaps:
    """Notices when frames are far apart: in the stream's time, or because the computer slept between them."""

    def __init__(
        self, wall: Callable[[], float] = time.time, awake: Callable[[], float] = time.monotonic
    ) -> None:
        """`wall` goes on while the computer sleeps, `awake` does not."""
        self._wall, self._awake = wall, awake
        self._asleep: float | None = None
        self._last: Fraction | None = None

    def __call__(self, frame: Frame) -> bool:
        """Return whether a frame comes after a gap; also when time goes back. The first one does not,
        nor one without a pts."""
        asleep, moment = self._wall() - self._awake(), None if frame.native.pts is None else frame.time
        before, last = self._asleep, self._last
        self._asleep, self._last = asleep, moment
        if before is not None and abs(asleep - before) > LONGEST:
            return True
        return last is not None and moment is not None and not -LONGEST < moment - last <= LONGEST
