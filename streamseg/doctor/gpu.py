"""The GPU and what it takes to use it: all optional, and bad only if it is installed and does not work.

The functions are given what was found, so that every fault can be shown to them. Nothing of a GPU package is
imported here: that is what may fail, so another process tries.
"""

from __future__ import annotations

import ctypes.util
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import distributions
from pathlib import Path

from streamseg.doctor.fact import PIP, REINSTALL, Fact
from streamseg.errors import ModelError, pip_extra, pip_install
from streamseg.gpu.driver import Driver, Gpu, probe
from streamseg.plans.outdated import kept_bytes
from streamseg.plans.store import plans_folder

OLDEST_GPU = (7, 5)
"""Compute capability that TensorRT 10.13 and newer still build for."""
LEAST_MEMORY = 2 << 30
"""Bytes. An estimate: CUDA, TensorRT and the buffers of a 1080p run."""
DRIVERS = {12: 525, 13: 580}
"""CUDA -> NVIDIA's first driver for Linux that runs it (docs.nvidia.com, CUDA toolkit release notes)."""

Versions = Mapping[str, str]
"""Distribution, as pip normalises its name -> version."""
Loads = Callable[[str], str | None]
"""Tries to import a module; says what went wrong."""

_TENSORRTS = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}
"""Distribution -> module."""
_INIT = {
    100: "no card; is it seated, and passed on to this container or machine? nvidia-smi",
    803: "reboot   (the driver was updated under the running system)",
    804: f"update the driver to {DRIVERS[12]} or newer",
}
"""What helps when cuInit fails with a code of cuda.h."""


def gpu_facts() -> Iterator[Fact]:
    """Look at the driver, the card and the packages that use it."""
    found, versions = probe(), installed()
    yield driver(found, card_seen=nvidia_card())
    if found.gpu:
        yield card(found.gpu, free=free_memory())
    yield tensorrt(found, versions, loads)
    yield pycuda(found, versions, loads, headers=cuda_headers(), compiler=bool(shutil.which("g++")))
    yield nvrtc(found, versions, library=ctypes.util.find_library("nvrtc"))
    yield plans(versions, plans_folder())


def driver(found: Driver, *, card_seen: bool) -> Fact:
    """NVIDIA's driver."""
    what = "CUDA driver"
    if found.version and found.gpus:
        names = ", ".join(f"{one.name} ({one.architecture})" for one in found.gpus)
        return Fact(what=what, found=f"CUDA {_dotted(found.version)}, {names}")
    code = re.search(r"error (\d+)", found.problem or "")
    fix = None
    if not found.installed and card_seen:
        fix = "install NVIDIA's driver: https://www.nvidia.com/drivers"
    elif found.installed:
        fix = _INIT.get(int(code[1]) if code else 100, "nvidia-smi   (says what is wrong)")
    return Fact(what=what, found=f"{found.problem}; the processor does the work", state="not needed", fix=fix)


def card(found: Gpu, *, free: int | None = None) -> Fact:
    """Whether the card is new and large enough. `free`: bytes that others have left of it, where known."""
    memory = f"{found.name}, {found.memory / 2**30:.1f} GiB"
    if found.compute_capability < OLDEST_GPU:
        need = f"TensorRT needs sm_{OLDEST_GPU[0]}{OLDEST_GPU[1]}"
        told = f"{found.name} is {found.architecture}, {need} or newer; the processor does the work"
        return Fact(what="GPU", found=told, state="not needed")
    if found.memory < LEAST_MEMORY:
        told = f"{memory}: a run at 1080p takes about {LEAST_MEMORY >> 30}"
        return Fact(
            what="GPU", found=told, state="not needed", fix="--runtime onnxruntime, or smaller pictures"
        )
    if free is not None and free < LEAST_MEMORY:
        told = f"{memory}, {free / 2**30:.1f} free: a run at 1080p takes about {LEAST_MEMORY >> 30}"
        return Fact(
            what="GPU", found=told, state="not needed", fix="nvidia-smi   (names the programs that have it)"
        )
    return Fact(what="GPU", found=memory)


def free_memory() -> int | None:
    """Return how many bytes of the GPU nobody uses; None where NVIDIA's own tool does not tell.

    Nor of several: it counts them in another order than CUDA.
    """
    call = ["nvidia-smi", "--query-gpu=memory.free", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(call, capture_output=True, text=True, timeout=20, check=True)
        (free,) = done.stdout.split()
        return int(free) << 20
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def tensorrt(found: Driver, versions: Versions, loads: Loads) -> Fact:
    """TensorRT, of a version that works, for a CUDA that the driver runs."""
    what = "TensorRT"
    there = {name: versions[name] for name in cuda_variants(versions)}
    if not there:
        fix = pip_extra(_extra(found)) if found.gpu else None
        return Fact(what=what, found="not installed", state="not needed", fix=fix)
    told = ", ".join(f"{name} {version}" for name, version in there.items())
    if not found.gpu:
        use = "; builds plans, which run where there is a GPU" if any("rtx" in name for name in there) else ""
        return Fact(what=what, found=f"{told}{use}")
    return _fault(found, there, versions, loads) or Fact(what=what, found=told)


def _fault(found: Driver, there: Versions, versions: Versions, loads: Loads) -> Fact | None:
    """Return what is wrong with an installed TensorRT."""
    from streamseg.plans.package import supported

    what = "TensorRT"
    for name, module in _TENSORRTS.items():
        owners = [one for one in there if one.removesuffix("-cu12").removesuffix("-cu13") == name]
        if not owners:
            continue
        cudas = sorted(cuda for cuda in DRIVERS if f"{name}-cu{cuda}-libs" in versions)
        if len(cudas) > 1:
            extra = f"{name}-cu{cudas[0]}-libs {name}-cu{cudas[0]}-bindings"
            told = f"{name} is installed for CUDA {cudas[0]} and {cudas[1]} at once"
            return Fact(what=what, found=told, state="bad", fix=f"{PIP} uninstall {extra}")
        if cudas and found.version and found.version[0] < cudas[0]:
            told = f"{name} is for CUDA {cudas[0]}, the driver runs CUDA {_dotted(found.version)}"
            return Fact(what=what, found=told, state="bad", fix=_newer(found, name, cudas[0]))
        try:
            supported(module, there[owners[0]])
        except ModelError as error:
            fix = pip_extra(_extra(found, name), "--upgrade")
            return Fact(what=what, found=str(error).partition(":")[0], state="bad", fix=fix)
        if trouble := loads(module):
            told = f"{owners[0]} {there[owners[0]]} does not load: {trouble}"
            return Fact(
                what=what, found=told, state="bad", fix=pip_extra(_extra(found, name), "--force-reinstall")
            )
    return None


def _newer(found: Driver, name: str, cuda: int) -> str:
    update = f"update the driver to {DRIVERS[cuda]} or newer"
    if name == "tensorrt" and found.version and found.version[0] == 12:
        return f"{update}, or {PIP} uninstall {name}-cu{cuda}-libs && {pip_extra('tensorrt-cu12')}"
    return update


def _extra(found: Driver, name: str = "tensorrt") -> str:
    """Return the extra that suits a driver."""
    old = found.version is not None and found.version[0] < 13
    return "tensorrt-cu12" if name == "tensorrt" and old else name


def cuda_variants(versions: Versions) -> list[str]:
    """Return the distributions that are a TensorRT: `tensorrt`, `tensorrt-cu12`, `tensorrt-rtx`, ..."""
    whole = [name for name in versions if name in _TENSORRTS]
    parts = [name for name in versions if re.fullmatch(r"tensorrt(-rtx)?-cu1[23]", name)]
    return sorted(whole) or sorted(parts)


def pycuda(found: Driver, versions: Versions, loads: Loads, *, headers: bool, compiler: bool) -> Fact:
    """PyCUDA, which is compiled when it is installed."""
    what = "PyCUDA"
    if "pycuda" not in versions:
        missing = [
            name for name, there in (("a C++ compiler", compiler), ("CUDA's headers", headers)) if not there
        ]
        if not found.gpu:
            return Fact(what=what, found="not installed", state="not needed")
        if missing:
            fix = f"install g++ and NVIDIA's CUDA toolkit, then {PIP} install pycuda"
            told = f"not installed, and {' and '.join(missing)} to build it are missing"
            return Fact(what=what, found=told, state="not needed", fix=fix)
        return Fact(what=what, found="not installed", state="not needed", fix=f"{PIP} install pycuda")
    if found.gpu and (trouble := loads("pycuda.driver")):
        fix = f"{REINSTALL} --no-cache-dir --no-binary pycuda pycuda"
        if not (headers and compiler):
            fix = f"install g++ and NVIDIA's CUDA toolkit, then {fix}"
        return Fact(what=what, found=f"does not load: {trouble}", state="bad", fix=fix)
    return Fact(what=what, found=f"pycuda {versions['pycuda']}")


def nvrtc(found: Driver, versions: Versions, *, library: str | None) -> Fact:
    """The compiler of CUDA kernels."""
    what, wheels = "NVRTC", {12: "nvidia-cuda-nvrtc-cu12", 13: "nvidia-cuda-nvrtc"}
    newest = found.version[0] if found.version else max(wheels)
    there = {cuda: name for cuda, name in wheels.items() if name in versions}
    wanted = f"{PIP} install {wheels.get(newest, wheels[13])}"
    if newest < min(wheels):
        wanted = f"update the driver to {DRIVERS[12]} or newer"
    if not there and not library:
        return Fact(what=what, found="not installed", state="not needed", fix=wanted if found.gpu else None)
    if found.gpu and there and newest < min(there) and not library:
        cuda, name = min(there.items())
        told = f"{name} {versions[name]} is for CUDA {cuda}, the driver runs CUDA {_dotted(found.version)}"
        return Fact(what=what, found=told, state="bad", fix=wanted)
    named = ", ".join(f"{name} {versions[name]}" for name in there.values())
    return Fact(what=what, found=named or str(library))


def plans(versions: Versions, folder: Path) -> Fact:
    """The plans that are kept, and what it takes to build others."""
    what, (count, size) = "plans", kept_bytes(folder)
    told = f"{count or 'none'} in {folder}" + (f", {size / 1e6:.1f} MB" if count else "")
    missing = [name for name in ("onnx", "filelock") if name not in versions]
    if missing and cuda_variants(versions):
        needs = f"{told}; building them needs {' and '.join(missing)}"
        return Fact(what=what, found=needs, state="not needed", fix=pip_install(*missing))
    return Fact(what=what, found=told)


def installed() -> dict[str, str]:
    """Return every installed distribution and its version."""
    return {
        re.sub(r"[-_.]+", "-", one.name).lower(): one.version
        for one in distributions()
        if one.name is not None
    }


def loads(module: str) -> str | None:
    """Import a module in a process of its own; return the last line of what went wrong, or None."""
    call = [sys.executable, "-c", f"import {module}"]
    try:
        done = subprocess.run(call, capture_output=True, text=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        return "it hangs"
    if done.returncode == 0:
        return None
    lines = done.stderr.strip().splitlines()
    return lines[-1] if lines else f"it ends Python (exit code {done.returncode})"


def cuda_headers() -> bool:
    """Whether CUDA's headers are where PyCUDA looks for them."""
    nvcc = shutil.which("nvcc")
    roots = [Path("/usr/local/cuda"), Path("/usr"), *([Path(nvcc).resolve().parent.parent] if nvcc else [])]
    return any((root / "include" / "cuda.h").is_file() for root in roots)


def nvidia_card(devices: Path = Path("/sys/bus/pci/devices")) -> bool:
    """Whether the system lists a card of NVIDIA's, driver or not."""
    try:
        return any(path.read_text().strip() == "0x10de" for path in devices.glob("*/vendor"))
    except OSError:
        return False


def _dotted(version: tuple[int, int] | None) -> str:
    return ".".join(map(str, version or ()))
