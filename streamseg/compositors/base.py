"""What every compositor promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType

from streamseg.effects import Recipe
from streamseg.frame import Frame, Matte


class Compositor(ABC):
    """Paints a recipe, frame by frame, on one thread; a context manager.

    All compositors paint the same within one code value. Where alpha is 0 the picture has the bytes of the
    background layer, where it is 255 those of the foreground layer. A matte that says it failed shows the
    background layer only, also when the recipe inverts mattes. The output has the frame's size, timing and
    colour tags, and the planar pixel format of the same sampling and depth (`nv12` becomes `yuv420p`, `bgr24`
    becomes `gbrp`), save that class colours over grey make RGB of its depth; its memory is its own.
    """

    name: str
    recipe: Recipe
    classes: tuple[str, ...]
    """Names of the classes of the label maps it expects, in the order of their ids."""
    foreground: tuple[str, ...]
    """Those of them it paints where the recipe asks for classes."""

    @abstractmethod
    def __call__(self, frame: Frame, matte: Matte) -> Frame:
        """Return the frame as the viewer shall see it. Size and format may change from frame to frame.

        Raises UsageError for a matte without the label map the recipe needs.
        """

    @abstractmethod
    def reset(self) -> None:
        """Forget what earlier frames left behind, such as an echo."""

    @abstractmethod
    def close(self) -> None:
        """Release everything; called once."""

    def __enter__(self) -> Compositor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
