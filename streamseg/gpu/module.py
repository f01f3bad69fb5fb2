"""The kernels as the card runs them: built ahead with the package, or by NVRTC on first use."""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from streamseg.gpu import nvrtc
from streamseg.gpu.driver import probe
from streamseg.gpu.jobs import JOBS

SOURCE = Path(__file__).parent.parent / "compositors" / "kernels.cu"
"""The one translation unit; what it includes is in kernels/ beside it."""

FLAGS = ("--fmad=false", "--std=c++17")
"""Fused sums would round other than the CPU's, and memory, not arithmetic, is what takes the time."""


def headers() -> dict[str, str]:
    """What the source includes, by the names it includes it under."""
    return {
        f"kernels/{path.name}": path.read_text("utf-8")
        for path in sorted(SOURCE.parent.glob("kernels/*.cuh"))
    }


def digest() -> str:
    """Of everything the kernels are made of."""
    parts = [SOURCE.read_text("utf-8"), *headers().values(), *FLAGS]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def fatbin() -> Path:
    """Where a build of this very source is, if there is one (`python -m streamseg.gpu.fatbin`)."""
    return Path(__file__).with_name(f"kernels-{digest()[:16]}.fatbin")


def require() -> None:
    """Raise UsageError where there is neither a build of the kernels nor NVRTC to make one."""
    if not fatbin().exists():
        nvrtc.Compiler(_newest())


def kernels(driver: Any, capability: tuple[int, int]) -> dict[str, Any]:
    """Load all kernels for a card of this compute capability into the current context, prepared to be called.

    Raises UsageError where there is neither a build nor NVRTC, RuntimeFailure when it cannot compile them.
    """
    ahead = fatbin()
    module = driver.module_from_buffer(ahead.read_bytes() if ahead.exists() else compiled(capability))
    loaded = {}
    for name, job in JOBS.items():
        function = module.get_function(name)
        function.prepare([job])
        loaded[name] = function
    return loaded


def compiled(capability: tuple[int, int], folder: Path | None = None) -> bytes:
    """Return the kernels compiled by NVRTC, or kept in `folder` (without one: the user's cache)."""
    compiler = nvrtc.Compiler(_newest())
    target = compiler.target(capability)
    version = ".".join(map(str, compiler.version))
    key = hashlib.sha256("\0".join([digest(), target, version]).encode()).hexdigest()
    path = (folder or user_cache_path("streamseg", appauthor=False) / "kernels") / f"{key}.bin"
    with suppress(OSError):
        return path.read_bytes()
    image = compiler.compile(SOURCE.read_text("utf-8"), headers(), (*FLAGS, f"--gpu-architecture={target}"))
    with suppress(OSError):  # a cache that cannot be written costs a second next time
        _write(path, image)
    return image


def _newest() -> int | None:
    """The CUDA the driver runs, by its first number: it loads nothing made for a newer one."""
    version = probe().version
    return version[0] if version else None


def _write(path: Path, image: bytes) -> None:
    """Write so that nobody ever reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(image)
        os.replace(name, path)  # noqa: PTH105  (the one call that is atomic everywhere)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
