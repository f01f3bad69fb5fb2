"""What every source promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from types import TracebackType

from streamseg.frame import Frame, Tracks, VideoFormat


class Source(ABC):
    """An iterator of frames, used as a context manager.

    The constructor opens the device or file and raises SourceError (or UsageError) where that fails;
    iterating reads it once, on one thread. Frames are upright (rotation and EXIF orientation applied), every
    frame has a pts, and pts increase strictly. While a live source waits for its input to come back, it
    yields frames marked absent, by the clock. `close` is called exactly once, after iteration has stopped,
    and releases everything.
    """

    uri: str
    """As given, credentials removed: fit for messages and reports."""
    video: VideoFormat
    """Of the first frame, upright; later frames may differ in size (stills, broken streams)."""
    tracks: Tracks
    live: bool = False
    """Frames arrive by the clock and are lost if nobody takes them."""
    stills: bool = False
    """Every frame is a picture of its own: no state is carried from one to the next."""
    expected_frames: int | None = None
    """A guess for the progress bar."""
    duration: float | None = None
    """Seconds, where known."""
    warnings: list[str]
    """One line each, for the end of the run: damage found, tracks ignored."""
    paths: tuple[str, ...] = ()
    """Files this source reads; no sink may write to one of them."""
    reconnects: int = 0
    """How often a connection that was lost has been made again."""
    interrupted: bool = False
    """Nobody wants more frames: iteration ends soon, before the source's own end."""

    def __init__(self, uri: str, *, live: bool, duration: float | None = None) -> None:
        """Begin with no tracks and no warnings; `live` and `duration` as above."""
        self.uri, self.live, self.duration = uri, live, duration
        self.tracks = Tracks()
        self.warnings = []

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]:
        """Yield frames until the end; raise SourceError when nothing more can be read though it should."""

    def interrupt(self) -> None:
        """Ask iteration to end soon, even while it waits. Safe on any thread and in a signal handler."""
        self.interrupted = True

    def stuck(self) -> bool:
        """Whether it still waits in a library after `interrupt`: if so it must not be closed."""
        return False

    @abstractmethod
    def close(self) -> None:
        """Release everything."""

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
