"""The doctor's GPU facts: every known fault of an installation, presented to it, is named with its fix."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from streamseg.doctor import gpu as doctor
from streamseg.doctor.fact import Fact
from streamseg.gpu.driver import Driver
from tests.planning import RTX4090

NONE = Driver(problem="no libcuda.so.1", installed=False)
CUDA13 = Driver(version=(13, 0), gpus=(RTX4090,))
CUDA12 = Driver(version=(12, 8), gpus=(replace(RTX4090, driver=(12, 8)),))
TENSORRT = {"tensorrt": "10.13.3.9", "tensorrt-cu13": "10.13.3.9", "tensorrt-cu13-libs": "10.13.3.9"}
RTX = {"tensorrt-rtx": "1.7.1.116", "tensorrt-rtx-cu13": "1.7.1.116", "tensorrt-rtx-cu13-libs": "1.7.1.116"}


def fine(module: str) -> str | None:
    """Every package loads."""
    return None


def failing(module: str) -> str | None:
    """None does."""
    return f"ImportError: {module}: cannot open shared object file"


def refused(module: str) -> str | None:
    """Nothing may be loaded at all."""
    raise AssertionError(f"{module} was loaded")


def good(fact: Fact, found: str) -> None:
    """Nothing to fix."""
    assert (fact.state, fact.fix, fact.found) == ("good", None, found)


def told(fact: Fact, state: str, found: str, fix: str | None) -> None:
    """A fault of a kind, what was found and the command that helps."""
    assert fact.state == state
    assert re.search(found, fact.found), fact.found
    assert fact.fix is None if fix is None else re.search(fix, fact.fix or ""), fact.fix


def test_all_is_well() -> None:
    """Driver, card and packages that fit each other are listed and need nothing."""
    good(doctor.driver(CUDA13, card_seen=True), "CUDA 13.0, A card (sm_89)")
    good(doctor.card(RTX4090), "A card, 24.0 GiB")
    good(doctor.tensorrt(CUDA13, TENSORRT, fine), "tensorrt 10.13.3.9")
    good(doctor.tensorrt(CUDA13, RTX, fine), "tensorrt-rtx 1.7.1.116")
    good(doctor.pycuda(CUDA13, {"pycuda": "2026.1"}, fine, headers=False, compiler=False), "pycuda 2026.1")
    good(doctor.nvrtc(CUDA13, {"nvidia-cuda-nvrtc": "13.5.37"}, library=None), "nvidia-cuda-nvrtc 13.5.37")
    good(doctor.nvrtc(CUDA13, {}, library="libnvrtc.so.13"), "libnvrtc.so.13")


def test_without_a_gpu_nothing_is_wrong() -> None:
    """On a machine without a card nothing is bad, nothing needs a fix and no package is tried."""
    told(doctor.driver(NONE, card_seen=False), "not needed", "no libcuda.so.1; the processor", None)
    for versions in ({}, TENSORRT, {"tensorrt": "8.6.1"}):
        assert doctor.tensorrt(NONE, versions, refused).fix is None
    assert "builds plans" in doctor.tensorrt(NONE, RTX, refused).found
    assert doctor.pycuda(NONE, {}, refused, headers=False, compiler=False).fix is None
    assert doctor.pycuda(NONE, {"pycuda": "2026.1"}, refused, headers=False, compiler=False).fix is None
    assert doctor.nvrtc(NONE, {}, library=None).fix is None


def test_a_card_without_a_driver() -> None:
    """A card the system lists, and no driver for it."""
    told(doctor.driver(NONE, card_seen=True), "not needed", "no libcuda.so.1", "nvidia.com/drivers")


@pytest.mark.parametrize(
    ("code", "fix"), [(100, "nvidia-smi"), (803, "reboot"), (804, "update the driver"), (999, "nvidia-smi")]
)
def test_a_driver_that_does_not_start(code: int, fix: str) -> None:
    """cuInit's code says what helps."""
    broken = Driver(problem=f"libcuda.so.1 is there, but cuInit failed with error {code}")
    told(doctor.driver(broken, card_seen=True), "not needed", f"error {code}", fix)


def test_a_driver_without_a_card() -> None:
    """A driver that runs no GPU."""
    found = Driver(version=(13, 0), problem="the driver runs no GPU")
    told(doctor.driver(found, card_seen=False), "not needed", "runs no GPU", "nvidia-smi")


def test_a_card_that_is_too_old_or_too_small() -> None:
    """Pascal is older than TensorRT; a card of 1 GiB holds no run at 1080p."""
    told(
        doctor.card(replace(RTX4090, compute_capability=(6, 1))),
        "not needed",
        "sm_61, TensorRT needs sm_75",
        None,
    )
    told(
        doctor.card(replace(RTX4090, memory=1 << 30)),
        "not needed",
        "1.0 GiB: .* takes about 2",
        "onnxruntime",
    )


def test_a_card_that_others_have_filled() -> None:
    """What is left of its memory is named, and how to find who has the rest; enough of it is not told."""
    fault = doctor.card(RTX4090, free=1 << 30)
    told(fault, "not needed", "24.0 GiB, 1.0 free: .* takes about 2", "nvidia-smi")
    good(doctor.card(RTX4090, free=20 << 30), "A card, 24.0 GiB")


@pytest.mark.parametrize(
    ("prints", "free"),
    [("512\n", 512 << 20), ("512\n2048\n", None), ("[N/A]\n", None), ("", None), (None, None)],
)
def test_free_memory_is_what_nvidia_s_tool_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prints: str | None, free: int | None
) -> None:
    """Of one card; with several, without the tool, or when that says something else, it is not known."""
    if prints is not None:
        tool = tmp_path / "nvidia-smi"
        tool.write_text(f"#!/bin/sh\nprintf '{prints}'\n")
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin" if prints is not None else str(tmp_path))
    assert doctor.free_memory() == free


def test_plans_are_counted(tmp_path: Path) -> None:
    """How many there are, where, what they take, and what is missing to build more."""
    there = {**RTX, "onnx": "1.23", "filelock": "4.3"}
    good(doctor.plans(there, tmp_path), f"none in {tmp_path}")
    for name in ("a.plan", "b.plan"):
        (tmp_path / name).write_bytes(bytes(1_500_000))
    good(doctor.plans(there, tmp_path), f"2 in {tmp_path}, 3.0 MB")
    good(doctor.plans({}, tmp_path), f"2 in {tmp_path}, 3.0 MB")
    told(doctor.plans(RTX, tmp_path), "not needed", "building them needs onnx and filelock", "onnx filelock$")


def test_no_tensorrt() -> None:
    """The extra that suits the driver's CUDA is offered."""
    told(doctor.tensorrt(CUDA13, {}, refused), "not needed", "not installed", r"\[tensorrt\]")
    told(doctor.tensorrt(CUDA12, {}, refused), "not needed", "not installed", r"\[tensorrt-cu12\]")


def test_tensorrt_for_a_newer_cuda_than_the_driver() -> None:
    """CUDA 13's packages on a driver for CUDA 12: a newer driver, or the packages for CUDA 12."""
    fault = doctor.tensorrt(CUDA12, TENSORRT, refused)
    told(
        fault,
        "bad",
        "tensorrt is for CUDA 13, the driver runs CUDA 12.8",
        r"580 or newer, or .*\[tensorrt-cu12\]",
    )
    told(doctor.tensorrt(CUDA12, RTX, refused), "bad", "tensorrt-rtx is for CUDA 13", "580 or newer$")
    old = Driver(version=(11, 4), gpus=(replace(RTX4090, driver=(11, 4)),))
    versions = {"tensorrt-cu12": "10.13.3.9", "tensorrt-cu12-libs": "10.13.3.9"}
    told(
        doctor.tensorrt(old, versions, refused),
        "bad",
        "for CUDA 12, the driver runs CUDA 11.4",
        "525 or newer$",
    )


def test_tensorrt_for_an_older_cuda_than_the_driver() -> None:
    """CUDA 12's packages run on a driver for CUDA 13."""
    versions = {"tensorrt-cu12": "10.13.3.9", "tensorrt-cu12-libs": "10.13.3.9"}
    good(doctor.tensorrt(CUDA13, versions, fine), "tensorrt-cu12 10.13.3.9")


def test_tensorrt_for_two_cudas_at_once() -> None:
    """Both sets of libraries in one environment load each other's."""
    versions = {**TENSORRT, "tensorrt-cu12-libs": "10.13.3.9"}
    told(
        doctor.tensorrt(CUDA13, versions, refused),
        "bad",
        "CUDA 12 and 13 at once",
        "uninstall tensorrt-cu12-libs",
    )


@pytest.mark.parametrize("version", ["10.12.0.36", "8.6.1", "12.0"])
def test_tensorrt_of_a_version_nobody_tried(version: str) -> None:
    """Versions outside the range are named with the range."""
    fault = doctor.tensorrt(CUDA13, {"tensorrt": version}, refused)
    told(
        fault,
        "bad",
        rf"tensorrt {version} is installed, streamseg works with 10.13",
        r"--upgrade .*\[tensorrt\]",
    )


def test_tensorrt_that_does_not_load() -> None:
    """What Python said is the reason; a fresh installation the fix."""
    fault = doctor.tensorrt(CUDA13, TENSORRT, failing)
    told(
        fault,
        "bad",
        "tensorrt 10.13.3.9 does not load: ImportError: tensorrt: cannot open",
        "--force-reinstall",
    )
    fault = doctor.tensorrt(CUDA13, RTX, failing)
    told(fault, "bad", "does not load: ImportError: tensorrt_rtx", r"\[tensorrt-rtx\]")


@pytest.mark.parametrize(
    ("headers", "compiler", "found", "fix"),
    [
        (True, True, "^not installed$", "install pycuda$"),
        (False, True, "and CUDA's headers to build it are missing", "CUDA toolkit"),
        (True, False, r"and a C\+\+ compiler to build it are missing", r"install g\+\+"),
        (False, False, r"a C\+\+ compiler and CUDA's headers", r"install g\+\+"),
    ],
)
def test_no_pycuda(headers: bool, compiler: bool, found: str, fix: str) -> None:
    """PyCUDA is built where it is installed: what is missing for that is named first."""
    told(doctor.pycuda(CUDA13, {}, refused, headers=headers, compiler=compiler), "not needed", found, fix)


def test_pycuda_that_does_not_load() -> None:
    """One built against another CUDA is built anew."""
    fault = doctor.pycuda(CUDA13, {"pycuda": "2024.1"}, failing, headers=True, compiler=True)
    told(fault, "bad", "ImportError: pycuda.driver", "^/.*--no-binary pycuda pycuda")
    fault = doctor.pycuda(CUDA13, {"pycuda": "2024.1"}, failing, headers=False, compiler=True)
    told(fault, "bad", "ImportError: pycuda.driver", "^install .*CUDA toolkit, then .* pycuda$")


def test_no_compiler_of_kernels() -> None:
    """NVRTC is missing, or only there for a newer CUDA than the driver's."""
    told(doctor.nvrtc(CUDA13, {}, library=None), "not needed", "not installed", "install nvidia-cuda-nvrtc$")
    told(
        doctor.nvrtc(CUDA12, {}, library=None),
        "not needed",
        "not installed",
        "install nvidia-cuda-nvrtc-cu12$",
    )
    newer = {"nvidia-cuda-nvrtc": "13.5.37"}
    told(
        doctor.nvrtc(CUDA12, newer, library=None),
        "bad",
        "for CUDA 13, the driver runs CUDA 12.8",
        "nvrtc-cu12$",
    )
    both = {**newer, "nvidia-cuda-nvrtc-cu12": "12.9"}
    assert doctor.nvrtc(CUDA12, both, library=None).state == "good"
    old = Driver(version=(11, 4), gpus=(replace(RTX4090, driver=(11, 4)),))
    told(
        doctor.nvrtc(old, both, library=None),
        "bad",
        "for CUDA 12, the driver runs CUDA 11.4",
        "525 or newer$",
    )
    told(doctor.nvrtc(old, {}, library=None), "not needed", "not installed", "525 or newer$")


def test_packages_are_tried_in_a_process_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package that raises, and one that ends Python, are reasons; a sound one is none."""
    for name, content in (
        ("sound", ""),
        ("raising", "raise OSError('no libnvinfer.so.10')"),
        ("fatal", "import os; os._exit(3)"),
    ):
        (tmp_path / f"{name}.py").write_text(content)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert doctor.loads("sound") is None
    assert doctor.loads("raising") == "OSError: no libnvinfer.so.10"
    assert doctor.loads("fatal") == "it ends Python (exit code 3)"


def test_what_is_installed_is_read_not_imported() -> None:
    """Distributions are listed under the names pip gives them."""
    found = doctor.installed()
    assert found["onnxruntime"]
    assert found["opencv-python" if "opencv-python" in found else "opencv-python-headless"]
    assert all(name == name.lower() and "_" not in name for name in found)


@pytest.mark.parametrize(("vendor", "seen"), [("0x10de", True), ("0x8086", False)])
def test_a_card_is_seen_without_its_driver(tmp_path: Path, vendor: str, seen: bool) -> None:
    """The system's list of devices names the maker."""
    (tmp_path / "0000:01:00.0").mkdir()
    (tmp_path / "0000:01:00.0" / "vendor").write_text(f"{vendor}\n")
    assert doctor.nvidia_card(tmp_path) is seen
    assert not doctor.nvidia_card(tmp_path / "nowhere")


@pytest.mark.parametrize("there", [True, False])
def test_headers_are_looked_for_beside_nvcc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    """CUDA's headers lie beside its compiler."""
    (tmp_path / "include").mkdir()
    if there:
        (tmp_path / "include" / "cuda.h").touch()
    which: Callable[[str], str | None] = lambda name: str(tmp_path / "bin" / "nvcc")  # noqa: E731
    monkeypatch.setattr("shutil.which", which)
    found = doctor.cuda_headers()
    assert (
        found is there
        or Path("/usr/local/cuda/include/cuda.h").exists()
        or Path("/usr/include/cuda.h").exists()
    )


def test_every_fact_about_the_gpu_is_told() -> None:
    """Driver, TensorRT, PyCUDA, NVRTC and plans each have their line, GPU or not."""
    facts = [fact.what for fact in doctor.gpu_facts() if fact.what != "GPU"]
    assert facts == ["CUDA driver", "TensorRT", "PyCUDA", "NVRTC", "plans"]
