"""Pictures out of a pool."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from streamseg.pictures import Pool, planes

FORMATS = [
    "yuv420p",
    "yuvj420p",
    "yuv422p10le",
    "yuv411p",
    "yuva444p12le",
    "gbrp",
    "gbrap16le",
    "gray",
    "gray14le",
]


@given(
    kinds=st.lists(
        st.tuples(st.integers(1, 200), st.integers(1, 90), st.sampled_from(FORMATS)), min_size=1, max_size=4
    )
)
@settings(max_examples=40, deadline=None)
def test_a_pool_makes_pictures_of_any_size_and_format(kinds: list[tuple[int, int, str]]) -> None:
    """Each is of the size and format asked for, without a time, and may be painted."""
    pool = Pool()
    for width, height, name in kinds:
        picture = pool(width, height, name)
        assert (picture.width, picture.height, picture.format.name) == (width, height, name)
        assert picture.pts is None
        for plane in planes(picture):
            plane.fill(7)
        assert all((plane == 7).all() for plane in planes(picture))


def test_memory_is_used_again_but_not_while_somebody_holds_it() -> None:
    """Of three pictures held none shares memory; one that is let go lends its own to the next."""
    pool = Pool()
    held = [pool(320, 180, "yuv420p") for _ in range(3)]
    places = {picture.planes[0].buffer_ptr for picture in held}
    assert len(places) == 3
    for number, picture in enumerate(held):
        planes(picture)[0].fill(number)
    del picture
    free = held.pop(0).planes[0].buffer_ptr
    assert pool(320, 180, "yuv420p").planes[0].buffer_ptr == free
    assert [int(np.unique(planes(picture)[0]).item()) for picture in held] == [1, 2]
