"""What is shown instead of a frame that must not be seen."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from streamseg.compositors.outputs import label_picture
from streamseg.frame import Frame
from streamseg.refusal import Panic


def test_panic_hides_label_maps_too() -> None:
    """They show where somebody stands: on their way, and on the screen while no other frame comes."""
    panicking = False
    panic = Panic(lambda: panicking)
    labels = np.eye(8, dtype=np.uint8)
    frames = [Frame(label_picture(labels), 0.0) for _ in range(2)]
    for pts, frame in enumerate(frames):
        frame.native.pts, frame.native.time_base = pts, Fraction(1, 30)
    checked = panic.checked(frames)
    assert not next(checked).hidden and panic.overdue() is None
    panicking = True
    for shown in (panic.overdue(), next(checked)):
        assert shown is not None and shown.hidden
        assert not shown.picture.to_ndarray()[0].any()
    assert panic.overdue() is None
