"""OpenCV's own lines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cv2.utils import logging


@contextmanager
def silent() -> Iterator[None]:
    """Keep OpenCV from writing to stderr: what matters is in our messages."""
    before = logging.getLogLevel()
    logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        logging.setLogLevel(before)
