"""Ten minutes of RTSP in and RTMP out through twenty outages; before a release.

SOAK_SECONDS and SOAK_OUTAGES shorten it:

    SOAK_SECONDS=60 SOAK_OUTAGES=4 pytest -m slow tests/test_live_soak.py
"""

from __future__ import annotations

import json
import math
import os
import random
import time
from itertools import pairwise
from pathlib import Path

import pytest

from tests.commandline import FAST, process
from tests.flashes import beeps, flashes, make_flashes
from tests.receivers import packets_in
from tests.servers import nginx, rtsp_server, wait_for

_SHORTEST_OUTAGE = 2.0
"""Seconds: one until the first attempt, and one in which FFmpeg looks into the stream."""

SECONDS = int(os.environ.get("SOAK_SECONDS", "600"))
OUTAGES = int(os.environ.get("SOAK_OUTAGES", "20"))


@pytest.mark.slow
@pytest.mark.parametrize("sides", [("in",), ("in", "out")], ids=["the source dies", "source or sink dies"])
def test_a_long_run_survives_many_outages(tmp_path: Path, sides: tuple[str, ...]) -> None:
    """A server dies at random moments, for random lengths: the run goes on to its end, pts increase, no
    outage of the source is a pause, sound stays within 40 ms of the picture, and memory stays flat."""
    chance = random.Random(4)
    clip = make_flashes(tmp_path / "talk.mkv", SECONDS + 60)
    log, report = tmp_path / "log.txt", tmp_path / "report.json"
    memory: list[int] = []
    deaths = dict.fromkeys(sides, 0)
    with nginx(tmp_path, record=True) as out, rtsp_server(clip) as server, log.open("wb") as said:
        servers = {"in": server, "out": out}
        program = process(
            *("run", server.uri, "-o", out.rtmp(), "--effect", "outline", "--duration", SECONDS),
            *("--report", report, *FAST),
            stdout=said,
            stderr=said,
        )
        begin = time.monotonic()
        for outage in range(OUTAGES):
            share = (outage + chance.uniform(0.1, 0.5)) / OUTAGES
            time.sleep(max(0.0, begin + share * SECONDS - time.monotonic()))
            memory.append(_resident(program.pid))
            side = chance.choice(sides)
            deaths[side] += 1
            servers[side].kill()
            time.sleep(chance.choice([0.0, 0.5, 2.0]))
            servers[side].start()
            wait_for(
                lambda side=side: log.read_text().count(_BACK[side]) == deaths[side],
                f"reconnection ({side}, {deaths})",
                seconds=60,
            )
        assert program.wait(SECONDS) == 0, log.read_text()
    told = json.loads(report.read_text())
    assert told["reconnects"] == OUTAGES
    assert told["failures"] == []
    assert told["duration_s"] == pytest.approx(SECONDS, abs=2)
    recordings = sorted(out.recorded.iterdir(), key=lambda path: path.stat().st_mtime)
    assert len(recordings) == 1 + deaths.get("out", 0)
    _check_times(recordings)
    _check_sound(recordings)
    quarter = max(1, len(memory) // 4)
    assert max(memory[-quarter:]) - max(memory[:quarter]) < 10e6, memory


_BACK = {"in": ": reconnected", "out": ": connected again"}
"""What is said of each side."""


def _check_times(recordings: list[Path]) -> None:
    for kind in ("video", "audio"):
        parts = [[float(time) for time, _ in packets_in(recorded, kind)] for recorded in recordings]
        times = [time for part in parts for time in part]
        assert all(one < other for one, other in pairwise(times)), kind
        if kind == "video":
            assert max(other - one for part in parts for one, other in pairwise(part)) < _SHORTEST_OUTAGE
            assert times[-1] - times[0] == pytest.approx(SECONDS, abs=2)


def _check_sound(recordings: list[Path]) -> None:
    apart = []
    for recorded in recordings:
        heard = beeps(recorded)
        apart += [min((abs(beep - flash) for beep in heard), default=math.inf) for flash in flashes(recorded)]
    together = [each for each in apart if each <= 0.04]
    assert len(together) > SECONDS / 4
    assert len(apart) - len(together) <= OUTAGES, "only flashes that an outage cut in two have no beep"


def _resident(pid: int) -> int:
    """Bytes of memory a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
