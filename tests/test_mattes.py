"""Matte functions against hand-made mattes and plain references."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamseg import mattes


def half(width: int = 60, height: int = 40, split: int = 30) -> mattes.Alpha:
    """Clear left of column `split`, opaque from it on."""
    alpha = np.zeros((height, width), np.uint8)
    alpha[:, split:] = 255
    return alpha


def disc(radius: float, side: int = 101) -> mattes.Alpha:
    """An opaque disc in the middle, its edge antialiased."""
    axis = np.arange(side) - side // 2
    return (255 * np.clip(radius - np.hypot(axis, axis[:, None]) + 0.5, 0, 1)).astype(np.uint8)


def test_threshold_is_hard_with_an_antialiased_edge() -> None:
    """Above the level all is opaque, below all is clear, and only pixels beside the edge lie between."""
    ramp = np.tile(np.linspace(0, 255, 256).astype(np.uint8), (8, 1))
    hard = mattes.threshold(ramp, 0.25)
    assert (hard[:, :62] == 0).all()
    assert (hard[:, 66:] == 255).all()
    assert (np.diff(hard.astype(int), axis=1) >= 0).all()
    assert 0 < hard[0, 63] < hard[0, 64] < 255


@pytest.mark.parametrize(("level", "opaque"), [(0.0, 255), (0.49, 255), (0.51, 0), (1.0, 0)])
def test_threshold_level_is_a_share_of_full_opacity(level: float, opaque: int) -> None:
    """A matte of a half is above 0.49 and below 0.51."""
    assert (mattes.threshold(np.full((5, 7), 128, np.uint8), level) == opaque).all()


def test_anchored_keeps_soft_edges_and_clears_what_is_half_opaque_elsewhere() -> None:
    """A disc stays as it is, with its edge; a fainter patch beside it is cut off beyond its reach, one apart
    from it goes; so does all of a matte that is nowhere opaque."""
    alone = mattes.feather(disc(20), 3)
    assert (mattes.anchored(alone, 5) == alone).all()
    leaking = alone.copy()
    leaking[45:56, 71:] = 140
    leaking[0:10, 0:10] = 190
    kept = mattes.anchored(leaking, 5)
    assert (kept[:10, :10] == 0).all()
    assert (kept[45:56, 82:] == 0).all()
    assert (kept[50, 60:73] == leaking[50, 60:73]).all()
    assert (mattes.anchored(np.full((40, 40), 200, np.uint8), 5) == 0).all()


@given(seed=st.integers(0, 2**32 - 1), reach=st.integers(1, 12))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_anchored_only_takes_away(seed: int, reach: int) -> None:
    """No pixel gains opacity; what is opaque, and around it to half the reach, keeps its own."""
    alpha = np.random.default_rng(seed).integers(0, 256, (33, 47), dtype=np.uint8)
    alpha[alpha >= 204] = np.where(np.indices(alpha.shape)[0][alpha >= 204] % 7, 100, 255)
    kept = mattes.anchored(alpha, reach)
    assert (kept <= alpha).all()
    for row, column in np.argwhere(alpha >= 204):
        near = slice(max(row - reach // 2, 0), row + reach // 2 + 1)
        beside = slice(max(column - reach // 2, 0), column + reach // 2 + 1)
        assert (kept[near, beside] == alpha[near, beside]).all()


def test_invert_swaps_figure_and_ground() -> None:
    """Opacity becomes what was missing to full opacity."""
    np.testing.assert_array_equal(mattes.invert(np.array([[0, 1, 200, 255]], np.uint8)), [[255, 254, 55, 0]])


@pytest.mark.parametrize("radius", [1, 2, 3, 5, 8, 12])
def test_feather_makes_a_slope_of_its_radius(radius: int) -> None:
    """A hard edge keeps its place, and is nearly full opacity `radius` pixels inside, nearly none outside."""
    alpha = half(200, 20, 100)
    row = mattes.feather(alpha, radius)[10].astype(int)
    assert (np.diff(row) >= 0).all()
    assert abs(row[99] + row[100] - 255) <= 6
    assert row[99 - radius] < 20
    assert row[100 + radius] > 235
    assert row[100 - radius // 2 - 1] > 2, "not softer than a hard edge"


def test_no_feather_changes_nothing() -> None:
    """A radius of 0 is off."""
    np.testing.assert_array_equal(mattes.feather(half(), 0), half())


@pytest.mark.parametrize("width", [1, 2, 3, 4, 6, 10, 16])
def test_outline_is_as_wide_as_asked(width: int) -> None:
    """Across a straight edge the band's opacities add up to its width, and it is centred on the edge."""
    band = mattes.outline(half(100, 60, 50), width)[30] / 255
    assert band.sum() == pytest.approx(width, abs=0.1 + 0.06 * width)
    assert (band * (np.arange(100) + 0.5)).sum() / band.sum() == pytest.approx(50, abs=0.3)


def test_outline_is_as_wide_in_all_directions() -> None:
    """The band around a disc covers the ring's area within a tenth, and nothing elsewhere."""
    band = mattes.outline(disc(35), 6) / 255
    assert band.sum() == pytest.approx(2 * np.pi * 35 * 6, rel=0.1)
    assert band[50, 50] == 0
    assert band[0, 0] == 0


@pytest.mark.parametrize("level", [0, 255])
def test_outline_of_nothing_is_nothing(level: int) -> None:
    """Without a contour there is no band, not even at the picture's border."""
    assert not mattes.outline(np.full((30, 40), level, np.uint8), 5).any()


def test_refine_moves_the_edge_to_the_picture() -> None:
    """Between the cells of a coarse matte the edge is where the picture has it."""
    luma = np.full((160, 240), 40, np.uint8)
    luma[:, 118:] = 200
    coarse = np.zeros((40, 60), np.uint8)
    coarse[:, 30:] = 255
    coarse[:, 29] = 128
    plain = mattes._reduced(coarse, 240, 160)
    refined = mattes.refine(coarse, luma)
    truth = luma > 100
    assert refined.shape == luma.shape
    assert np.abs(refined - 255.0 * truth).mean() < 0.5 * np.abs(plain - 255.0 * truth).mean()


def test_refine_leaves_a_matte_alone_where_the_picture_is_flat() -> None:
    """Without edges to follow, nothing but a slight blur happens."""
    alpha = disc(20, 64)
    refined = mattes.refine(alpha, np.full((64, 64), 90, np.uint8))
    assert np.abs(refined.astype(int) - alpha).mean() < 12
    assert refined[32, 32] == 255
    assert refined[0, 0] == 0


@given(
    shape=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    luma=st.tuples(st.integers(1, 200), st.integers(1, 200)),
    length=st.floats(0.1, 90),
)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_any_size_will_do(shape: tuple[int, int], luma: tuple[int, int], length: float) -> None:
    """Every function takes mattes down to one pixel, keeps their size, and changes nothing in place."""
    alpha = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    before = alpha.copy()
    made = [
        mattes.threshold(alpha, 0.5),
        mattes.invert(alpha),
        mattes.feather(alpha, length),
        mattes.outline(alpha, length),
    ]
    assert all(one.shape == shape and one.dtype == np.uint8 for one in made)
    assert mattes.refine(alpha, np.zeros(luma, np.uint8)).shape == luma
    np.testing.assert_array_equal(alpha, before)
