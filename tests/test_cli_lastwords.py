"""When a library ends the process under a run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clips import read_frames
from tests.commandline import FAST, process
from tests.servers import wait_for
from tests.x11 import Xvfb, xvfb

__all__ = ["xvfb"]

_SCRIPT = """
import ctypes, os
from streamseg.cli.lastwords import last_words

def act():
    print("last words", flush=True)
    os._exit(7)

with last_words(act):
    print("inside", flush=True)
    {inside}
{after}
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs the C library's handlers")
@pytest.mark.parametrize(
    ("inside", "after", "said", "code"),
    [
        ("ctypes.CDLL(None).exit(3)", "", "inside\nlast words\n", 7),
        ("pass", "ctypes.CDLL(None).exit(3)", "inside\n", 3),
        ("pass", "", "inside\n", 0),
        ("raise SystemExit(4)", "", "inside\n", 4),
    ],
)
def test_only_an_exit_inside_is_noticed(inside: str, after: str, said: str, code: int) -> None:
    """The process ends as the act says; outside, and at Python's own end, all is as ever."""
    script = _SCRIPT.format(inside=inside, after=after)
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (ended.stdout, ended.stderr, ended.returncode) == (said, "", code)


def test_a_screen_that_dies_costs_no_file(xvfb: Callable[[], Xvfb], tmp_path: Path) -> None:
    """Qt ends the process: the file beside the window is finished, the report written, one line told."""
    server, film, report = xvfb(), tmp_path / "film.ts", tmp_path / "report.json"
    wanted = ["demo:640x360@25", "--live", "-o", "window", "-o", film, "--effect", "overlay", "--quiet"]
    environment = {**os.environ, "DISPLAY": server.display}
    with process("run", *wanted, "--report", report, *FAST, env=environment) as program:
        try:
            wait_for(lambda: sum(part.stat().st_size for part in tmp_path.iterdir()) > 30_000, "frames")
            server.stop()
            _, errors = program.communicate(timeout=30)
        finally:
            program.kill()
    assert program.returncode == 1
    assert errors.decode().splitlines() == [
        "error: the screen has gone, and the window with it; what was written until then is finished"
    ]
    assert len(read_frames(film)) > 10
    assert json.loads(report.read_text())["frames_out"] >= len(read_frames(film))
    assert {path.name for path in tmp_path.iterdir()} == {"film.ts", "report.json"}
