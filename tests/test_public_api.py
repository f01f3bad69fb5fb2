"""What `import streamseg` offers."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import streamseg
from tests.clips import make_clip, picture, read_frames


def test_every_public_name_exists_and_nothing_else_is_promised() -> None:
    """`__all__`, the table of homes and the real names agree."""
    assert sorted(streamseg.__all__) == sorted(streamseg._HOME)
    for name in streamseg.__all__:
        assert getattr(streamseg, name) is not None
        assert name in dir(streamseg)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A typo is answered as Python answers it."""
    with pytest.raises(AttributeError, match="no attribute 'open_sauce'"):
        _ = streamseg.open_sauce  # type: ignore[attr-defined]


def test_every_public_callable_is_documented() -> None:
    """Each public function and class has a docstring."""
    for name in streamseg.__all__:
        value = getattr(streamseg, name)
        if inspect.isfunction(value) or inspect.isclass(value):
            assert inspect.getdoc(value), f"{name} has no docstring"


def test_importing_is_light() -> None:
    """`import streamseg` alone loads neither OpenCV nor FFmpeg nor ONNX Runtime: `--help` comes at once."""
    code = (
        "import sys, streamseg; print([m for m in ('cv2', 'av', 'onnxruntime', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("module", sorted(set(streamseg._HOME.values()) | {"cli.run", "demo"}))
def test_opencv_is_loaded_before_pyav(module: str) -> None:
    """Whatever part is used first, OpenCV comes before PyAV: the other way round its windows hang."""
    code = (
        f"import sys, streamseg.{module}; names = list(sys.modules);"
        "print('av' not in names or 'cv2' in names and names.index('cv2') < names.index('av'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


def test_paths_are_taken_like_strings(tmp_path: Path) -> None:
    """Sources and sinks may be given as Path objects."""
    make_clip(tmp_path / "in.mp4", frames=3)
    with (
        streamseg.open_source(tmp_path / "in.mp4") as source,
        streamseg.Segmenter("selfie", runtime="null") as segmenter,
        streamseg.open_compositor(streamseg.effect("silhouette")) as compositor,
    ):
        streamseg.run(source, segmenter, compositor, [streamseg.open_sink(tmp_path / "out.mp4")])
    assert len(read_frames(tmp_path / "out.mp4")) == 3


def test_a_segmenter_takes_a_models_name_and_one_class_as_a_string() -> None:
    """`Segmenter("selfie", classes="person")` is what it looks like."""
    with streamseg.Segmenter("selfie", classes="person", runtime="null") as segmenter:
        assert (segmenter.card.name, segmenter.foreground) == ("selfie", ("person",))


def test_a_closed_segmenter_says_so() -> None:
    """After `close`, which may come twice, a frame is answered with what to do."""
    segmenter = streamseg.Segmenter("selfie", runtime="null")
    segmenter.close()
    segmenter.close()
    with pytest.raises(streamseg.UsageError, match="has been closed"):
        segmenter(streamseg.Frame(picture(16, 16), 0.0))
