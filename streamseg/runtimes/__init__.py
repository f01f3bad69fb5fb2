"""What runs a network: one file per runtime, imported on use."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from streamseg.errors import ModelError, StreamsegError, UsageError
from streamseg.gpu import driver
from streamseg.runtimes.base import Runtime, Tensors

if TYPE_CHECKING:
    from streamseg.models.card import ModelCard
    from streamseg.plans import Plan, Precision

__all__ = ["RUNTIMES", "Runtime", "Tensors", "load_runtime"]

RUNTIMES = {
    "tensorrt": "streamseg.runtimes.tensorrt:TensorrtRuntime",
    "onnxruntime": "streamseg.runtimes.onnxruntime:OnnxRuntime",
    "null": "streamseg.runtimes.null:NullRuntime",
}
"""Name -> module and class; the class takes `(card, threads, say)` and raises ModelError where it cannot."""

_FAST, _USUAL = "tensorrt", "onnxruntime"


def load_runtime(
    card: ModelCard,
    *,
    name: str = "auto",
    precision: Precision | None = None,
    threads: int | None = None,
    say: Callable[[str], None] = lambda _line: None,
) -> Runtime:
    """Load a card's network; the caller closes it.

    `auto` takes the best runtime that loads at once; TensorRT is one if there is a GPU with a plan that fits.
    `precision`: what TensorRT computes in, None is fp16; the others compute as the network is stored.
    `threads`: CPU threads the network may use; None leaves half of the machine to decoder and encoder. `say`
    is told in a line what takes long, such as building a plan. Raises UsageError (unknown name, a precision
    for a runtime that has no choice, or a package is missing), ModelError (nothing loads) and GpuFailure.
    """
    if name == "auto":
        return _automatic(card, precision, threads, say)
    if name not in RUNTIMES:
        raise UsageError(f"no runtime {name!r}; known: {', '.join(['auto', *RUNTIMES])}")
    if precision is None:
        return _load(name, card, threads, say)
    if name != _FAST:
        raise UsageError(
            f"precision {precision!r} is for runtime {_FAST!r}, {name!r} computes as the network is stored; "
            "leave it out"
        )
    from streamseg.runtimes.tensorrt import TensorrtRuntime

    return TensorrtRuntime(card, say=say, precision=precision)


def _automatic(
    card: ModelCard, precision: Precision | None, threads: int | None, say: Callable[[str], None]
) -> Runtime:
    """Load the best runtime that loads at once."""
    plan = _plan(card, precision)
    if plan is None:
        return _load(_USUAL, card, threads, say)
    from streamseg.gpu.engine import PlanRefused
    from streamseg.runtimes.tensorrt import TensorrtRuntime

    try:
        return TensorrtRuntime(card, precision=precision or "fp16", plan=plan)
    except StreamsegError as error:
        failure = error
    try:
        runtime = _load(_USUAL, card, threads, say)
    except StreamsegError as error:
        reasons = f"{_FAST}: {failure}; {_USUAL}: {error}"
        raise ModelError(f"no runtime could load {card.name!r}: {reasons}") from error
    if isinstance(failure, PlanRefused):
        say(f"{failure}; {runtime.name} begins")
    return runtime


def _plan(card: ModelCard, precision: Precision | None) -> Plan | None:
    """Return the plan a network can run with at once; raises UsageError where a precision has no use."""
    if driver.probe().gpu is None and precision is None:
        return None
    from streamseg.plans import PlanSpec, kept
    from streamseg.runtimes.upgrade import missing

    spec, problem = PlanSpec(precision=precision or "fp16"), missing()
    if problem and precision:
        raise UsageError(f"precision {precision!r} is for runtime {_FAST!r}: {problem}")
    return None if problem else kept(card, spec)


def _load(name: str, card: ModelCard, threads: int | None, say: Callable[[str], None]) -> Runtime:
    module, _, kind = RUNTIMES[name].partition(":")
    runtime: Runtime = getattr(import_module(module), kind)(card, threads, say)
    return runtime
