"""Noise is a pure function of seed, image, sample, plane and absolute pixel, and it is normal."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sciup.generators.noise import (
    coarse_field,
    correlate,
    noise_key,
    normal_field,
    philox,
)
from sciup.geometry import Box

KEY = noise_key(1, "abc", 0)
ONES = 0xFFFFFFFF


@pytest.mark.parametrize(
    ("counter", "key", "answer"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((ONES,) * 4, (ONES,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
    ids=["zeros", "ones", "pi"],
)
def test_known_answers_of_random123(counter, key, answer):
    """Lines ``philox4x32 10`` of kat_vectors of Random123."""
    words = philox(tuple(np.full(3, c, np.uint32) for c in counter), key)
    for word, expected in zip(words, answer, strict=True):
        assert word.dtype == np.uint32
        assert (word == expected).all()


def test_golden_values():
    """These may never change: they are part of every result that anybody has made."""
    assert KEY == GOLDEN_KEY
    field = normal_field(KEY, 3, Box((-1, -1), (1, 1)), 3)
    np.testing.assert_array_equal(field.ravel(), np.array(GOLDEN_FIELD, np.float32))
    coarse = coarse_field(KEY, 3, Box((-1, 6), (1, 9)))
    np.testing.assert_array_equal(coarse.ravel(), np.array(GOLDEN_COARSE, np.float32))


GOLDEN_KEY = (97561250, 739536202)
GOLDEN_FIELD = [
    1.4188952445983887,
    1.5764856338500977,
    -1.290919542312622,
    -0.8535465002059937,
    0.12083231657743454,
    1.75834059715271,
    -0.6101487278938293,
    0.07194935530424118,
    -0.2596675455570221,
    0.8926874995231628,
    -1.0649224519729614,
    -0.05370703339576721,
]
GOLDEN_COARSE = [
    0.7947660684585571,
    0.9406158328056335,
    1.0065436363220215,
    0.7293145656585693,
    0.8714970350265503,
    0.9425531625747681,
]


def test_moments_are_normal():
    z = normal_field(KEY, 0, Box((0, 0), (256, 256)), 8).astype(np.float64)
    n = z.size
    assert abs(z.mean()) < 4 / n**0.5
    assert abs(z.var() - 1) < 4 * (2 / n) ** 0.5 + 1e-4
    assert abs((z**3).mean()) < 4 * (15 / n) ** 0.5
    assert abs((z**4).mean() - 3) < 4 * (96 / n) ** 0.5 + 0.01  # the table ends at 4.3 sigma
    assert z.max() > 4
    for channel in z:
        assert abs(channel.mean()) < 4.5 / channel.size**0.5


BIG = Box((-70, -45), (60, 85))
WHOLE = normal_field(KEY, 5, BIG, 5)
WHOLE_COARSE = coarse_field(KEY, 5, BIG)
starts = st.tuples(st.integers(-70, 40), st.integers(-45, 60))


@given(starts, st.integers(1, 20), st.integers(1, 25), st.integers(1, 5))
@settings(max_examples=30)
def test_any_sub_box_has_the_same_numbers(start, height, width, channels):
    box = Box(start, (start[0] + height, start[1] + width))
    inside = box.relative_to(BIG).slices
    part = normal_field(KEY, 5, box, channels)
    np.testing.assert_array_equal(part, WHOLE[:channels][(slice(None), *inside)])
    np.testing.assert_array_equal(coarse_field(KEY, 5, box), WHOLE_COARSE[inside])


def correlation(a, b):
    return abs(np.corrcoef(a.ravel(), b.ravel())[0, 1])


BOX = Box((0, 0), (128, 128))
LIMIT = 5 / 128


@pytest.mark.parametrize(
    "other",
    [
        normal_field(noise_key(1, "abc", 1), 0, BOX, 1),
        normal_field(noise_key(2, "abc", 0), 0, BOX, 1),
        normal_field(noise_key(1, "abd", 0), 0, BOX, 1),
        normal_field(noise_key(1, "abc", 10), 0, BOX, 1),
        normal_field(KEY, 1, BOX, 1),
        normal_field(KEY, 2 << 24, BOX, 1),
        normal_field(KEY, 0, BOX, 9)[1:2],
        normal_field(KEY, 0, BOX, 9)[8:9],
        normal_field(KEY, 0, BOX.shifted((1, 0)), 1),
        normal_field(KEY, 0, BOX.shifted((0, 1)), 1),
        normal_field(KEY, 0, BOX.shifted((-128, 0)), 1),
        normal_field(KEY, 0, BOX.shifted((0, 1 << 16)), 1),
        normal_field(KEY, 0, BOX, 1).swapaxes(1, 2),
    ],
    ids=[
        "sample", "seed", "image", "sample 10", "plane", "field of the instrument", "channel",
        "channel of the next counter", "row", "column", "negative rows", "far away", "transposed",
    ],
)  # fmt: skip
def test_independent(other):
    assert correlation(normal_field(KEY, 0, BOX, 1), other) < LIMIT


def test_seed_and_sample_are_not_mixed_up():
    """Seed 11 sample 1 is not seed 1 sample 11, whatever the digest ends with."""
    keys = {
        noise_key(seed, digest, k)
        for seed in (1, 11, 111)
        for digest in ("a", "a1", "1")
        for k in (0, 1, 11)
    }
    assert len(keys) == 27


def test_coarse_field_has_variance_1_everywhere():
    fields = np.stack(
        [coarse_field(noise_key(0, "v", k), 0, Box((-9, 0), (11, 20))) for k in range(1500)]
    )
    variance = (fields.astype(np.float64) ** 2).mean(0)
    assert np.abs(variance - 1).max() < 5 * (2 / 1500) ** 0.5
    assert abs(variance.mean() - 1) < 0.05


def test_coarse_field_is_coarse():
    field = coarse_field(KEY, 0, Box((0, 0), (400, 400)))
    assert np.corrcoef(field[:, 1:].ravel(), field[:, :-1].ravel())[0, 1] > 0.9
    assert correlation(field[:, 16:], field[:, :-16]) < 0.1


WHITE = normal_field(KEY, 7, Box((0, 0), (300, 300)), 1)[0]


@pytest.mark.parametrize("rho", [0.05, 0.2, 0.45, 0.6, 0.7])
def test_correlate_gives_the_correlation_asked_for(rho):
    out = correlate(WHITE, rho).astype(np.float64)
    assert out.shape == (298, 298)
    assert out.std() == pytest.approx(1, abs=0.02)
    assert np.mean(out[1:] * out[:-1]) == pytest.approx(rho, abs=0.02)
    assert np.mean(out[:, 1:] * out[:, :-1]) == pytest.approx(rho, abs=0.02)
    assert abs(np.mean(out[3:] * out[:-3])) < 0.02


def test_correlate_by_nothing_is_the_same_noise():
    np.testing.assert_array_equal(correlate(WHITE, 0.0), WHITE[1:-1, 1:-1])


def test_correlate_takes_more_than_can_be_reached():
    assert np.isfinite(correlate(WHITE, 5.0)).all()


def test_correlate_of_a_part_is_the_part():
    np.testing.assert_array_equal(
        correlate(WHITE[40:90, 30:70], 0.4), correlate(WHITE, 0.4)[40:88, 30:68]
    )
