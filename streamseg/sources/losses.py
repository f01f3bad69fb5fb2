"""Which frames a decoder has lost: it says that it failed, but not on which packet."""

from __future__ import annotations

import heapq


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
