"""Whoever is at the other end of a pipe or a connection and stalls does not hold the program."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import pytest

from tests.clips import make_clip, read_frames
from tests.commandline import FAST, process

pytestmark = pytest.mark.skipif(os.name == "nt", reason="FIFOs, and signals that end a process in order")

SIZE = (320, 240)
LENGTH = SIZE[0] * SIZE[1] * 3 // 2
HEADER = b"YUV4MPEG2 W320 H240 F30:1 Ip A1:1 C420jpeg\n"
FRAME = b"FRAME\n" + bytes(LENGTH)

AT_ONCE = 8
"""Seconds a test waits for a run to end: less than the ten in which a network counts as silent."""

ENDLESS = "test:640x480@30,3600s"


def wait(ready: Callable[[], bool]) -> None:
    """Wait until something has happened that must."""
    end = time.monotonic() + 30
    while not ready():
        assert time.monotonic() < end, "nothing happened in time"
        time.sleep(0.01)


@contextmanager
def running(*arguments: str | Path, **options: object) -> Iterator[subprocess.Popen[bytes]]:
    """`streamseg run`, ended by force should it not end by itself."""
    with process("run", *arguments, *FAST, **options) as run:
        try:
            yield run
        finally:
            run.kill()


def filled(pipe: int) -> bool:
    """Whether a pipe nobody reads takes no more (it holds 64 KiB; its last page may be half empty)."""
    return waiting(pipe) > 60_000


def waiting(pipe: int) -> int:
    """Bytes in a pipe that nobody has read yet."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


def check_end(run: subprocess.Popen[bytes], number: int, target: Path, report: Path, *, least: int) -> None:
    """One signal ends the run: the file holds every frame reported, the code is 130."""
    run.send_signal(number)
    _, err = run.communicate(timeout=AT_ONCE)
    assert run.returncode == 130, err
    assert b"stopped early" in err
    assert b"Traceback" not in err
    told = json.loads(report.read_text())
    assert told["interrupted"] is True
    assert told["failures"] == []
    assert not [note for note in told["notes"] if "reading stopped" in note or "cut short" in note]
    assert len(read_frames(target)) == told["frames_out"] >= least
    assert not list(target.parent.glob(".*partial*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("rest", [0, 1000])
def test_a_producer_that_stalls_is_not_waited_for(tmp_path: Path, number: int, rest: int) -> None:
    """Nothing more comes through stdin, between frames or within one: one signal finishes what came."""
    target, report = tmp_path / "out.mp4", tmp_path / "report.json"
    outputs = "-o", target, "-o", "-", "--report", report
    with running("-", *outputs, stdin=subprocess.PIPE, bufsize=0) as run:
        assert run.stdin is not None and run.stdout is not None
        feed = threading.Thread(target=run.stdin.write, args=[HEADER + 20 * FRAME + FRAME[:rest]])
        feed.start()
        came = 0
        while came < 17 * len(FRAME):  # three may be held back for what comes next
            came += len(run.stdout.read(65536))
        feed.join()
        stdin, run.stdin = run.stdin, None  # communicate() would close it, and that is an end
        check_end(run, number, target, report, least=17)
        stdin.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_reader_that_stalls_is_not_waited_for(tmp_path: Path, number: int) -> None:
    """Nobody takes what goes to stdout, yet its pipe stays open: one signal finishes the other outputs."""
    target, report = tmp_path / "out.mp4", tmp_path / "report.json"
    with running(ENDLESS, "-o", target, "-o", "-", "--report", report) as run:
        stdout, run.stdout = run.stdout, None  # communicate() would read it
        assert stdout is not None
        wait(lambda: filled(stdout.fileno()))
        check_end(run, number, target, report, least=1)
        stdout.close()


def test_a_reader_that_stalls_alone_is_not_waited_for() -> None:
    """The same where there is no other output."""
    with running(ENDLESS, "-o", "-") as run:
        stdout, run.stdout = run.stdout, None
        assert stdout is not None
        wait(lambda: filled(stdout.fileno()))
        run.send_signal(signal.SIGINT)
        _, err = run.communicate(timeout=AT_ONCE)
        stdout.close()
    assert run.returncode == 130, err
    assert b"stopped early" in err


def test_a_reader_that_reads_on_gets_whole_frames(tmp_path: Path) -> None:
    """After a signal the frame that is on its way through stdout is finished."""
    copy = tmp_path / "copy.y4m"
    with (
        running(ENDLESS, "-o", "-") as run,
        copy.open("wb") as file,
        subprocess.Popen(["cat"], stdin=run.stdout, stdout=file) as reader,
    ):
        assert run.stdout is not None
        run.stdout.close()
        wait(lambda: copy.stat().st_size > 2_000_000)
        run.send_signal(signal.SIGINT)
        _, err = run.communicate(timeout=AT_ONCE)
        assert reader.wait(timeout=AT_ONCE) == 0
    assert run.returncode == 130, err
    content = copy.read_bytes()
    frames = len(content) - content.index(b"\n") - 1
    assert frames % (len(b"FRAME\n") + 640 * 480 * 3 // 2) == 0


def test_the_pipe_is_left_as_it_was() -> None:
    """Whoever shares the pipe with this program finds it as before: writing to it waits."""
    reading, writing = os.pipe()
    run = process("run", "test:160x120@10,0.1s", "-o", "-", "-q", *FAST, stdout=writing)
    assert run.wait(timeout=30) == 0
    run.communicate()
    assert os.get_blocking(writing)
    os.close(reading)
    os.close(writing)


def test_fifos_that_stall_are_not_waited_for(tmp_path: Path) -> None:
    """A FIFO read from and one nobody opens to read: one signal finishes what is a file."""
    source, sink, target, report = (tmp_path / name for name in ("in.ts", "out.mkv", "out.mp4", "r.json"))
    os.mkfifo(source)
    os.mkfifo(sink)
    make_clip(tmp_path / "clip.ts", frames=30)
    held = os.open(source, os.O_RDWR)  # keeps it open, and does not wait
    os.write(held, (tmp_path / "clip.ts").read_bytes()[:65536])
    with running(source, "-o", target, "-o", sink, "--report", report) as run:
        wait(lambda: bool(list(tmp_path.glob(".out.partial*"))))
        check_end(run, signal.SIGINT, target, report, least=1)
    os.close(held)


def test_a_fifo_carries_a_video(tmp_path: Path) -> None:
    """Every frame that goes through one FIFO in and another out arrives."""
    source, sink = tmp_path / "in.ts", tmp_path / "out.nut"
    os.mkfifo(source)
    os.mkfifo(sink)
    make_clip(tmp_path / "clip.ts", frames=30)
    with (
        running(source, "-o", sink) as run,
        (tmp_path / "copy.nut").open("wb") as copy,
        source.open("wb") as feed,
        subprocess.Popen(["cat", tmp_path / "clip.ts"], stdout=feed),
        subprocess.Popen(["cat", sink], stdout=copy),
    ):
        feed.close()
        _, err = run.communicate(timeout=60)
    assert run.returncode == 0, err
    assert len(read_frames(tmp_path / "copy.nut")) == 30


def test_a_fifo_without_a_video_is_one_line(tmp_path: Path) -> None:
    """What is no video is answered, though nobody can look into a FIFO twice."""
    source = tmp_path / "in.mp4"
    os.mkfifo(source)
    with (
        running(source, "-o", tmp_path / "out.mp4") as run,
        source.open("wb") as feed,
    ):
        feed.write(bytes(1000))
        feed.close()
        _, err = run.communicate(timeout=30)
    assert run.returncode == 1
    assert err.count(b"\n") == 1
    assert b"no video format was found in this pipe" in err


@contextmanager
def stalled(content: bytes) -> Iterator[tuple[int, Callable[[], bool]]]:
    """A server that sends some bytes and then nothing: its port, and whether somebody has come."""
    came = threading.Event()
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            with server.accept()[0] as connection:
                connection.sendall(content)
                came.set()
                over.wait()

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield server.getsockname()[1], came.is_set
        finally:
            over.set()
            thread.join()


@pytest.mark.parametrize("content", [b"", b"HTTP/1.1 200 OK\r\nContent-Ty"])
@pytest.mark.parametrize("address", ["tcp://127.0.0.1:{}", "http://127.0.0.1:{}/a.ts"])
def test_a_server_that_never_answers_is_left_at_once(tmp_path: Path, address: str, content: bytes) -> None:
    """A signal while the program still waits for a video ends it: no word, no file."""
    with (
        stalled(content) as (port, came),
        running(address.format(port), "-o", tmp_path / "out.mp4") as run,
    ):
        wait(came)
        run.send_signal(signal.SIGINT)
        _, err = run.communicate(timeout=AT_ONCE)
    assert run.returncode == -signal.SIGINT
    assert err == b""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:{}", "http://127.0.0.1:{}/a.ts"])
def test_a_server_that_falls_silent_is_left_at_once(tmp_path: Path, address: str) -> None:
    """Nothing more comes from the network: one signal finishes what came, long before that is an error."""
    target, report = tmp_path / "out.mp4", tmp_path / "report.json"
    # a codec whose decoder holds back next to nothing
    make_clip(tmp_path / "clip.ts", frames=100, codec="mpeg2video", time_base=Fraction(1, 30))
    content = (tmp_path / "clip.ts").read_bytes()
    if address.startswith("http"):
        content = b"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\n\r\n" + content
    with stalled(content) as (port, _):
        outputs = "--no-live", "-o", target, "-o", "-", "--report", report
        with running(address.format(port), *outputs, bufsize=0) as run:
            assert run.stdout is not None
            came = 0
            while came < 92 * 160 * 120 * 3 // 2:
                read = run.stdout.read(65536)
                assert read, "it has ended"
                came += len(read)
            check_end(run, signal.SIGINT, target, report, least=92)
