"""Nowhere: takes frames and counts them, for measuring everything before the sink."""

from __future__ import annotations

from streamseg.errors import redacted
from streamseg.frame import Frame, Tracks, VideoFormat
from streamseg.sinks.base import Destination, Sink


class NullSink(Sink):
    """Takes every frame and keeps none."""

    kind = "nowhere"

    def __init__(self, destination: Destination) -> None:
        self.uri = redacted(destination.uri)
        self.notes = []
        self.frames = 0
        """Frames taken so far."""

    def start(self, video: VideoFormat, first: Frame, tracks: Tracks) -> None:
        """Nothing to get ready."""

    def write(self, frame: Frame) -> None:  # noqa: ARG002  (kept nowhere)
        """Count a frame."""
        self.frames += 1

    def close(self) -> None:
        """Nothing to finish."""
