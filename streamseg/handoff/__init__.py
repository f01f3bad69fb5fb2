"""All threads and locks, but for the GPU's (gpu/device.py).

    Handoff     the boundary between two threads: a short queue that makes its producer wait, or is leaky
    Stages      the threads of one run, with a boundary between each two; their end is leaving the `with`
    Job         work on a thread of its own, whose result is taken when it is there
    Worker      a thread at the end of the line: items are put, it works them off
    Feed        a thread at the start of the line: items from something that may hang
    Repeater    items passed on at once, and the last one again while no other comes
    Watch       a `with` block that may take only so long: then somebody calls for help
    OneAtATime  a `with` block that one thread at a time may be in

Job is what begins a thread; all the others with one have a Job.
"""

from streamseg.handoff.boundary import Handoff, HandoffClosed
from streamseg.handoff.feed import Feed
from streamseg.handoff.job import Job
from streamseg.handoff.repeater import Repeater
from streamseg.handoff.stages import FILE_DEPTH, Stages
from streamseg.handoff.turns import OneAtATime
from streamseg.handoff.watch import Watch
from streamseg.handoff.worker import Worker

__all__ = [
    "FILE_DEPTH",
    "Feed",
    "Handoff",
    "HandoffClosed",
    "Job",
    "OneAtATime",
    "Repeater",
    "Stages",
    "Watch",
    "Worker",
]
