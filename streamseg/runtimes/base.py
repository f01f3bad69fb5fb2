"""What every runtime promises: a network loaded and ready to run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from streamseg.models.card import ModelCard
    from streamseg.plans.plan import Precision
    from streamseg.sight import Sight

Tensors = Mapping[str, NDArray[np.generic]]


def blank(card: ModelCard) -> Tensors:
    """Return what a recurrent network remembers before its first frame."""
    return {state.input: np.zeros(state.shape, np.float32) for state in card.states}


class Runtime(ABC):
    """A network loaded from a model card. One thread uses it at a time."""

    name: str
    precision: Precision | None = None
    """What a plan's layers compute in; None: as the network is stored."""
    keeps_states = False
    """What a recurrent network remembers stays inside, and is neither given nor returned."""
    blind = False
    """It finds the same in whatever it is shown: looking at parts would tell nothing."""

    @property
    def failure(self) -> str | None:
        """What ended it for good; another one has to take over."""
        return None

    @abstractmethod
    def __call__(self, tensors: Tensors) -> dict[str, NDArray[np.generic]]:
        """Run the network once: input tensors by name to output tensors by name.

        Raises RuntimeFailure. The outputs may be overwritten by the next call.
        """

    def remember(self, states: Tensors) -> None:
        """Begin with these states; only for one that keeps them. Raises RuntimeFailure."""
        raise NotImplementedError

    def states(self) -> Tensors:
        """What the network remembers; only for one that keeps it. Raises RuntimeFailure."""
        raise NotImplementedError

    def sight(self, card: ModelCard, chosen: Sequence[int]) -> Sight:
        """Return what looks at frames with this network; `chosen`: ids of the classes a matte is made of."""
        from streamseg.sight import HostSight

        return HostSight(self, card, chosen)

    @abstractmethod
    def close(self) -> None:
        """Release everything; called exactly once."""
