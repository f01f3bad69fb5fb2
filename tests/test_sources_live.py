"""Live streams from real servers that are killed and started again: nginx (RTMP, HLS), GStreamer (RTSP)."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest

import streamseg
from streamseg.backoff import Backoff
from streamseg.errors import SourceError, UsageError
from streamseg.frame import Frame
from streamseg.sources import open_source
from streamseg.sources.base import Source
from streamseg.sources.media import MediaSource
from streamseg.sources.reconnecting import open_stream
from streamseg.stats import Stats
from tests.commandline import Cli
from tests.flashes import RATE, beeps, flashes, make_flashes
from tests.servers import Server, nginx, publisher, rtsp_server, wait_for
from tests.serving import serving

SOON = Backoff(shortest=0.1, longest=0.3)


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a minute of flashes and beeps."""
    return make_flashes(tmp_path_factory.mktemp("talk") / "talk.mkv", 30, gop=10)


def through_an_outage(source: Source, *servers: Server, before: int = 30, after: int = 20) -> list[Frame]:
    """Frames read while the servers are killed and, once that has been noticed, started again."""
    frames = []
    for frame in source:
        frames.append(frame)
        for server in servers:
            if len(frames) == before:
                server.kill()
            if frame.absent and not server.running:
                server.start()
        after -= source.reconnects > 0 and not frame.absent
        if not after:
            source.interrupt()
    return frames


def check(frames: list[Frame], source: Source) -> None:
    """One outage, bridged at the nominal rate and by the clock."""
    assert source.reconnects == 1
    assert all(one.picture.pts < other.picture.pts for one, other in pairwise(frames))
    gone = [index for index, frame in enumerate(frames) if frame.absent]
    assert gone == list(range(gone[0], gone[-1] + 1))
    steps = [float(frames[index + 1].time - frames[index].time) for index in gone[:-1]]
    assert steps == pytest.approx([1 / RATE] * len(steps), abs=0.001)
    last, back = frames[gone[0] - 1], frames[gone[-1] + 1]
    assert float(back.time - last.time) == pytest.approx(back.captured - last.captured, abs=0.05)


@pytest.mark.parametrize("transport", ["", "?udp"])
def test_rtsp_goes_on_after_its_server_was_killed(talk: Path, transport: str) -> None:
    """Over TCP and UDP, as `?udp` asks."""
    with (
        rtsp_server(talk) as server,
        open_stream(server.uri + transport, backoff=SOON, read_timeout=1) as source,
    ):
        check(through_an_outage(source, server), source)


def test_rtmp_goes_on_after_its_server_was_killed(talk: Path, tmp_path: Path) -> None:
    """Server and publisher both return."""
    with nginx(tmp_path) as server, publisher(talk, server.rtmp()) as sender:
        wait_for((server.playlists / "a.m3u8").exists, "publication")

        with open_stream(server.rtmp(), backoff=SOON, read_timeout=1) as source:
            check(through_an_outage(source, server, sender), source)


def test_rtmp_without_its_publisher_is_a_lost_stream(talk: Path, tmp_path: Path) -> None:
    """The server keeps the connection, but nothing comes."""
    with nginx(tmp_path) as server, publisher(talk, server.rtmp()) as sender:
        wait_for((server.playlists / "a.m3u8").exists, "publication")
        with open_stream(server.rtmp(), backoff=SOON, read_timeout=0.5) as source:
            check(through_an_outage(source, sender), source)
            assert "gave no frame for 0.5 s after" in source.warnings[-1]


def test_hls_is_live_as_long_as_its_playlist_has_no_end(talk: Path, tmp_path: Path) -> None:
    """A broadcast is read at its own pace, and segments that come in lumps are no outage."""
    with nginx(tmp_path) as server, publisher(talk, server.rtmp()):
        wait_for(lambda: "a-2.ts" in _text(server.playlists / "a.m3u8"), "third segment")
        with open_source(server.hls()) as source:
            assert source.live
            frames = [frame for frame, _ in zip(source, range(3 * RATE), strict=False)]
    assert not any(frame.absent for frame in frames)
    length = frames[-1].captured - frames[0].captured
    assert length == pytest.approx(float(frames[-1].time - frames[0].time), abs=1.5)


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def test_a_broadcast_that_is_concluded_ends_without_an_outage(tmp_path: Path) -> None:
    """When its playlist gets an end, no frame without input comes after its last picture."""
    playlist, write_end = _broadcast(tmp_path)
    with serving(tmp_path) as address, open_stream(f"{address}/{playlist.name}", backoff=SOON) as source:
        frames: list[Frame] = []
        for frame in source:
            frames.append(frame)
            if len(frames) == 5:
                write_end()
    assert source.live
    assert not any(frame.absent for frame in frames)
    assert len(frames) == 3 * RATE
    assert source.warnings == []


def test_a_broadcast_whose_server_dies_is_lost(tmp_path: Path) -> None:
    """Without an end in its playlist the end of its segments is none."""
    playlist, _ = _broadcast(tmp_path)
    with serving(tmp_path) as address:
        source = open_stream(f"{address}/{playlist.name}", backoff=SOON, read_timeout=0.5)
    with source:
        assert next(frame for frame in source if frame.absent)


def test_nothing_of_a_broadcast_is_passed_over(tmp_path: Path) -> None:
    """Its segments are no pile: a new connection begins with the first of them, too."""
    playlist, _ = _broadcast(tmp_path)
    with serving(tmp_path) as address, MediaSource(f"{address}/{playlist.name}") as source:
        source.catch_up()
        times = [frame.time for frame, _ in zip(source, range(3), strict=False)]
    assert [time - times[0] for time in times] == [Fraction(index, RATE) for index in range(3)]
    assert times[0] < 2


def test_a_broadcast_is_no_background(tmp_path: Path) -> None:
    """It cannot start over, and would hold the pictures in front up."""
    playlist, _ = _broadcast(tmp_path)
    with serving(tmp_path) as address, pytest.raises(UsageError, match="is live; give a picture"):
        streamseg.open_compositor(streamseg.effect("replace", background=f"{address}/{playlist.name}"))


def _broadcast(folder: Path) -> tuple[Path, Callable[[], object]]:
    """A playlist of three segments of a second each, and what writes its end."""
    path = folder / "list.m3u8"
    options = {"hls_time": "1", "hls_list_size": "0", "hls_segment_filename": str(folder / "part%d.ts")}
    clip = make_flashes(folder / "clip.mkv", 3, gop=10)
    with av.open(str(clip)) as source, av.open(str(path), "w", format="hls", options=options) as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    whole = path.read_text()
    path.write_text(whole.replace("#EXT-X-ENDLIST\n", ""))
    return path, lambda: path.write_text(whole)


def test_a_password_is_asked_for_and_never_shown(talk: Path, cli: Cli) -> None:
    """With the right one the stream comes, with a wrong one a line that shows neither."""
    with rtsp_server(talk, user="me:se/cret") as server:
        right = server.uri.replace("//", "//me:se%2Fcret@")
        with open_source(right) as source:
            assert next(iter(source)).size == (160, 120)
            assert "cret" not in source.uri
        with pytest.raises(SourceError, match="401 Unauthorized") as caught:
            open_source(server.uri.replace("//", "//me:topsecret@"))
        assert "cret" not in str(caught.value)
        outcome = cli.run(server.uri.replace("//", "//me:topsecret@"), "-o", "null:")
        assert outcome.code == 1
        assert "cret" not in outcome.error


def test_a_recorded_outage_keeps_sound_and_picture_together(talk: Path, tmp_path: Path) -> None:
    """Every beep lies within 40 ms of its flash in the file, before an outage and after it."""
    out = tmp_path / "out.mkv"
    with rtsp_server(talk) as server:

        def restart(stats: Stats) -> None:
            if stats.frames_out == 3 * RATE:
                server.kill()
                server.start()

        with (
            open_stream(server.uri, backoff=SOON, duration=9) as source,
            streamseg.Segmenter("selfie", runtime="null") as segmenter,
            streamseg.open_compositor(streamseg.effect("outline")) as compositor,
        ):
            sink = streamseg.open_sink(str(out))
            report = streamseg.run(source, segmenter, compositor, [sink], watch=restart)
    heard = beeps(out)
    apart = [min((beep - flash for beep in heard), key=abs) for flash in flashes(out)]
    together = [each for each in apart if abs(each) <= 0.04]
    assert len(together) >= 5
    assert len(apart) - len(together) <= 1, "only what an outage cut in two"
    assert report.reconnects == 1
    assert report.frames_absent > 0
