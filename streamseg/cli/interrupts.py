"""SIGINT and SIGTERM: the first ends a run in an orderly way, the second at once."""

from __future__ import annotations

import os
import signal
from types import FrameType, TracebackType

from streamseg.control import Control

INTERRUPTED = 130
"""Exit code after either signal."""

_SIGNALS = signal.SIGINT, signal.SIGTERM


class Interrupts:
    """What the signals do inside its `with` block: until `begin` they end the process, then the run."""

    def __init__(self, *, quiet: bool) -> None:
        self.caught = False
        self._quiet = quiet

    def __enter__(self) -> Interrupts:
        # opening an input may hang in a library, where no handler of ours runs; and nothing is written yet
        self._before = {number: signal.signal(number, signal.SIG_DFL) for number in _SIGNALS}
        return self

    def begin(self, control: Control) -> None:
        """From here on there is something to finish."""
        self._control = control
        for number in _SIGNALS:
            signal.signal(number, self._catch)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _catch(self, _number: int, _frame: FrameType | None) -> None:
        if self.caught:
            os._exit(INTERRUPTED)
        self.caught = True
        self._control.stop()
        if not self._quiet:
            # print() must not be entered twice, and the signal may have come in the middle of one
            os.write(2, b"\nstopping: finishing what was written; press again to leave at once\n")
