"""The CUDA compositor, its kernels run on the CPU, against the CPU's compositor and the plain reference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from av.video.format import VideoFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from streamseg.compositors import open_compositor
from streamseg.compositors.cuda import CudaCompositor
from streamseg.effects import EFFECTS, Recipe, effect
from streamseg.errors import UsageError
from streamseg.frame import Matte
from streamseg.gpu.device import Device
from streamseg.gpu.mattes import CardAlpha
from streamseg.gpu.slot import Slot
from streamseg.gpu.surface import OnCard, upload
from tests.compositing import PEOPLE, Reference, coloured, frame_of, full_matte, furthest, noise, read
from tests.emulator.card import Card
from tests.emulator.driver import emulated
from tests.test_compositors import PACKED, PLANAR, scenes

ANIMALS = ("background", "cat", "dog", "horse")
FORMATS = ["yuv420p", "yuvj420p", "yuv420p10le", "nv12", "p010le", "yuv422p", "yuv422p10le", "yuv444p"]
FORMATS += ["yuv444p12le", "gray", "gray10le", "gbrp", "gbrp10le", "bgr24", "rgba"]
SIZES = [(64, 48), (61, 43)]


@pytest.fixture(params=[0, 1])
def card(request: pytest.FixtureRequest) -> Iterator[Card]:
    """A card that runs its threads in order, one that runs them the other way round; both are left clean."""
    with emulated(Card(seed=request.param)) as made:
        yield made
        assert not made.leaks
        assert len(made.threads) <= made.contexts


def shown(picture: av.VideoFrame) -> list[Any]:
    """The planes of a picture; of one with a palette the ids."""
    return [picture.to_ndarray()[0].astype(int)] if picture.format.name == "pal8" else read(picture)


def painted(
    recipe: Recipe,
    pictures: Sequence[av.VideoFrame],
    mattes: Sequence[Matte],
    device: str,
    classes: Sequence[str] = PEOPLE,
    foreground: Sequence[str] = (),
) -> list[av.VideoFrame]:
    """Frames one after the other."""
    with open_compositor(recipe, classes=classes, foreground=foreground, device=device) as compositor:  # type: ignore[arg-type]
        return [
            compositor(frame_of(picture, index), matte).picture
            for index, (picture, matte) in enumerate(zip(pictures, mattes, strict=True))
        ]


def require_alike(
    recipe: Recipe, picture: av.VideoFrame, matte: Matte, classes: Sequence[str] = PEOPLE, apart: int = 1
) -> None:
    """Three frames of a moving matte come out of both compositors alike, tags and timing included."""
    mattes = [Matte(np.roll(matte.alpha, index, 1), matte.labels) for index in range(3)]
    theirs = painted(recipe, 3 * [picture], mattes, "cpu", classes)
    ours = painted(recipe, 3 * [picture], mattes, "cuda", classes)
    for one, other in zip(theirs, ours, strict=True):
        for said in ("width", "height", "pts", "time_base", "duration", "pict_type", *TAGS):
            assert getattr(one, said) == getattr(other, said), said
        assert one.format.name == other.format.name
        assert furthest(shown(one), shown(other)) <= apart


TAGS = ("colorspace", "color_range", "color_primaries", "color_trc")


def soft(seed: int = 0, size: tuple[int, int] = (23, 31)) -> NDArray[np.uint8]:
    """A matte of (h, w) with clear and opaque parts and a soft edge between."""
    wide = np.random.default_rng(seed).normal(size=(4, 4)).astype(np.float32)
    return np.clip(128 + 250 * cv2.resize(wide, size[::-1], interpolation=cv2.INTER_CUBIC), 0, 255).astype(
        np.uint8
    )


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", EFFECTS)
@pytest.mark.parametrize("kind", FORMATS)
def test_every_effect_like_the_cpu(kind: str, name: str, size: tuple[int, int], card: Card) -> None:
    """All effects in all common formats, odd sizes too: within one code of the CPU's compositor."""
    picture = noise(*size, PACKED.get(kind, kind), 3)
    picture = picture.reformat(format=kind)
    picture.colorspace, picture.color_range = 9, 1
    random = np.random.default_rng(0)
    labels = random.integers(0, 4, size[::-1]).astype(np.uint8)
    require_alike(effect(name), picture, Matte(soft(), labels))
    if name in ("overlay", "labels", "cutout", "mask"):
        require_alike(effect(name), picture, Matte(soft(), labels), ANIMALS)


@pytest.mark.parametrize("name", EFFECTS)
@pytest.mark.parametrize(
    "options",
    [
        {"invert": True},
        {"threshold": 0.4},
        {"feather": 12.0},
        {"threshold": 0.6, "feather": 3.0, "invert": True},
    ],
    ids=str,
)
def test_every_operation_like_the_cpu(name: str, options: dict[str, Any], card: Card) -> None:
    """Whatever a recipe does to its matte, at a grid other than the frame's."""
    labels = np.random.default_rng(0).integers(0, 4, (43, 61)).astype(np.uint8)
    for classes in (PEOPLE, ANIMALS):
        require_alike(effect(name, **options), noise(61, 43, "yuv420p"), Matte(soft(), labels), classes)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    scenes(),
    st.sampled_from(["silhouette", "colour", "replace", "overlay", "tinted", "spotlight"]),
    st.integers(0, 1),
)
def test_like_the_reference(scene: tuple[av.VideoFrame, NDArray[np.uint8]], name: str, seed: int) -> None:
    """Every format, size, range, matrix, matte: within one code of the formulas, exact at 0 and 255."""
    picture, alpha = scene
    colours = {"color": "#d04020", "background": "#2090a0"}
    special = {"colour": effect("silhouette", **colours), "tinted": effect("overlay", **colours)}
    recipe = special.get(name) or effect(name)
    with emulated(Card(seed=seed)):
        made, back, front = painted(
            recipe, 3 * [picture], [Matte(alpha), full_matte(0), full_matte(255)], "cuda"
        )
    if recipe.name == "overlay":
        picture = coloured(picture)
    reference = Reference(picture, alpha)
    assert furthest(shown(made), reference.composite(recipe)) <= 1
    assert furthest(shown(back), reference.layer(recipe.background)) <= (1 if name == "spotlight" else 0)
    if recipe.name != "overlay":
        assert furthest(shown(front), reference.layer(recipe.foreground)) == 0


@settings(max_examples=40, deadline=None, derandomize=True)
@given(scenes(), st.sampled_from([5.0, 20.0, 100.0, 400.0]))
def test_blur_like_the_cpu(scene: tuple[av.VideoFrame, NDArray[np.uint8]], strength: float) -> None:
    """The same grid, the same weights: within one code of the CPU's."""
    picture, alpha = scene
    with emulated(Card()):
        require_alike(effect("blur", blur_strength=strength), picture, Matte(alpha))


@pytest.mark.parametrize("kind", sorted({*PLANAR, *PACKED, "yuva420p", "gbrap10le", "monob"}))
def test_every_format_like_the_cpu(kind: str, card: Card) -> None:
    """Formats whose components kernels find, and formats that are made planar first."""
    picture = noise(38, 22, PACKED.get(kind, kind if kind in PLANAR else "gbrp")).reformat(format=kind)
    for name in ("replace", "cutout", "overlay"):
        require_alike(effect(name), picture, Matte(soft()))


def test_rows_from_the_bottom_up(card: Card) -> None:
    """Pictures stored upside down, as some decoders give them, are read the right way."""
    graph = av.filter.Graph()
    entry = graph.add_buffer(width=48, height=32, format=VideoFormat("bgr24"), time_base=Fraction(1, 25))
    flip, end = graph.add("vflip"), graph.add("buffersink")
    graph.link_nodes(entry, flip, end).configure()
    entry.push(frame_of(noise(48, 32, "gbrp").reformat(format="bgr24")).picture)
    flipped = end.pull()
    assert isinstance(flipped, av.VideoFrame)
    assert flipped.planes[0].line_size < 0
    require_alike(effect("spotlight"), flipped, Matte(soft()))


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_a_picture_behind(fit: Any, tmp_path: Path, card: Card) -> None:
    """It is fitted as on the CPU, and goes up once however many frames show it."""
    path = tmp_path / "behind.png"
    assert cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (50, 90, 3)).astype(np.uint8))
    recipe = effect("replace", background=str(path), background_fit=fit)
    require_alike(recipe, noise(64, 48, "yuv420p"), Matte(soft()))
    assert card.calls.count("memcpy_htod_async") == 3 * 2 + 1, "frames and mattes, and the background once"


@pytest.mark.parametrize("transfer", [16, 18])
def test_high_dynamic_range(transfer: int, tmp_path: Path, card: Card) -> None:
    """Colours and pictures are as bright as paper in PQ and HLG, as on the CPU."""
    path = tmp_path / "white.png"
    assert cv2.imwrite(str(path), np.full((48, 64, 3), 255, np.uint8))
    picture = noise(64, 48, "yuv420p10le")
    picture.color_trc, picture.color_primaries, picture.colorspace, picture.color_range = transfer, 9, 9, 1
    for background in ("white", str(path)):
        recipe = effect("replace", background=background)
        require_alike(recipe, picture, Matte(soft()))
        (made,) = painted(recipe, [picture], [full_matte(0)], "cuda")
        assert (np.abs(shown(made)[0] - {16: 573, 18: 721}[transfer]) <= 3).all()


@pytest.mark.parametrize("name", EFFECTS)
@pytest.mark.parametrize("inverted", [False, True])
def test_a_failed_matte_shows_the_background_only(name: str, inverted: bool, card: Card) -> None:
    """Inverted or not, with an echo or not: what an empty matte would show; of inverted labels, nothing."""
    recipe = effect(name, invert=inverted)
    picture, other = noise(48, 32, "yuv420p", 1), noise(48, 32, "yuv420p", 2)
    failed = Matte(np.zeros((8, 8), np.uint8), failure="the network is gone")
    full = Matte(np.full((8, 8), 255, np.uint8), np.ones((32, 48), np.uint8))
    empty = Matte(np.zeros((8, 8), np.uint8), np.zeros((32, 48), np.uint8))
    _, made = painted(recipe, [other, picture], [full, failed], "cuda")
    if name == "labels" and inverted:
        assert (shown(made)[0] == 255).all()
    else:
        (wanted,) = painted(effect(name), [picture], [empty], "cuda")
        assert furthest(shown(made), shown(wanted)) == 0


@pytest.mark.parametrize("name", ["replace", "cutout", "mask"])
def test_finished_pictures_come_out_of_a_pool(name: str, card: Card) -> None:
    """One that was let go lends its memory to the next."""
    with open_compositor(effect(name), classes=PEOPLE, device="cuda") as compositor:
        frame, matte = frame_of(noise(320, 180, "yuv420p")), Matte(soft())
        held = compositor(frame, matte)
        free = compositor(frame, matte).picture.planes[0].buffer_ptr
        assert compositor(frame, matte).picture.planes[0].buffer_ptr == free
        assert held.picture.planes[0].buffer_ptr != free


@pytest.mark.parametrize("name", EFFECTS)
def test_size_and_format_may_change_in_mid_stream(name: str, card: Card) -> None:
    """Each frame comes out in its own format and size, as by a new compositor; what was handed on stays."""
    kinds = [(32, 18, "yuv420p"), (64, 64, "nv12"), (31, 17, "gbrp10le"), (64, 64, "gray"), (1, 1, "yuv444p")]
    with open_compositor(effect(name), classes=PEOPLE, device="cuda") as compositor:
        made, copies = [], []
        for index, (width, height, kind) in enumerate(2 * kinds):
            picture = noise(width, height, PACKED.get(kind, kind), index).reformat(format=kind)
            matte = Matte(soft(index), np.ones((height, width), np.uint8))
            compositor.reset()
            made.append(compositor(frame_of(picture, index), matte).picture)
            copies.append(shown(made[-1]))
            (wanted,) = painted(effect(name), [picture], [matte], "cpu")
            assert furthest(copies[-1], shown(wanted)) <= 1
    assert all(furthest(shown(picture), copy) == 0 for picture, copy in zip(made, copies, strict=True))


def test_frames_that_are_on_the_card_stay_there() -> None:
    """A decoded surface, a network's matte and its label map are used where they are, and not written to."""
    picture, labels = (
        noise(61, 43, "yuv420p"),
        np.random.default_rng(0).integers(0, 4, (43, 61)).astype(np.uint8),
    )
    alpha, matte = soft(), Matte(soft(), labels)
    with emulated(Card()) as card, Device() as device:
        slot = Slot(device)

        def put() -> OnCard:
            surface = upload(slot, "decoded", picture)
            held = OnCard(
                device,
                surface,
                CardAlpha(slot.upload("matte", [alpha])[0], 31, 23),
                CardAlpha(slot.upload("labels", [labels])[0], 61, 43),
            )
            slot.wait()
            return held

        held = device.run(put)
        content = [allocation.bytes.copy() for allocation in card.allocations]
        for name in EFFECTS:
            (wanted,) = painted(effect(name), [picture], [matte], "cpu", ANIMALS)
            with_device = CudaCompositor(effect(name), classes=ANIMALS, foreground=(), device=device)
            with with_device as compositor:
                compositor.paint(frame_of(picture), Matte(np.zeros((1, 1), np.uint8)), held)
                before = len(card.calls)
                compositor.reset()
                made = compositor.paint(frame_of(picture), Matte(np.zeros((1, 1), np.uint8)), held).picture
                assert "memcpy_htod_async" not in card.calls[before:]
            assert furthest(shown(made), shown(wanted)) <= 1, name
        for allocation, before_painting in zip(card.allocations, content, strict=False):
            assert (allocation.bytes == before_painting).all()
        device.run(slot.clear)
    assert not card.leaks


def test_the_cpu_paints_what_is_not_on_a_card() -> None:
    """The default asks nothing of a GPU until something is there; an unknown device is told all there are."""
    with emulated(Card()) as card, open_compositor(effect("mask")) as compositor:
        compositor(frame_of(noise(61, 43, "yuv420p")), Matte(soft()))
    assert not card.calls
    with pytest.raises(UsageError, match="no device 'gpu'; known: auto, cpu, cuda"):
        open_compositor(effect("mask"), device="gpu")  # type: ignore[arg-type]
