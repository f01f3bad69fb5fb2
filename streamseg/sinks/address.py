"""Addresses that streams go to, and how messages may tell them."""

from __future__ import annotations

import re

from streamseg.errors import redacted

_STREAM_KEY = re.compile(r"(?i)^(rtmp[a-z]{0,2}://[^/]*/[^/]*/).+$", re.DOTALL)


def told(uri: str) -> str:
    """Return `uri` without credentials; an RTMP address also without its last part, the stream key: who has
    that can broadcast in somebody's name."""
    return _STREAM_KEY.sub(r"\1***", redacted(uri))
