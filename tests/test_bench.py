"""`streamseg bench`: every program runs, and the conclusions follow from what was measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from streamseg import bench
from streamseg.bench import gpu
from streamseg.bench.suite import Row
from streamseg.errors import UsageError
from streamseg.gpu.driver import probe
from tests.clips import make_clip
from tests.commandline import Cli
from tests.emulator.tensorrt import machine


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


def test_without_a_gpu_its_bench_says_what_is_missing(cli: Cli) -> None:
    """One line, exit code 2."""
    if probe().gpu is not None:
        pytest.skip("needs a machine without an NVIDIA GPU")
    outcome = cli("bench", "--gpu")
    assert outcome.code == 2
    assert "bench --gpu needs an NVIDIA GPU, and " in outcome.error


def test_a_bench_without_a_clip_says_what_to_name(cli: Cli) -> None:
    """One line, exit code 2."""
    outcome = cli("bench")
    assert outcome.code == 2
    assert "CLIP is missing; name a video file" in outcome.error


@pytest.mark.parametrize("more", [["talk.mp4"], ["--rounds", "2"], ["--soak"]])
def test_what_would_do_nothing_to_the_gpus_bench_is_refused(cli: Cli, more: list[str]) -> None:
    """It draws its own pictures: a clip, rounds and the long run belong to the other one."""
    outcome = cli("bench", "--gpu", *more)
    assert outcome.code == 2
    assert outcome.error.endswith("leave CLIP, --rounds and --soak out")


def test_the_bare_engine_may_take_longer_than_a_card_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its runs are waited for in parts, each of which the limit is for."""
    monkeypatch.setattr(gpu, "_QUEUED", 4)
    with machine() as found:
        assert gpu._bare("selfie", 10) > 0
    calls = [call for call in found.card.calls if call in ("execute_async_v3", "synchronize")]
    parts = "".join(call[0] for call in calls).split("s")
    assert [len(part) for part in parts if part] == [1, 4, 4, 2]


def test_the_gpus_bench_measures_every_row(capsys: pytest.CaptureFixture[str]) -> None:
    """On an emulated card: a figure for each of the five, whatever it is worth."""
    with machine():
        result = bench.measure_gpu(frames=8, size=(320, 180))
    assert len(result.rows) == 5
    assert all(row.value and row.value > 0 and row.target for row in result.rows)
    assert result.machine["gpu"] == "Emulated"
    bench.print_table(result)
    assert "whole pipeline / bare engine" in capsys.readouterr().out
