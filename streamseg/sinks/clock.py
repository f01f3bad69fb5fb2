"""Times as an encoder counts them, and where a file begins."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from math import lcm

import av

from streamseg.frame import Tracks
from streamseg.sinks.containers import Container


@dataclass(frozen=True, slots=True)
class Clock:
    """Turns the time of a frame into the encoder's ticks."""

    tick: Fraction
    shift: Fraction
    """Seconds added to every time: what starts before zero would be hidden or shifted by the muxer, and some
    containers have no other beginning than zero."""
    counts: bool
    """A frame's time is its number."""

    def __call__(self, time: Fraction, last: int | None) -> int:
        """Ticks of a frame at `time`, later than `last`."""
        if self.counts:
            return 0 if last is None else last + 1
        ticks = round((time + self.shift) / self.tick)
        return ticks if last is None else max(ticks, last + 1)


def shift(spec: Container, picture: Fraction, sound: Fraction | None) -> Fraction:
    """Return the seconds by which a file must be moved whose picture and sound begin at these times."""
    if not spec.from_zero:
        return max(Fraction(0), -picture)
    return -picture if sound is None else -min(picture, max(Fraction(0), sound))


@contextmanager
def retimed(picture: av.VideoFrame, pts: int, time_base: Fraction, duration: int) -> Iterator[None]:
    """Give the picture the encoder's times for a moment: other sinks see the same picture."""
    before = picture.pts, picture.time_base, picture.duration
    picture.pts, picture.time_base, picture.duration = pts, time_base, duration
    try:
        yield
    finally:
        picture.pts, picture.duration = before[0], before[2]
        if before[1] is not None:
            picture.time_base = before[1]


def common_timescale(clock: Clock, tracks: Tracks) -> int:
    """Ticks per second in which picture and sound can both start exactly; edit lists count in them."""
    picture = clock.tick.denominator
    together = lcm(picture, *(Fraction(each.time_base or 1).denominator for each in tracks.streams))
    return together if together < 2**31 else picture
