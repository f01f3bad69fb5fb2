"""No network at all: for tests, and for measuring everything else."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from streamseg.runtimes.base import Runtime, Tensors

if TYPE_CHECKING:
    from streamseg.models.card import ModelCard

RADIUS = 0.35
"""Of the disc, as a share of the smaller side of the network's input."""

_LOGIT = 10.0
"""Distance between the classes' logits: a probability of 0.99995."""


class NullRuntime(Runtime):
    """Finds a centred disc of the card's first foreground class on every picture, whatever it shows.

    The picture counts as the network sees it: on a frame that was stretched the disc is an ellipse.
    """

    name = "null"
    blind = True

    def __init__(
        self,
        card: ModelCard,
        threads: int | None = None,  # noqa: ARG002  (has none)
        say: Callable[[str], None] = lambda _line: None,  # noqa: ARG002  (nothing takes long)
    ) -> None:
        """Draw the disc once; needs no weights."""
        self._outputs: dict[str, NDArray[np.generic]] = {card.output.name: _scores(card)}
        for state in card.states:
            self._outputs[state.output] = np.zeros(state.shape, np.float32)

    def __call__(self, tensors: Tensors) -> dict[str, NDArray[np.generic]]:  # noqa: ARG002  (looks at nothing)
        """Return the same outputs each time."""
        return self._outputs

    def close(self) -> None:
        """Nothing to release."""


def _scores(card: ModelCard) -> NDArray[np.generic]:
    """The disc in the shape, layout and meaning of the card's output."""
    disc = _disc(card.input.width, card.input.height)
    figure = card.classes.index(card.foreground[0])
    ground = 0 if figure else 1
    if card.output.kind == "labels":
        return np.where(disc > 0.5, figure, ground).astype(np.int64)[None]
    if len(card.classes) == 2:
        shares = (disc if figure else 1 - disc)[None]
    else:
        shares = np.zeros((len(card.classes), *disc.shape), np.float32)
        shares[figure], shares[ground] = disc, 1 - disc
    scores = (2 * shares - 1) * _LOGIT if card.output.kind == "logits" else shares
    return scores[None] if card.output.layout == "nchw" else np.moveaxis(scores, 0, -1)[None]


def _disc(width: int, height: int) -> NDArray[np.float32]:
    """(h, w) 1 inside, 0 outside, an edge of one pixel between."""
    x = np.arange(width, dtype=np.float32) - (width - 1) / 2
    y = np.arange(height, dtype=np.float32) - (height - 1) / 2
    inside = RADIUS * min(width, height) - np.hypot(x, y[:, None])
    disc: NDArray[np.float32] = np.clip(inside + np.float32(0.5), 0, 1)
    return disc
