"""Sound encoded anew: in step with the picture, from any codec, rate and layout, damaged or not."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from streamseg.frame import Tracks, VideoFormat
from streamseg.sinks import open_sink
from tests.clips import TICKS, frame_times, make_clip, packets_of
from tests.sinking import beep, copy_clip, copy_source, made_frames, onset, sound_clip

ONE_FRAME = 0.0214
"""Seconds of an AAC frame at 48 kHz."""


@pytest.mark.parametrize(
    ("sound", "source", "target"),
    [
        ("aac", "mp4", "webm"),
        ("flac", "mkv", "ts"),
        ("flac", "mkv", "mov"),
        ("libopus", "mkv", "mov"),
        ("libmp3lame", "mkv", "webm"),
        ("pcm_s16le", "mov", "flv"),
        ("pcm_s16le", "mov", "ts"),
    ],
)
@pytest.mark.parametrize("start", [Fraction(0), Fraction(3, 4)], ids=["together", "late"])
def test_sound_encoded_anew_stays_in_step(
    tmp_path: Path, sound: str, source: str, target: str, start: Fraction
) -> None:
    """A beep comes at the same moment of the picture as before, within one frame of sound."""
    before = sound_clip(tmp_path / f"in.{source}", sound, beep(), start=start)
    after = tmp_path / f"out.{target}"
    sink = copy_clip(before, after)
    assert sink.audio == "encoded"
    moved = (onset(after) - float(frame_times(after)[0])) - (onset(before) - float(frame_times(before)[0]))
    assert abs(moved) < ONE_FRAME


@pytest.mark.parametrize(("start", "late"), [(Fraction(0), 0), (Fraction(3, 4), 750)])
def test_an_avi_that_cannot_delay_sound_says_so(tmp_path: Path, start: Fraction, late: float) -> None:
    """AVI plays sound from its beginning: `av_offset_ms` is what a listener hears, and a note names it."""
    before = sound_clip(tmp_path / "in.mp4", "aac", beep(), start=start)
    after = tmp_path / "out.avi"
    sink = copy_clip(before, after)
    assert sink.audio == "encoded"
    assert sink.av_offset_ms == pytest.approx(late, abs=2000 * ONE_FRAME)
    assert onset(before) - onset(after) == pytest.approx(late / 1000, abs=2 * ONE_FRAME)
    assert [note[:25] for note in sink.notes if "in steps" not in note] == [
        "audio track 1 (aac) was e",
        *(["'.avi' cannot start late:"] if late else []),
    ]


@pytest.mark.parametrize(
    ("picture", "start", "moved", "early"),
    [(Fraction(7, 5), Fraction(7, 5), -1.4, 0), (3, 0, 0, 3), (Fraction(7, 5), 1, -1, 0.4)],
    ids=["both late", "late picture", "both late, picture last"],
)
def test_an_avi_of_what_begins_late_stays_in_step(
    tmp_path: Path, picture: Fraction, start: Fraction, moved: float, early: float
) -> None:
    """AVI has no late beginning: sound and pictures move together, or the first picture alone comes early;
    the notes say by how much."""
    before = sound_clip(tmp_path / "in.mkv", "pcm_s16le", beep(), start=start, picture=picture)
    after = tmp_path / "out.avi"
    sink = copy_source(before, after)
    late, now = frame_times(before), frame_times(after)
    assert now[0] == 0
    assert [float(a - b) for a, b in zip(now[1:], late[1:], strict=True)] == pytest.approx(
        [moved] * 59, abs=0.017
    )
    assert onset(after) - onset(before) == pytest.approx(moved, abs=0.001)
    assert sink.av_offset_ms == pytest.approx(0, abs=17)
    told = [f"avi begins at zero: everything was moved by {moved:+g} s"] * bool(moved)
    told += [f"avi begins at zero: its first frame comes {early:g} s early, the others in time"] * bool(early)
    assert [note for note in sink.notes if "steps" not in note] == told


def test_sound_before_zero_moves_no_picture_of_an_avi(tmp_path: Path) -> None:
    """The delay MP3 encoders begin with, before zero in MP4, costs an AVI neither frame nor time: the first
    packet is left out, the others come as they were."""
    make_clip(tmp_path / "in.mp4", rate=25, audio="libmp3lame")
    sink = copy_clip(tmp_path / "in.mp4", tmp_path / "out.avi")
    assert frame_times(tmp_path / "out.avi") == frame_times(tmp_path / "in.mp4")
    assert (sink.audio, sink.pts_exact, sink.notes) == ("copied", True, [])
    assert sink.av_offset_ms == pytest.approx((1152 - 1105) / 48, abs=0.1)
    sounds = [[content for _, content in packets_of(tmp_path / name)] for name in ("in.mp4", "out.avi")]
    assert sounds[1] == sounds[0][1:]


@pytest.mark.parametrize(
    ("codec", "source", "treatment"),
    [("libmp3lame", "mp4", "copied"), ("flac", "mkv", "encoded"), ("pcm_s16le", "mkv", "copied")],
)
@pytest.mark.parametrize("start", [Fraction(0), Fraction(-2, 5)], ids=["together", "sound first"])
def test_sound_before_zero_delays_no_sound_of_an_avi(
    tmp_path: Path, codec: str, source: str, treatment: str, start: Fraction
) -> None:
    """A beep is heard where it was although AVI has no time before zero, copied or encoded."""
    before = sound_clip(tmp_path / f"in.{source}", codec, beep(), start=start)
    sink = copy_clip(before, tmp_path / "out.avi")
    assert sink.audio == treatment
    off = onset(tmp_path / "out.avi") - onset(before)
    assert off == pytest.approx(0, abs=0.0128 if codec != "flac" else 0.05)
    assert sink.av_offset_ms == pytest.approx(-1000 * off, abs=1)


def test_a_gap_in_the_sound_stays_where_it_was(tmp_path: Path) -> None:
    """Half a second without sound: what follows keeps its time although it is encoded anew."""
    samples = np.concatenate([np.zeros(48 * 1024), beep(at=0, seconds=0.4)])
    before = sound_clip(tmp_path / "in.mov", "pcm_s16le", samples, gaps=lambda block: 24_000 * (block == 20))
    after = tmp_path / "out.ts"
    assert copy_clip(before, after).audio == "encoded"
    assert onset(after) == pytest.approx(onset(before), abs=ONE_FRAME)


@pytest.mark.parametrize(
    ("rate", "layout"),
    [
        (44_100, "stereo"),
        (22_050, "mono"),
        (96_000, "stereo"),
        (48_000, "5.1"),
        (48_000, "5.1(side)"),
        (48_000, "quad"),
    ],
)
def test_any_rate_and_layout_finds_an_encoding(tmp_path: Path, rate: int, layout: str) -> None:
    """Opus knows few rates and layouts: the nearest is taken, and the beep stays where it was."""
    before = sound_clip(tmp_path / "in.mkv", "flac", beep(rate), rate=rate, layout=layout)
    after = tmp_path / "out.webm"
    assert copy_clip(before, after).audio == "encoded"
    assert onset(after) == pytest.approx(onset(before), abs=ONE_FRAME)


def test_damaged_sound_is_left_out_and_said(tmp_path: Path) -> None:
    """A packet that cannot be decoded costs itself, not the run; what follows keeps its time."""
    before = sound_clip(tmp_path / "in.mkv", "ac3", beep(at=1.0))
    after = tmp_path / "out.webm"
    frames = made_frames(range(0, 180_000, 3000))
    sink = open_sink(str(after))
    with av.open(str(before)) as container:
        sound = container.streams.audio[0]
        packets = [packet for packet in container.demux(sound) if packet.size]
        rubbish = av.Packet(b"\x00" * 64)
        rubbish.stream, rubbish.time_base = sound, packets[5].time_base
        rubbish.pts, rubbish.dts = packets[5].pts, packets[5].dts
        packets[5] = rubbish
        sink.start(VideoFormat(64, 48, TICKS), frames[0], Tracks([sound]))
        sink.copy(packets)
        for frame in frames:
            sink.write(frame)
        sink.close()
    assert len(sink.notes) == 3
    assert sink.notes[0] == "webm stores times in steps of 1 ms: up to 0.333 ms off"
    assert sink.notes[1].startswith("a packet of track 1 was left out: ")
    assert sink.notes[2] == "audio track 1 (ac3) was encoded anew: webm cannot hold it"
    assert onset(after) == pytest.approx(onset(before), abs=ONE_FRAME)


def unplaced_sound(path: Path, channels: int) -> Path:
    """A second of PCM of which the container notes only the number of channels, beside a picture."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=30)
        video.width, video.height = 64, 48
        sound = container.add_stream("pcm_s16le", rate=48_000)
        sound.codec_context.layout = f"{channels}C"
        for frame in made_frames(range(30), time_base=Fraction(1, 30), duration=1):
            container.mux(video.encode(frame.picture))
        container.mux(video.encode(None))
        noise = np.random.default_rng(0).integers(-9000, 9000, (1, 48_000 * channels), np.int16)
        tone = av.AudioFrame.from_ndarray(noise, format="s16", layout=f"{channels}C")
        tone.sample_rate, tone.pts, tone.time_base = 48_000, 0, Fraction(1, 48_000)
        container.mux([*sound.encode(tone), *sound.encode(None)])
    return path


@pytest.mark.parametrize("target", ["mp4", "mov"])
@pytest.mark.parametrize("source", ["avi", "mkv", "nut"])
@pytest.mark.parametrize("channels", [1, 2, 16])
def test_pcm_of_unnamed_channels_is_copied(tmp_path: Path, channels: int, source: str, target: str) -> None:
    """AVI, Matroska and NUT say of PCM only how many channels it has; MP4, which must say which, gets it."""
    before = unplaced_sound(tmp_path / f"in.{source}", channels)
    after = tmp_path / f"out.{target}"
    assert copy_clip(before, after).audio == "copied"
    assert b"".join(part for _, part in packets_of(after)) == b"".join(part for _, part in packets_of(before))


@pytest.mark.parametrize("target", ["mp4", "webm"])
def test_a_number_of_channels_that_means_nothing_is_said(tmp_path: Path, target: str) -> None:
    """Nine channels are no layout: where one is needed the picture is kept and the note says what is lost."""
    sink = copy_clip(unplaced_sound(tmp_path / "in.mkv", 9), tmp_path / f"out.{target}")
    lost = "audio track 1 (pcm_s16le) was left out: it cannot be encoded anew"
    assert sink.audio == "none"
    assert f"{lost}: nobody knows what its 9 channels are" in sink.notes
    assert len(frame_times(tmp_path / f"out.{target}")) == 30
