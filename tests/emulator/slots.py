"""A slot on an emulated card, for tests of what runs in one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamseg.gpu.device import Device
from streamseg.gpu.mattes import CardAlpha
from streamseg.gpu.slot import Slot
from tests.emulator.card import Card
from tests.emulator.driver import emulated


class Bench:
    """A slot and what tests do with it. Everything runs on the device's thread."""

    def __init__(self, device: Device) -> None:
        self.device, self.slot = device, Slot(device)

    def put(self, name: str, codes: NDArray[np.uint8]) -> CardAlpha:
        """Upload a matte."""
        return CardAlpha(self.slot.upload(name, [codes])[0], codes.shape[1], codes.shape[0])

    def get(self, address: int, shape: tuple[int, ...], dtype: Any = np.uint8) -> NDArray[Any]:
        """Download an array, and wait."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        staging = self.slot.download("got", address, size)
        self.slot.wait()
        return np.array(staging).view(dtype).reshape(shape)

    def codes(self, alpha: CardAlpha) -> NDArray[np.uint8]:
        """Download a matte."""
        return self.get(alpha.address, (alpha.height, alpha.width))


@contextmanager
def bench(card: Card | None = None) -> Iterator[Bench]:
    """A bench on a fresh card; when it is left, nothing may be."""
    card = card or Card()
    with emulated(card):
        with Device() as device:
            made = Bench(device)
            try:
                yield made
            finally:
                device.run(made.slot.clear)
        assert not card.leaks
