"""A source yields frames; a segmenter turns each frame into a matte (and, for multi-class models, a label
map: the argmax of every pixel's class vector); an effect says what the viewer sees; a compositor paints it; a
sink shows, writes or streams it. Each stage is an ordinary function or iterator; `pipeline.py` puts one
thread boundary between neighbours. A GPU changes who does the work, never what is computed.

    source ──> segmenter (runtime) ──> matte, labels ──> compositor(effect) ──> sink(s)
       └─────────── the frame itself, in its native pixel format ──────────┘

The whole of it in Python:

    import streamseg

    with (
        streamseg.open_source("talk.mp4") as source,
        streamseg.Segmenter("selfie") as segmenter,
        streamseg.open_compositor(streamseg.effect("replace", background="beach.jpg")) as compositor,
    ):
        report = streamseg.run(source, segmenter, compositor, [streamseg.open_sink("out.mp4")])
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streamseg.compositors import Compositor, open_compositor
    from streamseg.control import Control
    from streamseg.effects import EFFECTS, Recipe, effect
    from streamseg.errors import (
        ModelError,
        RuntimeFailure,
        SinkClosed,
        SinkError,
        SourceError,
        StreamsegError,
        UsageError,
    )
    from streamseg.frame import Frame, LabelMap, Matte, Tracks, VideoFormat
    from streamseg.models import ModelCard, available_models, find_model, import_model
    from streamseg.pipeline import run
    from streamseg.report import Report
    from streamseg.segmenter import Segmenter
    from streamseg.settings import Settings
    from streamseg.sinks import Encoding, Sink, open_sink
    from streamseg.sources import Source, open_source
    from streamseg.stats import Stats

__version__ = "0.1.0"

_HOME = {
    "Compositor": "compositors",
    "open_compositor": "compositors",
    "Control": "control",
    "EFFECTS": "effects",
    "Recipe": "effects",
    "effect": "effects",
    "ModelError": "errors",
    "RuntimeFailure": "errors",
    "SinkClosed": "errors",
    "SinkError": "errors",
    "SourceError": "errors",
    "StreamsegError": "errors",
    "UsageError": "errors",
    "Frame": "frame",
    "LabelMap": "frame",
    "Matte": "frame",
    "Tracks": "frame",
    "VideoFormat": "frame",
    "ModelCard": "models",
    "available_models": "models",
    "find_model": "models",
    "import_model": "models",
    "run": "pipeline",
    "Segmenter": "segmenter",
    "Settings": "settings",
    "Encoding": "sinks",
    "Sink": "sinks",
    "open_sink": "sinks",
    "Source": "sources",
    "open_source": "sources",
    "Report": "report",
    "Stats": "stats",
}
"""Where each public name lives; a module is imported when one of its names is first used, so that help comes
at once."""

__all__ = [
    "EFFECTS",
    "Compositor",
    "Control",
    "Encoding",
    "Frame",
    "LabelMap",
    "Matte",
    "ModelCard",
    "ModelError",
    "Recipe",
    "Report",
    "RuntimeFailure",
    "Segmenter",
    "Settings",
    "Sink",
    "SinkClosed",
    "SinkError",
    "Source",
    "SourceError",
    "Stats",
    "StreamsegError",
    "Tracks",
    "UsageError",
    "VideoFormat",
    "available_models",
    "effect",
    "find_model",
    "import_model",
    "open_compositor",
    "open_sink",
    "open_source",
    "run",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'streamseg' has no attribute {name!r}")
    value = getattr(import_module(f"streamseg.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
