"""Where the network looks: at the whole frame, or closely at the people in it.

A network sees every picture at one small size. A box around the people instead of the whole frame gives them
more of its pixels, at the same cost. Measured with `selfie`: docs/quality.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from streamseg.crop import ALIGNMENT, Box
from streamseg.frame import LabelMap
from streamseg.scores import Plane

if TYPE_CHECKING:
    from streamseg.gpu.surface import OnCard

_MARGIN, _TIGHT, _LOOSE = 1.35, 1.12, 1.6
"""A new box is this much larger than the people; it stays while they fit as tightly or loosely as this."""
_STRETCH = 2.0
"""How much a view may be stretched for the network: people are upright, networks mostly square."""
_WORTHWHILE = 0.75
"""A box of a larger share of the frame gains nothing over the whole."""
_SMALLEST = 48
"""Width and height of a box, in pixels, at least."""
_SHRINKING = 0.3
"""Share of the way in which what is tracked shrinks to what was found, each frame; it grows at once."""
_REACH = 0.15
"""People cut by the box's border are taken to go on for this share of their size."""
_SAME = 0.5
"""Overlap (intersection over union) from which people found are those of the last frame, or other look."""
_EVERY = 12
"""Frames from one additional look to the next."""
_GRID = 64
"""Mattes are searched for people at this size, where specks have vanished and bounds are still good."""
_PARTS = (0.5, 0.25, 0.75)
"""Middles of the tiles, which are half as long as the frame: upright people in them are less narrow."""
_SPECK, _MINOR = 8, 0.05
"""Cells, and share of the largest piece, below which a piece of a matte is ignored."""
_SURE_CELLS, _SURE = 41, 0.85
"""Cells (1 %) and mean opacity from which a piece is a person even if nobody was there: leaks are fainter."""


class Bounds(NamedTuple):
    """Where people are, in the frame's pixels."""

    left: float
    top: float
    right: float
    bottom: float

    def joined(self, other: Bounds | None) -> Bounds:
        """The bounds of both."""
        if other is None:
            return self
        return Bounds(
            min(self.left, other.left),
            min(self.top, other.top),
            max(self.right, other.right),
            max(self.bottom, other.bottom),
        )

    def overlap(self, other: Bounds) -> float:
        """Intersection over union, 0..1."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        both = max(width, 0.0) * max(height, 0.0)
        return both / (self.area + other.area - both)

    @property
    def area(self) -> float:
        """In pixels."""
        return (self.right - self.left) * (self.bottom - self.top)


@dataclass(frozen=True, slots=True)
class Look:
    """What the network saw in a part of a frame."""

    view: Box
    share: Plane
    """(h, w) opacity, 0..1, over the view."""
    labels: Callable[[], LabelMap]
    """Makes the label map of the view, at the frame's resolution."""
    held: OnCard | None = None
    """What of it is on the GPU."""


class Tracker:
    """Follows the people through frames of one size. One thread uses it at a time.

    People are followed with one look a frame, by a box that stays where it is while they fit it well. An
    additional look at the whole frame every twelfth frame finds those who came in; another one is due at once
    when the box is empty or holds something else than before. While nobody is found, each look is at the
    whole frame, and additional ones, at most every twelfth after the first three, at tiles.
    """

    def __init__(self, size: tuple[int, int], aspect: float) -> None:
        """`size`: (W, H) of the frames; `aspect`: width over height of the network's input."""
        self.whole = Box(0, 0, *size)
        self.view = self.whole
        """Where to look next."""
        self._aspect = aspect
        self._tiles = cycle(tiles(self.whole))
        self._saved = 3.0
        self._since = 0
        self._people: Bounds | None = None
        self._tracked: Bounds | None = None

    def __call__(self, look: Callable[[Box], Look]) -> Look:
        """Return what is to be seen of the next frame; `look` runs the network on a part of it."""
        self._saved = min(self._saved + 1 / _EVERY, 3.0)
        self._since += 1
        seen = look(self.view)
        people = people_in(seen, self.whole, sure=self._people is None)
        if self.view != self.whole:
            seen, people = self._checked(seen, people, look)
        elif people is None and self._saved >= 1:
            self._saved -= 1
            people = people_in(look(next(self._tiles)), self.whole, sure=True)
        self._follow(people)
        return seen

    def restart(self) -> None:
        """Forget who was followed, as there was a cut; additional looks stay as rare as they are."""
        self.view = self.whole
        self._people = self._tracked = None

    def _checked(
        self, seen: Look, people: Bounds | None, look: Callable[[Box], Look]
    ) -> tuple[Look, Bounds | None]:
        """Look at the whole frame too if there is reason; return the better look and whom to follow."""
        changed = self._saved >= 1 and not _same(people, self._people)
        if people is not None and not changed and self._since < _EVERY:
            return seen, people
        self._saved -= changed or people is None
        self._since = 0
        wide = look(self.whole)
        everyone = people_in(wide, self.whole, sure=True)
        if people is None or (changed and everyone is not None and not _same(people, everyone)):
            self._tracked = None
            return wide, everyone
        return seen, people.joined(everyone)

    def _follow(self, people: Bounds | None) -> None:
        self._people = people
        self._tracked = tracked = settled(self._tracked, people) if people else None
        # Whoever keeps vanishing from the box when looked at closely is no one, or no one for this network.
        if tracked is None or self._saved < 0:
            self.view = self.whole
            return
        fits = self.view.holds(around(tracked, self.whole, self._aspect, _TIGHT))
        if not fits or self.view.area > around(tracked, self.whole, self._aspect, _LOOSE).area:
            self.view = around(tracked, self.whole, self._aspect, _MARGIN)


def closer(look: Callable[[Box], Look], size: tuple[int, int], aspect: float) -> Look:
    """Return what is to be seen of a still of `size` (W, H): its people closely, or the whole of it."""
    whole = Box(0, 0, *size)
    wide = look(whole)
    people = people_in(wide, whole, sure=True)
    if people is None or around(people, whole, aspect, _LOOSE) == whole:
        return wide
    close = look(around(people, whole, aspect, _MARGIN))
    found = people_in(close, whole, sure=False)
    return close if _same(found, people) else wide


def _same(people: Bounds | None, others: Bounds | None) -> bool:
    return people is not None and others is not None and people.overlap(others) >= _SAME


def people_in(look: Look, whole: Box, *, sure: bool) -> Bounds | None:
    """Return the bounds of the people seen, specks left out; None where there is nobody.

    `sure`: only what is large and opaque enough not to be a leak. Whoever the view cuts is taken to reach
    beyond it.
    """
    small = cv2.resize(look.share, (_GRID, _GRID), interpolation=cv2.INTER_AREA)
    count, pieces, stats, _ = cv2.connectedComponentsWithStats((small > 0.5).astype(np.uint8))
    areas = stats[:, cv2.CC_STAT_AREA]
    kept = areas >= max(_SPECK, _MINOR * areas[1:].max(initial=0))
    if sure:
        opacity = np.bincount(pieces.ravel(), small.ravel(), count) / np.maximum(areas, 1)
        kept &= (areas >= _SURE_CELLS) & (opacity >= _SURE)
    kept[0] = False  # the background
    if not kept.any():
        return None
    left, top, width, height = stats[kept, :4].T
    cells = left.min(), top.min(), (left + width).max(), (top + height).max()
    return _extended([int(cell) for cell in cells], look.view, whole)


def _extended(cells: list[int], view: Box, whole: Box) -> Bounds:
    """Bounds in cells of the view -> in the frame's pixels."""
    first, last, across, down = (0, _GRID, view.width / _GRID, view.height / _GRID)
    left, right = view.x + cells[0] * across, view.x + cells[2] * across
    top, bottom = view.y + cells[1] * down, view.y + cells[3] * down
    wider, higher = _REACH * (right - left), _REACH * (bottom - top)
    return Bounds(
        max(left - wider * (cells[0] == first), whole.x),
        max(top - higher * (cells[1] == first), whole.y),
        min(right + wider * (cells[2] == last), whole.width),
        min(bottom + higher * (cells[3] == last), whole.height),
    )


def settled(tracked: Bounds | None, people: Bounds) -> Bounds:
    """Return what to track: it grows to the people at once and shrinks to them gradually."""
    if tracked is None:
        return people
    rest = Bounds(*(old + _SHRINKING * (new - old) for old, new in zip(tracked, people, strict=True)))
    return rest.joined(people)


def around(people: Bounds, whole: Box, aspect: float, margin: float) -> Box:
    """Return the box, `margin` times as large as the people, that a network of some aspect looks at.

    It lies in the frame, where chroma and matte can be cut; the whole frame if it is nearly that.
    """
    width, height = margin * (people.right - people.left), margin * (people.bottom - people.top)
    width = max(width, height * aspect / _STRETCH, _SMALLEST)
    height = max(height, width / aspect / _STRETCH, _SMALLEST)
    x, width = _span((people.left + people.right) / 2, width, whole.width)
    y, height = _span((people.top + people.bottom) / 2, height, whole.height)
    return Box(x, y, width, height) if width * height <= _WORTHWHILE * whole.area else whole


def _span(middle: float, extent: float, limit: int) -> tuple[int, int]:
    """Return start and length of about `extent` pixels around the middle, aligned, within 0..limit."""
    extent = min(extent, limit)
    start = min(max(middle - extent / 2, 0), limit - extent)
    first = round(start / ALIGNMENT) * ALIGNMENT
    last = min(round((start + extent) / ALIGNMENT) * ALIGNMENT, limit)
    if last + ALIGNMENT > limit:
        last = limit
    return first, last - first


def tiles(whole: Box) -> list[Box]:
    """Return the middle, the first and the last half of a frame, along its longer side."""
    if whole.width >= whole.height:
        spans = [_span(part * whole.width, whole.width / 2, whole.width) for part in _PARTS]
        return [Box(start, 0, extent, whole.height) for start, extent in spans]
    spans = [_span(part * whole.height, whole.height / 2, whole.height) for part in _PARTS]
    return [Box(0, start, whole.width, extent) for start, extent in spans]
