"""Filters never miss a key, and seldom think of one that is not there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pilothouse.signals import bloom
from pilothouse.signals.bloom import Bloom, Zones, probes, probes_of

KEYS = st.lists(st.binary(min_size=16, max_size=16), min_size=1, max_size=60, unique=True)


def matrix(keys: list[bytes]) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(keys), np.uint8).reshape(-1, 16)


def random_keys(count: int, seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, 16), np.uint8)


def hits(filter_: Bloom, keys: NDArray[np.uint8]) -> int:
    return sum(filter_.may_contain(probes_of(key.tobytes())) for key in keys)


@given(KEYS)
def test_a_key_has_the_same_numbers_alone_and_among_others(keys: list[bytes]) -> None:
    assert probes(matrix(keys)).tolist() == [probes_of(key) for key in keys]


@settings(max_examples=50)
@given(KEYS)
def test_no_key_is_missed_open_or_closed(keys: list[bytes]) -> None:
    filter_ = Bloom()
    filter_.add(probes(matrix(keys)))
    closed = Bloom(filter_.closed(len(keys)))
    for key in keys:
        assert filter_.may_contain(probes_of(key))
        assert closed.may_contain(probes_of(key))


@settings(max_examples=50)
@given(KEYS, KEYS, st.integers(0, 60))
def test_a_closed_filter_takes_more_keys(first: list[bytes], second: list[bytes], size: int) -> None:
    filter_ = Bloom()
    filter_.add(probes(matrix(first)))
    closed = Bloom(filter_.closed(size))
    closed.add(probes(matrix(second)))
    assert all(closed.may_contain(probes_of(key)) for key in first + second)


def test_an_empty_filter_holds_nothing() -> None:
    assert hits(Bloom(), random_keys(100, 1)) == 0
    assert hits(Bloom(Bloom().closed(0)), random_keys(100, 1)) == 0


@pytest.mark.parametrize("count", [100, 3_000, 40_000])
def test_false_positives_are_few_and_the_size_follows_the_keys(count: int) -> None:
    filter_ = Bloom()
    filter_.add(probes(random_keys(count, 2)))
    data = filter_.closed(count)
    assert count * 12 / 8 / 2 <= len(data) <= max(count * 12 / 8 * 2, 64)
    assert hits(Bloom(data), random_keys(2_000, 3)) < 2_000 * 0.03
    assert hits(Bloom(data), random_keys(min(count, 2_000), 2)) == min(count, 2_000)


def test_ids_that_differ_in_one_bit_or_only_in_one_half_are_told_apart() -> None:
    numbers = [1 << bit for bit in range(128)] + [n << 64 for n in range(1, 200)] + list(range(300, 500))
    filter_ = Bloom()
    filter_.add(probes(matrix([n.to_bytes(16) for n in numbers])))
    closed = Bloom(filter_.closed(len(numbers)))
    others = [*range(1_000, 3_000)] + [n << 64 for n in range(1_000, 3_000)]
    wrong = sum(closed.may_contain(probes_of(n.to_bytes(16))) for n in others)
    assert wrong < len(others) * 0.05


@settings(max_examples=60, deadline=None)
@given(
    batches=st.lists(st.lists(st.integers(0, 40), min_size=1, max_size=9), min_size=1, max_size=8),
    reopened=st.integers(0, 8),
)
def test_zones_know_every_key_of_their_rows(batches: list[list[int]], reopened: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bloom, "ZONE_ROWS", 4)
        zones, rows = Zones(), 0
        places: list[tuple[int, int]] = []
        for i, batch in enumerate(batches):
            if i == reopened:
                zones = Zones(zones.close())  # as after a failed attempt to seal
            zones.add(matrix([n.to_bytes(16) for n in sorted(set(batch))]), rows, len(batch))
            places += [(n, rows + j) for j, n in enumerate(batch)]
            rows += len(batch)
        for kept in (zones, Zones(zones.close())):
            assert len(kept.filters) == (rows + 3) // 4
            assert all(kept.filters[row // 4].may_contain(probes_of(n.to_bytes(16))) for n, row in places)
