"""Sound and subtitles: copied to the byte, or encoded anew, and what was left out is said."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from streamseg.errors import SinkError
from streamseg.frame import Tracks, VideoFormat
from streamseg.sinks import Encoding, open_sink
from tests.clips import TICKS, frame_times, make_clip, packets_of
from tests.sinking import beep, copy_clip, copy_source, made_frames, onset, sound_clip


def clip(folder: Path, name: str, sound: str, codec: str = "libx264", **options: object) -> Path:
    """A second of picture and a 440 Hz tone."""
    path = folder / name
    make_clip(path, frames=30, codec=codec, audio=sound, **options)  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize(
    ("sound", "source", "target"),
    [
        ("aac", "mp4", "mp4"),
        ("aac", "mp4", "mkv"),
        ("aac", "mp4", "mov"),
        ("aac", "mp4", "flv"),
        ("aac", "mkv", "mp4"),
        ("libopus", "mkv", "webm"),
        ("libopus", "mkv", "mp4"),
        ("libopus", "mkv", "ts"),
        ("flac", "mkv", "mkv"),
        ("flac", "mkv", "mp4"),
        ("libmp3lame", "mkv", "mp4"),
        ("alac", "mkv", "mp4"),
        ("alac", "mkv", "mov"),
        ("ac3", "mp4", "ts"),
        ("pcm_s16le", "mov", "mov"),
        ("pcm_s16le", "mov", "avi"),
    ],
)
def test_sound_is_copied_bit_for_bit(tmp_path: Path, sound: str, source: str, target: str) -> None:
    """Every packet's bytes come out as they went in, at the same distance from the picture."""
    before = clip(tmp_path, f"in.{source}", sound)
    after = tmp_path / f"out.{target}"
    sink = copy_clip(before, after)
    assert sink.audio == "copied"
    assert all("stores times in steps" in note or "begin before zero" in note for note in sink.notes)
    assert [content for _, content in packets_of(after)] == [content for _, content in packets_of(before)]
    assert sink.av_offset_ms == pytest.approx(0, abs=1)
    shift = frame_times(after)[0] - frame_times(before)[0]
    moved = [a - b for (a, _), (b, _) in zip(packets_of(after), packets_of(before), strict=True)]
    assert max(abs(each - shift) for each in moved) < Fraction(2, 1000)


@pytest.mark.parametrize(
    ("sound", "source"),
    [
        ("ac3", "mkv"),
        ("mp2", "mkv"),
        *(("pcm_" + each, "mkv") for each in ("u8", "s24le", "s32le", "f32le", "f64le")),
        *(("pcm_" + each, "mov") for each in ("alaw", "mulaw")),
    ],
)
def test_an_avi_gets_its_sound_bit_for_bit(tmp_path: Path, sound: str, source: str) -> None:
    """AC-3, MPEG layer 2 and PCM of any kind are copied into AVI, which cuts PCM into packets of its own, and
    are heard where they were, within half a packet."""
    before = sound_clip(tmp_path / f"in.{source}", sound, beep())
    after = tmp_path / "out.avi"
    assert copy_clip(before, after).audio == "copied"
    whole = [b"".join(content for _, content in packets_of(path)) for path in (before, after)]
    assert whole[1] == whole[0]
    assert onset(after) == pytest.approx(onset(before), abs=0.016)


@pytest.mark.parametrize(
    ("sound", "codec", "target"),
    [("libopus", "opus", "avi"), ("flac", "flac", "avi"), ("aac", "aac", "webm")],
)
def test_sound_that_is_encoded_anew_says_why(tmp_path: Path, sound: str, codec: str, target: str) -> None:
    """What a container cannot hold is encoded, and the one note about it says so."""
    sink = copy_clip(clip(tmp_path, "in.mkv", sound), tmp_path / f"out.{target}")
    assert sink.audio == "encoded"
    notes = [note for note in sink.notes if "stores times" not in note]
    assert notes == [f"audio track 1 ({codec}) was encoded anew: {target} cannot hold it"]


@pytest.mark.parametrize(("source", "target"), [("ts", "mp4"), ("ts", "mkv"), ("mp4", "ts")])
def test_aac_changes_its_wrapping_only(tmp_path: Path, source: str, target: str) -> None:
    """MPEG-TS puts 7 bytes of ADTS before each packet, MP4 and Matroska take them off; the rest stays."""
    options = {"container_options": {"avoid_negative_ts": "disabled"}} if source == "ts" else {}
    before = clip(tmp_path, f"in.{source}", "aac", **options)
    after = tmp_path / f"out.{target}"
    assert copy_clip(before, after).audio == "copied"

    def bare(path: Path) -> list[bytes]:
        return [content[7:] if path.suffix == ".ts" else content for _, content in packets_of(path)]

    assert bare(after) == bare(before)
    assert abs(onset(after) - onset(before)) < 0.002


@pytest.mark.parametrize("target", ["mp4", "mkv", "ts"])
def test_sound_that_begins_first_keeps_its_lead(tmp_path: Path, target: str) -> None:
    """Picture at 5 s, sound from 4 s: copied, each at its own time."""
    source = tmp_path / "in.mkv"
    with av.open(str(source), "w") as container:
        video = container.add_stream("libx264", rate=30)
        video.width, video.height = 64, 48
        video.time_base = video.codec_context.time_base = TICKS
        sound = container.add_stream("ac3", rate=48_000)
        for frame in made_frames(range(450_000, 540_000, 3000)):
            container.mux(video.encode(frame.picture))
        container.mux(video.encode(None))
        for block in range(60):
            tone = av.AudioFrame.from_ndarray(
                np.full((2, 1536), 0.1, np.float32), format="fltp", layout="stereo"
            )
            tone.sample_rate, tone.pts, tone.time_base = (
                48_000,
                4 * 48_000 + 1536 * block,
                Fraction(1, 48_000),
            )
            container.mux(sound.encode(tone))
        container.mux(sound.encode(None))
    after = tmp_path / f"out.{target}"
    copy_clip(source, after)
    assert frame_times(after) == frame_times(source)
    assert abs(packets_of(after)[0][0] - packets_of(source)[0][0]) < Fraction(1, 1000)


def test_packets_are_lent_not_changed(tmp_path: Path) -> None:
    """Two sinks take the same packets, one copies and one encodes; the packets stay as they were."""
    before = clip(tmp_path, "in.mp4", "aac")
    frames = made_frames(range(0, 90_000, 3000))
    with av.open(str(before)) as container:
        sound = container.streams.audio[0]
        packets = [packet for packet in container.demux(sound) if packet.size]
        looks = [(p.pts, p.dts, p.duration, p.time_base, p.stream_index, bytes(p)) for p in packets]
        sinks = [open_sink(str(tmp_path / name)) for name in ("a.mp4", "b.mkv", "c.webm")]
        for sink in sinks:
            sink.start(VideoFormat(64, 48, TICKS), frames[0], Tracks([sound]))
        for sink in sinks:
            sink.copy(packets)
            for frame in frames:
                sink.write(frame)
            sink.close()
        assert [(p.pts, p.dts, p.duration, p.time_base, p.stream_index, bytes(p)) for p in packets] == looks
    assert [sink.audio for sink in sinks] == ["copied", "copied", "encoded"]
    assert packets_of(tmp_path / "a.mp4") == packets_of(before)


def subtitled(path: Path, codec: str, texts: list[bytes]) -> Path:
    """A clip with two sound tracks, German and English, and one subtitle track, a second apart."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=30)
        video.width, video.height = 64, 48
        video.time_base = video.codec_context.time_base = TICKS
        sounds = [container.add_stream("aac", rate=48_000) for _ in range(2)]
        subtitles = container.add_mux_stream(codec)
        subtitles.time_base = Fraction(1, 1000)
        for stream, language in zip((*sounds, subtitles), ("ger", "eng", "fre"), strict=True):
            stream.metadata["language"] = language
        sounds[1].disposition = av.stream.Disposition.comment
        for frame in made_frames(range(0, 90_000, 3000)):
            container.mux(video.encode(frame.picture))
        container.mux(video.encode(None))
        for sound in sounds:
            tone = av.AudioFrame.from_ndarray(
                np.full((2, 48_000), 0.1, np.float32), format="fltp", layout="stereo"
            )
            tone.sample_rate, tone.pts, tone.time_base = 48_000, 0, Fraction(1, 48_000)
            container.mux([*sound.encode(tone), *sound.encode(None)])
        for index, text in enumerate(texts):
            packet = av.Packet(text)
            packet.stream, packet.time_base = subtitles, Fraction(1, 1000)
            packet.pts = packet.dts = 200 + 300 * index
            packet.duration, packet.is_keyframe = 250, True
            container.mux(packet)
    return path


@pytest.mark.parametrize(
    ("source", "target", "codec"),
    [("mkv", "mkv", "subrip"), ("mp4", "mp4", "mov_text"), ("mkv", "webm", "webvtt")],
)
def test_subtitles_languages_and_roles_are_kept(tmp_path: Path, source: str, target: str, codec: str) -> None:
    """Text of subtitles, the language of every track and what a track is for come along."""
    texts = [b"\x00\x05hello", b"\x00\x05world"] if codec == "mov_text" else [b"hello", b"world"]
    before = subtitled(tmp_path / f"in.{source}", codec, texts)
    after = tmp_path / f"out.{target}"
    sink = copy_clip(before, after)
    assert [text for _, text in packets_of(after, "subtitle") if len(text) > 2] == texts
    with av.open(str(after)) as container:
        assert [stream.language for stream in container.streams][1:] == ["ger", "eng", "fre"]
        if target != "webm":  # which knows no such role
            assert container.streams.audio[1].disposition & av.stream.Disposition.comment
    assert sink.audio == ("encoded" if target == "webm" else "copied")


def test_what_had_to_be_left_out_is_said(tmp_path: Path) -> None:
    """SubRip subtitles do not fit into MP4: one line says so, sound and picture are there."""
    before = subtitled(tmp_path / "in.mkv", "subrip", [b"hello"])
    sink = copy_clip(before, tmp_path / "out.mp4")
    assert sink.notes == ["subtitle track 3 (subrip) was left out: mp4 cannot hold it"]
    assert sink.audio == "copied"


def test_fonts_travel_in_matroska_only(tmp_path: Path) -> None:
    """An attachment is copied into .mkv and named where it is lost."""
    source = tmp_path / "in.mkv"
    with av.open(str(source), "w") as container:
        video = container.add_stream("libx264", rate=30)
        video.width, video.height = 64, 48
        container.add_attachment("font.ttf", "font/ttf", b"letters")
        for frame in made_frames(range(0, 30_000, 3000)):
            container.mux(video.encode(frame.picture))
        container.mux(video.encode(None))
    assert copy_clip(source, tmp_path / "out.mkv").notes == []
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert [(each.name, each.data) for each in container.streams.attachments] == [
            ("font.ttf", b"letters")
        ]
    assert len(copy_clip(source, tmp_path / "out.mp4").notes) == 1


@pytest.mark.parametrize("target", ["out.gif", "out.png", "%05d.png", "out/"])
def test_what_holds_only_pictures_says_what_it_leaves_out(tmp_path: Path, target: str) -> None:
    """Sound that a GIF or a picture cannot hold is named in one note."""
    make_clip(tmp_path / "in.mp4", frames=1, audio="aac")
    (note,) = copy_clip(
        tmp_path / "in.mp4", tmp_path / target if target != "out/" else f"{tmp_path}/o/"
    ).notes
    assert note.endswith(" holds no sound; left out: audio track 1 (aac)")
    assert target != "out.gif" or note.startswith("'.gif' holds")


def test_the_language_of_the_picture_is_kept(tmp_path: Path) -> None:
    """The picture's own track keeps its language and title."""
    source, target = tmp_path / "in.mkv", tmp_path / "out.mkv"
    with av.open(str(source), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height = 64, 48
        video.metadata.update(language="ger", title="Bühne")
        for frame in made_frames([0], time_base=Fraction(1, 25)):
            container.mux(video.encode(frame.picture))
        container.mux(video.encode(None))
    copy_source(source, target)
    with av.open(str(target)) as container:
        metadata = container.streams.video[0].metadata
    assert (metadata["language"], metadata["title"]) == ("ger", "Bühne")


def chaptered(path: Path) -> Path:
    """Two seconds with a chapter for each."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height = 64, 48
        container.set_chapters(
            [
                {
                    "id": index,
                    "start": 1000 * index,
                    "end": 1000 * index + 1000,
                    "time_base": Fraction(1, 1000),
                    "metadata": {"title": f"part {index}"},
                }
                for index in range(2)
            ]
        )
        for frame in made_frames(range(50), time_base=Fraction(1, 25), duration=1):
            container.mux(video.encode(frame.picture))
        container.mux(video.encode(None))
    return path


@pytest.mark.parametrize("name", ["out.mp4", "out.mov", "out.mkv", "out.webm"])
@pytest.mark.parametrize(("seconds", "ends"), [(None, [1, 2]), (1.2, [1, 1.2]), (0.6, [0.6])])
def test_chapters_are_kept_as_far_as_the_picture_goes(
    tmp_path: Path, name: str, seconds: float | None, ends: list[float]
) -> None:
    """Titles and times of chapters come along; one that would begin after the end does not."""
    sink = copy_source(chaptered(tmp_path / "in.mkv"), tmp_path / name, duration=seconds)
    with av.open(str(tmp_path / name)) as container:
        chapters = container.chapters()
        assert container.duration / 1e6 == pytest.approx(seconds or 2, abs=0.05)
    assert [chapter["metadata"]["title"] for chapter in chapters] == ["part 0", "part 1"][: len(ends)]
    found = [float(chapter["end"] * Fraction(chapter["time_base"])) for chapter in chapters]
    assert found == pytest.approx(ends, abs=0.05)
    assert sink.notes == []


def test_chapters_that_are_lost_are_counted(tmp_path: Path) -> None:
    """MPEG-TS holds no chapters: one note says how many there were."""
    sink = copy_source(chaptered(tmp_path / "in.mkv"), tmp_path / "out.ts")
    assert sink.notes == ["2 chapters were left out: mpegts cannot hold them"]


def test_a_picture_that_is_refused_is_no_fault_of_the_sound(tmp_path: Path) -> None:
    """When the video encoder refuses, nothing is tried without sound: its own line is all that is said."""
    frames = made_frames([0], size=(2, 64))
    sink = open_sink(str(tmp_path / "out.mp4"), encoding=Encoding(codec="hevc"))
    source = av.open(str(clip(tmp_path, "in.mp4", "aac")))
    with source, pytest.raises(SinkError, match="encoder 'libx265' refuses 2x64"):
        sink.start(VideoFormat(2, 64, TICKS), frames[0], Tracks(source.streams.audio))
    assert sink.notes == []
    assert [each.name for each in tmp_path.iterdir()] == ["in.mp4"]


def test_a_silent_clip_has_no_offset(tmp_path: Path) -> None:
    """Without sound there is none, and no distance to it."""
    make_clip(tmp_path / "in.mp4", frames=5)
    sink = copy_clip(tmp_path / "in.mp4", tmp_path / "out.mp4")
    assert (sink.audio, sink.av_offset_ms, sink.notes) == ("none", None, [])


@pytest.mark.parametrize("target", ["mp4", "webm"])
def test_a_track_without_sound_is_none(tmp_path: Path, target: str) -> None:
    """A track that the header announces and that never comes, copied or encoded, is said and not reported."""
    source = tmp_path / "in.mkv"
    with av.open(str(source), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width, video.height = 64, 48
        container.add_stream("aac", rate=48_000)
        for frame in made_frames([0], time_base=Fraction(1, 25)):
            container.mux(video.encode(frame.picture))
        container.mux(video.encode(None))
    sink = copy_clip(source, tmp_path / f"out.{target}")
    assert (sink.audio, sink.av_offset_ms) == ("none", None)
    assert sink.notes == ["audio track 1 (aac) brought no sound"]
