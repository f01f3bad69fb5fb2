"""One line of the doctor's, and the commands that many of them end with."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Literal

PIP = f"{sys.executable} -m pip"
REINSTALL = f"{PIP} install --force-reinstall"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One line of the doctor's."""

    what: str
    found: str
    state: Literal["good", "bad", "not needed"] = "good"
    """Not needed: missing, and streamseg does its main job without."""
    fix: str | None = None
    """The command that helps."""
