"""Ten minutes of RTSP in and RTMP out through twenty outages; before a release.

SOAK_SECONDS and SOAK_OUTAGES shorten it:

    SOAK_SECONDS=60 SOAK_OUTAGES=4 pytest -m slow tests/test_live_soak.py
"""

from __future__ import annotations

import json
import os
import random
import time
from itertools import pairwise
from pathlib import Path

import av
import pytest

from tests.commandline import FAST, process
from tests.flashes import beeps, flashes, make_flashes
from tests.servers import nginx, rtsp_server, wait_for

_SHORTEST_OUTAGE = 2.0
"""Seconds: one until the first attempt, and one in which FFmpeg looks into the stream."""

SECONDS = int(os.environ.get("SOAK_SECONDS", "600"))
OUTAGES = int(os.environ.get("SOAK_OUTAGES", "20"))


@pytest.mark.slow
def test_a_long_run_survives_many_outages(tmp_path: Path) -> None:
    """The server dies at random moments, for random lengths: the run goes on to its end, pts increase, no
    outage is a pause, sound stays within 40 ms of the picture, and memory stays flat."""
    chance = random.Random(4)
    clip = make_flashes(tmp_path / "talk.mkv", SECONDS + 60)
    log, report = tmp_path / "log.txt", tmp_path / "report.json"
    memory: list[int] = []
    with nginx(tmp_path, record=True) as out, rtsp_server(clip) as server, log.open("wb") as said:
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
            server.kill()
            time.sleep(chance.choice([0.0, 0.5, 2.0]))
            server.start()
            count = outage + 1
            wait_for(lambda n=count: log.read_text().count(": reconnected") == n, "reconnection", seconds=60)
        assert program.wait(SECONDS) == 0, log.read_text()
    told = json.loads(report.read_text())
    assert told["reconnects"] == OUTAGES
    assert told["failures"] == []
    assert told["duration_s"] == pytest.approx(SECONDS, abs=2)
    [recorded] = out.recorded.iterdir()
    _check_times(recorded)
    _check_sound(recorded)
    quarter = max(1, len(memory) // 4)
    assert max(memory[-quarter:]) - max(memory[:quarter]) < 10e6, memory


def _check_times(recorded: Path) -> None:
    with av.open(str(recorded)) as container:
        for kind in ("video", "audio"):
            stream = next(each for each in container.streams if each.type == kind)
            container.seek(0)
            times = [float(p.pts * p.time_base) for p in container.demux(stream) if p.pts is not None]
            assert all(one < other for one, other in pairwise(times)), kind
            if kind == "video":
                assert max(other - one for one, other in pairwise(times)) < _SHORTEST_OUTAGE
                assert times[-1] - times[0] == pytest.approx(SECONDS, abs=2)


def _check_sound(recorded: Path) -> None:
    heard = beeps(recorded)
    apart = [min(abs(beep - flash) for beep in heard) for flash in flashes(recorded)]
    together = [each for each in apart if each <= 0.04]
    assert len(together) > SECONDS / 4
    assert len(apart) - len(together) <= OUTAGES, "only flashes that an outage cut in two have no beep"


def _resident(pid: int) -> int:
    """Bytes of memory a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
