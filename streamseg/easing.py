"""A budget for latency: while a live run is over it, it is made easier step by step, and recovers."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

STEPS = (
    "a smaller network input",
    "the network on every second frame, its matte carried along by motion",
    "half the output rate",
)
"""In the order in which they are taken; each one adds to those before."""

_JUDGED = 1.0
"""Seconds of frames a judgement needs; what was under way at the last change does not count."""
_FEWEST = 5
"""Frames it needs as well."""
_LATE = 0.1
"""Share of frames that may be late without a step being taken: a single late one is the system's."""
_ROOM = 0.6
"""Share of the budget below which there is room for a step back."""
_PATIENCE = 4.0
"""Seconds of room before a step back is tried. Doubled each time it proved too early."""
_LONGEST = 64.0
"""Seconds such patience grows to."""


class Easing:
    """Watches the latency of frames and decides how much easier the run is made. One thread uses it."""

    def __init__(
        self,
        budget: float,
        *,
        take: Callable[[int], bool],
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`budget`: milliseconds. `take(level)` makes the run as easy as the first so many STEPS; it returns
        False if the last of them is not possible here, which is then passed over. `say` is told of each.
        """
        self._budget = budget / 1000
        self._take, self._say, self._clock = take, say, clock
        self._frames: deque[tuple[float, float]] = deque()
        self._since = clock()
        self._patience = _PATIENCE
        self._missing: set[int] = set()
        self._stepped_back = False
        self.level = 0
        """How many of STEPS are taken."""
        self.taken = 0
        """How often one was."""

    def __call__(self, latency: float) -> None:
        """Count a frame that has just reached the sinks, so many seconds after it was captured."""
        now = self._clock()
        self._frames.append((now, latency))
        while self._frames[0][0] < now - _JUDGED:
            self._frames.popleft()
        if now - self._since < _JUDGED or len(self._frames) < _FEWEST:
            return
        latencies = sorted(each for _, each in self._frames)
        usual = latencies[int((1 - _LATE) * (len(latencies) - 1))]
        if usual > self._budget:
            self._harder_pressed(usual, now)
        elif self.level and usual < _ROOM * self._budget and now - self._since >= self._patience:
            self._step_back(now)

    def _harder_pressed(self, usual: float, now: float) -> None:
        if self._stepped_back:  # too early, or long ago
            early = now - self._since < 2 * self._patience
            self._patience = min(2 * self._patience, _LONGEST) if early else _PATIENCE
        level = next(
            (level for level in range(self.level + 1, len(STEPS) + 1) if self._possible(level)), None
        )
        if level is None:
            return
        self._settle(level, now, back=False)
        self.taken += 1
        over = f"latency {usual * 1000:.0f} ms is over the budget of {self._budget * 1000:g} ms"
        self._say(f"{over}: {STEPS[level - 1]}")

    def _step_back(self, now: float) -> None:
        ended = STEPS[self.level - 1]
        level = next(level for level in range(self.level - 1, -1, -1) if level not in self._missing)
        self._take(level)
        self._settle(level, now, back=True)
        self._say(f"latency is well within the budget again: no more {ended}")

    def _possible(self, level: int) -> bool:
        if level not in self._missing and not self._take(level):
            self._missing.add(level)
        return level not in self._missing

    def _settle(self, level: int, now: float, *, back: bool) -> None:
        self.level, self._since, self._stepped_back = level, now, back
        self._frames.clear()
