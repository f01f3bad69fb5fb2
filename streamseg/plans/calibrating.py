"""The calibration run: a clip goes through the network in full precision, then with convolutions in 8 bits.

All of them if masks bear it, else as many as they do, the harmless ones first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamseg.errors import ModelError, reason, redacted
from streamseg.models.card import ModelCard
from streamseg.network_input import NetworkInput, Placement
from streamseg.plans.int8 import CONVOLUTIONS, TARGET, Array, Calibration, Watch, quantised
from streamseg.plans.onnx_types import folded, load
from streamseg.scores import ScoreReader
from streamseg.sources import open_source

FRAMES = 64
"""Taken at most: every picture of a folder, of a clip one of every `STEP`."""
STEP = 5
_COMPARED = 8
"""Frames on which each convolution is tried alone."""
_SAMPLES = 4096
"""Values kept of every tensor and frame, beside the largest."""
_SHARES = np.linspace(1, 0.2, 17, dtype=np.float32)
"""Of the largest value, tried as ranges: what lies beyond is clipped, the rest is told apart more finely."""

Feed = dict[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class _Seen:
    """A frame as the network saw it, and the opacity it gave: (h, w) in 0..1."""

    feed: Feed
    placement: Placement
    alpha: Array


def calibrate(card: ModelCard, clip: str, *, watch: Watch = lambda _phase, _share: None) -> Calibration:
    """Find which convolutions of a card's network bear 8 bits, on the frames of a clip (any source's URI).

    Raises SourceError, UsageError and ModelError.
    """
    trial = _Trial(card)
    seen = trial.watched(clip, watch)
    if not any((frame.alpha > 0.5).any() for frame in seen):
        wanted, shown = " or ".join(card.foreground), redacted(clip)
        raise ModelError(
            f"{card.name!r} finds no {wanted} in {shown!r}; calibrate with a clip that shows some"
        )
    ranges = trial.ranges()
    names, kept = _bearable(trial, ranges, seen, watch)
    if not names:
        shown = redacted(clip)
        raise ModelError(f"no convolution of {card.name!r} bears 8 bits on {shown!r}; use --precision fp16")
    chosen = {out: ranges[out] for out in names}
    return Calibration(card.sha256, chosen, len(ranges), kept, redacted(clip), len(seen))


def _bearable(
    trial: _Trial, ranges: dict[str, float], seen: Sequence[_Seen], watch: Watch
) -> tuple[list[str], float]:
    """Return the convolutions that keep masks the same, and the IoU they keep: all, or the least harmful."""

    def iou(names: list[str]) -> float:
        watch("trying many at once", 0.0)
        return trial.compare({out: ranges[out] for out in names}, seen)[1]

    everything = list(ranges)
    if (kept := iou(everything)) >= TARGET:
        return everything, kept
    few, harm = seen[:: max(1, len(seen) // _COMPARED)], {}
    for number, out in enumerate(ranges):
        watch("trying each convolution", number / len(ranges))
        harm[out] = trial.compare({out: ranges[out]}, few)[0]
    order = sorted(harm, key=harm.__getitem__)
    count, kept = _most(lambda count: iou(order[:count]), len(order) - 1)
    return order[:count], kept


def _most(iou: Callable[[int], float], count: int) -> tuple[int, float]:
    """Return the largest number up to `count` whose IoU reaches the target, and that IoU, by halving."""
    low, best, high = 0, 1.0, count
    while low < high:
        middle = (low + high + 1) // 2
        found = iou(middle)
        if found >= TARGET:
            low, best = middle, found
        else:
            high = middle - 1
    return low, best


class _Trial:
    """A network in full precision, run on a clip, and quantised versions of it, compared with it."""

    def __init__(self, card: ModelCard) -> None:
        self._card = card
        self._model = folded(load(card))
        self._reader = ScoreReader(card)
        self._chosen = [card.classes.index(name) for name in card.foreground]
        nodes = [node for node in self._model.graph.node if node.op_type in CONVOLUTIONS]
        stored = {tensor.name for tensor in self._model.graph.initializer}
        self._sources = {node.output[0]: node.input[0] for node in nodes if node.input[1] in stored}
        self._samples: dict[str, list[Array]] = {source: [] for source in self._sources.values()}

    def watched(self, clip: str, watch: Watch) -> list[_Seen]:
        """Run frames of a clip through the network; remember what its convolutions were given."""
        session, card = _session(self._probed()), self._card
        states: Feed = {state.input: np.zeros(state.shape, np.float32) for state in card.states}
        inner = [name for name in self._samples if name not in self._inputs]
        seen = []
        for number, (tensor, placement) in enumerate(self._frames(clip)):
            watch("reading the clip", number / FRAMES)
            feed = {card.input.name: tensor, **states}
            outputs = [card.output.name, *(state.output for state in card.states)]
            values = dict(zip([*outputs, *inner], session.run([*outputs, *inner], feed), strict=True))
            self._sample({**values, **feed})
            seen.append(_Seen(feed, placement, self._alpha(values[card.output.name], placement)))
            states = {state.input: values[state.output] for state in card.states}
        return seen

    def ranges(self) -> dict[str, float]:
        """Return, for every convolution, the range of its input that loses least."""
        found = {source: _range(np.concatenate(samples)) for source, samples in self._samples.items()}
        return {out: found[source] for out, source in self._sources.items()}

    def compare(self, ranges: dict[str, float], seen: Sequence[_Seen]) -> tuple[float, float]:
        """Quantise some convolutions; return the mean distance of opacities and the IoU of all masks."""
        session = _session(quantised(self._copy(), Calibration(self._card.sha256, ranges, 0, 0.0, "", 0)))
        distance = both = either = 0.0
        for frame in seen:
            found = self._alpha(session.run([self._card.output.name], frame.feed)[0], frame.placement)
            distance += float(np.abs(found - frame.alpha).mean()) / len(seen)
            mask, wanted = found > 0.5, frame.alpha > 0.5
            both += np.count_nonzero(mask & wanted)
            either += np.count_nonzero(mask | wanted)
        return distance, both / either if either else 1.0

    @property
    def _inputs(self) -> set[str]:
        return {value.name for value in self._model.graph.input}

    def _copy(self) -> Any:
        copy = type(self._model)()
        copy.CopyFrom(self._model)
        return copy

    def _probed(self) -> Any:
        """The network with the inputs of its convolutions as outputs."""
        from onnx import helper

        model = self._copy()
        there = self._inputs | {value.name for value in model.graph.output}
        model.graph.output.extend(
            helper.make_tensor_value_info(name, 1, None) for name in self._samples if name not in there
        )
        return model

    def _frames(self, clip: str) -> Iterator[tuple[NDArray[np.float32], Placement]]:
        scale = NetworkInput(self._card.input)
        with open_source(clip, live=False) as source:
            chosen = (f for number, f in enumerate(source) if f.name is not None or number % STEP == 0)
            for frame in islice(chosen, FRAMES):
                tensor, placement = scale(frame.picture)
                yield tensor.copy(), placement

    def _sample(self, values: Feed) -> None:
        for name, samples in self._samples.items():
            flat = np.abs(values[name]).ravel().astype(np.float32, copy=False)
            samples.append(np.append(flat[:: max(1, flat.size // _SAMPLES)], flat.max()))

    def _alpha(self, output: NDArray[np.generic], placement: Placement) -> Array:
        return self._reader.alpha(self._reader.scores(output), placement, self._chosen).copy()


def _range(values: Array) -> float:
    """Return the range whose 127 steps leave the smallest squared error."""
    largest = float(values.max())
    if not largest:
        return 1.0

    def error(limit: float) -> float:
        step = limit / 127
        return float(np.square(np.minimum(np.rint(values / step), 127) * step - values).mean())

    return min((float(share) * largest for share in _SHARES), key=error)


def _session(model: Any) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # ONNX Runtime's own types share no base but this
        raise ModelError(f"cannot quantise this network: {reason(error)}") from error
