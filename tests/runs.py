"""A whole run in one call, for tests that look at its outcome."""

from __future__ import annotations

from collections.abc import Callable

import streamseg
from streamseg.report import Report
from streamseg.stats import Stats


def run_uris(
    source: str,
    *sinks: str,
    effect: streamseg.Recipe | None = None,
    encoding: streamseg.Encoding | None = None,
    runtime: str = "null",
    model: str = "selfie",
    control: streamseg.Control | None = None,
    watch: Callable[[Stats], None] | None = None,
) -> Report:
    """Run `source` into every sink."""
    recipe = effect or streamseg.effect("silhouette")
    with (
        streamseg.open_source(source) as opened,
        streamseg.Segmenter(model, runtime=runtime) as segmenter,
        streamseg.open_compositor(
            recipe, classes=segmenter.classes, foreground=segmenter.named
        ) as compositor,
    ):
        outputs = [streamseg.open_sink(sink, encoding=encoding or streamseg.Encoding()) for sink in sinks]
        return streamseg.run(opened, segmenter, compositor, outputs, control=control, watch=watch)


def run_test_pattern(*sinks: str, frames: int = 10) -> Report:
    """Run a small moving figure through the null runtime."""
    return run_uris(f"test:160x120@10,{frames / 10}s", *sinks)
