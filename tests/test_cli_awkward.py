"""Damaged, odd and rare files through the whole program: each ends as expected, an error in one line."""

from __future__ import annotations

import csv
import json
import os
from fractions import Fraction
from pathlib import Path

import av
import pytest

from tests.commandline import PROJECT, Cli

_FOLDER = Path(os.environ.get("STREAMSEG_DATA", PROJECT.parent / "shared" / "data")) / "awkward"


def expectations() -> list[dict[str, str]]:
    """The rows of EXPECT.tsv; none without the folder."""
    table = _FOLDER / "EXPECT.tsv"
    if not table.exists():
        return []
    with table.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


ROWS = expectations()


@pytest.mark.skipif(not ROWS, reason="needs the folder of awkward files: set STREAMSEG_DATA")
@pytest.mark.parametrize("row", ROWS, ids=[row["file"] for row in ROWS])
def test_awkward_file_ends_as_expected(
    row: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """OK: exit code 0 and a file that plays. ERROR: exit code 1, one line that names the file, no output."""
    target, report = tmp_path / "out.mp4", tmp_path / "report.json"
    said = Cli(capsys).run(_FOLDER / row["file"], "-o", target, "--report", report, "--quiet", "--crf", "40")
    may_fail = not row["outcome"].startswith("OK")
    if said.code == 0:
        assert not row["outcome"].startswith("ERROR ") or "or still" in row["outcome"], (
            "an error was expected"
        )
        assert said.err == ""
        check_output(target, json.loads(report.read_text()), row)
    else:
        assert may_fail, said.err
        assert said.code == 1
        assert Path(row["file"]).name in said.error
        assert not target.exists() or row["outcome"].startswith("PARTIAL")
    assert {path.name for path in tmp_path.iterdir()} <= {"out.mp4", "report.json"}


def check_output(target: Path, report: dict[str, int], row: dict[str, str]) -> None:
    """The output plays to its last frame in the input's display shape, but for a pixel 4:2:0 may cost."""
    with av.open(str(target)) as container:
        stream = container.streams.video[0]
        frames = sum(1 for _ in container.decode(stream))
        sample = Fraction(stream.sample_aspect_ratio or 1)
        size = stream.width * sample, stream.height
    assert frames == report["frames_out"] >= 1
    assert report["frames_out"] >= int(row["frames_pyav18"])
    width, height = map(int, row["display_size"].split("x"))
    if min(width, height) > 15:
        assert abs(size[0] / Fraction(size[1]) - Fraction(width, height)) < Fraction(4, min(width, height))
