"""What was lost: frames by a decoder, which says that it failed but not where; segments of a playlist."""

from __future__ import annotations

import heapq
from fractions import Fraction
from typing import Any

import av

_SHORTFALL = 0.5
"""Seconds that may be missing before anything is said."""


def tolerance(declared: float) -> float:
    """Return by how many seconds a video may be shorter than the `declared` ones."""
    return max(_SHORTFALL, 0.02 * declared)


class Losses:
    """Compares the pts sent to a decoder with the pts that come out, in display order.

    Only after an error is a missing pts a lost frame: some packets are never meant to become a picture.
    """

    def __init__(self) -> None:
        self._inside: list[int] = []
        self._suspects: set[int] = set()
        self._errors = 0
        self._untimed = 0

    def sent(self, pts: int | None) -> None:
        """Note a packet that should become a frame at `pts`."""
        if pts is not None:
            heapq.heappush(self._inside, pts)

    def failed(self, pts: int | None) -> None:
        """Note that the decoder failed on the packet at `pts`; threads report late: any inside may be it."""
        if pts is None and not self._inside:
            self._untimed += 1
            return
        self._errors += 1
        self._suspects.update(self._inside)

    def before(self, pts: int | None) -> list[int | None]:
        """Return the pts (None: it had none) of each frame lost ahead of the one that came out at `pts`."""
        lost: list[int | None] = [None] * self._untimed
        self._untimed = 0
        while pts is not None and self._inside and self._inside[0] < pts:
            lost += self._judged(heapq.heappop(self._inside))
        if self._inside and self._inside[0] == pts:
            self._suspects.discard(heapq.heappop(self._inside))
        if not self._suspects:
            self._errors = 0
        return lost

    def at_end(self) -> list[int | None]:
        """Return the pts of the frames still inside: errors at the end pass in silence."""
        self._errors = len(self._inside)
        self._suspects.update(self._inside)
        return self.before(max(self._inside) + 1 if self._inside else None)

    def _judged(self, pts: int) -> list[int | None]:
        if pts not in self._suspects or not self._errors:
            return []
        self._suspects.discard(pts)
        self._errors -= 1
        return [pts]


class Segments:
    """How much of a playlist came. FFmpeg passes over a segment that it cannot open and says nothing.

    What follows begins with a keyframe: a pause before any other frame is the video's own.
    """

    def __init__(self) -> None:
        self._seconds = self._end = 0.0
        self._begun = False

    def came(self, packet: av.Packet[Any]) -> None:
        """Note a packet of the video."""
        if packet.dts is None:
            return
        now, length = (
            float(ticks * Fraction(packet.time_base)) for ticks in (packet.dts, packet.duration or 0)
        )
        hole = packet.is_keyframe and now > self._end + _SHORTFALL
        if self._begun and not hole:
            self._seconds += now - self._end
        self._seconds += length
        self._begun, self._end = True, now + length

    def findings(self, declared: float) -> list[str]:
        """Say in one line what is missing of `declared` seconds, if anything is."""
        missing = declared - self._seconds
        if missing < tolerance(declared):
            return []
        return [f"{missing:.1f} of {declared:.1f} s are missing: segments its playlist names cannot be read"]
