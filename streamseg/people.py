"""Who is in a matte, and where: the bounds of people, told from specks and leaks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.crop import Box
from streamseg.frame import LabelMap
from streamseg.scores import Plane

if TYPE_CHECKING:
    from streamseg.gpu.surface import OnCard

_REACH = 0.15
"""People cut by the view's border are taken to go on for this share of their size."""
_GRID = 64
"""Mattes are searched for people at this size, where specks have vanished and bounds are still good."""
_SPECK, _MINOR = 8, 0.05
"""Cells, and share of the largest piece, below which a piece of a matte is ignored."""
_SURE_CELLS, _SURE = 41, 0.85
"""Cells (1 %) and mean opacity from which a piece is a person even if nobody was there: leaks are fainter."""
_FIRM = 0.8
"""Opacity of the cells that bound a person, up to one more: where leaks fray out they are fainter."""
_NEIGHBOURS = np.ones((3, 3), np.uint8)

Cells: TypeAlias = NDArray[np.bool_]
"""(64, 64) of a view."""


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

    def meets(self, other: Bounds) -> bool:
        """Whether they have a part in common."""
        return self.overlap(other) > 0

    def inside(self, view: Box) -> bool:
        """Whether the view cuts none of it."""
        return (
            view.x <= self.left
            and view.y <= self.top
            and self.right <= view.x + view.width
            and self.bottom <= view.y + view.height
        )

    @property
    def middle(self) -> tuple[float, float]:
        """(x, y)."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

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


def people_in(look: Look, whole: Box, *, sure: bool) -> Bounds | None:
    """Return the bounds of all the people seen; None where there is nobody. As `pieces_in`."""
    found = pieces_in(look, whole, sure=sure)
    return reduce(Bounds.joined, found) if found else None


def pieces_in(look: Look, whole: Box, *, sure: bool) -> list[Bounds]:
    """Return the bounds of each person, or group that touches, in a look at a part of the frame `whole`.

    Specks are left out, and if `sure` all that is not large and opaque enough to be no leak. Whoever the view
    cuts is taken to reach beyond it.
    """
    small = cv2.resize(look.share, (_GRID, _GRID), interpolation=cv2.INTER_AREA)
    count, pieces, stats, _ = cv2.connectedComponentsWithStats((small > 0.5).astype(np.uint8))
    areas = stats[:, cv2.CC_STAT_AREA]
    kept = areas >= max(_SPECK, _MINOR * areas[1:].max(initial=0))
    if sure:
        opacity = np.bincount(pieces.ravel(), small.ravel(), count) / np.maximum(areas, 1)
        kept &= (areas >= _SURE_CELLS) & (opacity >= _SURE)
    kept[0] = False  # the background
    firm = cv2.dilate((small > _FIRM).astype(np.uint8), _NEIGHBOURS).astype(bool)
    return [_bounds(pieces == piece, firm, look.view, whole) for piece in np.flatnonzero(kept)]


def core(look: Look) -> tuple[float, float]:
    """Return the middle (x, y) of what is thickest in a matte, in the frame's pixels: leaks are mostly thin.
    The middle of the view where nothing is."""
    small = cv2.resize(look.share, (_GRID, _GRID), interpolation=cv2.INTER_AREA)
    distance = cv2.distanceTransform((small > 0.5).astype(np.uint8), cv2.DIST_L2, 3)
    depth = np.minimum(distance, _GRID) ** 2  # without background it is beyond all bounds
    total, cells = depth.sum(), np.arange(_GRID) + 0.5
    view = look.view
    if not total:
        return view.x + view.width / 2, view.y + view.height / 2
    x, y = (float((depth.sum(axis) * cells).sum() / total) / _GRID for axis in (0, 1))
    return view.x + x * view.width, view.y + y * view.height


def _bounds(piece: Cells, firm: Cells, view: Box, whole: Box) -> Bounds:
    """The bounds of a piece, in the frame's pixels: those of its firm part, if it has one."""
    inner = piece & firm
    left, top, width, height = cv2.boundingRect((inner if inner.any() else piece).view(np.uint8))
    return _extended((left, top, left + width, top + height), view, whole)


def _extended(cells: tuple[int, int, int, int], view: Box, whole: Box) -> Bounds:
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
