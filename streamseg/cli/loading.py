"""Waiting for the network: what is ready by then goes on, and Ctrl-C is heard."""

from __future__ import annotations

from streamseg.cli.interrupts import INTERRUPTED, Interrupts
from streamseg.cli.request import Request
from streamseg.control import Control
from streamseg.fanout import FanOut
from streamseg.handoff import Job
from streamseg.segmenter import Segmenter

_GLANCE = 0.02
"""Seconds between looks at whether it is there."""

_PATIENCE = 0.5
"""Seconds a run that was stopped waits for it."""


def loaded(request: Request, control: Control, outputs: FanOut, interrupts: Interrupts) -> Segmenter:
    """Return the network, loaded on a thread of its own; or end the process, where it shall end before."""
    job = Job(lambda _stopping: request.open_segmenter(request.settings), name="load")
    while not job.ended(_GLANCE):
        outputs.idle()
        if control.stopped and not job.ended(_PATIENCE):
            outputs.abort()
            interrupts.leave(INTERRUPTED)
    return job.result()
