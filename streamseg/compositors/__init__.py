"""Compositors paint what a recipe says. `open_compositor(recipe)` returns one.

libav.py is for the CPU, cuda.py for the GPU, near.py takes whichever a frame is at.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

from streamseg.compositors.base import Compositor
from streamseg.effects import Recipe
from streamseg.errors import UsageError

__all__ = ["Compositor", "DeviceName", "open_compositor"]

DeviceName: TypeAlias = Literal["auto", "cpu", "cuda"]
"""What paints; `auto`: the GPU what a network there has left there, the CPU everything else."""


def open_compositor(
    recipe: Recipe,
    *,
    classes: Sequence[str] = (),
    foreground: Sequence[str] = (),
    device: DeviceName = "auto",
) -> Compositor:
    """Return a compositor for `recipe`; the caller closes it.

    `classes` are the names of all classes of the network in the order of their ids (none: background and
    person), `foreground` those chosen (none: all but "background"). Raises UsageError for an unknown class,
    and UsageError or SourceError for a background that cannot be opened. With `device` "cuda" also UsageError
    where PyCUDA or NVRTC is missing, RuntimeFailure where the GPU cannot be used.
    """
    known = classes or ("background", "person")
    if device == "cuda":
        from streamseg.compositors.cuda import CudaCompositor

        return CudaCompositor(recipe, classes=known, foreground=foreground)
    if device not in get_args(DeviceName):
        raise UsageError(f"no device {device!r}; known: {', '.join(get_args(DeviceName))}")
    if device == "auto":
        from streamseg.compositors.near import NearCompositor

        return NearCompositor(recipe, classes=known, foreground=foreground)
    from streamseg.compositors.libav import LibavCompositor

    return LibavCompositor(recipe, classes=known, foreground=foreground)
