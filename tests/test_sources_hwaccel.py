"""`--hwaccel`: what becomes of it without a card, and how the processor relieves one that fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import streamseg
from streamseg.frame import Frame
from streamseg.gpu import driver
from streamseg.pictures import planes
from streamseg.sources import media, open_source, reader
from streamseg.sources.hardware import CardDecoder
from tests.clips import make_clip
from tests.commandline import Cli
from tests.emulator.card import Card
from tests.emulator.decoder import CardContext
from tests.emulator.tensorrt import GPU

B_FRAMES = {"bf": "3", "g": "12", "b_strategy": "0"}


@pytest.fixture
def no_card() -> None:
    """A machine like most."""
    if driver.probe().gpu is not None:
        pytest.skip("needs a machine without an NVIDIA GPU")


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """A clip of three GOPs, with B-frames."""
    make_clip(tmp_path / "in.mp4", frames=36, options=B_FRAMES)
    return tmp_path / "in.mp4"


def read(path: Path | str, **options: Any) -> tuple[list[Frame], list[str]]:
    """All frames of a source, and what it had to say."""
    with open_source(str(path), **options) as source:
        return list(source), source.warnings


def same(some: list[Frame], others: list[Frame]) -> bool:
    """Whether two lists of frames have the same times and luma."""
    assert [frame.time for frame in some] == [frame.time for frame in others]
    pairs = zip(some, others, strict=True)
    return all(np.array_equal(planes(one.picture)[0], planes(other.picture)[0]) for one, other in pairs)


@pytest.mark.usefixtures("no_card")
def test_without_a_card_a_line_says_that_the_processor_decodes(films: Path) -> None:
    """Where a card was asked for; "auto" says nothing. FFmpeg itself raises where there is no driver."""
    wanted, silent = read(films)
    frames, warnings = read(films, hwaccel="cuda")
    assert same(frames, wanted)
    assert warnings == [
        f"{str(films)!r}: no GPU to decode on: {driver.probe().problem}; the processor decodes it"
    ]
    frames, warnings = read(films, hwaccel="auto")
    assert same(frames, wanted)
    assert warnings == silent == []


def test_a_driver_that_ffmpeg_cannot_use_is_as_none(films: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was there when it was asked, and fails when FFmpeg comes; nothing has been read yet."""
    if driver.probe().gpu is not None:
        pytest.skip("needs a machine without an NVIDIA GPU")
    monkeypatch.setattr(driver, "probe", lambda: driver.Driver(version=(13, 0), gpus=(GPU,)))
    frames, warnings = read(films, hwaccel="cuda")
    assert len(frames) == 36
    (line,) = warnings
    assert "no GPU to decode on: FFmpeg cannot decode there: " in line


@pytest.mark.usefixtures("no_card")
def test_the_command_line_says_it_once(films: Path, cli: Cli) -> None:
    """And does all the same what was asked."""
    arguments = [str(films), "-o", "null:", "--runtime", "null", "--hwaccel"]
    said = cli.run(*arguments, "cuda").err
    assert said.count("the processor decodes it") == 1
    assert "GPU" not in cli.run(*arguments, "auto").err


def test_what_is_no_file_or_stream_is_not_decoded() -> None:
    """Asked for a card it is refused; "auto" passes."""
    with pytest.raises(streamseg.UsageError, match="'test:' is not decoded; hwaccel is for video files"):
        open_source("test:", hwaccel="cuda")
    open_source("test:", hwaccel="auto").close()
    with pytest.raises(streamseg.UsageError, match="no hwaccel 'vaapi'; known: off, auto, cuda"):
        open_source("test:", hwaccel="vaapi")


def on_a_card(
    monkeypatch: pytest.MonkeyPatch,
    *,
    card: Card | None = None,
    fails_at: int | None = None,
    knows: bool = True,
) -> list[Any]:
    """Decode on an emulated card, one that knows the codec or not; return what files were opened with."""
    usual, opened, accels = reader._decoder_of, media.open_container, []
    context = CardContext if knows else Software

    def decoder_of(stream: Any, live: bool) -> Any:
        decoder = usual(stream, live)
        if accels[-1] is None:
            return decoder
        return CardDecoder(context(card or Card(), decoder, fails_at=fails_at))  # type: ignore[arg-type]

    def open_(uri: str, path: Path | None, accel: Any, timeout: float) -> Any:
        accels.append(accel)
        return opened(uri, path, None, timeout)

    monkeypatch.setattr(reader, "_decoder_of", decoder_of)
    monkeypatch.setattr(media, "open_container", open_)
    monkeypatch.setattr(media, "card", lambda: "card")
    return accels


class Software(CardContext):
    """A context that falls back to the processor, as FFmpeg does with a profile the card does not know."""

    def decode(self, packet: Any) -> list[Any]:
        """Pictures in memory."""
        return list(self._decoder.decode(packet))


def test_frames_of_the_card_are_those_of_the_processor(films: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Brought down, they are the same; nothing is said."""
    wanted, _ = read(films)
    on_a_card(monkeypatch)
    frames, warnings = read(films, hwaccel="cuda")
    assert all(frame.native.format.name == "cuda" for frame in frames)
    assert same(frames, wanted)
    assert warnings == []


@pytest.mark.parametrize("asked", ["cuda", "auto"])
def test_what_the_card_cannot_decode_the_processor_does(
    asked: str, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the start, with all its threads: the file is opened anew."""
    wanted, _ = read(films)
    accels = on_a_card(monkeypatch, knows=False)
    frames, warnings = read(films, hwaccel=asked)
    assert accels == ["card", None]
    assert same(frames, wanted)
    line = f"{str(films)!r}: the GPU cannot decode its h264; the processor decodes it"
    assert warnings == ([line] if asked == "cuda" else [])


@pytest.mark.parametrize("fails_at", [5, 11, 12, 13, 14, 17, 25, 35, 36])
def test_when_the_card_fails_no_frame_is_lost(
    fails_at: int, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At any packet, a keyframe or not, or at the end: the processor goes on from the last keyframe."""
    wanted, _ = read(films)
    on_a_card(monkeypatch, fails_at=fails_at)
    frames, warnings = read(films, hwaccel="cuda")
    assert same(frames, wanted)
    why = "generic error in an external library"
    assert warnings == [f"{str(films)!r}: the GPU failed while decoding ({why}); the processor took over"]


@pytest.mark.parametrize("fails_at", [0, 1])
def test_a_card_that_fails_at_once_is_as_none(
    fails_at: int, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the first picture: the file is opened anew for the processor."""
    wanted, _ = read(films)
    accels = on_a_card(monkeypatch, fails_at=fails_at)
    frames, warnings = read(films, hwaccel="cuda")
    assert accels == ["card", None]
    assert same(frames, wanted)
    assert warnings == [f"{str(films)!r}: the GPU cannot decode its h264; the processor decodes it"]


def test_damage_is_not_the_cards_fault(films: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The picture before stands in, brought down, and the card goes on."""
    usual = CardContext.decode

    def decode(self: CardContext, packet: Any) -> list[Any]:
        pictures = usual(self, packet)
        if self._packets == 20:
            raise av.InvalidDataError(1094995529, "Invalid data found when processing input")
        return pictures

    monkeypatch.setattr(CardContext, "decode", decode)
    on_a_card(monkeypatch)
    frames, warnings = read(films, hwaccel="cuda")
    assert len(frames) == 36
    assert sum(frame.repaired for frame in frames) == 1
    assert frames[-1].native.format.name == "cuda"
    assert warnings == [f"{str(films)!r}: 1 damaged frame was replaced by the last good picture"]


def test_what_lies_on_its_side_is_turned_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a picture that was decoded there."""
    make_clip(tmp_path / "in.mp4", rotation=90)
    wanted, _ = read(tmp_path / "in.mp4")
    accels = on_a_card(monkeypatch)
    frames, warnings = read(tmp_path / "in.mp4", hwaccel="cuda")
    assert accels == ["card"]
    assert frames[0].size == wanted[0].size == (120, 160)
    assert same(frames, wanted)
    assert warnings == []
