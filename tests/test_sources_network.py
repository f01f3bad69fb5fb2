"""Streams from servers on this machine, and from none."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import av
import pytest

from streamseg.errors import SourceError, UsageError
from streamseg.sinks import open_sink
from streamseg.sources import open_source, opening
from tests.clips import make_clip
from tests.flashes import RATE, make_flashes
from tests.serving import Turn, serving, taking_turns


def test_http_is_read_like_a_file(tmp_path: Path) -> None:
    """A file behind http: is read whole and unpaced; its password shows nowhere."""
    times = make_clip(tmp_path / "clip.mp4", frames=5)
    with serving(tmp_path) as address, open_source(f"{address}/clip.mp4?token=abc") as source:
        assert [frame.time for frame in source] == times
        assert not source.live
        assert source.paths == ()
        assert "secret" not in source.uri and "abc" not in source.uri


def test_missing_address_is_answered_without_password(tmp_path: Path) -> None:
    """A file the server does not have is answered with the server's word and without the password."""
    with (
        serving(tmp_path) as address,
        pytest.raises(SourceError, match=r"404 Not Found; check the address") as caught,
    ):
        open_source(f"{address}/none.mp4")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("srt://127.0.0.1:9", "does not know the protocol; use http"),
        (
            "rtsp://user:secret@127.0.0.1:9/a",
            r"cannot open 'rtsp://\*\*\*@127.0.0.1:9/a': connection refused; check the",
        ),
        ("rtmp://no..host/a", r"^cannot open 'rtmp://no..host/a': there is no host 'no..host'; check the"),
        ("http://no..host/a", "there is no host 'no..host'"),
        ("rtmp://user:pa/ss@no..host/a", r"^cannot open '[^']*': (?!.*(user|pa)).*check the address"),
        ("udp://no..host:9", "there is no host 'no..host'"),
        ("rtsp://no..host/a", "there is no host 'no..host'"),
    ],
)
def test_unreachable_addresses(uri: str, message: str) -> None:
    """An address nobody answers at, or of a protocol FFmpeg lacks, is answered in one line."""
    with pytest.raises(SourceError, match=message):
        open_source(uri)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        (
            "udp://me:secret@127.0.0.1",
            r"'udp://\*\*\*@127.0.0.1' names no port; add it, as in udp://HOST:5000",
        ),
        ("tcp://127.0.0.1", "names no port; add it, as in tcp://HOST:5000"),
        ("rtsp://me:secret@127.0.0.1:99999/a", r"'rtsp://\*\*\*@127.0.0.1:99999/a' has a port beyond 65535"),
    ],
)
def test_a_port_that_cannot_be_is_an_error_at_once(uri: str, message: str) -> None:
    """For inputs and outputs alike: datagrams nobody sends would be waited for, and "invalid argument" says
    nothing."""
    with pytest.raises(UsageError, match=message):
        open_source(uri)
    with pytest.raises(UsageError, match=message):
        open_sink(uri)


@pytest.mark.parametrize("scheme", ["tcp", "rtsp", "rtmp", "rtmps", "http", "https"])
def test_silent_server_is_given_up(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    """A server that accepts but sends nothing does not hold the program for ever."""
    monkeypatch.setattr(opening, "OPEN_TIMEOUT", 0.2)
    with (
        taking_turns(Turn(silent=True)) as address,
        pytest.raises(SourceError, match="nothing came for 0 s; check the address"),
    ):
        open_source(address.replace("tcp", scheme))


def test_a_broadcast_whose_clock_leaps_ahead_goes_on(tmp_path: Path) -> None:
    """An encoder that is started again counts from another time: there is no hour without a picture, and
    sound stays with it."""
    make_flashes(tmp_path / "talk.mkv", 4)
    _with_a_leap(tmp_path / "talk.mkv", tmp_path / "leap.ts", seconds=3600)
    turn = Turn((tmp_path / "leap.ts").read_bytes())
    with taking_turns(turn) as address, open_source(address, reconnect=0) as source:
        times = [float(frame.time) for frame in source]
        heard = [float(packet.pts * packet.time_base) for packet in source.tracks.take()]
    assert len(times) == 4 * RATE
    assert max(later - early for early, later in pairwise(times)) < 0.1
    assert max(later - early for early, later in pairwise(heard)) < 0.1
    assert heard[-1] == pytest.approx(times[-1], abs=0.1)
    assert any("leapt ahead once" in warning for warning in source.warnings)


def _with_a_leap(clip: Path, target: Path, *, seconds: int) -> None:
    """Copy a clip; after two seconds its timestamps are later by so many seconds."""
    with av.open(str(clip)) as source, av.open(str(target), "w") as copy:
        streams = [copy.add_stream_from_template(stream) for stream in source.streams]
        for packet in source.demux():
            if packet.dts is None or packet.pts is None:
                continue
            leap = round(seconds / packet.time_base) if packet.dts * packet.time_base >= 2 else 0
            packet.stream = streams[packet.stream_index]
            packet.dts, packet.pts = packet.dts + leap, packet.pts + leap
            copy.mux(packet)
