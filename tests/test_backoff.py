"""Delays between attempts to connect again."""

from __future__ import annotations

from itertools import islice

from streamseg.backoff import Backoff


def test_delays_grow_from_one_second_to_thirty_and_stay_there() -> None:
    """Every delay lies within 1 to 30 s; the first is short, from the sixth on they are long."""
    for _ in range(50):
        delays = list(islice(Backoff(), 40))
        assert all(1 <= delay <= 30 for delay in delays)
        assert delays[0] <= 1.5
        assert min(delays[6:]) >= 20


def test_delays_differ_from_one_client_to_the_next() -> None:
    """Jitter from the very first delay on: clients a server lost together do not return together."""
    assert len({next(iter(Backoff())) for _ in range(50)}) > 40


def test_attempts_end_the_outage_and_a_new_one_begins_with_a_short_delay() -> None:
    """`attempts` counts for each outage by itself; 0 means none at all."""
    backoff = Backoff(attempts=7)
    for _ in range(2):
        delays = list(backoff)
        assert len(delays) == 7
        assert delays[0] <= 1.5
    assert list(Backoff(attempts=0)) == []


def test_delays_can_be_short_for_a_test() -> None:
    """All of it scales with the two limits."""
    assert all(0.01 <= delay <= 0.03 for delay in islice(Backoff(shortest=0.01, longest=0.03), 20))
