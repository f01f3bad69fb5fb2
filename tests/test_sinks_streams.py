"""Sinks that are no files: stdout, the network, nowhere."""

from __future__ import annotations

import io
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from streamseg.errors import SinkError, UsageError
from streamseg.sinks import open_sink
from tests.clips import TICKS, frame_times, read_frames
from tests.sinking import made_frames, write_frames

TEN = list(range(0, 30_000, 3000))

STDOUT = """
import sys
from tests.sinking import made_frames, write_frames
ticks = [3000 * n for n in range(int(sys.argv[1]))]
frames = made_frames(ticks, pixel_format=sys.argv[2], size=(35, 17))
write_frames("-", frames)
"""


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p", "yuv444p", "gray", "yuv420p10le", "rgb24"])
def test_stdout_carries_yuv4mpeg(tmp_path: Path, pixel_format: str) -> None:
    """`-` is a YUV4MPEG stream any player reads from a pipe, in every chroma format and more than 8 bits."""
    with (tmp_path / "piped.y4m").open("wb") as file:
        subprocess.run([sys.executable, "-c", STDOUT, "10", pixel_format], stdout=file, check=True)
    stored = read_frames(tmp_path / "piped.y4m")
    assert len(stored) == 10
    assert stored[0].format.name == ("yuv444p" if pixel_format == "rgb24" else pixel_format)
    assert (stored[0].width, stored[0].height) == (35, 17)
    assert frame_times(tmp_path / "piped.y4m") == [ticks * TICKS for ticks in TEN]


def test_who_stops_reading_ends_the_run_quietly() -> None:
    """A closed pipe is SinkClosed, an ordinary end: no traceback, no message of the library's."""
    script = STDOUT.replace('write_frames("-", frames)', "") + (
        "from streamseg.errors import SinkClosed\n"
        "try:\n    write_frames('-', frames)\n"
        "except SinkClosed as error:\n    print(error, file=sys.stderr)\n"
    )
    writer = subprocess.Popen(
        [sys.executable, "-c", script, "400", "yuv444p"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert writer.stdout is not None and writer.stderr is not None
    writer.stdout.read(100)
    writer.stdout.close()
    said = writer.stderr.read().decode()
    writer.stderr.close()
    assert writer.wait() == 0
    assert said == "nobody reads '-' any more\n"


def test_transparency_that_stdout_cannot_carry_is_refused_by_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody asked for YUV4MPEG, so the message speaks of '-'."""
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    with pytest.raises(UsageError, match=r"^'-' cannot hold transparency; use .mov"):
        write_frames("-", made_frames([0], pixel_format="yuva420p"))


def test_a_terminal_is_no_place_for_raw_video(monkeypatch: pytest.MonkeyPatch) -> None:
    """`-o -` without a pipe is refused before a single byte is written."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with pytest.raises(UsageError, match="pipe it on"):
        open_sink("-")


def test_null_takes_and_counts() -> None:
    """`null:` keeps nothing."""
    sink = write_frames("null:", made_frames(TEN))
    assert sink.frames == 10  # type: ignore[attr-defined]


def test_a_stream_over_udp_arrives() -> None:
    """`udp:` sends MPEG-TS, no encoder delay: packets of 188 bytes, each beginning with its sync byte."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(10)
        write_frames(f"udp://127.0.0.1:{receiver.getsockname()[1]}", made_frames(TEN))
        datagram = receiver.recv(2000)
    assert len(datagram) % 188 == 0
    assert set(datagram[::188]) == {0x47}


@pytest.mark.parametrize("scheme", ["rtmp", "tcp", "rtsp"])
def test_a_server_that_is_not_there_is_one_line(scheme: str) -> None:
    """No connection: one line, no credentials."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(SinkError, match=rf"^cannot write '{scheme}://\*\*\*@127.0.0.1") as caught:
            write_frames(f"{scheme}://me:secret@127.0.0.1:{port}/live", made_frames(TEN))
    assert "secret" not in str(caught.value)
