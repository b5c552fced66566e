"""World coordinates on the fine grid are those of the input, to a millionth of a pixel."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import given, settings
from hypothesis import strategies as st

from sciup.errors import InputError
from sciup.io._wcs import alternates, axis_count, scale_header, scale_lookup_table
from sciup.testing import fits_files
from sciup.testing.fits_files import SCALE, SIP_CARDS, TPV_CARDS, celestial, rotated_cdelt

HEIGHT, WIDTH = fits_files.SHAPE


def header_of(cards, shape=fits_files.SHAPE):
    header = fits.Header({"NAXIS": len(shape)})
    for n, length in enumerate(reversed(shape), start=1):
        header[f"NAXIS{n}"] = length
    for key, value in cards.items():
        header[key] = value
    return header


def world_of(header, key=" ", fobj=None):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wcs = WCS(header, fobj, key=key)
        return wcs, np.abs(wcs.pixel_scale_matrix).max(axis=0)


def shift_in_pixels(old, new, scale, start, key=" ", fobjs=(None, None)):
    """Largest distance, in input pixels, between old and new coordinates of the same places.

    The places are pixels inside, at the edges and outside the image.
    """
    before, sizes = world_of(old, key, fobjs[0])
    after, _ = world_of(new, key, fobjs[1])
    x, y = np.meshgrid(np.linspace(-5, WIDTH + 5, 11), np.linspace(-5, HEIGHT + 5, 9))
    x, y = x.ravel(), y.ravel()
    others = [np.full_like(x, 1.0 + n) for n in range(before.naxis - 2)]
    a = np.array(before.all_pix2world(x, y, *others, 0))
    fine_x, fine_y = (
        scale * (v - first + 0.5) - 0.5 for v, first in zip((x, y), start[::-1], strict=True)
    )
    b = np.array(after.all_pix2world(fine_x, fine_y, *others, 0))
    difference = a - b
    if before.has_celestial:
        lng, lat = before.wcs.lng, before.wcs.lat
        difference[lng] = (difference[lng] + 180) % 360 - 180
        difference[lng] *= np.cos(np.radians(a[lat]))
    assert np.isfinite(a).all()
    smallest = sizes[:2].min() if before.has_celestial else sizes[sizes > 0].min()
    return np.abs(difference).max() / smallest


KINDS = {
    "cd": celestial(),
    "cdelt and pc": rotated_cdelt(PC1_1=0.8, PC1_2=-0.6, PC2_1=0.6, PC2_2=0.8),
    "cdelt only": rotated_cdelt(),
    "cdelt and crota": rotated_cdelt(CROTA2=33.0),
    "no crpix": {k: v for k, v in celestial().items() if not k.startswith("CRPIX")},
    "sip": celestial(CTYPE1="RA---TAN-SIP", CTYPE2="DEC--TAN-SIP", **SIP_CARDS),
    "tpv": celestial(CTYPE1="RA---TPV", CTYPE2="DEC--TPV", **TPV_CARDS),
    "cd beside cdelt": celestial(CDELT1=9.0, CDELT2=9.0),
    "zenithal with pole": celestial(CTYPE1="RA---ZEA", CTYPE2="DEC--ZEA", LONPOLE=170.0),
    "swapped axes": celestial(CTYPE1="DEC--TAN", CTYPE2="RA---TAN", CRVAL1=2.2, CRVAL2=150.1),
    "no matrix, no cdelt": {"CTYPE1": "LINEAR", "CTYPE2": "LINEAR", "CRPIX1": 3.0},
    "degenerate third axis": celestial(WCSAXES=3, CTYPE3="FREQ", CRVAL3=1e9, CD3_3=1.0),
}


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@pytest.mark.parametrize("start", [(0, 0), (7, 12)])
@pytest.mark.parametrize("kind", KINDS)
def test_coordinates_stay(kind, start, scale):
    old = header_of(KINDS[kind])
    text = old.tostring()
    new = scale_header(old, scale, start)
    assert shift_in_pixels(old, new, scale, start) < 1e-6
    assert old.tostring() == text


def test_the_check_itself_can_fail():
    old = header_of(KINDS["sip"])
    new = scale_header(old, 4)
    assert shift_in_pixels(old, new, 4, (0, 0)) < 1e-6
    for card, factor in (("CRPIX1", 1.001), ("A_2_0", 1.2), ("CD1_2", 1.0001)):
        wrong = new.copy()
        wrong[card] *= factor
        assert shift_in_pixels(old, wrong, 4, (0, 0)) > 1e-6


@pytest.mark.parametrize("start", [(0, 0), (3, 1)])
@pytest.mark.parametrize("name", ["solar", "radio_cube", "spectral_cube"])
def test_coordinates_of_files_and_their_alternates(name, start, tmp_path):
    path = fits_files.GOOD[name](tmp_path / "a.fits")
    with fits.open(path) as hdus:
        old = next(hdu.header for hdu in hdus if hdu.header["NAXIS"] > 0)
        new = scale_header(old, 3, start)
        for key in alternates(old):
            assert shift_in_pixels(old, new, 3, start, key or " ") < 1e-6
    for n in (3, 4):
        for card in (f"CRPIX{n}", f"CDELT{n}", f"CD{n}_{n}"):
            assert new.get(card) == old.get(card)


def test_a_cube_whose_axes_are_coupled():
    """Where CDELT scales a row that also depends on an unscaled pixel axis, PC must change."""
    cards = {"CTYPE1": "LINEAR", "CTYPE2": "LINEAR", "CTYPE3": "LINEAR", "CRPIX1": 2.0,
             "CRPIX3": 1.5, "CDELT1": 2.0, "CDELT2": 3.0, "CDELT3": 5.0, "PC1_3": 0.5,
             "PC3_1": 0.25, "PC2_1": 0.1}  # fmt: skip
    old = header_of(cards, (4, *fits_files.SHAPE))
    new = scale_header(old, 4, (2, 3))
    assert shift_in_pixels(old, new, 4, (2, 3)) < 1e-6
    assert new["CDELT1"] == 2
    assert new["CDELT2"] == 0.75
    assert new["PC1_3"] == 0.5


numbers = st.floats(-2, 2).map(lambda v: round(v, 4))


@settings(max_examples=80, deadline=None)
@given(
    ndim=st.integers(2, 4),
    matrix=st.lists(numbers, min_size=16, max_size=16),
    cdelt=st.lists(st.floats(0.1, 5), min_size=4, max_size=4),
    crpix=st.lists(st.floats(-50, 50), min_size=4, max_size=4),
    scale=st.integers(1, 8),
    start=st.tuples(st.integers(0, 20), st.integers(0, 20)),
    form=st.sampled_from(["CD", "PC", "sparse PC", "none"]),
    key=st.sampled_from(["", "B"]),
)
def test_any_linear_wcs(ndim, matrix, cdelt, crpix, scale, start, form, key):
    cards = {}
    for i in range(1, ndim + 1):
        cards |= {f"CTYPE{i}": "LINEAR", f"CTYPE{i}{key}": "LINEAR", f"CRPIX{i}{key}": crpix[i - 1],
                  f"CRVAL{i}{key}": 10.0 * i}  # fmt: skip
        if form != "CD":
            cards[f"CDELT{i}{key}"] = cdelt[i - 1]
    m = np.reshape(matrix, (4, 4))[:ndim, :ndim]
    if form != "none":
        m = m + 9 * np.eye(ndim)  # never singular
        for i, j in np.ndindex(ndim, ndim):
            if form != "sparse PC" or (i + j) % 2 == 0:
                cards[f"{form[-2:]}{i + 1}_{j + 1}{key}"] = float(m[i, j])
    old = header_of(cards, (5,) * (ndim - 2) + fits_files.SHAPE)
    new = scale_header(old, scale, start)
    assert axis_count(new, key) == ndim
    assert shift_in_pixels(old, new, scale, start, key or " ") < 1e-6


@settings(max_examples=30, deadline=None)
@given(
    first=st.tuples(st.integers(1, 4), st.integers(0, 9), st.integers(0, 9)),
    second=st.tuples(st.integers(1, 4), st.integers(0, 9), st.integers(0, 9)),
)
def test_scaling_twice_is_scaling_once(first, second):
    """First by s at n, then by t at m, is by s t at n + m/s, where m is a multiple of s."""
    old = header_of(KINDS["sip"])
    (s, *n), (t, *m) = first, second
    twice = scale_header(scale_header(old, s, tuple(n)), t, tuple(s * v for v in m))
    once = scale_header(old, s * t, tuple(a + b for a, b in zip(n, m, strict=True)))
    assert list(twice) == list(once)
    for key in once:
        if isinstance(once[key], float):
            assert twice[key] == pytest.approx(once[key], rel=1e-12, abs=1e-300)


def test_scale_one_of_the_whole_image_changes_nothing_of_the_coordinates():
    for cards in KINDS.values():
        old = header_of(cards)
        new = scale_header(old, 1)
        for key in old:
            assert new[key] == old[key]


def test_cards_that_are_no_longer_true_are_dropped_or_renamed():
    cards = {
        "BSCALE": 2.0, "BZERO": 1.0, "BLANK": -1, "CHECKSUM": "x", "DATASUM": "1", "DATAMIN": 0.0,
        "DATAMAX": 9.0, "LTV1": 1.0, "LTM1_1": 1.0, "DATASEC": "[1:40,1:30]", "CCDSEC": "[1:4,1:3]",
        "ZIMAGE": True, "ZCMPTYPE": "RICE_1", "ZTILE1": 40, "NPIX1": 3, "PIXVALUE": 0.0,
        "GAIN": 2.0, "GAINA": 2.5, "EGAIN": 2.6, "SATURATE": 100.0, "PIXAR_SR": 16.0,
        "PIXAR_A2": 32.0, "PIXSCALE": 0.4, "SECPIX1": 0.8, "ZD": 30.0, "SECTOR": "north",
        "A_DMAX": 2.0, "EXPTIME": 5.0, "PV1_1": 7.0,
    }  # fmt: skip
    new = scale_header(header_of(cards), 4)
    kept = {"NAXIS", "NAXIS1", "NAXIS2", "SCI_GAIN", "SCI_GNA", "SCI_EGN", "SCI_SAT", "PIXAR_SR",
            "PIXAR_A2", "PIXSCALE", "SECPIX1", "ZD", "SECTOR", "A_DMAX", "EXPTIME",
            "PV1_1"}  # fmt: skip
    assert set(new) == kept
    assert (new["PIXAR_SR"], new["PIXAR_A2"], new["PIXSCALE"], new["SECPIX1"]) == (1, 2, 0.1, 0.2)
    assert (new["SCI_GAIN"], new["A_DMAX"], new["PV1_1"]) == (2, 8, 7)


def test_a_header_without_coordinates_gets_none():
    assert list(scale_header(fits.Header({"OBJECT": "M31"}), 4)) == ["OBJECT"]


def test_the_plate_solution_is_dropped_with_a_warning(caplog):
    new = scale_header(header_of(celestial(AMDX1=1.0, CNPIX1=7, XPIXELSZ=25.0)), 2)
    assert not {"AMDX1", "CNPIX1", "XPIXELSZ"} & set(new)
    assert "plate solution" in caplog.text


@pytest.mark.parametrize("cards", [{"CPDIS1": "LOOKUP"}, {"CQDIS1": "TPD"}, {"D2IMDIS1": "Lookup"},
                                   {"AXISCORR": 1}, {"CTYPE3": "WAVE-TAB"}])  # fmt: skip
def test_what_cannot_be_carried_over_is_refused_by_name(cards):
    with pytest.raises(InputError, match=next(iter(cards))):
        scale_header(header_of(celestial(**cards)), 2)


@pytest.mark.parametrize("cards", [{"CPDIS1": "POLYNOMIAL"}, {"CQDIS1": "LOOKUP"}])
def test_other_distortions_are_refused_even_with_tables(cards):
    with pytest.raises(InputError, match=next(iter(cards))):
        scale_header(header_of(celestial(**cards)), 2, tables=True)


@pytest.mark.parametrize("value", ["here", True])
def test_a_card_that_is_no_number_is_named(value):
    with pytest.raises(InputError, match=r"CRPIX1"):
        scale_header(header_of(celestial(CRPIX1=value)), 2)


@pytest.mark.parametrize("start", [(0, 0), (4, 9)])
@pytest.mark.parametrize("scale", [1, 2, 3])
@pytest.mark.parametrize(("build", "number", "kinds"), [
    (fits_files.lookup_tables, 0, [("CPDIS", "DP")]),
    (fits_files.hst_acs, 1, [("CPDIS", "DP"), ("D2IM",), ("A_", "B_")]),
])  # fmt: skip
def test_lookup_tables(build, number, kinds, scale, start, tmp_path):
    with fits.open(build(tmp_path / "a.fits")) as hdus:
        old = hdus[number].header
        new = scale_header(old, scale, start, tables=True)
        fine = fits.HDUList([fits.PrimaryHDU(header=new)])
        for table in hdus[number + 1 :]:
            header, data = scale_lookup_table(table.header, table.data, scale, start)
            fine.append(fits.ImageHDU(data, header))
        assert shift_in_pixels(old, new, scale, start, fobjs=(hdus, fine)) < 1e-6
        for kind in kinds:  # each of them matters
            less = old.copy()
            for key in [key for key in less if key.startswith(kind)]:
                less.remove(key)
            assert shift_in_pixels(old, less, 1, (0, 0), fobjs=(hdus, hdus)) > 0.01


def test_a_pixel_is_where_it_was_by_hand():
    """The centre of the first fine pixel lies (s - 1) / (2 s) pixels before that of its parent."""
    new = scale_header(header_of(rotated_cdelt(CRPIX1=1.0, CRPIX2=1.0)), 4)
    assert new["CRPIX1"] == new["CRPIX2"] == 2.5
    assert new["CDELT1"] == -SCALE / 4
