"""Frames in, mattes out: a model, a runtime and what they remember from frame to frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Literal, cast

import cv2
import numpy as np

from streamseg import mattes
from streamseg.choice import Choice, choose
from streamseg.crop import Box, grain, placed, placed_labels
from streamseg.errors import ModelError, RuntimeFailure, UsageError, reason
from streamseg.frame import Frame, LabelMap, Matte
from streamseg.gaps import Gaps
from streamseg.gpu import driver
from streamseg.handoff import Job
from streamseg.models import find_model
from streamseg.models.card import ModelCard
from streamseg.network_input import Scaler
from streamseg.people import Look
from streamseg.runtimes import Runtime, load_runtime
from streamseg.runtimes.base import blank
from streamseg.shots import Shots
from streamseg.smoothing import Smoothing
from streamseg.tracking import Tracker, closer

if TYPE_CHECKING:
    from streamseg.gpu.surface import OnCard
    from streamseg.plans import Precision

_FASTEST = "tensorrt"
_NO_CLASS = 255
_RESERVE = "onnxruntime"
"""Takes over when the GPU fails."""


class Segmenter:
    """Finds the chosen classes in frames. One thread uses it at a time; used as a context manager, or closed.

    A failure of the network does not end a run: the frame's matte is then all clear and says why, and what a
    recurrent network or the smoothing remembered is forgotten. Stills, changes of size and gaps in time start
    afresh too.
    """

    def __init__(
        self,
        card: ModelCard | str,
        *,
        runtime: str = "auto",
        precision: Precision | None = None,
        classes: Sequence[str] = (),
        labels: bool = False,
        smooth: float | None = None,
        crop: Literal["auto", "off"] = "auto",
        refine: Literal["off", "guided"] = "off",
        threads: int | None = None,
        say: Callable[[str], None] = lambda _line: None,
    ) -> None:
        """Load the network of a card, or of the model of that name or path.

        `classes`: what a matte is made of, by name; the card's foreground without any, everything but the
        background with "all". `labels`: also make label maps; may be changed between frames. `smooth`: see
        Smoothing; None is 0.4, and 0 for a recurrent network, which remembers by itself. `crop`: with "auto"
        the network looks closely at people who are small in the frame, see Tracker; not if it is recurrent or
        tells more than two classes apart. `refine`: with "guided" mattes follow the edges of the picture, see
        mattes.refine. `precision`, `threads`: see load_runtime. `say` is told in a line when a faster runtime
        takes over: with "auto" and a GPU that has no plan yet, the processor runs the network until one is
        built. Raises UsageError, ModelError and GpuFailure.
        """
        card = find_model(card) if isinstance(card, str) else card
        self.card = card
        self.classes = card.classes
        self.labels = labels
        self.choice = choose(card, classes=classes, smooth=smooth, crop=crop, refine=refine)
        self._smoothing = Smoothing(self.choice.smooth)
        self._gaps = Gaps()
        self._luma = Scaler()
        self._aspect = card.input.width / card.input.height
        self._size = (1, 1)
        self._runtime, self._threads = runtime, threads
        self._closed = False
        self._runtimes: list[Runtime] = []
        self._used: list[str] = []
        self.precision: Precision | None = None
        """What TensorRT computed in, where it ran."""
        self._say = say
        self._abandoned = ""
        """Why no runtime is left."""
        self._use(load_runtime(card, name=runtime, precision=precision, threads=threads, say=say))
        self._better = self._upgrade(precision) if runtime == "auto" else None
        self.reset()

    @property
    def foreground(self) -> tuple[str, ...]:
        """Names of the classes a matte is made of."""
        return self.choice.foreground

    @property
    def named(self) -> tuple[str, ...]:
        """The same where they were asked for by name; else none."""
        return self.choice.named

    @property
    def runtime(self) -> str:
        """The names of the runtimes used, in turn: `tensorrt, then onnxruntime`."""
        return ", then ".join(self._used)

    def __call__(self, frame: Frame) -> Matte:
        """Return the frame's matte; raises ModelError when the output is not what the card says.

        Raises UsageError after `close`.
        """
        if self._closed:
            raise UsageError("this segmenter has been closed; open another one")
        if frame.absent:
            return self._nobody(frame)
        still = frame.name is not None
        if self._gaps(frame) or still or frame.size != self._size:
            self._size = frame.size
            self.reset()
        try:
            self._renew()
            if self._sight.failure:  # a compositor met with it first
                self._relieved()
            matte = self._segmented(frame)
            if frame.lost is not None:
                raise RuntimeFailure(frame.lost)
            return matte
        except RuntimeFailure as error:
            return self._failed(self._recovered(error))
        except (MemoryError, cv2.error) as error:
            self.reset()
            return self._failed(f"a frame could not be segmented: {reason(error)}")

    @property
    def on_card(self) -> bool:
        """The network runs on a GPU now."""
        return self._used[-1] == _FASTEST

    def alike(self, card: ModelCard | str) -> Segmenter:
        """Load another network, to be run as this one was asked to; the caller closes it."""
        return Segmenter(card, runtime=self._runtime, threads=self._threads, say=self._say)

    def adjust(self, choice: Choice) -> None:
        """Go on with another choice from the next frame on; what is remembered stays if it has a meaning."""
        before, self.choice = self.choice, choice
        self._sight.chosen = choice.ids
        if choice.smooth != before.smooth:
            self._smoothing = Smoothing(choice.smooth)
        if choice.ids != before.ids:
            self._smoothing.reset()
        if choice.closely != before.closely:
            self._tracker.restart()

    def reset(self) -> None:
        """Forget what was remembered from earlier frames."""
        self._tracker = Tracker(self._size, self._aspect)
        self._shots = Shots()
        self._smoothing.reset()
        self._fresh = True

    def close(self) -> None:
        """Release the network; a second time changes nothing."""
        if not self._closed:
            self._closed = True
            if self._better is not None:
                self._better.stop()
                with suppress(Exception):  # nobody waits for it any more
                    self._better.result().close()
            for runtime in self._runtimes:
                runtime.close()

    def __enter__(self) -> Segmenter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _segmented(self, frame: Frame) -> Matte:
        if self._fresh:
            self._sight.remember(blank(self.card))
            self._fresh = False
        look = self._sight.at(frame, labels=self.labels)
        if self._runtimes[-1].blind or not self.choice.closely:
            seen = look(self._tracker.whole)
        elif frame.name is not None:
            seen = closer(look, frame.size, self._aspect)
        else:
            if self._cut(frame):
                self._tracker.restart()
            seen = self._tracker(look)
        steady = self._smoothing(seen.share, seen.view)
        alpha = cast(mattes.Alpha, cv2.convertScaleAbs(steady, alpha=255))  # rounded to nearest
        if self.card.output.alpha_reach:
            alpha = mattes.anchored(alpha, self.card.output.alpha_reach)
        return Matte(
            self._finished(alpha, frame, seen.view),
            self._labels(seen) if self.labels else None,
            held=self._held(seen),
        )

    def _cut(self, frame: Frame) -> bool:
        """Whether a frame is the first after a cut."""
        points = self._sight.points(frame)
        return self._shots(frame.picture) if points is None else self._shots.cuts(points)

    def _held(self, seen: Look) -> OnCard | None:
        """What is on the GPU as it is here: not a matte that was changed since."""
        changed = self._smoothing.strength or self.choice.refined or self.card.output.alpha_reach
        if seen.held is not None and changed:
            return replace(seen.held, alpha=None)
        return seen.held

    def _finished(self, alpha: mattes.Alpha, frame: Frame, view: Box) -> mattes.Alpha:
        """The matte of the frame from that of the view."""
        whole = view == self._tracker.whole
        step = grain(view, frame.size, alpha.shape[::-1])
        if self.choice.refined:
            size = view.width // step[0], view.height // step[1]
            alpha = mattes.refine(alpha, self._luma(frame.picture, size, "gray", None if whole else view)[0])
        return alpha if whole else placed(alpha, view, frame.size, step)

    def _labels(self, seen: Look) -> LabelMap:
        labels = seen.labels()
        if seen.view == self._tracker.whole:
            return labels
        nobody = next(index for index in range(len(self.classes)) if index not in self.choice.ids)
        return placed_labels(labels, seen.view, self._size, nobody)

    def _use(self, runtime: Runtime) -> None:
        """Run the network there from now on."""
        self._runtimes.append(runtime)
        self._used.append(runtime.name)
        self.precision = runtime.precision or self.precision
        self._sight = runtime.sight(self.card, self.choice.ids)

    def _upgrade(self, precision: Precision | None) -> Job[Runtime] | None:
        """Begin to make a faster runtime ready, if there is one."""
        if self.runtime == _FASTEST or driver.probe().gpu is None:
            return None
        from streamseg.runtimes.upgrade import upgrade

        return upgrade(self.card, precision or "fp16")

    def _renew(self) -> None:
        """Change to the faster runtime as soon as it is ready; what is remembered goes along."""
        if self._better is None or not self._better.ready:
            return
        job, self._better = self._better, None
        before = self.runtime
        try:
            runtime = job.result()
        except Exception as error:  # whatever goes wrong in the background, the run goes on
            self._say(f"{before} goes on: {reason(error)}")
            return
        states = self._sight.states()
        self._use(runtime)
        self._runtimes.pop(0).close()
        if not self._fresh:
            self._sight.remember(states)
        self._say(f"{runtime.name} takes over from {before}")

    def _recovered(self, error: RuntimeFailure) -> str:
        """Begin afresh, with another runtime if this one has ended; return what to tell of it."""
        self.reset()
        try:
            return self._relieved() if self._sight.failure else str(error)
        except RuntimeFailure as last:
            return str(last)

    def _relieved(self) -> str:
        """Let the processor take over from a runtime that has ended; return what to tell of it."""
        failure = self._sight.failure
        if self._abandoned:
            raise RuntimeFailure(self._abandoned)
        try:
            self._use(load_runtime(self.card, name=_RESERVE, threads=self._threads))
        except ModelError as missing:
            self._abandoned = f"{failure}; nothing can take over: {missing}"
            raise RuntimeFailure(self._abandoned) from missing
        self._fresh = True
        return f"{failure}; the processor takes over"

    def _nobody(self, frame: Frame) -> Matte:
        """An all-clear matte; what comes next has nothing to do with what came before."""
        self._size = frame.size
        self.reset()
        return self._clear(self.classes.index("background") if "background" in self.classes else _NO_CLASS)

    def _failed(self, why: str) -> Matte:
        return self._clear(0, failure=why)

    def _clear(self, label: int, *, failure: str | None = None) -> Matte:
        """A matte of nothing, and a label map of one class only."""
        alpha = np.zeros((self.card.input.height, self.card.input.width), np.uint8)
        labels = np.full(self._size[::-1], label, np.uint8) if self.labels else None
        return Matte(alpha, labels, failure=failure)
