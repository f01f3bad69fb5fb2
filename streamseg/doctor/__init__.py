"""What this machine has and lacks: one fact at a time, and for each thing missing the command that helps."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from streamseg.doctor.fact import PIP, REINSTALL, Fact
from streamseg.doctor.gpu import gpu_facts
from streamseg.doctor.vcam import virtual_camera
from streamseg.errors import StreamsegError, pip_extra, pip_install, reason
from streamseg.screens import no_screen

__all__ = ["Fact", "facts"]

OLDEST_PYTHON = (3, 11)

DEFAULT_MODEL = "selfie"

ENCODERS = {
    "libx264": "mp4, mkv, mov",
    "libvpx-vp9": "webm",
    "prores_ks": "mov with alpha",
    "ffv1": "lossless mkv",
    "aac": "sound",
    "libopus": "sound in webm",
    "png": "pictures",
    "mjpeg": "jpg",
    "gif": "gif",
}
"""Encoders the common outputs need, and what for."""


def facts() -> Iterator[Fact]:
    """Look at everything, quickest first. Nothing here raises: what goes wrong is a fact too."""
    yield python()
    yield machine()
    yield from ffmpeg()
    yield from opencv()
    yield onnxruntime()
    yield tflite()
    yield panel()
    yield cameras()
    yield screen()
    yield virtual_camera()
    yield from gpu_facts()
    yield from models()
    yield models_folder()
    yield cache()


def python() -> Fact:
    """The interpreter."""
    found = f"{platform.python_version()} ({sys.executable})"
    if sys.version_info < OLDEST_PYTHON:
        return Fact(
            what="Python",
            found=found,
            state="bad",
            fix="install Python 3.11 or newer from https://python.org",
        )
    return Fact(what="Python", found=found)


def machine() -> Fact:
    """System, processor, cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Fact(
        what="machine", found=f"{platform.system()} {platform.release()}, {platform.machine()}, {cores} cores"
    )


def ffmpeg() -> Iterator[Fact]:
    """FFmpeg's libraries as PyAV carries them, and the encoders the common outputs need."""
    try:
        import av
        import av.codec
    except ImportError as error:
        yield Fact(
            what="FFmpeg", found=f"PyAV does not load: {reason(error)}", state="bad", fix=f"{REINSTALL} av"
        )
        return
    libraries = ", ".join(
        f"{name.removeprefix('lib')} {'.'.join(map(str, number))}"
        for name, number in av.library_versions.items()
        if name in ("libavcodec", "libavformat", "libavfilter")
    )
    yield Fact(what="FFmpeg", found=f"{libraries} (PyAV {av.__version__})")
    missing = {name: use for name, use in ENCODERS.items() if not _has_encoder(name)}
    if missing:
        found = "missing " + ", ".join(f"{name} ({use})" for name, use in missing.items())
        yield Fact(what="encoders", found=found, state="bad", fix=f"{REINSTALL} --only-binary av av")
    else:
        yield Fact(what="encoders", found=", ".join(ENCODERS))


def _has_encoder(name: str) -> bool:
    import av.codec

    try:
        av.codec.Codec(name, "w")
    except ValueError:  # av.codec.codec.UnknownCodecError is one
        return False
    return True


def opencv() -> Iterator[Fact]:
    """OpenCV, and whether it was built to open windows."""
    try:
        import cv2
    except ImportError as error:
        found = f"does not load: {reason(error)}"
        yield Fact(what="OpenCV", found=found, state="bad", fix=f"{REINSTALL} opencv-python")
        return
    yield Fact(what="OpenCV", found=cv2.__version__)
    gui = next(
        (line.split()[-1] for line in cv2.getBuildInformation().splitlines() if "GUI:" in line), "NONE"
    )
    if gui == "NONE":
        fix = f"{PIP} uninstall opencv-python-headless; {REINSTALL} opencv-python"
        yield Fact(what="windows", found="this OpenCV cannot open any", state="not needed", fix=fix)
    else:
        yield Fact(what="windows", found=f"drawn by {gui}")


def onnxruntime() -> Fact:
    """The runtime every machine can use."""
    fix = f"{REINSTALL} onnxruntime"
    try:
        import onnxruntime as ort
    except ImportError as error:
        return Fact(what="ONNX Runtime", found=f"does not load: {reason(error)}", state="bad", fix=fix)
    return Fact(what="ONNX Runtime", found=ort.__version__)


def tflite() -> Fact:
    """What turns .tflite networks into ONNX: `deeplab-voc` and `selfie-multiclass` are fetched as such."""
    missing = [name for name in ("onnx", "tflite") if find_spec(name) is None]
    if missing:
        found = f"not read: no package {' and no package '.join(missing)}"
        return Fact(what="TFLite networks", found=found, state="not needed", fix=pip_install(*missing))
    return Fact(
        what="TFLite networks", found=f"read by onnx {version('onnx')} and tflite {version('tflite')}"
    )


def panel() -> Fact:
    """What serves the browser panel (`-o web:8080`), and how its preview gets there."""
    if find_spec("aiohttp") is None:
        found = "not served: no package aiohttp"
        return Fact(what="browser panel", found=found, state="not needed", fix=pip_extra("web"))
    served = f"served by aiohttp {version('aiohttp')}"
    if find_spec("aiortc") is None:
        found = f"{served}, its preview by MJPEG: no package aiortc for WebRTC"
        return Fact(what="browser panel", found=found, fix=pip_extra("webrtc"))
    return Fact(what="browser panel", found=f"{served}, its preview by WebRTC (aiortc {version('aiortc')})")


def cameras() -> Fact:
    """Cameras the system lists."""
    try:
        from streamseg.sources.cameras import list_cameras, locked, unlock
    except ImportError as error:
        return Fact(what="cameras", found=f"cannot look for any: {reason(error)}", state="not needed")
    found = list_cameras()
    if not found:
        return Fact(what="cameras", found="none", state="not needed")
    shut = ", ".join(str(camera) for camera in found if locked(camera))
    if shut:
        return Fact(what="cameras", found=f"no permission for {shut}", state="not needed", fix=unlock())
    return Fact(what="cameras", found=", ".join(map(str, found)))


def screen() -> Fact:
    """Where a window would appear."""
    if not sys.platform.startswith("linux"):
        return Fact(what="screen", found="the desktop")
    if not (missing := no_screen()):
        variable = "DISPLAY" if os.environ.get("DISPLAY") else "WAYLAND_DISPLAY"
        return Fact(what="screen", found=f"{variable}={os.environ[variable]}")
    return Fact(
        what="screen",
        found=f"none: {missing}, so results go to files with -o",
        state="not needed",
        fix="export DISPLAY=:0   (where this machine has a desktop; from afar: ssh -X)",
    )


def models() -> Iterator[Fact]:
    """Every card, and the weights that lie beside it, against the hash on the card. None are fetched."""
    from streamseg.models.files import embedded_folder, search_folders

    embedded = embedded_folder()
    if not (embedded / f"{DEFAULT_MODEL}.toml").exists():
        yield Fact(what="models", found=f"no {DEFAULT_MODEL}.toml in {embedded}", state="bad", fix=_restore())
    for folder in search_folders():
        for path in sorted(folder.glob("*.toml")):
            yield _model(path, ours=folder == embedded)


def _model(path: Path, *, ours: bool) -> Fact:
    from streamseg.models import read_card

    what, show = (
        f"model {path.stem}",
        f"{shlex.quote(sys.executable)} -m streamseg models show {shlex.quote(path.stem)}",
    )
    try:
        card = read_card(path)
        if not (path.parent / card.weights).exists() and not (ours and card.name == DEFAULT_MODEL):
            if card.url:
                return Fact(what=what, found="weights are fetched on first use", state="not needed")
            return Fact(what=what, found="weights are yours to obtain", state="not needed", fix=show)
        card.verified_weights()
    except StreamsegError as error:
        fix = _restore() if ours else show
        return Fact(what=what, found=str(error), state="bad" if ours else "not needed", fix=fix)
    return Fact(what=what, found=f"sha256 {card.sha256[:12]} as on its card, {card.licence}")


def _restore() -> str:
    project = Path(__file__).resolve().parent.parent.parent
    if (project / ".git").exists():
        return f"git -C {project} checkout -- engines"
    return f"{REINSTALL} --no-deps streamseg"


def models_folder() -> Fact:
    """The folder for the user's own models."""
    from streamseg.models.files import user_folder

    folder = user_folder()
    there = "" if folder.is_dir() else " (made when a model is imported)"
    return Fact(what="models folder", found=f"{folder}{there}")


def cache() -> Fact:
    """The folder for fetched models, and whether it can be written."""
    from streamseg.models.files import cache_folder

    folder = cache_folder()
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not os.access(existing, os.W_OK) or not existing.is_dir():
        fix = f"chmod u+w {existing}" if existing.is_dir() else f"mv {existing} {existing}.old"
        return Fact(what="cache", found=f"{folder} cannot be written", state="bad", fix=fix)
    free = shutil.disk_usage(existing).free / 1e9
    return Fact(what="cache", found=f"{folder}, {free:.1f} GB free")
