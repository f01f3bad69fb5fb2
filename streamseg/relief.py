"""How one run is made easier while it is late: the steps easing.py decides on, taken where frames pass."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from streamseg.carrying import Alternating
from streamseg.easing import Easing
from streamseg.frame import Frame, Matte
from streamseg.setups import Setup
from streamseg.stats import Stats


class Relief:
    """The easing of one run. Each method says which of the run's threads calls it."""

    def __init__(self, budget: float | None, *, swap: Callable[[], None], say: Callable[[str], None]) -> None:
        """`budget`: milliseconds from capture to sink (None: all is left as it is). `swap` is called when
        `smaller` has changed, and does not wait for another network; `say` is told of each step."""
        self.smaller = False
        """The network shall be the smaller one of its model."""
        self._swap = swap
        self._easing = None if budget is None else Easing(budget, take=self._take, say=say)
        self._alternating = Alternating()
        self._halved = self._odd = self._tall = self._has_smaller = False

    def wanted(self, frames: Iterable[Frame], stats: Stats) -> Iterator[Frame]:
        """Every frame, or every second one while that is easier (the source's thread)."""
        for frame in frames:
            self._odd = not self._odd
            if self._halved and self._odd:
                stats.frames_left_out += 1
            else:
                yield frame

    def segment(self, frame: Frame, setup: Setup) -> Matte:
        """Return a frame's matte (the segmenter's thread)."""
        self._segmenter = setup.segmenter
        self._tall = frame.size[0] < frame.size[1]
        return self._alternating(frame, setup)

    def shown(self, frame: Frame) -> None:
        """A frame has just reached the sinks (their thread)."""
        if self._easing is not None:
            self._easing(time.monotonic() - frame.captured)

    def _take(self, level: int) -> bool:
        """Make the run as easy as the first so many of STEPS; False where the last is not possible."""
        if level == 1 and not self.smaller:
            self._has_smaller = self._segmenter.card.smaller is not None and not self._tall
        if (level == 1 and not self._has_smaller) or (level == 2 and self._segmenter.on_card):
            return False
        before, self.smaller = self.smaller, level > 0 and self._has_smaller
        self._alternating.on, self._halved = level >= 2, level >= 3
        if before != self.smaller:
            self._swap()
        return True
