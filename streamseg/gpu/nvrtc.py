"""NVIDIA's run-time compiler, by ctypes: it needs neither a driver nor a toolkit, only its own library."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from streamseg.errors import RuntimeFailure, UsageError, pip_install

_NAMES = ("libnvrtc.so.13", "libnvrtc.so.12", "nvrtc64_130_0.dll", "nvrtc64_120_0.dll", "libnvrtc.so")
_TOOLKIT = "/usr/local/cuda/lib64/libnvrtc.so"


class Compiler:
    """Compiles CUDA C++ to what `cuModuleLoadData` takes."""

    def __init__(self, newest: int | None = None) -> None:
        """`newest`: the CUDA, by its first number, whose kernels the driver takes; None if that is not known.

        Raises UsageError where the library is missing, or there is only one for a newer CUDA.
        """
        self._library, self.version = _library(newest)

    def target(self, capability: tuple[int, int]) -> str:
        """The architecture to compile for: the card's own, or PTX of the nearest older one NVRTC knows.

        Raises RuntimeFailure for a card older than all it knows.
        """
        wanted = 10 * capability[0] + capability[1]
        known = self.architectures()
        if wanted in known:
            return f"sm_{wanted}"
        older = [each for each in known if each < wanted]
        if not older:
            raise RuntimeFailure(
                f"this GPU has compute capability {capability[0]}.{capability[1]}; "
                f"NVRTC {self.version[0]}.{self.version[1]} compiles for {known[0] / 10} and later; "
                "use an older NVRTC"
            )
        return f"compute_{max(older)}"

    def architectures(self) -> list[int]:
        """Compute capabilities it can compile for, times ten, ascending."""
        count = ctypes.c_int()
        self._check(self._library.nvrtcGetNumSupportedArchs(ctypes.byref(count)))
        known = (ctypes.c_int * count.value)()
        self._check(self._library.nvrtcGetSupportedArchs(known))
        return sorted(known)

    def compile(self, source: str, headers: Mapping[str, str], options: Sequence[str]) -> bytes:
        """Return a cubin, or PTX for a virtual architecture; raises RuntimeFailure with what it says."""
        library, program = self._library, ctypes.c_void_p()
        texts = _strings(headers.values())
        self._check(
            library.nvrtcCreateProgram(
                ctypes.byref(program), source.encode(), b"kernels.cu", len(headers), texts, _strings(headers)
            )
        )
        try:
            if library.nvrtcCompileProgram(program, len(options), _strings(options)):
                log = self._text(program, "ProgramLog").decode(errors="replace").strip("\0\n ")
                raise RuntimeFailure(
                    f"NVRTC cannot compile the kernels: {log.splitlines()[0] if log else 'no reason'}"
                )
            virtual = any("compute_" in option for option in options)
            return self._text(program, "PTX" if virtual else "CUBIN")
        finally:
            library.nvrtcDestroyProgram(ctypes.byref(program))

    def _text(self, program: ctypes.c_void_p, what: str) -> bytes:
        size = ctypes.c_size_t()
        self._check(getattr(self._library, f"nvrtcGet{what}Size")(program, ctypes.byref(size)))
        content = ctypes.create_string_buffer(size.value)
        self._check(getattr(self._library, f"nvrtcGet{what}")(program, content))
        return content.raw

    def _check(self, status: int) -> None:
        if status:
            self._library.nvrtcGetErrorString.restype = ctypes.c_char_p
            raise RuntimeFailure(f"NVRTC failed: {self._library.nvrtcGetErrorString(status).decode()}")


def _strings(texts: Iterable[str]) -> ctypes.Array[ctypes.c_char_p]:
    encoded = [text.encode() for text in texts]
    return (ctypes.c_char_p * len(encoded))(*encoded)


def _library(newest: int | None) -> tuple[ctypes.CDLL, tuple[int, int]]:
    """The first that is there and makes what the driver takes, and its version."""
    newer: tuple[int, int] | None = None
    for candidate in (*_wheels(), *_NAMES, _TOOLKIT):
        with suppress(OSError):
            library = ctypes.CDLL(candidate)
            version = _version(library)
            if newest is None or version[0] <= newest:
                return library, version
            newer = newer or version
    if newer is not None:
        wheel = "nvidia-cuda-nvrtc-cu12" if newest == 12 else f"nvidia-cuda-nvrtc=={newest}.*"
        raise UsageError(
            f"NVRTC {newer[0]}.{newer[1]} is installed, but the driver runs CUDA {newest}; "
            f"update the driver, or install another: {pip_install(wheel)}"
        )
    raise UsageError(
        "the GPU's kernels need NVRTC to be compiled, and no libnvrtc was found; "
        "install it: pip install nvidia-cuda-nvrtc"
    )


def _version(library: ctypes.CDLL) -> tuple[int, int]:
    major, minor = ctypes.c_int(), ctypes.c_int()
    library.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    return major.value, minor.value


def _wheels() -> Iterator[str]:
    """Where NVIDIA's wheels put it. Its second half it opens by name: found only if loaded already."""
    places = ("nvidia/cu13/lib", "nvidia/cuda_nvrtc/lib", "nvidia/cu13/bin", "nvidia/cuda_nvrtc/bin")
    for folder in (Path(path) / place for path in sys.path for place in places):
        for path in (folder / name for name in _NAMES if (folder / name).is_file()):
            for half in folder.glob("*nvrtc-builtins*[0-9]*"):
                with suppress(OSError):
                    ctypes.CDLL(str(half))
            yield str(path)
