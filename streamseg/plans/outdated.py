"""Plans whose place another has taken."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from streamseg.plans.order import Order

_SAME = ("model", "precision", "batch", "sizes", "workspace_mb", "package", "gpu", "compute_capability")
"""Facts of a sidecar that a plan shares with the one it takes the place of.

What else differs (driver, version of the package, weights, calibration) was updated, and nobody goes back.
Another GPU or package may be used in turn.
"""


def sidecar_of(path: Path) -> Path:
    """Return where the sidecar of a plan lies."""
    return path.with_suffix(".json")


def remove_outdated(new: Path, order: Order) -> None:
    """Remove the plans that `new`, built to `order`, has taken the place of; only while no other is written.

    The sidecar goes first: without it a plan does not count. What cannot be removed stays.
    """
    facts = {**order.wanted, **order.surroundings}
    for sidecar in new.parent.glob(f"{order.stem}*.json"):
        if sidecar == sidecar_of(new):
            continue
        with suppress(OSError, ValueError, AttributeError):
            told = json.loads(sidecar.read_bytes())
            if all(told.get(key) == facts[key] for key in _SAME):
                sidecar.unlink()
                sidecar.with_suffix(".plan").unlink(missing_ok=True)
    timings = timings_of(new.parent, order)
    for other in new.parent.glob(f"{order.package.name}[0-9]*-{order.target}.timing"):
        if other != timings:
            with suppress(OSError):
                other.unlink()


def timings_of(folder: Path, order: Order) -> Path:
    """Return where the timings of kernels lie that a build leaves for the next."""
    return folder / f"{order.package.name}{order.package.version}-{order.target}.timing"


def kept_bytes(folder: Path) -> tuple[int, int]:
    """Return how many plans lie in a folder, and how many bytes they take."""
    sizes = []
    for path in folder.glob("*.plan"):
        with suppress(OSError):  # another process has removed it
            sizes.append(path.stat().st_size)
    return len(sizes), sum(sizes)
