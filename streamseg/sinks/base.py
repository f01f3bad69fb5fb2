"""What every sink promises, and the options that decide how a picture is stored."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from streamseg.backoff import Backoff
from streamseg.frame import Frame, Tracks, VideoFormat

if TYPE_CHECKING:
    import av

    from streamseg.control import Control


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """How pictures are encoded; None leaves the choice to the sink."""

    codec: str | None = None
    """An FFmpeg encoder (`libx264`, `prores_ks`) or a codec's usual name (`h264`, `vp9`)."""
    crf: int | None = None
    preset: str | None = None
    bitrate: int | None = None
    """Bits per second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where frames shall go: what every sink is made from."""

    uri: str
    encoding: Encoding = field(default_factory=Encoding)
    """For sinks that encode video; the others ignore it."""
    overwrite: bool = False
    """An existing file may be replaced."""
    inputs: tuple[str, ...] = ()
    """The files the source reads, which must not be replaced whatever `overwrite` says."""
    expected_frames: int | None = None
    """How many frames will come, where that is known."""
    shared: bool = False
    """Other sinks get the same encoding: what this one has no use for is left out and noted, not refused."""
    live: bool = False
    """The frames come from a live source: there is no end to wait for."""
    realtime: bool = True
    """A stream is sent at its own speed, not as fast as can be."""
    backoff: Backoff = field(default_factory=Backoff)
    """When a stream that was lost is tried again."""
    timeout: float = 5.0
    """Seconds a server may take nothing before it counts as lost."""
    say: Callable[[str], None] = lambda _line: None
    """Told, in one line each, what somebody who watches the run should know at once."""


class Sink(ABC):
    """Takes finished frames. Life: constructor, `ready`, `start` once, `write` and `copy` any number of
    times, then `close` or `abort`; where no frame ever comes `start` is left out.

    The constructor checks what can be checked before a frame exists (extension, codec, folder, overwriting)
    and raises UsageError or SinkError; it creates nothing. All methods run on one thread.
    """

    kind: ClassVar[str]
    """What it makes, for messages: "a GIF"."""
    encodes: ClassVar[bool] = False
    """The options of Encoding mean something to it."""
    unused: Mapping[str, str] = MappingProxyType({})
    """Options of a shared Encoding that it left out, and why."""
    uri: str
    """As given, credentials removed."""
    audio: Literal["copied", "encoded", "none"] = "none"
    """What became of the sound; known once it is closed."""
    pts_exact: bool = True
    """Every pts written so far equals its frame's, as a time."""
    av_offset_ms: float | None = None
    """How much later the picture is against the sound than it was in the source, in ms; None without
    sound."""
    paces: bool = False
    """Shows frames to a person: a file should be shown at its own speed."""
    realtime: bool = False
    """Who receives it plays it as it comes: a file should be sent at its own speed."""
    apart: bool = False
    """It may wait for others at any time: it gets a thread of its own."""
    takes_card: bool = False
    """It reads finished pictures where they lie on the card."""
    waits: bool = False
    """Set by a run before `start`: frames wait for this sink, so it should rather wait than lose one."""
    dropped: int = 0
    """Frames it was given and did not pass on."""
    reconnects: int = 0
    """How often it was connected again."""
    interrupted: bool = False
    """The run shall end: what has been begun is finished, unless somebody keeps it from that."""
    notes: list[str]
    """One line each: what had to be left out or changed."""
    on_key: Callable[[str], None] | None
    """Only of those with a keyboard: called with each key pressed, as a character."""
    keys: Sequence[tuple[str, str]]
    """Only of those, too: keys and what they do, for the help."""
    say: Callable[[str], None]
    """Only of those that are served somewhere: told where, token included."""

    def ready(self, video: VideoFormat, control: Control | None = None) -> None:  # noqa: B027
        """Begin with what is known before any frame has been segmented; raises SinkError. Most sinks wait for
        the first frame. `control`: the strings of the run, for viewers to pull."""

    @abstractmethod
    def start(self, video: VideoFormat, first: Frame, tracks: Tracks) -> None:
        """Get ready for frames like `first` (composited; its size and pixel format are what will come)."""

    @abstractmethod
    def write(self, frame: Frame) -> None:
        """Take one frame; raise SinkError when it cannot be kept, SinkClosed when the viewer has left."""

    def repaint(self, frame: Frame) -> None:
        """Take a frame that was there before, and looks different now: for those who show it to a person."""
        if self.paces:
            self.write(frame)

    def copy(self, packets: Sequence[av.Packet[Any]]) -> None:  # noqa: B027  (most sinks have no use for sound)
        """Take packets of the other tracks, in their time order, before the frame they were read before."""

    def interrupt(self) -> None:
        """Ask a write that waits for a reader to give up soon. Safe on any thread and in a signal handler."""
        self.interrupted = True

    def idle(self) -> None:  # noqa: B027  (only windows have something to do)
        """Stay responsive while no frame is due: called every few ms in a pause."""

    @abstractmethod
    def close(self) -> None:
        """Finish properly: flush, write the index, put the file under its final name."""

    def abort(self) -> None:
        """Give up after a failure: leave nothing half-written under the final name."""
        self.close()
