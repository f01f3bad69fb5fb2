"""What a run must never destroy, and how it ends when its surroundings are odd."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

import streamseg
from tests.clips import make_clip, read_frames
from tests.commandline import FAST, Cli

SHORT = "test:64x48@10,0.3s"


@pytest.mark.parametrize("through", ["itself", "symlink", "hardlink"])
def test_the_background_is_not_overwritten(cli: Cli, tmp_path: Path, through: str) -> None:
    """An output that is the background of the same run is refused, whatever it is called."""
    background, output = tmp_path / "loop.mp4", tmp_path / "loop.mp4"
    make_clip(background, frames=3)
    before = background.read_bytes()
    if through != "itself":
        output = tmp_path / "other.mp4"
        (output.symlink_to if through == "symlink" else output.hardlink_to)(background)
    said = cli.run(SHORT, "-o", output, "--effect", "replace", "--background", background, "-y")
    assert said.code == 2
    assert "is the background of this run" in said.err
    assert background.read_bytes() == before


@pytest.mark.parametrize("victim", ["background", "model", "weights"])
def test_the_report_replaces_nothing_the_run_reads(cli: Cli, tmp_path: Path, victim: str) -> None:
    """A report named like the background, the card or the weights is refused even with -y."""
    engines = streamseg.find_model("selfie").verified_weights().parent
    for name in ("selfie.toml", "selfie.onnx"):
        shutil.copy(engines / name, tmp_path / name)
    make_clip(tmp_path / "loop.mp4", frames=3)
    names = {"background": "loop.mp4", "model": "selfie.toml", "weights": "selfie.onnx"}
    target = tmp_path / names[victim]
    before = target.read_bytes()
    options = [
        "--effect",
        "replace",
        "--background",
        tmp_path / "loop.mp4",
        "--model",
        tmp_path / "selfie.toml",
    ]
    said = cli.run(SHORT, "-o", "null:", *options, "--report", target, "-y")
    assert (said.code, target.read_bytes()) == (2, before)


def test_only_reports_are_replaced_without_asking(cli: Cli, tmp_path: Path) -> None:
    """JSON that is no report stays, unless -y is passed; an older report is replaced."""
    target = tmp_path / "package.json"
    target.write_text('{"name": "precious"}')
    assert cli.run(SHORT, "-o", "null:", "--report", target).code == 2
    assert cli.run(SHORT, "-o", "null:", "--report", target, "-y").code == 0
    assert cli.run(SHORT, "-o", "null:", "--report", target).code == 0
    assert json.loads(target.read_text())["frames_out"] == 3


def test_a_replaced_file_stays_as_private_as_it_was(cli: Cli, tmp_path: Path) -> None:
    """Overwriting a file only its owner may read makes one only its owner may read."""
    target = tmp_path / "private.mp4"
    target.touch(mode=0o600)
    target.chmod(0o600)
    assert cli.run(SHORT, "-o", target, "-y").code == 0
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_an_output_that_cannot_be_does_not_take_the_others_along(cli: Cli, tmp_path: Path) -> None:
    """Transparency into MP4 is that output's failure: the .mov beside it is written, exit code 1."""
    said = cli.run(SHORT, "-o", tmp_path / "a.mp4", "-o", tmp_path / "a.mov", "--effect", "cutout")
    assert said.code == 1
    assert "cannot hold transparency" in said.err
    assert len(read_frames(tmp_path / "a.mov")) == 3
    assert not (tmp_path / "a.mp4").exists()


def test_a_network_that_fails_on_every_frame_is_an_error(cli: Cli, tmp_path: Path) -> None:
    """Frames without end that show only background are told, also with --quiet, and exit with 1."""
    nothing = helper.make_tensor("nothing", TensorProto.FLOAT, [1], [float("nan")])
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["in"], ["grey"], axes=[1], keepdims=1),
            helper.make_node("Mul", ["grey", "nothing"], ["out"]),
        ],
        "broken",
        [helper.make_tensor_value_info("in", TensorProto.FLOAT, [1, 3, 32, 32])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 1, 32, 32])],
        [nothing],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, tmp_path / "broken.onnx")
    said = cli("run", SHORT, "-o", tmp_path / "out.mp4", "--model", tmp_path / "broken.onnx", "--quiet")
    assert said.code == 1
    assert said.err.startswith("error: no frame could be segmented")
    assert (read_frames(tmp_path / "out.mp4")[0].to_ndarray()[:48] >= 234).all()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
def test_a_closed_terminal_leaves_a_finished_file(tmp_path: Path) -> None:
    """SIGHUP finishes the recording as Ctrl-C does."""
    target = tmp_path / "out.mp4"
    command = [sys.executable, "-m", "streamseg", "run", "test:64x48@30,3600s", "-o", str(target), *FAST]
    run = subprocess.Popen([*command, "--live"], stderr=subprocess.PIPE, text=True)
    try:
        while not list(tmp_path.glob(".out.partial*")):
            assert run.poll() is None, run.communicate()
        run.send_signal(signal.SIGHUP)
        run.communicate(timeout=60)
    finally:
        if run.poll() is None:
            os.kill(run.pid, signal.SIGKILL)
            run.communicate()
    assert run.returncode == 130
    assert read_frames(target)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
@pytest.mark.parametrize("closed", ["1", "2"])
def test_a_closed_output_stream_harms_nothing(tmp_path: Path, closed: str) -> None:
    """Started with stdout or stderr closed, the program does its work and exits with 0."""
    target = tmp_path / "out.mp4"
    command = f'"{sys.executable}" -m streamseg run {SHORT} -o "{target}" --runtime null {closed}>&-'
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")
    assert "Traceback" not in done.stderr
    assert len(read_frames(target)) == 3


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX shell")
def test_frames_for_a_closed_stdout_are_refused(tmp_path: Path) -> None:
    """`-o - >&-` has nowhere to write to: it is said before anything is written, and the exit code is 1."""
    other = tmp_path / "out.mp4"
    command = f'"{sys.executable}" -m streamseg run {SHORT} -o "{other}" -o - --runtime null >&-'
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("error: standard output is closed")
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())
