"""Streams out: they begin, stall, break and come back, and hold nobody up."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import av
import pytest

from streamseg.control import Control
from streamseg.errors import SinkError, UsageError
from streamseg.frame import Frame
from streamseg.sinks import Encoding
from streamseg.stats import Stats
from tests.clips import make_noise, read_frames
from tests.doubles import ListSink
from tests.flashes import beeps, flashes, make_flashes
from tests.receivers import Dav, Listener, broadcast, join_left_behind, packets_in, rising, stream_to, when
from tests.servers import free_port, nginx, rtsp_recorder, wait_for


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds, each beginning with a flash and a beep."""
    return make_flashes(tmp_path_factory.mktemp("clips") / "talk.mkv", 4)


@pytest.fixture
def listener() -> Iterator[Listener]:
    """Somebody who takes MPEG-TS over TCP."""
    with Listener() as listening:
        yield listening


def tcp(listening: Listener) -> str:
    """Its address, with credentials that no message may show."""
    return f"tcp://me:secret@127.0.0.1:{listening.port}"


def in_step(recording: Path) -> list[float]:
    """The times of the flashes in a file. Each has its beep within 40 ms; where its first frames were dropped
    it is seen later by these, but not all can have been."""
    seen, heard = flashes(recording), beeps(recording)
    late = [min((flash - beep for beep in heard), key=abs) for flash in seen]
    assert all(-0.04 <= each <= 0.2 for each in late), (seen, heard)
    assert min(late, default=0.0) <= 0.04, (seen, heard)
    return seen


def test_a_dropped_connection_is_made_again(talk: Path, listener: Listener) -> None:
    """It goes on with a keyframe at a later time, pictures and sound; the report counts it, a line tells."""
    lines: list[str] = []
    sink, beside = stream_to(tcp(listener), say=lines.append), ListSink()
    report = broadcast(talk, sink, beside, watch=when(40, listener.drop))
    first, second = (bytes(part) for part in listener.received)
    before, after = packets_in(first, "video"), packets_in(second, "video")
    assert after[0][1]
    assert rising([time for time, _ in before + after])
    assert packets_in(second, "audio")[0][0] > packets_in(first, "audio")[-1][0]
    assert report.reconnects == 1
    assert len(beside.frames) + report.frames_dropped == 100
    assert any("2 times" in note or "once" in note for note in report.notes)
    assert len(lines) == 2
    assert lines[1].endswith("connected again")
    assert "secret" not in " ".join([*lines, *report.notes, report.to_json()])


def test_a_server_that_stalls_is_left_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who takes nothing for the write timeout is connected to anew; meanwhile every other sink gets each
    frame, and what the stream has lost is counted."""
    monkeypatch.setattr("streamseg.sinks.connections._SEND_BUFFER", 4096)
    clip = make_flashes(tmp_path / "talk.mkv", 8)
    with Listener(small=True) as server:
        lines: list[str] = []

        def say(line: str) -> None:
            lines.append(line)
            if line.endswith("connecting again"):
                server.stalled = False
                server.drop()

        def stall() -> None:
            server.stalled = True

        sink, beside = stream_to(tcp(server), timeout=0.3, say=say), ListSink()
        report = broadcast(clip, sink, beside, watch=when(40, stall))
    assert lines[0].endswith("; connecting again")
    assert len(beside.frames) + report.frames_dropped == 200
    assert report.reconnects >= 1
    assert report.sinks_dropped[0] > 0
    assert report.sinks_dropped[1] == 0
    assert rising([time for time, _ in packets_in(bytes(server.received[-1]), "video")])


def test_a_server_that_takes_again_gets_one_stream_at_a_time(tmp_path: Path) -> None:
    """A connection given up too soon, whose server takes again, is closed before the next is made: nginx
    refuses whoever sends where somebody does already."""
    clip = make_flashes(tmp_path / "talk.mkv", 8)
    with nginx(tmp_path, record=True) as server:
        sink: Any = stream_to(server.rtmp(), timeout=10.0)

        def lose_patience() -> None:
            sink._stream._timeout = 0.0

        report = broadcast(clip, sink, ListSink(), watch=when(50, lose_patience))
        recorded = sorted(server.recorded.iterdir(), key=lambda path: path.stat().st_mtime)
    assert report.reconnects == 1
    assert not report.failures
    assert [bool(packets_in(part, "video")) for part in recorded] == [True, True]


@pytest.mark.parametrize("scheme", ["rtmp", "rtsp", "tcp"])
def test_a_server_that_accepts_and_says_nothing_is_an_error_or_an_outage(talk: Path, scheme: str) -> None:
    """An RTMP or RTSP server that never answers fails at the start, within the timeout; plain TCP needs no
    answer. Nothing hangs."""
    with Listener(stalled=True) as silent:
        sink = stream_to(f"{scheme}://127.0.0.1:{silent.port}/live/key", timeout=0.5)
        if scheme == "tcp":
            assert broadcast(talk, sink, duration=0.5).frames_out > 0
        else:
            with pytest.raises(SinkError, match=f"^cannot write '{scheme}://"):
                broadcast(talk, sink)


def test_attempts_end(talk: Path) -> None:
    """With `attempts` the stream that cannot be made again fails, and says how often it was tried; the file
    beside it is finished."""
    with Listener() as listening:
        sink, beside = stream_to(tcp(listening), attempts=2), ListSink()

        report = broadcast(talk, sink, beside, watch=when(45, listening.leave))
    assert report.sinks_failed
    assert "given up after 2 attempts" in report.sinks_failed[0]
    assert beside.ended == "closed"


def test_a_stream_that_is_taken_is_refused_in_plain_words(talk: Path, tmp_path: Path) -> None:
    """nginx lets one at a time send to an address; the first is not disturbed."""
    with nginx(tmp_path) as server:
        refused: list[str] = []

        def meddle() -> None:
            with pytest.raises(SinkError) as caught:
                broadcast(talk, stream_to(server.rtmp("key")))
            refused.append(str(caught.value))

        report = broadcast(talk, stream_to(server.rtmp("key")), watch=when(40, meddle))
    assert refused == [
        f"cannot write {server.rtmp('***')!r}: "
        "the server refused the stream; perhaps somebody sends one there already"
    ]
    assert report.reconnects == 0


@pytest.mark.parametrize("codec", ["h264", "libx264"])
def test_rtsp_takes_its_codec_by_name(codec: str) -> None:
    """What it is sent without being asked can be asked for; others are refused by name."""
    stream_to("rtsp://127.0.0.1:9/a", encoding=Encoding(codec=codec))
    with pytest.raises(UsageError, match=r"'rtsp:' cannot hold 'prores'; it can hold: h264$"):
        stream_to("rtsp://127.0.0.1:9/a", encoding=Encoding(codec="prores"))


def test_vp9_can_be_streamed(talk: Path, tmp_path: Path) -> None:
    """Its encoder knows no limit to the bitrate without a bitrate."""
    with nginx(tmp_path) as server:
        report = broadcast(talk, stream_to(server.rtmp("key"), encoding=Encoding(codec="vp9")), duration=1)
    assert report.frames_out > 10


def test_rtmp_survives_its_server(talk: Path, tmp_path: Path) -> None:
    """nginx is killed and started again: both recordings play, in step within 40 ms, the second one later."""
    with nginx(tmp_path, record=True) as server:

        def restart() -> None:
            server.kill()
            server.start()

        report = broadcast(talk, stream_to(server.rtmp("private-key")), watch=when(45, restart))
        wait_for(lambda: len(list(server.recorded.iterdir())) == 2, "second recording")
    assert report.reconnects == 1
    assert report.sinks == [server.rtmp("***")]
    first, second = sorted(server.recorded.iterdir(), key=lambda path: path.stat().st_mtime)
    assert len(in_step(first)) >= 1
    assert len(in_step(second)) >= 1
    assert packets_in(second, "video")[0][1]


def test_rtsp_survives_its_server(talk: Path, tmp_path: Path) -> None:
    """GStreamer's server is killed and started again: what it records then begins with a keyframe, and holds
    pictures and sound."""
    folder = tmp_path / "recorded"
    folder.mkdir()
    with rtsp_recorder(folder, sound=True) as server:

        def restart() -> None:
            server.kill()
            (folder / "0.mkv").unlink()
            server.start()

        report = broadcast(talk, stream_to(server.uri), watch=when(45, restart))
        wait_for(lambda: (folder / "0.mkv").stat().st_size > 5000, "second recording")
    assert report.reconnects == 1
    assert packets_in(folder / "0.mkv", "video")[0][1]
    assert packets_in(folder / "0.mkv", "audio")


def test_sound_stays_in_step_over_each_protocol(talk: Path, tmp_path: Path) -> None:
    """RTMP, RTSP, TCP and HTTP at once, from a live source: every flash has its beep within 40 ms."""
    folder = tmp_path / "rtsp"
    folder.mkdir()
    dav = Dav(tmp_path / "dav")
    with (
        nginx(tmp_path, record=True) as rtmp,
        rtsp_recorder(folder, sound=True) as rtsp,
        dav,
        Listener() as tcp_,
    ):
        addresses = [
            rtmp.rtmp(),
            rtsp.uri,
            f"tcp://127.0.0.1:{tcp_.port}",
            f"http://127.0.0.1:{dav.port}/a.ts",
        ]
        report = broadcast(talk, *(stream_to(address) for address in addresses))
        (recorded,) = rtmp.recorded.iterdir()
        (tmp_path / "tcp.ts").write_bytes(bytes(tcp_.received[0]))
    assert report.reconnects == 0
    for file in (recorded, folder / "0.mkv", tmp_path / "tcp.ts", dav.stored / "a.ts"):
        assert len(in_step(file)) >= 3, file


def test_a_stalled_server_does_not_hold_up_the_end(talk: Path) -> None:
    """Ctrl-C with a server that takes nothing: the run ends soon, what is beside it is finished."""
    with Listener(stalled=True) as stalled:
        control, beside = Control(), ListSink()
        sink = stream_to(f"rtmp://127.0.0.1:{stalled.port}/live/key", timeout=2.0)
        begun = time.monotonic()
        report = broadcast(talk, sink, beside, control=control, watch=when(10, control.stop))
        assert time.monotonic() - begun < 10
        join_left_behind()
    assert report.interrupted
    assert beside.ended == "closed"


def test_ctrl_c_ends_the_program_though_a_server_stalls(tmp_path: Path) -> None:
    """One is enough: the file beside the stream is finished, the exit code says 130."""
    with Listener(stalled=True) as stalled:
        key = f"rtmp://127.0.0.1:{stalled.port}/live/private-key"
        command = ["run", "test:64x48@25,60s", "--runtime", "null", "--crop", "off", "-y", "-o"]
        done = subprocess.Popen(
            [sys.executable, "-m", "streamseg", *command, str(tmp_path / "a.mp4"), "-o", key],
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_for(lambda: bool(stalled.received), "connection")
        begun = time.monotonic()
        done.send_signal(signal.SIGINT)
        said = done.communicate(timeout=20)[1]
    assert time.monotonic() - begun < 15
    assert done.returncode == 130
    assert read_frames(tmp_path / "a.mp4")
    assert "private-key" not in said


def test_a_file_is_sent_at_its_own_speed(talk: Path) -> None:
    """As a live stream it comes frame by frame; it loses none, though the source is no live one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        sink = stream_to(f"udp://127.0.0.1:{receiver.getsockname()[1]}")
        report = broadcast(talk, sink, live=False, duration=1.0)
    assert report.wall_s > 0.9
    assert (report.frames_out, report.sinks_dropped) == (25, [0])


def test_a_refused_connection_ends_the_only_stream_at_once(talk: Path) -> None:
    """The first connection is no outage."""
    with pytest.raises(
        SinkError,
        match=r"^cannot write 'rtmp://127.0.0.1:\d+/live/\*\*\*': connection refused; start the server",
    ):
        broadcast(talk, stream_to(f"rtmp://127.0.0.1:{free_port()}/live/private-key"))


@pytest.mark.parametrize(
    "uri", ["rtmp://{}/a/b", "rtsp://{}/a", "tcp://{}:9", "udp://{}:9", "http://{}/a.ts"]
)
def test_a_host_that_is_not_known_is_named(talk: Path, uri: str) -> None:
    """FFmpeg tells an input/output error."""
    with pytest.raises(SinkError, match=r": there is no host 'no..host'; check the address and the link$"):
        broadcast(talk, stream_to(uri.format("no..host")))


@pytest.mark.slow
def test_two_minutes_through_ten_outages(tmp_path: Path) -> None:
    """A server killed and started again at random, ten times: times go on over all recordings, each of which
    is in step within 40 ms, the sink beside it has every frame, and memory stays flat."""
    clip = make_flashes(tmp_path / "long.mkv", 120)
    random, memory, deaths = Random(1), list[float](), list[int]()
    due = [random.randint(150, 300)]
    with nginx(tmp_path, record=True) as server:

        def watch(stats: Stats) -> None:
            if stats.frames_out >= due[-1] and len(due) <= 10:
                server.kill()
                server.start()
                deaths.append(stats.frames_out)
                due.append(stats.frames_out + random.randint(150, 300))
                memory.append(resident_mb())

        beside = Counting()
        report = broadcast(clip, stream_to(server.rtmp()), beside, watch=watch)
    assert len(deaths) == report.reconnects == 10
    assert beside.count == report.frames_out
    recordings = sorted(server.recorded.iterdir(), key=lambda path: path.stat().st_mtime)
    assert len(recordings) == 11
    times = [time for part in recordings for time, _ in packets_in(part, "video")]
    assert rising(times)
    for part in recordings:
        assert packets_in(part, "video")[0][1]
        assert len(in_step(part)) >= 2
    assert max(memory[3:]) < memory[2] + 20, memory


class Counting(ListSink):
    """Keeps neither frames nor packets."""

    count = 0

    def write(self, frame: Frame) -> None:
        """Count it."""
        self.count += 1

    def copy(self, packets: Sequence[av.Packet]) -> None:
        """Forget them."""


def resident_mb() -> float:
    """Memory this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def test_rtmps_checks_whom_it_talks_to(talk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TLS with a certificate that the system's authorities did not sign is refused before the stream key is
    sent; one they did sign is taken."""
    with nginx(tmp_path, record=True) as server:
        with Dav(tmp_path / "dav", behind=server.rtmp_port) as secure:
            address = f"rtmps://127.0.0.1:{secure.wrapped}/live/private-key"
            with pytest.raises(SinkError, match="certificate is not trusted"):
                broadcast(talk, stream_to(address))
            assert not list(server.recorded.iterdir())
            monkeypatch.setenv("SSL_CERT_FILE", str(secure.certificate))
            broadcast(talk, stream_to(address), duration=1.5)
        (recorded,) = server.recorded.iterdir()
    assert len(in_step(recorded)) >= 1


def test_an_rtsp_server_that_freezes_is_left_and_tried_again(tmp_path: Path) -> None:
    """FFmpeg would wait for it for ever: the connection is broken off, and made again when the server thaws.
    A second output beside it gets every frame."""
    clip, folder = make_noise(tmp_path / "noise.mkv", seconds=8), tmp_path / "recorded"
    folder.mkdir()
    with rtsp_recorder(folder) as server:
        lines: list[str] = []

        def say(line: str) -> None:
            lines.append(line)
            if line.endswith("connecting again"):
                server.thaw()

        sink = stream_to(server.uri, timeout=0.5, say=say, encoding=Encoding(bitrate=40_000_000))
        beside = ListSink()
        report = broadcast(clip, sink, beside, watch=when(20, server.freeze), effect="overlay")
    assert lines[0] == f"cannot write {server.uri!r}: the server took nothing for 0.5 s; connecting again"
    assert report.reconnects == 1
    assert len(beside.frames) + report.frames_dropped == 200
    assert report.frames_dropped < 20  # nobody waited
