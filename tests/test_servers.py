"""The servers the other tests rely on: what is sent to them lies in files."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from tests.clips import make_clip
from tests.servers import nginx, publisher, rtsp_recorder, wait_for


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    """Four seconds with sound, a keyframe each half second."""
    path = tmp_path / "talk.mkv"
    make_clip(path, frames=100, rate=25, audio="aac", options={"g": "12", "bf": "0", "preset": "ultrafast"})
    return path


def kinds(uri: str, packets: int = 60) -> set[str]:
    """The kinds of stream among the first packets that plain PyAV reads from an address."""
    with av.open(uri, options={"rtsp_transport": "tcp"} if "rtsp" in uri else {}, timeout=10) as container:
        demuxed = container.demux()
        return {next(demuxed).stream.type for _ in range(packets)}


def test_publications_are_recorded(talk: Path, tmp_path: Path) -> None:
    """A stream sent to the RTSP recorder, or to nginx with `record`, lies in a file afterwards."""
    folder = tmp_path / "recorded"
    folder.mkdir()
    with rtsp_recorder(folder, sound=True) as server, publisher(talk, server.uri):
        wait_for(lambda: any(file.stat().st_size > 50_000 for file in folder.glob("0.mkv")), "recording")
    assert kinds(str(folder / "0.mkv")) == {"video", "audio"}
    with nginx(tmp_path, record=True) as second, publisher(talk, second.rtmp()):
        wait_for(lambda: any(file.stat().st_size > 50_000 for file in second.recorded.iterdir()), "recording")
