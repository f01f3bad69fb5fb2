"""`streamseg run`: carry out what was asked, tell how it goes, and end properly whatever happens."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import click

from streamseg import pipeline
from streamseg.cli.help import Command
from streamseg.cli.interrupts import INTERRUPTED, Interrupts
from streamseg.cli.keys import Keys
from streamseg.cli.lastwords import last_words
from streamseg.cli.listening import listening
from streamseg.cli.loading import loaded
from streamseg.cli.memory import give_pictures_back
from streamseg.cli.options import BLOCKS, SUMMARY, run_parameters
from streamseg.cli.progress import progress, say
from streamseg.cli.reports import conclude, failed_throughout, failure_kept, report_file, save
from streamseg.cli.request import Request
from streamseg.compositors import open_compositor
from streamseg.fanout import FanOut
from streamseg.models import find_model
from streamseg.report import report_of
from streamseg.sinks import Sink
from streamseg.stats import Stats

_SCREEN_LOST = "the screen has gone, and the window with it; what was written until then is finished"

_PATIENCE = 0.5
"""Seconds a stopped run waits for a silent network, pipe or camera."""


def execute(request: Request) -> int:
    """Do what was asked; return the exit code. Raises StreamsegError."""
    recipe = request.settings.recipe(strict=True)
    give_pictures_back()
    with Interrupts(quiet=request.quiet) as interrupts, ExitStack() as opened:
        source = opened.enter_context(request.open_source())
        sinks = request.open_sinks(source)
        target = report_file(request, source.paths)
        find_model(request.settings.model)  # what can be wrong at once is said before anything begins
        control, stats = request.control_of(source), Stats()
        Keys(control, Path.cwd()).listen(sinks)
        if request.quiet:
            let_speak(sinks)
        outputs = opened.enter_context(FanOut(sinks, stats, live=source.live))
        interrupts.begin(control, [sink.uri for sink in sinks])
        outputs.ready(source, control)  # before the network is loaded, which may take long
        segmenter = opened.enter_context(loaded(request, control, outputs, interrupts))
        compositor = opened.enter_context(
            open_compositor(recipe, classes=segmenter.classes, foreground=segmenter.named)
        )
        opened.enter_context(closing(control))
        if request.control:
            opened.enter_context(listening(control, sys.stderr if "-" in request.sinks else sys.stdout))
        summed_up = partial(report_of, source, control, sinks, stats)

        def screen_lost() -> None:
            try:
                outputs.rescue()
                stats.fail(_SCREEN_LOST)
                say(f"error: {_SCREEN_LOST}")
                save(summed_up(), target)
            finally:
                interrupts.leave(1)

        windows = any(sink.uri.startswith("window") for sink in sinks)
        with (
            last_words(screen_lost) if windows else nullcontext(),
            progress(source.expected_frames, quiet=request.quiet) as watch,
            failure_kept(stats, summed_up, target),
        ):
            stats.started = time.monotonic()
            report = pipeline.run(
                source,
                segmenter,
                compositor,
                sinks,
                control=control,
                stats=stats,
                outputs=outputs,
                watch=watch,
                patience=_PATIENCE,
            )
        save(report, target)
        conclude(report, quiet=request.quiet, stills=source.stills, lost=stats.sinks_lost)
        failed = bool(report.sinks_failed) or failed_throughout(report)
        code = INTERRUPTED if interrupts.caught else int(failed)
        if control.stuck:
            interrupts.leave(code)  # the source cannot be closed while it is waited for
    return code


def let_speak(sinks: Sequence[Sink]) -> None:
    """Have sinks say where they are that nobody could come to otherwise."""
    for sink in sinks:
        if getattr(sink, "has_token", False):
            sink.say = say


@click.pass_context
def _command(ctx: click.Context, /, *, profile: str | None, save_profile: str | None, **values: Any) -> int:
    if profile is not None or save_profile is not None:
        from streamseg.cli import profile as profiles

        values = profiles.fitting(ctx, values)
        if save_profile is not None:
            Request.of(values).settings.recipe(strict=True)
            say(f"saved {profiles.save(ctx, save_profile)}")
    return execute(Request.of(values))


command = Command(
    "run",
    params=run_parameters(),
    callback=_command,
    help=SUMMARY,
    short_help="Read a video, camera or picture.",
    blocks=BLOCKS,
    options_metavar="[SOURCE] [-o SINK]... [options]",
)
