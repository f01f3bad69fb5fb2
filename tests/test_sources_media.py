"""Video files: time, pixels and tracks."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamseg.sources import media, open_source
from tests.clips import frame_times, make_clip, packets_of, picture, read_frames
from tests.reading import read


@given(steps=st.lists(st.integers(1, 40_000), min_size=1, max_size=8), start=st.integers(0, 500_000))
@settings(max_examples=10, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_pts_is_kept(tmp_path: Path, steps: list[int], start: int) -> None:
    """Times of any spacing and start come out exactly, also where frames are stored out of order."""
    pts = [start + sum(steps[:count]) for count in range(len(steps) + 1)]
    path = tmp_path / "clip.mp4"
    make_clip(path, pts=pts, options={"bf": "3"})
    frames, warnings = read(path)
    assert [frame.time for frame in frames] == frame_times(path)
    assert len(frames) == len(pts)
    assert not warnings


@pytest.mark.parametrize("rate", [1, 1000])
def test_extreme_rates_are_kept(tmp_path: Path, rate: int) -> None:
    """One frame a second and a thousand are read alike."""
    path = tmp_path / "clip.mp4"
    times = make_clip(path, rate=rate, frames=5)
    with open_source(str(path)) as source:
        assert [frame.time for frame in source] == times
        assert source.video.rate == rate
        assert source.expected_frames == 5


@pytest.mark.parametrize(
    "pixel_format", ["yuv420p", "nv12", "yuv422p10le", "yuv444p16le", "gray", "gray10le", "bgr0"]
)
def test_pixels_are_native(tmp_path: Path, pixel_format: str) -> None:
    """Every pixel format arrives as the decoder made it, to the byte."""
    path = tmp_path / "clip.nut"
    make_clip(path, codec="rawvideo", pixel_format=pixel_format, frames=2, size=(33, 21))
    frames, _ = read(path)
    for frame, plain in zip(frames, read_frames(path), strict=True):
        assert frame.picture.format.name == plain.format.name == pixel_format
        assert [bytes(plane) for plane in frame.picture.planes] == [bytes(plane) for plane in plain.planes]


@pytest.mark.parametrize(("rotation", "turns"), [(90, 1), (180, 2), (-90, 3)])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv444p", "yuv444p10le"])
def test_rotation_is_applied_to_pixels(tmp_path: Path, rotation: int, turns: int, pixel_format: str) -> None:
    """A rotated clip comes out upright in its own pixel format, its pixels turned and not resampled."""
    path = tmp_path / "clip.mp4"
    make_clip(path, frames=2, rotation=rotation, pixel_format=pixel_format, size=(64, 32))
    frames, _ = read(path)
    for frame, plain in zip(frames, read_frames(path), strict=True):
        assert frame.picture.format.name == pixel_format
        assert frame.picture.rotation == 0
        for turned, flat in zip(_planes(frame.picture), _planes(plain), strict=True):
            assert np.array_equal(turned, np.rot90(flat, turns))


def test_422_is_turned_without_loss_of_depth(tmp_path: Path) -> None:
    """10-bit 4:2:2, whose chroma cannot be turned in place, becomes 10-bit 4:4:4."""
    path = tmp_path / "clip.mp4"
    make_clip(path, frames=1, rotation=90, pixel_format="yuv422p10le")
    frames, _ = read(path)
    assert frames[0].picture.format.name == "yuv444p10le"
    assert np.array_equal(_planes(frames[0].picture)[0], np.rot90(_planes(read_frames(path)[0])[0]))


def _planes(shown: av.VideoFrame) -> list[np.ndarray]:
    depth = np.uint16 if shown.format.name.endswith("10le") else np.uint8
    width = np.dtype(depth).itemsize
    return [
        np.frombuffer(plane, depth).reshape(plane.height, plane.line_size // width)[:, : plane.width]
        for plane in shown.planes
    ]


@pytest.mark.parametrize(
    ("rotation", "expected"), [(0, Fraction(4, 3)), (90, Fraction(3, 4)), (180, Fraction(4, 3))]
)
def test_pixel_aspect_follows_rotation(tmp_path: Path, rotation: int, expected: Fraction) -> None:
    """The sample aspect ratio is inverted where width and height change places."""
    path = tmp_path / "clip.mp4"
    make_clip(path, frames=1, sample_aspect_ratio=Fraction(4, 3), rotation=rotation)
    with open_source(str(path)) as source:
        assert source.video.sample_aspect_ratio == expected
        assert (source.video.width > source.video.height) == (rotation != 90)


@pytest.mark.parametrize("tag", [{}, {"ALPHA_MODE": "1"}])
def test_alpha_of_vp9_is_kept(tmp_path: Path, tag: dict[str, str]) -> None:
    """A WebM that says it has an alpha plane is decoded with it, in the colours its header names."""
    with av.open(str(tmp_path / "clip.webm"), "w") as container:
        stream = container.add_stream("libvpx-vp9", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuva420p"
        context = stream.codec_context
        context.colorspace, context.color_primaries, context.color_trc, context.color_range = 9, 9, 16, 1
        stream.metadata.update(tag)
        for packet in (*stream.encode(picture(64, 48, pixel_format="yuva420p")), *stream.encode(None)):
            container.mux(packet)
    frames, _ = read(tmp_path / "clip.webm")
    shown = frames[0].picture
    assert shown.format.name == "yuva420p"
    assert (shown.colorspace, shown.color_primaries, shown.color_trc, shown.color_range) == (9, 9, 16, 1)


def test_stream_without_timestamps_is_timed_by_its_rate(tmp_path: Path) -> None:
    """Raw H.264 holds no pts: frames follow one another at the rate its codec names."""
    make_clip(tmp_path / "clip.h264", rate=25, frames=6)
    frames, _ = read(tmp_path / "clip.h264")
    assert [frame.time for frame in frames] == [Fraction(number, 25) for number in range(6)]


def test_joined_streams_stay_in_sync(tmp_path: Path) -> None:
    """Where the clock of a transport stream jumps back, picture and sound go on, shifted by the same time."""
    make_clip(tmp_path / "part.ts", frames=30, audio="aac")
    part = (tmp_path / "part.ts").read_bytes()
    (tmp_path / "joined.ts").write_bytes(part + part)
    with open_source(str(tmp_path / "joined.ts")) as source:
        times = [frame.time for frame in source]
        sound = [packet.pts * Fraction(packet.time_base) for packet in source.tracks.take()]
        assert any("jumped back once" in warning for warning in source.warnings)
    assert all(early < late for early, late in pairwise(times))
    assert all(early < late for early, late in pairwise(sound))
    half, packets = len(times) // 2, len(sound) // 2
    assert times[half] - times[0] == sound[packets] - sound[0]
    assert max(late - early for early, late in pairwise(times)) < Fraction(1, 4)


def test_sound_travels_bit_for_bit(tmp_path: Path) -> None:
    """Every packet of the sound arrives once, unchanged, with its own time."""
    path = tmp_path / "clip.mp4"
    make_clip(path, frames=20, audio="aac")
    with open_source(str(path)) as source:
        packets = []
        for _ in source:
            packets += source.tracks.take()
        packets += source.tracks.take()
        assert [stream.type for stream in source.tracks.streams] == ["audio"]
        assert "encoder" in source.tracks.metadata
    assert [(packet.pts * packet.time_base, bytes(packet)) for packet in packets] == packets_of(path)


def test_packets_nobody_takes_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory stays bounded when the sound is not wanted, and keeping starts again when it is."""
    monkeypatch.setattr(media, "_UNTAKEN_LIMIT", 5)
    path = tmp_path / "clip.mp4"
    make_clip(path, frames=120, audio="aac")
    with open_source(str(path)) as source:
        frames = iter(source)
        for _ in range(60):
            next(frames)
        kept = len(source.tracks.packets)
        for _ in range(20):
            next(frames)
        assert len(source.tracks.packets) == kept < 80
        source.tracks.take()
        for _ in range(30):
            next(frames)
        assert source.tracks.packets


def test_packets_that_are_taken_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many wait, as many as before or none: where somebody takes them, none is left out for want of a
    taker."""
    monkeypatch.setattr(media, "_UNTAKEN_LIMIT", 1)
    path = tmp_path / "clip.mp4"
    make_clip(path, frames=60, audio="aac")
    with open_source(str(path)) as source:
        taken = []
        for _ in source:
            taken += source.tracks.take()
        taken += source.tracks.take()
    assert [(packet.pts * packet.time_base, bytes(packet)) for packet in taken] == packets_of(path)


def test_duration_cuts_picture_and_sound(tmp_path: Path) -> None:
    """Frames and sound end together after the asked time, which counts from the first frame."""
    path = tmp_path / "clip.mp4"
    make_clip(path, pts=[90_000 + 3000 * number for number in range(90)], audio="aac")
    with open_source(str(path), duration=1) as source:
        assert source.duration == 1
        assert source.expected_frames == 30
        times = [frame.time for frame in source]
        sound = [packet.pts * packet.time_base for packet in source.tracks.take()]
    assert times == [1 + Fraction(number, 30) for number in range(30)]
    assert 2 - Fraction(1, 20) < max(sound) < 2 + Fraction(1, 40)


def test_tracks_left_out_are_named(tmp_path: Path) -> None:
    """Further video tracks are not carried along, and the warning says which."""
    with av.open(str(tmp_path / "clip.mkv"), "w") as container:
        streams = [container.add_stream("ffv1", rate=30) for _ in range(2)]
        for stream, size in zip(streams, [(64, 48), (96, 80)], strict=True):
            stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for stream, size in zip(streams, [(64, 48), (96, 80)], strict=True):
            for packet in (*stream.encode(picture(*size)), *stream.encode(None)):
                container.mux(packet)
    frames, warnings = read(tmp_path / "clip.mkv")
    assert frames[0].size == (64, 48)
    assert [warning.split(": ")[1] for warning in warnings] == ["left out video track 1 (ffv1)"]


def test_best_variant_of_a_playlist_is_read(tmp_path: Path) -> None:
    """Of an HLS playlist with several qualities the best is read, and the others are not listed as lost."""
    lines = ["#EXTM3U"]
    for name, size in (("low", (64, 48)), ("high", (160, 120))):
        make_clip(tmp_path / f"{name}.m3u8", size=size, frames=10)
        lines += [
            f"#EXT-X-STREAM-INF:BANDWIDTH={size[0] * 1000},RESOLUTION={size[0]}x{size[1]}",
            f"{name}.m3u8",
        ]
    (tmp_path / "all.m3u8").write_text("\n".join(lines) + "\n")
    frames, warnings = read(tmp_path / "all.m3u8")
    assert {frame.size for frame in frames} == {(160, 120)}
    assert len(frames) == 10
    assert not warnings


@pytest.mark.parametrize("taken", [0, 1, 5])
def test_a_closed_source_has_ended(tmp_path: Path, taken: int) -> None:
    """Going on after `close` finds the end, sooner or later, and does not crash the process."""
    path = tmp_path / "clip.mp4"
    make_clip(path, frames=60, audio="aac")
    source = open_source(str(path))
    frames = iter(source)
    for _ in range(taken):
        next(frames)
    source.close()
    assert len(list(frames)) < 60 - taken
