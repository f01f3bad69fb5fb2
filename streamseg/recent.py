"""How a run goes now: durations of the last seconds."""

from __future__ import annotations

import math
import time
from collections import deque

SPAN = 5.0
"""Seconds that count."""

_MOST = 600
"""Durations kept: five seconds of 120 frames a second."""


class Recent:
    """The durations of the last SPAN seconds. One thread adds, any may ask: a deque's operations are
    atomic."""

    def __init__(self) -> None:
        self._entries: deque[tuple[float, float]] = deque(maxlen=_MOST)

    def add(self, seconds: float) -> None:
        """Count one, now."""
        self._entries.append((time.monotonic(), seconds))

    def rate(self) -> float:
        """How many a second."""
        times = [moment for moment, _ in self._kept()]
        if len(times) < 2 or times[-1] <= times[0]:
            return 0.0
        now = time.monotonic()
        # A pause since the last one counts once it is longer than usual.
        usual = (times[-1] - times[0]) / (len(times) - 1)
        return round(len(times) / (max(now - usual, times[-1]) + usual - times[0]), 2)

    def milliseconds(self, *quantiles: float) -> dict[str, float | None]:
        """Return, by name (`p95`), what that share of them stayed within; None without any."""
        durations = sorted(duration for _, duration in self._kept())
        return {
            f"p{round(quantile * 100)}": round(durations[math.ceil(quantile * len(durations)) - 1] * 1000, 3)
            if durations
            else None
            for quantile in quantiles
        }

    def _kept(self) -> list[tuple[float, float]]:
        since = time.monotonic() - SPAN
        return [entry for entry in self._entries.copy() if entry[0] >= since]
