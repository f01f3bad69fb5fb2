"""Importing networks, and making the embedded ones again from their public source."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamseg.errors import ModelError, UsageError
from streamseg.models import ModelCard, find_model, import_model, read_card
from streamseg.models.card import OutputSpec
from streamseg.models.files import sha256
from streamseg.models.tflite_import import convert
from tests.network_files import PICTURE, TFLiteFile, single

WHEEL = "mediapipe==0.10.21"
MEMBERS = {
    "selfie": "mediapipe/modules/selfie_segmentation/selfie_segmentation.tflite",
    "selfie-landscape": "mediapipe/modules/selfie_segmentation/selfie_segmentation_landscape.tflite",
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's own folders are empty ones."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def scores_of_two(tmp_path: Path, *tail: str) -> Path:
    """Write a network with two channels of scores on a 5x5 grid, then some final operators."""
    file = TFLiteFile()
    picture = file.tensor("picture", (1, 33, 33, 3))
    cells = file.tensor("cells", (1, 5, 5, 2))
    weights = file.constant(np.ones((2, 1, 1, 3), np.float32))
    strides = {"StrideH": 8, "StrideW": 8}
    file.operator("CONV_2D", [picture, weights, -1], [cells], options="Conv2DOptions", **strides)
    output = cells
    for kind in tail:
        last, output = output, file.tensor(kind.lower(), (1, 33, 33, 2)[: 3 if kind == "ARG_MAX" else 4])
        if kind == "RESIZE_BILINEAR":
            size = file.constant(np.array([33, 33], np.int32))
            file.operator(kind, [last, size], [output], options="ResizeBilinearOptions", AlignCorners=True)
        elif kind == "ARG_MAX":
            file.operator(kind, [last, file.constant(np.array(3, np.int32))], [output])
        else:
            file.operator(kind, [last], [output], options="SoftmaxOptions", Beta=1.0)
    return file.write(tmp_path / "two.tflite", inputs=[picture], outputs=[output])


def test_an_imported_network_is_found_by_name(tmp_path: Path) -> None:
    """By default it goes to the user's folder, card and weights."""
    card = import_model(scores_of_two(tmp_path))
    assert card == find_model("two")
    assert card.verified_weights().parent == tmp_path / "data" / "streamseg" / "models"
    assert (card.classes, card.licence) == (("background", "person"), "unknown")


def plain(card: ModelCard) -> OutputSpec:
    """The card's output without the contrast and the reach, which were measured and are in no file."""
    return replace(card.output, alpha_offset=0.0, alpha_gain=1.0, alpha_reach=0)


def test_an_imported_onnx_file_keeps_its_bytes(tmp_path: Path) -> None:
    """The weights are copied under the card's name."""
    source = find_model("selfie").verified_weights()
    card = import_model(source, name="mine", folder=tmp_path / "new")
    assert sha256(tmp_path / "new" / "mine.onnx") == sha256(source)
    assert read_card(tmp_path / "new" / "mine.toml") == card
    assert card.output == plain(find_model("selfie"))


def test_a_taken_name_is_refused_unless_overwritten(tmp_path: Path) -> None:
    """Neither card nor weights are lost by accident."""
    source = single(tmp_path, "LOGISTIC", PICTURE.shape)
    import_model(source, folder=tmp_path)
    with pytest.raises(UsageError, match=r"cannot import as 'one': .* exists"):
        import_model(source, folder=tmp_path)
    assert import_model(source, folder=tmp_path, overwrite=True).output.kind == "probability"


@pytest.mark.parametrize(
    ("name", "kind"), [("n.pt", UsageError), ("n.onnx", ModelError), ("n.tflite", ModelError)]
)
def test_files_that_cannot_be_imported_say_so(name: str, kind: type[Exception], tmp_path: Path) -> None:
    """Other endings and missing files are one line."""
    with pytest.raises(kind, match=name):
        import_model(tmp_path / name)


def test_without_the_packages_the_command_to_install_them_is_named(tmp_path: Path) -> None:
    """A plain installation says what to install instead of failing to import."""
    path = single(tmp_path, "LOGISTIC", PICTURE.shape)
    program = (
        "import sys; sys.modules['tflite'] = None\n"
        "from streamseg.errors import ModelError\n"
        "from streamseg.models import import_model\n"
        f"try: import_model({str(path)!r})\n"
        "except ModelError as error: print(error)"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert f"install it: {sys.executable} -m pip install onnx tflite" in found.stdout


@pytest.mark.parametrize(
    ("tail", "kind", "name", "corners"),
    [
        ((), "logits", "cells", False),
        (("RESIZE_BILINEAR",), "logits", "cells", True),
        (("RESIZE_BILINEAR", "ARG_MAX"), "logits", "cells", True),
        (("RESIZE_BILINEAR", "SOFTMAX"), "probability", "softmax", False),
    ],
)
def test_final_enlarging_and_argmax_are_left_to_the_segmenter(
    tail: tuple[str, ...], kind: str, name: str, corners: bool, tmp_path: Path
) -> None:
    """Scores come out undecided, at the network's own resolution, and say where their cells sit."""
    output = convert(scores_of_two(tmp_path, *tail)).output
    assert (output.kind, output.name, output.align_corners) == (kind, name, corners)


def test_a_network_of_two_inputs_is_refused(tmp_path: Path) -> None:
    """TFLite networks with more than a picture as input say what they take."""
    file = TFLiteFile()
    inputs = [file.tensor("a", PICTURE.shape), file.tensor("b", PICTURE.shape)]
    output = file.tensor("c", PICTURE.shape)
    file.operator("ADD", inputs, [output])
    path = file.write(tmp_path / "n.tflite", inputs=inputs, outputs=[output])
    with pytest.raises(ModelError, match=r"it takes \(1, 6, 8, 3\), \(1, 6, 8, 3\), expected one picture"):
        convert(path)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(position=st.integers(0, 10_000), value=st.integers(0, 255), cut=st.booleans())
def test_damaged_files_are_refused_or_converted(
    position: int, value: int, cut: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A changed byte or a missing end never ends in a traceback of a library."""
    path = scores_of_two(tmp_path_factory.mktemp("damaged"), "SOFTMAX")
    content = bytearray(path.read_bytes())
    position %= len(content)
    content[position] = value
    path.write_bytes(content[:position] if cut else content)
    try:
        convert(path)
    except ModelError as error:
        assert "\n" not in str(error)


def test_conversion_always_gives_the_same_bytes(tmp_path: Path) -> None:
    """Whatever the file is called and whichever process converts it."""
    path = scores_of_two(tmp_path)
    renamed = path.rename(tmp_path / "renamed.tflite")
    program = (
        "import hashlib, pathlib\nfrom streamseg.models.tflite_import import convert\n"
        f"print(hashlib.sha256(convert(pathlib.Path({str(renamed)!r})).onnx).hexdigest())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment
    )
    card = import_model(renamed, name="a", folder=tmp_path)
    assert card.sha256 == found.stdout.strip()


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The public wheel the embedded networks come from: $STREAMSEG_MEDIAPIPE_WHEEL, or downloaded by pip."""
    given = os.environ.get("STREAMSEG_MEDIAPIPE_WHEEL")
    if given:
        return zipfile.ZipFile(given)
    folder = tmp_path_factory.mktemp("wheel")
    command = [
        *(sys.executable, "-m", "pip", "download", WHEEL, "--no-deps", "--only-binary=:all:", "--quiet"),
        *("--python-version", "3.11", "--platform", "manylinux_2_28_x86_64", "--dest", str(folder)),
        *("--retries", "0", "--timeout", "10", "--disable-pip-version-check"),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip(f"pip did not fetch {WHEEL} in 120 s; set STREAMSEG_MEDIAPIPE_WHEEL to a copy")
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        pytest.skip(f"pip cannot fetch {WHEEL} ({why}); set STREAMSEG_MEDIAPIPE_WHEEL to a copy")
    return zipfile.ZipFile(next(folder.glob("*.whl")))


@pytest.mark.parametrize("name", MEMBERS)
def test_the_embedded_networks_are_what_the_public_wheel_holds(
    name: str, wheel: zipfile.ZipFile, tmp_path: Path
) -> None:
    """Imported anew, they have the sha256 and the input and output their cards name."""
    source = Path(wheel.extract(MEMBERS[name], tmp_path))
    made, card = import_model(source, name=name, folder=tmp_path / "made"), find_model(name)
    assert made.sha256 == card.sha256
    assert (made.input, made.output, made.classes) == (card.input, plain(card), card.classes)


@pytest.mark.skipif(
    importlib.util.find_spec("ai_edge_litert") is None,
    reason="needs the package ai-edge-litert to compare with",
)
@pytest.mark.parametrize("name", MEMBERS)
def test_the_embedded_networks_agree_with_tflites_own_runtime(
    name: str, wheel: zipfile.ZipFile, tmp_path: Path
) -> None:
    """On smooth noise no probability differs by more than 3e-4, nearly all by less than 1e-4."""
    import onnxruntime
    from ai_edge_litert.interpreter import Interpreter

    card = find_model(name)
    reference = Interpreter(wheel.extract(MEMBERS[name], tmp_path))
    reference.allocate_tensors()
    session = onnxruntime.InferenceSession(str(card.verified_weights()), providers=["CPUExecutionProvider"])
    coarse = np.random.default_rng(0).random(
        (1, card.input.height // 16, card.input.width // 16, 3), np.float32
    )
    picture = coarse.repeat(16, 1).repeat(16, 2)
    reference.set_tensor(reference.get_input_details()[0]["index"], picture)
    reference.invoke()
    expected = reference.get_tensor(reference.get_output_details()[0]["index"])
    (found,) = session.run(None, {card.input.name: picture.transpose(0, 3, 1, 2).copy()})
    difference = np.abs(found.transpose(0, 2, 3, 1) - expected)
    assert difference.max() < 3e-4
    assert np.quantile(difference, 0.999) < 1e-4
