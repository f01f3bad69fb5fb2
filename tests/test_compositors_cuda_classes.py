"""What the CUDA compositor makes of label maps, its kernels run on the CPU: class colours, label pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import av
import numpy as np
import pytest
from av.video.format import VideoFormat

from streamseg.compositors import open_compositor
from streamseg.compositors.cuda import CudaCompositor, OnCard
from streamseg.effects import Blurred, ClassColours, Colour, Dimmed, Recipe, effect
from streamseg.errors import UsageError
from streamseg.frame import Matte
from streamseg.gpu.device import Device
from streamseg.gpu.mattes import CardAlpha
from streamseg.gpu.slot import Slot
from streamseg.gpu.surface import upload
from streamseg.pictures import planes
from tests.compositing import PEOPLE, frame_of, full_matte, furthest, noise
from tests.emulator.card import Card
from tests.test_compositors import PACKED
from tests.test_compositors_cuda import ANIMALS, FORMATS, card, painted, require_alike, shown, soft

__all__ = ["card"]


@pytest.mark.parametrize("classes", [PEOPLE, ANIMALS])
@pytest.mark.parametrize("kind", FORMATS)
def test_a_tinted_figure_before_anything_else(kind: str, classes: Sequence[str], card: Card) -> None:
    """Before a colour, in the middle of dimmed light, before a blur: the tint hides the frame, not those."""
    picture = noise(61, 43, PACKED.get(kind, kind), 3).reformat(format=kind)
    labels = np.random.default_rng(0).integers(0, 4, (43, 61)).astype(np.uint8)
    for opacity in (0.3, 0.5, 1.0):
        tint = ClassColours(opacity, (208, 64, 32))
        for behind in (Colour((32, 144, 160)), Dimmed(0.4), Blurred(40)):
            recipe = Recipe(name="overlay", foreground=tint, background=behind, needs_labels=True)
            require_alike(recipe, picture, Matte(soft(), labels), classes)


@pytest.mark.parametrize("said", [0, 1, 2])
@pytest.mark.parametrize("kind", ["gray", "gray9le", "gray10le", "gray12le", "gray14le", "gray16le"])
def test_grey_in_full_range_to_the_code(kind: str, said: int, card: Card) -> None:
    """Every code of every depth and range, where no class covers it: as the CPU has it, in RGB."""
    depth = VideoFormat(kind).components[0].bits
    codes = np.arange(1 << 16).reshape(256, 256) % (1 << depth)
    picture = av.VideoFrame(256, 256, kind)
    planes(picture)[0][:] = codes
    picture.color_range = said
    (wanted,) = painted(effect("overlay"), [picture], [full_matte(0)], "cpu")
    (made,) = painted(effect("overlay"), [picture], [full_matte(0)], "cuda")
    assert made.format.name == kind.replace("gray", "gbrp")
    assert (made.colorspace, made.color_range) == (0, 2)
    assert furthest(shown(made), shown(wanted)) == 0


def test_grey_that_is_on_the_card_is_coloured_there(card: Card) -> None:
    """It stays as it is in the decoder's memory, which somebody may still need."""
    picture = noise(61, 43, "gray")
    picture.color_range = 1
    (wanted,) = painted(effect("overlay"), [picture], [Matte(soft())], "cpu")
    with Device() as device:
        slot = Slot(device)
        held = OnCard(device, device.run(lambda: upload(slot, "decoded", picture)))
        device.run(slot.wait)
        (before,) = (allocation.bytes.copy() for allocation in card.allocations)
        with CudaCompositor(effect("overlay"), classes=PEOPLE, foreground=(), device=device) as compositor:
            made = compositor.paint(frame_of(picture), Matte(soft()), held).picture
        assert (card.allocations[0].bytes == before).all()
        device.run(slot.clear)
    assert made.format.name == "gbrp"
    assert furthest(shown(made), shown(wanted)) <= 1


@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize("foreground", [(), ("dog",), ("background", "dog")])
def test_label_pictures_like_the_cpu(foreground: Sequence[str], invert: bool, card: Card) -> None:
    """The same ids, and void where background is shown itself; from the card's label map too."""
    labels = np.random.default_rng(0).integers(0, 4, (43, 61)).astype(np.uint8)
    picture, recipe = noise(61, 43, "yuv420p"), effect("labels", invert=invert)
    for matte in (Matte(soft(), labels), Matte(soft(), labels, failure="the network is gone")):
        (wanted,) = painted(recipe, [picture], [matte], "cpu", ANIMALS, foreground)
        with Device() as device:
            slot = Slot(device)
            held = device.run(lambda s=slot: CardAlpha(s.upload("labels", [labels])[0], 61, 43))
            device.run(slot.wait)
            with CudaCompositor(recipe, classes=ANIMALS, foreground=foreground, device=device) as compositor:
                for on_card in (OnCard(device), OnCard(device, labels=held)):
                    made = compositor.paint(frame_of(picture), matte, on_card).picture
                    assert furthest(shown(made), shown(wanted)) == 0
            device.run(slot.clear)


@pytest.mark.parametrize(("name", "classes"), [("overlay", ANIMALS), ("labels", ANIMALS), ("labels", PEOPLE)])
def test_a_missing_label_map_is_told(name: str, classes: Sequence[str], card: Card) -> None:
    """As on the CPU; nothing is asked of the card, and with two classes an overlay needs none."""
    with open_compositor(effect(name), classes=classes, device="cuda") as compositor:
        before = len(card.calls)
        with pytest.raises(UsageError, match=f"effect '{name}' needs label maps; .* labels=True"):
            compositor(frame_of(noise(8, 8, "yuv420p")), Matte(soft()))
        assert card.calls[before:] == []
    painted(effect("overlay"), [noise(8, 8, "yuv420p")], [Matte(soft())], "cuda")


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_compositor_tells_its_classes(device: Any, card: Card) -> None:
    """All in the order of their ids, and those it paints: without names all but the background."""
    with open_compositor(effect("overlay"), classes=ANIMALS, device=device) as compositor:
        assert (compositor.classes, compositor.foreground) == (ANIMALS, ANIMALS[1:])
    with open_compositor(effect("overlay"), classes=ANIMALS, foreground=["dog"], device=device) as compositor:
        assert compositor.foreground == ("dog",)
