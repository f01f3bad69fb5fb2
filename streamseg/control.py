"""What a viewer may ask of a run while it goes on: stop, pause, freeze, hide all, other settings. Each takes
effect on the next frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

from streamseg.compositors import Compositor
from streamseg.effects import Recipe
from streamseg.errors import StreamsegError, UsageError
from streamseg.frame import Frame, Matte
from streamseg.handoff import Job, OneAtATime
from streamseg.refusal import Refused
from streamseg.relief import Relief
from streamseg.segmenter import Segmenter
from streamseg.settings import Settings
from streamseg.setups import OpenSegmenter, Setup, Setups
from streamseg.sources.upright import copied
from streamseg.stats import Stats

SWITCHES = {"panic": "panic", "freeze": "frozen", "pause": "paused"}
"""What is turned on and off, in the words of commands -> attribute of Control."""


class Control:
    """The strings of one run. Any thread may pull them; assignments are atomic, and changes take turns."""

    def __init__(
        self,
        settings: Settings | None = None,
        open_segmenter: OpenSegmenter | None = None,
        *,
        latency_budget: float | None = None,
        say: Callable[[str], None] = lambda _line: None,
    ) -> None:
        """`settings`: what segmenter and compositor of the run were opened with, so that `change` knows what
        stays. `open_segmenter` loads the network of other settings; by default as the first one runs.
        `latency_budget`: milliseconds from capture to sink beyond which a live run is made easier, step by
        step (see easing.py); `say` is told of each.
        """
        self.settings = settings or Settings()
        """Those in use, or about to be."""
        self.paused = False
        """No frame is passed on."""
        self.frozen = False
        """The picture that is shown stays; time and sound go on."""
        self.panic = False
        """The background only, or black where it is made of the camera's picture."""
        self.stopped = False
        self.stuck = False
        """A stage is left behind in a library that does not return."""
        self.lingering = False
        """All stills have been read; the last one stays for its viewer."""
        self.changes = 0
        """How often settings have changed."""
        self.relief = Relief(latency_budget, swap=self._swap, say=say)
        self._stop: Callable[[], None] = lambda: None
        self._open_segmenter = open_segmenter or self._alike
        self._turn = OneAtATime()
        self._jobs: list[Job[None]] = []
        self._refused = Refused()
        self._shown: Frame | None = None
        self._setups: Setups | None = None

    def begin(
        self, segmenter: Segmenter, compositor: Compositor, stats: Stats, stop: Callable[[], None]
    ) -> None:
        """Tie these strings to a run (called by it)."""
        self._stats, self._stop = stats, stop
        self._setups = Setups(segmenter, compositor)
        if self.stopped:
            stop()

    def end(self) -> None:
        """The run is over: no picture is kept, on a card least of all (called by it)."""
        self._shown = None

    @property
    def begun(self) -> bool:
        """There is a run to change."""
        return self._setups is not None

    @property
    def effect(self) -> str:
        """Name of the effect in use."""
        return self._running.now.compositor.recipe.name

    @property
    def segmenters(self) -> list[Segmenter]:
        """Those used so far, in turn."""
        return self._running.segmenters

    def stop(self) -> None:
        """End the run in an orderly way: what has been written is finished. Safe in a signal handler."""
        self.stopped = True
        self._stop()

    def change(self, values: Mapping[str, object]) -> None:
        """Change settings, by name, to values as JSON holds them.

        Returns once all is ready for the next frame: a network is loaded and has run, a background is open.
        What is wrong is raised to whoever asked, as a StreamsegError, and nothing has changed then.
        """
        with self._turn:
            wanted = self.settings.changed(values)
            self._ask(wanted)
            self.settings = wanted
            self.changes += 1

    def change_soon(self, values: Mapping[str, object], complain: Callable[[str], None]) -> None:
        """The same without waiting; what is wrong is told to `complain`, on a thread of its own."""

        def change(_stopping: Callable[[], bool]) -> None:
            try:
                self.change(values)
            except StreamsegError as error:
                complain(str(error))

        self._spawn(change)

    def show(self, recipe: Recipe) -> None:
        """Show another recipe, whatever the settings say; as `change`."""
        with self._turn:
            self._running.show(recipe)
            self.changes += 1

    def figures(self) -> dict[str, object]:
        """Return how the run goes, ready for JSON: of the last seconds, but counts of all frames. Raises
        UsageError before it has begun."""
        now = self._running.now
        return {
            **self._stats.figures(),
            "model": now.segmenter.card.name,
            "runtime": now.segmenter.runtime,
            "effect": now.compositor.recipe.name,
        }

    def setup(self) -> Setup:
        """Return what the next frame is segmented and painted with (the segmenter's thread)."""
        return self._running.take()

    def compose(self, frame: Frame, matte: Matte, compositor: Compositor) -> Frame:
        """Return a frame as the viewer shall see it (the compositor's thread).

        Raises RuntimeFailure where the settings end the run at a frame that could not be segmented.
        """
        self._running.painting(compositor)
        if self.panic:
            return self._refused.hidden(frame, compositor)
        shown = self._shown
        if self.frozen and shown is not None and shown.size == frame.size:
            return frame.with_picture(copied(shown.picture))
        self._shown = painted = self._painted(frame, matte, compositor)
        return painted

    def _painted(self, frame: Frame, matte: Matte, compositor: Compositor) -> Frame:
        painted = compositor(frame, matte)
        if matte.failure is None:
            return painted
        return self._refused.failed(frame, matte, painted, compositor.recipe, self.settings.fail)

    def _swap(self) -> None:
        self._spawn(lambda _stopping: self._ask_again())

    def _ask_again(self) -> None:
        with self._turn, suppress(StreamsegError):  # the run goes on with the network it has
            self._ask(self.settings)

    def _ask(self, wanted: Settings) -> None:
        self._running.ask(wanted, self._open_segmenter, smaller=self.relief.smaller)

    def _spawn(self, work: Callable[[Callable[[], bool]], None]) -> None:
        self._jobs = [job for job in self._jobs if not job.ready]
        self._jobs.append(Job(work, name="change"))

    def _alike(self, settings: Settings) -> Segmenter:
        """Load a network to run as the first one of this run was asked to."""
        return self._running.now.segmenter.alike(settings.model)

    @property
    def _running(self) -> Setups:
        if self._setups is None:
            raise UsageError("the run has not begun yet; try again in a moment")
        return self._setups

    def close(self) -> None:
        """Close what was opened for changes; after the run, before what was given to it is closed."""
        self.end()  # a run that failed has not come to it
        for job in self._jobs:
            with suppress(StreamsegError):  # its asker has been told
                job.result()
        self._refused.close()
        if self._setups is not None:
            self._setups.close()
