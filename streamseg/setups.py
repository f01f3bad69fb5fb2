"""What frames are segmented and painted with, and how one run goes from one such setup to the next."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

import av

from streamseg.choice import Choice, choose
from streamseg.compositors import Compositor, open_compositor
from streamseg.effects import Recipe
from streamseg.frame import Frame
from streamseg.segmenter import Segmenter
from streamseg.settings import Settings

OpenSegmenter = Callable[[Settings], Segmenter]
"""Loads the network of settings."""


@dataclass(frozen=True, slots=True)
class Setup:
    """A segmenter and the compositor for its classes. They go together: no frame is painted by the names of
    another network's classes."""

    segmenter: Segmenter
    choice: Choice
    compositor: Compositor


class Setups:
    """The setups of one run, in turn.

    Whoever asks makes one; the segmenter's thread takes the last one before a frame; the compositor's thread
    closes those no frame will come from any more.

    A network is loaded once: going back to it is free. Those given at the start belong to the caller.
    """

    def __init__(self, segmenter: Segmenter, compositor: Compositor) -> None:
        self._now = Setup(segmenter, segmenter.choice, compositor)
        self._last = self._now
        self._asked: deque[Setup] = deque()
        self._segmenters = {segmenter.card.name: segmenter}
        self._opened: list[Segmenter] = []
        self._compositors: list[Compositor] = []
        self._painting = compositor
        self.models = [segmenter.card.name]
        """Names of the networks used, in turn."""

    @property
    def now(self) -> Setup:
        """What the next frame is segmented with, or has been since the last change."""
        return self._now

    @property
    def segmenters(self) -> list[Segmenter]:
        """All that were in use."""
        return [self._segmenters[name] for name in dict.fromkeys(self.models)]

    def ask(self, wanted: Settings, open_segmenter: OpenSegmenter, *, smaller: bool = False) -> None:
        """Make ready what `wanted` takes, for the next frame; one caller at a time.

        `smaller`: with the network that is the smaller one of its model, where there is one. Raises
        StreamsegError, and all stays as it was.
        """
        recipe = wanted.recipe()
        segmenter = self._segmenter(wanted, open_segmenter)
        if smaller and segmenter.card.smaller is not None:
            segmenter = self._segmenter(replace(wanted, model=segmenter.card.smaller), open_segmenter)
        choice = choose(
            segmenter.card,
            classes=wanted.classes,
            smooth=wanted.smooth,
            crop=wanted.crop,
            refine=wanted.refine,
        )
        self._ask(recipe, segmenter, choice)

    def show(self, recipe: Recipe) -> None:
        """Make another recipe ready for the next frame, and change nothing else; as `ask`."""
        last = self._last
        self._ask(recipe, last.segmenter, last.choice)

    def take(self) -> Setup:
        """Return what the next frame is segmented with (the segmenter's thread)."""
        before = self._now
        while self._asked:
            passed, self._now = self._now, self._asked.popleft()
            if passed is not before and passed.compositor not in (before.compositor, self._now.compositor):
                self._close(passed.compositor)  # no frame was ever painted with it
        now = self._now
        if now is not before:
            self._begin(now, before)
        now.segmenter.labels = now.compositor.recipe.needs_labels
        return now

    def painting(self, compositor: Compositor) -> None:
        """Frames are painted with this one from now on (the compositor's thread)."""
        if compositor is not self._painting:
            self._close(self._painting)
            self._painting = compositor

    def close(self) -> None:
        """Close what was opened here, compositors first: they use what segmenters have on a GPU."""
        for compositor in [*self._compositors]:
            self._close(compositor)
        for segmenter in self._opened:
            segmenter.close()
        self._opened.clear()

    def _segmenter(self, wanted: Settings, open_segmenter: OpenSegmenter) -> Segmenter:
        """The network of settings, warm."""
        known = self._segmenters.get(wanted.model)
        if known is not None:
            return known
        segmenter = open_segmenter(wanted)
        self._opened.append(segmenter)
        _warm(segmenter)
        self._segmenters[wanted.model] = self._segmenters[segmenter.card.name] = segmenter
        return segmenter

    def _ask(self, recipe: Recipe, segmenter: Segmenter, choice: Choice) -> None:
        last = self._last
        compositor = last.compositor
        asked = recipe, segmenter.classes, choice.named
        if asked != (compositor.recipe, last.segmenter.classes, last.choice.named):
            compositor = open_compositor(recipe, classes=segmenter.classes, foreground=choice.named)
            self._compositors.append(compositor)
        self._last = Setup(segmenter, choice, compositor)
        self._asked.append(self._last)

    def _begin(self, now: Setup, before: Setup) -> None:
        now.segmenter.adjust(now.choice)
        if now.segmenter is not before.segmenter:
            now.segmenter.reset()
            self.models.append(now.segmenter.card.name)

    def _close(self, compositor: Compositor) -> None:
        if compositor in self._compositors:
            self._compositors.remove(compositor)
            compositor.close()


def _warm(segmenter: Segmenter) -> None:
    """Run a network once: the first run of some takes longer."""
    picture = av.VideoFrame(64, 64, "gray")
    picture.pts, picture.time_base = 0, Fraction(1)
    segmenter(Frame(picture, 0.0))
    segmenter.reset()
