"""Where the network looks, with networks that see exactly what is drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamseg.crop import ALIGNMENT, Box
from streamseg.people import Bounds, Look, core, people_in
from streamseg.tracking import Tracker, around, closer, settled, shaped, tiles

SIZE = (640, 360)
WHOLE = Box(0, 0, *SIZE)
PERSON = Bounds(100, 80, 180, 320)
OTHER = Bounds(480, 100, 560, 330)


class Eye:
    """A network that sees the people there are, all of them opaque; it remembers where it looked."""

    def __init__(self, sees: Callable[[Box], bool] = lambda view: True) -> None:
        self.views: list[Box] = []
        self._sees = sees

    def show(self, *people: Bounds, opacity: float = 1.0, size: tuple[int, int] = SIZE) -> Eye:
        """Draw the next frame."""
        self.drawn = np.zeros(size[::-1], np.float32)
        for left, top, right, bottom in people:
            self.drawn[int(top) : int(bottom), int(left) : int(right)] = opacity
        return self

    def __call__(self, view: Box) -> Look:
        """Look at a part of the frame."""
        self.views.append(view)
        part = self.drawn[view.y : view.y + view.height, view.x : view.x + view.width]
        share = cv2.resize(part, (256, 256), interpolation=cv2.INTER_AREA) * self._sees(view)
        return Look(view, share, lambda: np.zeros((view.height, view.width), np.uint8))


def at(x: float, y: float = 80, width: float = 80, height: float = 240) -> Bounds:
    """A person at a place."""
    return Bounds(x, y, x + width, y + height)


def holds(view: Box, person: Bounds) -> bool:
    """Whether all of a person is in view."""
    left, top, right, bottom = (int(edge) for edge in person)
    return view.holds(Box(left, top, right - left, bottom - top))


def followed(frames: Sequence[Sequence[Bounds]], eye: Eye | None = None) -> tuple[list[Box], Eye]:
    """The view of each frame, of people at the places given."""
    eye, tracker = eye or Eye(), Tracker(SIZE, 1.0)
    return [tracker(eye.show(*people)).view for people in frames], eye


def test_the_box_follows_a_walker() -> None:
    """From the second frame on a person who walks fills a good part of what the network sees, uncut."""
    path = [at(60 + 4 * step) for step in range(100)]
    views, eye = followed([[person] for person in path])
    assert views[0] == WHOLE
    for view, person in zip(views[1:], path[1:], strict=True):
        assert holds(view, person)
        assert person.area > 0.25 * view.area
    assert len(eye.views) <= 100 * (1 + 1 / 12)


def test_the_box_stays_where_it_is_as_long_as_it_fits() -> None:
    """Breathing and small gestures do not move it."""
    rng = np.random.default_rng(1)
    views, _ = followed([[at(100 + wobble, 80 - wobble / 2)] for wobble in rng.uniform(-4, 4, 60)])
    assert len(set(views[1:])) == 1


def test_the_box_does_not_shrink_at_once() -> None:
    """An arm that is lost for a frame leaves the box as it is; one stretched out is in view again at once."""
    narrow, wide = at(100), at(30, width=220)
    views, _ = followed([[wide]] * 20 + [[narrow], [wide]] * 5)
    assert len(set(views[1:])) == 1
    views, _ = followed([[wide]] * 5 + [[narrow]] * 20 + [[wide]] * 3)
    assert views[24].area < views[4].area
    assert holds(views[-1], wide)


def test_who_fills_the_frame_is_seen_in_the_whole_of_it() -> None:
    """A talking head, or two people far apart, is not cropped, for hardly more than a look a frame."""
    for people in ([at(120, 60, 400, 300)], [at(10), at(550)]):
        views, eye = followed([people] * 240)
        assert set(views) == {WHOLE}
        assert len(eye.views) <= 240 * (1 + 1 / 20)


class Squeezed(Eye):
    """A network that takes something of the room for people when a view is much wider than its input."""

    def __init__(self, *leaks: Bounds) -> None:
        super().__init__()
        self._leaks = leaks

    def __call__(self, view: Box) -> Look:
        """Look at a part of the frame."""
        seen = self.drawn
        if view.width > 1.3 * view.height:
            self.drawn = seen.copy()
            for leak in self._leaks:
                left, top, right, bottom = (int(edge) for edge in leak)
                self.drawn[top:bottom, left:right] = 1
        look = super().__call__(view)
        self.drawn = seen
        return look


_LEAKS = [Bounds(420, 200, 640, 360)], [Bounds(440, 10, 500, 150), Bounds(520, 200, 640, 360)]


@pytest.mark.parametrize("leaks", [*_LEAKS, [*_LEAKS[1], Bounds(540, 10, 640, 150)]], ids=len)
@pytest.mark.parametrize("person", [at(100, 60, 200, 300), at(230, 30, 190, 330)])
def test_what_only_a_squeezed_frame_shows_is_no_person(person: Bounds, leaks: list[Bounds]) -> None:
    """Neither beside a person nor as a part of one: they are followed in the part of the frame they fill."""
    views, eye = followed([[person]] * 480, Squeezed(*leaks))
    for view in views:
        assert view != WHOLE
        assert holds(view, person)
    assert len(eye.views) <= 480 * (1 + 1 / 6) + 6
    assert holds(closer(eye, SIZE, 1.0).view, person)
    assert closer(eye, SIZE, 1.0).view != WHOLE


def test_the_core_is_where_a_matte_is_thickest() -> None:
    """A thin leak does not draw it aside; a matte of everything, or nothing, has it in the middle."""
    eye = Eye().show(PERSON, Bounds(180, 300, 640, 312))
    x, y = core(eye(WHOLE))
    assert (x, y) == pytest.approx((140, 200), abs=12)
    for opacity in (0.0, 1.0):
        everywhere = Eye().show(Bounds(0, 0, *SIZE), opacity=opacity)
        assert core(everywhere(WHOLE)) == pytest.approx((320, 180))


def test_a_fringe_is_not_followed() -> None:
    """What is half opaque beside a person does not move their bounds by more than a cell."""
    eye = Eye().show(PERSON)
    alone = people_in(eye(WHOLE), WHOLE, sure=False)
    eye.drawn[200:320, 180:300] = 0.6
    fringed = people_in(eye(WHOLE), WHOLE, sure=False)
    assert alone is not None
    assert fringed is not None
    assert fringed.right == pytest.approx(alone.right, abs=10)
    assert fringed[:2] == alone[:2]


def test_nobody_is_looked_for_in_tiles() -> None:
    """Where no one is, the frame is shown whole, and an additional look now and then is at a part of it."""
    views, eye = followed([[]] * 60)
    assert set(views) == {WHOLE}
    searched = [view for view in eye.views if view != WHOLE]
    assert set(searched) == set(tiles(WHOLE))
    assert len(searched) <= 5 + 60 / 12


def test_who_is_too_small_for_the_whole_frame_is_found_in_a_tile() -> None:
    """Someone the network sees only close by is in the box after at most four frames."""
    eye = Eye(sees=lambda view: view.width <= 400)
    views, _ = followed([[PERSON]] * 20, eye)
    assert holds(views[4], PERSON)
    assert all(view == views[8] for view in views[9:])


@pytest.mark.parametrize("entry", [13, 17, 25])
def test_a_second_person_is_found_and_kept(entry: int) -> None:
    """Who comes in is in view within twelve frames and stays so, also while the first one is hidden."""
    frames = [[PERSON]] * entry + [[PERSON, OTHER]] * 40 + [[OTHER]] * 3 + [[PERSON, OTHER]] * 14
    views, _ = followed(frames)
    assert not holds(views[entry - 1], OTHER)
    assert all(holds(view, OTHER) for view in views[entry + 12 :])
    assert all(holds(view, PERSON) for view in views[entry + 12 : entry + 40])
    assert holds(views[-1], PERSON)


@pytest.mark.parametrize("after", [OTHER, at(300, 20, 40, 120), at(200, 60, 400, 300)])
def test_a_cut_is_recovered_from_within_two_frames(after: Bounds) -> None:
    """After a cut the new person is in view, whole, in the frame of the cut or the next but one."""
    views, _ = followed([[PERSON]] * 20 + [[after]] * 3)
    assert not holds(views[19], after)
    assert holds(views[22], after)
    lost = followed([[PERSON]] * 20 + [[OTHER]])[0]
    assert lost[-1] == WHOLE, "an empty box is never shown while someone is elsewhere"


def test_something_else_in_the_box_calls_for_a_second_look() -> None:
    """After a cut to someone beside the box, with a hand in it, the whole frame is shown at once."""
    views, _ = followed([[PERSON]] * 20 + [[at(170, 80, 300, 250)]])
    assert views[-1] == WHOLE


def test_who_leaves_is_let_go() -> None:
    """When all have left, the whole frame is shown from that frame on."""
    views, _ = followed([[PERSON]] * 10 + [[]] * 5)
    assert set(views[10:]) == {WHOLE}


def test_who_vanishes_when_looked_at_closely_is_watched_from_afar() -> None:
    """Something only the whole frame shows makes neither flicker nor cost: one box in twelve frames."""
    views, eye = followed([[PERSON]] * 120, Eye(sees=lambda view: view == WHOLE))
    assert set(views) == {WHOLE}
    assert len(eye.views) <= 120 * (1 + 1 / 12) + 6


def test_specks_and_leaks_are_no_people() -> None:
    """Small pieces beside a person are ignored; where nobody was, so is what is small or faint."""
    eye = Eye()
    alone = people_in(eye.show(PERSON)(WHOLE), WHOLE, sure=False)
    specked = people_in(eye.show(PERSON, Bounds(600, 10, 620, 20))(WHOLE), WHOLE, sure=False)
    assert alone == specked
    assert alone is not None
    np.testing.assert_allclose(alone, PERSON, atol=10)
    assert people_in(eye.show(Bounds(600, 10, 630, 30))(WHOLE), WHOLE, sure=True) is None
    faint = eye.show(PERSON, opacity=0.7)(WHOLE)
    assert people_in(faint, WHOLE, sure=True) is None
    assert people_in(faint, WHOLE, sure=False) == alone
    assert people_in(eye.show()(WHOLE), WHOLE, sure=False) is None


def test_who_is_cut_by_the_box_is_taken_to_go_on() -> None:
    """Bounds reach beyond a border that cuts a person, but not beyond the frame's."""
    view = Box(120, 0, 200, 360)
    found = people_in(Eye().show(Bounds(60, 0, 200, 360))(view), WHOLE, sure=False)
    assert found is not None
    assert found.left < 120
    assert (found.top, found.bottom) == (0, 360)
    assert found.right == pytest.approx(200, abs=4)


def test_stills_are_looked_at_twice_where_that_helps() -> None:
    """A small person is shown closely, a large one whole, and an empty frame too, in one look."""
    eye = Eye()
    assert holds(close := closer(eye.show(PERSON), SIZE, 1.0).view, PERSON)
    assert eye.views == [WHOLE, close]
    assert closer(eye.show(at(100, 0, 400, 360)), SIZE, 1.0).view == WHOLE
    eye = Eye()
    assert closer(eye.show(), SIZE, 1.0).view == WHOLE
    assert eye.views == [WHOLE]
    assert closer(Eye(sees=lambda view: view == WHOLE).show(PERSON), SIZE, 1.0).view == WHOLE


SIDES = st.integers(1, 5000)


@given(
    size=st.tuples(SIDES, SIDES),
    corners=st.tuples(*[st.floats(0, 1)] * 4),
    aspect=st.sampled_from([0.5, 1.0, 16 / 9]),
    margin=st.sampled_from([1.12, 1.35, 1.6]),
)
@settings(max_examples=300, derandomize=True)
def test_boxes_can_be_cut(
    size: tuple[int, int], corners: tuple[float, ...], aspect: float, margin: float
) -> None:
    """A box around anyone lies in the frame, holds them, is no sliver, and ends where chroma does."""
    whole = Box(0, 0, *size)
    xs, ys = sorted(corners[:2]), sorted(corners[2:])
    person = Bounds(xs[0] * size[0], ys[0] * size[1], xs[1] * size[0], ys[1] * size[1])
    box = around(person, whole, aspect, margin)
    assert whole.holds(box)
    assert box == whole or box.area <= 0.8 * whole.area
    assert box.x % ALIGNMENT == box.y % ALIGNMENT == 0
    assert (box.x + box.width) % ALIGNMENT == 0 or box.x + box.width == size[0]
    assert (box.y + box.height) % ALIGNMENT == 0 or box.y + box.height == size[1]
    assert box.width >= min(44, size[0])
    assert box.height >= min(44, size[1])
    assert box.x <= person.left + 2
    assert box.x + box.width >= person.right - 2
    assert box.y <= person.top + 2
    assert box.y + box.height >= person.bottom - 2
    view = shaped(person.middle, whole, aspect)
    assert view.width == size[0] or view.height == size[1]
    for tile in (view, *tiles(whole)):
        assert whole.holds(tile)
        assert tile.area > 0


def test_what_is_tracked_grows_at_once_and_shrinks_slowly() -> None:
    """Each edge moves outwards as far as the person, inwards only part of the way."""
    assert settled(None, PERSON) == PERSON
    tracked = settled(Bounds(0, 0, 100, 100), Bounds(-10, 50, 80, 120))
    assert tracked == (-10, 15, 94, 120)
