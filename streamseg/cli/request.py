"""What was asked on the command line, and the things it opens."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from streamseg.effects import Recipe, effect
from streamseg.errors import UsageError
from streamseg.sinks import Encoding, Sink, open_sink
from streamseg.sources import Source, open_source


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked on the command line."""

    source: str | None
    sinks: tuple[str, ...]
    live: bool | None
    duration: float | None
    size: tuple[int, int] | None
    fps: float | None
    effect: str
    background: str | None
    background_fit: Literal["crop", "pad", "stretch"]
    color: str | None
    classes: tuple[str, ...] | None
    invert: bool
    threshold: float | None
    feather: float
    outline_width: float | None
    blur_strength: float | None
    model: str
    runtime: str
    smooth: float
    threads: int | None
    codec: str | None
    crf: int | None
    preset: str | None
    bitrate: int | None
    overwrite: bool
    report: str | None
    quiet: bool

    def recipe(self) -> Recipe:
        """Return the effect asked for; raises UsageError."""
        return effect(
            self.effect,
            background=self.background,
            color=self.color,
            invert=self.invert,
            threshold=self.threshold,
            feather=self.feather,
            outline_width=self.outline_width,
            blur_strength=self.blur_strength,
            background_fit=self.background_fit,
        )

    def open_source(self) -> Source:
        """Open what is to be read."""
        uri = self.source or default_source()
        return open_source(uri, live=self.live, duration=self.duration, size=self.size, fps=self.fps)

    def open_sinks(self, source: Source) -> list[Sink]:
        """Open what is to be written; no sink may write what the source reads or another sink writes."""
        encoding = Encoding(codec=self.codec, crf=self.crf, preset=self.preset, bitrate=self.bitrate)
        sinks: list[Sink] = []
        uris = self.sinks or (default_sink(),)
        for index, uri in enumerate(uris):
            if any(same_file(uri, other) for other in uris[:index]):
                raise UsageError(f"output {uri!r} is given twice; give each -o a name of its own")
            sinks.append(open_sink(uri, encoding=encoding, overwrite=self.overwrite, inputs=source.paths))
        return sinks


def same_file(one: str, other: str) -> bool:
    """Whether two URIs mean the same file."""
    return one == other or (
        _is_path(one) and _is_path(other) and Path(one).resolve() == Path(other).resolve()
    )


def _is_path(uri: str) -> bool:
    return uri != "-" and not re.match(r"\w{2,}:", uri)


def default_source() -> str:
    """Return the first camera; raises UsageError where there is none."""


def default_sink() -> str:
    """Return the window; raises UsageError where there is no screen."""
