"""Encoders do not get to come before everything else on the machine."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from streamseg.frame import Tracks, VideoFormat
from streamseg.sinks import Encoding, open_sink
from streamseg.sinks.schedule import schedule_kept
from tests.clips import TICKS
from tests.sinking import made_frames

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_setscheduler"), reason="Linux only")


def policies() -> set[int]:
    """The scheduling policies of all threads of this process."""
    return {os.sched_getscheduler(int(thread.name)) for thread in Path("/proc/self/task").iterdir()}


def test_av1_leaves_every_thread_its_schedule(tmp_path: Path) -> None:
    """SVT-AV1 makes itself and its caller realtime where root runs it: not here."""
    before = policies()
    frames = made_frames([0, 3000, 6000])
    sink = open_sink(str(tmp_path / "out.mkv"), encoding=Encoding(codec="av1"))
    sink.start(VideoFormat(*frames[0].size, TICKS), frames[0], Tracks())
    for frame in frames:
        sink.write(frame)
    during = policies()
    sink.close()
    assert (during, policies()) == (before, before)


def test_what_was_changed_is_changed_back() -> None:
    """The thread that enters keeps its policy, one started meanwhile gets it; those ended are left alone."""
    go_on = threading.Event()
    own = os.sched_getscheduler(0)
    other = os.SCHED_BATCH if own != os.SCHED_BATCH else os.SCHED_OTHER
    with schedule_kept():
        os.sched_setscheduler(0, other, os.sched_param(0))
        started = threading.Thread(target=go_on.wait)  # has its starter's policy
        started.start()
        assert started.native_id is not None
        assert os.sched_getscheduler(started.native_id) == other
    try:
        assert (os.sched_getscheduler(0), os.sched_getscheduler(started.native_id)) == (own, own)
    finally:
        go_on.set()
        started.join()
