"""YUV4MPEG on stdout, which most video programs read from a pipe."""

from __future__ import annotations

import sys

from streamseg.errors import SinkError, UsageError
from streamseg.sinks.base import Destination
from streamseg.sinks.containers import CONTAINERS
from streamseg.sinks.files import Direct
from streamseg.sinks.media import MediaSink


class StdoutSink(MediaSink):
    """Uncompressed frames on stdout; codec options mean nothing to it. Whoever stops reading ends it."""

    kind = "raw video"
    encodes = False

    def __init__(self, destination: Destination) -> None:
        """Raises UsageError when stdout is a terminal, SinkError when the program was started without any."""
        if sys.__stdout__ is None:  # `sys.stdout` itself may stand in for it
            raise SinkError("standard output is closed: nobody can read '-'; pipe it on: ... -o - | ffplay -")
        if sys.stdout is not None and sys.stdout.isatty():
            raise UsageError("'-' would fill the terminal with raw video; pipe it on: ... -o - | ffplay -")
        self._set_up(Destination(uri=destination.uri), CONTAINERS[".y4m"], "-", Direct(), "pipe:1")
