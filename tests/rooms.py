"""How much of a room is taken for a part of the person in it: `python -m tests.rooms DATA [--model NAME]`

DATA is the folder of tests.quality. People with known masks (a portrait, a talking head, webcam stills) are
put before pictures without people, in frames of 640x360 as wide as webcams' are, and kept there for a second.
Not run by pytest; docs/quality.md has what it found.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from random import Random

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from streamseg.frame import Frame
from streamseg.models import find_model
from streamseg.segmenter import Segmenter

SIZE = 640, 360
LENGTH = 25
PEOPLE = "greenscreen_portrait/{}/green", "mdn_talkinghead/{}/wall", "webcam_asl/{}"
ROOMS = "architecture", "porch", "saxon-switzerland", "shibuyasky"
SHARES = 0.3, 0.62
"""Of the frame's width, that people take up."""
BLURS = 0.0, 1.0, 2.0
"""Pixels: rooms are seldom in focus."""

Picture = NDArray[np.uint8]
Scene = list[tuple[Picture, NDArray[np.float32]]]
"""Pictures (360, 640, 3) and their masks (360, 640), 0..1."""


def scenes(data: Path) -> Iterator[Scene]:
    """Make each person's scenes, one before each room."""
    random = Random(1)
    rooms = sorted((data / "groundtruth/coco128/images/no_person").iterdir())
    rooms += [next((data / "clips/virtual_background").glob(f"{name}*")) for name in ROOMS]
    for pattern in PEOPLE:
        images, masks = (data / "groundtruth" / pattern.format(kind) for kind in ("images", "masks"))
        frames = sorted(images.iterdir())
        still = pattern == PEOPLE[-1]
        for index, room in enumerate(rooms):
            chosen = [frames[index % len(frames)]] * LENGTH if still else frames[:LENGTH]
            pairs = [(read(path), read(next(masks.glob(f"{path.stem}.*")))[..., 0]) for path in chosen]
            yield placed(pairs, filling(read(room), random.choice(BLURS)), random)


def placed(pairs: list[tuple[Picture, Picture]], room: Picture, random: Random) -> Scene:
    """Put somebody before a room, at the lower edge of the frame."""
    width, height = SIZE
    columns = np.flatnonzero((pairs[0][1] > 127).any(axis=0))
    left, extent = columns[0], columns[-1] + 1 - columns[0]
    share = random.uniform(*SHARES)
    scale = share * width / extent
    x = random.uniform(0.03, 0.97 - share) * width
    matrix = np.array([[scale, 0, x - left * scale], [0, scale, height - pairs[0][0].shape[0] * scale]])
    scene = []
    for picture, mask in pairs:
        person, alpha = (cv2.warpAffine(each, matrix, SIZE, flags=cv2.INTER_AREA) for each in (picture, mask))
        opacity = (alpha / 255).astype(np.float32)
        mixed = person * opacity[..., None] + room * (1 - opacity[..., None])
        scene.append((mixed.astype(np.uint8), opacity))
    return scene


def filling(room: Picture, blur: float) -> Picture:
    """A picture cut and scaled to a frame."""
    width, height = SIZE
    scale = max(width / room.shape[1], height / room.shape[0])
    scaled = cv2.resize(room, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    scaled = np.pad(scaled, ((0, 1), (0, 1), (0, 0)), mode="edge")[:height, :width]
    return np.asarray(cv2.GaussianBlur(scaled, (0, 0), blur) if blur else scaled, np.uint8)


def read(path: Path) -> Picture:
    """A picture as BGR."""
    picture = cv2.imread(str(path))
    assert picture is not None, path
    return np.asarray(picture, np.uint8)


def judged(scene: Scene, segmenter: Segmenter) -> tuple[float, float, float]:
    """IoU, and the shares of the frame (%) that are shown but not the person, and the reverse."""
    segmenter.reset()
    found = []
    for index, (picture, truth) in enumerate(scene):
        frame = av.VideoFrame.from_ndarray(picture, format="bgr24").reformat(format="yuv420p")
        frame.pts, frame.time_base = index, Fraction(1, 25)
        alpha = cv2.resize(segmenter(Frame(frame, captured=0.0)).alpha, SIZE) / 255
        both, either = (alpha > 0.5) & (truth > 0.5), (alpha > 0.5) | (truth > 0.5)
        leak, miss = (alpha * (truth < 0.05)).mean(), ((1 - alpha) * (truth > 0.95)).mean()
        found.append((both.sum() / either.sum(), 100 * leak, 100 * miss))
    return tuple(np.mean(found, axis=0))


def main() -> None:
    """Print a row for the whole frame, and one for looking closely."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="selfie")
    asked = parser.parse_args()
    made = list(scenes(asked.data))
    print(f"{len(made)} scenes{'IoU':>10}{'shown %':>10}{'missing %':>11}{'shown > 2 %':>13}")
    for crop in ("off", "auto"):
        with Segmenter(find_model(asked.model), crop=crop, smooth=0.0, threads=1) as segmenter:
            found = np.array([judged(scene, segmenter) for scene in made])
        iou, leak, miss = found.mean(axis=0)
        print(f"crop {crop:4}{iou:13.3f}{leak:10.2f}{miss:11.2f}{(found[:, 1] > 2).mean():13.0%}", flush=True)


if __name__ == "__main__":
    main()
