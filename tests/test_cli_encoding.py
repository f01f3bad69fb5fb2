"""One encoding for several outputs: each takes what its encoder knows, and what it does not is told."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest

from streamseg.sinks import Encoding
from streamseg.sinks.codecs import Encoder, default_encoder, lossless_encoder
from tests.commandline import Cli
from tests.sinking import made_frames, write_frames

SHORT = "test:64x48@10,0.3s"


@pytest.mark.parametrize(
    ("options", "names", "note"),
    [
        (["--preset", "fast"], ("a.mp4", "b.webm"), "preset 'fast': encoder 'libvpx-vp9' has no presets"),
        (["--crf", "30"], ("a.mp4", "b.avi"), "crf 30: encoder 'mpeg4' knows no crf"),
        (["--crf", "60"], ("a.webm", "b.mp4"), "crf 60: crf 60 is out of range"),
        (["--codec", "vp9"], ("a.webm", "b.mov"), "codec 'vp9': '.mov' cannot hold 'vp9'"),
        (["--codec", "ffv1", "--bitrate", "1M"], ("b.mkv", "a.webm"), "bitrate 1000000: encoder 'ffv1'"),
    ],
)  # fmt: skip
def test_an_option_applies_where_it_fits(
    cli: Cli, tmp_path: Path, options: list[str], names: tuple[str, str], note: str
) -> None:
    """Of two outputs the one with no use for an option is written without it, and one line says so."""
    outputs = [argument for name in names for argument in ("-o", tmp_path / name)]
    said = cli.run(SHORT, *outputs, *options)
    assert said.code == 0, said.err
    (line,) = (line for line in said.err.splitlines() if note in line)
    assert line.startswith("note: ")
    assert "/b." in line
    assert all((tmp_path / name).stat().st_size for name in names)


def test_the_output_it_fits_is_encoded_with_it(cli: Cli, tmp_path: Path) -> None:
    """Beside a WebM the MP4 gets the preset asked for: its file is the one a run of its own writes."""
    assert cli.run(SHORT, "-o", tmp_path / "alone.mp4", "--preset", "ultrafast").code == 0
    assert (
        cli.run(SHORT, "-o", tmp_path / "a.mp4", "-o", tmp_path / "b.webm", "--preset", "ultrafast").code == 0
    )
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "alone.mp4").read_bytes()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--preset", "warp"], "encoder 'libx264' has no preset 'warp'; it has: ultrafast"),
        (["--crf", "63", "--codec", "h264"], "crf 63 is out of range; encoder 'libx264' takes"),
        (["--codec", "h266"], "unknown codec 'h266'; '.mp4' can hold"),
        (["--crf", "20", "--bitrate", "1M"], "pass one of the two"),
    ],
)
def test_an_option_no_output_has_use_for_is_refused(
    cli: Cli, tmp_path: Path, options: list[str], says: str
) -> None:
    """A misspelt preset, codec or crf is an error with several outputs too, and nothing is written."""
    said = cli.run(SHORT, "-o", tmp_path / "a.mp4", "-o", tmp_path / "b.mkv", "-o", "null:", *options)
    assert said.code == 2
    assert says in said.error
    assert list(tmp_path.iterdir()) == []


def test_an_encoder_chosen_by_the_first_frame_takes_what_it_knows(cli: Cli, tmp_path: Path) -> None:
    """Transparency makes .mov ProRes, which has no crf: it is written all the same beside a WebM."""
    said = cli.run(
        SHORT, "-o", tmp_path / "a.webm", "-o", tmp_path / "b.mov", "--effect", "cutout", "--crf", "40"
    )
    assert said.code == 0, said.err
    assert "b.mov: written without crf 40: encoder 'prores_ks' knows no crf" in said.err
    with av.open(str(tmp_path / "b.mov")) as container:
        assert container.streams.video[0].codec_context.name == "prores"


def vp9(encoder: Encoder, **options: str) -> tuple[list[bytes], int]:
    """Forty pictures from an encoder set up so: its packets, and how many pictures it held back at most."""
    context = av.CodecContext.create(encoder.name, "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt, context.time_base = 160, 120, "yuv420p", Fraction(1, 30)
    context.bit_rate, context.options = encoder.bitrate, {**encoder.options, **options}
    packets: list[bytes] = []
    held = 0
    for index, frame in enumerate(made_frames(range(40), size=(160, 120), time_base=Fraction(1, 30))):
        packets += map(bytes, context.encode(frame.picture))
        held = max(held, index + 1 - len(packets))
    return packets + list(map(bytes, context.encode(None))), held


@pytest.mark.parametrize(
    "encoder",
    [
        default_encoder(Encoding(), "libvpx-vp9"),
        default_encoder(Encoding(bitrate=300_000), "libvpx-vp9"),
        lossless_encoder(Encoding(), "libvpx-vp9"),
    ],
    ids=["usual", "bitrate", "lossless"],
)
def test_vp9_holds_no_pictures_for_nothing(encoder: Encoder) -> None:
    """VP9 gives each picture out at once, and the same bytes as when it may look 25 pictures ahead."""
    packets, held = vp9(encoder)
    assert held == 0
    assert vp9(encoder, **{"lag-in-frames": "25"}) == (packets, 24)


def test_a_bitrate_is_refused_where_it_changes_nothing(tmp_path: Path) -> None:
    """FFV1 and its like, which refuse a bitrate, are lossless or of one quality; others obey it."""
    sizes = []
    for bitrate in (50_000, 2_000_000):
        write_frames(
            tmp_path / "a.webm",
            made_frames(range(0, 90_000, 3000)),
            encoding=Encoding(bitrate=bitrate),
            overwrite=True,
        )
        sizes.append((tmp_path / "a.webm").stat().st_size)
    assert sizes[1] > 2 * sizes[0]
