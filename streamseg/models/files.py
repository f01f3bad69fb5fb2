"""Where cards and weights lie, their hashes, and writing them whole or not at all."""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from pathlib import Path

from streamseg.errors import ModelError, reason


def embedded_folder() -> Path:
    """Return the folder of the cards that come with streamseg, in an installed copy or a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "engines"
    return installed if installed.is_dir() else package.parent / "engines"


def user_folder() -> Path:
    """Return the folder of the user's own cards; it may not exist yet."""
    import platformdirs

    return platformdirs.user_data_path("streamseg", appauthor=False) / "models"


def cache_folder() -> Path:
    """Return the folder of fetched and converted weights; it may not exist yet."""
    import platformdirs

    return platformdirs.user_cache_path("streamseg", appauthor=False)


def search_folders() -> list[Path]:
    """Return where cards and weights are looked for: embedded, the user's folder, those in $STREAMSEG_MODELS.

    Subfolders of the last two count as well, one level down.
    """
    extra = [Path(name) for name in os.environ.get("STREAMSEG_MODELS", "").split(os.pathsep) if name]
    folders = [embedded_folder()]
    for folder in (user_folder(), *extra):
        folders.append(folder)
        if folder.is_dir():
            folders += sorted(child for child in folder.iterdir() if child.is_dir())
    return folders


def sha256(path: Path) -> str:
    """Return a file's sha256; it is computed again when the file changes. Raises OSError."""
    status = path.stat()
    return _sha256(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=64)
def _sha256(path: Path, mtime_ns: int, size: int) -> str:  # noqa: ARG001
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file beside its place and rename it, making folders on the way. Raises ModelError."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(content)
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise ModelError(f"cannot write {str(path)!r}: {reason(error)}") from error
