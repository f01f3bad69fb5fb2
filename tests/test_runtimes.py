"""Runtimes: loading, refusing, running."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from streamseg.errors import ModelError, RuntimeFailure, UsageError
from streamseg.models.card import InputSpec, OutputSpec, StateSpec
from streamseg.runtimes import load_runtime
from streamseg.runtimes.onnxruntime import default_threads
from tests import networks


def test_the_package_imports_no_runtime() -> None:
    """ONNX Runtime is imported when a network is loaded, not before."""
    code = "import sys, streamseg.runtimes; sys.exit('onnxruntime' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_unknown_runtime_is_answered_with_the_list(tmp_path: Path) -> None:
    """Whoever misspells a runtime is told all there are."""
    with pytest.raises(UsageError, match="no runtime 'onyx'; known: auto, tensorrt, onnxruntime, null"):
        load_runtime(networks.card(tmp_path, "none.onnx"), name="onyx")


def test_auto_runs_a_network_on_the_cpu(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The best runtime that loads is taken, it computes, and it prints nothing."""
    runtime = load_runtime(networks.identity(tmp_path))
    picture = np.random.default_rng(0).random((1, 1, 32, 32), np.float32)
    outputs = runtime({"picture": picture})
    runtime.close()
    assert runtime.name == "onnxruntime"
    assert list(outputs) == ["scores"]
    np.testing.assert_array_equal(outputs["scores"], picture)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("dtype", "wanted"), [(networks.FLOAT16, np.float16), (networks.UINT8, np.uint8)])
def test_inputs_are_cast_to_what_the_network_takes(tmp_path: Path, dtype: int, wanted: type) -> None:
    """A network in half precision or in bytes is fed as one in single precision; bytes are rounded."""
    runtime = load_runtime(networks.identity(tmp_path, dtype))
    given = np.full((1, 1, 32, 32), 0.75, np.float32)
    scores = runtime({"picture": given})["scores"]
    runtime.close()
    assert scores.dtype == wanted
    assert (scores == (1 if wanted == np.uint8 else 0.75)).all()


def test_a_failing_run_is_a_runtime_failure(tmp_path: Path) -> None:
    """Whatever ONNX Runtime throws at a run arrives as one line of ours."""
    runtime = load_runtime(networks.identity(tmp_path))
    with pytest.raises(RuntimeFailure, match=r"^onnxruntime failed on a frame: got invalid dimensions"):
        runtime({"picture": np.zeros((1, 1, 8, 8), np.float32)})
    runtime.close()


def test_weights_that_are_no_network_are_refused_in_one_line(tmp_path: Path) -> None:
    """The message names the file, says why, and leaves out ONNX Runtime's prefix and the folder."""
    (tmp_path / "noise.onnx").write_bytes(b"this is no network")
    with pytest.raises(ModelError) as caught:
        load_runtime(networks.card(tmp_path, "noise.onnx"))
    assert str(caught.value) == "onnxruntime cannot load 'noise.onnx': protobuf parsing failed"


def test_missing_weights_are_named(tmp_path: Path) -> None:
    """A card without its file says which file."""
    with pytest.raises(ModelError, match=r"lost\.onnx"):
        load_runtime(networks.card(tmp_path, "lost.onnx"))


PLAIN = InputSpec(name="picture", width=32, height=32, colour="grey")
STATE = StateSpec(input="before", output="after", shape=(1, 4))
MISMATCHES = [
    ({"input": replace(PLAIN, name="image")}, "takes 'picture', its card 'identity' gives 'image'"),
    ({"input": replace(PLAIN, width=64)}, r"is \[1, 1, 32, 32\], its card 'identity' says \[1, 1, 32, 64\]"),
    ({"states": (STATE,)}, "takes 'picture', its card 'identity' gives 'picture', 'before'"),
    ({"output": OutputSpec(name="mask", kind="logits")}, "has no output 'mask'; it has 'scores'"),
]


@pytest.mark.parametrize(("changes", "message"), MISMATCHES)
def test_a_card_that_does_not_fit_its_network_is_refused(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    """Names and shapes are compared when the network is loaded, not when a frame arrives."""
    with pytest.raises(ModelError, match=message):
        load_runtime(replace(networks.identity(tmp_path), **changes))  # type: ignore[arg-type]


def test_an_input_of_a_type_nobody_can_give_is_refused(tmp_path: Path) -> None:
    """A network of whole numbers is refused with the types that would do."""
    with pytest.raises(ModelError, match=r"is a tensor\(int64\); usable: 'tensor\(float\)'"):
        load_runtime(networks.identity(tmp_path, dtype=7))


@pytest.mark.parametrize("name", ["onnxruntime", "null"])
def test_a_precision_is_for_tensorrt(name: str, tmp_path: Path) -> None:
    """Others have no choice, so asking them for one is refused rather than forgotten."""
    with pytest.raises(UsageError, match=f"precision 'fp32' is for runtime 'tensorrt', '{name}' computes as"):
        load_runtime(networks.identity(tmp_path), name=name, precision="fp32")


def test_a_precision_without_a_gpu_is_refused(tmp_path: Path) -> None:
    """With `auto` too: it would make no difference, and the reason is told."""
    with pytest.raises(UsageError, match=r"precision 'int8' is for runtime 'tensorrt': needs an NVIDIA GPU"):
        load_runtime(networks.identity(tmp_path), precision="int8")


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without ONNX Runtime the message says what to install."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ModelError, match=f"{sys.executable} -m pip install onnxruntime"):
        load_runtime(networks.identity(tmp_path))


def test_the_network_leaves_cores_to_the_codecs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the cores, at least one, at most four."""
    found = []
    for cores in (None, 1, 2, 6, 64):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        found.append(default_threads())
    assert found == [1, 1, 1, 3, 4]


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("kind", ["probability", "logits"])
@pytest.mark.parametrize("classes", [("background", "person"), ("background", "cat", "person", "dog")])
def test_null_scores_have_the_shape_their_card_promises(
    tmp_path: Path, layout: str, kind: str, classes: tuple[str, ...]
) -> None:
    """Without any network the disc comes in the card's layout, best inside for the first foreground class."""
    output = OutputSpec(name="scores", kind=kind, layout=layout)  # type: ignore[arg-type]
    card = networks.card(tmp_path, "none.onnx", output=output, classes=classes, states=(STATE,))
    runtime = load_runtime(card, name="null")
    outputs = runtime({})
    runtime.close()
    scores = outputs["scores"][0] if layout == "nchw" else np.moveaxis(outputs["scores"][0], -1, 0)
    assert scores.shape == (1 if len(classes) == 2 else len(classes), 32, 32)
    person = scores[-1] if len(classes) == 2 else scores[2]
    assert person[16, 16] == person.max() > person[0, 0] == person.min()
    assert outputs["after"].shape == STATE.shape


def test_null_decides_by_itself_where_the_network_would(tmp_path: Path) -> None:
    """For a network that gives class ids the disc is made of ids."""
    output = OutputSpec(name="scores", kind="labels")
    card = networks.card(tmp_path, "none.onnx", output=output, classes=("sky", "sea"), foreground=("sky",))
    ids = load_runtime(card, name="null")({})["scores"]
    assert ids.shape == (1, 32, 32)
    assert (ids[0, 16, 16], ids[0, 0, 0]) == (0, 1)
