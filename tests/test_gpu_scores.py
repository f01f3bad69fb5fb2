"""Scores on the card: mattes and label maps like those ScoreReader makes, and like the plain definition."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from streamseg.errors import ModelError
from streamseg.gpu.scores import CardScoreReader, CardTensor
from streamseg.models.card import ModelCard, OutputSpec
from streamseg.network_input import place
from streamseg.scores import ScoreReader
from tests.emulator.card import Card
from tests.emulator.slots import Bench, bench
from tests.test_scores import card, interpolated, random

PEOPLE = ("background", "person")


def tensor_on(on: Bench, output: NDArray[Any]) -> CardTensor:
    """Upload an output."""
    return CardTensor(on.slot.upload("output", [output.ravel()])[0], output.shape, output.dtype == np.float16)


def matte_of(
    model: ModelCard, output: NDArray[Any], size: tuple[int, int], chosen: list[int], seed: int = 0
) -> tuple[NDArray[np.uint8], int]:
    """The matte, and whether a score was found to be broken."""
    with bench(Card(seed=seed)) as on:

        def work() -> tuple[NDArray[np.uint8], int]:
            placement = place(model.input, size)
            alpha, broken = CardScoreReader(model).alpha(on.slot, tensor_on(on, output), placement, chosen)
            return on.codes(alpha), int(on.get(broken, (1,), np.int32)[0])

        return on.device.run(work)


def labels_of(
    model: ModelCard, output: NDArray[Any], size: tuple[int, int], table: NDArray[np.uint8] | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """The label map, and the matte made with it."""
    with bench(Card(seed=1)) as on:

        def work() -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
            placement = place(model.input, size)
            reader = CardScoreReader(model)
            ids, alpha = reader.labels(on.slot, tensor_on(on, output), placement, size, table)
            return on.codes(ids), on.codes(alpha) if alpha else None

        return on.device.run(work)


@st.composite
def outputs(draw: st.DrawFn) -> tuple[ModelCard, NDArray[Any], tuple[int, int]]:
    """A card, an output of its network at any resolution, and the size of a frame."""
    kind, alone = draw(st.sampled_from(["logits", "probability"])), draw(st.booleans())
    model = card(kind=kind, fit=draw(st.sampled_from(["stretch", "letterbox"])), corners=draw(st.booleans()))
    if alone:
        model = replace(model, classes=PEOPLE, foreground=("person",))
    spec = replace(
        model.output,
        layout=draw(st.sampled_from(["nchw", "nhwc"])),
        alpha_offset=draw(st.sampled_from([0.0, -0.1])),
        alpha_gain=draw(st.sampled_from([1.0, 1.2])),
    )
    model = replace(model, output=spec)
    grid = draw(st.sampled_from([(32, 48), (16, 24), (5, 4), (1, 1), (33, 47)]))
    scores = random((1 if alone else 4, *grid), seed=draw(st.integers(0, 99)))
    if kind == "probability":
        scores = np.exp(scores) / (1 + np.exp(scores)) if alone else softmax_of(scores)
    output = (scores if spec.layout == "nchw" else np.moveaxis(scores, 0, -1))[None]
    output = np.ascontiguousarray(output, draw(st.sampled_from([np.float16, np.float32])))
    return model, output, (draw(st.integers(1, 90)), draw(st.integers(1, 90)))


def softmax_of(scores: NDArray[Any]) -> NDArray[Any]:
    """Probabilities."""
    powers = np.exp(scores)
    return powers / powers.sum(axis=0)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(outputs(), st.sampled_from([[1], [0], [0, 1]]), st.integers(0, 1))
def test_mattes_like_the_cpus(
    made: tuple[ModelCard, NDArray[Any], tuple[int, int]], chosen: list[int], seed: int
) -> None:
    """Logits, probabilities, one channel or several, any layout, fit, grid, precision: within one code."""
    model, output, size = made
    reader = ScoreReader(model)
    placement = place(model.input, size)
    share = reader.alpha(reader.scores(output), placement, chosen)
    wanted = np.rint(share * np.float32(255))
    found, broken = matte_of(model, output, size, chosen, seed)
    assert (found.shape, broken) == (wanted.shape, 0)
    assert np.abs(found - wanted).max() <= 1


@settings(max_examples=150, deadline=None, derandomize=True)
@given(outputs())
def test_label_maps_are_the_argmax_of_interpolated_scores(
    made: tuple[ModelCard, NDArray[Any], tuple[int, int]],
) -> None:
    """The definition's class, and ScoreReader's, wherever the best two scores differ by more than 1e-3."""
    model, output, size = made
    reader = ScoreReader(model)
    scores = reader.scores(output)
    full = np.stack([interpolated(plane.astype(np.float64), model, size) for plane in scores])
    found, _ = labels_of(model, output, size)
    best = np.sort(full, axis=0)
    clear = best[-1] - best[-2] > 1e-3
    assert (found == full.argmax(axis=0))[clear].all()
    theirs = reader.labels(scores, place(model.input, size), size)
    assert (found == theirs)[clear].all()


@pytest.mark.parametrize("size", [(96, 64), (131, 77), (48, 32), (640, 360)])
@pytest.mark.parametrize("kind", ["logits", "probability"])
def test_label_maps_like_the_cpus_where_the_frame_fills_the_grid(kind: str, size: tuple[int, int]) -> None:
    """At sizes of frames too: identical where the best two scores differ by more than 1e-3."""
    model, output = card(kind=kind), random((1, 4, 16, 24))
    reader = ScoreReader(model)
    scores = reader.scores(output)
    best = np.sort(np.stack([interpolated(plane.astype(float), model, size) for plane in scores]), axis=0)
    clear = best[-1] - best[-2] > 1e-3
    assert clear.mean() > 0.99
    theirs = reader.labels(scores, place(model.input, size), size)
    assert (labels_of(model, output, size)[0] == theirs)[clear].all()


def test_ties_go_to_the_first_class() -> None:
    """As numpy's argmax has it."""
    found, _ = labels_of(card(), np.zeros((1, 4, 8, 12), np.float32), (20, 10))
    assert (found == 0).all()


def test_a_matte_is_made_with_the_label_map() -> None:
    """In one pass: each class' opacity at the frame's size."""
    table = np.random.default_rng(0).integers(0, 256, 256).astype(np.uint8)
    found, alpha = labels_of(card(), random((1, 4, 16, 24)), (61, 43), table)
    assert len(np.unique(found)) == 4
    assert alpha is not None
    assert (alpha == table[found]).all()


@pytest.mark.parametrize(("fit", "size"), [("stretch", (96, 64)), ("letterbox", (61, 43))])
def test_class_ids_take_the_nearest_cell(fit: str, size: tuple[int, int]) -> None:
    """A network that decides by itself is not interpolated; its matte is hard."""
    model = card(kind="labels", fit=fit)
    ids = np.random.default_rng(0).integers(0, 4, (1, 16, 24)).astype(np.float32)
    reader = ScoreReader(model)
    scores = reader.scores(ids)
    theirs = reader.labels(scores, place(model.input, size), size)
    found, _ = labels_of(model, ids, size)
    assert (found == theirs).all()
    alpha, broken = matte_of(model, ids, size, [1, 3])
    wanted = np.rint(reader.alpha(scores, place(model.input, size), [1, 3]) * 255)
    assert broken == 0
    assert np.abs(alpha - wanted).max() <= 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_told(value: float) -> None:
    """Once anywhere is enough: the frame has failed."""
    output = random((1, 4, 16, 24))
    output[0, 3, 15, 23] = value
    assert matte_of(card(), output, (40, 30), [1])[1] == 1


def test_an_output_the_card_does_not_describe() -> None:
    """One line, the same as on the CPU."""
    model, output = card(), np.zeros((1, 5, 8, 8), np.float32)
    with pytest.raises(ModelError) as theirs:
        ScoreReader(model).scores(output)
    with pytest.raises(ModelError) as ours:
        matte_of(model, output, (8, 8), [1])
    assert str(ours.value) == str(theirs.value)
    assert OutputSpec(name="scores", kind="logits").name in str(ours.value)
