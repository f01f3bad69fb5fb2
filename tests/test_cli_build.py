"""`streamseg build`: where the plan is, what it is for, and why there is none."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from streamseg.cli.build import sizes
from streamseg.plans import store
from tests import networks
from tests.commandline import PROJECT, Cli
from tests.planning import needs_tensorrt

pytestmark = needs_tensorrt


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The program, with plans in a folder of the test's and a small network of its own."""
    monkeypatch.setattr(store, "plans_folder", lambda: tmp_path / "plans")
    networks.bright_two_classes(tmp_path, size=32)
    return Cli(capsys)


def test_it_prints_where_the_plan_is(cli: Cli, tmp_path: Path) -> None:
    """stdout has the path alone; stderr says why it was built and what it is for."""
    said = cli("build", tmp_path / "bright.onnx")
    assert said.code == 0
    path = Path(said.out.strip())
    assert path.parent == tmp_path / "plans"
    assert json.loads(path.with_suffix(".json").read_text())["precision"] == "fp16"
    why, what = said.err.splitlines()
    assert why == "building a plan for 'bright' (fp16, any): there is none yet"
    assert "bright, fp16, one picture at a time" in what
    assert "usual targets of tensorrt_rtx (there is no GPU here: no libcuda.so.1)" in what
    again = cli("build", tmp_path / "bright.onnx")
    assert (again.out, again.err) == (said.out, what + "\n")
    assert cli("build", tmp_path / "bright.onnx", "-q").err == ""
    assert "asked for" in cli("build", tmp_path / "bright.onnx", "--force").err


def test_options_reach_the_plan(cli: Cli, tmp_path: Path) -> None:
    """Precision, batch and workspace are those of the sidecar."""
    said = cli("build", tmp_path / "bright.onnx", "--precision", "fp32", "--batch", "3", "--workspace", "64")
    told = json.loads(Path(said.out.strip()).with_suffix(".json").read_text())
    assert (told["precision"], told["batch"], told["workspace_mb"]) == ("fp32", 3, 64)
    assert "up to 3 pictures at a time" in said.err


def test_int8_wants_a_clip_once(cli: Cli, tmp_path: Path) -> None:
    """Without a clip the line says how to give one; with one it says what bears 8 bits; then it is kept."""
    model = tmp_path / "bright.onnx"
    assert "--precision int8 --calibrate CLIP" in cli("build", model, "--precision", "int8").error
    said = cli("build", model, "--precision", "int8", "--calibrate", "demo:320x180@10,2s")
    assert said.code == 0
    assert "1 of 1 convolutions compute in 8 bits: masks keep an IoU of " in said.err
    assert cli("build", model, "--precision", "int8").out == said.out
    assert "for --precision int8, not fp16" in cli("build", model, "--calibrate", "demo:").error


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nothing"], 2, "no model 'nothing'"),
        (["--precision", "fp8"], 2, "'fp8'"),
        (["--batch", "0"], 2, "no whole number of 1 or more"),
        (["--batch", "65"], 2, "pass 1 to 64"),
        (["--size", "big"], 2, "'big' is no size"),
        (["--size", "64x64,128x128"], 2, "is no size and no range"),
        (["--size", "64x64"], 1, "has the fixed shape [1, 3, 256, 256]"),
        (["--precision", "int8", "--calibrate", "nowhere.mp4"], 1, "nowhere.mp4"),
    ],
)
def test_what_cannot_be_built(cli: Cli, arguments: list[str], code: int, said: str) -> None:
    """One line, and the exit code of the others."""
    found = cli("build", "-q", *(["selfie"] if arguments[0].startswith("-") else []), *arguments)
    assert found.code == code
    assert said in found.error


def test_sizes() -> None:
    """One size is a fixed one; three are a range."""
    assert sizes("64x48") == ((64, 48),) * 3
    assert sizes("32x32,64x48,128x96") == ((32, 32), (64, 48), (128, 96))


SLOW = """
import sys
from pathlib import Path
from streamseg.plans import builder, store
store.plans_folder = lambda: Path(sys.argv[1])
real = builder.build
def build(*args, watch, **options):
    def stop(phase, share):
        if phase == "optimizing graph":
            print("building", flush=True)
            sys.stdin.readline()
        watch(phase, share)
    return real(*args, watch=stop, **options)
builder.build = build
from streamseg.cli import main
main(["build"])
"""


def test_ctrl_c_while_it_builds(tmp_path: Path) -> None:
    """Ctrl-C ends a build with code 130 and a line, and leaves neither a plan nor half of one."""
    call = subprocess.Popen(
        [sys.executable, "-c", SLOW, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )
    assert call.stdout is not None
    assert call.stdout.readline() == b"building\n"
    call.send_signal(signal.SIGINT)
    _, said = call.communicate(timeout=60)
    assert call.returncode == 130
    assert said.splitlines()[-1] == b"error: interrupted"
    assert b"Traceback" not in said
    assert [path.name for path in tmp_path.iterdir() if path.name != ".lock"] == []
