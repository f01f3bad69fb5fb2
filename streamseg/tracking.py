"""Where the network looks: at the whole frame, or closely at the people in it.

A network sees every picture at one small size. A box around the people instead of the whole frame gives them
more of its pixels, at the same cost, and less of the room to be mistaken for a part of them. Measured with
`selfie`: docs/quality.md.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from itertools import cycle

from streamseg.crop import ALIGNMENT, Box
from streamseg.people import Bounds, Look, core, people_in, pieces_in

_MARGIN, _TIGHT, _LOOSE = 1.2, 1.1, 1.4
"""A new box is this much larger than the people; it stays while they fit as tightly or loosely as this."""
_STILL_MARGIN, _STILL_LOOSE = 1.35, 1.6
"""The same for stills."""
_STRETCH = 2.0
"""How much a view may be stretched for the network: people are upright, networks mostly square."""
_WORTHWHILE = 0.75
"""A box of a larger share of the frame gains nothing over the whole."""
_SMALLEST = 48
"""Width and height of a box, in pixels, at least."""
_SHRINKING = 0.3
"""Share of the way in which what is tracked shrinks to what was found, each frame; it grows at once."""
_SAME = 0.5
"""Overlap (intersection over union) from which people found are those of the last frame, or other look."""
_EVERY = 12
"""Frames from one additional look to the next."""
_SELDOM = 4
"""So many times as long, at most, it takes to the next where one was in vain."""
_TRIES = 2
"""Looks, at most, to see whether somebody fits a smaller view."""
_SAVINGS = 5.0
"""Additional looks, at most, that may come at once."""
_PARTS = (0.5, 0.25, 0.75)
"""Middles of the tiles, which are half as long as the frame: upright people in them are less narrow."""


class Tracker:
    """Follows the people through frames of one size. One thread uses it at a time.

    People are followed with one look a frame, by a box that stays where it is while they fit it well. An
    additional look at the whole frame every twelfth frame finds those who came in; another one is due at once
    when the box is empty or holds something else than before. While nobody is found, each look is at the
    whole frame, and additional ones, at most every twelfth after the first five, at tiles.

    Seen whole, a wide frame is squeezed for the network, and parts of the room pass for parts of people.
    People who seem to fill it are therefore looked for in a view of the network's shape now and then; and who
    comes in beside the box must be seen in such a view as well.
    """

    def __init__(self, size: tuple[int, int], aspect: float) -> None:
        """`size`: (W, H) of the frames; `aspect`: width over height of the network's input."""
        self.whole = Box(0, 0, *size)
        self.view = self.whole
        """Where to look next."""
        self._aspect = aspect
        self._tiles = cycle(tiles(self.whole))
        self._saved = _SAVINGS
        self._since = self._vain = 0
        self._rejected: list[tuple[Bounds, int]] = []
        """Who was not confirmed, and in which frame."""
        self._frame = 0
        self._people: Bounds | None = None
        self._tracked: Bounds | None = None

    def __call__(self, look: Callable[[Box], Look]) -> Look:
        """Return what is to be seen of the next frame; `look` runs the network on a part of it."""
        self._saved = min(self._saved + 1 / _EVERY, _SAVINGS)
        self._since += 1
        self._frame += 1
        seen = look(self.view)
        people = people_in(seen, self.whole, sure=self._people is None)
        if self.view != self.whole:
            seen, people = self._checked(seen, people, look)
        elif people is None:
            people = self._searched(look)
        elif self._people is None or self._since >= min(_SELDOM, 1 + self._vain) * _EVERY:
            seen, people = self._narrowed(seen, people, look)
        self._follow(people)
        return seen

    def restart(self) -> None:
        """Forget who was followed, as there was a cut; additional looks stay as rare as they are."""
        self.view = self.whole
        self._people = self._tracked = None
        self._rejected = []
        self._vain = 0

    def _searched(self, look: Callable[[Box], Look]) -> Bounds | None:
        """Look for people in the next tile, if there is a look to spare."""
        if self._saved < 1:
            return None
        self._saved -= 1
        return people_in(look(next(self._tiles)), self.whole, sure=True)

    def _narrowed(self, wide: Look, people: Bounds, look: Callable[[Box], Look]) -> tuple[Look, Bounds]:
        """Look for people who seem to fill the frame in a smaller view; return the better look and whom to
        follow."""
        box = self.whole
        if self._around(people, _LOOSE) == self.whole and self._saved >= _TRIES:
            self._since = 0
            self._vain += 1
            fitting = fitted(self._spending(look), core(wide), self.whole, self._aspect)
            if fitting is not None and not self._confirmed(beside(wide, fitting[1], self.whole), look):
                close, found = fitting
                box = self._around(found)
        if box == self.whole:
            return wide, people
        self._tracked, self.view, self._vain = None, box, 0
        return close, found

    def _confirmed(self, claims: list[Bounds], look: Callable[[Box], Look]) -> list[Bounds]:
        """`confirmed`; without looks to spare they are all believed in. Who was rejected is not asked for
        again at once."""
        since = self._frame - _SELDOM * _EVERY
        self._rejected = [(each, frame) for each, frame in self._rejected if frame > since]
        claims = [claim for claim in claims if not any(_same(claim, each) for each, _ in self._rejected)]
        if len(claims) > self._saved:
            return claims
        found = confirmed(claims, self._spending(look), self.whole, self._aspect)
        self._rejected += [(each, self._frame) for each in claims if not found]
        return found

    def _spending(self, look: Callable[[Box], Look]) -> Callable[[Box], Look]:
        """An additional look."""

        def spend(view: Box) -> Look:
            self._saved -= 1
            return look(view)

        return spend

    def _around(self, people: Bounds, margin: float = _MARGIN) -> Box:
        return around(people, self.whole, self._aspect, margin)

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
        return seen, reduce(Bounds.joined, self._confirmed(beside(wide, people, self.whole), look), people)

    def _follow(self, people: Bounds | None) -> None:
        self._people = people
        self._tracked = tracked = settled(self._tracked, people) if people else None
        # Whoever keeps vanishing from the box when looked at closely is no one, or no one for this network.
        if tracked is None or self._saved < 0:
            self.view = self.whole
            return
        fits = self.view.holds(self._around(tracked, _TIGHT))
        if not fits or self.view.area > self._around(tracked, _LOOSE).area:
            self.view = self._around(tracked)


def closer(look: Callable[[Box], Look], size: tuple[int, int], aspect: float) -> Look:
    """Return what is to be seen of a still of `size` (W, H): its people closely, or the whole of it."""
    whole = Box(0, 0, *size)
    wide = look(whole)
    people = people_in(wide, whole, sure=True)
    if people is not None and around(people, whole, aspect, _STILL_LOOSE) == whole:
        fitting = fitted(look, core(wide), whole, aspect)
        people = None
        if fitting is not None and not confirmed(beside(wide, fitting[1], whole), look, whole, aspect):
            people = fitting[1]
    if people is None or (view := around(people, whole, aspect, _STILL_MARGIN)) == whole:
        return wide
    close = look(view)
    found = people_in(close, whole, sure=False)
    return close if _same(found, people) else wide


def fitted(
    look: Callable[[Box], Look], middle: tuple[float, float], whole: Box, aspect: float
) -> tuple[Look, Bounds] | None:
    """Return a look in which people fit the largest view of the network's shape, and their bounds; None if
    there is none, or nobody. Where they are beside the middle they are looked at once more."""
    for _ in range(_TRIES):
        view = shaped(middle, whole, aspect)
        if view.area > _WORTHWHILE * whole.area:
            return None
        close = look(view)
        found = people_in(close, whole, sure=True)
        if found is None:
            return None
        if found.inside(view):
            return close, found
        middle = found.middle
    return None


def beside(wide: Look, people: Bounds, whole: Box) -> list[Bounds]:
    """Return who else is to be seen, not touching those people."""
    return [each for each in pieces_in(wide, whole, sure=True) if not each.meets(people)]


def confirmed(claims: list[Bounds], look: Callable[[Box], Look], whole: Box, aspect: float) -> list[Bounds]:
    """Return those people who are also seen when looked at in a view of the network's shape."""
    found = []
    for claim in claims:
        close = look(shaped(claim.middle, whole, aspect))
        found += [each for each in pieces_in(close, whole, sure=True) if each.meets(claim)]
    return found


def _same(people: Bounds | None, others: Bounds | None) -> bool:
    return people is not None and others is not None and people.overlap(others) >= _SAME


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


def shaped(middle: tuple[float, float], whole: Box, aspect: float) -> Box:
    """Return the largest part of a frame that has an aspect, as near as may be around a place (x, y)."""
    x, width = _span(middle[0], max(whole.height * aspect, _SMALLEST), whole.width)
    y, height = _span(middle[1], max(whole.width / aspect, _SMALLEST), whole.height)
    return Box(x, y, width, height)


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
