"""The clock that latency is measured with is read as it was burnt in, or not at all."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tests.clockface import age, burn, read


@pytest.mark.parametrize("scale", [1.0, 0.75, 0.5])
@pytest.mark.parametrize("seconds", [0.0, 1.2345, 98765.4321, 429496.7295])
def test_a_clock_survives_jpeg_and_scaling(seconds: float, scale: float) -> None:
    """To 0.1 ms, also from a picture compressed and made smaller."""
    luma = np.random.default_rng(1).integers(0, 256, (240, 320)).astype(np.uint8)
    burn(luma, seconds, (160, 120))
    small = cv2.resize(luma, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    shown = cv2.imdecode(cv2.imencode(".jpg", small)[1], cv2.IMREAD_GRAYSCALE)
    found = read(np.asarray(shown, np.uint8), (int(160 * scale), int(120 * scale)), 8 * scale)
    assert found == pytest.approx(seconds, abs=1e-6)


def test_what_is_no_clock_is_not_read() -> None:
    """A flat picture, noise and a clock half hidden say nothing."""
    flat = np.full((240, 320), 235, np.uint8)
    assert read(flat, (160, 120)) is None
    assert read(flat * 0, (160, 120)) is None
    burn(flat, 12345.678, (160, 120))
    flat[120:136] = 235
    assert read(flat, (160, 120)) is None


def test_ages_go_around_the_end_of_the_clock() -> None:
    """A clock that has begun anew is no picture from the future."""
    assert age(0.5, 429496.5) == pytest.approx(0.7296, abs=1e-3)
