"""The program on live streams: what it says, and how it ends."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from tests.clips import read_frames
from tests.commandline import FAST, process
from tests.flashes import RATE, make_flashes
from tests.servers import rtsp_server
from tests.serving import Turn, taking_turns


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty seconds of flashes and beeps, a keyframe every two."""
    return make_flashes(tmp_path_factory.mktemp("talk") / "talk.mkv", 20, gop=50)


@pytest.mark.parametrize(
    "address",
    [
        "rtsp://me:secret@127.0.0.1:{port}/none",
        "rtsp://me:secret@127.0.0.1:9/a?token=secret",
        "rtmp://me:secret@127.0.0.1:{port}/a",
        "http://me:secret@127.0.0.1:{port}/a.m3u8",
        "tcp://127.0.0.1:9?password=secret",
        "rtsp://me:sec@secret@127.0.0.1:9/a",
        "rtmps://127.0.0.1:{port}/a?key=secret",
        "rtsp://",
    ],
)
def test_a_wrong_address_is_one_line(talk: Path, address: str) -> None:
    """Of the whole process, libraries included, stderr holds one line, and no credentials."""
    with rtsp_server(talk) as server:
        program = process("run", address.format(port=server.port), "-o", "null:", *FAST)
        _, said = program.communicate(timeout=40)
    assert program.returncode == 1
    assert len(said.splitlines()) == 1, said.decode()
    assert said.startswith(b"error: cannot ")
    assert b"secret" not in said


def test_a_lost_stream_is_told_and_waited_for_until_interrupted(talk: Path, tmp_path: Path) -> None:
    """Ctrl-C while a half-open server is tried ends the run within seconds; the file plays and has an end of
    background, and the report says what happened."""
    content = make_flashes(tmp_path / "talk.ts", 2, gop=5).read_bytes()
    out, report = tmp_path / "out.mkv", tmp_path / "report.json"
    silent = Turn(silent=True)
    with taking_turns(Turn(content, 2), silent) as address:
        program = process("run", f"{address}?key=abc", "-o", out, "--report", report, *FAST)
        assert program.stderr is not None
        lost = program.stderr.readline().decode()
        assert lost.startswith("source 'tcp://127.0.0.1:")
        assert "key=***' was closed by the server after " in lost
        assert lost.endswith("frames; reconnecting\n")
        assert silent.begun.wait(20)
        begin = time.monotonic()
        program.send_signal(signal.SIGINT)
        _, rest = program.communicate(timeout=30)
        assert time.monotonic() - begin < 5
    assert program.returncode == 130
    assert b"Traceback" not in rest
    assert b"abc" not in rest
    told = json.loads(report.read_text())
    assert told["interrupted"] and told["reconnects"] == 0
    assert told["frames_absent"] > RATE
    assert "not reconnected after" in told["notes"][0]
    frames = read_frames(out)
    assert len(frames) == told["frames_out"]
    assert frames[-1].to_ndarray()[: frames[-1].height].min() > 230, "the silhouette's white"


def test_attempts_are_counted_and_the_file_is_kept(tmp_path: Path) -> None:
    """`--reconnect 1` gives up after one attempt: exit code 1, a line that says why, a file that plays."""
    content = make_flashes(tmp_path / "talk.ts", 2, gop=5).read_bytes()
    out = tmp_path / "out.mkv"
    with taking_turns(Turn(content, 2), Turn()) as address:
        program = process("run", address, "-o", out, "--reconnect", "1", "--quiet", *FAST)
        _, said = program.communicate(timeout=30)
    assert program.returncode == 1
    assert len(said.splitlines()) == 1, said.decode()
    assert b"attempts to reconnect: 1, the last: cannot" in said
    assert len(read_frames(out)) > RATE
