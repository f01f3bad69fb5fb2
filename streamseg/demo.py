"""What `make demo` and `make gallery` run: every effect on the built-in portrait, and a contact sheet of
them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.compositors import open_compositor
from streamseg.effects import EFFECTS, effect
from streamseg.models import find_model
from streamseg.pipeline import run
from streamseg.segmenter import Segmenter
from streamseg.sinks import open_sink
from streamseg.sources import open_source

TILE = (384, 216)
"""(W, H) of one picture on the contact sheet."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the clips (or, with --gallery, stills) and the contact sheet, and print where they are."""
    parser = argparse.ArgumentParser(prog="python -m streamseg.demo", description=__doc__)
    parser.add_argument("folder", type=Path, help="where to write")
    parser.add_argument(
        "--gallery", action="store_true", help="stills for the documentation instead of clips"
    )
    parser.add_argument("--length", default="4s", help="length of each clip, such as 4s")
    options = parser.parse_args(arguments)
    folder: Path = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    backgrounds = {"replace": folder / "sunset.png", "cutout": folder / "checks.png"}
    cv2.imwrite(str(backgrounds["replace"]), _sunset(1280, 720))
    cv2.imwrite(str(backgrounds["cutout"]), _checks(1280, 720))
    stills = []
    for name in EFFECTS:
        clip = folder / f"{name}.mp4"
        _make_clip(name, f"demo:1280x720@25,{options.length}", clip, backgrounds.get(name))
        still = _still(clip)
        stills.append((name, still))
        if options.gallery:
            cv2.imwrite(str(folder / f"{name}.jpg"), still, [cv2.IMWRITE_JPEG_QUALITY, 85])
            clip.unlink()
        else:
            print(f"wrote {clip}")
    sheet = folder / ("contact-sheet.jpg" if options.gallery else "contact-sheet.png")
    cv2.imwrite(str(sheet), contact_sheet(stills))
    for background in backgrounds.values():
        background.unlink()
    print(f"wrote {sheet}: all {len(stills)} effects at a glance")
    if not options.gallery:
        print("now with a clip of yours: ./run_stream.py talk.mp4 -o out.mp4")


def _make_clip(name: str, source_uri: str, clip: Path, background: Path | None) -> None:
    shown = "replace" if name == "cutout" else name  # mp4 holds no transparency: checks stand for it
    recipe = effect(shown, background=None if background is None else str(background))
    with (
        open_source(source_uri) as source,
        Segmenter(find_model()) as segmenter,
        open_compositor(recipe, classes=segmenter.classes, foreground=segmenter.named) as compositor,
    ):
        run(source, segmenter, compositor, [open_sink(str(clip), overwrite=True)])


def _still(clip: Path) -> NDArray[np.uint8]:
    """(H, W, 3) BGR picture of the clip, 0.8 s after its start: there the network is surest of itself."""
    with open_source(str(clip)) as source:
        frames = list(source)
    return np.asarray(frames[min(20, len(frames) - 1)].picture.to_ndarray(format="bgr24"), np.uint8)


def contact_sheet(stills: Sequence[tuple[str, NDArray[np.uint8]]], *, columns: int = 5) -> NDArray[np.uint8]:
    """Lay named (H, W, 3) BGR pictures out in a grid, each with its name underneath."""
    width, height = TILE
    caption = 34
    rows = -(-len(stills) // columns)
    sheet = np.full((rows * (height + caption), columns * width, 3), 255, np.uint8)
    for index, (name, still) in enumerate(stills):
        top, left = index // columns * (height + caption), index % columns * width
        sheet[top : top + height, left : left + width] = cv2.resize(still, TILE, interpolation=cv2.INTER_AREA)
        place = (left + 10, top + height + 24)
        cv2.putText(sheet, name, place, cv2.FONT_HERSHEY_SIMPLEX, 0.7, (40, 40, 40), 1, cv2.LINE_AA)
    return sheet


def _checks(width: int, height: int, side: int = 24) -> NDArray[np.uint8]:
    """(H, W, 3) BGR: the grey squares that stand for transparency."""
    odd = (np.arange(height)[:, None] // side + np.arange(width)[None, :] // side) % 2
    return np.repeat(np.where(odd, 204, 255).astype(np.uint8)[..., None], 3, axis=2)


def _sunset(width: int, height: int) -> NDArray[np.uint8]:
    """(H, W, 3) BGR: an evening sky over water, drawn by formula."""
    y = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    horizon = 0.62
    sky = np.clip(y / horizon, 0, 1)[..., None]
    colours = (1 - sky) * np.array([120, 70, 40]) + sky * np.array([90, 150, 250])
    picture = np.broadcast_to(colours, (height, width, 3)).copy()
    sun = np.exp(-((x * 1.78) ** 2 + ((y - 0.5) * 2) ** 2) / 0.02)[..., None]
    picture += sun * np.array([120, 200, 255])
    water = (y > horizon)[..., None]
    waves = np.sin(y * 260 + 6 * np.sin(x * 7)) * 0.5 + 0.5
    ripple = (waves * np.exp(-((x / 0.35) ** 2)))[..., None]
    sea = np.array([95, 70, 45]) + ripple * np.array([60, 110, 160])
    return np.clip(np.where(water, sea, picture), 0, 255).astype(np.uint8)


if __name__ == "__main__":
    main()
