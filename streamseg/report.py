"""The run report: what a run did, summed up when it has ended."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from streamseg.control import Control
from streamseg.fanout import notes_of
from streamseg.sinks.base import Sink
from streamseg.sources.base import Source
from streamseg.stats import Quantiles, Stats, peak_rss_mb


@dataclass(kw_only=True)
class Report:
    """What a run did, as `--report` writes it; DESIGN.md's field names."""

    source: str
    sinks: list[str]
    model: str
    runtime: str
    precision: str | None
    effect: str
    frames_in: int
    frames_out: int
    frames_dropped: int
    sinks_dropped: list[int]
    frames_repaired: int
    frames_failed: int
    frames_absent: int
    duration_s: float
    wall_s: float
    fps: float
    first_frame_s: float | None
    latency_ms: dict[str, float | None]
    stage_ms: dict[str, dict[str, float | None]]
    pts_exact: bool
    audio: str
    av_offset_ms: float | None
    peak_rss_mb: float | None
    reconnects: int
    failures: list[str]
    sinks_failed: list[str]
    notes: list[str]
    interrupted: bool

    def to_json(self) -> str:
        """Return the report as JSON, one field a line."""
        return json.dumps(asdict(self), indent=2) + "\n"

    def save(self, path: str | Path) -> None:
        """Write the JSON to `path`, whole or not at all."""
        target = Path(path)
        partial = target.with_name(f".{target.name[:40]}.partial-{os.getpid()}")
        try:
            partial.write_text(self.to_json(), encoding="utf-8")
            partial.replace(target)
        except OSError:
            partial.unlink(missing_ok=True)
            raise


def report_of(source: Source, control: Control, sinks: Sequence[Sink], stats: Stats) -> Report:
    """Sum a run up that has ended, well or not."""
    sounds = {sink.audio for sink in sinks}
    segmenters = control.segmenters
    shifts = [sink.av_offset_ms for sink in sinks if sink.av_offset_ms is not None]
    latency = stats.latency
    return Report(
        source=source.uri,
        sinks=[sink.uri for sink in sinks],
        model=_then(segmenter.card.name for segmenter in segmenters),
        runtime=_then(segmenter.runtime for segmenter in segmenters),
        precision=_then(segmenter.precision for segmenter in segmenters if segmenter.precision) or None,
        effect=control.effect,
        frames_in=stats.frames_in,
        frames_out=stats.frames_out,
        frames_dropped=stats.frames_dropped,
        sinks_dropped=[sink.dropped for sink in sinks],
        frames_repaired=stats.frames_repaired,
        frames_failed=stats.frames_failed,
        frames_absent=stats.frames_absent,
        duration_s=round(stats.position, 6),
        wall_s=round(stats.wall, 3),
        fps=round(stats.fps, 2),
        first_frame_s=None if stats.first_frame is None else round(stats.first_frame - stats.started, 3),
        latency_ms={**_milliseconds(latency, 50, 95, 99), "max": latency.largest_milliseconds},
        stage_ms={stage: _milliseconds(times, 50, 95) for stage, times in stats.stages.items()},
        pts_exact=all(sink.pts_exact for sink in sinks),
        audio=next((kind for kind in ("copied", "encoded") if kind in sounds), "none"),
        av_offset_ms=max(shifts, key=abs, default=None),
        peak_rss_mb=peak_rss_mb(),
        reconnects=source.reconnects + sum(sink.reconnects for sink in sinks),
        failures=stats.failures,
        sinks_failed=stats.sinks_failed,
        notes=[*source.warnings, *notes_of(sinks)],
        interrupted=control.stopped,
    )


def _then(names: Iterable[str]) -> str:
    """Those used, in turn, each once."""
    return ", then ".join(dict.fromkeys(names))


def _milliseconds(times: Quantiles, *percents: int) -> dict[str, float | None]:
    return {f"p{percent}": times.milliseconds(percent / 100) for percent in percents}
