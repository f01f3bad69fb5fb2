"""How good mattes are, against ground truth: `python -m tests.quality DATA [--only NAME] [options]`

DATA is a folder with `groundtruth/SET/images/...`, `masks/...` and a `score.py` (IoU, boundary F at 2 px,
flicker as dtSSD, false area on empty pictures). Several values of an option are compared:

    python -m tests.quality ../shared/data --crop off auto --refine off guided

Not run by pytest. docs/quality.md was made with it.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
import time
from itertools import product
from pathlib import Path
from types import ModuleType

import av
import cv2

from streamseg.frame import Frame
from streamseg.models import find_model
from streamseg.segmenter import Segmenter

SETS = {
    "webcam_asl": "stills",
    "mdn_talkinghead/wall": "video",
    "greenscreen_portrait/green": "video",
    "dancer_alpha/closeup_citypan": "video",
    "dancer_alpha/fullbody_porch": "video",
    "walker_alpha/walker_porch": "video",
    "davis2016_val/bmx-trees": "video",
    "davis2016_val/bmx-trees, roi 20": "video",
    "pennfudan": "stills",
    "pennfudan, roi 20": "stills",
    "ccp": "stills",
    "coco128/person": "stills",
    "coco128/no_person": "stills",
}


def segment(images: Path, target: Path, segmenter: Segmenter, *, stills: bool, masks: Path) -> float:
    """Write the matte of every picture that has a mask; return the milliseconds a frame of it took."""
    spent, names = 0.0, {path.stem for path in masks.iterdir()}
    files = [path for path in sorted(images.iterdir()) if path.stem in names]
    segmenter.reset()
    for path in files:
        with av.open(str(path)) as container:
            picture = next(container.decode(video=0))
        started = time.process_time()
        matte = segmenter(Frame(picture, captured=0.0, name=path.name if stills else None))
        spent += time.process_time() - started
        alpha = cv2.resize(matte.alpha, (picture.width, picture.height))
        cv2.imwrite(str(target / f"{path.stem}.png"), alpha)
    return 1000 * spent / len(files)


def main() -> None:
    """Print a row for each set and choice of options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", default="", help="sets whose name begins like this")
    parser.add_argument("--model", default="selfie")
    parser.add_argument("--crop", nargs="+", default=["off", "auto"])
    parser.add_argument("--refine", nargs="+", default=["off"])
    parser.add_argument("--smooth", nargs="+", type=float, default=[0.0])
    asked = parser.parse_args()
    score = loaded(asked.data / "score.py")
    print(
        f"{'set':34}{'crop':>5}{'refine':>8}{'smooth':>7}{'IoU':>7}{'F':>7}{'dtSSD':>7}{'empty%':>8}{'ms':>7}"
    )
    for name, (crop, refine, smooth) in product(SETS, product(asked.crop, asked.refine, asked.smooth)):
        if not name.startswith(asked.only):
            continue
        folder, _, roi = name.partition(", roi ")
        group, _, part = folder.partition("/")
        images, masks = (asked.data / "groundtruth" / group / kind / part for kind in ("images", "masks"))
        options = {"crop": crop, "refine": refine, "smooth": smooth, "threads": 1}
        with (
            tempfile.TemporaryDirectory() as made,
            Segmenter(find_model(asked.model), **options) as segmenter,
        ):
            stills = SETS[name] == "stills"
            spent = segment(images, Path(made), segmenter, stills=stills, masks=masks)
            total = score.evaluate(made, str(masks), roi_px=int(roi) if roi else None)["total"]
        flicker, empty = (
            f"{total[key]:.2f}" if total[key] is not None else "-" for key in ("dtssd", "fp_empty")
        )
        print(
            f"{name:34}{crop:>5}{refine:>8}{smooth:7}{total['iou']:7.3f}{total['f']:7.3f}{flicker:>7}{empty:>8}"
            f"{spent:7.2f}",
            flush=True,
        )


def loaded(path: Path) -> ModuleType:
    """The module in a file."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()
