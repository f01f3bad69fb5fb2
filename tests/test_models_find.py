"""Finding models by name, by card and by bare network file; what is guessed of the latter."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from streamseg.errors import ModelError, UsageError
from streamseg.models import available_models, find_model, read_card, write_card
from streamseg.models.files import sha256
from streamseg.models.usual import CITYSCAPES, PASCAL_VOC
from tests.network_files import PICTURE, single, write_onnx
from tests.test_models import CARD


@pytest.fixture(autouse=True)
def folder(models_folder: Path) -> Path:
    """A folder of the user's own cards, and no other."""
    return models_folder


def network(
    path: Path, channels: int, *, final: str = "Identity", gain: float = 9, **attributes: object
) -> Path:
    """Write a 128x128 network: a 1x1 convolution to `channels`, then a last operator."""
    random = np.random.default_rng(0)
    weights = {"w": ((random.random((channels, 3, 1, 1)) - 0.5) * 9).astype(np.float32)}
    nodes = [
        helper.make_node("Conv", ["picture", "w"], ["raw"]),
        helper.make_node(final, ["raw"], ["scores"], **attributes),
    ]
    shapes = {"picture": [1, 3, 128, 128]}, {"scores": [1, channels, 128, 128]}
    return write_onnx(path, nodes, inputs=shapes[0], outputs=shapes[1], constants=weights)


def test_selfie_is_the_default() -> None:
    """Without a name the embedded model is found."""
    assert find_model().name == "selfie"
    assert find_model().verified_weights().name == "selfie.onnx"


def test_names_are_looked_up_in_every_folder_and_one_level_down(folder: Path) -> None:
    """Embedded cards come first and cannot be replaced by a card of the same name."""
    write_card(CARD, folder / "deeper" / "mine.toml")
    (folder / "selfie.toml").write_text("nonsense")
    assert find_model("mine").path == folder / "deeper"
    assert find_model("selfie").licence == "Apache-2.0"
    names = [card.name for card in available_models()]
    assert names.count("selfie") == 1
    assert "mine" in names


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    """The message lists what could have been meant."""
    with pytest.raises(UsageError, match=r"no model 'selfy'; known are: .*selfie, selfie-landscape"):
        find_model("selfy")


def test_a_broken_card_is_left_out_of_lists_and_explained_by_name(folder: Path) -> None:
    """One bad card does not hide the others."""
    (folder / "bad.toml").write_text("title = 3\n")
    assert "bad" not in [card.name for card in available_models()]
    with pytest.raises(ModelError, match=r"bad\.toml"):
        find_model("bad")


def test_a_card_is_found_by_its_path(tmp_path: Path) -> None:
    """A .toml path is read as it is."""
    write_card(CARD, tmp_path / "mine.toml")
    assert find_model(str(tmp_path / "mine.toml")) == CARD


def test_a_two_class_softmax_network_runs_from_its_bare_file(tmp_path: Path) -> None:
    """Size, meaning and classes are guessed and the file's real sha256 is checked."""
    path = network(tmp_path / "my network.onnx", 2, final="Softmax", axis=1)
    card = find_model(str(path))
    assert (card.input.width, card.input.height, card.input.layout) == (128, 128, "nchw")
    assert (card.output.kind, card.output.layout) == ("probability", "nchw")
    assert (card.classes, card.foreground) == (("background", "person"), ("person",))
    assert card.sha256 == sha256(path)
    assert card.verified_weights() == path


@pytest.mark.parametrize(
    ("channels", "final", "kind", "classes", "foreground"),
    [
        (1, "Sigmoid", "probability", ("background", "person"), ("person",)),
        (1, "Identity", "logits", ("background", "person"), ("person",)),
        (2, "Sigmoid", "logits", ("background", "person"), ("person",)),
        (21, "Identity", "logits", PASCAL_VOC, ("person",)),
        (19, "Identity", "logits", CITYSCAPES, ("person", "rider")),
        (4, "Identity", "logits", ("class0", "class1", "class2", "class3"), ("class1", "class2", "class3")),
    ],
)
def test_meaning_and_classes_are_guessed_from_the_output(
    channels: int,
    final: str,
    kind: str,
    classes: tuple[str, ...],
    foreground: tuple[str, ...],
    tmp_path: Path,
) -> None:
    """Values within 0..1 that sum to one are probabilities; names go by the number of classes."""
    card = find_model(str(network(tmp_path / "n.onnx", channels, final=final)))
    assert (card.output.kind, card.classes, card.foreground) == (kind, classes, foreground)


def test_guessing_needs_no_onnx_package(tmp_path: Path) -> None:
    """A bare .onnx file runs where only streamseg's own dependencies are installed."""
    path = network(tmp_path / "n.onnx", 2, final="Softmax", axis=1)
    program = (
        "import sys; sys.modules['onnx'] = sys.modules['tflite'] = None\n"
        "from streamseg.models import find_model\n"
        f"print(find_model({str(path)!r}).output.kind)"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "probability"


def test_channels_last_open_sizes_and_grey_are_understood(tmp_path: Path) -> None:
    """A picture (n, h, w, 1) gets a usual size and the layout nhwc."""
    path = write_onnx(
        tmp_path / "n.onnx",
        [helper.make_node("Sigmoid", ["x"], ["y"])],
        inputs={"x": ["n", "h", "w", 1]},
        outputs={"y": ["n", "h", "w", 1]},
    )
    card = find_model(str(path))
    assert (card.input.shape, card.input.colour) == ((1, 256, 256, 1), "grey")
    assert (card.output.layout, card.output.kind) == ("nhwc", "probability")


def test_label_outputs_are_recognised(tmp_path: Path) -> None:
    """A network that ends in an argmax gives class ids."""
    path = write_onnx(
        tmp_path / "n.onnx",
        [helper.make_node("ArgMax", ["x"], ["y"], axis=1, keepdims=0)],
        inputs={"x": [1, 3, 32, 32]},
        outputs={"y": [1, 32, 32]},
        types={"y": TensorProto.INT64},
    )
    card = find_model(str(path))
    assert card.output.kind == "labels"
    assert (len(card.classes), card.classes[2]) == (256, "class2")


def test_recurrent_states_and_the_matte_among_outputs_are_found(tmp_path: Path) -> None:
    """r1i feeds on r1o; `pha` is read though `fgr` comes first."""
    path = write_onnx(
        tmp_path / "n.onnx",
        [
            helper.make_node("Identity", ["src"], ["fgr"]),
            helper.make_node("ReduceMean", ["src"], ["pha"], axes=[1]),
            helper.make_node("Identity", ["r1i"], ["r1o"]),
        ],
        inputs={"src": [1, 3, 32, 32], "r1i": [1, 16, 8, 8]},
        outputs={"fgr": [1, 3, 32, 32], "pha": [1, 1, 32, 32], "r1o": [1, 16, 8, 8]},
    )
    card = find_model(str(path))
    assert card.output.name == "pha"
    assert [(state.input, state.output, state.shape) for state in card.states] == [
        ("r1i", "r1o", (1, 16, 8, 8))
    ]


@pytest.mark.parametrize(("size", "stride", "corners"), [(33, 8, True), (32, 8, False), (32, 1, False)])
def test_cells_on_corner_pixels_are_told_by_the_sizes(
    size: int, stride: int, corners: bool, tmp_path: Path
) -> None:
    """33 pixels and 5 cells fit only corner to corner, as in DeepLab, which takes -1..1; 32 and 4 tile."""
    cells = (size - 1) // stride + 1
    path = write_onnx(
        tmp_path / "n.onnx",
        [helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[1, 1], strides=[stride, stride])],
        inputs={"x": [1, 3, size, size]},
        outputs={"y": [1, 3, cells, cells]},
    )
    card = find_model(str(path))
    assert card.output.align_corners is corners
    assert card.input.mean == ((0.5,) if corners else (0.0,))


def refused(path: Path, inputs: dict[str, list[int | str]], **types: int) -> Path:
    """Write a network with inputs that cannot be fed."""
    nodes = [helper.make_node("Identity", [name], [f"{name}_copy"]) for name in inputs]
    outputs = {f"{name}_copy": shape for name, shape in inputs.items()}
    kinds = {**types, **{f"{name}_copy": kind for name, kind in types.items()}}
    return write_onnx(path, nodes, inputs=inputs, outputs=outputs, types=kinds)


@pytest.mark.parametrize(
    ("inputs", "types", "message"),
    [
        (
            {"x": [1, 3, 8, 8], "ratio": [1]},
            {},
            "input 'ratio' [1] is neither the picture nor",
        ),
        ({"x": [1, 3, 8, 8]}, {"x": TensorProto.FLOAT16}, "input 'x' is tensor(float16)"),
        ({"x": [1, 7]}, {}, "found inputs 'x' [1, 7]; expected a picture"),
        ({"x": [2, 3, 8, 8]}, {}, "does not run on a picture"),
    ],
)
def test_networks_that_cannot_be_fed_say_why(
    inputs: dict[str, list[int | str]], types: dict[str, int], message: str, tmp_path: Path
) -> None:
    """The error names the file, what it takes and what would do."""
    path = refused(tmp_path / "n.onnx", inputs, **types)
    with pytest.raises(ModelError, match="cannot use model") as caught:
        find_model(str(path))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_network_without_scores_says_what_it_gives(tmp_path: Path) -> None:
    """A classifier is no segmenter."""
    path = write_onnx(
        tmp_path / "n.onnx",
        [helper.make_node("ReduceMean", ["x"], ["y"], axes=[2, 3], keepdims=0)],
        inputs={"x": [1, 3, 8, 8]},
        outputs={"y": [1, 3]},
    )
    with pytest.raises(ModelError, match=r"found outputs 'y' \(1, 3\), expected scores"):
        find_model(str(path))


def test_a_file_that_is_no_network_is_answered_in_few_words(tmp_path: Path) -> None:
    """ONNX Runtime's codes and its own mention of the path are left out."""
    path = tmp_path / "n.onnx"
    path.write_bytes(b"not a network" * 100)
    with pytest.raises(ModelError) as caught:
        find_model(str(path))
    assert str(caught.value) == f"cannot open model {str(path)!r}: protobuf parsing failed"


@pytest.mark.parametrize("ending", ["onnx", "tflite", "toml"])
@pytest.mark.parametrize("content", [None, b"", b"not a network" * 100])
def test_files_that_are_missing_empty_or_something_else_are_one_line(
    ending: str, content: bytes | None, tmp_path: Path
) -> None:
    """No traceback of a library reaches the user."""
    path = tmp_path / f"n.{ending}"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError) as caught:
        find_model(str(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_bare_tflite_file_is_converted_once(tmp_path: Path) -> None:
    """The second time the cached ONNX is used; a damaged cache is made anew."""
    path = single(tmp_path, "LOGISTIC", PICTURE.shape)
    card = find_model(str(path))
    weights = card.verified_weights()
    assert (card.name, card.output.kind, weights.suffix) == ("one", "probability", ".onnx")
    written = weights.stat().st_mtime_ns
    assert find_model(str(path)).verified_weights().stat().st_mtime_ns == written
    good = weights.read_bytes()
    weights.write_bytes(b"tampered with")
    assert find_model(str(path)).verified_weights().read_bytes() == good


def test_a_card_may_name_a_tflite_file(tmp_path: Path) -> None:
    """The file is verified as it is, then converted; the runtime gets ONNX."""
    path = single(tmp_path, "LOGISTIC", PICTURE.shape)
    text = (tmp_path / "c.toml", f'weights = "{path.name}"', f'sha256 = "{sha256(path)}"')
    write_card(CARD, tmp_path / "mine.toml")
    body = (tmp_path / "mine.toml").read_text().replace('name = "mine"', 'name = "c"')
    body = body.replace('weights = "mine.onnx"', text[1]).replace(f'sha256 = "{CARD.sha256}"', text[2])
    text[0].write_text(body)
    assert read_card(text[0]).verified_weights().suffix == ".onnx"
