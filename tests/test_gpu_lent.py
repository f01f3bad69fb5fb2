"""Finished pictures that NVENC reads on the card: where they lie, how long, and who brings them down."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import streamseg
from streamseg.compositors.cuda import CudaCompositor
from streamseg.frame import Frame, Matte, Tracks, VideoFormat
from streamseg.gpu import lent
from streamseg.models import find_model
from streamseg.sinks import Encoding, geometry, open_sink, video
from streamseg.sinks.codecs import default_encoder
from streamseg.sinks.hardware import refusal_on_card
from tests import networks
from tests.compositing import PEOPLE, frame_of, noise, read
from tests.doubles import ListSink
from tests.emulator.card import Card
from tests.emulator.decoder import CardPicture
from tests.emulator.driver import emulated
from tests.emulator.tensorrt import machine
from tests.test_compositors_cuda import soft

SIZE = (62, 48)


@contextmanager
def lending(card: Card, context: str = "takes") -> Iterator[None]:
    """Let FFmpeg take pictures on an emulated card, although that is memory to it."""
    taken = av.VideoFrame.from_dlpack

    class Frames:
        @staticmethod
        def from_dlpack(planes: Sequence[object], *, cuda_context: Any, **options: Any) -> Any:
            if cuda_context == "refuses":
                raise ValueError("no such card")
            return CardPicture(card, taken(planes, **options))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lent, "_CUDA", 1)  # kDLCPU
        patch.setattr(lent, "CudaContext", lambda **_: context)
        patch.setattr(lent, "VideoFrame", Frames)
        yield


def staying(picture: av.VideoFrame, index: int = 0) -> Frame:
    """A frame that only an encoder on the card will take."""
    frame = frame_of(picture, index)
    frame.stays = True
    return frame


@pytest.mark.parametrize(("pixels", "laid"), [("yuv420p", "nv12"), ("yuv420p10le", "p010le")])
@pytest.mark.parametrize("name", ["blur", "replace", "silhouette"])
def test_it_lies_as_nvenc_reads_it(pixels: str, laid: str, name: str) -> None:
    """One buffer: luma, then chroma at pitch times height, of the same pitch; the codes of the one that comes
    down; one wait a frame, and no download."""
    card, picture = Card(), noise(*SIZE, pixels)
    with (
        emulated(card),
        lending(card),
        CudaCompositor(streamseg.effect(name), classes=PEOPLE, foreground=()) as compositor,
    ):
        wanted = compositor(frame_of(picture), Matte(soft()))
        before = len(card.calls)
        made = compositor(staying(picture), Matte(soft()))
        asked = card.calls[before:]
        luma, chroma = made.native.planes
        assert made.native.sw_format is not None
        assert made.native.sw_format.name == laid
        assert chroma.line_size == luma.line_size
        assert chroma.buffer_ptr == luma.buffer_ptr + luma.line_size * SIZE[1]
        assert not any("dtoh" in call for call in asked)
        assert asked.count("record") == 1
        assert asked[-1] == "query"
        assert not any("synchronize" in call for call in asked)
        assert made.native.pts == wanted.native.pts
        assert card.fetched == 0
        down = made.picture.reformat(format=pixels)
        for one, other in zip(read(down), read(wanted.picture), strict=True):
            np.testing.assert_array_equal(one, other)
        assert card.fetched == 1
        del made, luma, chroma
        gc.collect()
    assert not card.leaks
    assert not lent._out


def test_its_memory_is_used_again_when_ffmpeg_has_done_with_it() -> None:
    """Not while a filter of FFmpeg's holds it, as NVENC does, though nobody else does any more."""
    card = Card()
    pictures = [noise(*SIZE, "yuv420p", seed) for seed in range(3)]
    with (
        emulated(card),
        lending(card),
        CudaCompositor(streamseg.effect("blur"), classes=PEOPLE, foreground=()) as compositor,
    ):
        first: Frame | None = compositor(staying(pictures[0]), Matte(soft()))
        assert first is not None
        address, codes = first.native.planes[0].buffer_ptr, read(first.picture)
        graph: av.filter.Graph | None = av.filter.Graph()
        assert graph is not None
        source = graph.add_buffer(
            width=SIZE[0], height=SIZE[1], format=av.VideoFormat("nv12"), time_base=first.native.time_base
        )
        source.link_to(graph.add("buffersink"))
        graph.configure()
        source.push(first.native._lent)  # type: ignore[attr-defined]
        del first
        gc.collect()
        second = compositor(staying(pictures[1], 1), Matte(soft()))
        assert second.native.planes[0].buffer_ptr != address
        pulled = graph.pull()
        assert isinstance(pulled, av.VideoFrame)
        for one, other in zip(read(pulled), codes, strict=True):
            np.testing.assert_array_equal(one, other)
        del pulled, source
        graph = None
        gc.collect()
        third = compositor(staying(pictures[2], 2), Matte(soft()))
        assert third.native.planes[0].buffer_ptr == address
        del second, third
        gc.collect()
    assert not card.leaks


def test_what_somebody_still_has_is_not_freed() -> None:
    """A picture that outlives the card's context keeps its memory."""
    card = Card()
    with emulated(card), lending(card):
        with CudaCompositor(streamseg.effect("blur"), classes=PEOPLE, foreground=()) as compositor:
            made = compositor(staying(noise(*SIZE, "yuv420p")), Matte(soft()))
            codes = read(made.native._lent)  # type: ignore[attr-defined]
        gc.collect()
        for one, other in zip(read(made.native._lent), codes, strict=True):  # type: ignore[attr-defined]
            np.testing.assert_array_equal(one, other)
        del made
        gc.collect()
    assert len(card.leaks) == 1
    assert not lent._out


def test_where_ffmpeg_refuses_it_the_picture_comes_down() -> None:
    """It says why, and FFmpeg is not asked again."""
    card = Card()
    with (
        emulated(card),
        lending(card, "refuses"),
        CudaCompositor(streamseg.effect("blur"), classes=PEOPLE, foreground=()) as compositor,
    ):
        for index in range(3):
            picture = noise(*SIZE, "yuv420p", index)
            wanted = compositor(frame_of(picture), Matte(soft()))
            made = compositor(staying(picture), Matte(soft()))
            assert made.native.format.name == "yuv420p"
            assert made.brought == "no such card"
            for one, other in zip(read(made.picture), read(wanted.picture), strict=True):
                np.testing.assert_array_equal(one, other)
    assert not card.leaks
    assert not lent._out


def test_without_a_driver_ffmpeg_itself_refuses() -> None:
    """PyAV gives back what it was handed, and the picture comes down."""
    card, picture = Card(), noise(*SIZE, "yuv420p")
    with (
        emulated(card),
        CudaCompositor(streamseg.effect("blur"), classes=PEOPLE, foreground=()) as compositor,
    ):
        made = compositor(staying(picture), Matte(soft()))
        if made.brought is None:
            pytest.skip("there is a driver")
        assert made.native.format.name == "yuv420p"
        assert "\n" not in made.brought
    assert not card.leaks
    assert not lent._out


@pytest.mark.parametrize("pixels", ["yuv444p", "bgr24", "gray"])
def test_what_nvenc_does_not_read_comes_down(pixels: str) -> None:
    """Other samplings, RGB, grey, and odd sizes."""
    card = Card()
    with (
        emulated(card),
        lending(card),
        CudaCompositor(streamseg.effect("blur"), classes=PEOPLE, foreground=()) as compositor,
    ):
        for picture in (noise(*SIZE, pixels), noise(61, 48, "yuv420p"), noise(62, 47, "yuv420p")):
            made = compositor(staying(picture), Matte(soft()))
            assert made.native.sw_format is None
            assert made.brought is None
    assert not card.leaks


class Encoder(ListSink):
    """Reads pictures on the card; what it got is kept as it was then."""

    takes_card = True

    def __init__(self) -> None:
        super().__init__()
        self.there: list[bool] = []

    def write(self, frame: Frame) -> None:
        """Note where it lies, and bring it down."""
        self.there.append(frame.native.sw_format is not None)
        super().write(frame.with_picture(frame.picture))


def run(sinks: list[Any], network: Any, *, effect: str = "blur", **options: Any) -> Any:
    """A clip through a network and an effect."""
    with (
        streamseg.open_source(CLIP) as source,
        streamseg.Segmenter(network, **{"runtime": "tensorrt", **options}) as segmenter,
        streamseg.open_compositor(streamseg.effect(effect)) as compositor,
    ):
        return streamseg.run(source, segmenter, compositor, sinks)


CLIP = "demo:320x180@10,0.6s"


def test_in_a_run_they_stay_for_an_encoder_alone() -> None:
    """With another sink beside it they come down; the pictures are the same; nothing is left on the card."""
    seen = []
    for others in ([], [ListSink()]):
        with machine() as found, lending(found.card):
            sink = Encoder()
            report = run([sink, *others], find_model("selfie"))
            assert report.failures == report.notes == []
            assert sink.there == 6 * [not others]
            assert found.card.fetched == (0 if others else 6)
            gc.collect()
        assert not found.card.leaks
        seen.append([read(frame.picture.reformat(format="yuv420p")) for frame in sink.frames])
    for some, other in zip(*seen, strict=True):
        for one, another in zip(some, other, strict=True):
            np.testing.assert_array_equal(one, another)


@pytest.mark.parametrize("name", ["silhouette", "blur"])
def test_when_the_card_is_lost_no_raw_frame_comes_out(name: str, tmp_path: Path) -> None:
    """At whatever call: none is missing, each is the effect's, its background, or black."""
    network = networks.brightness(tmp_path)
    options: dict[str, Any] = {"effect": name, "crop": "off", "smooth": 0}
    clean = Card()
    with machine(clean) as found, lending(clean):
        plans, right = found.plans, [Encoder(), Encoder()]
        run([right[0]], network, **options)
    run([right[1]], network, runtime="onnxruntime", **options)
    nothing = Matte(np.zeros((1, 1), np.uint8), failure="because")
    with streamseg.open_source(CLIP) as source, streamseg.open_compositor(streamseg.effect(name)) as painter:
        hidden = [planar(painter(frame, nothing)) for frame in source]
    possible = [[planar(frame) for frame in sink.frames] for sink in right] + [hidden]
    for number in range(clean.calls.index("Runtime") + 20, len(clean.calls), 17):
        broken = Card(fails_at=number, lost=True)
        with machine(broken) as found, lending(broken):
            found.plans, sink = plans, Encoder()
            try:
                run([sink], network, **options)
            except (streamseg.RuntimeFailure, streamseg.ModelError):
                continue
            gc.collect()
        assert len(sink.frames) == 6
        for index, frame in enumerate(sink.frames):
            shown = planar(frame)
            black = len(np.unique(shown)) <= 2
            apart = min(np.abs(shown - frames[index]).max() for frames in possible)
            assert black or apart <= 3, f"call {number}"
        assert not broken.leaks or broken.dead


def planar(frame: Frame) -> Any:
    """All codes of a frame, 4:2:0."""
    planes = read(frame.picture.reformat(format="yuv420p"))
    return np.concatenate([plane.astype(int).ravel() for plane in planes])


def written(path: Path, frames: list[Frame], patch: pytest.MonkeyPatch, refused: str | None) -> Any:
    """Frames in a file; libx264 stands in for NVENC, and takes FFmpeg's pictures of our memory."""
    patch.setattr("streamseg.sinks.media.NVENC", ("libx264",))
    patch.setattr("streamseg.sinks.media.refusal_on_card", lambda *_: refused)
    patch.setattr("streamseg.sinks.video.on_card_encoding", lambda: None)
    patch.setattr("streamseg.sinks.video.on_card", lambda _: True)
    sink = open_sink(str(path), encoding=Encoding(codec="libx264"))
    assert sink.takes_card
    sink.start(VideoFormat(*SIZE, Fraction(1, 30), Fraction(30)), frames[0], Tracks())
    for frame in frames:
        sink.write(frame)
    sink.close()
    return sink


@pytest.mark.parametrize("refused", [None, "no device"])
def test_a_file_takes_them_as_they_are_unless_its_encoder_refuses(
    refused: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then there is one line, and the pictures that came down are written."""
    brought: list[object] = []
    usual = geometry.pad

    def pad(picture: av.VideoFrame, size: tuple[int, int]) -> av.VideoFrame:
        brought.append(picture)
        return usual(picture, size)

    monkeypatch.setattr(video, "pad", pad)
    frames = [frame_of(noise(*SIZE, "yuv420p", 1).reformat(format="nv12"), index) for index in range(5)]
    sink = written(tmp_path / "out.mp4", frames, monkeypatch, refused)
    assert len(brought) == (5 if refused else 0)
    assert sink.takes_card is (refused is None)
    told = [note for note in sink.notes if "card" in note]
    assert told == ([f"pictures come down from the card to be encoded: {refused}"] if refused else [])
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert len([*container.decode(video=0)]) == 5


def test_nvenc_that_is_not_there_refuses_in_a_line() -> None:
    """FFmpeg's own, on a machine without a driver."""
    picture = noise(*SIZE, "yuv420p").reformat(format="nv12")
    refused = refusal_on_card(default_encoder(Encoding(), "h264_nvenc"), picture)
    if refused is None:
        pytest.skip("there is a card with NVENC")
    assert "\n" not in refused
