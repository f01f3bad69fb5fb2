"""Jobs as numpy lays them out, and as the compilers lay out what the kernels declare."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamseg.gpu.jobs import JOBS
from streamseg.gpu.module import SOURCE, headers

_SHIM = Path(__file__).parent / "emulator" / "shim.h"
_COMMANDS = {
    "g++": ["g++", "-std=c++17", "-fsyntax-only", "-include", str(_SHIM), "-x", "c++"],
    "nvcc": ["nvcc", "-std=c++17", "-arch=compute_80", "-ptx", "-o", "/dev/null"],
}
_KINDS = {"f": "is_floating_point", "i": "is_integral", "u": "is_pointer"}
"""Of a field: numpy's letter -> what C++ calls it. Unsigned are only addresses."""


def declared() -> dict[str, str]:
    """Kernel -> the struct it takes, as the headers say."""
    found = re.findall(r'extern "C" __global__ void (\w+)\(const (\w+) job\)', "".join(headers().values()))
    return dict(found)


def fields(layout: np.dtype[Any], path: str = "", begin: int = 0) -> Iterator[tuple[str, int, np.dtype[Any]]]:
    """Every number in a struct: where C++ finds it, its first byte, its type."""
    if layout.subdtype is not None:
        element, shape = layout.subdtype
        for index in np.ndindex(shape):
            place = begin + int(np.ravel_multi_index(index, shape)) * element.itemsize
            yield from fields(element, path + "".join(f"[{each}]" for each in index), place)
    elif layout.fields is not None:
        for name in layout.names or ():
            inner, place = layout.fields[name][:2]
            yield from fields(inner, f"{path}.{name}" if path else name, begin + place)
    else:
        yield path, begin, layout


def asserted(layouts: dict[str, np.dtype[Any]]) -> str:
    """C++ that only compiles where the structs are laid out so."""
    lines = ["#include <cstddef>", "#include <type_traits>", f'#include "{SOURCE}"']
    for name, layout in layouts.items():
        lines.append(f"static_assert(sizeof({name}) == {layout.itemsize});")
        for path, begin, kind in fields(layout):
            member = f"std::remove_reference_t<decltype((({name} *)0)->{path})>"
            lines.append(f"static_assert(offsetof({name}, {path}) == {begin});")
            lines.append(f"static_assert(sizeof({member}) == {kind.itemsize});")
            lines.append(f"static_assert(std::{_KINDS[kind.kind]}_v<{member}>);")
    return "\n".join(lines)


def compiles(compiler: str, source: str, folder: Path) -> str:
    """What a compiler complains of."""
    if shutil.which(compiler) is None:
        pytest.skip(f"needs {compiler} on the PATH")
    path = folder / "layouts.cu"
    path.write_text(source)
    command = [*_COMMANDS[compiler], f"-I{SOURCE.parent}", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr


@pytest.mark.parametrize("compiler", _COMMANDS)
def test_every_field_lies_where_the_kernels_read_it(compiler: str, tmp_path: Path) -> None:
    """Its first byte, its size and its kind, of every kernel's job, for the CPU and for a card."""
    assert declared().keys() == JOBS.keys()
    layouts = {name: JOBS[kernel] for kernel, name in declared().items()}
    source = asserted(layouts)
    assert source.count("static_assert") > 500
    assert "error" not in compiles(compiler, source, tmp_path)


def test_a_field_that_lies_elsewhere_is_noticed(tmp_path: Path) -> None:
    """Two of the same size in the other order, or of another kind."""
    right = JOBS["look_up"]
    names = list(right.names or ())
    assert right.fields is not None
    swapped = [names[1], names[0], *names[2:]]
    wrong = np.dtype([(name, right.fields[name][0]) for name in swapped], align=True)
    assert "static assertion failed" in compiles("g++", asserted({"TableJob": wrong}), tmp_path)
    other = np.dtype(
        [(name, right.fields[name][0] if name != "width" else "f4") for name in names], align=True
    )
    assert "static assertion failed" in compiles("g++", asserted({"TableJob": other}), tmp_path)
