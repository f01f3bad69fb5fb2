"""The conductor: how a run ends when something fails, and what is shown meanwhile."""

from __future__ import annotations

import numpy as np
import pytest

import streamseg
from streamseg.errors import RuntimeFailure, SinkClosed, SinkError, SourceError, UsageError
from streamseg.frame import Frame
from streamseg.runtimes import Runtime
from streamseg.stats import Stats
from tests.doubles import ListSink, ListSource
from tests.list_runs import run


def test_one_failing_sink_does_not_stop_the_others() -> None:
    """The failing sink is aborted and named in the report; the other gets every frame."""
    bad, good = ListSink(fails_at=3), ListSink()
    report = run(ListSource(), bad, good)
    assert (len(good.frames), good.ended, bad.ended) == (10, "closed", "aborted")
    assert report.failures == report.sinks_failed == ["cannot write 'list:': no space left on device"]


def test_a_request_only_one_sink_cannot_meet_is_that_sinks_failure() -> None:
    """Transparency into MP4, found out at the first frame: the other output is finished all the same."""
    bad, good = ListSink(fails_at=0, error=UsageError("'.mp4' cannot hold transparency")), ListSink()
    report = run(ListSource(), bad, good)
    assert (len(good.frames), good.ended, bad.ended) == (10, "closed", "aborted")
    assert report.sinks_failed == ["'.mp4' cannot hold transparency"]


def test_the_only_sink_failing_ends_the_run() -> None:
    """With nowhere to write to, the run raises the sink's own error and keeps nothing half-written."""
    sink = ListSink(fails_at=3)
    with pytest.raises(SinkError, match="no space left"):
        run(ListSource(), sink)
    assert sink.ended == "aborted"


def test_a_viewer_who_leaves_ends_the_run_quietly() -> None:
    """Closing the window is an ordinary end: the other sinks finish their files."""
    window, file = ListSink(fails_at=3, error=SinkClosed("window closed")), ListSink()
    window.paces = True
    report = run(ListSource(), window, file)
    assert file.ended == window.ended == "closed"
    assert len(file.frames) < 10
    assert report.interrupted


class Pipe(ListSink):
    """A pipe whose reader leaves after three frames, and which says so again when it is closed."""

    def __init__(self) -> None:
        super().__init__(fails_at=3, error=SinkClosed("the reader has left"))

    def close(self) -> None:
        """Fail as the pipe does."""
        raise SinkClosed("the reader has left")


def test_a_reader_who_leaves_ends_only_its_own_output() -> None:
    """The file beside a pipe gets every frame though the pipe's reader has gone."""
    file = ListSink()
    report = run(ListSource(), Pipe(), file)
    assert (len(file.frames), file.ended) == (10, "closed")
    assert not report.interrupted and not report.failures


def test_a_reader_who_leaves_ends_the_run_when_nobody_else_listens() -> None:
    """With the pipe as the only output the run ends quietly."""
    report = run(ListSource(), Pipe())
    assert report.frames_out == 3


def test_a_failed_run_leaves_its_figures_to_the_caller() -> None:
    """The statistics passed in say how far a run came that raised."""
    stats = Stats()
    with pytest.raises(SinkError):
        run(ListSource(), ListSink(fails_at=3), stats=stats)
    assert stats.frames_out == 3


def test_a_source_that_breaks_off_leaves_a_finished_file() -> None:
    """What was read before the source failed is kept; the error still reaches the caller."""
    sink = ListSink()
    with pytest.raises(SourceError, match="cable"):
        run(ListSource(error=SourceError("the cable was pulled")), sink)
    assert len(sink.frames) == 10
    assert sink.ended == "closed"


def test_a_source_that_fails_at_once_leaves_nothing() -> None:
    """No frame, no file."""
    sink = ListSink()
    with pytest.raises(SourceError):
        run(ListSource([], error=SourceError("nothing there")), sink)
    assert sink.ended == "aborted"


def test_an_error_inside_a_stage_aborts_the_sinks() -> None:
    """A defect in a stage surfaces with its own type and keeps nothing under the final name."""

    def spoil(segmenter: streamseg.Segmenter) -> None:
        def fail(frame: Frame) -> streamseg.Matte:
            raise ZeroDivisionError("a defect")

        segmenter.__class__ = type(
            "Spoilt", (streamseg.Segmenter,), {"__call__": lambda self, frame: fail(frame)}
        )

    sink = ListSink()
    with pytest.raises(ZeroDivisionError):
        run(ListSource(), sink, spoil=spoil)
    assert sink.ended == "aborted"


def test_a_failing_network_shows_the_background_only() -> None:
    """When the network fails, the run goes on and every pixel is the background's (invariant 6)."""

    def spoil(segmenter: streamseg.Segmenter) -> None:
        class Broken(Runtime):
            name = "broken"

            def __call__(self, tensors: object) -> dict[str, np.ndarray]:
                raise RuntimeFailure("the network failed: out of memory")

            def close(self) -> None:
                pass

        segmenter._use(Broken())

    sink = ListSink()
    report = run(ListSource(), sink, spoil=spoil)
    assert report.frames_failed == 10
    assert any("out of memory" in failure for failure in report.failures)
    for frame in sink.frames:
        assert (frame.picture.reformat(format="gray").to_ndarray() >= 235).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("effect", ["silhouette", "replace", "cutout", "blur"])
@pytest.mark.parametrize("share", [1.0, 0.5])
def test_an_output_that_is_no_number_shows_the_background_only(
    value: float, effect: str, share: float
) -> None:
    """Infinite or undefined scores, everywhere or in a part, count as a failed frame, not as a person."""

    def spoil(segmenter: streamseg.Segmenter) -> None:
        class Odd(Runtime):
            name = "odd"

            def __call__(self, tensors: object) -> dict[str, np.ndarray]:
                scores = np.ones((1, 1, 256, 256), np.float32)
                scores[..., : int(256 * share)] = value
                return {segmenter.card.output.name: scores}

            def close(self) -> None:
                pass

        segmenter._use(Odd())

    sink = ListSink()
    report = run(ListSource(range(0, 120, 40)), sink, effect=effect, spoil=spoil)
    assert report.frames_failed == 3
    if effect == "cutout":
        for frame in sink.frames:
            assert not np.frombuffer(frame.picture.planes[3], np.uint8).any()
    if effect == "silhouette":
        for frame in sink.frames:
            assert (frame.picture.to_ndarray()[:48] == 235).all()


def test_a_person_who_fills_the_picture_is_followed_without_a_word() -> None:
    """A matte that is opaque everywhere is no special case (warnings are errors here)."""

    def spoil(segmenter: streamseg.Segmenter) -> None:
        class Everywhere(Runtime):
            name = "everywhere"

            def __call__(self, tensors: object) -> dict[str, np.ndarray]:
                return {segmenter.card.output.name: np.ones((1, 1, 256, 256), np.float32)}

            def close(self) -> None:
                pass

        segmenter._use(Everywhere())

    sink = ListSink()
    report = run(ListSource(range(0, 1200, 40)), sink, spoil=spoil)
    assert report.frames_failed == 0
    assert (sink.frames[-1].picture.to_ndarray()[:48] == 16).all()
