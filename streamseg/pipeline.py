"""The conductor: `run` carries frames from a source through segmenter and compositor to the sinks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TypeVar

import cv2

from streamseg.compositors import Compositor
from streamseg.control import Control
from streamseg.errors import RuntimeFailure, SinkClosed, SourceError, UsageError
from streamseg.fanout import FanOut
from streamseg.frame import Frame, Matte
from streamseg.handoff import Stages
from streamseg.pacing import lingering, paced
from streamseg.refusal import Panic
from streamseg.report import Report, report_of
from streamseg.segmenter import Segmenter
from streamseg.sinks.base import Sink
from streamseg.sources.base import Source
from streamseg.stats import Stats

T = TypeVar("T")


def run(
    source: Source,
    segmenter: Segmenter,
    compositor: Compositor,
    sinks: Sequence[Sink],
    *,
    control: Control | None = None,
    stats: Stats | None = None,
    outputs: FanOut | None = None,
    watch: Callable[[Stats], None] | None = None,
    patience: float | None = None,
) -> Report:
    """Carry every frame from `source` to `sinks` until the source ends, a viewer leaves or `control.stop()`
    is called.

    Each prefetch is a thread boundary: a live source drops the oldest frame there, a file waits and loses
    nothing. The sinks run on the calling thread, because windows want the main one; `watch` is called there
    after each frame. The segmenter makes label maps as long as the effect needs them. The sinks are closed
    here, or aborted when the run fails; everything else belongs to the caller, who finds in `stats` how far a
    run came that failed. Raises StreamsegError, among them UsageError for a compositor that knows other
    classes than the segmenter.

    `outputs` are the same sinks, where some of them have been made ready before the network was loaded.

    A library that waits for a silent network, pipe or camera cannot be interrupted; a stop waits with it.
    With `patience`, for so many seconds: if `control.stuck` then, the source must not be touched any more;
    all that is left is to end the process. Streams out run on threads of their own, are waited for at their
    end for a while, and leave `control.stuck` behind too.
    """
    control, stats, live = control or Control(), stats or Stats(), source.live
    outputs = outputs or FanOut(sinks, stats, live=live)
    with outputs, single_threaded_opencv(), Stages(patience=patience) as stages, ExitStack() as leaving:
        leaving.callback(source.interrupt)  # or a source that waits would keep the stages from ending
        control.begin(segmenter, compositor, stats, lambda: stop(stages, source, outputs))
        check_classes(segmenter, compositor)
        outputs.ready(source, control)
        panic = Panic(lambda: control.panic)
        idle = attending(outputs, source, panic)
        frames = stages.prefetch(captured(source, outputs, control, stats), name="capture", leaky=live)
        found = stages.prefetch(segmented(frames, control, stats), name="engine", leaky=live)
        painted = composited(found, control, stats)
        watched = idle if outputs.attended else None
        finished = stages.prefetch(painted, name="effect", leaky=live, idle=watched)
        due = paced(
            finished, control, idle, wait=outputs.by_the_clock and not live, miss=lambda: outputs.miss(source)
        )
        try:
            for frame in panic.checked(due):
                outputs.write(source, frame)
                stats.frames_dropped = stages.dropped + stats.frames_left_out
                control.relief.shown(frame)
                if watch:
                    watch(stats)
        except SinkClosed:
            if not (control.lingering and stats.frames_out + stats.frames_dropped == stats.frames_in):
                control.stop()
        except (SourceError, RuntimeFailure):
            outputs.keep()
            raise
        outputs.finish(source, interrupted=control.stopped)
    control.end()
    control.stuck = stages.running or outputs.stuck or source.stuck()
    return report_of(source, control, sinks, stats)


def stop(stages: Stages, source: Source, outputs: FanOut) -> None:
    """End a run early: nobody waits any more. Safe in a signal handler."""
    stages.stop()
    source.interrupt()
    outputs.interrupt()


def attending(outputs: FanOut, source: Source, panic: Panic) -> Callable[[], None]:
    """What is done now and then while no frame is due."""

    def attend() -> None:
        hidden = panic.overdue()
        if hidden is not None:
            outputs.write(source, hidden)
        outputs.idle()

    return attend


def check_classes(segmenter: Segmenter, compositor: Compositor) -> None:
    """Raise UsageError where label maps would be painted by the names of other classes."""
    chosen = set(compositor.foreground)
    asked = set(segmenter.named) or chosen
    if compositor.recipe.needs_labels and (compositor.classes != segmenter.classes or asked != chosen):
        raise UsageError(
            f"effect {compositor.recipe.name!r} would not paint the classes of model "
            f"{segmenter.card.name!r}; open the compositor with classes=segmenter.classes and "
            "foreground=segmenter.named"
        )


@contextmanager
def single_threaded_opencv() -> Iterator[None]:
    """Keep OpenCV's own threads away for the length of a run: the stages fill the cores already."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def captured(source: Source, outputs: FanOut, control: Control, stats: Stats) -> Iterator[Frame]:
    """The frames to be shown: the source's; stills remain while somebody watches."""
    frames = addressed(counted(source, stats), outputs)
    if source.stills:
        frames = lingering(frames, control, lambda: outputs.paces and not source.interrupted)
    return control.relief.wanted(frames, stats)


def addressed(frames: Iterable[Frame], outputs: FanOut) -> Iterator[Frame]:
    """The same frames, which know who will take them."""
    for frame in frames:
        frame.stays = outputs.takes_card
        yield frame


def counted(source: Source, stats: Stats) -> Iterator[Frame]:
    """The source's frames, counted."""
    for frame in timed(source, stats, "capture"):
        stats.frames_in += not frame.absent
        stats.frames_absent += frame.absent
        stats.frames_repaired += frame.repaired
        yield frame


def segmented(
    frames: Iterable[Frame], control: Control, stats: Stats
) -> Iterator[tuple[Frame, Matte, Compositor]]:
    """Each frame with its own matte, and what paints both."""
    for frame in frames:
        setup = control.setup()
        with stats.timed("segment"):
            matte = control.relief.segment(frame, setup)
        if matte.failure:
            stats.fail(matte.failure)
        yield frame, matte, setup.compositor


def composited(
    found: Iterable[tuple[Frame, Matte, Compositor]], control: Control, stats: Stats
) -> Iterator[Frame]:
    """Each frame as the viewer shall see it."""
    for frame, matte, compositor in found:
        with stats.timed("composite"):
            finished = control.compose(frame, matte, compositor)
        if matte.failure:
            stats.frames_failed += not frame.again
            stats.fail(matte.failure)
        yield finished


def timed(items: Iterable[T], stats: Stats, stage: str) -> Iterator[T]:
    """The same items; how long each took to come is measured."""
    iterator = iter(items)
    end = object()
    while True:
        with stats.timed(stage):
            item = next(iterator, end)
        if item is end:
            return
        yield item  # type: ignore[misc]  # it is no T only at the end
