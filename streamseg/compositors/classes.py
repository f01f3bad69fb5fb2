"""Which classes a recipe shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.effects import Invert, Recipe
from streamseg.errors import UsageError
from streamseg.frame import LabelMap, Matte

_VOID = 255
"""Id that label maps give to pixels of no class, or one not told, in Pascal VOC, Cityscapes and elsewhere."""

Table = NDArray[np.uint8]
"""(256,), by class id."""


class Classes:
    """A network's classes, and those of them that are chosen."""

    def __init__(self, recipe: Recipe, names: Sequence[str], foreground: Sequence[str]) -> None:
        """`names` in the order of their ids, `foreground` the chosen ones (none: all but "background").

        Raises UsageError for an unknown one.
        """
        self._recipe = recipe
        self.names = tuple(names)
        self.foreground = tuple(foreground) or tuple(name for name in names if name != "background")
        """The chosen ones."""
        self.many = len(names) > 2
        """More than one beside the background."""
        self.decide = recipe.output == "labels" or (recipe.needs_labels and self.many)
        """What is shown follows from the label map."""
        self.chosen = _chosen(self.names, self.foreground)
        """255 for each chosen class, 0 for others."""
        self.shown = ~self.chosen if Invert() in recipe.operations else self.chosen
        """The same for those the recipe shows."""
        self.nothing = _nothing(self.names, self.shown)
        """The id for pixels whose class is not shown."""
        self.shown_ids: Table = np.where(self.shown > 0, np.arange(256), self.nothing).astype(np.uint8)
        """Each id, or `nothing` where it is not shown."""

    def require(self, matte: Matte) -> None:
        """Raise UsageError for a matte without the label map that the recipe needs, unless it failed."""
        if self.decide and matte.labels is None and matte.failure is None:
            raise UsageError(
                f"effect {self._recipe.name!r} needs label maps; open the segmenter with labels=True"
            )

    def shown_labels(self, matte: Matte, size: tuple[int, int]) -> LabelMap:
        """Its label map, (H, W) for a frame of `size` (W, H), with `nothing` where a class is not shown, and
        everywhere if the matte failed."""
        if matte.failure is not None or matte.labels is None:
            return np.full(size[::-1], self.nothing, np.uint8)
        return cast(LabelMap, cv2.LUT(matte.labels, self.shown_ids))


def _nothing(classes: Sequence[str], shown: Table) -> int:
    """The id of the background, unless it is itself shown."""
    background = classes.index("background") if "background" in classes else _VOID
    return _VOID if shown[background] else background


def _chosen(classes: Sequence[str], names: Sequence[str]) -> Table:
    """255 for the id of each class named, 0 for others."""
    unknown = [name for name in names if name not in classes]
    if unknown:
        raise UsageError(f"no class {unknown[0]!r} in this model; it knows: {', '.join(classes)}")
    table = np.zeros(256, np.uint8)
    table[[classes.index(name) for name in names]] = 255
    return table
