"""Call the program as a user does: in this process where that is enough, else in one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from streamseg.cli import main

PROJECT = Path(__file__).resolve().parent.parent
PROGRAM = (sys.executable, "-m", "streamseg")
FAST = ("--runtime", "null")
"""For runs whose picture does not matter."""


@dataclass(frozen=True)
class Outcome:
    """How a call ended."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The error, which must be the only thing said on stderr, in one line and not an internal one."""
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("error: "), self.err
        assert "internal error" not in lines[0], self.err
        assert "Traceback" not in self.err
        return lines[0]


class Cli:
    """Calls `main` in this process and catches what it prints."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str | Path) -> Outcome:
        """Call `main`; return how it ended."""
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        assert isinstance(ended.value.code, int)
        return Outcome(ended.value.code, *self._capsys.readouterr())

    def run(self, *arguments: str | Path) -> Outcome:
        """`streamseg run`, quick and without a network."""
        return self("run", *arguments, *FAST)


def process(*arguments: str | Path, **options: object) -> subprocess.Popen[bytes]:
    """Start `python -m streamseg` with its outputs in pipes."""
    settings: dict[str, object] = {
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "stdin": subprocess.DEVNULL,
    }
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    return subprocess.Popen([*PROGRAM, *map(str, arguments)], **{"env": environment, **settings, **options})  # type: ignore[call-overload,no-any-return]
