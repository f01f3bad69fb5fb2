"""Models on real pictures: recurrent, many-class and the default one."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from streamseg.frame import Matte
from streamseg.models import find_model
from streamseg.models.card import InputSpec, ModelCard, OutputSpec, StateSpec
from streamseg.segmenter import Segmenter
from tests import networks
from tests.test_segmenter import full_size, shown

VOC = (
    "background aeroplane bicycle bird boat bottle bus car cat chair cow dining-table dog horse motorbike "
    "person potted-plant sheep sofa train tv"
)
LOGITS33 = "logits/semantic/BiasAdd;logits/semantic/Conv2D;logits/semantic/biases1"


def opened(path: Path) -> av.VideoFrame:
    """The picture in a file."""
    with av.open(str(path)) as container:
        return next(container.decode(video=0))


def pairs(
    data: Path, name: str, part: str = ".", *, most: int = 20
) -> list[tuple[av.VideoFrame, np.ndarray]]:
    """Pictures of a ground-truth folder, or of a part of it, with their masks (bool)."""
    found = []
    folder = data / "groundtruth" / name
    for mask in sorted((folder / "masks" / part).rglob("*.png"))[:most]:
        parent = folder / "images" / mask.relative_to(folder / "masks").parent
        image = next(path for path in parent.iterdir() if path.stem == mask.stem)
        truth = cv2.imread(str(mask), cv2.IMREAD_UNCHANGED)
        truth = truth[..., -1 if truth.shape[2] == 4 else 0] if truth.ndim == 3 else truth
        found.append((opened(image), truth > 127))
    return found


def overlap(matte: Matte, truth: np.ndarray) -> float:
    """Intersection over union of the matte's half-opaque part and a mask."""
    found = full_size(matte, truth.shape[::-1]) >= 0.5
    return float(np.count_nonzero(found & truth) / np.count_nonzero(found | truth))


@pytest.mark.parametrize("pixel_format", ["yuv420p", "nv12", "yuv420p10le", "bgr24"])
def test_the_default_model_finds_people_at_webcams(data: Path, pixel_format: str) -> None:
    """Mean IoU on webcam pictures is 0.95 or more, in every pixel format a camera or a codec gives."""
    with Segmenter(find_model("selfie")) as segmenter:
        scores = [
            overlap(segmenter(shown(made.reformat(format=pixel_format), "still")), truth)
            for made, truth in pairs(data, "webcam_asl")
        ]
    assert np.mean(scores) >= 0.95


def from_data(
    data: Path, file: str, spec: InputSpec, output: OutputSpec, classes: str, **more: object
) -> ModelCard:
    """A card for weights in the folder of real data."""
    path = data / "models" / file
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    card = networks.card(path.parent, path.name, input=spec, output=output, classes=tuple(classes.split()))
    return replace(card, sha256=sha256, **more)  # type: ignore[arg-type]


def voc(data: Path) -> ModelCard:
    """DeepLabv3, 21 classes, logits on a grid of 33x33 for 513x513 pixels."""
    spec = InputSpec(name="MobilenetV2/MobilenetV2/input", width=513, height=513, scale=1 / 128, mean=(1.0,))
    output = OutputSpec(name=LOGITS33, kind="logits", align_corners=True)
    return from_data(data, "deeplabv3_mnv2_voc513/deeplabv3_mnv2_pascal_513_logits33.onnx", spec, output, VOC)


def test_many_classes_are_found_in_real_pictures(data: Path) -> None:
    """A 21-class network labels people as people and a dog as a dog, at the picture's own size."""
    people = opened(data / "clips" / "tfjs_test_data" / "three_people.jpg")
    dog = next(data.glob("groundtruth/coco128/images/no_person/*0042.jpg"))
    with Segmenter(voc(data), labels=True, classes=("dog", "person")) as segmenter:
        crowd = segmenter(shown(people, "people"))
        pet = segmenter(shown(opened(dog), "dog"))
    assert crowd.labels is not None
    assert crowd.labels.shape == (people.height, people.width)
    assert segmenter.foreground == ("dog", "person")
    shares = np.bincount(crowd.labels.ravel(), minlength=21) / crowd.labels.size
    assert shares[15] > 0.4
    assert shares[0] + shares[15] > 0.98
    assert pet.labels is not None
    shares = np.bincount(pet.labels.ravel(), minlength=21) / pet.labels.size
    assert shares[12] > 0.1
    assert np.mean(pet.alpha > 127) == pytest.approx(shares[12], abs=0.03)


def test_memory_helps_a_recurrent_network(data: Path) -> None:
    """RobustVideoMatting on a moving camera is better with its states carried than started afresh."""
    channels = (16, 20, 40, 64)
    states = tuple(
        StateSpec(input=f"r{n}i", output=f"r{n}o", shape=(1, depth, 288 >> n, 512 >> n))
        for n, depth in enumerate(channels, 1)
    )
    spec, output = InputSpec(name="src", width=512, height=288), OutputSpec(name="pha", kind="probability")
    file = "rvm_mobilenetv3/rvm_288x512_r1.onnx"
    card = from_data(data, file, spec, output, "background person", states=states)
    frames = pairs(data, "dancer_alpha", most=12)
    with Segmenter(card) as segmenter:
        carried = [overlap(segmenter(shown(made)), truth) for made, truth in frames]
        afresh = [overlap(segmenter(shown(made, "still")), truth) for made, truth in frames]
    assert np.mean(carried) > 0.95
    assert np.mean(carried[4:]) > np.mean(afresh[4:])
