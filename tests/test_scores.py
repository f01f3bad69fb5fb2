"""From a network's output to opacities and label maps, held to plain numpy references."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamseg.errors import ModelError
from streamseg.models.card import InputSpec, ModelCard, OutputSpec
from streamseg.network_input import place
from streamseg.scores import Sampler, ScoreReader, contenders
from tests import networks

CLASSES = ("background", "cat", "dog", "person")
WIDTH, HEIGHT = 48, 32


def card(
    *, kind: str = "logits", fit: str = "stretch", corners: bool = False, **changes: object
) -> ModelCard:
    """A four-class card with an input of 48x32."""
    output = OutputSpec(name="scores", kind=kind, align_corners=corners)  # type: ignore[arg-type]
    spec = InputSpec(name="picture", width=WIDTH, height=HEIGHT, fit=fit)  # type: ignore[arg-type]
    many = networks.card(Path(), "none.onnx", input=spec, output=output, classes=CLASSES)
    return replace(many, **changes)  # type: ignore[arg-type]


def random(shape: tuple[int, ...], scale: float = 4.0, seed: int = 0) -> np.ndarray:
    """Normally distributed scores."""
    return (np.random.default_rng(seed).normal(size=shape) * scale).astype(np.float32)


def softmax(logits: np.ndarray) -> np.ndarray:
    """The textbook's."""
    powers = np.exp(logits.astype(np.float64))
    return powers / powers.sum(axis=0)


def interpolated(plane: np.ndarray, spec: ModelCard, size: tuple[int, int]) -> np.ndarray:
    """A plane at a frame's size, pixel by pixel from the definition."""
    placement = place(spec.input, size)
    axes = []
    for origin, extent, network, cells, pixels in (
        (placement.y, placement.height, spec.input.height, plane.shape[0], size[1]),
        (placement.x, placement.width, spec.input.width, plane.shape[1], size[0]),
    ):
        at = origin + (np.arange(pixels) + 0.5) * extent / pixels
        at = (
            (at - 0.5) * (cells - 1) / (network - 1)
            if spec.output.align_corners
            else at * cells / network - 0.5
        )
        axes.append(np.clip(at, 0, cells - 1))
    y, x = axes
    top, left = np.floor(y).astype(int), np.floor(x).astype(int)
    bottom, right = np.minimum(top + 1, plane.shape[0] - 1), np.minimum(left + 1, plane.shape[1] - 1)
    down, along = (y - top)[:, None], x - left
    upper = plane[top][:, left] * (1 - along) + plane[top][:, right] * along
    lower = plane[bottom][:, left] * (1 - along) + plane[bottom][:, right] * along
    return upper * (1 - down) + lower * down


grids = st.sampled_from([(32, 48), (8, 12), (5, 7), (1, 1), (2, 3)])
sizes = st.sampled_from([(96, 64), (160, 90), (90, 160), (37, 23), (1, 1), (480, 3)])
fits = st.sampled_from(["stretch", "letterbox"])


@given(grid=grids, size=sizes, fit=fits, corners=st.booleans(), odd=st.integers(0, 1), seed=st.integers(0, 5))
@settings(max_examples=120, deadline=None, derandomize=True)
def test_labels_are_the_argmax_of_interpolated_scores(
    grid: tuple[int, int], size: tuple[int, int], fit: str, corners: bool, odd: int, seed: int
) -> None:
    """For every grid, fit and size the label map is the definition's, where scores differ by over 1e-3."""
    spec = card(fit=fit, corners=corners)
    # With one pixel more, corner cells of a 5x7 grid sit on whole pixels, as a DeepLab's do.
    spec = replace(spec, input=replace(spec.input, width=WIDTH + odd, height=HEIGHT + odd))
    scores = random((len(CLASSES), *grid), seed=seed)
    found = ScoreReader(spec).labels(scores, place(spec.input, size), size)
    full = np.stack([interpolated(plane, spec, size) for plane in scores])
    ordered = np.sort(full, axis=0)
    sure = ordered[-1] - ordered[-2] > 1e-3
    assert found.shape == size[::-1]
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found[sure], full.argmax(axis=0)[sure])


def test_scores_are_interpolated_before_they_are_compared() -> None:
    """Between a cell of one class and a cell of another a third may win, though it wins no cell."""
    spec = card()
    scores = np.full((4, 1, 2), -9, np.float32)
    scores[1, 0], scores[2, 0], scores[3, 0] = (10, 0), (0, 10), (6, 6)
    labels = ScoreReader(spec).labels(scores, place(spec.input, (100, 10)), (100, 10))
    assert labels[5, [0, 50, 99]].tolist() == [1, 3, 2]


def test_equal_scores_go_to_the_first_class() -> None:
    """A tie is decided as argmax decides it."""
    spec = card()
    labels = ScoreReader(spec).labels(np.ones((4, 2, 2), np.float32), place(spec.input, (9, 9)), (9, 9))
    assert (labels == 0).all()


@given(shape=st.tuples(st.integers(1, 6), st.integers(1, 5), st.integers(1, 5)), seed=st.integers(0, 99))
@settings(max_examples=100, derandomize=True)
def test_no_class_that_wins_is_left_out(shape: tuple[int, int, int], seed: int) -> None:
    """Every class that is the largest in some cell, or between cells, is among the contenders."""
    scores = random(shape, seed=seed)
    sampler = Sampler(card(), place(card().input, (40, 40)), shape[1:], (40, 40))
    winners = np.unique(np.stack([sampler(plane) for plane in scores]).argmax(axis=0))
    assert set(winners.tolist()) <= set(contenders(scores))


def test_classes_that_cannot_win_are_left_out() -> None:
    """Of many classes only those that can be seen somewhere are interpolated."""
    scores = random((21, 33, 33), scale=0.1)
    scores[0] += 5
    scores[15, 10:20, 10:20] += 10
    assert contenders(scores) == [0, 15]


@given(grid=grids, size=sizes, fit=fits, corners=st.booleans())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_a_matte_lies_where_the_scores_lie(
    grid: tuple[int, int], size: tuple[int, int], fit: str, corners: bool
) -> None:
    """The matte covers the frame, letterbox undone, at the network's resolution or the grid's own."""
    spec = card(kind="probability", fit=fit, corners=corners)
    scores = np.random.default_rng(2).random((4, *grid), np.float32) / 4
    placement = place(spec.input, size)
    alpha = ScoreReader(spec).alpha(scores, placement, [1, 3])
    if alpha.shape == grid:
        np.testing.assert_allclose(alpha, scores[1] + scores[3], atol=1e-6)
    else:
        inside = (placement.width, placement.height)
        expected = interpolated(scores[1] + scores[3], spec, inside)
        if place(spec.input, inside) == placement:
            np.testing.assert_allclose(alpha, expected, atol=1e-3)
        assert alpha.shape == inside[::-1]


@pytest.mark.parametrize("chosen", [[3], [1, 3], [0, 1, 2], [0, 1, 2, 3]])
def test_a_matte_is_the_summed_softmax_of_the_chosen_classes(chosen: list[int]) -> None:
    """Opacity is probability, also for scores so large that their powers overflow."""
    spec = card()
    placement = place(spec.input, (100, 100))
    scores = random((4, HEIGHT, WIDTH))
    alpha = ScoreReader(spec).alpha(scores, placement, chosen)
    np.testing.assert_allclose(alpha, softmax(scores)[chosen].sum(axis=0), atol=1e-6)
    alpha = ScoreReader(spec).alpha(scores * 1e6, placement, chosen)
    np.testing.assert_array_equal(alpha, np.isin(scores.argmax(axis=0), chosen))


def test_coarse_logits_keep_a_steep_edge() -> None:
    """Between a cell of one class and a cell of another the matte is not a ramp as wide as the cell."""
    spec = card()
    scores = np.zeros((4, 2, 3), np.float32)
    scores[3] = [-20, 20, 20]
    alpha = ScoreReader(spec).alpha(scores, place(spec.input, (480, 320)), [3])
    assert alpha.shape == (HEIGHT, WIDTH)
    assert ((alpha > 0.05) & (alpha < 0.95)).sum() <= 4 * HEIGHT
    assert (alpha[:, 16] > 0.5).all()
    assert (alpha[:, 15] < 0.75).all()


def test_one_channel_is_the_second_of_two_classes() -> None:
    """A single probability or logit makes mattes and label maps as the softmax over two classes would."""
    two = {"classes": ("background", "person"), "foreground": ("person",)}
    logit = random((1, 1, HEIGHT, WIDTH))
    share = 1 / (1 + np.exp(-logit))
    for kind, output in (("logits", logit), ("probability", share)):
        spec = card(kind=kind, **two)
        reader, placement = ScoreReader(spec), place(spec.input, (WIDTH, HEIGHT))
        scores = reader.scores(output)
        np.testing.assert_allclose(reader.alpha(scores, placement, [1]), share[0, 0], atol=1e-6)
        np.testing.assert_allclose(reader.alpha(scores, placement, [0]), 1 - share[0, 0], atol=1e-6)
        labels = reader.labels(scores, placement, (WIDTH, HEIGHT))
        np.testing.assert_array_equal(labels, logit[0, 0] > 0)


def test_gain_and_offset_are_the_card_s() -> None:
    """alpha = clip((p + offset) * gain)."""
    spec = card(kind="probability")
    spec = replace(spec, output=replace(spec.output, alpha_offset=-0.1, alpha_gain=2.0))
    scores = np.zeros((4, 1, 4), np.float32)
    scores[3] = [[0.05, 0.1, 0.35, 0.9]]
    alpha = ScoreReader(spec).alpha(scores, place(spec.input, (4, 1)), [3])
    np.testing.assert_allclose(alpha, [[0, 0, 0.5, 1]], atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 2, 3), (1, 1, 2, 3), (1, 2, 3, 1)])
def test_a_network_may_decide_by_itself(shape: tuple[int, ...]) -> None:
    """Class ids are taken as they are: chosen ones are opaque, label maps take the nearest cell's."""
    spec = card(kind="labels")
    spec = replace(spec, output=replace(spec.output, layout="nhwc" if shape[-1] == 1 else "nchw"))
    reader, placement = ScoreReader(spec), place(spec.input, (12, 8))
    scores = reader.scores(np.array([0, 1, 3, 2, 2, 0], np.int64).reshape(shape))
    np.testing.assert_array_equal(reader.alpha(scores, placement, [1, 2]), [[0, 1, 0], [1, 1, 0]])
    labels = reader.labels(scores, placement, (12, 8))
    np.testing.assert_array_equal(labels[::4, ::4], [[0, 1, 3], [2, 2, 0]])
    np.testing.assert_array_equal(labels[3::4, 3::4], labels[::4, ::4])


def test_decided_ids_are_cut_out_of_a_letterbox() -> None:
    """Nearest cells are found through a letterbox too."""
    spec = card(kind="labels", fit="letterbox")
    ids = np.zeros((1, HEIGHT, WIDTH), np.float32)
    ids[:, :, 8:24], ids[:, :, 24:40] = 1, 2
    labels = ScoreReader(spec).labels(ids, place(spec.input, (100, 100)), (100, 100))
    assert (labels[:, :50] == 1).all()
    assert (labels[:, 50:] == 2).all()


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_both_layouts_read_the_same(layout: str) -> None:
    """Channels first or last, with float16 too."""
    spec = card()
    spec = replace(spec, output=replace(spec.output, layout=layout))  # type: ignore[arg-type]
    planes = random((4, 3, 5)).astype(np.float16)
    output = planes[None] if layout == "nchw" else np.moveaxis(planes, 0, -1)[None]
    np.testing.assert_array_equal(ScoreReader(spec).scores(output), planes.astype(np.float32))


@pytest.mark.parametrize("shape", [(1, 3, 8, 8), (1, 8, 8, 4), (1, 1, 8, 8), (1, 5, 4, 8, 8), (7,)])
def test_an_output_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    """The error says which shape came and what the card led to expect."""
    with pytest.raises(ModelError, match=r"output 'scores' of 'none' has shape \[.*4 classes.*'nchw'"):
        ScoreReader(card()).scores(np.zeros(shape, np.float32))
