"""Video files and streams: time, pixels, tracks, damage, names and what is said when nothing can be read."""

from __future__ import annotations

import http.server
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamseg.errors import SourceError, UsageError
from streamseg.frame import Frame
from streamseg.sources import media, open_source
from tests.clips import frame_times, make_clip, packets_of, picture, read_frames

INTRA = {"codec": "ffv1", "pixel_format": "yuv444p"}
"""Options for clips in which every frame stands for itself."""


def read(uri: Path | str, **options: object) -> tuple[list[Frame], list[str]]:
    """Read a source to its end: its frames and its warnings."""
    with open_source(str(uri), **options) as source:  # type: ignore[arg-type]
        return list(source), source.warnings


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
    """A WebM that says it has an alpha plane is decoded with it."""
    with av.open(str(tmp_path / "clip.webm"), "w") as container:
        stream = container.add_stream("libvpx-vp9", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuva420p"
        stream.metadata.update(tag)
        for packet in (*stream.encode(picture(64, 48, pixel_format="yuva420p")), *stream.encode(None)):
            container.mux(packet)
    frames, _ = read(tmp_path / "clip.webm")
    assert frames[0].picture.format.name == "yuva420p"


def _damaged(source: Path, target: Path, *broken: int) -> None:
    """Copy a clip, its packets of these numbers filled with nonsense."""
    with av.open(str(source)) as clip, av.open(str(target), "w") as copy:
        stream = copy.add_stream_from_template(clip.streams.video[0])
        for number, packet in enumerate(packet for packet in clip.demux(video=0) if packet.size):
            if number in broken:
                packet.update(b"\xff" * packet.size)
            packet.stream = stream
            copy.mux(packet)


@pytest.mark.parametrize("broken", [(3,), (3, 4, 5), (9,), (2, 7)])
def test_damaged_frames_repeat_the_last_good_one(tmp_path: Path, broken: tuple[int, ...]) -> None:
    """A frame that cannot be decoded, also the last, is replaced by the picture before it, at its time."""
    times = make_clip(tmp_path / "good.mov", codec="png", pixel_format="rgb24", frames=10)
    _damaged(tmp_path / "good.mov", tmp_path / "bad.mov", *broken)
    frames, warnings = read(tmp_path / "bad.mov")
    assert [frame.time for frame in frames] == times
    assert tuple(number for number, frame in enumerate(frames) if frame.repaired) == broken
    plain = read_frames(tmp_path / "good.mov")
    for number, frame in enumerate(frames):
        shown = max(good for good in range(number + 1) if good not in broken)
        assert np.array_equal(frame.picture.to_ndarray(), plain[shown].to_ndarray())
    assert len(warnings) == 1
    assert f"{len(broken)} damaged frame" in warnings[0]


def test_damage_before_the_first_good_frame_is_left_out(tmp_path: Path) -> None:
    """Frames damaged at the very start cannot be replaced: they are left out, and that is said."""
    times = make_clip(tmp_path / "good.mov", codec="png", pixel_format="rgb24", frames=6)
    _damaged(tmp_path / "good.mov", tmp_path / "bad.mov", 0, 1)
    frames, warnings = read(tmp_path / "bad.mov")
    assert [frame.time for frame in frames] == times[2:]
    assert "2 damaged frames were left out" in warnings[0]


def test_damage_among_reordered_frames_keeps_every_time(tmp_path: Path) -> None:
    """In H.264 with B-frames a damaged packet costs no time: as many frames come out as went in."""
    times = make_clip(tmp_path / "good.mp4", frames=30, options={"bf": "2", "g": "10"})
    _damaged(tmp_path / "good.mp4", tmp_path / "bad.mp4", 14)
    frames, _ = read(tmp_path / "bad.mp4")
    assert [frame.time for frame in frames] == times
    assert any(frame.repaired for frame in frames)


def test_all_damaged_is_an_error(tmp_path: Path) -> None:
    """A file in which no frame can be decoded is refused when it is opened."""
    make_clip(tmp_path / "good.mov", codec="png", pixel_format="rgb24", frames=4)
    _damaged(tmp_path / "good.mov", tmp_path / "bad.mov", 0, 1, 2, 3)
    with pytest.raises(SourceError, match=r"bad\.mov': none of its 4 frames could be decoded"):
        open_source(str(tmp_path / "bad.mov"))


def test_cut_file_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    """A file that ends before its header says so yields what is there, and one warning."""
    path = tmp_path / "clip.mkv"
    make_clip(path, frames=60, **INTRA)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    frames, warnings = read(path)
    assert 10 < len(frames) < 30
    assert len(warnings) == 1
    assert "where its header says 2.0 s: cut short" in warnings[0]


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


@pytest.mark.parametrize(
    "name",
    [
        "-x.mp4",
        "12:30 talk.mp4",
        "a%05d.mp4",
        "CLIP.MP4",
        'it\'s "ünï" 人.mp4',
        "plain",
        "rtsp.mp4",
        "[1] a*.mp4",
        "~.mp4",
    ],
)
def test_awkward_names_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A file is opened whatever it is called, by its bare name, its path or as a file: URL."""
    make_clip(tmp_path / "clip.mp4", frames=2)
    (tmp_path / "clip.mp4").rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    for uri in (name, str(tmp_path / name), (tmp_path / name).as_uri()):
        with open_source(uri) as source:
            assert len(list(source)) == 2
            assert source.paths == (str(tmp_path / name),)
            assert not source.live


@pytest.mark.parametrize(("suffix", "redirect"), [(".mkv", False), (".mp4", True)])
def test_standard_input(tmp_path: Path, suffix: str, redirect: bool) -> None:
    """`-` reads a pipe, and a redirected file even where its index is at the end."""
    path = tmp_path / f"clip{suffix}"
    make_clip(path, frames=7)
    program = "from streamseg.sources import open_source\nprint(len(list(open_source('-'))))"
    with path.open("rb") as file:
        fed = {"stdin": file} if redirect else {"input": file.read()}
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, **fed)  # type: ignore[call-overload]
    assert done.stdout.strip() == b"7"


def test_nonsense_on_standard_input(tmp_path: Path) -> None:
    """Text on standard input is answered with the formats that can be piped."""
    program = "from streamseg.sources import open_source\nopen_source('-')"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, input=b"hello\n" * 99, check=False
    )
    assert b"no video format was found in standard input" in done.stderr


def test_terminal_is_no_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """`-` at a terminal does not wait for somebody to type a video."""
    monkeypatch.setattr(os, "isatty", lambda _: True)
    with pytest.raises(
        SourceError, match="standard input is a terminal; pipe a video into it or name a file"
    ):
        open_source("-")


def _make_bad_input(folder: Path) -> None:
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("dear diary, día 1\n" * 40)
    (folder / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    (folder / "dangling.mp4").symlink_to(folder / "gone.mp4")
    (folder / "segment.m4s").write_bytes(b"\0\0\0\x18stypmsdh\0\0\0\0msdhmsix" + b"\0" * 100)
    make_clip(folder / "holiday.mp4", frames=30)
    whole = (folder / "holiday.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(whole[:-900])
    (folder / "short.mp4").write_bytes(whole[: len(whole) // 3])
    with av.open(str(folder / "song.m4a"), "w") as container:
        stream = container.add_stream("aac", rate=48_000)
        silence = av.AudioFrame.from_ndarray(np.zeros((2, 4096), np.float32), format="fltp", layout="stereo")
        silence.sample_rate = 48_000
        for packet in (*stream.encode(silence), *stream.encode(None)):
            container.mux(packet)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("empty.mp4", "cannot open '{}': the file is empty (0 bytes)"),
        ("text.mp4", "cannot open '{}': the file is text, not a video"),
        ("noise.mp4", "cannot open '{}': no picture or video format was found in it"),
        ("dangling.mp4", "cannot open '{}': it is a link to '{}', which does not exist"),
        ("segment.m4s", "cannot open '{}': it is one segment of a stream; open the playlist"),
        ("cut.mp4", "cannot read '{}': it has no video, only a header that was cut short or damaged"),
        (
            "short.mp4",
            "cannot open '{}': an MP4 without its index (moov): the recording or the download was cut short",
        ),
        ("song.m4a", "cannot read '{}': it has no video, only 1 audio track"),
        ("holidy.mp4", "cannot open '{}': no such file; did you mean 'holiday.mp4'"),
        ("holiday.mkv", "cannot open '{}': no such file; did you mean 'holiday.mp4'"),
        ("zzz", "cannot open '{}': no such file"),
        ("nowhere/clip.mp4", "cannot open '{}': there is no folder '{}'"),
    ],
)
def test_bad_input_is_answered_in_one_line(tmp_path: Path, name: str, message: str) -> None:
    """What cannot be read is answered with what was asked, what was found and what to do."""
    _make_bad_input(tmp_path)
    with pytest.raises(SourceError) as caught:
        open_source(str(tmp_path / name))
    pattern = re.escape(message).replace(re.escape("{}"), ".*")
    assert re.match(pattern, str(caught.value))
    assert "\n" not in str(caught.value)


def test_unreadable_file_names_permissions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that may not be read is not called damaged."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    make_clip(tmp_path / "clip.mp4", frames=1)
    monkeypatch.setattr(av, "open", refuse)
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(SourceError, match="permission denied; check its permissions"):
        open_source(str(tmp_path / "clip.mp4"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": (640, 480)}, "has a size of its own; size is for cameras"),
        ({"fps": 30}, "has a fps of its own; fps is for cameras"),
        ({"duration": 0}, "duration 0 is no length of time"),
    ],
)
def test_options_a_file_cannot_honour(tmp_path: Path, options: dict[str, object], message: str) -> None:
    """An option that would do nothing is refused."""
    make_clip(tmp_path / "clip.mp4", frames=1)
    with pytest.raises(UsageError, match=message):
        read(tmp_path / "clip.mp4", **options)


def test_no_name_is_no_source() -> None:
    """An empty URI is answered with what can be named."""
    with pytest.raises(UsageError, match="no source was named"):
        open_source("")


def test_live_file_is_paced(tmp_path: Path) -> None:
    """A file read as if it were live takes as long as it shows; frames carry the time they were let out."""
    make_clip(tmp_path / "clip.mp4", frames=4, rate=50)
    frames, _ = read(tmp_path / "clip.mp4", live=True)
    assert frames[-1].captured - frames[0].captured > 0.0599


@contextmanager
def _serving(folder: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://user:secret@127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_http_is_read_like_a_file(tmp_path: Path) -> None:
    """A file behind http: is read whole and unpaced; its password shows nowhere."""
    times = make_clip(tmp_path / "clip.mp4", frames=5)
    with _serving(tmp_path) as address, open_source(f"{address}/clip.mp4?token=abc") as source:
        assert [frame.time for frame in source] == times
        assert not source.live
        assert source.paths == ()
        assert "secret" not in source.uri and "abc" not in source.uri


def test_missing_address_is_answered_without_password(tmp_path: Path) -> None:
    """A file the server does not have is answered with the server's word and without the password."""
    with (
        _serving(tmp_path) as address,
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
    ],
)
def test_unreachable_addresses(uri: str, message: str) -> None:
    """An address nobody answers at, or of a protocol FFmpeg lacks, is answered in one line."""
    with pytest.raises(SourceError, match=message):
        open_source(uri)


@contextmanager
def _sending(content: bytes) -> Iterator[str]:
    """A server that sends some bytes and then falls silent."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            connection.sendall(content)
            finished.wait()
            connection.close()

        finished = threading.Event()
        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        finally:
            finished.set()
            thread.join()


def test_silent_server_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that accepts but sends nothing does not hold the program for ever."""
    monkeypatch.setattr(media, "_TIMEOUT", 0.2)
    with (
        _sending(b"") as address,
        pytest.raises(SourceError, match="nothing came for 0 s; check the address"),
    ):
        open_source(address)


def test_stream_that_stops_is_an_error_after_its_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A live stream that falls silent yields what came, then says that it ended early."""
    monkeypatch.setattr(media, "_TIMEOUT", 0.5)
    make_clip(tmp_path / "clip.ts", frames=30)
    with _sending((tmp_path / "clip.ts").read_bytes()) as address, open_source(address) as source:
        assert source.live
        frames = 0
        with pytest.raises(SourceError, match="ended early: nothing came"):
            for _ in source:
                frames += 1
    assert frames > 20


def test_picture_by_content_is_a_still(tmp_path: Path) -> None:
    """A picture without an extension is opened as what it is."""
    av.VideoFrame.from_ndarray(np.zeros((8, 8, 3), np.uint8)).save(str(tmp_path / "a.png"))
    shutil.move(tmp_path / "a.png", tmp_path / "cover")
    with open_source(str(tmp_path / "cover")) as source:
        assert source.stills
        assert [frame.name for frame in source] == ["cover"]
