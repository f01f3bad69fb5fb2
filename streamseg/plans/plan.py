"""What a plan is asked to be, and a plan that was made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from streamseg.errors import UsageError

Precision: TypeAlias = Literal["fp32", "fp16", "int8"]
Size: TypeAlias = tuple[int, int]
Shape: TypeAlias = tuple[int, ...]

MAX_BATCH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanSpec:
    """What a plan should do. Raises UsageError where that is impossible."""

    precision: Precision = "fp16"
    """What layers compute in: `int8` means the convolutions that bear it, the rest in half precision.

    Inputs and outputs are float32 with `fp32`, else float16.
    """
    batch: int = 1
    """Pictures at once: 1 up to this many."""
    sizes: tuple[Size, Size, Size] | None = None
    """Smallest, usual and largest input (w, h) of a network that leaves it open; None: the card's size."""
    workspace_mb: int | None = None
    """GPU memory a layer may use while it computes, in MiB; None: as much as there is."""

    def __post_init__(self) -> None:
        if self.precision not in get_args(Precision):
            raise UsageError(f"no precision {self.precision!r}; known: {', '.join(get_args(Precision))}")
        if not 1 <= self.batch <= MAX_BATCH:
            raise UsageError(f"batch {self.batch!r} is not possible; pass 1 to {MAX_BATCH}")
        if self.sizes and not _ascending(self.sizes):
            raise UsageError(f"sizes {self.sizes!r} are not smallest, usual, largest")
        if self.workspace_mb is not None and self.workspace_mb < 1:
            raise UsageError(f"workspace {self.workspace_mb!r} is not possible; pass MiB, e.g. 1024")


def _ascending(sizes: tuple[Size, Size, Size]) -> bool:
    return all(0 < low <= usual <= high <= 16384 for low, usual, high in zip(*sizes, strict=True))


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """An input or output of a plan."""

    name: str
    dtype: str
    """As numpy names it."""
    shape: Shape
    """-1 where the plan leaves it open."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Shapes of one input that a plan takes."""

    low: Shape
    usual: Shape
    """The one it is fastest for."""
    high: Shape


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan whose bytes are those its sidecar describes."""

    path: Path
    data: bytes
    """Loading it runs code of whoever built it."""
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    profiles: dict[str, Profile]
    """For every input."""
    sidecar: dict[str, object]
    """All that is known of it, as written beside it."""
