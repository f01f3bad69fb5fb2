"""Tracks that a container should hold and refuses: each on its own account, and always said."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.clips import frame_times, make_clip
from tests.sinking import copy_clip, made_frames


def test_sound_that_breaks_the_header_is_encoded_anew_and_says_why(tmp_path: Path) -> None:
    """FLV claims MP3 of 16 kHz for its own and refuses it in the header: the note names the reason."""
    make_clip(tmp_path / "in.mkv", audio="libmp3lame", audio_rate=16_000)
    sink = copy_clip(tmp_path / "in.mkv", tmp_path / "out.flv")
    assert sink.audio == "encoded"
    assert sink.notes[0].startswith("audio track 1 (mp3) was encoded anew: flv refuses it copied: ")


def sounds_clip(path: Path, *codecs: str) -> Path:
    """A third of a second of picture with a tone for each codec."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=30)
        video.width, video.height = 64, 48
        sounds = [container.add_stream(codec, rate=48_000, layout="stereo") for codec in codecs]
        for frame in made_frames(range(0, 30_000, 3000)):
            container.mux(video.encode(frame.picture))
        container.mux(video.encode(None))
        for sound in sounds:
            tone = av.AudioFrame.from_ndarray(
                np.full((2, 16_000), 0.1, np.float32), format="fltp", layout="stereo"
            )
            tone.sample_rate, tone.pts, tone.time_base = 48_000, 0, Fraction(1, 48_000)
            resampler = av.AudioResampler(sound.format, "stereo", 48_000, sound.frame_size or 1024)
            for block in (*resampler.resample(tone), *resampler.resample(None)):
                container.mux(sound.encode(block))
            container.mux(sound.encode(None))
    return path


def sounds_of(path: Path) -> list[tuple[str, list[bytes]]]:
    """Codec and packets of every sound track."""
    with av.open(str(path)) as container:
        packets = [(packet.stream_index, bytes(packet)) for packet in container.demux() if packet.size]
        return [
            (sound.codec.canonical_name, [content for index, content in packets if index == sound.index])
            for sound in container.streams.audio
        ]


@pytest.mark.parametrize(("sound", "named"), [("libopus", "opus"), ("flac", "flac")])
def test_a_sound_track_that_is_refused_is_the_only_one_encoded(
    tmp_path: Path, sound: str, named: str
) -> None:
    """MOV takes neither Opus nor FLAC, whatever libavformat lists: the AAC beside it is copied."""
    before = sounds_clip(tmp_path / "in.mkv", sound, "aac")
    after = tmp_path / "out.mov"
    sink = copy_clip(before, after)
    assert sink.notes == [
        f"audio track 1 ({named}) was encoded anew: mov refuses it copied: invalid argument"
    ]
    assert [codec for codec, _ in sounds_of(after)] == ["aac", "aac"]
    assert sounds_of(after)[1] == sounds_of(before)[1]


def test_tracks_that_are_refused_only_together_are_left_out(tmp_path: Path) -> None:
    """AVI has numbers for a hundred tracks: of more the picture is kept, and a note says why no sound is."""
    before = sounds_clip(tmp_path / "in.mkv", *["pcm_s16le"] * 100)
    sink = copy_clip(before, tmp_path / "out.avi")
    assert len(frame_times(tmp_path / "out.avi")) == 10
    assert sink.audio == "none"
    assert sink.notes[0] == "sound and subtitles were left out: avi refuses them together: invalid argument"


@pytest.mark.parametrize("codec", ["pcm_s16le", "pcm_alaw", "pcm_mulaw"])
def test_telephone_sound_into_flv_is_encoded(tmp_path: Path, codec: str) -> None:
    """PCM of 8 kHz, on which FLV's muxer would abort the whole process, becomes AAC."""
    make_clip(tmp_path / "in.mov", audio=codec, audio_rate=8000)
    sink = copy_clip(tmp_path / "in.mov", tmp_path / "out.flv")
    assert sink.audio == "encoded"
