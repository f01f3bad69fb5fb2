"""`streamseg bench`: every program runs, and the conclusions follow from what was measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from streamseg import bench
from streamseg.bench.suite import Row
from streamseg.errors import UsageError
from tests.clips import make_clip


def test_a_bench_measures_every_program_and_every_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One round over a small clip yields a figure for each row, as a table and as JSON."""
    clip = tmp_path / "clip.mp4"
    make_clip(clip, size=(160, 96), frames=12)
    told: list[str] = []
    result = bench.measure(str(clip), rounds=1, seconds=1, say=told.append)
    assert all(row.value is not None and row.value > 0 for row in result.rows if "own" not in row.what)
    assert {"plain transcode", "silhouette", "replace", "blur", "usual script"} <= set(result.medians)
    assert {"capture", "segment", "composite", "sink"} <= set(result.stages)
    assert told[0] == "round 1 of 1: plain transcode"
    rows = json.loads(bench.to_json(result))["rows"]
    assert [row["what"] for row in rows] == [row.what for row in result.rows]
    bench.print_table(result)
    assert "silhouette / plain transcode" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("value", "target", "met"),
    [
        (0.8, "≥ 0.75", True),
        (0.7, "≥ 0.75", False),
        (3.1, "≤ 3.0", False),
        (None, "≥ 1", None),
        (1, "", None),
    ],
)
def test_a_row_knows_whether_its_target_is_met(value: float | None, target: str, met: bool | None) -> None:
    """A target is a lower or an upper bound; without a value or a target there is no verdict."""
    assert Row("what", value, "", target).met is met


def test_only_a_video_file_can_be_measured_with() -> None:
    """A generated source is answered with what to name instead."""
    with pytest.raises(UsageError, match="no video file"):
        bench.measure("test:32x32@5,1s")
