"""Which TensorRT is installed, imported on use; all that differs between the packages is here.

`tensorrt` times kernels on the GPU it builds for. `tensorrt_rtx` compiles for GPUs it need not see: it builds
anywhere and has neither kernels to time nor anything to remember of that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from streamseg.errors import ModelError, pip_extra, reason
from streamseg.gpu.driver import Gpu

Version = tuple[int, ...]
Hear = Callable[[str], None]
"""Told a line of TensorRT's log."""

RANGES: dict[str, tuple[Version, Version]] = {"tensorrt": ((10, 13), (12,)), "tensorrt_rtx": ((1,), (2,))}
"""Module name -> the oldest version that works and the first that may not."""

_RTX_INT8 = (1, 7)
"""1.4.0 and 1.6.1 refuse every quantised convolution of the embedded models, 1.7.1 takes them all."""

EXTRAS = {"tensorrt": "tensorrt", "tensorrt_rtx": "tensorrt-rtx"}
"""Module name -> the extra of streamseg's that brings it; `tensorrt-cu12` is for drivers of CUDA 12."""


@dataclass(frozen=True, slots=True)
class Package:
    """One of the two TensorRTs, ready to build."""

    name: str
    version: str
    module: Any

    @property
    def needs_gpu(self) -> bool:
        """It builds only for the GPU it runs on."""
        return self.name == "tensorrt"

    @property
    def times_kernels(self) -> bool:
        """A timing cache makes the next build faster."""
        return self.name == "tensorrt"

    @property
    def network_flags(self) -> int:
        """Strongly typed networks: asked for before TensorRT 11, the only kind from there on."""
        flag = getattr(self.module.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
        return 0 if flag is None else 1 << int(flag)

    def require(self, precision: str) -> None:
        """Raise ModelError where it cannot build a precision."""
        if precision == "int8" and self.name == "tensorrt_rtx" and number(self.version) < _RTX_INT8:
            raise ModelError(
                f"{self.name} {self.version} builds no convolutions in 8 bits, {_dotted(_RTX_INT8)} does; "
                f"update it: pip install --upgrade {self.name.replace('_', '-')}"
            )

    def carries(self, gpu: Gpu) -> bool:
        """Whether a plan for the usual targets runs on a GPU: compute capability 8.0 and later, RTX only."""
        return self.name == "tensorrt_rtx" and gpu.compute_capability >= (8, 0)

    def aim(self, config: Any, gpu: Gpu | None) -> None:
        """Have a plan built for one GPU; for the usual targets without one, or for one it cannot name.

        Raises ModelError where it names one and builds nothing for it.
        """
        known = getattr(self.module, "ComputeCapability", None)
        target = gpu and getattr(known, gpu.architecture.replace("sm_", "SM"), None)
        if gpu is None or target is None:
            return
        config.num_compute_capabilities = 1
        if not config.set_compute_capability(target, 0):
            raise ModelError(
                f"{self.name} {self.version} builds nothing for {gpu.name} ({gpu.architecture}); "
                "use --runtime onnxruntime"
            )


def installed(gpu: Gpu | None) -> Package:
    """Return the TensorRT to build with: with a GPU `tensorrt` comes first, without one only RTX helps.

    Raises ModelError: none is installed, does not load, or has a version nobody tried.
    """
    names = ["tensorrt", "tensorrt_rtx"] if gpu else ["tensorrt_rtx", "tensorrt"]
    found = [name for name in names if find_spec(name) is not None]
    if not found:
        others = "the extras [tensorrt-cu12] and [tensorrt-rtx] bring others"
        raise ModelError(f"TensorRT is not installed; install it: {pip_extra('tensorrt')} ({others})")
    problems = []
    for name in found:
        try:
            return _loaded(name)
        except ModelError as error:
            problems.append(str(error))
    raise ModelError("; ".join(problems))


def _loaded(name: str) -> Package:
    try:
        module = import_module(name)
    except Exception as error:  # its libraries fail in many ways: ImportError, OSError, RuntimeError
        fix = pip_extra(EXTRAS[name], "--force-reinstall")
        raise ModelError(f"{name} does not load: {reason(error)}; reinstall it: {fix}") from error
    return Package(name, supported(name, str(module.__version__)), module)


def supported(name: str, version: str) -> str:
    """Return the version; raises ModelError if it is not among those that work."""
    low, high = RANGES[name]
    if not low <= number(version) < high:
        wanted = f"{_dotted(low)} or newer, below {_dotted(high)}"
        fix = pip_extra(EXTRAS[name], "--upgrade")
        raise ModelError(f"{name} {version} is installed, streamseg works with {wanted}: {fix}")
    return version


def number(version: str) -> Version:
    """Return `10.13.3.9.post1` as (10, 13, 3, 9)."""
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def _dotted(version: Version) -> str:
    return ".".join(map(str, version))


def line(text: str) -> str:
    """Return the first line of what TensorRT said, short enough to read."""
    first = next((line.strip() for line in text.splitlines() if line.strip()), "it does not say why")
    return first if len(first) <= 300 else first[:297] + "..."


def listener(trt: Any, hear: Hear = lambda _line: None) -> Any:
    """Return a logger that remembers the last error. The class needs TensorRT's own as its base."""
    errors = (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR)

    class Log(trt.ILogger):  # type: ignore[misc]  # its base has no stubs
        def __init__(self) -> None:
            super().__init__()
            self.error = "it does not say why"
            self.interrupt: BaseException | None = None

        def log(self, severity: Any, msg: str) -> None:
            try:
                if severity in errors:
                    self.error = line(msg)
                hear(msg)
            except BaseException as error:  # must not reach C++: Ctrl-C may come in here
                self.interrupt = error

    return Log()
