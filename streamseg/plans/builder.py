"""ONNX in, plan out: parse, check every type, build, tell how far it is, stop when asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from streamseg.errors import ModelError
from streamseg.gpu.driver import Gpu
from streamseg.plans.int8 import Watch
from streamseg.plans.onnx_types import Network
from streamseg.plans.package import Hear, Package, line, listener
from streamseg.plans.plan import PlanSpec, TensorSpec

_DTYPES = {"FLOAT": "float32", "HALF": "float16", "UINT8": "uint8", "INT32": "int32", "INT64": "int64"}
_HEAVY = ("CONVOLUTION", "DECONVOLUTION", "MATRIX_MULTIPLY")
"""Layers that must not compute in full precision unless asked to."""


@dataclass(frozen=True, slots=True)
class Built:
    """A serialised plan, and what TensorRT says of the network it was built from."""

    data: bytes
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    timing: bytes
    """Timings of kernels, to be handed to the next build; empty where none are taken."""


def build(
    package: Package,
    network: Network,
    spec: PlanSpec,
    *,
    gpu: Gpu | None = None,
    name: str = "network",
    timing: bytes = b"",
    watch: Watch = lambda _phase, _share: None,
    hear: Hear = lambda _line: None,
) -> Built:
    """Build a plan on the calling thread. `watch`: see Watch. `hear`: told every line of TensorRT's log.

    Raises ModelError: TensorRT cannot read the network, reads other types than are asked for, or fails to
    build. A KeyboardInterrupt is raised at the end of the step in which it came.
    """
    trt = package.module
    log = listener(trt, hear)
    try:
        builder = trt.Builder(log)
    except (
        TypeError
    ) as error:  # what its bindings make of "no builder", such as with a driver that is too old
        raise ModelError(f"{package.name} {package.version} does not start: {log.error}") from error
    definition = builder.create_network(package.network_flags)
    parser = trt.OnnxParser(definition, log)
    if not parser.parse(network.onnx):
        raise ModelError(f"{package.name} {package.version} cannot read {name!r}: {_complaint(parser, log)}")
    inputs, outputs = _checked(definition, network, spec, name)
    monitor = _monitor(trt, watch)
    config = builder.create_builder_config()
    config.progress_monitor = monitor
    package.aim(config, gpu)
    _configure(trt, builder, config, network, spec)
    if package.times_kernels:
        _remind(config, timing)
    plan = builder.build_serialized_network(definition, config)
    if interrupt := log.interrupt or monitor.interrupt:
        raise interrupt
    if plan is None:
        raise ModelError(f"{package.name} {package.version} cannot build {name!r}: {_hinted(log.error)}")
    timings = config.get_timing_cache() if package.times_kernels else None
    return Built(bytes(plan), inputs, outputs, bytes(timings.serialize()) if timings else b"")


def _remind(config: Any, timing: bytes) -> None:
    """Hand over timings of an earlier build; none, where they are damaged or of another card."""
    for content in (timing, b""):
        cache = config.create_timing_cache(content)
        if cache is not None and config.set_timing_cache(cache, False):
            return


def _configure(trt: Any, builder: Any, config: Any, network: Network, spec: PlanSpec) -> None:
    if spec.precision == "fp32":
        config.clear_flag(trt.BuilderFlag.TF32)  # its 10-bit mantissas are no single precision
    if spec.workspace_mb:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, spec.workspace_mb << 20)
    if network.ranged:
        profile = builder.create_optimization_profile()
        for name, shapes in network.profiles.items():
            profile.set_shape(name, shapes.low, shapes.usual, shapes.high)
        config.add_optimization_profile(profile)


def _checked(
    definition: Any, network: Network, spec: PlanSpec, name: str
) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Return inputs and outputs as parsed; raises ModelError unless they and heavy layers are as asked."""
    inputs = tuple(_spec(definition.get_input(index)) for index in range(definition.num_inputs))
    outputs = tuple(_spec(definition.get_output(index)) for index in range(definition.num_outputs))
    found = {tensor.name: tensor.dtype for tensor in (*inputs, *outputs)}
    if found != network.dtypes:
        raise ModelError(f"{name!r} was parsed with {found}, asked for was {network.dtypes}")
    if spec.precision == "fp32":
        return inputs, outputs
    layers = [definition.get_layer(index) for index in range(definition.num_layers)]
    heavy = [layer for layer in layers if layer.type.name in _HEAVY]
    full = [layer.name for layer in heavy if layer.get_output(0).dtype.name == "FLOAT"]
    if full:
        raise ModelError(
            f"{len(full)} of {len(heavy)} heavy layers of {name!r} compute in float32, {full[0]!r} first; "
            "use --precision fp32"
        )
    return inputs, outputs


def _spec(tensor: Any) -> TensorSpec:
    kind = tensor.dtype.name
    return TensorSpec(tensor.name, _DTYPES.get(kind, kind.lower()), tuple(tensor.shape))


def _complaint(parser: Any, log: Any) -> str:
    if not parser.num_errors:
        return str(log.error)
    error = parser.get_error(0)
    operator = f"operator {error.node_operator()}: " if error.node_operator() else ""
    return line(f"{operator}{error.desc()}")


def _hinted(error: str) -> str:
    short = "memory" in error.lower()
    return f"{error}; free GPU memory, or pass a smaller --workspace" if short else error


def _monitor(trt: Any, watch: Watch) -> Any:
    """Return a progress monitor: phases lie within phases, each in a step of the one around it."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]  # its base has no stubs
        def __init__(self) -> None:
            super().__init__()
            self.interrupt: BaseException | None = None
            self._phases: dict[str, list[int]] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:  # noqa: ARG002
            self._phases[phase_name] = [0, max(1, num_steps)]
            self._tell(phase_name)

        def step_complete(self, phase_name: str, step: int) -> bool:
            """Return whether to go on."""
            if phase_name in self._phases:
                self._phases[phase_name][0] = step + 1
            self._tell(phase_name)
            return self.interrupt is None

        def phase_finish(self, phase_name: str) -> None:
            self._phases.pop(phase_name, None)
            self._tell(phase_name)

        def _tell(self, phase: str) -> None:
            share = 0.0 if self._phases else 1.0
            for done, steps in reversed(self._phases.values()):
                share = min(1.0, (done + share) / steps)
            try:
                watch(phase[:1].lower() + phase[1:], share)
            except BaseException as error:  # must not reach C++: Ctrl-C may come in here
                self.interrupt = error

    return Monitor()
