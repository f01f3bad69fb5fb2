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

__all__ = ["RUNTIMES", "Runtime", "Tensors", "load_runtime"]

RUNTIMES = {
    "tensorrt": "streamseg.runtimes.tensorrt:TensorrtRuntime",
    "onnxruntime": "streamseg.runtimes.onnxruntime:OnnxRuntime",
    "null": "streamseg.runtimes.null:NullRuntime",
}
"""Name -> module and class; the class takes `(card, threads, say)` and raises ModelError where it cannot."""


def load_runtime(
    card: ModelCard,
    *,
    name: str = "auto",
    threads: int | None = None,
    say: Callable[[str], None] = lambda _line: None,
) -> Runtime:
    """Load a card's network; the caller closes it.

    `auto` takes the best runtime that loads at once; TensorRT is one if there is a GPU with a plan that fits.
    `threads`: CPU threads the network may use; None leaves half of the machine to decoder and encoder. `say`
    is told in a line what takes long, such as building a plan. Raises UsageError (unknown name, or a package
    is missing), ModelError (nothing loads) and GpuFailure.
    """
    if name != "auto" and name not in RUNTIMES:
        raise UsageError(f"no runtime {name!r}; known: {', '.join(['auto', *RUNTIMES])}")
    failures = []
    for candidate in _automatic(card) if name == "auto" else (name,):
        try:
            return _load(candidate, card, threads, say)
        except StreamsegError as error:
            failures.append((candidate, error))
    if len(failures) == 1:
        raise failures[0][1]
    reasons = "; ".join(f"{candidate}: {error}" for candidate, error in failures)
    raise ModelError(f"no runtime could load {card.name!r}: {reasons}")


def _automatic(card: ModelCard) -> tuple[str, ...]:
    """What `auto` tries, best first."""
    if driver.probe().gpu is None:
        return ("onnxruntime",)
    from streamseg.runtimes.upgrade import ready

    return ("tensorrt", "onnxruntime") if ready(card) else ("onnxruntime",)


def _load(name: str, card: ModelCard, threads: int | None, say: Callable[[str], None]) -> Runtime:
    module, _, kind = RUNTIMES[name].partition(":")
    runtime: Runtime = getattr(import_module(module), kind)(card, threads, say)
    return runtime
