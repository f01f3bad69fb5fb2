"""What the tests of plans share: networks, pictures of the demo portrait, and what needs TensorRT-RTX."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from streamseg.gpu.driver import Gpu
from streamseg.models import ModelCard, find_model
from streamseg.network_input import NetworkInput
from streamseg.plans.package import Package, installed
from streamseg.sources import open_source

needs_tensorrt = pytest.mark.skipif(
    find_spec("tensorrt_rtx") is None, reason="needs TensorRT-RTX: pip install tensorrt-rtx"
)

RTX4090 = Gpu(name="A card", compute_capability=(8, 9), memory=24 << 30, driver=(13, 0))
TURING = Gpu(name="An older card", compute_capability=(7, 5), memory=8 << 30, driver=(13, 0))


def rtx() -> Package:
    """TensorRT-RTX, as found without a GPU."""
    return installed(None)


def shared(data: Path, name: str) -> ModelCard:
    """A card whose weights lie in the folder of real networks."""
    card = find_model(name)
    path = next((data / "models").rglob(card.weights), None)
    if path is None:
        pytest.skip(f"needs {card.weights} below {data / 'models'}")
    return replace(card, path=path.parent)


def portrait(card: ModelCard, count: int = 1) -> list[NDArray[np.float32]]:
    """The demo portrait as the network sees it, one of every ten frames."""
    scale = NetworkInput(card.input)
    with open_source("demo:640x360@30,4s") as source:
        frames = [frame for number, frame in enumerate(source) if number % 10 == 0][:count]
    return [scale(frame.picture)[0].copy() for frame in frames]


def states(card: ModelCard, batch: int = 1) -> dict[str, NDArray[np.float32]]:
    """What a recurrent network remembers before its first frame."""
    return {state.input: np.zeros((batch, *state.shape[1:]), np.float32) for state in card.states}


def run(card: ModelCard, network: bytes, picture: NDArray[np.generic]) -> NDArray[np.generic]:
    """Run a network with ONNX Runtime on float32, cast to what it takes; return the output its card names."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
    half = {each.name for each in session.get_inputs() if each.type == "tensor(float16)"}
    given = {card.input.name: picture, **states(card, len(picture))}
    feed = {name: value.astype(np.float16) if name in half else value for name, value in given.items()}
    output: NDArray[np.generic] = session.run([card.output.name], feed)[0]
    return output
