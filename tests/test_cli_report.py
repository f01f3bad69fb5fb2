"""--report: what it holds, and what it never replaces."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.commandline import Cli

SHORT = "test:160x120@10,1s"


def test_report_holds_what_was_promised(cli: Cli, clip: Path, tmp_path: Path) -> None:
    """--report writes the documented fields with true values."""
    said = cli.run(clip, "-o", tmp_path / "out.mp4", "--report", tmp_path / "report.json")
    assert said.code == 0, said.err
    report = json.loads((tmp_path / "report.json").read_text())
    expected = {
        "source": str(clip),
        "model": "selfie",
        "runtime": "null",
        "effect": "silhouette",
        "audio": "copied",
    }
    assert {key: report[key] for key in expected} == expected
    counts = {"frames_in": 15, "frames_out": 15, "frames_dropped": 0, "frames_repaired": 0, "reconnects": 0}
    assert {key: report[key] for key in counts} == counts
    assert report["sinks"] == [str(tmp_path / "out.mp4")]
    assert report["pts_exact"] is True
    assert report["duration_s"] == pytest.approx(0.5, abs=0.01)
    assert set(report["latency_ms"]) == {"p50", "p95", "p99", "max"}
    assert all(set(stage) == {"p50", "p95"} for stage in report["stage_ms"].values())
    assert {"wall_s", "fps", "av_offset_ms", "peak_rss_mb", "failures"} <= set(report)


def test_a_note_is_said_once_and_names_whose_it_is(cli: Cli, clip: Path, tmp_path: Path) -> None:
    """Of several outputs those that a note is about stand before it, unless it is about all of them."""
    one, two, other = (str(tmp_path / name) for name in ("a.webm", "b.webm", "c.mp4"))
    note = "audio track 1 (aac) was encoded anew: webm cannot hold it"
    for outputs, told in [([one, two], note), ([one, two, other], f"{one}, {two}: {note}")]:
        said = cli.run(clip, "-y", *(word for output in outputs for word in ("-o", output)))
        assert said.code == 0, said.err
        lines = said.err.splitlines()
        assert [line for line in lines if note in line] == [f"note: {told}"]


@pytest.mark.parametrize("name", ["in.mp4", "out.mp4", "notes.txt", "folder", "nowhere/report.json"])
def test_report_replaces_nothing_else(cli: Cli, clip: Path, tmp_path: Path, name: str) -> None:
    """--report refuses to replace the input, an output, another file or a folder, or to make folders."""
    (tmp_path / "notes.txt").write_text("precious")
    (tmp_path / "folder").mkdir()
    before = {path.name for path in tmp_path.iterdir()}
    said = cli.run(clip, "-o", tmp_path / "out.mp4", "--report", tmp_path / name)
    assert said.code == 2
    assert "report" in said.error
    assert {path.name for path in tmp_path.iterdir()} == before


def test_report_replaces_an_older_report(cli: Cli, tmp_path: Path) -> None:
    """A report, or an empty file made for one, may be written over."""
    target = tmp_path / "report.json"
    target.touch()
    for _ in range(2):
        assert cli.run(SHORT, "-o", "null:", "--report", target, "-q").code == 0
    assert json.loads(target.read_text())["frames_out"] == 10


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_report_that_cannot_be_written(cli: Cli) -> None:
    """A device that takes nothing is a line and exit code 1; one that takes all gets the report."""
    said = cli.run(SHORT, "-o", "null:", "-q", "--report", "/dev/full")
    assert said.code == 1
    assert "cannot write report '/dev/full': no space left on device" in said.error
    assert cli.run(SHORT, "-o", "null:", "-q", "--report", "/dev/null").code == 0
