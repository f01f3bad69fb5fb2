"""SIGINT, SIGTERM and SIGHUP: the first ends a run in an orderly way, a later one at once."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import NoReturn

from streamseg.control import Control
from streamseg.sinks.files import discard_partials
from streamseg.sources.uris import is_network, local_path

INTERRUPTED = 130
"""Exit code after any of them."""

_SIGNALS = [signal.SIGINT, signal.SIGTERM]
if hasattr(signal, "SIGHUP"):  # the terminal was closed; Windows has no such signal
    _SIGNALS.append(signal.SIGHUP)

_SAME = 0.5
"""Seconds in which a second signal is part of the first: timeout(1) and supervisors send it to the process
and to its group."""


class Interrupts:
    """What the signals do inside its `with` block: until `begin` they end the process, then the run."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._since: float | None = None

    @property
    def caught(self) -> bool:
        """A signal has come since `begin`."""
        return self._since is not None

    def __enter__(self) -> Interrupts:
        # opening an input may hang in a library, where no handler of ours runs; and nothing is written yet
        self._before = {number: signal.signal(number, signal.SIG_DFL) for number in _SIGNALS}
        return self

    def begin(self, control: Control, outputs: Sequence[str]) -> None:
        """From here on there is something to finish: what is written to `outputs`."""
        self._control = control
        self._targets = [local_path(uri).resolve() for uri in outputs if not is_network(uri)]
        for number in _SIGNALS:
            signal.signal(number, self._catch)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _catch(self, _number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._since is not None:
            if now - self._since > _SAME:
                self.leave(INTERRUPTED)
            return
        self._since = now
        self._control.stop()
        if not self._quiet:
            # print() must not be entered twice, and the signal may have come in the middle of one
            os.write(2, b"\nstopping: finishing what was written; press again to leave at once\n")

    def leave(self, code: int) -> NoReturn:
        """End the process here and now, with nothing half-written left behind."""
        for target in self._targets:
            discard_partials(target)
        os._exit(code)
