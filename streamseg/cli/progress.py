"""What a person sees on stderr while a run goes on, and the lines at its end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from streamseg.stats import Stats

if TYPE_CHECKING:
    from streamseg.report import Report

BAR_INTERVAL = 0.1
LINE_INTERVAL = 10.0
"""Seconds between updates, on a terminal and elsewhere."""


@contextmanager
def progress(total: int | None, *, quiet: bool) -> Iterator[Callable[[Stats], None]]:
    """Yield what to call after each frame: it draws a bar on a terminal, elsewhere a line now and then."""
    if quiet:
        yield lambda _: None
    elif sys.stderr.isatty():
        with _bar(total) as draw:
            yield _seldom(draw, BAR_INTERVAL, first=0.0)
    else:
        yield _seldom(lambda stats: say(status(stats, total)), LINE_INTERVAL, first=LINE_INTERVAL)


@contextmanager
def _bar(total: int | None) -> Iterator[Callable[[Stats], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = BarColumn(bar_width=30), TextColumn("{task.fields[status]}", markup=False)
    with Progress(*columns, console=Console(stderr=True), auto_refresh=False, transient=True) as bar:
        task = bar.add_task("", total=total, status="starting")

        def draw(stats: Stats) -> None:
            bar.update(task, completed=stats.frames_out, status=status(stats, total), refresh=True)

        yield draw


def _seldom(show: Callable[[Stats], None], interval: float, *, first: float) -> Callable[[Stats], None]:
    due = time.monotonic() + first

    def watch(stats: Stats) -> None:
        nonlocal due
        now = time.monotonic()
        if now >= due:
            due = now + interval
            show(stats)

    return watch


def status(stats: Stats, total: int | None) -> str:
    """Return one line: frames, rate, time left, what was lost."""
    # a guessed total that has been passed was wrong: it says nothing about the time left
    known = total is not None and total >= stats.frames_out
    parts = [
        f"{stats.frames_out} of {total} frames" if known else f"{stats.frames_out} frames",
        f"{stats.fps:.1f} fps",
    ]
    if known and total is not None and stats.fps > 0:
        parts.append(f"{clock((total - stats.frames_out) / stats.fps)} left")
    return ", ".join([*parts, *_losses(stats)])


def summary(report: Report, *, stills: bool = False, lost: Sequence[str] = ()) -> str:
    """Return what a run did, in one line; pictures have neither rate nor sound. Sinks `lost` go unnamed."""
    begun = "stopped early" if report.interrupted else "done"
    parts = [_counted(report, "picture")] if stills else [_paced(report), f"sound: {report.audio}"]
    finished = [uri for uri in report.sinks if uri not in lost]
    return f"{begun}: {', '.join([*parts, *_losses(report)])} -> {', '.join(finished)}"


def _counted(report: Report, thing: str) -> str:
    return f"{report.frames_out} {thing}{'' if report.frames_out == 1 else 's'} in {report.wall_s:.1f} s"


def _paced(report: Report) -> str:
    rates = [f"{report.fps:.1f} fps"] if report.fps else []
    if report.duration_s and report.wall_s:
        rates.append(f"{report.duration_s / report.wall_s:.1f} x real time")
    return f"{_counted(report, 'frame')} ({', '.join(rates)})" if rates else _counted(report, "frame")


def _losses(counts: Stats | Report) -> list[str]:
    """Dropped, repaired and failed frames are named only where there are some."""
    named = (
        ("dropped", counts.frames_dropped),
        ("repaired", counts.frames_repaired),
        ("hidden", counts.frames_failed),
        ("without input", counts.frames_absent),
    )
    return [f"{count} {name}" for name, count in named if count]


def clock(seconds: float) -> str:
    """Return `1:02:03`, or `2:03` below an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def say(line: str) -> None:
    """Print a line to stderr: stdout carries data only."""
    print(line, file=sys.stderr, flush=True)
