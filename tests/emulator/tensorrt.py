"""A TensorRT for a card that is not there: ONNX Runtime computes, on the emulated card's memory.

It is as strict as the real one or stricter: one thread, the context current, every tensor in its place before
a run, nothing used that has been given back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from streamseg import plans
from streamseg.errors import ModelError
from streamseg.gpu.driver import Driver, Gpu
from streamseg.models.card import ModelCard
from streamseg.plans import Calibration, Precision, apart, package
from streamseg.plans.onnx_types import prepared
from streamseg.plans.plan import Plan, PlanSpec, TensorSpec
from streamseg.plans.store import kept_calibration
from tests.emulator.card import Card, Error, LogicError
from tests.emulator.driver import emulated
from tests.emulator.half import rounded

HEAD = b"emulated plan of "
GPU = Gpu(name="Emulated", compute_capability=(9, 0), memory=80 << 30, driver=(13, 0))


class ExecutionContext:
    """One network being run."""

    def __init__(self, card: Card, engine: Engine) -> None:
        self._card, self._engine = card, engine
        self._thread = threading.get_ident()
        self._addresses: dict[str, int] = {}
        self._shaped: set[str] = set()

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        """Say how large an input is."""
        if self._refused("set_input_shape") or self._engine.shapes[name] != tuple(shape):
            return False
        self._shaped.add(name)
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        """Of an output: known once those of all inputs are."""
        return self._engine.shapes[name] if self._shaped == set(self._engine.inputs) else (-1,)

    def set_tensor_address(self, name: str, address: int) -> bool:
        """Say where a tensor lies; refused unless it is aligned."""
        if self._refused("set_tensor_address") or name not in self._engine.shapes or address % 256:
            return False
        self._addresses[name] = address
        return True

    def execute_async_v3(self, handle: int) -> bool:
        """Queue a run."""
        if self._refused("execute_async_v3"):
            return False
        stream = next((one for one in self._card.streams if one.handle == handle), None)
        if stream is None:
            raise LogicError("invalid resource handle")
        engine = self._engine
        if self._shaped != set(engine.inputs) or set(self._addresses) != set(engine.shapes):
            return False
        places = {name: self._place(name, address) for name, address in self._addresses.items()}
        stream.queue.append(lambda: engine.compute(places))
        return True

    def _place(self, name: str, address: int) -> np.ndarray[Any, Any]:
        dtype, shape = self._engine.dtypes[name], self._engine.shapes[name]
        size = int(np.prod(shape)) * dtype.itemsize
        held = self._card.holding(address, size)
        start = address - held.address
        return held.bytes[start : start + size].view(dtype).reshape(shape)

    def _refused(self, name: str) -> bool:
        assert threading.get_ident() == self._thread, "one execution context, two threads"
        return refused(self._card, name)

    def __del__(self) -> None:
        self._card.calls.append("~context")


class Engine:
    """A plan, loaded."""

    def __init__(self, card: Card, network: bytes) -> None:
        self._card = card
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            rounded(network), options, providers=["CPUExecutionProvider"]
        )
        self.inputs, self.outputs = tensors(network)
        every = (*self.inputs.values(), *self.outputs.values())
        self.shapes = {each.name: each.shape for each in every}
        self.dtypes = {each.name: np.dtype(each.dtype) for each in every}

    def create_runtime_config(self) -> SimpleNamespace:
        """Return what RTX's contexts can be asked for."""
        return SimpleNamespace(cuda_graph_strategy="DISABLED")

    def create_execution_context(self, config: SimpleNamespace | None = None) -> ExecutionContext | None:
        """Return one, or None."""
        if config is not None:
            self._card.calls.append(f"graph {config.cuda_graph_strategy}")
        return None if refused(self._card, "create_execution_context") else ExecutionContext(self._card, self)

    def compute(self, places: dict[str, np.ndarray[Any, Any]]) -> None:
        """Run the network from its inputs' memory into its outputs'."""
        halves = {name for name, dtype in self.dtypes.items() if dtype == np.float16}
        given = {
            name: places[name].astype(np.float32 if name in halves else self.dtypes[name])
            for name in self.inputs
        }
        results = self._session.run(list(self.outputs), given)
        for name, result in zip(self.outputs, results, strict=True):
            places[name][...] = result

    def __del__(self) -> None:
        self._card.calls.append("~engine")


def refused(card: Card, name: str) -> bool:
    """Note a call; whether its turn to fail has come. TensorRT answers with False or None."""
    try:
        card.call(name)
    except Error as error:
        if "injected" in str(error):
            return True
        raise
    return False


def module(card: Card, spoilt: Callable[[], bool] = lambda: False) -> ModuleType:
    """Return what `import tensorrt_rtx` gives on a machine with this card; it refuses a `spoilt` plan."""
    made = ModuleType("tensorrt_rtx")

    class ILogger:
        """Base of loggers."""

        ERROR, INTERNAL_ERROR = 1, 0

    class Runtime:
        """Loads plans."""

        def __init__(self, logger: ILogger) -> None:
            if refused(card, "Runtime"):
                raise TypeError("pybind11::init(): factory function returned nullptr")
            assert isinstance(logger, ILogger)

        def deserialize_cuda_engine(self, data: bytes) -> Engine | None:
            """Return an engine, or None."""
            if refused(card, "deserialize_cuda_engine") or not data.startswith(HEAD) or spoilt():
                return None
            return Engine(card, data.removeprefix(HEAD))

        def __del__(self) -> None:
            card.calls.append("~runtime")

    strategies = SimpleNamespace(DISABLED="DISABLED", WHOLE_GRAPH_CAPTURE="WHOLE_GRAPH_CAPTURE")
    for name, value in {"ILogger": ILogger, "Runtime": Runtime, "CudaGraphStrategy": strategies}.items():
        setattr(made, name, value)
    return made


def tensors(network: bytes) -> tuple[dict[str, TensorSpec], dict[str, TensorSpec]]:
    """Return inputs and outputs of a network."""
    model = onnx.shape_inference.infer_shapes(onnx.load_from_string(network))

    def specs(values: Any) -> dict[str, TensorSpec]:
        found = {}
        for value in values:
            kind = value.type.tensor_type
            shape = tuple(side.dim_value for side in kind.shape.dim)
            dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
            found[value.name] = TensorSpec(value.name, np.dtype(dtype).name, shape)
        return found

    return specs(model.graph.input), specs(model.graph.output)


class Machine:
    """A machine with an emulated card, TensorRT, and the plans that were asked for."""

    def __init__(self, card: Card, precision: Precision) -> None:
        self.card, self._precision = card, precision
        self.asked: list[str] = []
        """For each plan why it was to be built anew, if it was."""
        self.spoilt = 0
        """How many plans will not load."""
        self.calibrations = Path("nowhere")
        """Where those of int8 plans lie."""
        self.building, self.may_build = threading.Event(), threading.Event()
        self.plans: dict[tuple[str, Precision], Plan] = {}

    def ensure(self, card: ModelCard, spec: PlanSpec | None = None, *, anew: str = "", **_told: Any) -> Plan:
        """What plans.ensure returns here."""
        self.asked.append(anew)
        key, calibration = self._wanted(card, spec)
        if key not in self.plans:
            network = prepared(card, PlanSpec(precision=key[1]), calibration).onnx
            inputs, outputs = (tuple(each.values()) for each in tensors(network))
            self.plans[key] = Plan(Path("emulated.plan"), HEAD + network, inputs, outputs, {}, {})
        return self.plans[key]

    def build(
        self,
        card: ModelCard,
        stopping: Callable[[], bool],
        *,
        spec: PlanSpec | None = None,
        anew: str = "",
    ) -> None:
        """What plans.apart.build does here, once it may."""
        self.building.set()
        while not self.may_build.wait(0.01):
            if stopping():
                raise ModelError("building the plan was stopped")
        self.ensure(card, spec, anew=anew)

    def kept(self, card: ModelCard, spec: PlanSpec | None = None) -> Plan | None:
        """What plans.kept returns here."""
        return self.plans.get(self._wanted(card, spec)[0])

    def spoils(self) -> bool:
        """Whether the next plan does not load."""
        self.spoilt -= 1
        return self.spoilt >= 0

    def _wanted(
        self, card: ModelCard, spec: PlanSpec | None
    ) -> tuple[tuple[str, Precision], Calibration | None]:
        precision = spec.precision if spec and spec.precision != "fp16" else self._precision
        calibration = kept_calibration(card, self.calibrations) if precision == "int8" else None
        return (card.sha256, precision), calibration


@contextmanager
def machine(card: Card | None = None, *, precision: Precision = "fp16") -> Iterator[Machine]:
    """Let the program find a card, its driver and TensorRT."""
    made = Machine(card or Card(), precision)
    found = package.Package("tensorrt_rtx", "1.7.1", module(made.card, made.spoils))
    with emulated(made.card), pytest.MonkeyPatch.context() as patch:
        patch.setattr("streamseg.gpu.driver.probe", lambda: Driver(version=(13, 0), gpus=(GPU,)))
        patch.setattr("streamseg.runtimes.upgrade.find_spec", lambda _name: True)
        patch.setattr(apart, "build", made.build)
        patch.setattr(plans, "kept", made.kept)
        patch.setattr(package, "installed", lambda _gpu: found)
        patch.setattr(plans, "ensure", made.ensure)
        yield made
