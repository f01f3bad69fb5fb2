"""What can go wrong, as a tree. Every message says what was asked, what was found and what to do, in one
line.

StreamsegError                  the base; catch this to catch them all
├── UsageError    (ValueError)  the request itself makes no sense: unknown effect, class, option (exit code 2)
├── SourceError   (OSError)     nothing can be read from there
├── SinkError     (OSError)     nothing can be written there
│   └── SinkClosed              the viewer closed the window; an ordinary end, not a failure
├── ModelError    (ValueError)  a card, its weights or its outputs are not what they should be
└── RuntimeFailure (RuntimeError)  a network that loaded fine failed on a frame
    └── GpuFailure              the GPU did: whatever it was asked to do, the processor can do it too
"""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path


class StreamsegError(Exception):
    """The base of everything streamseg raises on purpose."""


class UsageError(StreamsegError, ValueError):
    """The request itself makes no sense."""


class SourceError(StreamsegError, OSError):
    """Nothing can be read from the source."""


class SinkError(StreamsegError, OSError):
    """Nothing can be written to the sink."""


class SinkClosed(SinkError):
    """The viewer closed the sink: an ordinary end."""


class ModelError(StreamsegError, ValueError):
    """A model card, its weights or its outputs are not what they should be."""


class RuntimeFailure(StreamsegError, RuntimeError):
    """A network that loaded fine failed on a frame."""


class GpuFailure(RuntimeFailure):
    """The GPU failed; what it was asked to do the processor can do too."""


_PASSWORD = r"[^/?#@:\s]*:(?!\d+[/?#])"
"""A colon and then no port: a password, whatever is in it."""
_CREDENTIALS = re.compile(rf"(?<=://)(?:{_PASSWORD}[^?#\s]*|[^/?#\s]+|{_PASSWORD}[^@\s]*)@")
"""Up to the last @: before the query where there is a password, which may have a slash; else before the path;
else a password has a question mark."""
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,40}:\S+")
_SECRET_NAMES = "key|token|secret|pass|pwd|psw|auth|sig|credential|user|usr|login|session|sid|jwt|hdn|policy"
_SECRETS = re.compile(rf"(?i)((?:^|[?&;/_#])[\w.%-]{{0,60}}(?:{_SECRET_NAMES})[\w.%-]{{0,60}}=)[^&;#\s'\"]+")


_STREAM_KEY = re.compile(r"(?i)(\brtmp[a-z]{0,2}://[^/]*/[^/]*/)[^\s'\"]+")
"""What a stream is played by is on many servers what it is published by, too."""


def redacted(text: str) -> str:
    """Return `text` without user names, passwords, tokens and RTMP stream keys of any URL in it."""
    return _URL.sub(lambda url: _public(url[0]), text)


def _public(url: str) -> str:
    return _STREAM_KEY.sub(r"\1***", _SECRETS.sub(r"\1***", _CREDENTIALS.sub("***@", url)))


def reason(error: BaseException) -> str:
    """Return why `error` happened, in lower case, without error numbers, paths or credentials."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    first = redacted(str(text).strip().splitlines()[0]).rstrip(".")
    return first[:1].lower() + first[1:]


def pip_install(*packages: str) -> str:
    """Return the command that installs packages for the Python that runs this."""
    return shlex.join([sys.executable or "python3", "-m", "pip", "install", *packages])


def pip_extra(extra: str, *options: str) -> str:
    """Return the command that installs what an extra of streamseg's needs, from a checkout or an index."""
    root = Path(__file__).resolve().parent.parent
    if (root / "pyproject.toml").is_file():
        return pip_install(*options, "--editable", f"{root}[{extra}]")
    return pip_install(*options, f"streamseg[{extra}]")
