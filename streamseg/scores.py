"""What a network's output says: the opacity of the chosen classes, and the class of every pixel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.errors import ModelError
from streamseg.frame import LabelMap
from streamseg.models.card import ModelCard
from streamseg.network_input import Placement

Plane = NDArray[np.float32]
"""(h, w), one value for every cell of the network's grid."""
Scores = NDArray[np.float32]
"""(C, h, w), one plane for every class; of a network that decides by itself (1, h, w), the ids."""

_CERTAIN = np.float32(40)
"""Log-odds whose sigmoid is 1 in float32."""


class ScoreReader:
    """Reads the outputs of one model. Keeps buffers: one thread uses it at a time."""

    def __init__(self, card: ModelCard) -> None:
        self._card = card
        self._best: Plane | None = None
        self._other: Plane | None = None

    def scores(self, output: NDArray[np.generic]) -> Scores:
        """Bring an output into one shape; a single channel becomes two classes. Raises ModelError."""
        card, found = self._card, output.shape
        planes = output[0] if output.ndim > 2 else output
        if planes.ndim == 3 and card.output.layout == "nhwc":
            planes = np.moveaxis(planes, -1, 0)
        if planes.ndim == 2:
            planes = planes[None]
        scores = np.ascontiguousarray(planes, np.float32)
        if scores.ndim == 3 and len(scores) == 1 and card.output.kind == "labels":
            return scores
        if scores.ndim == 3 and len(scores) == 1 and len(card.classes) == 2:
            other = 1 - scores if card.output.kind == "probability" else np.zeros_like(scores)
            return np.concatenate([other, scores])
        if scores.ndim != 3 or len(scores) != len(card.classes):
            raise ModelError(
                f"output {card.output.name!r} of {card.name!r} has shape {list(found)}, "
                f"its card names {len(card.classes)} classes and the layout {card.output.layout!r}"
            )
        return scores

    def alpha(self, scores: Scores, placement: Placement, chosen: Sequence[int]) -> Plane:
        """Return the summed probability of the chosen classes over the frame, 0..1, with the card's gain."""
        spec = self._card.output
        if spec.kind == "labels":
            share = np.isin(scores[0], chosen).astype(np.float32)
        elif spec.kind == "logits":
            share = log_odds(scores, chosen)
        else:
            share = _total(scores, chosen)
        share = self._placed(share, placement)
        if spec.kind == "logits":
            share = 0.5 + 0.5 * np.tanh(0.5 * share)
        alpha: Plane = np.clip((share + np.float32(spec.alpha_offset)) * np.float32(spec.alpha_gain), 0, 1)
        return alpha

    def labels(self, scores: Scores, placement: Placement, size: tuple[int, int]) -> LabelMap:
        """Return the label map of a frame of `size` (W, H): scores are interpolated first, then compared."""
        sampler = Sampler(self._card, placement, scores.shape[1:], size)
        if self._card.output.kind == "labels":
            return sampler.nearest(scores[0].astype(np.uint8))
        return self._argmax(scores, sampler)

    def _placed(self, share: Plane, placement: Placement) -> Plane:
        """Cut the frame out of the network's picture, at the picture's resolution where the grid is coarse.

            The edge of a softmax is steep: log-odds interpolated before the sigmoid keep it as sharp as
        interpolated logits would; a coarse grid's probabilities would blur it over a whole cell.
        """
        spec = self._card.input
        sampler = Sampler(self._card, placement, share.shape, (placement.width, placement.height))
        coarse = share.shape[0] < spec.height or share.shape[1] < spec.width
        if sampler.even and not (coarse and self._card.output.kind == "logits"):
            return share
        return sampler(share)

    def _argmax(self, scores: Scores, sampler: Sampler) -> LabelMap:
        first, *others = contenders(scores)
        labels = np.full(sampler.size[::-1], first, np.uint8)
        self._best = best = sampler(scores[first], self._best)
        for index in others:
            self._other = other = sampler(scores[index], self._other)
            wins = cast(NDArray[np.uint8], cv2.compare(other, best, cv2.CMP_GT))
            cv2.max(best, other, dst=best)
            # Ids ascend, so the larger id is the later winner; wins is 255 or 0.
            cv2.max(labels, np.bitwise_and(wins, np.uint8(index), out=wins), dst=labels)
        return labels


class Sampler:
    """Reads a plane of the network's grid at the pixels of a frame, bilinearly.

    Which cell a pixel falls on follows from where the frame lies on the network's input, and from whether the
    outermost cells sit on the corner pixels or the cells tile the input evenly.
    """

    def __init__(
        self, card: ModelCard, placement: Placement, grid: tuple[int, ...], size: tuple[int, int]
    ) -> None:
        """`grid`: (h, w) of the plane; `size`: (W, H) of the frame."""
        spec, corners = card.input, card.output.align_corners
        self.size = size
        covers = (placement.width, placement.height) == (spec.width, spec.height)
        self.even = covers and (not corners or grid == (spec.height, spec.width))
        """The frame fills the grid evenly: plain resizing does it, in 0.15 ms instead of 1.4 at 720p."""
        x = axis(placement.x, placement.width, spec.width, grid[1], size[0], corners)
        y = axis(placement.y, placement.height, spec.height, grid[0], size[1], corners)
        self._map = np.array([[x[0], 0, x[1]], [0, y[0], y[1]]])
        # A plane bilinear between cells that sit on pixels of the network's input loses nothing by a stop at
        # that size, and from there resizing is plain: together 0.6 ms instead of 1.4.
        inner = spec.width, spec.height
        stops = covers and not self.even and size[0] * size[1] > inner[0] * inner[1]
        on_pixels = (spec.width - 1) % max(grid[1] - 1, 1) == (spec.height - 1) % max(grid[0] - 1, 1) == 0
        self._stop = Sampler(card, placement, grid, inner) if stops and on_pixels else None

    def __call__(self, plane: Plane, out: Plane | None = None) -> Plane:
        """Return the plane at the frame's size; `out` may be overwritten for it."""
        if self._stop:
            plane = self._stop(plane)
        if self._stop or self.even:
            return cast(Plane, cv2.resize(plane, self.size, dst=out, interpolation=cv2.INTER_LINEAR))
        return cast(Plane, self._warped(plane, cv2.INTER_LINEAR, out))

    def nearest(self, ids: LabelMap) -> LabelMap:
        """Return class ids at the frame's size: each pixel takes its nearest cell's."""
        if self.even:
            return cast(LabelMap, cv2.resize(ids, self.size, interpolation=cv2.INTER_NEAREST_EXACT))
        return cast(LabelMap, self._warped(ids, cv2.INTER_NEAREST, None))

    def _warped(self, plane: Plane | LabelMap, flags: int, out: Plane | None) -> object:
        return cv2.warpAffine(
            plane,
            self._map,
            self.size,
            dst=out,
            flags=flags | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )


def log_odds(logits: Scores, chosen: Sequence[int]) -> Plane:
    """Return log(p / (1 - p)), p the softmax probability of the chosen classes together, (h, w)."""
    rest = [index for index in range(len(logits)) if index not in chosen]
    if not rest:
        return np.full(logits.shape[1:], _CERTAIN)
    odds: Plane = _log_sum_exp(logits, chosen) - _log_sum_exp(logits, rest)
    return np.clip(odds, -_CERTAIN, _CERTAIN, out=odds)


def contenders(scores: Scores) -> list[int]:
    """Return the classes that can win anywhere between the cells, in ascending order, never none.

    Inside a square of four cells a bilinear value lies between the corners' least and greatest. A class whose
    greatest is everywhere below another's least is never the largest: of 21 classes 2 to 5 are left.
    """
    square = np.ones((2, 2), np.uint8)
    bound = np.full(scores.shape[1:], -np.inf, np.float32)
    for plane in scores:
        cv2.max(bound, cv2.erode(plane, square), dst=bound)
    return [index for index, plane in enumerate(scores) if (cv2.dilate(plane, square) >= bound).any()] or [0]


def _total(scores: Scores, chosen: Sequence[int]) -> Plane:
    if len(chosen) == 1:
        return cast(Plane, scores[chosen[0]])
    return cast(Plane, scores[list(chosen)].sum(axis=0))


def _log_sum_exp(logits: Scores, indices: Sequence[int]) -> Plane:
    if len(indices) == 1:
        return cast(Plane, logits[indices[0]])
    some = logits[list(indices)]
    greatest = some.max(axis=0)
    return cast(Plane, greatest + np.log(np.exp(some - greatest).sum(axis=0)))


def axis(
    origin: int, extent: int, network: int, cells: int, pixels: int, corners: bool
) -> tuple[float, float]:
    """Return (a, b): the middle of pixel i of the frame is at cell a * i + b.

    The frame covers `extent` of the `network` input's pixels from `origin` on.
    """
    ratio = (cells - 1) / max(network - 1, 1) if corners else cells / network
    half = ratio / 2 if corners else 0.5
    step = extent / pixels
    return step * ratio, (origin + step / 2) * ratio - half
