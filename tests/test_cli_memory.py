"""Memory of freed pictures is used again, whichever thread freed it."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import os, threading
from streamseg.cli.memory import share_freed_pictures

def held():
    return int(open('/proc/self/statm').read().split()[1]) * os.sysconf('SC_PAGE_SIZE')

barriers = []
def pictures():
    made = [bytearray(3 << 20) for _ in range(20)]
    barriers.append(bytearray(200 << 10))  # above them in the heap: they don't go back to the system

share_freed_pictures()
bytearray(30 << 20)  # once this is freed, glibc keeps whatever is smaller
pictures()
before = held()
for _ in range(3):
    thread = threading.Thread(target=pictures)
    thread.start()
    thread.join()
print(held() - before < 20 << 20)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="concerns glibc")
def test_what_one_thread_freed_serves_another() -> None:
    """After one thread has freed 60 MB of pictures, three more make as many in less than 20 MB more."""
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
