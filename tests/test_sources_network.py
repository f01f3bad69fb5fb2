"""Streams from servers on this machine, and from none."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamseg.errors import SourceError
from streamseg.sources import open_source, opening
from tests.clips import make_clip
from tests.serving import Turn, serving, taking_turns


def test_http_is_read_like_a_file(tmp_path: Path) -> None:
    """A file behind http: is read whole and unpaced; its password shows nowhere."""
    times = make_clip(tmp_path / "clip.mp4", frames=5)
    with serving(tmp_path) as address, open_source(f"{address}/clip.mp4?token=abc") as source:
        assert [frame.time for frame in source] == times
        assert not source.live
        assert source.paths == ()
        assert "secret" not in source.uri and "abc" not in source.uri


def test_missing_address_is_answered_without_password(tmp_path: Path) -> None:
    """A file the server does not have is answered with the server's word and without the password."""
    with (
        serving(tmp_path) as address,
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


@pytest.mark.parametrize("scheme", ["tcp", "rtsp", "rtmp", "rtmps", "http", "https"])
def test_silent_server_is_given_up(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    """A server that accepts but sends nothing does not hold the program for ever."""
    monkeypatch.setattr(opening, "OPEN_TIMEOUT", 0.2)
    with (
        taking_turns(Turn(silent=True)) as address,
        pytest.raises(SourceError, match="nothing came for 0 s; check the address"),
    ):
        open_source(address.replace("tcp", scheme))
