"""How a network on the card sees frames: they go up once, or were decoded there, and of what it finds the
small matte comes down."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamseg.crop import Box
from streamseg.errors import RuntimeFailure
from streamseg.frame import Frame
from streamseg.gpu.decoded import decoded, points
from streamseg.gpu.device import Device, Steps
from streamseg.gpu.engine import Engine
from streamseg.gpu.mattes import CardAlpha
from streamseg.gpu.network_input import CardInput
from streamseg.gpu.scores import CardScoreReader
from streamseg.gpu.slot import Lease, Slot
from streamseg.gpu.surface import OnCard, Surface, positions, upload
from streamseg.models.card import ModelCard
from streamseg.network_input import NetworkInput, Placement
from streamseg.people import Look
from streamseg.pictures import layout
from streamseg.runtimes.base import Tensors
from streamseg.shots import GRID
from streamseg.sight import Glance, Sight


class CardSight(Sight):
    """An engine that looks at frames on its card.

    Each look has a slot of its own, and keeps it until nobody holds what it found. There are as many slots as
    frames between segmenter and compositor, and one more.
    """

    def __init__(self, device: Device, engine: Engine, card: ModelCard, chosen: Sequence[int]) -> None:
        """`chosen`: ids of the classes a matte is made of. Device and engine belong to the caller."""
        self.device, self.engine = device, engine
        self.chosen = chosen
        self.input = CardInput(card.input, half=engine.input_dtype == np.float16)
        self.scaled = NetworkInput(card.input)
        """For formats whose samples kernels do not find."""
        self.reader = CardScoreReader(card)
        self._idle: deque[Slot] = deque()
        self._slots: list[Slot] = []

    @property
    def failure(self) -> str | None:
        """How its card failed, whoever used it."""
        return self.device.failure

    def at(self, frame: Frame, *, labels: bool) -> Glance:
        """Return what looks at a frame."""
        return _Sighting(self, frame, labels=labels)

    def points(self, frame: Frame) -> NDArray[np.uint8] | None:
        """Luma of pixels of a frame that was decoded on the card."""
        surface = decoded(frame.native)
        if surface is None:
            return None
        lease = self.lease()

        def read() -> Steps[NDArray[np.uint8] | None]:
            try:
                return (yield from points(lease.slot, surface, GRID))
            except Exception:
                lease.slot.clear()
                raise

        return self.device.carry_out(read)

    def lease(self) -> Lease:
        """Return an idle slot, or one more."""
        try:
            slot = self._idle.popleft()
        except IndexError:
            slot = Slot(self.device)
            self._slots.append(slot)
        return Lease(self._idle, slot)

    def remember(self, states: Tensors) -> None:
        """Begin with these states."""
        self.device.run(lambda: self.engine.remember(states))

    def states(self) -> Tensors:
        """What the network remembers."""
        return self.device.run(self.engine.states)

    def clear(self) -> None:
        """Give the memory of all slots back (the GPU's thread)."""
        for slot in self._slots:
            slot.clear()


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a look found; the arrays are the slot's."""

    alpha: CardAlpha
    labels: CardAlpha | None
    opacities: NDArray[np.uint8]
    ids: NDArray[np.uint8] | None


class _Sighting:
    """One frame being looked at, once or more: the first look takes it up to the card."""

    def __init__(self, sight: CardSight, frame: Frame, *, labels: bool) -> None:
        self._sight, self._frame, self._labels = sight, frame, labels
        self._lease: Lease | None = None
        self._surface: Surface | None = None

    def __call__(self, view: Box) -> Look:
        """Run the network on a part of the frame."""
        sight, part = self._sight, None if (view.width, view.height) == self._frame.size else view
        lease = sight.lease()
        holder = self._lease = self._lease or lease
        tensor = None
        if not positions(layout(self._frame.native).name):
            tensor = sight.scaled(self._frame.picture, part)

        def look() -> Steps[_Seen]:
            try:
                return (yield from self._look(lease.slot, view, part, tensor))
            except Exception:
                lease.slot.clear()
                raise

        seen = sight.device.carry_out(look)
        whole = part is None
        held = OnCard(
            sight.device,
            self._surface,
            seen.alpha if whole else None,
            seen.labels if whole else None,
            (holder, lease),
        )
        share = np.multiply(seen.opacities, np.float32(1 / 255), dtype=np.float32)
        ids = np.zeros((view.height, view.width), np.uint8) if seen.ids is None else np.array(seen.ids)
        return Look(view, share, lambda: ids, held)

    def _placed(self, slot: Slot) -> Surface:
        """The frame on the card: where it was decoded, or else uploaded."""
        surface = decoded(self._frame.native)
        if surface is None:
            return upload(slot, "frame", self._frame.native)
        slot.follow_decoder()
        return surface

    def _look(
        self, slot: Slot, view: Box, part: Box | None, tensor: tuple[NDArray[np.float32], Placement] | None
    ) -> Steps[_Seen]:
        """On the GPU's thread: queue everything, wait once."""
        engine, reader = self._sight.engine, self._sight.reader
        if tensor is not None:
            placement = tensor[1]
            engine.fill(slot, tensor[0])
        else:
            if self._surface is None:
                self._surface = self._placed(slot)
            placement = self._sight.input(slot, self._surface, engine.input, part)
        engine.run(slot)
        alpha, broken = reader.alpha(slot, engine.output, placement, self._sight.chosen)
        labels = ids = None
        if self._labels:
            labels, _ = reader.labels(slot, engine.output, placement, (view.width, view.height))
            ids = slot.download("ids", labels.address, view.width * view.height)
        opacities = slot.download("opacities", alpha.address, alpha.width * alpha.height)
        fault = slot.download("fault", broken, 4)
        yield slot.queued()
        if fault.view(np.int32)[0]:
            raise RuntimeFailure("the network's output is not finite")
        return _Seen(
            alpha,
            labels,
            opacities.reshape(alpha.height, alpha.width),
            None if ids is None else ids.reshape(view.height, view.width),
        )
