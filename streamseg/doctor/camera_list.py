"""The cameras there are, and what each can do."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import groupby

from streamseg.doctor.fact import Fact
from streamseg.errors import pip_extra, reason

_CONTAINER = "plug one in; in a container, hand it over: docker run --device /dev/video0 ..."


def camera_facts() -> Iterator[Fact]:
    """Yield each camera with its names, then a line for each of its pixel formats. Nothing here raises."""
    try:
        from streamseg.sources.cameras import list_cameras, locked, unlock
    except ImportError as error:
        yield Fact(what="cameras", found=f"cannot look for any: {reason(error)}", state="bad")
        return
    found = list_cameras()
    if not found:
        fix = _CONTAINER if sys.platform == "linux" else "plug one in, and let this program use cameras"
        yield Fact(what="cameras", found="none", state="bad", fix=fix)
    for camera in found:
        if locked(camera):
            yield Fact(what=camera.uri, found=f"{camera.name}: no permission", state="bad", fix=unlock())
            continue
        names = [camera.name or _nameless(), *(f"/dev/v4l/by-id/{link}" for link in camera.links)]
        yield Fact(what=camera.uri, found=", ".join(names))
        yield from _formats(camera.uri)


def _nameless() -> str:
    return "no name" if sys.platform == "linux" else f"its name is known after {pip_extra('cameras')}"


def _formats(uri: str) -> Iterator[Fact]:
    from streamseg.sources.v4l2 import Mode, modes

    def told(offered: Sequence[Mode]) -> str:
        return ", ".join(
            f"{mode.size[0]}x{mode.size[1]}" + "".join(f" {float(rate):.4g}" for rate in mode.rates)
            for mode in offered
        )

    if not uri.startswith("/"):
        return  # only V4L2 can be asked
    try:
        offered = modes(uri)
    except OSError as error:
        yield Fact(what="  formats", found=f"cannot be asked: {reason(error)}", state="not needed")
        return
    for fourcc, group in groupby(offered, lambda mode: mode.fourcc):
        yield Fact(what=f"  {fourcc}", found=told(list(group)))
