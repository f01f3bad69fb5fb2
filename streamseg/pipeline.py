"""The conductor: `run` carries frames from a source through segmenter and compositor to the sinks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TypeVar

import cv2

from streamseg.compositors import Compositor
from streamseg.control import Control
from streamseg.errors import RuntimeFailure, SinkClosed, SourceError, UsageError
from streamseg.fanout import FanOut, notes_of
from streamseg.frame import Frame, Matte
from streamseg.handoff import Stages
from streamseg.pacing import lingering, paced
from streamseg.segmenter import Segmenter
from streamseg.sinks.base import Sink
from streamseg.sources.base import Source
from streamseg.stats import Report, Stats, peak_rss_mb

T = TypeVar("T")


def run(
    source: Source,
    segmenter: Segmenter,
    compositor: Compositor,
    sinks: Sequence[Sink],
    *,
    control: Control | None = None,
    stats: Stats | None = None,
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

    A library that waits for a silent network, pipe or camera cannot be interrupted; a stop waits with it.
    With `patience`, for so many seconds: if `control.stuck` then, the source must not be touched any more;
    all that is left is to end the process. Streams out run on threads of their own, are waited for at their
    end for a while, and leave `control.stuck` behind too.
    """
    control = control or Control()
    stats = stats or Stats()
    outputs = FanOut(sinks, stats, live=source.live)
    with outputs, single_threaded_opencv(), Stages(patience=patience) as stages, ExitStack() as leaving:
        leaving.callback(source.interrupt)  # or a source that waits would keep the stages from ending

        def stop() -> None:
            stages.stop()
            source.interrupt()
            outputs.interrupt()

        control.begin(segmenter, compositor, stats, stop)
        check_classes(segmenter, compositor)
        outputs.ready(source, control)
        read = captured(source, stats)
        if source.stills:
            read = lingering(read, control, lambda: outputs.paces and not source.interrupted)
        frames = stages.prefetch(control.relief.wanted(read, stats), name="capture", leaky=source.live)
        found = stages.prefetch(segmented(frames, control, stats), name="engine", leaky=source.live)
        idle = outputs.idle if outputs.paces else None
        finished = stages.prefetch(
            composited(found, control, stats), name="effect", leaky=source.live, idle=idle
        )
        wait = (outputs.paces or outputs.realtime) and not source.live
        try:
            for frame in paced(finished, control, outputs.idle, wait=wait):
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
    control.stuck = stages.running or outputs.stuck or source.stuck()
    return report(source, control, sinks, stats)


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


def captured(source: Source, stats: Stats) -> Iterator[Frame]:
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


def report(source: Source, control: Control, sinks: Sequence[Sink], stats: Stats) -> Report:
    """Sum a run up that has ended, well or not."""
    sounds = {sink.audio for sink in sinks}
    shifts = [sink.av_offset_ms for sink in sinks if sink.av_offset_ms is not None]
    latency = stats.latency
    precisions = [segmenter.precision for segmenter in control.segmenters]
    return Report(
        source=source.uri,
        sinks=[sink.uri for sink in sinks],
        model=", then ".join(segmenter.card.name for segmenter in control.segmenters),
        runtime=", then ".join(dict.fromkeys(segmenter.runtime for segmenter in control.segmenters)),
        precision=", then ".join(dict.fromkeys(found for found in precisions if found)) or None,
        effect=control.effect,
        frames_in=stats.frames_in,
        frames_out=stats.frames_out,
        frames_dropped=stats.frames_dropped,
        sinks_dropped=[sink.dropped for sink in sinks],
        frames_repaired=stats.frames_repaired,
        frames_failed=stats.frames_failed,
        frames_absent=stats.frames_absent,
        duration_s=round(stats.position, 6),
        wall_s=round(stats.wall, 3),
        fps=round(stats.fps, 2),
        first_frame_s=None if stats.first_frame is None else round(stats.first_frame - stats.started, 3),
        latency_ms={
            **{f"p{q}": latency.milliseconds(q / 100) for q in (50, 95, 99)},
            "max": latency.largest_milliseconds,
        },
        stage_ms={
            stage: {f"p{q}": times.milliseconds(q / 100) for q in (50, 95)}
            for stage, times in stats.stages.items()
        },
        pts_exact=all(sink.pts_exact for sink in sinks),
        audio=next((kind for kind in ("copied", "encoded") if kind in sounds), "none"),
        av_offset_ms=max(shifts, key=abs, default=None),
        peak_rss_mb=peak_rss_mb(),
        reconnects=source.reconnects + sum(sink.reconnects for sink in sinks),
        failures=stats.failures,
        sinks_failed=stats.sinks_failed,
        notes=[*source.warnings, *notes_of(sinks)],
        interrupted=control.stopped,
    )
