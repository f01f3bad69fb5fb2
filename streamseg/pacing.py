"""When frames are shown: not while paused, not before they are due; a still, as long as somebody watches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from streamseg.control import Control
from streamseg.frame import Frame

_GLANCE = 0.02
"""Seconds between looks at the keyboard while a frame is not yet due."""


def paced(
    frames: Iterable[Frame],
    control: Control,
    idle: Callable[[], None],
    *,
    wait: bool,
    miss: Callable[[], None] = lambda: None,
) -> Iterator[Frame]:
    """The same frames, held back while paused and, if `wait`, until each is due by the clock.

    Panic outdoes a pause: what is shown has to go. `idle` is called now and then meanwhile, `miss` while
    paused.
    """
    late = 0.0
    zero: float | None = None
    for frame in frames:
        while control.paused and not control.panic and not control.stopped:
            before = time.monotonic()
            time.sleep(_GLANCE)
            idle()
            miss()
            late += time.monotonic() - before
        if wait:
            now = time.monotonic()
            due = float(frame.time) + late
            zero = now - due if zero is None else zero
            while (left := zero + due - time.monotonic()) > 0 and not control.stopped:
                time.sleep(min(left, _GLANCE))
                idle()
        yield frame


def lingering(stills: Iterable[Frame], control: Control, watched: Callable[[], bool]) -> Iterator[Frame]:
    """The same stills; then, while somebody watches, the last one again for each change."""
    last = None
    for last in stills:
        yield last
    control.lingering, shown = True, _asked_for(control)
    while last is not None and watched():
        if shown != _asked_for(control):
            shown = _asked_for(control)
            yield replace(last, again=True)
        time.sleep(_GLANCE)


def _asked_for(control: Control) -> tuple[int, bool, bool]:
    return control.changes, control.panic, control.frozen
