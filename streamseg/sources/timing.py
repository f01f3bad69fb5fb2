"""Time: pts that increase strictly, tracks that stay together where a stream was spliced, and pace."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any, TypeAlias

import av

from streamseg.frame import Frame

Timed: TypeAlias = tuple[av.VideoFrame, bool]
"""A picture, and whether it repeats the last good one."""

_JUMP = Fraction(1, 10)
"""Seconds a track's dts may go back before that counts as a splice; less is jitter."""

_LEAP = 30.0
"""Seconds by which a broadcast's timestamps may be ahead of the clock at once: a playlist loses segments."""

FURTHEST = 10**10
"""Seconds, 317 years: clocks that count from 1900 or 1970 are nearer to zero; what is further is nonsense."""

_SLICE = 0.2
"""Longest sleep in seconds: somebody may want to stop meanwhile."""


class Timeline:
    """The pts of a video track, in ticks: kept where they increase strictly, else moved a little."""

    def __init__(self, step: Fraction) -> None:
        """`step` is the nominal distance of two frames in ticks, for frames that have no pts."""
        self.repaired = 0
        self._step = step
        self._last: int | None = None
        self._next = Fraction(0)

    def place(self, pts: int | None) -> int:
        """Return the pts of the next frame."""
        if pts is None:
            pts = round(self._next)
            self._next += self._step
        else:
            self._next = pts + self._step
        if self._last is not None and pts <= self._last:
            pts = self._last + 1
            self.repaired += 1
        self._last = pts
        return pts

    def before(self, pts: int, frames: int) -> list[int]:
        """Return the pts of the `frames` frames ahead of `pts`, which came without one."""
        return [round(pts - back * self._step) for back in range(frames, 0, -1)]


class Splices:
    """Where timestamps jump back (streams joined, counters reset) all tracks go on from where they were, and
    so they do where timestamps are beyond any clock.

    Tracks are interleaved, so each jumps at its own packet: the first decides by how much, the others follow.
    """

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        """`clock`: seconds that pass while packets of a broadcast come; where timestamps leap far ahead of
        it, tracks go on from where they were, too. In a file such a leap is a pause."""
        self.count = 0
        """Jumps back found so far."""
        self.leaps = 0
        """Jumps ahead found so far."""
        self.beyond = 0
        """Packets whose timestamps were beyond any clock."""
        self._shifts = [Fraction(0)]
        self._part: dict[int, int] = {}
        self._last: dict[int, Fraction] = {}
        self._end = Fraction(0)
        self._clock = clock
        self._came: dict[int, float] = {}

    def mend(self, packet: av.Packet[Any]) -> None:
        """Shift a packet's timestamps, in place, to where they belong."""
        track, time_base = packet.stream_index, Fraction(packet.time_base)
        ticks = packet.pts if packet.dts is None else packet.dts
        if ticks is not None:
            now = ticks * time_base
            if abs(now + self._shift_of(track)) > FURTHEST:
                self.beyond += 1
                self._enter_next_part(track, now)
            elif packet.dts is not None and now < self._last.get(track, now) - _JUMP:
                self.count += self._enter_next_part(track, now)
            elif packet.dts is not None and self._leapt(track, now):
                self.leaps += self._enter_next_part(track, now)
        if packet.dts is not None:
            self._last[track] = now
            self._end = max(self._end, now + self._shift_of(track) + (packet.duration or 0) * time_base)
        self._move(packet, time_base)

    def _move(self, packet: av.Packet[Any], time_base: Fraction) -> None:
        shift = round(self._shift_of(packet.stream_index) / time_base)
        if shift and packet.dts is not None:
            packet.dts += shift
        if packet.pts is not None and abs((packet.pts + shift) * time_base) > FURTHEST:
            self.beyond += 1
            packet.pts = None  # its dts is sound: the picture comes right after the one before it
        elif shift and packet.pts is not None:
            packet.pts += shift

    def _leapt(self, track: int, now: Fraction) -> bool:
        if self._clock is None:
            return False
        moment = self._clock()
        passed = moment - self._came.get(track, moment)
        self._came[track] = moment
        return now - self._last.get(track, now) > passed + _LEAP

    def _shift_of(self, track: int) -> Fraction:
        return self._shifts[self._part.get(track, 0)]

    def _enter_next_part(self, track: int, now: Fraction) -> bool:
        """Let a track go on from where all were; tell whether it is the first to do so."""
        part = self._part[track] = self._part.get(track, 0) + 1
        first = part == len(self._shifts)
        if first:
            self._shifts.append(self._end - now)
        return first


def swapped_back(pictures: Iterable[Timed]) -> Iterator[Timed]:
    """Give neighbours with swapped pts each other's: some AVI files have them so, their pictures in order.

    Holds one picture back.
    """
    held: Timed | None = None
    last: int | None = None
    for after in pictures:
        if held is not None:
            early, late = held[0].pts, after[0].pts
            if early is not None and late is not None and (last is None or last < late) and late < early:
                held[0].pts, after[0].pts = late, early
            last = held[0].pts
            yield held
        held = after
    if held is not None:
        yield held


def exact_rate(text: str) -> Fraction:
    """Return frames per second exactly; 23.976, 29.97 and 59.94 mean NTSC's n * 1000/1001."""
    rate = Fraction(text)
    ntsc = Fraction(round(rate) * 1000, 1001)
    meant = rate.denominator > 1 and abs(rate - ntsc) < Fraction(1, 200)
    return ntsc if meant else rate.limit_denominator(1001)


def wait_until(moment: float, stopped: Callable[[], bool]) -> bool:
    """Sleep until `moment` on the monotonic clock; return False as soon as `stopped` says so."""
    while not stopped():
        left = moment - time.monotonic()
        if left <= 0:
            return True
        time.sleep(min(left, _SLICE))
    return False


def paced(
    frames: Iterable[Frame], stopped: Callable[[], bool] = lambda: False, *, latest: float = math.inf
) -> Iterator[Frame]:
    """Let frames out in real time by their pts, the first at once, until `stopped` says so; let out is when
    they count as captured. After one that is late by more than `latest` (s) the others wait as long as it."""
    start: tuple[float, Fraction] | None = None
    for frame in frames:
        now = time.monotonic()
        if start is None or now - start[0] - float(frame.time - start[1]) > latest:
            start = (now, frame.time)
        due = start[0] + float(frame.time - start[1])
        if not wait_until(due, stopped):
            return
        yield replace(frame, captured=max(due, now))
