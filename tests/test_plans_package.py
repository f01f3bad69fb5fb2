"""Which TensorRT is taken, and what is said of one that is not."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from streamseg.errors import ModelError
from streamseg.plans import package
from streamseg.plans.package import Package
from tests.planning import RTX4090, needs_tensorrt, rtx


def test_one_code_path_for_all_packages() -> None:
    """Before TensorRT 11 strongly typed networks must be asked for; where the flag is gone nothing is."""

    class Flags:
        STRONGLY_TYPED = 1

    class Old:
        NetworkDefinitionCreationFlag = Flags

    class New:
        NetworkDefinitionCreationFlag = object

    assert Package("tensorrt", "10.13", Old).network_flags == 2
    assert Package("tensorrt", "11.4", New).network_flags == 0


@pytest.mark.parametrize(
    ("name", "version", "fine"),
    [
        ("tensorrt", "10.12.0.36", False),
        ("tensorrt", "10.13.0.35", True),
        ("tensorrt", "11.4.0.106", True),
        ("tensorrt", "12.0.0.1", False),
        ("tensorrt_rtx", "1.4.0.76", True),
        ("tensorrt_rtx", "2.0", False),
    ],
)
def test_versions(name: str, version: str, fine: bool) -> None:
    """TensorRT 10.13 to 11 and RTX 1 work; others are named with the range and the command."""
    if fine:
        assert package.supported(name, version) == version
        return
    with pytest.raises(ModelError, match=rf"^{name} {re.escape(version)} is installed, .* pip install"):
        package.supported(name, version)


def test_old_rtx_quantises_nothing() -> None:
    """RTX before 1.7 fails on 8-bit convolutions inside; it is told before it tries, with what to install."""
    with pytest.raises(
        ModelError, match=r"1\.6\.1 builds no convolutions in 8 bits, 1\.7 does; .*--upgrade tensorrt-rtx"
    ):
        Package("tensorrt_rtx", "1.6.1", None).require("int8")
    Package("tensorrt_rtx", "1.6.1", None).require("fp16")
    Package("tensorrt_rtx", "1.7.1", None).require("int8")
    Package("tensorrt", "10.13", None).require("int8")


def test_no_tensorrt_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any, all the commands that help are named."""
    monkeypatch.setattr(package, "find_spec", lambda name: None)
    with pytest.raises(
        ModelError, match=r"not installed; .*\[tensorrt\].*\[tensorrt-cu12\].*\[tensorrt-rtx\]"
    ):
        package.installed(None)


@needs_tensorrt
def test_a_tensorrt_that_does_not_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that fails in its own way is named with its reason; the other one is used where there is one."""
    (tmp_path / "tensorrt.py").write_text("raise OSError('libnvinfer.so.10: cannot open shared object file')")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert package.installed(RTX4090).name == "tensorrt_rtx"
    only: Any = lambda name: name == "tensorrt" or None  # noqa: E731
    monkeypatch.setattr(package, "find_spec", only)
    with pytest.raises(
        ModelError, match=r"tensorrt does not load: libnvinfer.so.10: .*; reinstall it: .* pip install"
    ):
        package.installed(RTX4090)


@needs_tensorrt
def test_a_gpu_nothing_is_built_for() -> None:
    """A target that is named but refused is said, not another one taken silently."""
    config = SimpleNamespace(set_compute_capability=lambda _target, _index: False)
    with pytest.raises(ModelError, match=r"builds nothing for A card \(sm_89\); use --runtime onnx"):
        rtx().aim(config, RTX4090)
