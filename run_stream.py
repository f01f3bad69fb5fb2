#!/usr/bin/env python3
"""The entry script: the same program as `streamseg run`. `./run_stream.py --help` explains it."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).resolve().parent
VENV_PYTHON = HERE / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def ensure_packages() -> None:
    """Run under the project's own environment when this Python lacks the packages."""
    if all(find_spec(package) for package in ("av", "cv2", "click", "onnxruntime")):
        return
    if VENV_PYTHON.exists() and Path(sys.prefix) != VENV_PYTHON.parent.parent:
        os.execv(VENV_PYTHON, [str(VENV_PYTHON), *sys.argv])
    sys.exit("error: streamseg's packages are not installed for this Python; run: make setup")


if __name__ == "__main__":
    ensure_packages()
    sys.path.insert(0, str(HERE))
    from streamseg.cli import main

    main(["run", *sys.argv[1:]])
