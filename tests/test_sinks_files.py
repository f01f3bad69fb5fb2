"""Safety: nothing half-written under a final name, nothing overwritten unasked, every refusal one line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import av
import pytest

from streamseg.errors import SinkError, StreamsegError, UsageError
from streamseg.frame import Tracks, VideoFormat
from streamseg.sinks import Encoding, Sink, check_encoding, open_sink
from streamseg.sinks.codecs import possible_codecs
from streamseg.sinks.containers import CONTAINERS
from tests.clips import TICKS, read_frames
from tests.sinking import made_frames, write_frames

TEN = list(range(0, 30_000, 3000))


def started(path: Path | str) -> Sink:
    """A sink in the middle of its work: five frames written."""
    frames = made_frames(TEN[:5])
    sink = open_sink(str(path), overwrite=True)
    sink.start(VideoFormat(*frames[0].size, TICKS), frames[0], Tracks())
    for frame in frames:
        sink.write(frame)
    return sink


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.gif", "out.png"])
def test_the_final_name_appears_only_with_close(tmp_path: Path, name: str) -> None:
    """While it is being written a file has another name; closing renames it, and nothing else is left."""
    frames = made_frames(TEN[:1])
    sink = open_sink(str(tmp_path / name))
    sink.start(VideoFormat(*frames[0].size, TICKS), frames[0], Tracks())
    sink.write(frames[0])
    assert not (tmp_path / name).exists()
    sink.close()
    assert [each.name for each in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["out.mp4", "out.mov", "out.mkv", "out.webm", "out.gif", "out.ts"])
def test_abort_leaves_nothing_and_keeps_what_was_there(tmp_path: Path, name: str) -> None:
    """Giving up removes the unfinished file; a file already there is as it was."""
    path = tmp_path / name
    path.write_bytes(b"precious")
    started(path).abort()
    assert path.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [path]


def test_a_sink_that_never_started_leaves_nothing(tmp_path: Path) -> None:
    """The constructor creates nothing, and closing or aborting without a frame writes nothing."""
    for name in ("out.mp4", "out.png", "out.gif", "out/%05d.png", "out/"):
        open_sink(str(tmp_path / name)).close()
        open_sink(str(tmp_path / name)).abort()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.gif", "out.png", "%05d.png", "out/"])
def test_a_sink_that_got_no_frame_leaves_nothing(tmp_path: Path, name: str) -> None:
    """Started and closed without a frame written: no file without a stream appears."""
    frames = made_frames(TEN[:1])
    sink = open_sink(f"{tmp_path}/{name}")
    sink.start(VideoFormat(64, 48, TICKS), frames[0], Tracks())
    sink.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["out.mp4", "out.gif", "out.png"])
def test_an_existing_file_is_not_overwritten_unasked(tmp_path: Path, name: str) -> None:
    """Without -y an existing file is refused; with it, replaced."""
    path = tmp_path / name
    path.write_bytes(b"old")
    with pytest.raises(UsageError, match=r"exists; pass -y to overwrite it$"):
        open_sink(str(path))
    write_frames(path, made_frames(TEN[:1]), overwrite=True)
    assert path.read_bytes() != b"old"


@pytest.mark.parametrize("link", ["same", "symlink", "hardlink"])
def test_an_input_is_never_overwritten(tmp_path: Path, link: str) -> None:
    """Not even with -y, and not through a link of either kind."""
    source = tmp_path / "in.mp4"
    source.write_bytes(b"input")
    target = source if link == "same" else tmp_path / "out.mp4"
    if link == "symlink":
        target.symlink_to(source)
    if link == "hardlink":
        target.hardlink_to(source)
    with pytest.raises(UsageError, match="is the same file as input"):
        open_sink(str(target), overwrite=True, inputs=["rtsp://camera/1", str(source)])


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """Overwriting through a symbolic link replaces what it points to."""
    (tmp_path / "real.mp4").write_bytes(b"old")
    (tmp_path / "link.mp4").symlink_to(tmp_path / "real.mp4")
    write_frames(tmp_path / "link.mp4", made_frames(TEN), overwrite=True)
    assert (tmp_path / "link.mp4").is_symlink()
    assert len(read_frames(tmp_path / "real.mp4")) == len(TEN)


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("missing/out.mp4", SinkError, "there is no such folder; create it first"),
        ("missing/deep/%05d.png", SinkError, "there is no such folder; create it first"),
        ("file/out.mp4", SinkError, "it is a file, not a folder"),
        ("out.xyz", UsageError, "nothing is known about files ending in '.xyz'; known are: .mp4"),
        ("x" * 300 + ".mp4", SinkError, "name too long"),
        ("zero\0.mp4", SinkError, "null"),
    ],
)
def test_places_that_cannot_be_written_are_refused_at_once(
    tmp_path: Path, name: str, error: type[StreamsegError], says: str
) -> None:
    """Missing folders, unknown extensions and impossible names are one line before any work is done."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(error, match=says) as caught:
        open_sink(f"{tmp_path}/{name}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["no/out.mp4", "no/out.png", "no/such/%05d.png", "no/such/masks/", "no/out.gif"]
)
def test_a_missing_folder_is_named_as_it_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Whoever named a folder relative to where they are finds that name in the message."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SinkError, match=r"^cannot write into 'no(/such)?': there is no such folder"):
        open_sink(name)


def test_a_file_that_fails_late_is_named_as_it_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So too where the folder vanishes while a run goes on."""
    monkeypatch.chdir(tmp_path)
    for name in ("out.png", "out.mp4"):
        (tmp_path / "there").mkdir()
        frames = made_frames([0])
        sink = open_sink(f"there/{name}")
        sink.start(VideoFormat(*frames[0].size, TICKS), frames[0], Tracks())
        sink.write(frames[0])
        shutil.rmtree(tmp_path / "there")
        with pytest.raises(SinkError, match=f"^cannot write 'there/{name}'"):
            sink.close()


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_refused(tmp_path: Path) -> None:
    """An unwritable folder is named before any work is done."""
    tmp_path.chmod(0o500)
    with pytest.raises(SinkError, match="permission denied"):
        open_sink(str(tmp_path / "out.mp4"))
    tmp_path.chmod(0o700)


@pytest.mark.parametrize("uri", ["srt://host:1", "ftp://me:secret@host/x.mp4", "", "/dev/null"])
def test_what_is_no_sink_is_answered_with_what_is(uri: str) -> None:
    """Unknown schemes and devices are refused without giving a password away."""
    with pytest.raises(UsageError, match=r"nothing can be written to|is nothing to write to") as caught:
        open_sink(uri)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("encoding", "name", "says"),
    [
        (Encoding(codec="h266"), "out.mp4", "unknown codec 'h266'; '.mp4' can hold: h264, hevc"),
        (Encoding(codec="aac"), "out.mp4", "unknown codec 'aac'"),
        (Encoding(codec="prores"), "out.mp4", "'.mp4' cannot hold 'prores'; it can hold: h264"),
        (Encoding(codec="h264"), "out.webm", "'.webm' cannot hold 'h264'; it can hold: vp8, vp9, av1"),
        (
            Encoding(codec="vp9"),
            "out.mov",
            "'.mov' cannot hold 'vp9'; it can hold: h264, hevc, prores, mpeg4, mpeg2, mjpeg, png, qtrle$",
        ),
        (Encoding(codec="libsvtav1"), "out.mov", "'.mov' cannot hold 'libsvtav1'"),
        (Encoding(codec="vp8"), "out.mov", "'.mov' cannot hold 'vp8'"),
        (Encoding(codec="gif"), "out.mov", "'.mov' cannot hold 'gif'"),
        (Encoding(codec="gif"), "out.nut", "'.nut' cannot hold 'gif'"),
        (
            Encoding(codec="mpeg4"),
            "out.flv",
            "'.flv' cannot hold 'mpeg4'; it can hold: h264, hevc, vp9, av1$",
        ),
        (
            Encoding(codec="h264"),
            "out.avi",
            "'.avi' cannot hold 'h264'; it can hold: ffv1, mpeg4, mjpeg, png",
        ),
        (Encoding(preset="warp"), "out.mp4", "has no preset 'warp'; it has: ultrafast"),
        (Encoding(preset="fast"), "out.webm", "encoder 'libvpx-vp9' has no presets"),
        (Encoding(preset="fast", codec="av1"), "out.mp4", "has no preset 'fast'; it has: 0, 1"),
        (Encoding(crf=70), "out.mp4", r"crf 70 is out of range; encoder 'libx264' takes 0 \(best\) to 51"),
        (Encoding(crf=20, codec="ffv1"), "out.mkv", "encoder 'ffv1' knows no crf"),
        (Encoding(crf=20, bitrate=10**6), "out.mp4", "pass one of the two"),
        (Encoding(bitrate=-1), "out.mp4", "a bitrate of -1"),
        (Encoding(bitrate=10**6, codec="ffv1"), "out.mkv", "encoder 'ffv1' knows no bitrate; leave it out"),
    ],
)
def test_options_an_encoder_lacks_are_answered_with_what_it_has(
    tmp_path: Path, encoding: Encoding, name: str, says: str
) -> None:
    """Unknown codecs, codecs the container cannot hold, presets and crf: one line with what is possible."""
    with pytest.raises(UsageError, match=says) as caught:
        open_sink(str(tmp_path / name), encoding=encoding)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        (Encoding(codec="libx264", preset="medium", crf=30), "out.mp4"),
        (Encoding(codec="h265", preset="ultrafast"), "out.mov"),
        (Encoding(codec="av1", preset="12"), "out.webm"),
        (Encoding(codec="vp8"), "out.webm"),
        (Encoding(bitrate=300_000), "out.webm"),
        (Encoding(bitrate=300_000), "out.mp4"),
        (Encoding(codec="mpeg4", bitrate=300_000), "out.mp4"),
        (Encoding(codec="mjpeg"), "out.mov"),
        (Encoding(codec="mpeg2"), "out.ts"),
        (Encoding(codec="qtrle"), "out.mov"),
        (Encoding(codec="libvpx-vp9"), "out.avi.mkv"),
    ],
)
def test_every_codec_writes_what_can_be_read(tmp_path: Path, encoding: Encoding, name: str) -> None:
    """By encoder's or usual name, with preset, crf or bitrate: ten frames go in, ten come out."""
    path = tmp_path / name
    write_frames(path, made_frames(TEN), encoding=encoding)
    assert len(read_frames(path)) == 10


@pytest.mark.parametrize("extension", [".mp4", ".mov", ".mkv", ".webm", ".avi", ".ts", ".flv", ".nut"])
def test_what_a_container_is_said_to_hold_it_holds(tmp_path: Path, extension: str) -> None:
    """Every codec offered for a container can be written into it and read back."""
    for codec in possible_codecs(CONTAINERS[extension]):
        path = tmp_path / f"{codec}{extension}"
        write_frames(path, made_frames(TEN[:3]), encoding=Encoding(codec=codec))
        assert len(read_frames(path)) == 3, codec


@pytest.mark.parametrize(
    ("uri", "kind"),
    [("out.gif", "a GIF"), ("out.png", "a picture"), ("out/", "a folder"), ("null:", "nowhere")],
)
def test_encoding_options_that_would_do_nothing_are_refused(uri: str, kind: str) -> None:
    """A codec, crf, preset or bitrate needs at least one sink that encodes video."""
    silent = [open_sink(uri), open_sink("null:")]
    for encoding in (Encoding(codec="h265"), Encoding(crf=20), Encoding(preset="fast"), Encoding(bitrate=1)):
        with pytest.raises(UsageError, match=rf"would do nothing: '{uri}' is {kind}.* takes no codec, crf"):
            check_encoding(encoding, silent)
        check_encoding(encoding, [*silent, open_sink("out.mp4", encoding=encoding, shared=True)])
    check_encoding(Encoding(), silent)


def test_what_had_to_be_changed_is_said(tmp_path: Path) -> None:
    """Odd sizes, times the container cannot tell apart and times before zero: a line each, else none."""
    odd = write_frames(tmp_path / "odd.mp4", made_frames(TEN, size=(101, 57)))
    assert odd.notes == ["padded 101x57 to 102x58: libx264 in yuv420p needs even sizes"]
    coarse = write_frames(tmp_path / "coarse.mkv", made_frames([0, 3020, 6045]))
    assert coarse.notes == ["matroska stores times in steps of 1 ms: up to 0.444 ms off"]
    early = write_frames(tmp_path / "early.mp4", made_frames([-9000, 0]))
    assert early.notes == ["mp4 begins at zero: everything was moved by +0.1 s"]
    late = write_frames(tmp_path / "late.gif", made_frames([90_000, 99_000]))
    assert late.notes == ["gif begins at zero: everything was moved by -1 s"]
    assert write_frames(tmp_path / "plain.mp4", made_frames(TEN)).notes == []


FULL_DISK = """
import resource, sys
from tests.sinking import made_frames
from streamseg.errors import SinkError
from streamseg.frame import Tracks, VideoFormat
from streamseg.sinks import Encoding, open_sink
from tests.clips import TICKS
before = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, before[1]))
frames = made_frames([3000 * n for n in range(20)], size=(640, 480))
sink = open_sink(sys.argv[1], encoding=Encoding(codec=sys.argv[2] or None))
sink.start(VideoFormat(640, 480, TICKS), frames[0], Tracks())
try:
    for frame in frames:
        sink.write(frame)
    sink.close()
except SinkError as error:
    sink.abort()
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, before)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no file size limit to play a full disk with")
@pytest.mark.parametrize(
    ("name", "codec"),
    [("out.mkv", "ffv1"), ("out.mp4", "mjpeg"), ("out.mov", "png"), ("out.gif", ""), ("p/%05d.png", "")],
)
def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(
    tmp_path: Path, name: str, codec: str
) -> None:
    """When the system refuses to write more (a size limit stands in for the disk) the file is given up."""
    ran = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path / name), codec],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stderr == ""
    assert ran.stdout.strip().endswith("file too large")
    assert ran.stdout.count("\n") == 1
    assert [each for each in tmp_path.rglob("*") if each.is_file()] == []


def test_libraries_keep_quiet(tmp_path: Path) -> None:
    """x264, x265, SVT-AV1 and libav say nothing on the terminal."""
    script = (
        "import sys; from tests.sinking import *\n"
        "for name, codec in ('a.mp4', 'h264'), ('b.mp4', 'hevc'), ('c.mp4', 'av1'), ('d.webm', 'vp9'):\n"
        "    write_frames(sys.argv[1] + '/' + name, made_frames([0, 3000]), encoding=Encoding(codec=codec))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


@pytest.mark.skipif(sys.platform == "win32", reason="no named pipes in the file system")
def test_a_named_pipe_is_written_directly(tmp_path: Path) -> None:
    """What is no regular file is neither renamed over nor asked to be overwritten."""
    pipe = tmp_path / "out.mkv"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", str(pipe)], stdout=subprocess.PIPE)
    write_frames(pipe, made_frames(TEN))
    (tmp_path / "read.mkv").write_bytes(reader.communicate()[0])
    assert len(read_frames(tmp_path / "read.mkv")) == 10


def test_metadata_of_the_source_is_kept(tmp_path: Path) -> None:
    """Title and artist come along, what the old container said of itself does not."""
    frames = made_frames(TEN)
    sink = open_sink(str(tmp_path / "out.mp4"))
    tracks = Tracks(
        metadata={"title": "Ünïcode \udcff", "artist": "me", "major_brand": "qt  ", "encoder": "old"}
    )
    sink.start(VideoFormat(64, 48, TICKS), frames[0], tracks)
    sink.write(frames[0])
    sink.close()
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.metadata["artist"] == "me"
        assert container.metadata["title"].startswith("Ünïcode")
        assert container.metadata["encoder"] != "old"
        assert container.metadata["major_brand"] == "isom"


def test_a_rename_that_fails_is_one_line_too(tmp_path: Path) -> None:
    """When something takes the final name while writing, the unfinished file goes and one line says why."""
    sink = started(tmp_path / "out.mkv")
    (tmp_path / "out.mkv").mkdir()
    (tmp_path / "out.mkv" / "full").write_bytes(b"")
    with pytest.raises(SinkError, match=r"^cannot write .*out.mkv': is a directory$"):
        sink.close()
    assert [each.name for each in tmp_path.iterdir()] == ["out.mkv"]
