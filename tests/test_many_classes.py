"""A network of 21 classes on real pictures, from the card to the palette PNG."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

import streamseg
from tests.clips import read_frames
from tests.runs import run_uris

PERSON = 15
"""Pascal VOC's id."""


@pytest.fixture
def voc(data: Path) -> str:
    """The 21-class network, as a bare file."""
    return str(data / "models" / "deeplabv3_mnv2_voc513" / "deeplabv3_mnv2_pascal_513_logits33.onnx")


def indices(picture: av.VideoFrame) -> NDArray[np.uint8]:
    """(H, W) palette indices."""
    return np.frombuffer(picture.planes[0], np.uint8).reshape(picture.height, -1)[:, : picture.width]


def test_labels_are_class_ids_at_the_pictures_own_size(data: Path, voc: str, tmp_path: Path) -> None:
    """A picture of three people becomes a palette PNG of its own size whose indices are the class ids."""
    photo = data / "clips" / "tfjs_test_data" / "three_people.jpg"
    target = tmp_path / "labels.png"
    run_uris(str(photo), str(target), effect=streamseg.effect("labels"), runtime="auto", model=voc)
    (before,), (after,) = read_frames(photo), read_frames(target)
    assert after.format.name == "pal8"
    assert (after.width, after.height) == (before.width, before.height)
    ids = indices(after)
    assert set(np.unique(ids)) <= set(range(21))
    assert 0.4 < (ids == PERSON).mean() < 0.9


def test_labels_show_every_class_unless_some_are_named(data: Path, voc: str, tmp_path: Path) -> None:
    """Without `--classes` all classes are painted, not only those the card calls foreground."""
    photo = data / "clips" / "tfjs_test_data" / "three_people.jpg"
    card = streamseg.find_model(voc)
    for classes, expected in (((), True), (("dog",), False)):
        with (
            streamseg.open_source(str(photo)) as source,
            streamseg.Segmenter(card, classes=classes, labels=True) as segmenter,
            streamseg.open_compositor(
                streamseg.effect("labels"), classes=segmenter.classes, foreground=segmenter.named
            ) as compositor,
        ):
            frame = next(iter(source))
            painted = compositor(frame, segmenter(frame)).picture
            assert (PERSON in indices(painted)) is expected


@pytest.mark.parametrize("name", ["labels", "overlay"])
def test_a_compositor_that_knows_other_classes_is_refused(
    data: Path, voc: str, tmp_path: Path, name: str
) -> None:
    """Opened without the names of the 21 classes, or without those the segmenter was asked for, one line says
    how to open it; nothing is written."""
    photo = str(data / "clips" / "tfjs_test_data" / "three_people.jpg")
    for asked, names in (((), False), (("dog",), True)):
        with (
            streamseg.open_source(photo) as source,
            streamseg.Segmenter(voc, classes=asked) as segmenter,
            streamseg.open_compositor(
                streamseg.effect(name), classes=segmenter.classes if names else ()
            ) as compositor,
            pytest.raises(
                streamseg.UsageError, match=f"effect '{name}' .* model 'deeplab.*foreground=segmenter.named"
            ),
        ):
            streamseg.run(source, segmenter, compositor, [streamseg.open_sink(tmp_path / "out.png")])
    assert list(tmp_path.iterdir()) == []


def test_label_video_is_lossless(data: Path, voc: str, tmp_path: Path) -> None:
    """In a label video there are no colours but those of the palette."""
    clip = data / "clips" / "virtual_background" / "Thoughtful_35590.mp4"
    target = tmp_path / "labels.mkv"
    control = streamseg.Control()
    run_uris(
        str(clip),
        str(target),
        effect=streamseg.effect("labels"),
        runtime="auto",
        model=voc,
        control=control,
        watch=lambda stats: control.stop() if stats.frames_out == 3 else None,
    )
    colours = np.unique(read_frames(target)[0].to_ndarray(format="rgb24").reshape(-1, 3), axis=0)
    assert len(colours) <= 21
    assert [192, 128, 128] in colours.tolist()
