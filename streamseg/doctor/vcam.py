"""Whether a virtual camera can be fed."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from importlib.util import find_spec

from streamseg.doctor.fact import Fact
from streamseg.errors import pip_extra, reason

_WHAT = "virtual camera"


def virtual_camera() -> Fact:
    """The package that feeds one, and on Linux the devices there are."""
    if find_spec("pyvirtualcam") is None:
        return Fact(what=_WHAT, found="no package pyvirtualcam", state="not needed", fix=pip_extra("vcam"))
    try:
        from streamseg.sinks.loopback import INSTALL, loopbacks
    except ImportError as error:  # of OpenCV or PyAV, which have lines of their own
        return Fact(what=_WHAT, found=f"cannot look for any: {reason(error)}", state="not needed")
    package = f"pyvirtualcam {version('pyvirtualcam')}"
    if not sys.platform.startswith("linux"):
        return Fact(what=_WHAT, found=f"{package}; OBS's or Unity Capture's is found when it is opened")
    found = loopbacks()
    if not found:
        return Fact(what=_WHAT, found=f"{package}, but no device", state="not needed", fix=INSTALL)
    told = ", ".join(f"{each.path} ({each.label})" for each in found)
    if not any(os.access(each.path, os.W_OK) for each in found):
        fix = f"sudo usermod -aG video {os.environ.get('USER', '$USER')}   (then log in again)"
        return Fact(what=_WHAT, found=f"no permission for {told}", state="not needed", fix=fix)
    return Fact(what=_WHAT, found=f"{told}, {package}")
