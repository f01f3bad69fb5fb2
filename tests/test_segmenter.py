"""The segmenter on synthetic pictures."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamseg.errors import ModelError, UsageError
from streamseg.frame import Frame, Matte
from streamseg.models import find_model
from streamseg.models.card import InputSpec, ModelCard
from streamseg.segmenter import Segmenter
from streamseg.smoothing import Smoothing
from tests import networks
from tests.clips import picture
from tests.test_network_input import FORMATS


def shown(made: av.VideoFrame, name: str | None = None) -> Frame:
    """A frame of a picture; with a name it is a still."""
    return Frame(made, captured=0.0, name=name)


def flat(level: int, size: tuple[int, int] = (64, 48)) -> Frame:
    """A frame of one brightness."""
    return shown(av.VideoFrame.from_ndarray(np.full(size[::-1], level, np.uint8), format="gray"))


def bright_box(size: tuple[int, int], box: tuple[float, float, float, float], pixel_format: str) -> Frame:
    """White where x0 <= x < x1 and y0 <= y < y1 (shares of the picture), black elsewhere."""
    width, height = size
    pixels = np.zeros((height, width, 3), np.uint8)
    x0, y0, x1, y1 = box
    pixels[round(y0 * height) : round(y1 * height), round(x0 * width) : round(x1 * width)] = 255
    return shown(av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format=pixel_format))


def full_size(matte: Matte, size: tuple[int, int]) -> np.ndarray:
    """The matte as a compositor sees it: sampled bilinearly at the frame's size, 0..1."""
    return cv2.resize(matte.alpha, size, interpolation=cv2.INTER_LINEAR) / 255


@given(
    pixel_format=st.sampled_from(FORMATS),
    size=st.one_of(
        st.tuples(st.integers(1, 400), st.integers(1, 400)),
        st.sampled_from([(1, 1), (2, 2), (1, 300), (300, 1), (853, 479), (16384, 16)]),
    ),
)
@settings(max_examples=120, deadline=None, derandomize=True)
def test_every_format_and_size_gives_a_centred_disc(pixel_format: str, size: tuple[int, int]) -> None:
    """With the null runtime the figure is in the middle of every frame, in the label map of its size too."""
    with Segmenter(find_model("selfie"), runtime="null", labels=True) as segmenter:
        matte = segmenter(shown(av.VideoFrame(*size, pixel_format)))
    assert matte.failure is None
    assert matte.labels is not None
    assert matte.labels.shape == size[::-1]
    if min(size) > 2:  # of a smaller one no pixel's middle lies in the disc
        assert matte.labels[size[1] // 2, size[0] // 2] == 1
    np.testing.assert_array_equal(matte.alpha, matte.alpha[::-1, ::-1])
    np.testing.assert_array_equal(matte.labels, matte.labels[::-1, ::-1])
    assert np.mean(matte.alpha == 255) == pytest.approx(np.pi * 0.35**2, abs=0.02)


@pytest.mark.parametrize("fit", ["stretch", "letterbox"])
@pytest.mark.parametrize(
    "pixel_format", ["yuv420p", "nv12", "yuv422p10le", "gray", "gray16le", "bgr24", "rgba"]
)
def test_a_two_class_network_finds_things_where_they_are(tmp_path: Path, pixel_format: str, fit: str) -> None:
    """A 2-class softmax at 128x128 puts a box where the frame has it, from grey and colour alike."""
    spec = InputSpec(name="picture", width=128, height=128, fit=fit)  # type: ignore[arg-type]
    card = networks.bright_two_classes(tmp_path, input=spec)
    size, box = (320, 180), (0.25, 0.2, 0.7, 0.9)
    with Segmenter(card, labels=True) as segmenter:
        matte = segmenter(bright_box(size, box, pixel_format))
    assert segmenter.runtime == "onnxruntime"
    truth = np.zeros(size[::-1])
    truth[36:162, 80:224] = 1
    assert np.abs(full_size(matte, size) - truth).mean() < 0.02
    assert matte.labels is not None
    assert np.mean(matte.labels != truth) < 0.015


def test_a_grey_network_sees_colour_pictures(tmp_path: Path) -> None:
    """A network of one channel works from a bare brightness."""
    with Segmenter(networks.bright_two_classes(tmp_path, channels=1)) as segmenter:
        matte = segmenter(bright_box((200, 100), (0.5, 0, 1, 1), "yuv420p"))
    assert matte.alpha[:, :60].max() < 10
    assert matte.alpha[:, 68:].min() > 245


def test_classes_are_chosen_by_name(tmp_path: Path) -> None:
    """A matte is made of the chosen classes, by default the card's foreground; `all`: no background."""
    classes = ("background", "cat", "person", "dog")
    card = networks.card(tmp_path, "none.onnx", classes=classes, foreground=("person",))
    chosen = [((), ("person",)), (("dog", "cat"), ("cat", "dog")), (("all",), ("cat", "person", "dog"))]
    for asked, used in chosen:
        with Segmenter(card, runtime="null", classes=asked) as segmenter:
            assert segmenter.classes == classes
            assert segmenter.foreground == used
            found = segmenter(flat(0)).alpha.max()
        assert found == (255 if "person" in used else 0)


def test_an_unknown_class_is_answered_with_the_list() -> None:
    """Whoever asks for a class the model does not know is told those it knows."""
    with pytest.raises(UsageError, match="no class 'cat' in model 'selfie'; it knows: background, person"):
        Segmenter(find_model("selfie"), runtime="null", classes=["person", "cat"])


def test_states_are_carried_until_something_ends_them(tmp_path: Path) -> None:
    """A recurrent network sees its last state, but none across stills, changes of size and `reset`."""
    with Segmenter(networks.counting(tmp_path)) as segmenter:
        found = [segmenter(flat(255)).alpha.max() for _ in range(3)]
        found.append(segmenter(flat(255, (80, 60))).alpha.max())
        found.append(segmenter(flat(255, (80, 60))).alpha.max())
        segmenter.reset()
        found.append(segmenter(flat(255, (80, 60))).alpha.max())
        still = flat(255, (80, 60))
        still.name = "a.jpg"
        found.append(segmenter(still).alpha.max())
        found.append(segmenter(still).alpha.max())
    steps = [1, 2, 3, 1, 2, 1, 1, 1]
    np.testing.assert_allclose(found, [25.5 * step for step in steps], atol=0.6)


def test_a_failure_clears_the_matte_and_the_run_goes_on(tmp_path: Path) -> None:
    """When the network's output is no number the matte is clear and says why; the next frame is fine."""
    with Segmenter(networks.reciprocal(tmp_path), labels=True, classes=("background",)) as segmenter:
        fine, failed, again = segmenter(flat(200)), segmenter(flat(0)), segmenter(flat(200))
    assert failed.failure == "the network's output is not finite"
    assert not failed.alpha.any()
    assert failed.labels is not None
    assert failed.labels.shape == (48, 64)
    for matte in (fine, again):
        assert matte.failure is None
        assert (matte.alpha == 255).all()


def test_a_failure_forgets_what_was_remembered(tmp_path: Path) -> None:
    """After a failed frame a recurrent network starts afresh: its state may be what failed."""
    with Segmenter(networks.counting(tmp_path)) as segmenter:
        segmenter(flat(255))
        assert segmenter(shown(av.VideoFrame(64, 48, "rgb4"))).failure is not None
        assert segmenter(flat(255)).alpha.max() == pytest.approx(25.5, abs=0.6)


def test_an_output_that_is_not_the_card_s_ends_the_run(tmp_path: Path) -> None:
    """A card that names other classes than the network has is an error, not a failed frame."""
    card = networks.bright_two_classes(tmp_path, classes=("background", "cat", "person"))
    with Segmenter(card) as segmenter, pytest.raises(ModelError, match="names 3 classes"):
        segmenter(flat(0))


def test_labels_may_be_switched_on_later() -> None:
    """The effect may change during a run: `labels` counts from the next frame on."""
    with Segmenter(find_model("selfie"), runtime="null") as segmenter:
        assert segmenter(flat(0)).labels is None
        segmenter.labels = True
        assert segmenter(flat(0)).labels is not None


def test_smoothing_steadies_flicker_and_follows_movement() -> None:
    """Small changes are damped, large ones take effect at once, and a steady matte stays as it is."""
    steady = Smoothing(0.8)
    flickering = [
        steady(np.full((2, 2), 0.5 + 0.04 * (-1) ** frame, np.float32))[0, 0] for frame in range(40)
    ]
    assert np.ptp(flickering[-6:]) < 0.03
    assert steady(np.ones((2, 2), np.float32))[0, 0] > 0.95
    assert steady(np.zeros((2, 2), np.float32))[0, 0] == 0
    settled = [steady(np.full((2, 2), 0.25, np.float32))[0, 0] for _ in range(60)]
    assert settled[-1] == pytest.approx(0.25, abs=1e-3)


def test_smoothing_of_nothing_changes_nothing_and_smoothing_forgets() -> None:
    """Strength 0 passes mattes on; after `reset`, or in another size, nothing of the past is left."""
    low, high = np.full((2, 2), 0.4, np.float32), np.full((2, 2), 0.6, np.float32)
    off, on = Smoothing(0), Smoothing(0.5)
    assert [off(low)[0, 0], off(high)[0, 0]] == [low[0, 0], high[0, 0]]
    on(low)
    assert low[0, 0] < on(high)[0, 0] < high[0, 0]
    assert on(np.full((3, 3), 0.4, np.float32))[0, 0] == low[0, 0]
    on.reset()
    assert on(high)[0, 0] == high[0, 0]


def test_flicker_is_calmed_unless_the_network_does_or_nobody_wants(tmp_path: Path) -> None:
    """A small change comes through damped by default, in full with `smooth=0` or a recurrent network."""

    def second(card: ModelCard, **options: float) -> float:
        with Segmenter(card, crop="off", **options) as segmenter:
            segmenter(flat(100))
            return float(segmenter(flat(120)).alpha.max())

    plain = networks.identity(tmp_path)
    assert second(plain) < second(plain, smooth=0.0) - 5
    assert second(networks.counting(tmp_path)) == second(networks.counting(tmp_path), smooth=0.0)


@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan")])
def test_impossible_smoothing_is_refused(strength: float) -> None:
    """The error says what is possible."""
    with pytest.raises(UsageError, match=r"pass 0 \(off\) to 1 \(slowest\)"):
        Segmenter(find_model("selfie"), runtime="null", smooth=strength)


def test_a_moving_picture_is_never_turned_into_full_size_rgb(monkeypatch: pytest.MonkeyPatch) -> None:
    """The only pictures made on the way are no larger than the network's input (invariant 1)."""
    made: list[tuple[int, int, str]] = []
    reformatted = av.video.reformatter.VideoReformatter.reformat

    class Watched:
        def __init__(self) -> None:
            self._reformatter = av.video.reformatter.VideoReformatter()

        def reformat(self, *args: object, **kwargs: object) -> av.VideoFrame:
            result = reformatted(self._reformatter, *args, **kwargs)
            made.append((result.width, result.height, result.format.name))
            return result

    monkeypatch.setattr("streamseg.network_input.VideoReformatter", Watched)
    with Segmenter(find_model("selfie"), runtime="onnxruntime") as segmenter:
        segmenter(shown(picture(1280, 720)))
    assert set(made) == {(64, 36, "gray"), (256, 256, "gbrp")}
