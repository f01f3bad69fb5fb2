"""Compositors paint what a recipe says. `open_compositor(recipe)` returns one; libav.py is for the CPU."""

from __future__ import annotations

from collections.abc import Sequence

from streamseg.compositors.base import Compositor
from streamseg.effects import Recipe

__all__ = ["Compositor", "open_compositor"]


def open_compositor(
    recipe: Recipe, *, classes: Sequence[str] = (), foreground: Sequence[str] = ()
) -> Compositor:
    """Return a compositor for `recipe`; the caller closes it.

    `classes` are the names of all classes of the network in the order of their ids (none: background and
    person), `foreground` those chosen (none: all but "background"). Raises UsageError for an unknown class,
    and UsageError or SourceError for a background that cannot be opened.
    """
    from streamseg.compositors.libav import LibavCompositor

    return LibavCompositor(recipe, classes=classes or ("background", "person"), foreground=foreground)
