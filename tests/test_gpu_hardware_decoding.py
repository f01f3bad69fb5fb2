"""Decoding on a real card, where there is one. `pytest -m gpu`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import streamseg
from streamseg.effects import EFFECTS
from streamseg.errors import GpuFailure
from streamseg.models import find_model
from streamseg.pictures import planes
from streamseg.runtimes.upgrade import missing
from streamseg.sources.hardware import card
from tests.card_runs import differences, run_network
from tests.clips import make_clip

pytestmark = pytest.mark.gpu

CODECS = {
    "libx264": ("yuv420p", {"bf": "2"}),
    "libx265": ("yuv420p10le", {"x265-params": "log-level=none"}),
    "libvpx-vp9": ("yuv420p", {}),
    "libsvtav1": ("yuv420p", {}),
}


@pytest.fixture
def decoder() -> None:
    """A card that FFmpeg decodes on."""
    try:
        card()
    except GpuFailure as failure:
        pytest.skip(f"needs an NVIDIA card that FFmpeg decodes on: {failure}")


def clip_of(folder: Path, encoder: str, size: tuple[int, int] = (1280, 720), frames: int = 30) -> str:
    """A clip of a codec."""
    pixels, options = CODECS[encoder]
    path = folder / "in.mkv"
    make_clip(path, size=size, frames=frames, codec=encoder, pixel_format=pixels, options=options)
    return str(path)


@pytest.mark.usefixtures("decoder")
@pytest.mark.parametrize("size", [(1280, 720), (638, 358)])
@pytest.mark.parametrize("encoder", CODECS)
def test_decoded_frames_are_those_of_the_processor(
    encoder: str, size: tuple[int, int], tmp_path: Path
) -> None:
    """To the code and at the same times: decoders are exact."""
    clip = clip_of(tmp_path, encoder, size)
    with streamseg.open_source(clip) as source:
        wanted = list(source)
    with streamseg.open_source(clip, hwaccel="cuda") as source:
        if source.warnings:
            pytest.skip(source.warnings[0])
        for frame, other in zip(source, wanted, strict=True):
            assert frame.native.format.name == "cuda"
            assert frame.time == other.time
            planar = frame.picture.reformat(format=other.picture.format.name)
            for plane, right in zip(planes(planar), planes(other.picture), strict=True):
                assert np.array_equal(plane, right)


@pytest.mark.usefixtures("decoder")
@pytest.mark.parametrize("encoder", ["libx264", "libx265"])
@pytest.mark.parametrize("name", EFFECTS)
def test_runs_that_leave_frames_on_the_card_make_the_same_pictures(
    name: str, encoder: str, tmp_path: Path
) -> None:
    """As runs that upload them; addresses, linesizes and the order of decoder and kernels are right."""
    if lack := missing():
        pytest.skip(lack)
    clip, network, recipe = clip_of(tmp_path, encoder), find_model("selfie"), streamseg.effect(name)
    wanted, _ = run_network(clip, network, recipe, runtime="tensorrt")
    with streamseg.open_source(clip, hwaccel="cuda") as source:
        frames, report = run_network(source, network, recipe, runtime="tensorrt")
    assert report.failures == report.notes == []
    for frame, other in zip(frames, wanted, strict=True):
        assert differences(frame, other).max(initial=0) <= 1


@pytest.mark.usefixtures("decoder")
def test_memory_on_the_card_stays_as_it_was(tmp_path: Path) -> None:
    """Over a thousand frames: each goes back to the decoder."""
    if lack := missing():
        pytest.skip(lack)
    from streamseg.gpu.device import Device

    clip = clip_of(tmp_path, "libx264", frames=1000)
    recipe, free = streamseg.effect("blur"), []
    with (
        streamseg.open_source(clip, hwaccel="cuda") as source,
        streamseg.Segmenter("selfie", runtime="tensorrt") as segmenter,
        streamseg.open_compositor(recipe) as compositor,
        Device() as device,
    ):
        for number, frame in enumerate(source):
            compositor(frame, segmenter(frame))
            if number in (100, 999):
                free.append(int(device.run(device.driver.mem_get_info)[0]))
    assert free[0] - free[1] < 1 << 20
