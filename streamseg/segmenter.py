"""Frames in, mattes out: a model, a runtime and what they remember from frame to frame."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from streamseg.errors import RuntimeFailure, UsageError
from streamseg.frame import Frame, Matte
from streamseg.models.card import ModelCard
from streamseg.network_input import NetworkInput
from streamseg.runtimes import load_runtime
from streamseg.scores import Plane, ScoreReader

_EVERY = "all"


class Segmenter:
    """Finds the chosen classes in frames. One thread uses it at a time; used as a context manager, or closed.

    A failure of the network does not end a run: the frame's matte is then all clear and says why, and what a
    recurrent network or the smoothing remembered is forgotten. Stills and changes of size start afresh too.
    """

    def __init__(
        self,
        card: ModelCard,
        *,
        runtime: str = "auto",
        classes: Sequence[str] = (),
        labels: bool = False,
        smooth: float = 0.0,
        threads: int | None = None,
    ) -> None:
        """Load the card's network.

        `classes`: what a matte is made of, by name; the card's foreground without any, everything but the
        background with "all". `labels`: also make label maps; may be changed between frames. `smooth`: see
        Smoothing. `threads`: see load_runtime. Raises UsageError and ModelError.
        """
        self.card = card
        self.classes = card.classes
        self.foreground = chosen_classes(card, classes)
        self.named = self.foreground if classes else ()
        self.labels = labels
        self._chosen = [card.classes.index(name) for name in self.foreground]
        self._smoothing = Smoothing(smooth)
        self._input = NetworkInput(card.input)
        self._reader = ScoreReader(card)
        self._size = (0, 0)
        self._runtime = load_runtime(card, name=runtime, threads=threads)
        self.reset()

    @property
    def runtime(self) -> str:
        """The name of the runtime in use."""
        return self._runtime.name

    def __call__(self, frame: Frame) -> Matte:
        """Return the frame's matte; raises ModelError when the output is not what the card says."""
        if frame.name is not None or frame.size != self._size:
            self.reset()
        self._size = frame.size
        try:
            return self._segmented(frame)
        except RuntimeFailure as error:
            self.reset()
            return self._failed(str(error))

    def reset(self) -> None:
        """Forget what was remembered from earlier frames."""
        self._smoothing.reset()
        self._states: dict[str, NDArray[np.generic]] = {
            state.input: np.zeros(state.shape, np.float32) for state in self.card.states
        }

    def close(self) -> None:
        """Release the network."""
        self._runtime.close()

    def __enter__(self) -> Segmenter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _segmented(self, frame: Frame) -> Matte:
        tensor, placement = self._input(frame.picture)
        outputs = self._runtime({self.card.input.name: tensor, **self._states})
        self._states = {state.input: outputs[state.output] for state in self.card.states}
        scores = self._reader.scores(outputs[self.card.output.name])
        share = self._reader.alpha(scores, placement, self._chosen)
        if not np.isfinite(share).all():
            raise RuntimeFailure("the network's output is not finite")
        alpha = np.rint(self._smoothing(share) * np.float32(255)).astype(np.uint8)
        return Matte(alpha, self._reader.labels(scores, placement, frame.size) if self.labels else None)

    def _failed(self, why: str) -> Matte:
        width, height = self._size
        labels = np.zeros((height, width), np.uint8) if self.labels else None
        return Matte(np.zeros((self.card.input.height, self.card.input.width), np.uint8), labels, failure=why)


class Smoothing:
    """Steadies a matte over time: each new one is mixed with what came before.

    What was there keeps a share where little changes, none where a pixel changes by half or more: edges stop
    flickering and nothing that moves leaves a ghost.
    """

    def __init__(self, strength: float) -> None:
        """`strength`: 0 (off) to 1 (a small change takes twenty frames); raises UsageError."""
        if not 0 <= strength <= 1:
            raise UsageError(f"smoothing of {strength!r} is not possible; pass 0 (off) to 1 (slowest)")
        self._strength = np.float32(0.95 * strength)
        self._steady: Plane | None = None

    def __call__(self, share: Plane) -> Plane:
        """Return the steadied matte, (h, w) in 0..1."""
        if not self._strength or self._steady is None or self._steady.shape != share.shape:
            self._steady = share
        else:
            past = self._steady - share
            self._steady = share + past * (self._strength * np.clip(1 - 2 * np.abs(past), 0, 1))
        return self._steady

    def reset(self) -> None:
        """Forget the past."""
        self._steady = None


def chosen_classes(card: ModelCard, names: Sequence[str]) -> tuple[str, ...]:
    """Return the classes a matte is made of, in the card's order; raises UsageError for an unknown name."""
    if not names:
        return card.foreground
    if list(names) == [_EVERY] and _EVERY not in card.classes:
        return tuple(name for name in card.classes if name != "background")
    for name in names:
        if name not in card.classes:
            known = ", ".join(card.classes)
            raise UsageError(f"no class {name!r} in model {card.name!r}; it knows: {known} (or 'all')")
    return tuple(name for name in card.classes if name in names)
