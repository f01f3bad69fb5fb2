"""HLS playlists of which segments are missing, on disk and behind http:."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import pytest

from streamseg.errors import SourceError
from streamseg.sources import open_source
from tests.clips import picture
from tests.reading import read
from tests.serving import serving


def make_playlist(folder: Path, *, pauses: bool = False) -> Path:
    """Write five segments of one second, ten frames each; with `pauses` only two of them."""
    path = folder / "list.m3u8"
    options = {"hls_time": "1", "hls_list_size": "0", "hls_segment_filename": str(folder / "part%d.ts")}
    with av.open(str(path), "w", format="hls", options=options) as container:
        stream = container.add_stream("libx264", rate=10, options={"g": "2" if pauses else "10", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(50):
            if pauses and 0 < index % 10 < 9:
                continue
            shown = picture(64, 48, index)
            shown.pts = index
            container.mux(stream.encode(shown))
        container.mux(stream.encode(None))
    return path


@contextmanager
def _placed(path: Path, where: str) -> Iterator[str]:
    if where == "disk":
        yield str(path)
        return
    with serving(path.parent) as address:
        yield f"{address}/{path.name}?token=abc"


@pytest.mark.parametrize("where", ["disk", "server"])
@pytest.mark.parametrize("missing", [(0,), (2,), (4,), (1, 2), ()])
def test_what_is_there_of_a_playlist_is_read(tmp_path: Path, where: str, missing: tuple[int, ...]) -> None:
    """The frames of all other segments come at their own times, and one line says how much is missing."""
    path = make_playlist(tmp_path)
    start = read(path)[0][0].time
    for number in missing:
        (tmp_path / f"part{number}.ts").unlink()
    with _placed(path, where) as uri:
        frames, warnings = read(uri)
    there = [index for index in range(50) if index // 10 not in missing]
    assert [frame.time - start for frame in frames] == [Fraction(index, 10) for index in there]
    says = f"{len(missing)}.0 of 5.0 s are missing: segments its playlist names cannot be read"
    assert [warning.partition("': ")[2] for warning in warnings] == ([says] if missing else [])
    assert not any("secret" in warning or "abc" in warning for warning in warnings)


def test_a_video_that_pauses_misses_no_segment(tmp_path: Path) -> None:
    """Pauses between frames of one segment are the video's own."""
    assert read(make_playlist(tmp_path, pauses=True))[1] == []


@pytest.mark.parametrize("where", ["disk", "server"])
def test_a_playlist_without_any_segment_is_called_one(tmp_path: Path, where: str) -> None:
    """Where no segment can be read the error speaks of segments, not of text or of the link."""
    path = make_playlist(tmp_path)
    for part in tmp_path.glob("*.ts"):
        part.unlink()
    with _placed(path, where) as uri, pytest.raises(SourceError, match="none of the segments it") as caught:
        open_source(uri)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)
