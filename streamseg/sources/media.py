"""Video files, network streams and standard input, through PyAV."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain
from typing import Any

import av
from av.codec.hwaccel import HWAccel

from streamseg.errors import GpuFailure, SourceError, redacted
from streamseg.frame import Frame, VideoFormat
from streamseg.sources import opening
from streamseg.sources.base import Source
from streamseg.sources.delivery import Delivery, fault_of
from streamseg.sources.hardware import card
from streamseg.sources.opening import open_container
from streamseg.sources.reader import Reader
from streamseg.sources.timing import Timed, Timeline, paced, swapped_back
from streamseg.sources.tracks import declared_seconds, rate_of, tracks_beside, video_of
from streamseg.sources.upright import Chain, Filters, turn_of
from streamseg.sources.uris import READ_TIMEOUT, is_live_uri, is_network, local_path

_LATEST = 1.0
"""Seconds by which pictures let out in real time may come late; what was missing longer made a pause."""

_PILE = Fraction(10)
"""Seconds of a stream that are passed over at most to reach its newest picture."""

_EARLY_LIMIT = 32
"""Frames without a pts held back at the start of a file until one has a pts."""

_UNTAKEN_LIMIT = 1000
"""Frames yielded while nobody takes the other tracks' packets; from then on they are not kept."""

_NO_TIMESTAMPS = 0x80
"""FFmpeg's AVFMT_NOTIMESTAMPS: raw streams, in which no frame ever has a pts."""


class MediaSource(Source):
    """Frames of anything FFmpeg reads: damage repaired, upright, every pts as the container has it."""

    def __init__(
        self,
        uri: str,
        *,
        live: bool | None = None,
        duration: float | None = None,
        hwaccel: str = "off",
        read_timeout: float = READ_TIMEOUT,
    ) -> None:
        """As open_source has checked them."""
        super().__init__(redacted(uri), live=is_live_uri(uri) if live is None else live)
        self._asked_live = live
        self._network = is_network(uri)
        self._read_timeout = read_timeout
        self._path = None if uri == "-" or self._network else local_path(uri)
        self.paths = (str(self._path),) if self._path else ()
        self.limit = duration
        """Seconds after which iteration ends."""
        self.frames = 0
        """Yielded so far."""
        try:
            accel = card() if hwaccel != "off" else None
            lack = "the GPU cannot decode its {codec}"
        except GpuFailure as failure:
            accel, lack = None, f"no GPU to decode on: {failure}"
        self._begin(uri, accel)
        if hwaccel == "off" or self._reader.on_card:
            return
        if accel is not None and self._path is not None and self._path.is_file():
            self._container.close()
            self._begin(uri, None)  # with all the threads that the processor has
        if hwaccel == "cuda":
            codec = self._stream.codec_context.name
            self.warnings.append(f"{self.uri!r}: {lack.format(codec=codec)}; the processor decodes it")

    def _begin(self, uri: str, accel: HWAccel | None) -> None:
        self._container = open_container(uri, self._path, accel, self._read_timeout)
        self.warnings = []
        try:
            self._start()
        except BaseException:
            self._container.close()
            raise

    def _start(self) -> None:
        """Choose the tracks and decode the first frame."""
        self._delivery = Delivery(self._container, network=self._network)
        if self._asked_live is None and self._delivery.grows:
            self.live = True
        self._stream = video_of(self._container, self.uri)
        self.tracks, left_out = tracks_beside(self._stream, self._container)
        if left_out:
            self.warnings.append(f"{self.uri!r}: left out {', '.join(left_out)}")
        self.stills = self._container.format.name == "image2" or self._container.format.name.endswith("_pipe")
        clock = time.monotonic if self.live and self._network else None
        self._reader = Reader(self._container, self._stream, self.tracks, live=self.live, clock=clock)
        self._reader.patience = opening.OPEN_TIMEOUT if self._network else None
        self._untimed = bool(self._container.format.flags & _NO_TIMESTAMPS)
        self._time_base = Fraction(self._stream.time_base or 1)
        self._rate = rate_of(self._stream, guessed=self._untimed)
        self._timeline = Timeline(1 / ((self._rate or 25) * self._time_base))
        pictures = self._reader.pictures() if self.live else swapped_back(self._reader.pictures())
        self._frames = self._timed(self._upright(pictures))
        first = next(self._frames, None)
        if first is None:
            raise SourceError(f"cannot read {self.uri!r}: {self._reader.why_nothing()}")
        self._reader.patience = self._read_timeout if self._network else None
        self._frames = chain([first], self._frames)
        self._describe(first)

    def _describe(self, first: Frame) -> None:
        aspect = Fraction(self._stream.sample_aspect_ratio or 1)
        self.video = VideoFormat(
            width=first.size[0],
            height=first.size[1],
            time_base=self._time_base,
            rate=self._rate,
            sample_aspect_ratio=1 / aspect if self._sideways else aspect,
        )
        self._declared = declared_seconds(self._container, self._stream)
        self.duration = min(filter(None, (self._declared, self.limit)), default=None)
        cut = self.duration != self._declared
        if self.duration and not (self._network and self.live):
            counted = 0 if cut else self._stream.frames
            self.expected_frames = counted or round(self.duration * (self._rate or 0)) or None

    def __iter__(self) -> Iterator[Frame]:
        frames: Iterable[Frame] = self._frames
        if self.limit is not None:
            frames = self._limited(frames, Fraction(str(self.limit)))
        if self.live and self._delivery.at_once:
            latest = _LATEST if self._network else math.inf
            frames = paced(frames, lambda: self.interrupted, latest=latest)
        ended = False
        try:
            yield from self._attended(frames)
            ended = not self.interrupted
        finally:
            self._report(ended=ended)
        if self._network and self._reader.failure is not None and not self.interrupted:
            stalled = isinstance(self._reader.failure, TimeoutError)
            hint = "raise --read-timeout or check the link" if stalled else "check the link"
            raise SourceError(f"source {self.uri!r} {self.fault} after {self.frames} frames; {hint}")

    @property
    def complete(self) -> bool:
        """What has been read is all there is: its end was known, and has been reached."""
        return self._delivery.complete(self._reader, self._declared)

    @property
    def fault(self) -> str:
        """How it ended, if it was not complete: words that follow its name."""
        return fault_of(self._reader.failure, self._read_timeout)

    @property
    def grows(self) -> bool:
        """It is a playlist that is still being written."""
        return self._delivery.grows

    def catch_up(self) -> None:
        """Pass over the frames that piled up while the stream was opened: the next one is new. Those of a
        playlist or a file lie there for longer, and are let out in time."""
        if self._delivery.at_once:
            return
        before, step = time.monotonic(), float(1 / (self._rate or 25))
        begin: Fraction | None = None
        for frame in self._frames:
            begin = frame.time if begin is None else begin
            if frame.captured - before > step / 2 or frame.time - begin > _PILE:
                self._frames = chain([frame], self._frames)
                return
            before = frame.captured
        else:
            self._frames = iter([] if begin is None else [frame])

    def _limited(self, frames: Iterable[Frame], seconds: Fraction) -> Iterator[Frame]:
        """Stop `seconds` after the first frame, with all the sound up to there."""
        for frame in frames:
            if self._reader.until is None:
                self._reader.until = frame.time + seconds
            if frame.time >= self._reader.until:
                if not self.live:
                    self._reader.finish_tracks()
                return
            yield frame

    def _attended(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Keep packets of the other tracks only while somebody takes them, or memory would fill."""
        oldest: av.Packet[Any] | None = None
        untaken = 0
        for frame in frames:
            before, oldest = oldest, self.tracks.oldest
            untaken = untaken + 1 if oldest is not None and oldest is before else 0
            self._reader.keeping = untaken < _UNTAKEN_LIMIT
            self.frames += 1
            yield frame

    def _report(self, *, ended: bool) -> None:
        """Tell of damage; of frames missing at the end only if that was reached."""
        whole = ended and self.limit is None and (not self._network or self._reader.segments is not None)
        found = self._reader.findings(self._declared if whole else None, told=self._network)
        if self._timeline.repaired:
            found.append(f"timestamps that did not increase were moved: {self._timeline.repaired}")
        self.warnings += [f"{self.uri!r}: {finding}" for finding in found]

    def _upright(self, pictures: Iterable[Timed]) -> Iterator[Timed]:
        rotation: int | None = None
        turn: Filters = ()
        for picture, repaired in pictures:
            if picture.rotation != rotation:
                rotation, turn = picture.rotation, turn_of(picture)
                turned = Chain(turn)
                self._sideways = any(name == "transpose" for name, _ in turn)
            yield turned(picture) if turn else picture, repaired

    def _timed(self, pictures: Iterable[Timed]) -> Iterator[Frame]:
        """Give every picture its pts. Those before time zero have none: they are counted back."""
        early: list[Timed] = []
        waiting = not self._untimed
        for picture, repaired in pictures:
            waiting = waiting and picture.pts is None and len(early) < _EARLY_LIMIT
            if waiting:
                early.append((picture, repaired))
                continue
            yield from self._placed_early(early, picture.pts)
            early = []
            yield self._frame(picture, picture.pts, repaired)
        yield from self._placed_early(early, None)

    def _placed_early(self, early: list[Timed], pts: int | None) -> Iterator[Frame]:
        places = self._timeline.before(pts, len(early)) if pts is not None else [None] * len(early)
        for (picture, repaired), place in zip(early, places, strict=True):
            yield self._frame(picture, place, repaired)

    def _frame(self, picture: av.VideoFrame, pts: int | None, repaired: bool) -> Frame:
        picture.pts = self._timeline.place(pts)
        picture.time_base = self._time_base
        name = self._path.name if self.stills and self._path else None
        return Frame(picture, time.monotonic(), repaired, name)

    def close(self) -> None:
        """Close the file or the connection; whoever goes on iterating finds the end."""
        self._reader.close()
        self._frames = iter(())  # it holds this source: memory would wait for the garbage collector
        self._container.close()
