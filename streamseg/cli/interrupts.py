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
    """Catches the signals in its `with` block; KeyboardInterrupt until `control` is set: nothing to finish yet."""

    def __init__(self, *, quiet: bool) -> None:
        self.control: Control | None = None
        self.caught = False
        self._quiet = quiet

    def __enter__(self) -> Interrupts:
        self._before = {number: signal.signal(number, self._catch) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _catch(self, _number: int, _frame: FrameType | None) -> None:
        if self.caught:
            os._exit(INTERRUPTED)
        self.caught = True
        if self.control is None:
            raise KeyboardInterrupt
        self.control.stop()
        if not self._quiet:
            # print() must not be entered twice, and the signal may have come in the middle of one
            os.write(2, b"\nstopping: finishing what was written; press again to leave at once\n")
