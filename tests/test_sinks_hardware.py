"""Encoders in hardware: their options, and that streams use one where it works, and only there."""

from __future__ import annotations

import io
import socket
from pathlib import Path

import av
import pytest

from streamseg.errors import SinkError, UsageError
from streamseg.sinks import Encoding, hardware
from streamseg.sinks.codecs import Encoder, default_encoder, without_delay
from streamseg.sinks.hardware import encodes, in_hardware
from tests.clips import picture
from tests.sinking import made_frames, write_frames

NVENC = ["h264_nvenc", "hevc_nvenc", "av1_nvenc"]
HERE = [name for name in hardware._H264 if name in av.codecs_available]
TEN = list(range(0, 30_000, 3000))


def options_of(encoder: str) -> dict[str, tuple[str, ...]]:
    """Every option an encoder of this FFmpeg has, with the words it takes."""
    known = av.CodecContext.create(encoder, "w").supported_options
    choices = {each.name: tuple(one.name for one in each.choices) for each in known.private}
    return choices | {each.name: () for each in known.generic}


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        *((name, Encoding(crf=30, preset="p1")) for name in NVENC),
        *(
            (name, Encoding(bitrate=bitrate))
            for name in sorted({*NVENC, *HERE})
            for bitrate in (None, 2_000_000)
        ),
    ],
)
def test_every_option_is_one_the_encoder_has(name: str, encoding: Encoding) -> None:
    """A wrong name would be passed over in silence, on a card nobody has at hand."""
    known = options_of(name)
    for option, value in without_delay(default_encoder(encoding, name)).options.items():
        assert option in known
        assert not known[option] or value in known[option]


@pytest.mark.parametrize("name", NVENC)
def test_a_crf_is_nvencs_constant_quality(name: str) -> None:
    """A bitrate takes its place; presets are p1 to p7."""
    usual = default_encoder(Encoding(), name)
    assert usual.options["rc"] == "vbr"
    assert usual.bitrate == 0
    asked = default_encoder(Encoding(crf=31, preset="p7"), name)
    assert (asked.options["cq"], asked.options["preset"]) == ("31", "p7")
    assert "crf" not in asked.options
    aimed = default_encoder(Encoding(bitrate=3_000_000), name)
    assert aimed.bitrate == 3_000_000
    assert "cq" not in aimed.options
    with pytest.raises(UsageError, match=r"it has: p1, p2, p3, p4, p5, p6, p7$"):
        default_encoder(Encoding(preset="veryfast"), name)
    with pytest.raises(UsageError, match=r"crf 0 is out of range; encoder '\w+' takes 1 \(best\) to (51|63)"):
        default_encoder(Encoding(crf=0), name)


@pytest.mark.parametrize("name", NVENC)
def test_live_nothing_is_held_back(name: str) -> None:
    """No B-frames, no lookahead, no delay; a keyframe that is ordered is one to begin with."""
    options = without_delay(default_encoder(Encoding(), name)).options
    assert {
        "tune": "ull",
        "zerolatency": "1",
        "delay": "0",
        "bf": "0",
        "forced-idr": "1",
    }.items() <= options.items()


def test_only_what_really_encodes_works() -> None:
    """An encoder that is there and refuses the size does not; nor does one that is not there."""
    assert encodes("libx264", (64, 48), "yuv420p")
    assert not encodes("libx264", (63, 47), "yuv420p")
    assert not encodes("h264_of_nobody", (64, 48), "yuv420p")


@pytest.mark.parametrize("name", NVENC)
def test_without_a_card_a_file_is_one_line(name: str, tmp_path: Path) -> None:
    """Where somebody asks for it by name."""
    if encodes(name, (640, 360), "yuv420p"):
        pytest.skip("needs a machine without NVENC")
    with pytest.raises(SinkError, match="needs hardware or a driver that is not here") as caught:
        write_frames(tmp_path / "out.mp4", made_frames(TEN), encoding=Encoding(codec=name))
    assert "\n" not in str(caught.value)


def test_without_hardware_libx264_goes_on_in_silence() -> None:
    """FFmpeg's real encoders, which refuse here."""
    shown = picture(640, 360)
    if any(encodes(name, (640, 360), "nv12") for name in HERE):
        pytest.skip("needs a machine without hardware encoders")
    usual = default_encoder(Encoding(), "libx264")
    assert in_hardware(usual, Encoding(), shown) is usual


def test_the_first_that_works_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the bitrate asked for. Another encoder than libx264 has been asked for, and stays."""
    monkeypatch.setattr(hardware, "_H264", ("h264_of_nobody", "libx265", "mpeg4"))
    usual, shown = default_encoder(Encoding(), "libx264"), picture(64, 48)
    assert in_hardware(usual, Encoding(bitrate=900_000), shown).name == "libx265"
    assert in_hardware(usual, Encoding(bitrate=900_000), shown).bitrate == 900_000
    asked = Encoder(name="mpeg2video", options={})
    assert in_hardware(asked, Encoding(), shown) is asked


def sent(encoding: Encoding) -> str:
    """The codec of a stream over UDP."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        write_frames(f"udp://127.0.0.1:{receiver.getsockname()[1]}", made_frames(TEN), encoding=encoding)
        receiver.setblocking(False)
        received = io.BytesIO()
        while True:
            try:
                received.write(receiver.recv(2000))
            except BlockingIOError:
                break
    received.seek(0)
    with av.open(received, format="mpegts") as container:
        return container.streams.video[0].codec_context.name


@pytest.mark.parametrize(
    ("encoding", "codec"),
    [
        (Encoding(), "hevc"),
        (Encoding(bitrate=800_000), "hevc"),
        (Encoding(crf=28), "h264"),
        (Encoding(preset="fast"), "h264"),
        (Encoding(codec="h264"), "h264"),
    ],
)
def test_streams_use_it_unless_something_of_libx264_was_asked_for(
    encoding: Encoding, codec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """libx265 stands in for a card here."""
    monkeypatch.setattr(hardware, "_H264", ("libx265",))
    assert sent(encoding) == codec


def test_files_do_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file without a codec is libx264's, whatever there is."""
    monkeypatch.setattr(hardware, "_H264", ("libx265",))
    write_frames(tmp_path / "out.ts", made_frames(TEN))
    with av.open(str(tmp_path / "out.ts")) as container:
        assert container.streams.video[0].codec_context.name == "h264"
