"""Memory between pictures goes back to the system."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commandline import process

CODE = """
import os
from streamseg.cli.memory import give_pictures_back

def held():
    return int(open('/proc/self/statm').read().split()[1]) * os.sysconf('SC_PAGE_SIZE')

give_pictures_back()
bytearray(30 << 20)  # once this is freed, plain glibc keeps whatever is smaller
pictures = [bytearray(3 << 20) for _ in range(20)]
barrier = bytearray(200 << 10)  # above them in the heap, it would keep them from being given back
full = held()
pictures.clear()
print(full - held() > 50 << 20)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="concerns glibc")
def test_freed_pictures_go_back_to_the_system() -> None:
    """After 60 MB of pictures are freed, the process is at least 50 MB smaller, whatever was freed before."""
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


@pytest.mark.slow
def test_memory_does_not_grow_with_the_length_of_a_video(tmp_path: Path) -> None:
    """Ten minutes at 1080p end within 32 MB of ten seconds, and below 400 MB."""
    peaks = [peak(tmp_path, length) for length in ("10s", "600s")]
    assert peaks[1] < min(peaks[0] + 32, 400), peaks


def peak(folder: Path, length: str) -> float:
    """Most memory, in MB, of a run through the network that writes nothing."""
    report = folder / "report.json"
    run = process("run", f"test:1920x1080@30,{length}", "-o", "null:", "--report", report, "-y")
    _, said = run.communicate()
    assert run.returncode == 0, said
    return float(json.loads(report.read_text())["peak_rss_mb"])
