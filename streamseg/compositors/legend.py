"""The names of the classes in a picture, in its lower left corner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.colour import overlay_palette
from streamseg.compositors.convert import Converter
from streamseg.compositors.planes import Canvas, window
from streamseg.frame import LabelMap
from streamseg.pictures import planes

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_PANEL, _TEXT = (28, 28, 30), (245, 245, 245)

_SMALLEST_SHARE = 0.002
"""Share of the picture below which a class is noise, not worth a name."""


class Legend:
    """Draws the legend; keeps the panel until other classes appear."""

    def __init__(self, classes: Sequence[str]) -> None:
        self._classes = classes
        self._key: tuple[Canvas, tuple[int, ...]] | None = None
        self._panel: av.VideoFrame | None = None

    def draw(
        self, picture: av.VideoFrame, canvas: Canvas, labels: LabelMap, painted: NDArray[np.uint8]
    ) -> None:
        """Draw the names of the classes in `labels` that are `painted` ((256,) 0 or 255 by id).

        `labels` may be thinned out: only their shares count.
        """
        counts = np.bincount(labels.ravel(), minlength=256)
        wanted = (counts >= max(1, _SMALLEST_SHARE * counts.sum())) & (painted > 0)
        present = tuple(int(label) for label in np.flatnonzero(wanted[: len(self._classes)]))
        if (canvas, present) != self._key:
            self._key, self._panel = (canvas, present), self._made(canvas, present)
        if self._panel is not None:
            _paste(self._panel, picture)

    def _made(self, canvas: Canvas, present: Sequence[int]) -> av.VideoFrame | None:
        """The panel in the canvas' pixel format; None where there is nothing to name or no room."""
        rows = [
            (self._classes[label], tuple(int(code) for code in overlay_palette()[label])) for label in present
        ]
        panel = panel_of(rows, canvas.width, canvas.height)
        if panel is None:
            return None
        height, width, _ = panel.shape
        picture = av.VideoFrame.from_ndarray(panel, format="rgb24")
        return Converter().fill(replace(canvas, width=width, height=height), picture)


def panel_of(
    rows: Sequence[tuple[str, tuple[int, ...]]], width: int, height: int
) -> NDArray[np.uint8] | None:
    """Return a (h, w, 3) RGB panel of names and colours for a picture of `width` x `height`.

    Text is a thirtieth of the shorter side high, but never less than 10 pixels, where it can just be read.
    The panel has as many rows as fit; None where there is room for none.
    """
    line = max(10, round(min(width, height) / 30))
    row, gap = round(line * 1.7), round(line * 0.7)
    scale = cv2.getFontScaleFromHeight(_FONT, round(line * 0.75))
    thickness = max(1, round(line / 14))
    longest = max((cv2.getTextSize(name, _FONT, scale, thickness)[0][0] for name, _ in rows), default=0)
    across = _whole(3 * gap + line + longest)
    fitting = rows[: (height - 2 * gap) // row]
    if not fitting or across + gap > width:
        return None
    panel = np.full((_whole(gap + row * len(fitting)), across, 3), _PANEL, np.uint8)
    for index, (name, colour) in enumerate(fitting):
        top = gap // 2 + row * index + (row - line) // 2
        cv2.rectangle(panel, (gap, top), (gap + line - 1, top + line - 1), colour, cv2.FILLED)
        cv2.putText(
            panel,
            name,
            (2 * gap + line, top + round(line * 0.84)),
            _FONT,
            scale,
            _TEXT,
            thickness,
            cv2.LINE_AA,
        )
    return panel


def _whole(length: int) -> int:
    """The next multiple of four: a whole number of chroma samples in every format."""
    return -(-length // 4) * 4


def _paste(panel: av.VideoFrame, picture: av.VideoFrame) -> None:
    """Copy the panel into the lower left corner, a little away from the edges."""
    margin = max(1, picture.height // 60)
    left = min(margin, picture.width - panel.width)
    top = max(0, picture.height - panel.height - margin)
    for source, target in zip(
        planes(panel), window(picture, left, top, panel.width, panel.height), strict=True
    ):
        np.copyto(target, source)
