"""Live streams that are lost and come back; what each connection gives is said by the test."""

from __future__ import annotations

import gc
import socket
import time
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from threading import Thread

import av
import pytest

import streamseg
from streamseg.backoff import Backoff
from streamseg.errors import SourceError, UsageError
from streamseg.frame import Frame
from streamseg.sources import media, open_source, opening
from streamseg.sources.base import Source
from streamseg.sources.reader import Reader
from streamseg.sources.reconnecting import open_stream
from streamseg.stats import Stats
from tests.clips import make_clip, read_frames
from tests.flashes import RATE, make_flashes
from tests.servers import free_port
from tests.serving import Turn, serving, taking_turns

SOON = Backoff(shortest=0.05, longest=0.2)


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Two seconds of MPEG-TS with sound."""
    return make_flashes(tmp_path_factory.mktemp("talk") / "talk.ts", 2, gop=5).read_bytes()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be opened is given up soon."""
    monkeypatch.setattr(opening, "OPEN_TIMEOUT", 1.0)


def until_back(source: Source, times: int = 1, frames: int = 10) -> Iterator[Frame]:
    """The frames up to so many after the reconnection of that number."""
    more = frames
    for frame in source:
        yield frame
        more -= source.reconnects == times and not frame.absent
        if not more:
            source.interrupt()


def test_a_stream_that_is_closed_and_comes_back_goes_on_by_the_clock(talk: bytes) -> None:
    """Between two connections absent frames come at the nominal rate, of the same size, format and time base,
    black; pts increase strictly and keep to the clock; the report's line says how long it took."""
    said: list[str] = []
    with (
        taking_turns(Turn(talk, 2), Turn(silent=True), Turn(talk, 2)) as address,
        open_stream(f"{address}?key=abc", backoff=SOON, say=said.append) as source,
    ):
        frames = list(until_back(source))
    gone = [index for index, frame in enumerate(frames) if frame.absent]
    assert gone == list(range(gone[0], gone[-1] + 1)), "one outage"
    assert len(gone) > RATE // 2
    for frame in frames[gone[0] : gone[-1]]:
        assert (frame.size, frame.picture.format.name) == (frames[0].size, "yuv420p")
        assert frame.picture.to_ndarray()[: frame.picture.height].max() == 16
    assert all(frame.picture.time_base == source.video.time_base for frame in frames)
    assert all(before.picture.pts < after.picture.pts for before, after in pairwise(frames))
    steps = {after.time - before.time for before, after in pairwise(frames[gone[0] : gone[-1]])}
    assert steps == {Fraction(1, RATE)}
    before, after = frames[gone[0] - 1], frames[gone[-1] + 1]
    assert abs(float(after.time - before.time) - (after.captured - before.captured)) < 0.05
    assert source.reconnects == 1
    note = source.warnings[-1]
    assert f"was closed by the server after {gone[0]} frames; reconnected after " in note
    assert said == [note.partition("; ")[0] + "; reconnecting", said[1]]
    assert "abc" not in note + "".join(said) and "key=***" in note


def test_a_stream_that_falls_silent_is_lost(talk: bytes) -> None:
    """Without a frame for the read timeout a connection counts as lost though it stands."""
    with (
        taking_turns(Turn(talk, 2, silent=True), Turn(talk, 2)) as address,
        open_stream(address, backoff=SOON, read_timeout=0.3) as source,
    ):
        frames = list(until_back(source))
    assert "gave no frame for 0.3 s after" in source.warnings[-1]
    gap = max(after.time - before.time for before, after in pairwise(frames))
    assert gap >= Fraction(3, 10), "the silence is part of the stream's time"


def test_sound_that_goes_on_without_pictures_is_a_lost_stream(tmp_path: Path) -> None:
    """Packets of sound keep no connection that has no pictures any more."""
    make_flashes(tmp_path / "talk.ts", 6, gop=5, pictures=2)
    content = (tmp_path / "talk.ts").read_bytes()
    with (
        taking_turns(Turn(content, 6)) as address,
        open_stream(address, backoff=SOON, read_timeout=0.5) as source,
    ):
        absent = next(frame for frame in source if frame.absent)
    assert absent.time < 5


def test_sound_moves_by_as_much_as_the_picture(talk: bytes) -> None:
    """After a reconnection the first packet of sound is as far from its picture as it was in the clip."""
    with (
        taking_turns(Turn(talk, 2), Turn(talk, 2)) as address,
        open_stream(address, backoff=SOON) as source,
    ):
        sound: list[Fraction] = []
        moved = None
        for frame in until_back(source):
            sound += [packet.pts * packet.time_base for packet in source.tracks.take()]
            if source.reconnects and not frame.absent and moved is None:
                moved = source._shift  # type: ignore[attr-defined]
    assert moved is not None
    tick = Fraction(1, 90_000)
    length = Fraction(1024, 48_000)
    later = [moment for moment in sound if moment > moved]
    assert later, "sound goes on"
    for moment in later:  # a whole number of blocks from the clip's first
        blocks = (moment - round(moved / tick) * tick - sound[0]) / length
        assert abs(blocks - round(blocks)) * length <= 2 * tick
    assert all(before < after for before, after in pairwise(sound))


def test_sound_of_another_kind_is_left_out_and_said(talk: bytes, tmp_path: Path) -> None:
    """A connection whose sound cannot continue the track there is gives its pictures all the same."""
    make_clip(tmp_path / "mute.ts", frames=50, rate=RATE, options={"g": "5", "bf": "0"})
    with (
        taking_turns(Turn(talk, 2), Turn((tmp_path / "mute.ts").read_bytes(), 2)) as address,
        open_stream(address, backoff=SOON) as source,
    ):
        frames = list(until_back(source))
    assert not frames[-1].absent
    assert any("audio track" in note and "was left out" in note for note in source.warnings)


def test_pictures_of_another_size_and_format_go_on_in_the_same_file(talk: bytes, tmp_path: Path) -> None:
    """A file keeps its size, an encoder its format: what comes after an outage is fitted into them."""
    wide = tmp_path / "wide.ts"
    make_clip(
        wide, frames=50, rate=RATE, size=(200, 80), pixel_format="yuv422p", options={"g": "5", "bf": "0"}
    )
    out = tmp_path / "out.mkv"
    with (
        taking_turns(Turn(talk, 2), Turn(wide.read_bytes(), 2)) as address,
        open_stream(address, backoff=SOON) as source,
        streamseg.Segmenter("selfie", runtime="null") as segmenter,
        streamseg.open_compositor(streamseg.effect("outline")) as compositor,
    ):

        def stop(stats: Stats) -> None:
            if source.reconnects and stats.frames_in > 60:
                source.interrupt()

        report = streamseg.run(source, segmenter, compositor, [streamseg.open_sink(str(out))], watch=stop)
    assert report.reconnects == 1
    frames = read_frames(out)
    assert len(frames) == report.frames_out
    assert {(frame.width, frame.height, frame.format.name) for frame in frames} == {(160, 120, "yuv420p")}
    luma = frames[-1].to_ndarray()[:120]
    assert luma[:20].max() < 40 and luma[60].max() > 80, "black above, the picture in the middle"


def test_the_pile_that_gathered_while_it_was_opened_is_passed_over(talk: bytes, tmp_path: Path) -> None:
    """The first frame of a new connection is its newest, or the stream would run ahead of the clock."""
    longer = make_flashes(tmp_path / "talk.ts", 4, gop=5).read_bytes()
    with (
        taking_turns(Turn(talk, 1), Turn(longer, 2)) as address,  # twice as fast as it should come
        open_stream(address, backoff=SOON) as source,
    ):
        first = next(frame for frame in until_back(source) if source.reconnects and not frame.absent)
        assert first.time - source._shift > Fraction(1, 10)  # type: ignore[attr-defined]


def test_attempts_are_given_up_with_one_line(talk: bytes) -> None:
    """After so many attempts in a row the source fails; the line says how often it was tried, and why not."""
    with taking_turns(Turn(talk, 1)) as address:
        source = open_stream(address, backoff=Backoff(shortest=0.05, longest=0.1, attempts=2))
    with source, pytest.raises(SourceError, match=r"attempts to reconnect: 2, the last: .*refused") as caught:
        list(source)
    assert "\n" not in str(caught.value)


def test_without_reconnecting_a_close_is_an_end_and_silence_an_error(talk: bytes) -> None:
    """`reconnect=0`: what was read stays whole."""
    with taking_turns(Turn(talk, 1)) as address, open_source(address, reconnect=0) as source:
        assert sum(1 for _ in source) > RATE
    with taking_turns(Turn(talk, 1, silent=True)) as address:
        source = open_source(address, reconnect=0, read_timeout=0.3)
        with source, pytest.raises(SourceError, match=r"gave no frame for 0\.3 s after \d+ frames"):
            list(source)


def test_a_stream_that_is_not_to_be_live_ends_with_its_connection(talk: bytes) -> None:
    """`live=False`: every frame is read, and none comes without input."""
    with taking_turns(Turn(talk, 1)) as address, open_source(address, live=False) as source:
        assert [frame.absent for frame in source] == [False] * 2 * RATE
        assert not source.live


def test_an_interrupt_ends_the_wait_for_the_next_attempt(talk: bytes) -> None:
    """Nobody waits for the end of a delay of half a minute."""
    with taking_turns(Turn(talk, 1)) as address:
        source = open_stream(address, backoff=Backoff(shortest=30, longest=30))
    with source:
        frames = iter(source)
        assert next(frame for frame in frames if frame.absent)
        begin = time.monotonic()
        source.interrupt()
        assert not list(frames)
        assert time.monotonic() - begin < 5
    assert "not reconnected after" in source.warnings[-1]


@pytest.mark.parametrize("duration", [None, 0.3])
def test_what_a_connection_found_is_told_however_it_ends(
    talk: bytes, monkeypatch: pytest.MonkeyPatch, duration: float | None
) -> None:
    """Damage is noted also of a run that is interrupted or as long as was asked."""
    monkeypatch.setattr(Reader, "findings", lambda self, declared, told: ["2 damaged frames were replaced"])
    with taking_turns(Turn(talk, 1)) as address, open_stream(address, duration=duration) as source:
        for index, _ in enumerate(source):
            if index == 10:
                source.interrupt()
    assert source.warnings == [f"{source.uri!r}: 2 damaged frames were replaced"]


def test_connections_that_have_gone_hold_no_memory(talk: bytes) -> None:
    """However often a stream is lost, of the pictures of earlier connections none is left."""
    gc.collect()
    gc.disable()
    try:
        before = _pictures()
        with taking_turns(Turn(talk, 0.5)) as address, open_stream(address, backoff=SOON) as source:
            for _ in source:
                source.tracks.take()
                if source.reconnects == 5:
                    source.interrupt()
            assert _pictures() - before <= 4
    finally:
        gc.enable()


def _pictures() -> int:
    return sum(isinstance(each, av.VideoFrame) for each in gc.get_objects())


def test_a_server_that_accepts_and_says_nothing_is_tried_again(talk: bytes) -> None:
    """Each half-open connection costs the time an opening may take, not for ever."""
    silent = Turn(silent=True)
    with (
        taking_turns(Turn(talk, 1), silent, silent, Turn(talk, 2)) as address,
        open_stream(address, backoff=SOON) as source,
    ):
        frames = list(until_back(source))
    assert source.reconnects == 1
    assert sum(frame.absent for frame in frames) > 2 * RATE


def test_a_server_that_sends_something_else_is_tried_again(talk: bytes, tmp_path: Path) -> None:
    """No video, or nothing that is media at all, is a failed attempt; at the start it is one line."""
    make_flashes(tmp_path / "sound.ts", 2, pictures=0)
    sound, page = Turn((tmp_path / "sound.ts").read_bytes()), Turn(b"<html>moved</html>" * 5000)
    with (
        taking_turns(Turn(talk, 1), sound, page, Turn(talk, 2)) as address,
        open_stream(address, backoff=SOON) as source,
    ):
        assert list(until_back(source))
        assert source.reconnects == 1
    for turn, why in ((sound, "no frames"), (page, "invalid data")):
        with taking_turns(turn) as address, pytest.raises(SourceError, match=why) as caught:
            open_source(address)
        assert "\n" not in str(caught.value)


def test_a_rate_that_cannot_be_meant_is_not_kept(talk: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a header counts 90000 frames a second, absent ones come 25 times a second."""
    monkeypatch.setattr(media, "rate_of", lambda stream, guessed: Fraction(90_000))
    with (
        taking_turns(Turn(talk, 1)) as address,
        open_stream(address, duration=4, backoff=Backoff(shortest=60, longest=60)) as source,
    ):
        absent = [frame.time for frame in source if frame.absent]
    assert {later - sooner for sooner, later in pairwise(absent)} == {Fraction(1, 25)}


def test_live_bytes_behind_http_are_reconnected_and_a_file_ends(talk: bytes, tmp_path: Path) -> None:
    """With `live` an answer of no length that ends is a lost stream; one whose length is known has an end."""
    (tmp_path / "talk.ts").write_bytes(talk)
    header = b"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\n\r\n"
    with (
        taking_turns(Turn(header + talk, 2)) as address,
        open_stream(address.replace("tcp", "http"), live=True, backoff=SOON) as source,
    ):
        assert list(until_back(source))
        assert source.reconnects == 1
    with serving(tmp_path) as address, open_stream(f"{address}/talk.ts", live=True, backoff=SOON) as source:
        assert not any(frame.absent for frame in source)
        assert source.reconnects == 0


def test_a_length_counts_time_without_input(talk: bytes) -> None:
    """`duration` ends a run also while there is no connection."""
    with taking_turns(Turn(talk, 1)) as address:
        source = open_stream(address, duration=4, backoff=Backoff(shortest=60, longest=60))
    with source:
        frames = list(source)
    assert frames[-1].absent
    assert Fraction(39, 10) <= frames[-1].time - frames[0].time < 4


def test_the_first_connection_must_succeed() -> None:
    """An address at which nobody listens is an error at once, not an outage."""
    with pytest.raises(SourceError, match="connection refused"):
        open_source(f"tcp://127.0.0.1:{free_port()}", reconnect=10)


def test_what_is_no_live_stream_has_no_use_for_reconnecting(clip: Path) -> None:
    """The options are refused where they would do nothing."""
    for option in ({"reconnect": 3}, {"read_timeout": 1.0}):
        with pytest.raises(UsageError, match="is no network stream"):
            open_source(clip, **option)  # type: ignore[arg-type]


def test_datagrams_nobody_sends_are_waited_for(talk: bytes) -> None:
    """`udp:` has no connection to lose: silence is a fault, and the next datagrams are the reconnection."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        port = free_port(socket.SOCK_DGRAM)

        def send() -> None:
            for start in range(0, len(talk), 1316):
                sender.sendto(talk[start : start + 1316], ("127.0.0.1", port))
                time.sleep(2 * 1316 / len(talk))

        threads = [Thread(target=send) for _ in range(2)]
        threads[0].start()
        with open_stream(f"udp://127.0.0.1:{port}", backoff=SOON, read_timeout=0.3) as source:
            for frame in until_back(source):
                if frame.absent and threads[1].ident is None:
                    threads[1].start()
        for thread in threads:
            thread.join()
    assert source.reconnects == 1
