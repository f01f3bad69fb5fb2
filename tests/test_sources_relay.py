"""Sound of several connections as one track."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest

from streamseg.frame import Tracks
from streamseg.sources.relay import Relay
from tests.clips import make_clip


@contextmanager
def read(path: Path) -> Iterator[Tracks]:
    """The sound of a clip, all of it read."""
    with av.open(str(path)) as container:
        tracks = Tracks(streams=container.streams.audio, picture=container.streams.video[0])
        for packet in container.demux(tracks.streams):
            if packet.size:
                tracks.put(packet)
        yield tracks


def times(packets: list[av.Packet]) -> list[Fraction]:
    """Seconds of each."""
    return [packet.pts * Fraction(packet.time_base) for packet in packets]


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    """A second with sound."""
    make_clip(tmp_path / "talk.mkv", frames=30, audio="aac")
    return tmp_path / "talk.mkv"


def test_packets_move_by_the_shift_rounded_to_their_ticks(talk: Path) -> None:
    """Every packet of a connection moves by the same number of ticks, none is changed."""
    with read(talk) as first:
        relay = Relay(first)
        relay.connect(first, Fraction(0), None)
        relay.pass_on(first)
        before = relay.tracks.take()
    with read(talk) as second:
        relay.connect(second, Fraction(10) + Fraction(1, 3), Fraction(-1))
        relay.pass_on(second)
        after = relay.tracks.take()
    moved = {later - sooner for sooner, later in zip(times(before), times(after), strict=True)}
    assert moved == {Fraction(10333, 1000)}
    assert [bytes(packet) for packet in before] == [bytes(packet) for packet in after]
    assert {packet.stream_index for packet in after} == {relay.tracks.streams[0].index}
    relay.close()


def test_sound_from_before_the_first_picture_is_left_out(talk: Path) -> None:
    """What belongs to pictures that were passed over, and what would come twice, is left out."""
    with read(talk) as first:
        relay = Relay(first)
        relay.connect(first, Fraction(0), None)
        relay.pass_on(first)
        assert len(relay.tracks.take()) > 40
    with read(talk) as second:
        relay.connect(second, Fraction(3, 10), Fraction(1, 2))
        relay.pass_on(second)
        after = relay.tracks.take()
    assert Fraction(9, 10) < times(after)[0]
    assert all(one < other for one, other in pairwise(times(after)))
    relay.close()


def test_nothing_is_passed_on_beyond_the_end(talk: Path) -> None:
    """`until` cuts the sound where the pictures were cut."""
    with read(talk) as first:
        relay = Relay(first)
        relay.until = Fraction(1, 2)
        relay.connect(first, Fraction(0), None)
        relay.pass_on(first)
        assert Fraction(4, 10) < times(relay.tracks.take())[-1] < Fraction(1, 2)
    relay.close()


def test_streams_outlive_their_container(talk: Path, tmp_path: Path) -> None:
    """A file can be made after the connection has been closed: codec, language and packets are there."""
    with read(talk) as first:
        first.streams[0].metadata["language"] = "nld"
        relay = Relay(first)
        relay.connect(first, Fraction(0), None)
        relay.pass_on(first)
    with av.open(str(tmp_path / "copy.mkv"), "w") as container:
        stream = container.add_stream_from_template(relay.tracks.streams[0])
        for packet in relay.tracks.take():
            packet.stream = stream
            container.mux(packet)
    with av.open(str(tmp_path / "copy.mkv")) as container:
        assert sum(frame.samples for frame in container.decode(audio=0)) >= 47_000
    assert relay.tracks.streams[0].metadata["language"] == "nld"
    assert relay.tracks.picture is not None
    relay.close()


def test_sound_of_another_rate_does_not_continue_a_track(talk: Path, tmp_path: Path) -> None:
    """It would be decoded wrongly: it is left out, and a note says so once."""
    make_clip(tmp_path / "other.mkv", frames=30, audio="aac", audio_rate=44_100)
    with read(talk) as first:
        relay = Relay(first)
    for _ in range(2):
        with read(tmp_path / "other.mkv") as second:
            relay.connect(second, Fraction(10), None)
            relay.pass_on(second)
    assert not relay.tracks.take()
    assert len(relay.notes) == 1
    assert "audio track" in relay.notes[0]
    relay.close()
