"""What only shows in a process of its own: signals, pipes, limits, exit codes."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import av
import pytest

from tests.clips import make_clip, read_frames
from tests.commandline import FAST, PROJECT, process

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")

LONG = "test:160x120@30,3600s"
"""Far longer than any test waits."""


def started(*arguments: str | Path) -> subprocess.Popen[bytes]:
    """A long run that has demonstrably written frames: some of them have come through its stdout."""
    run = process("run", LONG, "-o", "-", *arguments, *FAST)
    assert run.stdout is not None
    assert len(run.stdout.read(400_000)) == 400_000
    return run


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_first_signal_finishes_the_file(tmp_path: Path, number: signal.Signals) -> None:
    """After SIGINT or SIGTERM the file plays under its final name, the report is written, the code is 130."""
    target, report = tmp_path / "out.mp4", tmp_path / "report.json"
    with started("-o", target, "--report", report) as run:
        run.send_signal(number)
        _, err = run.communicate(timeout=30)
    assert run.returncode == 130, err
    assert b"stopping" in err
    assert b"stopped early" in err
    assert b"Traceback" not in err
    told = json.loads(report.read_text())
    assert told["interrupted"] is True
    assert len(read_frames(target)) == told["frames_out"] > 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mp4", "report.json"]


STUCK = """
import os, signal
from streamseg.cli.interrupts import Interrupts
from streamseg.control import Control
from streamseg.sinks.files import OutputFile

OutputFile("out.mp4").partial.touch()
with Interrupts(quiet=False) as interrupts:
    interrupts.begin(Control(), ["out.mp4"])
    while True:
        os.kill(os.getpid(), signal.SIGINT)
"""
"""A run that does not end when asked to, and is asked again and again."""


def test_second_signal_leaves_at_once(tmp_path: Path) -> None:
    """A run that cannot end properly ends at the second signal, and leaves no unfinished file."""
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    run = subprocess.run(
        [sys.executable, "-c", STUCK],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert run.returncode == 130
    assert run.stderr.count(b"press again") == 1
    assert list(tmp_path.iterdir()) == []


def test_two_signals_at_once_are_one(tmp_path: Path) -> None:
    """timeout(1) and supervisors signal the process and its group, a moment apart: the file is finished."""
    with started("-o", tmp_path / "out.mp4") as run:
        assert run.stderr is not None
        run.send_signal(signal.SIGTERM)
        assert b"press again" in run.stderr.readline() + run.stderr.readline()
        run.send_signal(signal.SIGTERM)
        _, err = run.communicate(timeout=30)
    assert run.returncode == 130, err
    assert b"cut short" not in err
    assert len(read_frames(tmp_path / "out.mp4")) > 5
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


def test_signal_before_the_run_begins_ends_the_process(tmp_path: Path) -> None:
    """Interrupted while it still waits for its input, the program is gone at once, without word or file."""
    with process("run", "-", "-o", tmp_path / "out.mp4", *FAST, stdin=subprocess.PIPE, bufsize=0) as run:
        assert run.stdin is not None
        # the pipe holds far less: once this is written, somebody is reading and looks for a format in vain
        run.stdin.write(b"\0" * 300_000)
        run.send_signal(signal.SIGINT)
        _, err = run.communicate(timeout=30)
    assert run.returncode == -signal.SIGINT
    assert err == b""
    assert list(tmp_path.iterdir()) == []


def test_killed_it_leaves_nothing_under_the_final_name(tmp_path: Path) -> None:
    """After kill -9 there is no file that looks finished and is not."""
    with started("-o", tmp_path / "out.mp4") as run:
        run.kill()
        run.communicate(timeout=30)
    assert not (tmp_path / "out.mp4").exists()


def test_full_disk_ends_in_one_line(tmp_path: Path) -> None:
    """A disk that takes no more is a one-line failure and stands in the report; no half of a file stays."""
    resource = pytest.importorskip("resource")
    (tmp_path / "full").mkdir()
    target, report = tmp_path / "full" / "out.mp4", tmp_path / "report.json"

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

    source, looks = "test:640x480@30,3600s", ("--effect", "spotlight", "--crf", "1")
    with process(
        "run", source, "-o", target, "--report", report, "-q", *looks, *FAST, preexec_fn=limit
    ) as run:
        out, err = run.communicate(timeout=60)
    assert run.returncode == 1, err
    assert out == b""
    assert err.startswith(b"error: ")
    assert err.count(b"\n") == 1, err
    assert b"out.mp4" in err
    assert list(target.parent.iterdir()) == []
    told = json.loads(report.read_text())
    assert told["failures"] == [err.decode().strip().removeprefix("error: ")]
    assert told["frames_in"] > 0


def test_stdout_carries_frames_and_nothing_else(tmp_path: Path) -> None:
    """`-o -` writes a yuv4mpeg stream that a player reads; what is said goes to stderr."""
    run = process("run", "test:160x120@10,1s", "-o", "-", *FAST)
    out, err = run.communicate(timeout=60)
    assert run.returncode == 0, err
    assert out.startswith(b"YUV4MPEG2 ")
    with av.open(io.BytesIO(out)) as container:
        assert len(list(container.decode(video=0))) == 10
    assert b"done: 10 frames" in err


def test_reader_that_leaves_ends_its_output_quietly(tmp_path: Path) -> None:
    """`| head` is no failure: nobody complains about a broken pipe, and the other outputs go on."""
    outputs = "-o", "-", "-o", tmp_path / "out.mp4"
    with process("run", "test:160x120@10,4s", *outputs, "--quiet", *FAST, bufsize=0) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        run.stdout.read(40_000)
        run.stdout.close()
        assert run.wait(timeout=60) == 0
        assert run.stderr.read() == b""
    assert len(read_frames(tmp_path / "out.mp4")) == 40


def test_stdin_is_read(tmp_path: Path) -> None:
    """`-` reads a video from standard input."""
    make_clip(tmp_path / "in.mkv", frames=12)
    with (tmp_path / "in.mkv").open("rb") as clip:
        run = process("run", "-", "-o", tmp_path / "out.mp4", *FAST, stdin=clip)
        _, err = run.communicate(timeout=60)
    assert run.returncode == 0, err
    assert len(read_frames(tmp_path / "out.mp4")) == 12


def test_long_runs_tell_how_they_go_when_nobody_watches(tmp_path: Path) -> None:
    """Away from a terminal there is no bar and no escape sequence: a short run says its one last line."""
    run = process("run", "test:160x120@10,1s", "-o", tmp_path / "out.mp4", *FAST)
    _, err = run.communicate(timeout=60)
    assert err.count(b"\n") == 1, err
    assert b"\x1b" not in err


def test_entry_script_is_the_same_program(tmp_path: Path) -> None:
    """`run_stream.py` from any folder does what `streamseg run` does."""
    command = [sys.executable, PROJECT / "run_stream.py", "test:160x120@10,1s", "-o", "out.mp4", *FAST]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(read_frames(tmp_path / "out.mp4")) == 10


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ("none", "packages are not installed for this Python; run: make setup"),
        ("leads nowhere", "no such file or directory; set it up again: rm -r "),
        ("forbidden", "permission denied (it leads to "),
    ],
)
def test_an_environment_that_cannot_be_used_is_one_line(tmp_path: Path, environment: str, words: str) -> None:
    """Without packages the entry script runs under the project's environment, or says why it cannot."""
    shutil.copy(PROJECT / "run_stream.py", tmp_path)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    if environment == "forbidden":
        python.write_text("")  # not executable, which stops root too
    elif environment == "leads nowhere":
        python.symlink_to(tmp_path / "gone")
    command = [sys.executable, "-IS", tmp_path / "run_stream.py", "test:", "-o", "null:"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert words in done.stderr


def test_terminal_shows_a_bar(tmp_path: Path) -> None:
    """On a terminal the bar shows frames and rate while the run goes on, and is gone at its end."""
    pty = pytest.importorskip("pty")
    leader, follower = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "TERM": "xterm", "COLUMNS": "100"}
    run = process(
        "run", "test:160x120@30,3s", "-o", tmp_path / "out.mp4", *FAST, stderr=follower, env=environment
    )
    os.close(follower)
    said = b""
    while chunk := _read_terminal(leader):
        said += chunk
    os.close(leader)
    assert run.wait(timeout=30) == 0
    assert b"of 90 frames" in said
    assert b"fps" in said
    assert b"done: 90 frames" in said
    run.communicate()


def _read_terminal(leader: int) -> bytes:
    try:
        return os.read(leader, 65536)
    except OSError:  # Linux's way of saying that the other side has closed
        return b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_stdout_that_takes_nothing_is_one_line() -> None:
    """What is printed for people can fail to be written too: a line, exit code 1."""
    with Path("/dev/full").open("w") as full, process("models", stdout=full) as run:
        assert run.stderr is not None
        assert run.stderr.read() == b"error: cannot read or write: no space left on device\n"
        assert run.wait(timeout=30) == 1


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["doctor", "--help"], ["build", "--help"]])
def test_help_comes_at_once(arguments: list[str]) -> None:
    """Nothing heavy is imported to explain the program, so help also works where a package is broken."""
    heavy = ("av", "cv2", "numpy", "onnxruntime", "rich")
    blocked = f"import sys; sys.modules.update(dict.fromkeys({heavy!r}))"
    program = f"{blocked}; from streamseg.cli import main; main({arguments!r})"
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_run_imports_no_more_than_it_needs(tmp_path: Path) -> None:
    """Away from a terminal, without a network, a run needs neither rich nor ONNX Runtime nor pooch."""
    arguments = ["run", "test:160x120@10,0.2s", "-o", str(tmp_path / "out.mp4"), *FAST]
    blocked = "import sys; sys.modules.update(dict.fromkeys(('rich', 'onnxruntime', 'pooch', 'onnx')))"
    program = f"{blocked}; from streamseg.cli import main; main({arguments!r})"
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_an_interrupted_file_is_not_called_cut_short(tmp_path: Path) -> None:
    """Ctrl-C while a file is read says that the run was stopped, and nothing about the file."""
    make_clip(tmp_path / "in.mkv", frames=2000)
    with process("run", tmp_path / "in.mkv", "--live", "-o", "-", *FAST) as run:
        assert run.stdout is not None
        run.stdout.read(100_000)
        run.send_signal(signal.SIGINT)
        _, err = run.communicate(timeout=30)
    assert run.returncode == 130, err
    assert b"stopped early" in err
    assert b"cut short" not in err


def test_an_interrupt_while_connecting_is_no_failure() -> None:
    """The server has been asked, and answers after Ctrl-C: the run ends as interrupted, without a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        target = f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"
        with process("run", LONG, "-o", target, "--quiet", *FAST) as program:
            connection, _ = server.accept()
            with connection:
                assert connection.recv(100).startswith(b"PUT")
                program.send_signal(signal.SIGINT)
                connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                _, errors = program.communicate(timeout=30)
    assert (program.returncode, errors) == (130, b"")
