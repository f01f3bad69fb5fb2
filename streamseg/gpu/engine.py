"""A TensorRT plan, loaded: what runs a network on the card."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamseg.errors import GpuFailure, ModelError
from streamseg.gpu.device import Device
from streamseg.gpu.scores import CardTensor
from streamseg.gpu.slot import Slot
from streamseg.models.card import ModelCard
from streamseg.plans.package import Package, listener
from streamseg.plans.plan import Plan
from streamseg.runtimes.base import blank

_ALIGN = 256
"""Bytes: TensorRT takes no tensor that begins elsewhere."""


class PlanRefused(ModelError):
    """TensorRT does not take a plan, though it seems to be the right one."""


class Engine:
    """A network on the card, with the memory of its tensors, made once.

    What a recurrent network remembers stays there, in two buffers that take turns. There is one execution
    context: a run is waited for before the next is queued, on whichever stream. All methods are for the GPU's
    thread; the caller closes, there too.
    """

    def __init__(self, device: Device, package: Package, plan: Plan, card: ModelCard) -> None:
        """Raises PlanRefused where TensorRT does not take the plan, GpuFailure where the GPU refuses."""
        self._device, self._trt, self._card = device, package.module, card
        self._log = listener(package.module)
        self.slot = Slot(device)
        """Has the tensors; its stream is for whoever has none of his own."""
        self._runtime: Any = None
        self._engine: Any = None
        self._context: Any = None
        self._read: list[int] = []
        self._written: list[int] = []
        device.holders.add(self)
        try:
            self._load(plan)
            self._place(plan)
        except BaseException:
            self.close()
            raise

    def fill(self, slot: Slot, picture: NDArray[np.generic]) -> None:
        """Queue the upload of the picture's tensor, (1, C, H, W) or (1, H, W, C), on a slot's stream."""
        rounded = np.rint(picture) if self.input_dtype.kind == "u" else picture
        slot.upload("tensor", [rounded.astype(self.input_dtype, copy=False)], to=self.input)

    def run(self, slot: Slot) -> None:
        """Queue a run of the network on a slot's stream; raises GpuFailure."""
        for state, read, written in zip(self._card.states, self._read, self._written, strict=True):
            self._bind(state.input, read)
            self._bind(state.output, written)
        self._require(self._context.execute_async_v3(slot.handle), "cannot run the network")
        self._read, self._written = self._written, self._read

    def remember(self, states: Mapping[str, NDArray[np.generic]]) -> None:
        """Begin with these states, by the names of the inputs they are given to; waits."""
        if not self._card.states:
            return
        given = [states[state.input].astype(self._held[state.input]) for state in self._card.states]
        self._read = self.slot.upload("states 0", given, align=_ALIGN)
        first = self.slot.memory("states 1", self._read[-1] - self._read[0] + given[-1].nbytes)
        self._written = [first + address - self._read[0] for address in self._read]
        self.slot.wait()

    def states(self) -> dict[str, NDArray[np.generic]]:
        """What the network remembers, by the names of the inputs it is given to; waits."""
        held = [
            self.slot.download(
                f"state {state.input}", address, self._size(state.shape, self._held[state.input])
            )
            for state, address in zip(self._card.states, self._read, strict=True)
        ]
        self.slot.wait()
        return {
            state.input: codes.view(self._held[state.input]).astype(np.float32).reshape(state.shape)
            for state, codes in zip(self._card.states, held, strict=True)
        }

    def result(self, slot: Slot) -> NDArray[np.generic]:
        """Queue the download of the output; it is there once all that the slot has under way is done."""
        output = self.output
        codes = slot.download("output", output.address, self._size(output.shape, self.output_dtype))
        taken: NDArray[np.generic] = codes.view(self.output_dtype).reshape(output.shape)
        return taken

    def close(self) -> None:
        """Give everything back: context, engine and runtime in this order, memory last.

        Raises GpuFailure where the card has been given up: it keeps everything.
        """
        with suppress(self._device.driver.Error):
            self._device.settle()
        self._device.require()
        self._context = None
        self._engine = None
        self._runtime = None
        self.slot.clear()
        self._device.holders.discard(self)

    def _load(self, plan: Plan) -> None:
        try:
            self._runtime = self._trt.Runtime(self._log)
        except TypeError as error:  # what its bindings make of "no runtime"
            raise GpuFailure(f"TensorRT does not start: {self._log.error}") from error
        self._engine = self._runtime.deserialize_cuda_engine(plan.data)
        if self._engine is None:
            raise PlanRefused(f"plan {plan.path.name!r} does not load: {self._log.error}")
        self._context = _context(self._trt, self._engine, steady=not self._card.states)
        self._require(self._context, "cannot make an execution context")

    def _place(self, plan: Plan) -> None:
        """Give every tensor its place on the card."""
        card = self._card
        dtypes = {tensor.name: np.dtype(tensor.dtype) for tensor in (*plan.inputs, *plan.outputs)}
        self.input_dtype, self.output_dtype = dtypes[card.input.name], dtypes[card.output.name]
        self._held = {state.input: dtypes[state.input] for state in card.states}
        given = {card.input.name: card.input.shape, **{state.input: state.shape for state in card.states}}
        for name, shape in given.items():
            self._require(self._context.set_input_shape(name, shape), f"cannot take {name!r} as {shape}")
        self.remember(blank(card))
        self.input = self.slot.memory("input", self._size(card.input.shape, self.input_dtype))
        """Address of the picture's tensor."""
        self._bind(card.input.name, self.input)
        shape = tuple(self._context.get_tensor_shape(card.output.name))
        address = self.slot.memory("scores", self._size(shape, self.output_dtype))
        self.output = CardTensor(address, shape, half=self.output_dtype == np.float16)
        self._bind(card.output.name, address)

    def _bind(self, name: str, address: int) -> None:
        self._require(self._context.set_tensor_address(name, address), f"cannot place {name!r}")

    def _require(self, done: object, what: str) -> None:
        if not done:
            raise GpuFailure(f"TensorRT {what}: {self._log.error}")

    @staticmethod
    def _size(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
        return int(np.prod(shape)) * dtype.itemsize


def _context(trt: Any, engine: Any, *, steady: bool) -> Any:
    """Return an execution context. `steady`: every run reads and writes the same places.

    A network is then captured as a CUDA graph, by those TensorRTs that do so by themselves (RTX): other
    places would mean another capture each time, and PyCUDA cannot capture.
    """
    strategies = getattr(trt, "CudaGraphStrategy", None)
    if strategies is None or not steady:
        return engine.create_execution_context()
    config = engine.create_runtime_config()
    config.cuda_graph_strategy = strategies.WHOLE_GRAPH_CAPTURE
    return engine.create_execution_context(config)
