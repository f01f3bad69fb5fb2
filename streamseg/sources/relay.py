"""Sound and subtitles of one connection after the other, as the tracks of the first."""

from __future__ import annotations

from collections import deque
from fractions import Fraction
from typing import Any

import av
from av.container import OutputContainer
from av.stream import Stream

from streamseg.errors import reason
from streamseg.frame import Tracks

_UNTAKEN = 10_000
"""Packets kept while nobody takes them; then the oldest go."""


class Relay:
    """Passes packets on, moved in time. Its tracks outlive the connections: sinks may look at their streams
    whenever they like, also after the container they came from has been closed.
    """

    def __init__(self, first: Tracks) -> None:
        """Make tracks like those of the first connection."""
        self.notes: list[str] = []
        self._container, copies, picture = _copied(first, self.notes)
        self.tracks = Tracks(
            streams=tuple(copies.values()),
            metadata=first.metadata,
            picture=picture,
            packets=deque(maxlen=_UNTAKEN),
        )
        self._targets: dict[int, Stream] = {}
        self._known = {index: _kind(stream) for index, stream in copies.items()}
        self._copies = copies
        self._reached: dict[int, Fraction] = {}
        """Seconds at which the last packet of each track is, in the tracks."""
        self._shift = Fraction(0)
        self._begin: Fraction | None = None
        self.until: Fraction | None = None
        """Seconds from which on nothing is passed on."""

    def connect(self, tracks: Tracks, shift: Fraction, begin: Fraction | None) -> None:
        """Go on with another connection. Its packets move by `shift` seconds; those before `begin`, as it
        counts, are left out: their pictures are."""
        self._shift, self._begin = shift, begin
        self._targets = {}
        free = dict(self._known)
        for stream in tracks.streams:
            fitting = [index for index, kind in free.items() if kind == _kind(stream)]
            if fitting:
                del free[fitting[0]]
                self._targets[stream.index] = self._copies[fitting[0]]
        for index in free:
            name = f"{self._copies[index].type} track {index}"
            self._note_once(f"{name} is missing or of another kind since a reconnection: it was left out")

    def pass_on(self, tracks: Tracks) -> None:
        """Move the packets the connection has read into the tracks sinks take them from."""
        for packet in tracks.take():
            target = self._targets.get(packet.stream_index)
            if target is not None and self._placed(packet, target):
                self.tracks.put(packet)

    def close(self) -> None:
        """Let the tracks go."""
        self._container.close()

    def _placed(self, packet: av.Packet[Any], target: Stream) -> bool:
        """Move a packet in time; tell whether there is a place for it."""
        tick = Fraction(packet.time_base)
        ticks = packet.dts if packet.dts is not None else packet.pts
        if ticks is None or (self._begin is not None and ticks * tick < self._begin):
            return False
        shift = round(self._shift / tick)
        time = (ticks + shift) * tick
        if time < self._reached.get(target.index, time) or (self.until is not None and time >= self.until):
            return False
        self._reached[target.index] = time
        packet.dts = None if packet.dts is None else packet.dts + shift
        packet.pts = None if packet.pts is None else packet.pts + shift
        packet.stream = target
        return True

    def _note_once(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)


def _copied(tracks: Tracks, notes: list[str]) -> tuple[OutputContainer, dict[int, Stream], Stream | None]:
    """Streams like those of `tracks` in a container of their own, by index there; nothing is written."""
    container = av.open("-", "w", format="null")
    copies = {}
    picture = None if tracks.picture is None else _copy(container, tracks.picture)
    for stream in tracks.streams:
        try:
            copy = _copy(container, stream)
        except (av.FFmpegError, ValueError) as error:
            notes.append(f"{stream.type} track {stream.index} was left out: {reason(error)}")
            continue
        copies[copy.index] = copy
    return container, copies, picture


def _copy(container: OutputContainer, stream: Stream) -> Stream:
    copy: Stream = container.add_stream_from_template(stream, opaque=True)  # needs no encoder
    copy.metadata.update(stream.metadata)
    copy.disposition = stream.disposition
    return copy


def _kind(stream: Stream) -> tuple[object, ...]:
    """What packets of one connection must share with those of another to be decoded alike."""
    context = stream.codec_context
    if isinstance(context, av.AudioCodecContext):
        return stream.type, context.codec.canonical_name, context.sample_rate, context.layout.nb_channels
    return stream.type, None if context is None else context.codec.canonical_name
