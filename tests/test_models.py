"""Cards: the shipped ones, their file format, and what a wrong one is told."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamseg.errors import ModelError
from streamseg.models import InputSpec, ModelCard, OutputSpec, StateSpec, read_card, write_card
from streamseg.models.files import embedded_folder, sha256, write_atomically

ENGINES = embedded_folder()
SHIPPED = sorted(ENGINES.glob("*.toml"))

CARD = ModelCard(
    name="mine",
    title="Mine",
    licence="MIT",
    source="nowhere",
    weights="mine.onnx",
    sha256="0" * 64,
    classes=("background", "cat", "dog"),
    foreground=("cat", "dog"),
    input=InputSpec(name="x", width=64, height=32, colour="bgr", mean=(0.1, 0.2, 0.3), fit="letterbox"),
    output=OutputSpec(name="y", kind="logits", align_corners=True, alpha_gain=2.0),
    states=(
        StateSpec(input="ai", output="ao", shape=(1, 2, 3)),
        StateSpec(input="bi", output="bo", shape=(1,)),
    ),
    url="https://example.org/mine.onnx",
)


def test_importing_the_package_loads_nothing_heavy() -> None:
    """`streamseg.models` leaves networks, downloads and converters for their first use."""
    heavy = "onnx tflite pooch onnxruntime cv2 requests"
    program = f"import streamseg.models, sys; print(*[m for m in {heavy.split()!r} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_cards_load_and_embedded_weights_are_the_ones_they_name(path: Path) -> None:
    """Every card here is sound; weights that lie beside it have its sha256, all others say where they are."""
    card = read_card(path)
    weights = path.parent / card.weights
    if weights.exists():
        assert sha256(weights) == card.sha256
        assert card.verified_weights() == weights
        assert weights.stat().st_size < 300_000
    else:
        assert card.url or "github.com" in card.source
    assert card.licence in {"Apache-2.0", "GPL-3.0-only"}
    assert card.licence == "Apache-2.0" or not weights.exists()


def test_both_selfie_networks_are_embedded() -> None:
    """A fresh machine needs no download."""
    assert {"selfie", "selfie-landscape"} <= {path.stem for path in ENGINES.glob("*.onnx")}


def test_every_key_and_every_card_is_explained_in_the_readme() -> None:
    """engines/README.md names each key the code knows, and each card."""
    text = (ENGINES / "README.md").read_text("utf-8")
    keys = [
        field.name for field in fields(ModelCard) if field.name not in {"path", "input", "output", "states"}
    ]
    for table, spec in (("input", InputSpec), ("output", OutputSpec), ("states", StateSpec)):
        keys += [f"{table}.{field.name}" for field in fields(spec)]
    keys += [path.stem for path in SHIPPED]
    assert [key for key in keys if f"`{key}`" not in text] == []


def test_a_written_card_reads_back_the_same(tmp_path: Path) -> None:
    """Nothing is lost, and keys at their defaults are not written."""
    write_card(CARD, tmp_path / "mine.toml")
    read = read_card(tmp_path / "mine.toml")
    assert read == CARD
    assert read.path == tmp_path
    assert "layout" not in (tmp_path / "mine.toml").read_text()


@settings(max_examples=50, derandomize=True)
@given(text=st.text(), number=st.floats(1e-6, 1e6))
def test_any_text_and_number_survive(
    text: str, number: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Quotes, line breaks, control characters and every digit of a number are kept."""
    path = tmp_path_factory.mktemp("cards") / "mine.toml"
    card = replace(CARD, description=text, input=replace(CARD.input, scale=number))
    write_card(card, path)
    assert read_card(path) == card


WRONG = {
    ('name = "mine"', 'name = "other"'): "key 'name': found 'other', expected 'mine', the file's own name",
    ('name = "mine"', 'name = "a/b"'): "key 'name': found 'a/b'",
    ('title = "Mine"', ""): "key 'title': found None, expected this key, which every card has: text",
    ('title = "Mine"', "title = 3"): "key 'title': found 3, expected text",
    ('title = "Mine"', 'titel = "Mine"'): "key 'titel': found 'Mine', expected one of the keys name, title",
    ('"mine.onnx"', '"../mine.onnx"'): "key 'weights': found '../mine.onnx', expected an .onnx or .tflite",
    ('"mine.onnx"', '"mine.pt"'): "key 'weights': found 'mine.pt'",
    ("0" * 64, "0" * 63): "expected 64 lower-case hexadecimal digits",
    ("https://", "file://"): "key 'url': found 'file://example.org/mine.onnx', expected an address",
    ("width = 64", "width = 64.5"): "key 'input.width': found 64.5, expected a whole number",
    ("width = 64", "width = true"): "key 'input.width': found True, expected a whole number",
    ("width = 64", "width = 0"): "key 'input.width': found 0, expected 1 to 16384 pixels",
    (
        'colour = "bgr"',
        'colour = "yuv"',
    ): "found 'yuv', expected one of 'rgb', 'bgr', 'grey'",
    (
        "mean = [0.1, 0.2, 0.3]",
        "mean = [0.1, 0.2]",
    ): "'input.mean': found [0.1, 0.2], expected 1 or 3 numbers",
    ("mean = [0.1, 0.2, 0.3]", "mean = 0.1"): "key 'input.mean': found 0.1, expected a list, each a number",
    ("mean = [0.1, 0.2, 0.3]", 'mean = ["a"]'): "key 'input.mean[0]': found 'a', expected a number",
    (
        "mean = [0.1, 0.2, 0.3]",
        "std = [0, 1, 1]",
    ): "'input.std': found [0.0, 1.0, 1.0], expected numbers",
    ("width = 64", "width = 64\nscale = inf"): "key 'input.scale': found inf, expected a finite number",
    ("width = 64", "width = 64\nscale = nan"): "key 'input.scale': found nan, expected a finite number",
    (
        "width = 64",
        "width = 64\nstd = [1e-39]",
    ): "key 'input.std': found [1e-39], expected numbers that leave the input",
    ("mean = [0.1, 0.2, 0.3]", "mean = [0, nan, 0]"): "'input.mean': found nan, expected a finite number",
    ("mean = [0.1, 0.2, 0.3]", "mean = [-inf]"): "'input.mean': found -inf, expected a finite number",
    ("mean = [0.1, 0.2, 0.3]", "mean = [1e39]"): "'input.mean': found 1e+39, expected a finite number",
    (
        "mean = [0.1, 0.2, 0.3]",
        f"mean = [{10**400}]",
    ): "'input.mean[0]': found '401 digits', expected a finite",
    ("mean = [0.1, 0.2, 0.3]", f"mean = [{'9' * 5000}]"): "model card",
    ("mean = [0.1, 0.2, 0.3]", "std = [1, inf, 1]"): "'input.std': found inf, expected a finite number",
    ("mean = [0.1, 0.2, 0.3]", "std = [nan]"): "'input.std': found nan, expected a finite number",
    ("alpha_gain = 2.0", "alpha_gain = inf"): "'output.alpha_gain': found inf, expected a finite number",
    ("alpha_gain = 2.0", "alpha_offset = nan"): "'output.alpha_offset': found nan, expected a finite number",
    ('kind = "logits"', 'kind = "scores"'): "key 'output.kind': found 'scores'",
    (
        "align_corners = true",
        "align_corners = 1",
    ): "'output.align_corners': found 1, expected true or false",
    ("[output]", "[outputs]"): "key 'outputs': found",
    ("alpha_gain = 2.0", "alpha_reach = -1"): "key 'output.alpha_reach': found -1, expected 0 to 100 cells",
    ("alpha_gain = 2.0", "alpha_gain = -2"): "key 'output.alpha_gain': found -2.0, expected a number above 0",
    (
        "shape = [1, 2, 3]",
        "shape = [1, 0]",
    ): "'states[0].shape': found [1, 0], expected whole",
    ("[[states]]", "[states]"): "model card",
    ('["cat", "dog"]', '["bird"]'): "expected some of 'background', 'cat', 'dog'",
    (
        '"cat", "dog"]\nf',
        '"cat", "cat"]\nf',
    ): "'cat', 'cat'], expected different names",
    ("[input]", "[input"): "model card",
}


@pytest.mark.parametrize(("before", "after"), WRONG)
def test_a_wrong_card_is_told_its_key_what_was_found_and_expected(
    before: str, after: str, tmp_path: Path
) -> None:
    """One line names the card, the key, the value and what belongs there."""
    path = tmp_path / "mine.toml"
    write_card(CARD, path)
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))
    with pytest.raises(ModelError) as caught:
        read_card(path)
    message = str(caught.value)
    assert WRONG[before, after] in message
    assert f"model card {str(path)!r}: " in message
    assert "\n" not in message


def test_a_card_that_is_no_table_where_one_belongs(tmp_path: Path) -> None:
    """`input = 3` is answered like any other wrong value."""
    path = tmp_path / "mine.toml"
    path.write_text("input = 3\nstates = 4\n")
    with pytest.raises(ModelError, match=r"key '\w+': found"):
        read_card(path)


@pytest.mark.parametrize(
    ("content", "message"), [(None, "no such file"), (b"\xff\xfe", "is not UTF-8"), (b"a = [", "model card")]
)
def test_unreadable_cards_say_why(content: bytes | None, message: str, tmp_path: Path) -> None:
    """Missing, binary and broken files are one line each."""
    path = tmp_path / "mine.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=message) as caught:
        read_card(path)
    assert "\n" not in str(caught.value)


def test_the_input_shape_follows_the_layout() -> None:
    """Channels come second or last; grey has one."""
    assert CARD.input.shape == (1, 3, 32, 64)
    assert replace(CARD.input, layout="nhwc", colour="grey", mean=(0.0,)).shape == (1, 32, 64, 1)


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    """A folder in the way is one line, and no half-written file stays."""
    (tmp_path / "taken").mkdir()
    with pytest.raises(ModelError, match="cannot write"):
        write_atomically(tmp_path / "taken", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
