"""What every runtime promises: a network loaded and ready to run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Tensors = Mapping[str, NDArray[np.generic]]


class Runtime(ABC):
    """A network loaded from a model card. One thread uses it at a time."""

    name: str

    @abstractmethod
    def __call__(self, tensors: Tensors) -> dict[str, NDArray[np.generic]]:
        """Run the network once: input tensors by name to output tensors by name.

        Raises RuntimeFailure. The outputs may be overwritten by the next call.
        """

    @abstractmethod
    def close(self) -> None:
        """Release everything; called exactly once."""
