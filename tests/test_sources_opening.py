"""What can be opened, under which names, and what is said when nothing can be read."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from streamseg.errors import SourceError, UsageError
from streamseg.sources import open_source
from tests.clips import make_clip
from tests.reading import read


@pytest.mark.parametrize(
    "name",
    [
        "-x.mp4",
        "12:30 talk.mp4",
        "a%05d.mp4",
        "CLIP.MP4",
        'it\'s "ünï" 人.mp4',
        "plain",
        "rtsp.mp4",
        "[1] a*.mp4",
        "~.mp4",
    ],
)
def test_awkward_names_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A file is opened whatever it is called, by its bare name, its path or as a file: URL."""
    make_clip(tmp_path / "clip.mp4", frames=2)
    (tmp_path / "clip.mp4").rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    for uri in (name, str(tmp_path / name), (tmp_path / name).as_uri()):
        with open_source(uri) as source:
            assert len(list(source)) == 2
            assert source.paths == (str(tmp_path / name),)
            assert not source.live


@pytest.mark.parametrize(("suffix", "redirect"), [(".mkv", False), (".mp4", True)])
def test_standard_input(tmp_path: Path, suffix: str, redirect: bool) -> None:
    """`-` reads a pipe, and a redirected file even where its index is at the end."""
    path = tmp_path / f"clip{suffix}"
    make_clip(path, frames=7)
    program = "from streamseg.sources import open_source\nprint(len(list(open_source('-'))))"
    with path.open("rb") as file:
        fed = {"stdin": file} if redirect else {"input": file.read()}
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, **fed)  # type: ignore[call-overload]
    assert done.stdout.strip() == b"7"


def test_nonsense_on_standard_input(tmp_path: Path) -> None:
    """Text on standard input is answered with the formats that can be piped."""
    program = "from streamseg.sources import open_source\nopen_source('-')"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, input=b"hello\n" * 99, check=False
    )
    assert b"no video format was found in standard input" in done.stderr


def test_terminal_is_no_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """`-` at a terminal does not wait for somebody to type a video."""
    monkeypatch.setattr(os, "isatty", lambda _: True)
    with pytest.raises(
        SourceError, match="standard input is a terminal; pipe a video into it or name a file"
    ):
        open_source("-")


def _make_bad_input(folder: Path) -> None:
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("dear diary, día 1\n" * 40)
    (folder / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    (folder / "dangling.mp4").symlink_to(folder / "gone.mp4")
    (folder / "segment.m4s").write_bytes(b"\0\0\0\x18stypmsdh\0\0\0\0msdhmsix" + b"\0" * 100)
    make_clip(folder / "holiday.mp4", frames=30)
    whole = (folder / "holiday.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(whole[:-900])
    (folder / "short.mp4").write_bytes(whole[: len(whole) // 3])
    with av.open(str(folder / "song.m4a"), "w") as container:
        stream = container.add_stream("aac", rate=48_000)
        silence = av.AudioFrame.from_ndarray(np.zeros((2, 4096), np.float32), format="fltp", layout="stereo")
        silence.sample_rate = 48_000
        for packet in (*stream.encode(silence), *stream.encode(None)):
            container.mux(packet)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("empty.mp4", "cannot open '{}': the file is empty (0 bytes)"),
        ("text.mp4", "cannot open '{}': the file is text, not a video"),
        ("noise.mp4", "cannot open '{}': no picture or video format was found in it"),
        ("dangling.mp4", "cannot open '{}': it is a link to '{}', which does not exist"),
        ("segment.m4s", "cannot open '{}': it is one segment of a stream; open the playlist"),
        ("cut.mp4", "cannot read '{}': it has no video, only a header that was cut short or damaged"),
        (
            "short.mp4",
            "cannot open '{}': an MP4 without its index (moov): the recording or the download was cut short",
        ),
        ("song.m4a", "cannot read '{}': it has no video, only 1 audio track"),
        ("holidy.mp4", "cannot open '{}': no such file; did you mean 'holiday.mp4'"),
        ("holiday.mkv", "cannot open '{}': no such file; did you mean 'holiday.mp4'"),
        ("zzz", "cannot open '{}': no such file"),
        ("nowhere/clip.mp4", "cannot open '{}': there is no folder '{}'"),
    ],
)
def test_bad_input_is_answered_in_one_line(tmp_path: Path, name: str, message: str) -> None:
    """What cannot be read is answered with what was asked, what was found and what to do."""
    _make_bad_input(tmp_path)
    with pytest.raises(SourceError) as caught:
        open_source(str(tmp_path / name))
    pattern = re.escape(message).replace(re.escape("{}"), ".*")
    assert re.match(pattern, str(caught.value))
    assert "\n" not in str(caught.value)


def test_unreadable_file_names_permissions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that may not be read is not called damaged."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    make_clip(tmp_path / "clip.mp4", frames=1)
    monkeypatch.setattr(av, "open", refuse)
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(SourceError, match="permission denied; check its permissions"):
        open_source(str(tmp_path / "clip.mp4"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": (640, 480)}, "has a size of its own; size is for cameras"),
        ({"fps": 30}, "has a fps of its own; fps is for cameras"),
        ({"duration": 0}, "duration 0 is no length of time"),
    ],
)
def test_options_a_file_cannot_honour(tmp_path: Path, options: dict[str, object], message: str) -> None:
    """An option that would do nothing is refused."""
    make_clip(tmp_path / "clip.mp4", frames=1)
    with pytest.raises(UsageError, match=message):
        read(tmp_path / "clip.mp4", **options)


def test_no_name_is_no_source() -> None:
    """An empty URI is answered with what can be named."""
    with pytest.raises(UsageError, match="no source was named"):
        open_source("")


def test_live_file_is_paced(tmp_path: Path) -> None:
    """A file read as if it were live takes as long as it shows; frames carry the time they were let out."""
    make_clip(tmp_path / "clip.mp4", frames=4, rate=50)
    frames, _ = read(tmp_path / "clip.mp4", live=True)
    assert frames[-1].captured - frames[0].captured > 0.0599


def test_picture_by_content_is_a_still(tmp_path: Path) -> None:
    """A picture without an extension is opened as what it is."""
    av.VideoFrame.from_ndarray(np.zeros((8, 8, 3), np.uint8)).save(str(tmp_path / "a.png"))
    shutil.move(tmp_path / "a.png", tmp_path / "cover")
    with open_source(str(tmp_path / "cover")) as source:
        assert source.stills
        assert [frame.name for frame in source] == ["cover"]


def test_only_near_names_are_suggested(tmp_path: Path) -> None:
    """A file that has little but its extension in common with the one asked for is not suggested."""
    (tmp_path / "out.mp4").touch()
    with pytest.raises(SourceError, match=r"nosuch\.mp4': no such file$"):
        open_source(str(tmp_path / "nosuch.mp4"))
