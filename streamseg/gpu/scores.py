"""A network's output on the card: its matte and its label map, as scores.py reads them on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from streamseg.errors import ModelError
from streamseg.gpu.jobs import AXIS, SCORE_KINDS, SCORES, Record, struct
from streamseg.gpu.mattes import CardAlpha, Table
from streamseg.gpu.slot import Slot
from streamseg.models.card import ModelCard
from streamseg.network_input import Placement
from streamseg.scores import axis


@dataclass(frozen=True, slots=True)
class CardTensor:
    """An output of a network on the card, without padding."""

    address: int
    shape: tuple[int, ...]
    half: bool
    """float16, else float32."""


class CardScoreReader:
    """Reads the outputs of one model."""

    def __init__(self, card: ModelCard) -> None:
        self._card = card

    def alpha(
        self, slot: Slot, output: CardTensor, placement: Placement, chosen: Sequence[int]
    ) -> tuple[CardAlpha, int]:
        """Queue the 8-bit matte of the chosen classes, as large as ScoreReader.alpha's.

        Also returns the address of an int32 that is 1 afterwards if a score was not finite: the frame has
        then failed. Raises ModelError.
        """
        spec, scores = self._card.output, self._scores(output)
        wide, high = int(scores["width"]), int(scores["height"])
        share = slot.memory("share", 4 * wide * high)
        broken = slot.upload("broken", [np.zeros(1, np.int32)])[0]
        table = slot.table("chosen", _table(chosen))
        slot.launch("share_of_chosen", (wide, high), scores=scores, chosen=table, share=share, broken=broken)
        size = self._size(placement, wide, high)
        across, down = self._axes(placement, (wide, high), size)
        made = CardAlpha(slot.memory("matte", size[0] * size[1]), *size)
        slot.launch(
            "matte",
            size,
            share=share,
            alpha=made.address,
            x=across,
            y=down,
            offset=spec.alpha_offset,
            gain=spec.alpha_gain,
            logits=spec.kind == "logits",
            cells_wide=wide,
            cells_high=high,
            width=size[0],
            height=size[1],
        )
        return made, broken

    def labels(
        self,
        slot: Slot,
        output: CardTensor,
        placement: Placement,
        size: tuple[int, int],
        opacities: Table | None = None,
    ) -> tuple[CardAlpha, CardAlpha | None]:
        """Queue the label map of a frame of `size` (W, H): the argmax of scores interpolated to its pixels.

        With `opacities`, (256,) by class id, a matte at the frame's size is made of it in the same pass.
        Raises ModelError.
        """
        scores = self._scores(output)
        ids = CardAlpha(slot.memory("label map", size[0] * size[1]), *size)
        alpha = None
        if opacities is not None:
            alpha = CardAlpha(slot.memory("label matte", size[0] * size[1]), *size)
        across, down = self._axes(placement, (int(scores["width"]), int(scores["height"])), size)
        slot.launch(
            "labels",
            size,
            scores=scores,
            x=across,
            y=down,
            labels=ids.address,
            alpha=alpha.address if alpha else 0,
            opacities=0 if opacities is None else slot.table("opacities", opacities),
            width=size[0],
            height=size[1],
        )
        return ids, alpha

    def _scores(self, output: CardTensor) -> Record:
        """The output as kernels take it; raises ModelError where it is not what the card says."""
        card, spec = self._card, self._card.output
        shape = output.shape[1:] if len(output.shape) > 2 else output.shape
        if len(shape) == 2:
            shape = (1, *shape) if spec.layout == "nchw" else (*shape, 1)
        channels, high, wide = shape if spec.layout == "nchw" else (shape[-1], *shape[:-1])
        alone = channels == 1 and (spec.kind == "labels" or len(card.classes) == 2)
        if not alone and channels != len(card.classes):
            raise ModelError(
                f"output {spec.name!r} of {card.name!r} has shape {list(output.shape)}, "
                f"its card names {len(card.classes)} classes and the layout {spec.layout!r}"
            )
        steps = (high * wide, wide, 1) if spec.layout == "nchw" else (1, wide * channels, channels)
        return struct(
            SCORES,
            data=output.address,
            half=output.half,
            kind=SCORE_KINDS.index(spec.kind),
            classes=2 if alone else channels,
            alone=alone,
            width=wide,
            height=high,
            class_step=steps[0],
            row_step=steps[1],
            column_step=steps[2],
        )

    def _size(self, placement: Placement, wide: int, high: int) -> tuple[int, int]:
        """That of the grid where the frame fills it evenly, else that of the placement."""
        spec, output = self._card.input, self._card.output
        covers = (placement.width, placement.height) == (spec.width, spec.height)
        even = covers and (not output.align_corners or (high, wide) == (spec.height, spec.width))
        coarse = high < spec.height or wide < spec.width
        if even and not (coarse and output.kind == "logits"):
            return wide, high
        return placement.width, placement.height

    def _axes(
        self, placement: Placement, grid: tuple[int, int], size: tuple[int, int]
    ) -> tuple[Record, Record]:
        """Where the pixels of a picture of `size` (w, h) lie on the grid (w, h)."""
        spec, corners = self._card.input, self._card.output.align_corners
        across = axis(placement.x, placement.width, spec.width, grid[0], size[0], corners)
        down = axis(placement.y, placement.height, spec.height, grid[1], size[1], corners)
        return _record(across), _record(down)


def _record(mapping: tuple[float, float]) -> Record:
    return struct(AXIS, step=mapping[0], start=mapping[1])


def _table(chosen: Sequence[int]) -> Table:
    table = np.zeros(256, np.uint8)
    table[list(chosen)] = 1
    return table
