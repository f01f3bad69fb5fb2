"""The run report on disk, and in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from streamseg.cli.progress import say, summary
from streamseg.cli.request import Request, same_file
from streamseg.errors import SinkError, UsageError, reason
from streamseg.report import Report
from streamseg.stats import Stats


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


@contextmanager
def failure_kept(stats: Stats, report: Callable[[], Report], path: Path | None) -> Iterator[None]:
    """Write the report of a run that fails in the `with` block, too."""
    try:
        yield
    except Exception as error:
        stats.fail(str(error))
        with suppress(SinkError):  # the first failure is the one to tell
            save(report(), path)
        raise


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
