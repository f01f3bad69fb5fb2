"""The compositor that paints where a frame is: on the GPU if the network ran there, else on the processor."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from streamseg.compositors.base import Compositor
from streamseg.compositors.libav import LibavCompositor
from streamseg.compositors.operations import Traces
from streamseg.effects import Echo, Recipe
from streamseg.errors import GpuFailure
from streamseg.frame import Frame, Matte

if TYPE_CHECKING:
    from streamseg.compositors.cuda import CudaCompositor
    from streamseg.gpu.device import Device


class NearCompositor(Compositor):
    """Paints with CUDA the frames whose mattes were made on a GPU, others with libavfilter.

    When the GPU fails, the frame counts as one that could not be segmented: `matte.failure` is set, and it
    shows the background only. From then on that GPU is left alone, whatever mattes still have there.
    """

    name = "near"

    def __init__(self, recipe: Recipe, *, classes: Sequence[str], foreground: Sequence[str]) -> None:
        """As open_compositor; nothing is asked of a GPU yet."""
        self.recipe = recipe
        self._libav = LibavCompositor(recipe, classes=classes, foreground=foreground)
        self.classes, self.foreground = self._libav.classes, self._libav.foreground
        self._cuda: CudaCompositor | None = None
        self._device: Device | None = None
        self._echoes = any(isinstance(operation, Echo) for operation in recipe.operations)
        self._last: LibavCompositor | CudaCompositor = self._libav
        """Has the echo of earlier frames."""

    def __call__(self, frame: Frame, matte: Matte) -> Frame:
        """Return the frame as the viewer shall see it."""
        held = matte.held
        if held is None or held.device.failure:
            if matte.failure is None:
                self._carry_on(self._libav)
            return self._on_processor(frame, matte)
        try:
            cuda = self._at(held.device)
            self._carry_on(cuda)
            return cuda.paint(frame, matte, held)
        except GpuFailure:
            matte.failure = f"{held.device.failure}; the processor takes over"
            return self._on_processor(frame, matte)

    def _on_processor(self, frame: Frame, matte: Matte) -> Frame:
        painted = self._libav(frame, matte)
        if frame.lost is None or matte.failure is not None:
            return painted
        matte.failure = frame.lost
        return self._libav(frame, matte)

    def reset(self) -> None:
        """Forget the echo of earlier frames."""
        self._libav.reset()
        if self._cuda is not None:
            self._cuda.reset()

    def close(self) -> None:
        """Give the card's memory back; close backgrounds. Before the GPU is."""
        self._let_go()
        self._libav.close()

    def _at(self, device: Device) -> CudaCompositor:
        if self._cuda is None or self._device is not device:
            self._carry_on(self._libav)
            self._let_go()
            from streamseg.compositors.cuda import CudaCompositor

            self._cuda = CudaCompositor(
                self.recipe,
                classes=self.classes,
                foreground=self.foreground,
                device=device,
                beside=self._libav,
            )
            self._device = device
        return self._cuda

    def _carry_on(self, compositor: LibavCompositor | CudaCompositor) -> None:
        """Have a compositor paint from now on; the echo goes along.

        Not from a card that does not answer: then what is left of an older one fades on.
        """
        if compositor is self._last:
            return
        traces: Traces = {}
        if self._echoes:
            with suppress(GpuFailure):
                traces = self._last.traces()
        self._last = compositor
        if traces:
            compositor.recall(traces)

    def _let_go(self) -> None:
        if self._cuda is not None:
            self._last = self._libav
            self._cuda.close()
            self._cuda = None
