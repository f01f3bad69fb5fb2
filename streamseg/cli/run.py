"""`streamseg run`: carry out what was asked, tell how it goes, and end properly whatever happens."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import click

from streamseg import pipeline
from streamseg.cli.help import Command
from streamseg.cli.interrupts import INTERRUPTED, Interrupts
from streamseg.cli.keys import Keys
from streamseg.cli.listening import listening
from streamseg.cli.memory import give_pictures_back
from streamseg.cli.options import BLOCKS, SUMMARY, run_parameters
from streamseg.cli.progress import progress, say, summary
from streamseg.cli.request import Request, same_file
from streamseg.compositors import open_compositor
from streamseg.control import Control
from streamseg.errors import SinkError, UsageError, reason
from streamseg.sinks import Sink
from streamseg.stats import Report, Stats

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
        segmenter = opened.enter_context(request.open_segmenter(request.settings))
        compositor = opened.enter_context(
            open_compositor(recipe, classes=segmenter.classes, foreground=segmenter.named)
        )
        if request.latency_budget is not None and not source.live:
            raise UsageError(
                "--latency-budget is for live sources: a file waits and loses nothing; add --live"
            )
        control = Control(
            request.settings,
            request.open_segmenter,
            latency_budget=request.latency_budget,
            say=(lambda _line: None) if request.quiet else say,
        )
        opened.callback(control.close)
        Keys(control, Path.cwd()).listen(sinks)
        let_speak(sinks, quiet=request.quiet)
        stats = Stats()
        if request.control:
            answers = sys.stderr if "-" in request.sinks else sys.stdout
            opened.enter_context(listening(control, answers))
        with progress(source.expected_frames, quiet=request.quiet) as watch:
            interrupts.begin(control, [sink.uri for sink in sinks])
            try:
                report = pipeline.run(
                    source,
                    segmenter,
                    compositor,
                    sinks,
                    control=control,
                    stats=stats,
                    watch=watch,
                    patience=_PATIENCE,
                )
            except Exception as error:
                stats.fail(str(error))
                with suppress(SinkError):  # the first failure is the one to tell
                    save(pipeline.report(source, control, sinks, stats), target)
                raise
        save(report, target)
        conclude(report, quiet=request.quiet, stills=source.stills, lost=stats.sinks_lost)
        failed = bool(report.sinks_failed) or failed_throughout(report)
        code = INTERRUPTED if interrupts.caught else int(failed)
        if control.stuck:
            interrupts.leave(code)  # the source cannot be closed while it is waited for
    return code


def let_speak(sinks: Sequence[Sink], *, quiet: bool) -> None:
    """Have sinks that are served somewhere say where; if `quiet`, only where nobody could come otherwise."""
    for sink in sinks:
        if hasattr(sink, "say") and (not quiet or getattr(sink, "has_token", False)):
            sink.say = say


def report_file(request: Request, inputs: tuple[str, ...]) -> Path | None:
    """Return where the report goes; raises UsageError where it cannot, or would replace something else."""
    if request.report is None:
        return None
    asked, path = f"report {request.report!r}", Path(request.report)
    if not path.parent.is_dir():
        raise UsageError(
            f"cannot write {asked}: no folder {str(path.parent)!r}; make it: mkdir -p {path.parent}"
        )
    if path.is_dir():
        raise UsageError(f"cannot write {asked}: it is a folder; name a file in it: {path / 'report.json'}")
    if any(same_file(request.report, other) for other in (*inputs, *request.sinks)):
        raise UsageError(f"cannot write {asked}: this run reads or writes that file; name another one")
    request.spare(asked, request.report)
    if path.is_file() and not request.overwrite and not _looks_like_report(path):
        raise UsageError(f"{asked} exists and is no report; pass -y to replace it")
    return path


def _looks_like_report(path: Path) -> bool:
    text = path.read_text(encoding="utf-8", errors="replace")
    return not text or ('"frames_out"' in text and '"stage_ms"' in text)


def save(report: Report, path: Path | None) -> None:
    """Write the report where it was asked for; raises SinkError."""
    if path is None:
        return
    try:
        if path.exists() and not path.is_file():  # a pipe or device: nothing can be renamed onto it
            path.write_text(report.to_json(), encoding="utf-8")
        else:
            report.save(path)
    except OSError as error:
        raise SinkError(
            f"cannot write report {str(path)!r}: {reason(error)}; name another file with --report"
        ) from error


def conclude(report: Report, *, quiet: bool, stills: bool, lost: Sequence[str]) -> None:
    """Tell what came of the run; `lost` are the URIs of the sinks that failed."""
    if not quiet:
        say(summary(report, stills=stills, lost=lost))
        for note in report.notes:
            say(f"note: {note}")
    for failure in report.failures:
        if failure in report.sinks_failed:
            say(f"error: {failure}")
        elif failed_throughout(report):
            say(f"error: no frame could be segmented: {failure}; try another --model")
        elif not quiet:
            say(f"warning: {failure}")


def failed_throughout(report: Report) -> bool:
    """Whether the network failed on every frame: all there is to see is background."""
    return 0 < report.frames_out <= report.frames_failed


@click.pass_context
def _command(ctx: click.Context, /, *, profile: str | None, save_profile: str | None, **values: Any) -> int:
    if profile is not None or save_profile is not None:
        from streamseg.cli import profile as profiles

        values = profiles.fitting(ctx, values)
        if save_profile is not None:
            Request(**values).settings.recipe(strict=True)
            say(f"saved {profiles.save(ctx, save_profile)}")
    return execute(Request(**values))


command = Command(
    "run",
    params=run_parameters(),
    callback=_command,
    help=SUMMARY,
    short_help="Read a video, camera or picture.",
    blocks=BLOCKS,
    options_metavar="[SOURCE] [-o SINK]... [options]",
)
