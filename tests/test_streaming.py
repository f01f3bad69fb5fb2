"""How streams are encoded, and how their addresses are told."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from streamseg.sinks import Encoding
from streamseg.sinks.address import told
from streamseg.sinks.base import Destination
from streamseg.sinks.codecs import default_encoder
from streamseg.sinks.network import connection_for
from streamseg.sinks.streaming import bitrate_for, streamed
from tests.flashes import make_flashes
from tests.receivers import Listener, broadcast, packets_in, stream_to


def test_bitrates_follow_size_and_rate() -> None:
    """The table's own sizes, upright ones, those between, and those beyond it."""
    assert bitrate_for((1280, 720), Fraction(30)) == 3_000_000
    assert bitrate_for((1920, 1080), Fraction(60)) == 6_000_000
    assert bitrate_for((1080, 1920), Fraction(30)) == 4_500_000
    assert bitrate_for((1920, 1088), None) == 4_500_000
    assert bitrate_for((160, 120), Fraction(25)) == 500_000
    assert bitrate_for((1000, 600), Fraction(25)) == 3_000_000
    assert bitrate_for((7680, 4320), Fraction(60)) == 35_000_000


def test_a_stream_is_set_up_for_no_delay_and_a_limit() -> None:
    """zerolatency, a keyframe each two seconds, a second's bits in a second; constant quality below that."""
    made = streamed(default_encoder(Encoding(), "libx264"), (1280, 720), Fraction(30))
    wanted = {"preset": "veryfast", "crf": "20", "tune": "zerolatency", "g": "60", "maxrate": "3000000"}
    assert wanted.items() <= made.options.items()
    assert made.bitrate == 0


def test_what_the_user_asks_for_stays() -> None:
    """A bitrate replaces the table and the quality; a lossless encoder gets no limit."""
    encoder = default_encoder(Encoding(bitrate=800_000), "libx264")
    asked = streamed(encoder, (1280, 720), None, asked=800_000)
    assert (asked.bitrate, asked.options["maxrate"], asked.options["bufsize"]) == (
        800_000,
        "800000",
        "800000",
    )
    assert "crf" not in asked.options
    exact = streamed(default_encoder(Encoding(), "libx264rgb"), (1280, 720), None)
    assert "maxrate" not in exact.options


@pytest.mark.parametrize("bitrate", [None, 300_000])
def test_no_second_holds_more_than_the_limit(tmp_path: Path, bitrate: int | None) -> None:
    """Noise, which nothing compresses, into 160x120: the table's 500 kbit/s, or what was asked for."""
    clip = tmp_path / "noise.mkv"
    with av.open(str(clip), "w") as container:
        video = container.add_stream("ffv1", rate=25)
        video.width, video.height = 160, 120
        noise = np.random.default_rng(0)
        for index in range(75):
            shown = av.VideoFrame.from_ndarray(noise.integers(0, 255, (180, 160), np.uint8), "yuv420p")
            shown.pts, shown.time_base = index, Fraction(1, 25)
            container.mux(video.encode(shown))
        container.mux(video.encode(None))
    with Listener() as listener:
        sink = stream_to(f"tcp://127.0.0.1:{listener.port}", encoding=Encoding(bitrate=bitrate))
        broadcast(clip, sink, live=False)
    limit = bitrate or 500_000
    most = (3 + 1) * limit  # three seconds, and one that the decoder may have ahead
    assert limit < len(listener.received[0]) * 8 < 1.2 * most  # MPEG-TS has bytes of its own


def test_a_keyframe_comes_every_two_seconds_though_frames_are_rare(tmp_path: Path) -> None:
    """By the clock: a camera in the dark gives fewer frames than it said. None needs a frame after it."""
    make_flashes(tmp_path / "talk.mkv", 5)
    rare = tmp_path / "rare.mkv"
    with av.open(str(tmp_path / "talk.mkv")) as source, av.open(str(rare), "w") as target:
        video = target.add_stream("libx264", rate=25)
        video.width, video.height = 160, 120
        video.time_base = video.codec_context.time_base = Fraction(1, 1000)
        for frame in source.decode(video=0):
            if round(frame.time * 25) % 8 == 0:
                frame.pts, frame.time_base = round(frame.time * 1000), Fraction(1, 1000)
                target.mux(video.encode(frame))
        target.mux(video.encode(None))
    with Listener() as listener:
        broadcast(rare, stream_to(f"tcp://127.0.0.1:{listener.port}"), live=False)
    packets = packets_in(bytes(listener.received[0]), "video")
    keys = [time - packets[0][0] for time, key in packets if key]
    assert max(after - before for before, after in pairwise(keys)) < 2.5
    assert len(keys) >= 3


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtmp://a.example/live2/abcd-efgh", "rtmp://a.example/live2/***"),
        ("RTMPS://a.example:443/app/instance/key?x=1", "RTMPS://a.example:443/app/***"),
        ("rtmp://me:pw@a.example/live/key", "rtmp://***@a.example/live/***"),
        ("rtmp://a.example/live", "rtmp://a.example/live"),
        ("rtsp://me:pw@a.example/cam", "rtsp://***@a.example/cam"),
        ("https://a.example/in?token=abc", "https://a.example/in?token=***"),
    ],
)
def test_addresses_are_told_without_what_is_secret(address: str, shown: str) -> None:
    """Names, passwords, tokens and stream keys are not."""
    assert told(address) == shown
    assert connection_for(address)(Destination(uri=address)).uri == shown


def test_no_message_of_the_program_holds_a_stream_key(tmp_path: Path) -> None:
    """Neither a usage error nor a refused connection nor the report."""
    key = "rtmp://me:hidden@127.0.0.1:9/live/secret-key"
    base = [sys.executable, "-m", "streamseg", "run", "test:64x48@10,1s", "--runtime", "null", "-o", key]
    report = tmp_path / "report.json"
    for more in (["-o", key], ["--report", str(report)], ["--codec", "vp9"]):
        done = subprocess.run([*base, *more], capture_output=True, text=True)
        assert done.returncode in (1, 2)
        assert "127.0.0.1:9/live/***" in done.stderr or "vp9" in done.stderr
        assert "secret-key" not in done.stderr + done.stdout
        assert "hidden" not in done.stderr + done.stdout
    assert "secret-key" not in report.read_text()


def test_reconnect_is_for_streams_out_too() -> None:
    """A file or a drawn figure sent to a server may be told how often to try again; with neither a stream in
    nor one out the option would do nothing."""
    command = [sys.executable, "-m", "streamseg", "run", "test:64x48@10,0.2s", "--runtime", "null", "-q"]
    sent = subprocess.run(
        [*command, "--reconnect", "2", "-o", "udp://127.0.0.1:9"], capture_output=True, text=True
    )
    assert (sent.returncode, sent.stderr) == (0, "")
    kept = subprocess.run([*command, "--reconnect", "2", "-o", "null:"], capture_output=True, text=True)
    assert kept.returncode == 2
    assert "reconnect is for" in kept.stderr
