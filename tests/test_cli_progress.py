"""The lines that tell how a run goes."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from streamseg.cli import progress
from streamseg.stats import Stats
from tests.commandline import Cli


def stats(frames: int, fps: float, **counts: int) -> Stats:
    """Counts of a run that has been going for as long as `frames` at `fps` take."""
    now = time.monotonic()
    return Stats(first_frame=now - (frames - 1) / fps, frames_out=frames, **counts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0:00"), (7.4, "0:07"), (61, "1:01"), (3600, "1:00:00"), (86_399, "23:59:59")]
)
def test_time_left_is_written_like_a_clock(seconds: float, said: str) -> None:
    """Minutes and seconds, hours only where there are some."""
    assert progress.clock(seconds) == said


def test_status_tells_frames_rate_and_time_left() -> None:
    """With a known end the time left is told."""
    assert progress.status(stats(101, 50.0), 1101) == "101 of 1101 frames, 50.0 fps, 0:20 left"


def test_status_names_losses_only_where_there_are_some() -> None:
    """Dropped, repaired and hidden frames are named when there are any."""
    losses = stats(101, 50.0, frames_dropped=3, frames_repaired=2, frames_failed=1)
    assert progress.status(losses, None) == "101 frames, 50.0 fps, 3 dropped, 2 repaired, 1 hidden"


def test_status_stops_guessing_when_the_guess_was_wrong() -> None:
    """A total that has been passed is not mentioned."""
    assert progress.status(stats(101, 50.0), 90) == "101 frames, 50.0 fps"


def test_lines_come_seldom(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Away from a terminal a line comes once in an interval, however many frames there are."""
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    with progress.progress(None, quiet=False) as show:
        for second in range(35):
            clock[0] = float(second)
            show(Stats(started=0.0, first_frame=0.0, frames_out=second + 1))
    said = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in said] == ["11 frames", "21 frames", "31 frames"]


def test_quiet_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    """With --quiet nothing is ever shown."""
    with progress.progress(10, quiet=True) as show:
        show(stats(5, 1.0))
    assert capsys.readouterr().err == ""


def test_failed_outputs_are_not_named_as_written(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The last line names the outputs that are there; the one that failed has an error of its own."""
    resource = pytest.importorskip("resource")
    lost = tmp_path / "lost.mkv"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))
    try:
        looks = "--effect", "spotlight", "--crf", "1"
        said = Cli(capsys).run("test:640x480@30,2s", "-o", "null:", "-o", lost, *looks)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert said.code == 1
    assert " -> null:\n" in said.err
    assert f"error: cannot write {str(lost)!r}" in said.err
