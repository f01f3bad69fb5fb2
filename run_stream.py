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
    if Path(sys.prefix) != VENV_PYTHON.parent.parent and os.path.lexists(VENV_PYTHON):
        try:
            os.execv(VENV_PYTHON, [str(VENV_PYTHON), *sys.argv])
        except OSError as error:
            sys.exit(f"error: cannot run '{VENV_PYTHON}': {_trouble(error)}")
    sys.exit("error: streamseg's packages are not installed for this Python; run: make setup")


def _trouble(error: OSError) -> str:
    why = str(error.strerror).lower()
    if isinstance(error, PermissionError):
        return f"{why} (it leads to '{os.path.realpath(VENV_PYTHON)}'); run as the user who set it up"
    return f"{why}; set it up again: rm -r '{HERE / '.venv'}'; make -C '{HERE}' setup"


if __name__ == "__main__":
    ensure_packages()
    sys.path.insert(0, str(HERE))
    from streamseg.cli import main

    main(["run", *sys.argv[1:]])
