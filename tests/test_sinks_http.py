"""HTTP push and HLS: what lies at the server, or in the folder, afterwards."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path

import pytest

from streamseg.errors import SinkError, UsageError
from streamseg.sinks import Encoding, open_sink
from streamseg.sinks.upload import Upload
from tests.clips import frame_times, make_clip
from tests.doubles import ListSink
from tests.flashes import make_flashes
from tests.receivers import Dav, broadcast, packets_in, rising, stream_to, when


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds, each beginning with a flash and a beep."""
    return make_flashes(tmp_path_factory.mktemp("clips") / "talk.mkv", 4)


@pytest.fixture
def dav(tmp_path: Path) -> Iterator[Dav]:
    """nginx, which stores what is put to it."""
    with Dav(tmp_path / "dav") as server:
        yield server


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """A server that sends these bytes to whoever connects."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection, suppress(OSError):
                connection.recv(4096)
                connection.sendall(answer)
                while answer and connection.recv(1 << 16):
                    pass

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"
        thread.join()


def test_a_stream_is_put_to_a_web_server(talk: Path, dav: Dav) -> None:
    """One request, chunk by chunk; pictures and sound are there, times are the source's own but for the 21 ms
    by which its sound begins before zero."""
    report = broadcast(talk, stream_to(f"http://127.0.0.1:{dav.port}/new/live.ts"), duration=1.0)
    stored = dav.stored / "new" / "live.ts"
    assert packets_in(stored, "audio")
    times = {time - Fraction(21, 1000) for time in frame_times(stored)}
    assert times <= set(frame_times(talk))
    assert len(times) == report.frames_out - report.sinks_dropped[0]


def test_a_live_playlist_is_put_and_its_segments_too(talk: Path, dav: Dav) -> None:
    """Segments of two seconds, each beginning with a keyframe, and the playlist that names them."""
    report = broadcast(talk, stream_to(f"http://127.0.0.1:{dav.port}/hls/index.m3u8"))
    assert report.reconnects == 0
    playlist = (dav.stored / "hls" / "index.m3u8").read_text()
    names = [line for line in playlist.splitlines() if line.endswith(".ts")]
    assert len(names) == 2
    for name in names:
        packets = packets_in(dav.stored / "hls" / name, "video")
        assert packets[0][1]
    assert packets_in(dav.stored / "hls" / names[0], "audio")


def test_a_web_server_that_dies_is_put_to_again(talk: Path, dav: Dav) -> None:
    """Killed and started again on the same port: what is stored afterwards begins with a keyframe."""

    def restart() -> None:
        dav.kill()
        dav.start()

    sink, beside = stream_to(f"http://127.0.0.1:{dav.port}/live.ts"), ListSink()
    report = broadcast(talk, sink, beside, watch=when(40, restart))
    assert report.reconnects == 1
    assert len(beside.frames) + report.frames_dropped == 100
    packets = packets_in(dav.stored / "live.ts", "video")
    assert packets[0][1]
    assert packets[0][0] > 1


@pytest.mark.parametrize("name", ["closed/a.ts", "closed/index.m3u8"])
def test_a_web_server_that_refuses_is_one_line(talk: Path, dav: Dav, name: str) -> None:
    """Its own words, without the credentials it was given."""
    with pytest.raises(SinkError, match=rf"\*\*\*@127.0.0.1:\d+/{name}': the server answers '403") as caught:
        broadcast(talk, stream_to(f"http://me:secret@127.0.0.1:{dav.port}/{name}"))
    assert "secret" not in str(caught.value)


def test_https_checks_the_certificate(talk: Path, dav: Dav, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server nobody vouches for is refused; one that is vouched for gets the stream."""
    address = f"https://localhost:{dav.secure}/safe.ts"
    with pytest.raises(SinkError, match="certificate"):
        broadcast(talk, stream_to(address))
    monkeypatch.setenv("SSL_CERT_FILE", str(dav.certificate))
    broadcast(talk, stream_to(address), duration=0.5)
    assert packets_in(dav.stored / "safe.ts", "video")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", "answers '401 Unauthorized'"),
        (b"HTTP/1.1 301 Moved\r\nLocation: /b\r\n\r\n", "answers '301 Moved'"),
        (b"", "closed the connection"),
        (b"x" * 100_000, "does not speak HTTP"),
    ],
)
def test_what_is_no_consent_is_a_refusal(answer: bytes, why: str) -> None:
    """Nothing of the body is sent; the error says what came."""
    with answering(answer) as url, pytest.raises(OSError, match=why):
        Upload(url, timeout=2).open()


def test_an_upload_is_stored_only_when_it_was_ended(dav: Dav) -> None:
    """What is broken off is not there afterwards; `commit` waits for the server's word."""
    for name, end in (("whole", Upload.commit), ("broken", Upload.discard)):
        upload = Upload(f"http://127.0.0.1:{dav.port}/{name}", timeout=5)
        upload.open()
        upload.write(b"a" * 100)
        upload.write(b"b" * 100)
        end(upload)
    assert (dav.stored / "whole").read_bytes() == b"a" * 100 + b"b" * 100
    assert not (dav.stored / "broken").exists()


def test_a_server_that_takes_the_body_and_never_answers_is_told() -> None:
    """`commit` waits no longer than the timeout."""
    with answering(b"HTTP/1.1 100 Continue\r\n\r\n") as url:
        upload = Upload(url, timeout=0.2)
        upload.open()
        with pytest.raises(OSError, match="the server does not answer"):
            upload.commit()


def test_a_file_becomes_a_whole_playlist(tmp_path: Path) -> None:
    """All segments from the first to the last; sound is copied, times are kept but for the 21 ms by which it
    begins before zero, and players know that nothing will follow."""
    make_clip(tmp_path / "in.mkv", frames=200, rate=10, audio="aac")
    sink = open_sink(str(tmp_path / "out.m3u8"))
    report = broadcast(tmp_path / "in.mkv", sink, live=False)
    playlist = (tmp_path / "out.m3u8").read_text()
    assert "#EXT-X-ENDLIST" in playlist
    assert "#EXT-X-PLAYLIST-TYPE:VOD" in playlist
    assert len(list(tmp_path.glob("out-*.ts"))) == playlist.count("#EXTINF") == 4
    assert report.audio == "copied"
    times = [time - Fraction(21, 1000) for time in frame_times(tmp_path / "out.m3u8")]
    assert times == frame_times(tmp_path / "in.mkv")
    assert any("+21 ms" in note for note in report.notes)


def test_a_live_playlist_forgets(tmp_path: Path) -> None:
    """Of a live source the last segments stay, older ones are removed."""
    make_clip(tmp_path / "in.mkv", frames=150, rate=5)
    sink = open_sink(str(tmp_path / "out.m3u8"), live=True)
    broadcast(tmp_path / "in.mkv", sink, live=False)
    playlist = (tmp_path / "out.m3u8").read_text()
    assert playlist.count("#EXTINF") == 6
    assert 6 <= len(list(tmp_path.glob("out-*.ts"))) <= 10
    assert rising([time for time, _ in packets_in(tmp_path / "out.m3u8", "video")])


def test_a_playlist_replaces_nothing_without_being_told(tmp_path: Path) -> None:
    """Neither the playlist nor a segment that lies there."""
    (tmp_path / "a.m3u8").write_text("mine")
    (tmp_path / "b-0.ts").write_text("mine")
    for name, there in (("a.m3u8", "a.m3u8"), ("b.m3u8", "b-0.ts")):
        with pytest.raises(UsageError, match=f"{there}' exists; pass -y"):
            open_sink(str(tmp_path / name))
        open_sink(str(tmp_path / name), overwrite=True)


def test_a_playlist_given_up_leaves_nothing(tmp_path: Path) -> None:
    """A failed run removes playlist and segments it made, and no others."""
    make_clip(tmp_path / "in.mkv", frames=100, rate=10)
    (tmp_path / "out-mine.ts").write_text("mine")
    sink = open_sink(str(tmp_path / "out.m3u8"))
    failing = ListSink(fails_at=90, error=ZeroDivisionError("a defect"))
    with pytest.raises(ZeroDivisionError):
        broadcast(tmp_path / "in.mkv", sink, failing, live=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mkv", "out-mine.ts"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_segment_for_which_there_is_no_room_is_an_error(tmp_path: Path) -> None:
    """FFmpeg would go on with empty segments; this output ends, leaves nothing, and the others go on."""
    make_clip(tmp_path / "in.mkv", frames=200, rate=10)
    sink, beside = open_sink(str(tmp_path / "out.m3u8")), ListSink()

    def fill_up() -> None:
        (tmp_path / "out-1.ts").symlink_to("/dev/full")

    report = broadcast(tmp_path / "in.mkv", sink, beside, live=False, watch=when(30, fill_up))
    assert report.sinks_failed == [f"cannot write {sink.uri!r}: no space left on device"]
    assert len(beside.frames) == 200
    assert [path.name for path in tmp_path.iterdir()] == ["in.mkv"]


def test_a_playlist_takes_what_players_know(tmp_path: Path) -> None:
    """H.264; other codecs are refused by name."""
    with pytest.raises(UsageError, match=r"it can hold: h264$"):
        open_sink(str(tmp_path / "a.m3u8"), encoding=Encoding(codec="hevc"))
