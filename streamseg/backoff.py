"""How long to wait before a lost connection is tried again; the waiting itself is the caller's."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

_JITTER = 1.5
"""A delay is drawn between its step and this much of it: those a server lost together return one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Delays between attempts to connect again: `for delay in backoff: wait, try, leave the loop on success`.

    Each iteration is one outage and begins with the shortest delay; steps double until the longest.
    """

    shortest: float = 1.0
    longest: float = 30.0
    """Seconds; every delay lies between the two."""
    attempts: int | None = None
    """How often an outage is tried; None means for ever."""

    def __iter__(self) -> Iterator[float]:
        step, made = self.shortest, 0
        while self.attempts is None or made < self.attempts:
            yield min(random.uniform(step, _JITTER * step), self.longest)
            step, made = min(2 * step, self.longest / _JITTER), made + 1
