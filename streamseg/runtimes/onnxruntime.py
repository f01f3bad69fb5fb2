"""ONNX Runtime on the CPU."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from streamseg.errors import ModelError, RuntimeFailure, pip_install, reason
from streamseg.runtimes.base import Runtime, Tensors

if TYPE_CHECKING:
    from streamseg.models.card import ModelCard

_FATAL = 4
"""ONNX Runtime's log level that keeps its warnings off the user's terminal; errors arrive as exceptions."""

_DTYPES: dict[str, np.dtype[Any]] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(float16)": np.dtype(np.float16),
    "tensor(double)": np.dtype(np.float64),
    "tensor(uint8)": np.dtype(np.uint8),
}


class OnnxRuntime(Runtime):
    """An ONNX Runtime session. Inputs are cast to what the network wants; each run makes new outputs."""

    name = "onnxruntime"

    def __init__(
        self,
        card: ModelCard,
        threads: int | None = None,
        say: Callable[[str], None] = lambda _line: None,  # noqa: ARG002  (nothing takes long)
    ) -> None:
        """Load the card's verified weights; raises ModelError unless they are the network it describes."""
        self._session = _session(card, threads)
        self._dtypes = _checked_inputs(card, self._session)
        # Only these: the colours a matting network also gives would be copied for nothing.
        self._outputs = _checked_outputs(card, self._session)

    def __call__(self, tensors: Tensors) -> dict[str, NDArray[np.generic]]:
        """Run the network once."""
        feed = {name: _cast(tensor, self._dtypes[name]) for name, tensor in tensors.items()}
        try:
            results = self._session.run(self._outputs, feed)
        except Exception as error:  # ONNX Runtime's own types share no base but this
            raise RuntimeFailure(f"onnxruntime failed on a frame: {why(error)}") from error
        return dict(zip(self._outputs, results, strict=True))

    def close(self) -> None:
        """Release the session and its memory."""
        self._session = None


def default_threads() -> int:
    """Half of the cores, at most 4: the other half decodes, composites and encodes."""
    return min(4, max(1, (os.cpu_count() or 1) // 2))


def _session(card: ModelCard, threads: int | None) -> Any:
    weights = card.verified_weights()
    try:
        import onnxruntime
    except ImportError as error:
        found = f"runtime 'onnxruntime' does not load: {reason(error)}"
        raise ModelError(f"{found}; reinstall it: {pip_install('onnxruntime')}") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or default_threads()
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    # Waiting threads must not burn the cores that decode and encode.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Planning memory ahead saves no time here and costs 34 MB (RobustVideoMatting at 288x512).
    options.enable_mem_pattern = False
    options.log_severity_level = _FATAL
    onnxruntime.set_default_logger_severity(_FATAL)
    try:
        return onnxruntime.InferenceSession(weights, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own types share no base but this
        raise ModelError(f"onnxruntime cannot load {weights.name!r}: {why(error)}") from error


def _checked_inputs(card: ModelCard, session: Any) -> dict[str, np.dtype[Any]]:
    """Compare the card with the network's inputs; return each input's dtype."""
    given = {card.input.name: card.input.shape, **{state.input: state.shape for state in card.states}}
    wanted = {tensor.name: tensor for tensor in session.get_inputs()}
    if set(given) != set(wanted):
        raise ModelError(
            f"network {card.weights!r} takes {_listed(wanted)}, its card {card.name!r} gives {_listed(given)}"
        )
    for name, shape in given.items():
        if not _fits(shape, wanted[name].shape):
            found = f"input {name!r} of {card.weights!r} is {wanted[name].shape}"
            raise ModelError(f"{found}, its card {card.name!r} says {list(shape)}")
        if wanted[name].type not in _DTYPES:
            raise ModelError(
                f"input {name!r} of {card.weights!r} is a {wanted[name].type}; usable: {_listed(_DTYPES)}"
            )
    return {name: _DTYPES[wanted[name].type] for name in given}


def _checked_outputs(card: ModelCard, session: Any) -> list[str]:
    """Compare the card with the network's outputs; return the names to ask for."""
    names = [card.output.name, *(state.output for state in card.states)]
    found = [tensor.name for tensor in session.get_outputs()]
    missing = [name for name in names if name not in found]
    if missing:
        raise ModelError(f"network {card.weights!r} has no output {missing[0]!r}; it has {_listed(found)}")
    return names


def _cast(tensor: NDArray[np.generic], dtype: np.dtype[Any]) -> NDArray[np.generic]:
    rounded = np.rint(tensor) if dtype.kind == "u" and tensor.dtype.kind == "f" else tensor
    cast: NDArray[np.generic] = rounded.astype(dtype, copy=False)
    return cast


def _fits(shape: tuple[int, ...], wanted: list[Any]) -> bool:
    """Whether a tensor fits; a dimension that is no number may have any size."""
    return len(shape) == len(wanted) and all(
        not isinstance(size, int) or size == given for given, size in zip(shape, wanted, strict=True)
    )


def why(error: Exception) -> str:
    """ONNX Runtime's own words without its prefix and the file's path: `protobuf parsing failed`."""
    text = re.sub(r"^\[onnxruntimeerror\][^:]*: *\d+ *: *\w+ *: *", "", reason(error), flags=re.IGNORECASE)
    text = re.sub(r"^load model from .* failed: *", "", text, flags=re.IGNORECASE)
    return text[:1].lower() + text[1:]


def _listed(names: Any) -> str:
    return ", ".join(map(repr, names))
