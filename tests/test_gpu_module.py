"""How kernels get onto a card: a build shipped with the package, NVRTC with a cache; what is said without."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from streamseg.errors import RuntimeFailure, UsageError
from streamseg.gpu import fatbin, module, nvrtc
from streamseg.gpu.jobs import JOBS
from tests.emulator.card import Card
from tests.emulator.driver import driver

needs_nvcc = pytest.mark.skipif(shutil.which("nvcc") is None, reason="needs nvcc (CUDA toolkit) on the PATH")


@pytest.fixture
def compiler() -> nvrtc.Compiler:
    """The real NVRTC."""
    try:
        return nvrtc.Compiler()
    except UsageError as error:
        pytest.skip(f"needs NVRTC: {error}")


@needs_nvcc
def test_nvcc_compiles_every_kernel_for_every_card_without_warnings_or_spills(tmp_path: Path) -> None:
    """Turing to Blackwell: no warning, no byte spilled, no stack, and not too many registers."""
    report = fatbin.build(tmp_path / "kernels.fatbin")
    assert (tmp_path / "kernels.fatbin").stat().st_size > 100_000
    for architecture in fatbin.ARCHITECTURES:
        compiled = re.findall(rf"Compiling entry function '(\w+)' for 'sm_{architecture}a?'", report)
        assert sorted(compiled) == sorted(JOBS)
    registers, local = fatbin.worst(report)
    assert local == 0
    assert 0 < registers <= 80
    assert [path.name for path in tmp_path.iterdir()] == ["kernels.fatbin"]


def test_what_the_assembler_says_is_understood() -> None:
    """The most registers and the most local memory, wherever in the report they are."""
    report = """
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
    ptxas info    : Used 20 registers, used 0 barriers, 440 bytes cmem[0]
    16 bytes stack frame, 4 bytes spill stores, 32 bytes spill loads
    ptxas info    : Used 72 registers, used 0 barriers, 440 bytes cmem[0]
    """
    assert fatbin.worst(report) == (72, 32)


def test_without_nvcc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One line, and nothing written."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="needs nvcc"):
        fatbin.build(tmp_path / "kernels.fatbin")
    assert not list(tmp_path.iterdir())


def test_nvrtc_compiles_the_kernels_once(compiler: nvrtc.Compiler, tmp_path: Path) -> None:
    """A cubin for a card it knows, from the cache the second time; PTX for one that is newer than itself."""
    image = module.compiled((8, 0), tmp_path)
    assert image.startswith(b"\x7fELF")
    (cached,) = tmp_path.iterdir()
    cached.write_bytes(b"from the cache")
    assert module.compiled((8, 0), tmp_path) == b"from the cache"
    assert b".target sm_" in module.compiled((99, 0), tmp_path)


def test_nvrtc_says_what_is_wrong(compiler: nvrtc.Compiler) -> None:
    """Its first complaint, in one line; a card that is too old is told so."""
    with pytest.raises(
        RuntimeFailure, match=r"NVRTC cannot compile the kernels: kernels.cu\(1\): error: "
    ) as told:
        compiler.compile("nonsense", {}, ["--gpu-architecture=sm_80"])
    assert "\n" not in str(told.value)
    with pytest.raises(RuntimeFailure, match=r"compute capability 3\.5; NVRTC .* compiles for"):
        compiler.target((3, 5))


class FakeCompiler:
    """Counts how often it compiles."""

    version = (13, 0)
    count = 0

    def __init__(self, newest: int | None) -> None:
        """Of a driver nobody knows here."""

    def target(self, capability: tuple[int, int]) -> str:
        """The card's own."""
        return f"sm_{capability[0]}{capability[1]}"

    def compile(self, source: str, headers: dict[str, str], options: tuple[str, ...]) -> bytes:
        """Say for what."""
        assert set(re.findall(r'#include "(.+)"', source)) == set(headers)
        FakeCompiler.count += 1
        return options[-1].encode()


def test_the_cache_holds_one_image_for_each_source_card_and_compiler(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Another card, another NVRTC or another source compiles anew; nothing half-written is ever found."""
    monkeypatch.setattr(nvrtc, "Compiler", FakeCompiler)
    monkeypatch.setattr(FakeCompiler, "count", 0)
    for _ in range(2):
        assert module.compiled((9, 0), tmp_path) == b"--gpu-architecture=sm_90"
        assert module.compiled((8, 6), tmp_path) == b"--gpu-architecture=sm_86"
    assert FakeCompiler.count == 2
    monkeypatch.setattr(FakeCompiler, "version", (13, 1))
    module.compiled((9, 0), tmp_path)
    monkeypatch.setattr(module, "digest", lambda: "another source")
    module.compiled((9, 0), tmp_path)
    assert FakeCompiler.count == 4
    assert len(list(tmp_path.iterdir())) == 4


def test_a_cache_that_cannot_be_written_is_done_without(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The kernels are compiled each time."""
    monkeypatch.setattr(nvrtc, "Compiler", FakeCompiler)
    (tmp_path / "file").touch()
    assert module.compiled((9, 0), tmp_path / "file" / "folder") == b"--gpu-architecture=sm_90"


def test_a_build_shipped_with_the_package_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Only one of this very source: its name says of which it is."""
    shipped = tmp_path / "kernels.fatbin"
    monkeypatch.setattr(module, "fatbin", lambda: shipped)
    monkeypatch.setattr(module, "compiled", lambda capability: b"compiled")
    taken: list[bytes] = []

    class Loading:
        """Remembers what it loads."""

        def __init__(self, card: Card) -> None:
            self._driver = driver(card)

        def module_from_buffer(self, image: bytes) -> Any:
            """Load it."""
            taken.append(image)
            return self._driver.module_from_buffer(image)

    card = Card()
    real = driver(card)
    context = real.Device(0).retain_primary_context()
    context.push()
    assert sorted(module.kernels(Loading(card), (9, 0))) == sorted(JOBS)
    shipped.write_bytes(b"shipped")
    module.kernels(Loading(card), (9, 0))
    context.pop()
    assert taken == [b"compiled", b"shipped"]
    monkeypatch.undo()
    assert module.digest()[:16] in module.fatbin().name


def test_without_nvrtc(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line: what is missing, and how to get it."""
    monkeypatch.setattr(nvrtc, "_NAMES", ("libnvrtc-that-is-not-there.so",))
    monkeypatch.setattr(nvrtc, "_TOOLKIT", "/nowhere/libnvrtc.so")
    with pytest.raises(UsageError, match="no libnvrtc was found; install it: pip install nvidia-cuda-nvrtc"):
        nvrtc.Compiler()


class Library:
    """An NVRTC that says its version."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._number = int(name.rpartition(".")[2])

    def nvrtcVersion(self, major: Any, minor: Any) -> int:
        """Write it where it is asked to."""
        major._obj.value, minor._obj.value = self._number, 5
        return 0


def test_the_nvrtc_that_suits_the_driver_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two that are installed, one for a CUDA the driver is too old for is passed over, or named."""
    there = ["libnvrtc.so.13", "libnvrtc.so.12"]
    monkeypatch.setattr(nvrtc, "_NAMES", ())
    monkeypatch.setattr(nvrtc, "_TOOLKIT", "libnvrtc.so.12")
    monkeypatch.setattr(nvrtc, "_wheels", lambda: iter(there))
    monkeypatch.setattr(nvrtc.ctypes, "CDLL", Library)
    assert [nvrtc.Compiler(newest).version for newest in (None, 14, 13, 12)] == [(13, 5)] * 3 + [(12, 5)]
    monkeypatch.setattr(nvrtc, "_TOOLKIT", "libnvrtc.so.13")
    there.pop()
    with pytest.raises(
        UsageError, match=r"^NVRTC 13\.5 is .* runs CUDA 12; .*install nvidia-cuda-nvrtc-cu12$"
    ):
        nvrtc.Compiler(12)
