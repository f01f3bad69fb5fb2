"""Matte operations on the card: the kernels, run on the CPU, give what OpenCV gives, to the code."""

from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from streamseg.compositors.operations import Operations
from streamseg.effects import Echo, Feather, Invert, MatteOperation, Outline, Threshold
from streamseg.gpu.jobs import JOBS
from streamseg.gpu.mattes import CardAlpha, CardOperations, Step, fixed_gaussian
from tests.emulator.card import Card
from tests.emulator.library import library
from tests.emulator.slots import bench

Codes = NDArray[np.uint8]

OPERATIONS: list[tuple[MatteOperation, ...]] = [
    (Invert(),),
    (Threshold(0.5),),
    (Threshold(0.3), Feather(1.5), Invert()),
    (Feather(9),),
    (Feather(0.01),),
    (Feather(60),),
    (Outline(8),),
    (Outline(120),),
    (Threshold(0.6), Feather(4), Outline(30)),
]


def mattes(width: int, height: int, seed: int) -> Codes:
    """Blobs with soft edges, and some noise."""
    random = np.random.default_rng(seed)
    wide = cv2.resize(random.normal(size=(4, 5)), (width, height), interpolation=cv2.INTER_CUBIC)
    noise = random.integers(-20, 21, (height, width))
    return np.clip(128 + 200 * wide.reshape(height, width) + noise, 0, 255).astype(np.uint8)


def test_jobs_are_laid_out_as_the_kernels_declare_them() -> None:
    """Every kernel is known, and takes a struct of the size numpy makes it."""
    sizes = {name: library().job_size(name) for name in JOBS}
    assert sizes == {name: job.itemsize for name, job in JOBS.items()}


@settings(max_examples=120, deadline=None, derandomize=True)
@given(
    st.integers(1, 90),
    st.integers(1, 90),
    st.sampled_from([(1, 1), (7, 9), (16, 12), (45, 45), None]),
    st.sampled_from(OPERATIONS),
    st.integers(0, 99),
)
def test_operations_like_those_on_the_cpu(
    width: int, height: int, grid: tuple[int, int] | None, operations: tuple[MatteOperation, ...], seed: int
) -> None:
    """Thresholds, feathers, outlines, inversions: the same codes, at every size of frame and matte."""
    alpha = mattes(*(grid or (width, height)), seed)
    wanted = Operations(operations)(alpha, (width, height), Fraction(0))
    with bench(Card(seed=seed)) as on:
        found = on.device.run(
            lambda: on.codes(
                CardOperations(operations)(on.slot, on.put("alpha", alpha), (width, height), Fraction(0))
            )
        )
    assert found.shape == wanted.shape
    assert (found == wanted).all()


@pytest.mark.parametrize(
    ("grid", "frame"), [((256, 256), (1279, 719)), ((256, 144), (640, 1138)), ((64, 64), (32, 32))]
)
def test_a_matte_is_resized_as_opencv_resizes_it(grid: tuple[int, int], frame: tuple[int, int]) -> None:
    """Off by at most one code, in at most a pixel of ten thousand: where float32 rounds a place otherwise."""
    alpha = np.random.default_rng(1).integers(0, 256, grid[::-1]).astype(np.uint8)
    with bench() as on:
        found = on.device.run(lambda: on.codes(Step(on.slot, "test").resized(on.put("alpha", alpha), frame)))
    apart = np.abs(found.astype(int) - cv2.resize(alpha, frame))
    assert apart.max() <= 1
    assert np.count_nonzero(apart) <= 1e-4 * apart.size


@pytest.mark.parametrize("size", [(199, 3), (1919, 5), (3, 4095), (2, 2), (7, 8)])
def test_a_matte_is_halved_as_opencv_halves_it(size: tuple[int, int]) -> None:
    """The same codes, also where a thousandth of a cell is left over at the end of a long row."""
    alpha, half = mattes(*size, 3), ((size[0] + 1) // 2, (size[1] + 1) // 2)
    with bench() as on:

        def work() -> Codes:
            made = CardAlpha(on.slot.memory("half", half[0] * half[1]), *half)
            fields = {"source": on.put("alpha", alpha).address, "to": made.address}
            sides = {"width": size[0], "height": size[1], "columns": half[0], "rows": half[1]}
            on.slot.launch("average_codes", half, **fields, **sides)
            return on.codes(made)

        found = on.device.run(work)
    assert (found == cv2.resize(alpha, half, interpolation=cv2.INTER_AREA)).all()


@pytest.mark.parametrize("sigma", [0.2, 0.5, 1.0, 1.7, 2.0])
def test_whole_numbered_gaussians_are_opencvs(sigma: float) -> None:
    """The weights are those OpenCV blurs a lone code with."""
    kernel = fixed_gaussian(sigma)
    assert kernel.sum() == 256
    line = np.zeros((1, 2 * len(kernel) + 1), np.uint8)
    line[0, len(kernel)] = 255
    seen = cv2.GaussianBlur(line, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)[0]
    middle = slice(len(kernel) - len(kernel) // 2, len(kernel) + len(kernel) // 2 + 1)
    assert (seen[middle] == (kernel.astype(int) * 255 + 128) // 256).all()


def test_an_echo_like_that_on_the_cpu() -> None:
    """Several sizes, back in time, after a reset: the same codes, or one apart just after resizing."""
    echo = (Echo(0.5, 0.4),)
    sizes = [(16, 12), (16, 12), (16, 12), (31, 17), (31, 17), (8, 8)]
    times = [Fraction(k, 25) for k in (0, 1, 9, 10, 8, 9)]
    cpu, card = Operations(echo), CardOperations(echo)
    with bench() as on:
        for index, (size, time) in enumerate(zip(sizes, times, strict=True)):
            alpha = mattes(*size, index)
            if index == 5:
                cpu.reset()
                card.reset()
            wanted = cpu(alpha, (99, 99), time)

            def work(alpha: Codes = alpha, time: Fraction = time) -> Codes:
                return on.codes(card(on.slot, on.put("alpha", alpha), (99, 99), time))

            apart = np.abs(on.device.run(work).astype(int) - wanted)
            assert apart.max() <= (1 if index == 3 else 0)


def test_an_echo_goes_from_the_cpu_to_the_card_and_back() -> None:
    """Handed over twice, also at another size, it is what it would have been without."""
    echo = (Invert(), Echo(0.5, 0.4))
    alone, cpu, card = Operations(echo), Operations(echo), CardOperations(echo)
    sizes = [(16, 12), (16, 12), (31, 17), (31, 17), (31, 17), (16, 12)]
    with bench() as on:
        for index, size in enumerate(sizes):
            alpha, time = mattes(*size, index), Fraction(index, 25)
            wanted = alone(alpha, (99, 99), time)

            def work(alpha: Codes = alpha, time: Fraction = time) -> Codes:
                return on.codes(card(on.slot, on.put("alpha", alpha), (99, 99), time))

            if index == 2:
                on.device.run(lambda: card.recall(on.slot, cpu.traces))
            if index == 4:
                cpu.recall(on.device.run(lambda: card.traces(on.slot)))
            found = on.device.run(work) if index in (2, 3) else cpu(alpha, (99, 99), time)
            assert np.abs(found.astype(int) - wanted).max() <= (0 if index < 2 else 1)
        assert on.device.run(lambda: CardOperations(echo).traces(on.slot)) == {}
