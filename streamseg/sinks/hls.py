"""HLS into a folder: segments of a few seconds and the playlist that names them, for any web server."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import av
from av.container import OutputContainer

from streamseg.sinks.base import Destination
from streamseg.sinks.containers import CONTAINERS, H264, KEYFRAME_SECONDS, Container
from streamseg.sinks.files import OutputFile, check_targets
from streamseg.sinks.media import MediaSink

_WHOLE = replace(
    CONTAINERS[".ts"],
    format="hls",
    options={},
    negative=False,
    holds=frozenset({"aac", "ac3", "eac3", "mp3"}),
    encoders=H264,
    keyframe_seconds=KEYFRAME_SECONDS,
    b_frames=False,
)
"""What Apple's players take in segments of MPEG-TS."""

HLS: Container = replace(_WHOLE, live=True)

LIVE_PLAYLIST = {
    "hls_time": str(KEYFRAME_SECONDS),
    "hls_list_size": "6",
    "hls_delete_threshold": "3",
    "hls_flags": "delete_segments+independent_segments",
    "hls_start_number_source": "epoch",
}
"""The last six segments; three more stay for players that are late. Numbers count on from the clock's
seconds, so that a stream begun anew never uses one twice."""

_WHOLE_PLAYLIST = {
    "hls_time": "6",
    "hls_list_size": "0",
    "hls_playlist_type": "vod",
    "hls_flags": "independent_segments",
}
"""Everything, written when it is complete."""


class HlsSink(MediaSink):
    """A playlist in a folder: of a live source its last seconds, of a file all of it."""

    kind = "an HLS playlist"

    def __init__(self, destination: Destination) -> None:
        """Raises UsageError or SinkError for what can be known before a frame is there."""
        self._live = destination.live
        self._files = _Files(destination)
        self._set_up(
            destination,
            HLS if self._live else _WHOLE,
            ".m3u8",
            self._files,
            str(self._files.playlist),
        )

    def _muxer(self, options: dict[str, str]) -> OutputContainer:
        self._files.begin()
        playlist = LIVE_PLAYLIST if self._live else _WHOLE_PLAYLIST
        names: Mapping[str, str] = {"hls_segment_filename": self._files.pattern}
        asked = {**options, **playlist, **names}
        return av.open(self._address, "w", "hls", container_options=asked, io_open=self._files.part)

    @contextmanager
    def _failures(self) -> Iterator[None]:
        with super()._failures():
            yield
            if self._files.failure is not None:
                raise self._files.failure


class _Files:
    """The playlist and its segments beside it. A playlist names only what is complete, so they are written
    under their final names; what was written is removed when it is given up."""

    def __init__(self, destination: Destination) -> None:
        self.playlist = OutputFile(
            destination.uri, overwrite=destination.overwrite, inputs=destination.inputs
        ).path
        self._before: set[Path] = set()
        self._begun = False
        self.failure: OSError | None = None
        """Why a part could not be written: FFmpeg's `hls` muxer goes on as if it had been."""
        check_targets(sorted(self._segments()), destination)

    @property
    def pattern(self) -> str:
        """The segments' path as FFmpeg numbers them; under a file: URL it would find none to delete."""
        return f"{self.playlist.with_suffix('')}-".replace("%", "%%") + "%d.ts"

    def begin(self) -> None:
        """From here on what appears is this run's."""
        self._before, self._begun = self._segments(), True

    def part(self, path: str, _flags: int, _options: Mapping[str, str]) -> _Part:
        """Open a segment or a playlist for the muxer."""
        return _Part(path, self)

    def attempt(self, step: Callable[[], object]) -> None:
        """Do a step in writing; the first failure is kept, and nothing is done after it."""
        if self.failure is None:
            try:
                step()
            except OSError as error:
                self.failure = error

    def commit(self) -> None:
        """All is in place."""

    def discard(self) -> None:
        """Remove this run's segments and the playlist of them."""
        if self._begun:
            for path in {self.playlist, *(self._segments() - self._before)}:
                path.unlink(missing_ok=True)

    def _segments(self) -> set[Path]:
        prefix = f"{self.playlist.stem}-"
        return {
            path
            for path in self.playlist.parent.glob("*.ts")
            if path.name.startswith(prefix) and path.stem[len(prefix) :].isdigit()
        }


class _Part:
    """A file as FFmpeg's `hls` muxer writes it. Raises nothing: PyAV would keep that until some other call
    fails."""

    def __init__(self, path: str, files: _Files) -> None:
        self._path, self._files = path, files
        self._file: BinaryIO | None = None
        files.attempt(self._open)

    def write(self, content: bytes) -> int:
        """Write a piece."""
        file = self._file
        if file is not None:
            self._files.attempt(lambda: file.write(content))
        return len(content)

    def close(self) -> None:
        """Write what is left in the buffer."""
        file, self._file = self._file, None
        if file is not None:
            self._files.attempt(file.flush)
            with suppress(OSError):  # it is what `flush` has failed with
                file.close()

    def _open(self) -> None:
        self._file = Path(self._path).open("wb")  # noqa: SIM115  (FFmpeg says when it is complete)
