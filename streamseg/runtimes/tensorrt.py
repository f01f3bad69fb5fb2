"""TensorRT on the GPU: a plan is built for it first, unless there is one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from streamseg import plans
from streamseg.errors import GpuFailure, ModelError
from streamseg.gpu import driver
from streamseg.gpu.device import Device, Steps
from streamseg.gpu.driver import Gpu
from streamseg.gpu.engine import Engine, PlanRefused
from streamseg.plans import package
from streamseg.runtimes.base import Runtime, Tensors, blank
from streamseg.sight import Sight

if TYPE_CHECKING:
    from streamseg.gpu.sight import CardSight
    from streamseg.models.card import ModelCard
    from streamseg.plans import Precision


class TensorrtRuntime(Runtime):
    """A network on the first GPU. Called with arrays, it uploads and downloads; `sight` leaves frames there.

    States of a recurrent network stay on the card.
    """

    name = "tensorrt"
    keeps_states = True

    def __init__(
        self,
        card: ModelCard,
        threads: int | None = None,  # noqa: ARG002  (the card has its own)
        say: Callable[[str], None] = lambda _line: None,
        precision: Precision = "fp16",
        *,
        plan: plans.Plan | None = None,
    ) -> None:
        """Load a plan and run it once: `plan`, which is of that precision, or else the one that fits.

        That is built where there is none, or where it does not load; `say` is told in a line why. Raises
        ModelError: no GPU, nothing to build with, or a plan that does not load although it was built anew;
        PlanRefused, which is one, for a `plan` that does not load; GpuFailure; UsageError where PyCUDA or
        NVRTC is missing.
        """
        found = driver.probe()  # before anything of TensorRT's: its runtime ends a process without a driver
        if found.gpu is None:
            raise ModelError(
                f"runtime 'tensorrt' needs an NVIDIA GPU, and {found.problem}; "
                "use --runtime onnxruntime, or see: streamseg doctor"
            )
        self._card = card
        self.precision = precision
        self._sights: list[CardSight] = []
        self.device = Device()
        try:
            self.engine = self._warm(found.gpu, plan) if plan else self._loaded(found.gpu, say, precision)
        except BaseException:
            self.device.close()
            raise

    @property
    def failure(self) -> str | None:
        """How its card failed."""
        return self.device.failure

    def __call__(self, tensors: Tensors) -> dict[str, NDArray[np.generic]]:
        """Run the network once, on the picture's tensor; states are neither taken nor returned."""

        def run() -> Steps[NDArray[np.generic]]:
            slot = self.engine.slot
            self.engine.fill(slot, tensors[self._card.input.name])
            self.engine.run(slot)
            result = self.engine.result(slot)
            yield slot.queued()
            return result

        return {self._card.output.name: np.array(self.device.carry_out(run))}

    def remember(self, states: Tensors) -> None:
        """Begin with these states."""
        self.device.run(lambda: self.engine.remember(states))

    def states(self) -> Tensors:
        """What the network remembers."""
        return self.device.run(self.engine.states)

    def sight(self, card: ModelCard, chosen: Sequence[int]) -> Sight:
        """Look at frames on the card, where kernels read what the network takes and gives."""
        if not {self.engine.input_dtype, self.engine.output_dtype} <= {np.dtype("f4"), np.dtype("f2")}:
            return super().sight(card, chosen)
        from streamseg.gpu.sight import CardSight

        self._sights.append(CardSight(self.device, self.engine, card, chosen))
        return self._sights[-1]

    def close(self) -> None:
        """Release the network, then the GPU."""

        def clear() -> None:
            for sight in self._sights:
                sight.clear()
            self.engine.close()

        with suppress(GpuFailure):
            self.device.run(clear, within=self.device.CLOSING)
        self.device.close()

    def _loaded(self, gpu: Gpu, say: Callable[[str], None], precision: Precision) -> Engine:
        """Load the plan there is, or, if it does not load, one built anew."""
        spec = plans.PlanSpec(precision=precision)
        try:
            return self._warm(gpu, plans.ensure(self._card, spec, say=say))
        except PlanRefused:
            return self._warm(gpu, plans.ensure(self._card, spec, say=say, anew="it does not load"))

    def _warm(self, gpu: Gpu, plan: plans.Plan) -> Engine:
        """Load a plan; its first run, which may compile kernels, is not a frame's."""
        found = package.installed(gpu)

        def load() -> Engine:
            engine = Engine(self.device, found, plan, self._card)
            try:
                engine.fill(engine.slot, np.zeros(self._card.input.shape, np.float32))
                engine.run(engine.slot)
                engine.slot.wait()
                engine.remember(blank(self._card))
            except BaseException:
                engine.close()
                raise
            return engine

        return self.device.run(load, within=self.device.LOADING)
