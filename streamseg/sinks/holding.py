"""What viewers of a stream get while its source is silent: the last finished frame again, at later times."""

from __future__ import annotations

import time
from dataclasses import replace
from fractions import Fraction

from streamseg.frame import Frame
from streamseg.sources.upright import copied

SILENCE = 1.0
"""Seconds without a frame after which the last one comes again, at the soonest."""
_LATER = 3
"""So many times the present interval between frames is no silence either."""

_RATE = Fraction(25)
_FASTEST = 60
"""Frames a second; a header that says more means its clock."""


class Holding:
    """Remembers the last frame of a live source. Used by one thread."""

    def __init__(self, rate: Fraction | None) -> None:
        """`rate`: nominal frames a second, as far as it is known."""
        self._step = float(1 / (rate if rate and 1 <= rate <= _FASTEST else _RATE))
        self._last: Frame | None = None
        self._came = self._due = self._seen = 0.0
        self._silence = SILENCE
        self._reached: Fraction | None = None
        self.held = 0
        """Frames that were made here."""

    def took(self, frame: Frame) -> bool:
        """Remember a frame that has come; tell whether it is later than those made here meanwhile. None is
        made while any come; of those that are late only what hides is taken over."""
        now = time.monotonic()
        interval = max(self._step, now - self._seen) if self._seen else 0.0
        self._silence = max(SILENCE, _LATER * interval)
        self._due, self._seen = now + self._silence, now
        if self._reached is not None and frame.time <= self._reached:
            if frame.hidden:
                self.hide(frame)
            return False
        self._last, self._reached = frame, None
        self._came = now
        return True

    def hide(self, frame: Frame) -> None:
        """Hold this picture, of nothing, at once in place of the one that is held."""
        if self._last is not None and not self._last.hidden:
            self._last = replace(self._last.with_picture(frame.picture), hidden=True)
            self._due = 0.0

    def due(self) -> Frame | None:
        """The frame to be shown now, with a picture of its own; None where nothing is due."""
        now = time.monotonic()
        if self._last is None or now < self._due:
            return None
        self._due = (self._due if self._due > now - self._step else now) + self._step
        frame = replace(self._last.with_picture(copied(self._last.picture)), again=True)
        tick = Fraction(frame.native.time_base or 1)
        last = self._last.time if self._reached is None else self._reached
        passed = Fraction(max(0.0, now - self._came - self._silence / 2))  # a late frame still has its place
        ticks = max(round((self._last.time + passed) / tick), round(last / tick) + 1)
        frame.native.pts = ticks
        self._reached, self.held = ticks * tick, self.held + 1
        return frame
