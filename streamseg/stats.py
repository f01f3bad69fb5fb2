"""What a run measures while it goes on: stage times, latency, drops, memory."""

from __future__ import annotations

import math
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from streamseg.recent import Recent


class Quantiles:
    """Quantiles of any number of durations in constant memory: logarithmic bins 2 % wide, from 1 microsecond
    up."""

    _BASE = 1.02
    _SMALLEST = 1e-6

    def __init__(self) -> None:
        self._bins: Counter[int] = Counter()
        self._largest = 0.0
        self.count = 0
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self._bins[round(math.log(max(seconds, self._SMALLEST) / self._SMALLEST, self._BASE))] += 1
        self._largest = max(self._largest, seconds)
        self.count += 1
        self.total += seconds

    def milliseconds(self, quantile: float) -> float | None:
        """Return the duration that a share `quantile` (0..1] of all stayed below, within 1 %; None without
        any."""
        rank = quantile * self.count
        seen = 0
        for index in sorted(self._bins):
            seen += self._bins[index]
            if seen >= rank:
                return round(min(self._SMALLEST * self._BASE**index, self._largest) * 1000, 3)
        return None

    @property
    def largest_milliseconds(self) -> float | None:
        """The longest duration, exactly."""
        return round(self._largest * 1000, 3) if self.count else None


@dataclass
class Stats:
    """Counts and times of a run in progress. Each stage writes its own entries, so no lock is needed."""

    started: float = field(default_factory=time.monotonic)
    first_frame: float | None = None
    frames_in: int = 0
    frames_out: int = 0
    frames_dropped: int = 0
    frames_repaired: int = 0
    frames_failed: int = 0
    frames_left_out: int = 0
    """Dropped on purpose, at the source: half the rate is easier."""
    frames_absent: int = 0
    """Made while a source had no input."""
    failures: list[str] = field(default_factory=list)
    sinks_failed: list[str] = field(default_factory=list)
    """Those of the failures that ended one of several sinks."""
    sinks_lost: list[str] = field(default_factory=list)
    """URIs of these sinks."""
    stages: dict[str, Quantiles] = field(default_factory=dict)
    latency: Quantiles = field(default_factory=Quantiles)
    position: float = 0.0
    """Seconds of the stream that have reached the sinks."""
    recent_stages: dict[str, Recent] = field(default_factory=dict)
    recent_latency: Recent = field(default_factory=Recent)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Measure one pass of a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            took = time.perf_counter() - start
            self.stages.setdefault(stage, Quantiles()).add(took)
            self.recent_stages.setdefault(stage, Recent()).add(took)

    def shown(self, latency: float) -> None:
        """Count a frame that has reached the sinks, so many seconds after it was captured."""
        self.frames_out += 1
        self.latency.add(latency)
        self.recent_latency.add(latency)

    def figures(self) -> dict[str, object]:
        """Return how the run goes, ready for JSON: rates and times of the last seconds, counts of all."""
        return {
            "fps": self.recent_latency.rate(),
            "latency_ms": self.recent_latency.milliseconds(0.5, 0.95, 0.99),
            "stage_ms": {
                stage: recent.milliseconds(0.5, 0.95) for stage, recent in self.recent_stages.copy().items()
            },
            "frames_in": self.frames_in,
            "frames_out": self.frames_out,
            "frames_dropped": self.frames_dropped,
            "frames_failed": self.frames_failed,
            "position_s": round(self.position, 3),
            "wall_s": round(self.wall, 3),
            "failures": list(self.failures),
        }

    def fail(self, what: str) -> None:
        """Note a failure that the run survived; the first of each kind is kept."""
        if what not in self.failures and len(self.failures) < 20:
            self.failures.append(what)

    @property
    def wall(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self.started

    @property
    def fps(self) -> float:
        """Finished frames per second since the first one."""
        if self.first_frame is None or self.frames_out < 2:
            return 0.0
        return (self.frames_out - 1) / max(time.monotonic() - self.first_frame, 1e-9)


def peak_rss_mb() -> float | None:
    """Return the most memory this process has held, in MB; None where the system does not say (Windows)."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage counts what the parent held when it started this process, too
        peaks = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        if peaks:
            return round(int(peaks[0]) * 1024 / 1e6, 1)
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1e6 if sys.platform == "darwin" else 1e3), 1)
