"""Why a file cannot be read, and what to do about it, in half a line."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path


def missing(path: Path) -> str:
    """Say what is there instead of a path that does not exist."""
    if path.is_symlink():
        return f"it is a link to {str(path.readlink())!r}, which does not exist"
    folder = path.parent
    if not folder.is_dir():
        return f"there is no folder {str(folder)!r}"
    names = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    # Extensions are alike anyway: any two .mp4 would seem near each other.
    stems = {Path(name).stem.lower(): name for name in names}
    near = [stems[stem] for stem in get_close_matches(path.stem.lower(), stems, n=2, cutoff=0.65)]
    return "no such file" + (f"; did you mean {' or '.join(map(repr, near))}" if near else "")


def unreadable(path: Path) -> str:
    """Say what a file holds in which no video format was found."""
    if path.is_fifo():  # nobody can look into it twice, and opening it again may wait for ever
        return "no video format was found in this pipe; an MP4 must be made with -movflags faststart"
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        return f"{(error.strerror or str(error)).lower()}; check its permissions"
    if not head:
        return "the file is empty (0 bytes)"
    if head[4:8] in (b"styp", b"moof", b"sidx"):
        return "it is one segment of a stream; open the playlist (.m3u8, .mpd) or join it to its init file"
    if head[4:8] in (b"ftyp", b"mdat", b"wide", b"free"):
        return "an MP4 without its index (moov): the recording or the download was cut short"
    if head.lstrip(b"\xef\xbb\xbf").startswith(b"#EXTM3U"):
        return "it is a playlist, and none of the segments it names can be read; keep them beside it"
    if _is_text(head):
        return "the file is text, not a video"
    return "no picture or video format was found in it; it is damaged, cut short or of another kind"


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:  # a character may have been cut at the end of what was read
            return False
        text = head[: error.start].decode("utf-8")
    return all(character.isprintable() or character in "\r\n\t" for character in text)
