"""Streams from servers on this machine, and from none."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from streamseg.errors import SourceError
from streamseg.sources import media, open_source
from tests.clips import make_clip
from tests.serving import serving


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
