"""HLS into a folder: segments of a few seconds and the playlist that names them, for any web server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import av
from av.container import OutputContainer

from streamseg.sinks.base import Destination
from streamseg.sinks.containers import CONTAINERS, KEYFRAME_SECONDS, Container
from streamseg.sinks.files import OutputFile, check_targets
from streamseg.sinks.media import MediaSink

_WHOLE = replace(
    CONTAINERS[".ts"],
    format="hls",
    options={},
    negative=False,
    holds=frozenset({"aac", "ac3", "eac3", "mp3"}),
    encoders=frozenset({"libx264", "h264_nvenc", "h264_qsv", "h264_amf", "h264_videotoolbox"}),
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
        return av.open(self._address, "w", "hls", container_options={**options, **playlist, **names})


class _Files:
    """The playlist and its segments beside it. A playlist names only what is complete, so they are written
    under their final names; what was written is removed when it is given up."""

    def __init__(self, destination: Destination) -> None:
        self.playlist = OutputFile(
            destination.uri, overwrite=destination.overwrite, inputs=destination.inputs
        ).path
        self._before: set[Path] = set()
        self._begun = False
        check_targets(sorted(self._segments()), destination)

    @property
    def pattern(self) -> str:
        """The segments' path as FFmpeg numbers them; under a file: URL it would find none to delete."""
        return f"{self.playlist.with_suffix('')}-".replace("%", "%%") + "%d.ts"

    def begin(self) -> None:
        """From here on what appears is this run's."""
        self._before, self._begun = self._segments(), True

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
