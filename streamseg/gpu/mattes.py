"""A recipe's matte operations on the card, as compositors/operations.py and mattes.py do them on the CPU."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.compositors.operations import Trace, Traces
from streamseg.effects import Echo, Feather, Invert, MatteOperation, Outline, Threshold
from streamseg.gpu.jobs import ALPHA, Record, struct
from streamseg.gpu.slot import Slot
from streamseg.mattes import band

Table = NDArray[np.uint8]

_IDS = np.arange(256)


@dataclass(frozen=True, slots=True)
class CardAlpha:
    """A matte on the card: (h, w) codes without padding."""

    address: int
    width: int
    height: int

    @property
    def size(self) -> tuple[int, int]:
        """(w, h)."""
        return self.width, self.height

    def record(self) -> Record:
        """As kernels take it."""
        return struct(ALPHA, data=self.address, width=self.width, height=self.height)


class CardOperations:
    """A recipe's operations, in order. Keeps the echo of earlier mattes, in the slot's memory."""

    def __init__(self, operations: Sequence[MatteOperation]) -> None:
        self._operations = operations
        self._trails = {echo: CardTrail(echo) for echo in operations if isinstance(echo, Echo)}

    def __call__(self, slot: Slot, alpha: CardAlpha, size: tuple[int, int], time: Fraction) -> CardAlpha:
        """Return the matte for a frame of `size` (W, H) at `time` (seconds)."""
        for index, operation in enumerate(self._operations):
            step = Step(slot, f"operation {index}")
            match operation:
                case Invert():
                    alpha = step.mapped(alpha, (255 - _IDS).astype(np.uint8))
                case Echo():
                    alpha = self._trails[operation](step, alpha, time)
                case Threshold(level):
                    alpha = step.smoothed(step.mapped(step.resized(alpha, size), _cut(level * 255)))
                case Feather(radius) if radius > 0:
                    alpha = step.blurred(step.resized(alpha, size), radius / 2)
                case Feather():
                    alpha = step.resized(alpha, size)
                case Outline(width):
                    alpha = step.outlined(step.resized(alpha, size), max(1.0, width * size[1] / 1080))
        return alpha

    def reset(self) -> None:
        """Forget the echo."""
        for trail in self._trails.values():
            trail.reset()

    def traces(self, slot: Slot) -> Traces:
        """The echo, for operations elsewhere; waits."""
        return {
            echo: trace for echo, trail in self._trails.items() if (trace := trail.trace(slot)) is not None
        }

    def recall(self, slot: Slot, traces: Traces) -> None:
        """Queue the echo of operations elsewhere, to go on with it."""
        for index, operation in enumerate(self._operations):
            if isinstance(operation, Echo) and operation in traces:
                self._trails[operation].recall(Step(slot, f"operation {index}"), traces[operation])


class Step:
    """What one operation queues; its buffers have its name before theirs."""

    def __init__(self, slot: Slot, name: str) -> None:
        self.slot, self._name = slot, name

    def named(self, part: str) -> str:
        """The name of one of its buffers."""
        return f"{self._name} {part}"

    def codes(self, part: str, size: tuple[int, int]) -> CardAlpha:
        """A matte of `size` (w, h) to be filled."""
        return CardAlpha(self.slot.memory(self.named(part), size[0] * size[1]), *size)

    def mapped(self, alpha: CardAlpha, table: Table, part: str = "mapped") -> CardAlpha:
        """Every code looked up in a (256,) table."""
        made = self.codes(part, alpha.size)
        self.slot.launch(
            "look_up",
            alpha.size,
            source=alpha.address,
            to=made.address,
            table=self.slot.table(self.named(f"{part} table"), table),
            width=alpha.width,
            height=alpha.height,
            linesize=alpha.width,
            across=1,
            down=1,
        )
        return made

    def resized(self, alpha: CardAlpha, size: tuple[int, int], part: str = "resized") -> CardAlpha:
        """At another size, bilinearly."""
        return alpha if alpha.size == size else self._made("resize_codes", alpha, size, part)

    def smoothed(self, alpha: CardAlpha) -> CardAlpha:
        """A hard edge made soft by a pixel."""
        return self._made("smooth_codes", alpha, alpha.size, "smoothed")

    def blurred(self, alpha: CardAlpha, sigma: float) -> CardAlpha:
        """Blurred by a Gaussian of `sigma` pixels, wide ones on a smaller copy."""
        small = alpha
        while sigma > 2 and min(small.size) > 1:
            half = (small.width + 1) // 2, (small.height + 1) // 2
            small = self._made("average_codes", small, half, f"half of {small.width}x{small.height}")
            sigma /= 2
        if small is not alpha:
            sigma = math.sqrt(sigma * sigma - 0.25)
        return self.resized(self._gauss(small, sigma), alpha.size, "enlarged")

    def outlined(self, alpha: CardAlpha, width: float) -> CardAlpha:
        """The band of `width` pixels around the contour."""
        sigma = max(width / 2, 1.0)
        hard = self.mapped(alpha, _cut(127), "hard")
        return self.mapped(self.blurred(hard, sigma), band(width, sigma), "band")

    def _gauss(self, alpha: CardAlpha, sigma: float) -> CardAlpha:
        kernel = fixed_gaussian(sigma)
        made = self.codes("blurred", alpha.size)
        fields = {
            "codes": alpha.address,
            "between": self.slot.memory(self.named("between"), 2 * alpha.width * alpha.height),
            "to": made.address,
            "kernel": self.slot.table(self.named("kernel"), kernel),
            "reach": len(kernel) // 2,
            "width": alpha.width,
            "height": alpha.height,
        }
        self.slot.launch("gauss_across", alpha.size, **fields)
        self.slot.launch("gauss_down", alpha.size, **fields)
        return made

    def _made(self, kernel: str, alpha: CardAlpha, size: tuple[int, int], part: str) -> CardAlpha:
        made = self.codes(part, size)
        self.slot.launch(
            kernel,
            size,
            source=alpha.address,
            to=made.address,
            width=alpha.width,
            height=alpha.height,
            columns=size[0],
            rows=size[1],
        )
        return made


class CardTrail:
    """The mattes of earlier moments, fading by the clock: as compositors/operations.py has it."""

    def __init__(self, echo: Echo) -> None:
        self._echo = echo
        self._past: CardAlpha | None = None
        self._turn = 0
        self._time = Fraction(0)

    def __call__(self, step: Step, alpha: CardAlpha, time: Fraction) -> CardAlpha:
        """Return the larger of the matte and the trace of those before it."""
        past = self._past if time >= self._time else None
        # Two buffers take turns: neighbours of a trace of another size are read while the new one is written.
        self._turn = 1 - self._turn
        size = 4 * alpha.width * alpha.height
        trace = step.slot.memory(step.named(f"trace {self._turn}"), size)
        if past is None:
            step.slot.memory(step.named(f"trace {1 - self._turn}"), size)
        made = step.codes("echoed", alpha.size)
        step.slot.launch(
            "echo",
            alpha.size,
            alpha=alpha.address,
            past=past.address if past else 0,
            trace=trace,
            to=made.address,
            fade=0.5 ** (float(time - self._time) / self._echo.half_life) if past else 0.0,
            strength=self._echo.strength,
            width=alpha.width,
            height=alpha.height,
            past_width=past.width if past else 0,
            past_height=past.height if past else 0,
        )
        self._past, self._time = CardAlpha(trace, *alpha.size), time
        return made

    def trace(self, slot: Slot) -> Trace | None:
        """What is left of earlier mattes; waits."""
        past = self._past
        if past is None:
            return None
        codes = slot.download("trace", past.address, 4 * past.width * past.height)
        slot.wait()
        return Trace(np.array(codes).view(np.float32).reshape(past.height, past.width), self._time)

    def recall(self, step: Step, trace: Trace) -> None:
        """Queue what is left of earlier mattes."""
        height, width = trace.codes.shape
        (address,) = step.slot.upload(step.named(f"trace {self._turn}"), [trace.codes])
        self._past, self._time = CardAlpha(address, width, height), trace.time

    def reset(self) -> None:
        """Forget the past."""
        self._past = None


def fixed_gaussian(sigma: float) -> NDArray[np.uint16]:
    """(n,) weights of a Gaussian in 1/256 that add up to 256, as OpenCV takes them for 8-bit pictures.

    What rounding one weight takes away is given to the next (getGaussianKernelFixedPoint_ED in its sources).
    """
    count = round(6 * sigma + 1) | 1
    weights = cv2.getGaussianKernel(count, sigma, cv2.CV_64F).ravel() * 256
    half, error = [], 0.0
    for weight in weights[: count // 2]:
        half.append(round(weight + error))
        error += weight - half[-1]
    return np.array([*half, 256 - 2 * sum(half), *half[::-1]], np.uint16)


def _cut(level: float) -> Table:
    """255 above a level, else 0."""
    return np.where(level < _IDS, 255, 0).astype(np.uint8)
