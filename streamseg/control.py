"""What a viewer may ask of a run while it goes on: stop, pause, another effect. Each takes effect on the next
frame."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from streamseg.compositors import Compositor, open_compositor
from streamseg.effects import Recipe
from streamseg.frame import Frame, Matte
from streamseg.segmenter import Segmenter

_LONGEST_WAIT = 0.02
"""Seconds between looks at the keyboard while a frame is not yet due."""


class Control:
    """The strings of one run. Any thread may pull them; assignments are atomic, so no lock is needed."""

    def __init__(self) -> None:
        self.paused = False
        self.stopped = False
        self.stuck = False
        """A stage is left behind in a library that does not return."""
        self._stop: Callable[[], None] = lambda: None
        self.lingering = False
        """All stills have been read; the last one stays for its viewer."""
        self._wanted: Compositor | None = None
        self._changes = 0
        self._opened: list[Compositor] = []

    def begin(self, segmenter: Segmenter, compositor: Compositor, stop: Callable[[], None]) -> None:
        """Tie these strings to a run (called by it)."""
        self._segmenter, self._compositor, self._stop = segmenter, compositor, stop
        self._order_labels()
        if self.stopped:
            stop()

    @property
    def effect(self) -> str:
        """Name of the effect in use."""
        return self._compositor.recipe.name

    @property
    def recipe(self) -> Recipe:
        """The recipe in use, or about to be."""
        return (self._wanted or self._compositor).recipe

    def stop(self) -> None:
        """End the run in an orderly way: what has been written is finished. Safe in a signal handler."""
        self.stopped = True
        self._stop()

    def show(self, recipe: Recipe) -> None:
        """Change the effect. Its background is opened here, so what is wrong with it is raised to whoever
        asked."""
        compositor = open_compositor(
            recipe, classes=self._segmenter.classes, foreground=self._segmenter.named
        )
        self._opened.append(compositor)
        self._wanted = compositor
        self._changes += 1

    def linger(self, stills: Iterable[Frame], watched: Callable[[], bool]) -> Iterator[Frame]:
        """The same stills; then, while somebody watches, the last one again for each effect asked for (the
        source's thread)."""
        last = None
        for last in stills:
            yield last
        self.lingering, changes = True, self._changes
        while last is not None and watched():
            if changes != self._changes:
                changes = self._changes
                yield replace(last, again=True)
            time.sleep(_LONGEST_WAIT)

    def compose(self, frame: Frame, matte: Matte) -> Frame:
        """Paint a frame with the effect in use (the compositor's thread)."""
        wanted = self._wanted
        if wanted is not None and (
            matte.labels is not None or matte.failure or not wanted.recipe.needs_labels
        ):
            self._compositor = wanted
            if self._wanted is wanted:
                self._wanted = None
        self._order_labels()
        return self._compositor(frame, matte)

    def _order_labels(self) -> None:
        """Have label maps made as long as one in use needs them, and for one that waits for the first."""
        ahead = self._wanted or self._compositor
        self._segmenter.labels = self._compositor.recipe.needs_labels or ahead.recipe.needs_labels

    def paced(self, frames: Iterable[Frame], idle: Callable[[], None], *, wait: bool) -> Iterator[Frame]:
        """The same frames, held back while paused and, if `wait`, until each is due by the clock."""
        late = 0.0
        zero: float | None = None
        for frame in frames:
            while self.paused and not self.stopped:
                before = time.monotonic()
                time.sleep(_LONGEST_WAIT)
                idle()
                late += time.monotonic() - before
            if wait:
                now = time.monotonic()
                due = float(frame.time) + late
                zero = now - due if zero is None else zero
                while (left := zero + due - time.monotonic()) > 0 and not self.stopped:
                    time.sleep(min(left, _LONGEST_WAIT))
                    idle()
            yield frame

    def close(self) -> None:
        """Close the compositors opened by `show`."""
        for compositor in self._opened:
            compositor.close()
