"""Figures of a run: quantiles, the report file, messages without secrets."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamseg.errors import SourceError, StreamsegError, UsageError, reason, redacted
from streamseg.stats import Quantiles, Stats, peak_rss_mb


@settings(max_examples=50, derandomize=True)
@given(st.lists(st.floats(min_value=2e-6, max_value=50), min_size=1, max_size=200))
def test_quantiles_are_within_two_percent(seconds: list[float]) -> None:
    """The median, the 95th and the 99th percentile agree with the exact ones within 2 %."""
    quantiles = Quantiles()
    for duration in seconds:
        quantiles.add(duration)
    for share in (0.5, 0.95, 0.99):
        exact = float(np.quantile(seconds, share, method="inverted_cdf")) * 1000
        assert quantiles.milliseconds(share) == pytest.approx(exact, rel=0.02, abs=0.001)
    assert quantiles.largest_milliseconds == pytest.approx(max(seconds) * 1000, abs=0.001)


def test_quantiles_of_nothing_are_none() -> None:
    """Without a measurement there is no figure, rather than a zero."""
    assert Quantiles().milliseconds(0.5) is None
    assert Quantiles().largest_milliseconds is None


def test_memory_does_not_grow_with_the_number_of_measurements() -> None:
    """A hundred thousand durations fill no more bins than their range has."""
    quantiles = Quantiles()
    for index in range(100_000):
        quantiles.add(0.001 + index * 1e-7)
    assert len(quantiles._bins) < 200


def test_each_kind_of_failure_is_kept_once() -> None:
    """A failure that repeats on every frame is one entry."""
    stats = Stats()
    for _ in range(100):
        stats.fail("network failed")
    assert stats.failures == ["network failed"]


def test_peak_memory_is_that_of_this_process() -> None:
    """The figure is in megabytes and plausible for Python with NumPy."""
    peak = peak_rss_mb()
    assert peak is None or 20 < peak < 20_000


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://user:secret@camera/1", "rtsp://***@camera/1"),
        ("http://host/live?token=abc&x=1", "http://host/live?token=***&x=1"),
        ("talk.mp4", "talk.mp4"),
        ("rtsp://user:p@ss@camera/1", "rtsp://***@camera/1"),
        ("rtsp://user:p/ss@camera/1", "rtsp://***@camera/1"),
        ("rtmp://admin:p@ss..x/y@cam/x/key", "rtmp://***@cam/x/***"),
        ("rtsp://user:a/b?c@camera/1", "rtsp://***@camera/1"),
        ("rtsp://user:p@host/a?mail=x@y", "rtsp://***@host/a?mail=x@y"),
        ("rtsp://user@host/@live", "rtsp://***@host/@live"),
        ("http://host:80/photo@2x.png", "http://host:80/photo@2x.png"),
        ("http://host/a?mail=x@y&n=1", "http://host/a?mail=x@y&n=1"),
        ("udp://@239.0.0.1:5000", "udp://@239.0.0.1:5000"),
        ("https://cdn/a.m3u8?X-Amz-Signature=abc&x=1", "https://cdn/a.m3u8?X-Amz-Signature=***&x=1"),
        ("https://cdn/a.m3u8?x=1&access_token=abc", "https://cdn/a.m3u8?x=1&access_token=***"),
        ("https://cdn/a.m3u8?hdnts=exp=1~hmac=abc", "https://cdn/a.m3u8?hdnts=***"),
        ("rtsp://host/cam?user=admin&password=abc&ch=1", "rtsp://host/cam?user=***&password=***&ch=1"),
        ("rtsp://host/user=admin&password=abc&ch=1", "rtsp://host/user=***&password=***&ch=1"),
        ("cannot open 'rtsp://a:b@c/?pwd=x': refused", "cannot open 'rtsp://***@c/?pwd=***': refused"),
        ("cannot open 'rtmp://h/live/key': refused", "cannot open 'rtmp://h/live/***': refused"),
        ("rtmps://me:word@h:1/app/inst/key?x=1", "rtmps://***@h:1/app/***"),
        ("rtmp://h/live", "rtmp://h/live"),
        ("rtmpt://h//key", "rtmpt://h//***"),
        ("output:rtmp://h/live/key", "output:rtmp://h/live/***"),
        ("rtmp:a?token=abc", "rtmp:a?token=***"),
        ("/videos/monkey=1.mp4", "/videos/monkey=1.mp4"),
    ],
)
def test_credentials_are_removed(text: str, shown: str) -> None:
    """User names, passwords and tokens never reach a message."""
    assert redacted(text) == shown


def test_reasons_are_one_plain_line() -> None:
    """A reason is lower case, one line, without a full stop or an error number."""
    assert reason(FileNotFoundError(2, "No such file or directory", "x")) == "no such file or directory"
    assert reason(ValueError("Bad thing.\nmore")) == "bad thing"
    assert reason(ValueError()) == "valueError"


def test_errors_can_be_caught_as_their_builtin_kind() -> None:
    """SourceError is an OSError, UsageError a ValueError, and all are StreamsegErrors."""
    assert issubclass(SourceError, OSError) and issubclass(UsageError, ValueError)
    assert issubclass(SourceError, StreamsegError) and issubclass(UsageError, StreamsegError)


def test_a_report_is_written_whole(tmp_path: Path) -> None:
    """A saved report is valid JSON under its final name, with nothing left beside it."""
    from tests.runs import run_test_pattern

    report = run_test_pattern("null:", frames=5)
    report.save(tmp_path / "report.json")
    content = json.loads((tmp_path / "report.json").read_text())
    assert content["frames_out"] == 5
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


@pytest.mark.parametrize("piece", ["x", "_", "/key", "_key", "://", "a:", "a:b@"])
def test_redaction_takes_no_long_time(piece: str) -> None:
    """Texts that somebody made for that are done while nobody notices: 8 kB in a fraction of a second."""
    text = "x:" + piece * (8192 // len(piece))
    started = time.process_time()
    redacted(text)
    assert time.process_time() - started < 5  # 0.2 s; it was minutes
