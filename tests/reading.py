"""A source read to its end in one call."""

from __future__ import annotations

from pathlib import Path

from streamseg.frame import Frame
from streamseg.sources import open_source


def read(uri: Path | str, **options: object) -> tuple[list[Frame], list[str]]:
    """Read a source to its end: its frames and its warnings."""
    with open_source(str(uri), **options) as source:  # type: ignore[arg-type]
        return list(source), source.warnings
