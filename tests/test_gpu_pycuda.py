"""PyCUDA itself on an emulated driver (tests/emulator/libcuda.cpp): what it is asked for is what it does.

Its types, signatures, threads and clean-up are its own; only the driver below it is not real.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from streamseg.effects import EFFECTS
from tests.emulator.library import compiled

pytestmark = pytest.mark.skipif(find_spec("pycuda") is None, reason="needs PyCUDA: pip install pycuda")

FREEING = {"cuMemFree_v2", "cuMemFreeHost", "cuStreamDestroy_v2", "cuEventDestroy_v2", "cuModuleUnload"}
"""Calls whose refusal leaves something behind, which PyCUDA says by itself."""

Runs = list[dict[str, Any]]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Runs]:
    """What with_pycuda.py did."""
    folder = tmp_path_factory.mktemp("driver")
    compiled("libcuda.cpp", folder / "libcuda.so.1", "-Wl,-soname,libcuda.so.1")
    environment = {
        **os.environ,
        "LD_LIBRARY_PATH": str(folder),
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")]),
    }
    command = [sys.executable, "-W", "error", "-m", "tests.emulator.with_pycuda"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    found: dict[str, Runs] = json.loads(done.stdout)
    return found


def test_every_effect_like_the_cpu(runs: dict[str, Runs]) -> None:
    """Within one code; everything is given back, and not a word is said."""
    assert [run["effect"] for run in runs["clean"]] == list(EFFECTS)
    for run in runs["clean"]:
        assert len(run["apart"]) == 2, run
        assert max(run["apart"]) <= 1, run
        assert not run["left"], run
        assert not run["said"], run


def test_a_call_that_is_refused(runs: dict[str, Runs]) -> None:
    """Whichever it is: a failure in one line, then finished frames again; nothing is left, nothing said."""
    assert {"cuMemAlloc_v2", "cuLaunchKernel", "cuModuleGetFunction"} < {
        run["refused"] for run in runs["refused"]
    }
    for run in runs["refused"]:
        assert len(run["failures"]) <= 1, run
        assert all(each.startswith("the GPU failed: cu") and "\n" not in each for each in run["failures"])
        assert max(run["apart"], default=0) <= 1, run
        if run["refused"] not in FREEING:
            assert not run["left"], run
            assert not run["said"], run


def test_a_context_that_is_lost(runs: dict[str, Runs]) -> None:
    """From whichever call on: failures, and PyCUDA does not complain of each thing that it cannot free."""
    for run in runs["lost"]:
        assert max(run["apart"], default=0) <= 1, run
        assert all("\n" not in each for each in run["failures"])
        if run["refused"] not in FREEING:
            assert not run["said"], run


def test_a_whole_run(runs: dict[str, Runs]) -> None:
    """With the emulated TensorRT: on edges alone do its samples differ by more than two codes."""
    assert len(runs["whole"]) == 3
    for run in runs["whole"]:
        assert len(run["apart"]) == 3, run
        assert max(run["apart"]) < 0.02, run
        assert not run["failures"] and not run["left"] and not run["said"], run
