"""How a network sees frames: what goes in is made of them, and what comes out is read.

Here is the way through the processor; gpu/sight.py has the one on the card.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamseg.crop import Box
from streamseg.errors import RuntimeFailure
from streamseg.frame import Frame, LabelMap
from streamseg.network_input import NetworkInput
from streamseg.people import Look
from streamseg.scores import ScoreReader

if TYPE_CHECKING:
    from streamseg.models.card import ModelCard
    from streamseg.runtimes.base import Runtime, Tensors

Glance: TypeAlias = Callable[[Box], Look]
"""Runs the network on a part of a frame. Raises RuntimeFailure and ModelError."""


class Sight(ABC):
    """A network that looks at frames. One thread uses it at a time; who opened its runtime closes that."""

    chosen: Sequence[int]
    """Ids of the classes a matte is made of; may be changed between frames."""

    @property
    def failure(self) -> str | None:
        """What ended it for good; another one has to take over."""
        return None

    @abstractmethod
    def at(self, frame: Frame, *, labels: bool) -> Glance:
        """Return what looks at a frame; `labels`: label maps are wanted too."""

    def points(self, frame: Frame) -> NDArray[np.uint8] | None:  # noqa: ARG002  (for the card)
        """Luma of pixels for Shots.cuts, where that saves bringing the frame down from a card; else None.

        Raises RuntimeFailure.
        """
        return None

    @abstractmethod
    def remember(self, states: Tensors) -> None:
        """Begin with these states, by the names of the inputs they are given to. Raises RuntimeFailure."""

    @abstractmethod
    def states(self) -> Tensors:
        """What the network remembers, by the same names. Raises RuntimeFailure."""


class HostSight(Sight):
    """A network that takes and gives arrays."""

    def __init__(self, runtime: Runtime, card: ModelCard, chosen: Sequence[int]) -> None:
        """`chosen`: ids of the classes a matte is made of."""
        self._runtime, self._card, self.chosen = runtime, card, chosen
        self._input = NetworkInput(card.input)
        self._reader = ScoreReader(card)
        self._states: dict[str, NDArray[np.generic]] = {}

    def at(self, frame: Frame, *, labels: bool) -> Glance:
        """Return what looks at a frame."""
        return lambda view: self._look(frame, view, labels=labels)

    def remember(self, states: Tensors) -> None:
        """Begin with these states."""
        if self._runtime.keeps_states:
            self._runtime.remember(states)
        else:
            self._states = dict(states)

    def states(self) -> Tensors:
        """What the network remembers."""
        return self._runtime.states() if self._runtime.keeps_states else self._states

    @property
    def failure(self) -> str | None:
        """What ended the runtime for good."""
        return self._runtime.failure

    def _look(self, frame: Frame, view: Box, *, labels: bool) -> Look:
        whole = (view.width, view.height) == frame.size
        tensor, placement = self._input(frame.picture, None if whole else view)
        outputs = self._runtime({self._card.input.name: tensor, **self._states})
        if not self._runtime.keeps_states:
            self._states = {state.input: outputs[state.output] for state in self._card.states}
        scores = self._reader.scores(outputs[self._card.output.name])
        with np.errstate(invalid="ignore"):  # infinities of both signs add up to no number: looked for here
            total = scores.sum(dtype=np.float64)
        if not np.isfinite(total):
            raise RuntimeFailure("the network's output is not finite")
        share = self._reader.alpha(scores, placement, self.chosen)
        # The next look may overwrite the runtime's outputs.
        kept = scores.copy() if labels else scores

        def label_map() -> LabelMap:
            return self._reader.labels(kept, placement, (view.width, view.height))

        return Look(view, share, label_map)
