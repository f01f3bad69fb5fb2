"""A run of doubles through the null runtime, in one call."""

from __future__ import annotations

from collections.abc import Callable

import streamseg
from streamseg.report import Report
from streamseg.stats import Stats
from tests.doubles import ListSink, ListSource


def run(
    source: ListSource,
    *sinks: ListSink,
    effect: str = "silhouette",
    control: streamseg.Control | None = None,
    stats: Stats | None = None,
    watch: Callable[[Stats], None] | None = None,
    spoil: Callable[[streamseg.Segmenter], None] = lambda segmenter: None,
) -> Report:
    """Run with the null runtime."""
    with (
        source,
        streamseg.Segmenter(streamseg.find_model("selfie"), runtime="null") as segmenter,
        streamseg.open_compositor(streamseg.effect(effect)) as compositor,
    ):
        spoil(segmenter)
        return streamseg.run(source, segmenter, compositor, sinks, control=control, stats=stats, watch=watch)
