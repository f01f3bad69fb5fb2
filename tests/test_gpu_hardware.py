"""On a real card, where there is one: the same comparisons, at the sizes of real frames. `pytest -m gpu`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from streamseg.compositors.cuda import CudaCompositor
from streamseg.effects import EFFECTS, effect
from streamseg.errors import RuntimeFailure, UsageError
from streamseg.frame import Matte
from streamseg.gpu.device import Device
from tests.compositing import PEOPLE, frame_of, noise
from tests.test_compositors import PACKED
from tests.test_compositors_cuda import ANIMALS, FORMATS, require_alike, soft

pytestmark = pytest.mark.gpu


@pytest.fixture
def device() -> Iterator[Device]:
    """The first card."""
    try:
        opened = Device()
    except (UsageError, RuntimeFailure) as error:
        pytest.skip(f"needs an NVIDIA card, its driver, PyCUDA and NVRTC: {error}")
    with opened:
        yield opened


@pytest.mark.parametrize("size", [(1920, 1080), (1279, 719)])
@pytest.mark.parametrize("kind", FORMATS)
def test_every_effect_like_the_cpu(kind: str, size: tuple[int, int], device: Device) -> None:
    """Within one code of the CPU's compositor, in all common formats."""
    picture = noise(*size, PACKED.get(kind, kind), 3).reformat(format=kind)
    labels = np.random.default_rng(0).integers(0, 4, size[::-1]).astype(np.uint8)
    for name in EFFECTS:
        require_alike(effect(name), picture, Matte(soft(0, (256, 256)), labels), PEOPLE)
    require_alike(effect("overlay"), picture, Matte(soft(), labels), ANIMALS)


def test_a_thousand_frames_leave_the_cards_memory_as_it_was(device: Device) -> None:
    """Nothing is allocated after the first, and everything is given back in the end."""
    picture, matte = noise(1920, 1080, "yuv420p"), Matte(soft(0, (256, 256)))

    def free() -> int:
        return int(device.run(device.driver.mem_get_info)[0])

    before = free()
    with CudaCompositor(effect("blur"), classes=PEOPLE, foreground=(), device=device) as compositor:
        compositor(frame_of(picture), matte)
        first = free()
        for index in range(1, 1000):
            compositor(frame_of(picture, index), matte)
        assert free() == first
    assert before - free() < 1 << 20
