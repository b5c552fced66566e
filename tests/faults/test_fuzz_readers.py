"""Damaged files of every format, and the ones that once were not handled."""

import gzip
import warnings
import zlib

import fuzz_beside
import numpy as np
import pytest
from astropy.io import fits
from fuzz_readers import fuzz

from sciup.errors import InputError
from sciup.io import open_image
from sciup.physics.psf_source import read_psf
from sciup.testing import fits_files
from sciup.testing.microscopy_files import add_header, write_picture
from sciup.testing.psf_files import write_stpsf


def test_damaged_files_are_refused_or_read():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of libraries, about damaged files
        told, failures = fuzz(80, 0)
    assert failures == []
    assert told["refused"] > 30
    assert told["read"] > 10


@pytest.fixture
def patient(monkeypatch):
    """Reads that fail are tried again at once; what the search sets is set back."""
    monkeypatch.setattr("sciup.io._remote.FIRST", 0.0)
    monkeypatch.setattr("sciup.io._remote.LONGEST", 0.0)


@pytest.mark.usefixtures("patient")
def test_what_stands_beside_images_and_behind_stores():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        told, failures = fuzz(102, 0, subjects=fuzz_beside.subjects)
    assert failures == []
    assert min(told[word] for word in ("refused", "read", "damaged")) > 2


@pytest.mark.slow
@pytest.mark.usefixtures("patient")
def test_ten_thousand_damaged_files():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, failures = fuzz(10_000, 7)
        failures += fuzz(5_000, 7, subjects=fuzz_beside.subjects)[1]
    assert failures == []


# -- found by the search above -----------------------------------------------------------------


@pytest.mark.parametrize("first", [10, 400])
def test_packed_bytes_that_do_not_unpack(first, tmp_path):
    """zlib has an error of its own, which is no OSError."""
    whole = gzip.compress(fits_files.plain(tmp_path / "a.fits").read_bytes())
    packed = next(p for at in range(first, len(whole)) if does_not_unpack(p := spoilt(whole, at)))
    (tmp_path / "b.fits.gz").write_bytes(packed)
    with pytest.raises(InputError, match="damaged"):
        open_image(tmp_path / "b.fits.gz")


def spoilt(data, at):
    return data[:at] + b"\xff" * 8 + data[at + 8 :]


def does_not_unpack(data):
    try:
        gzip.decompress(data)
    except zlib.error:
        return True
    except (OSError, EOFError):
        return False
    return False


def test_a_solar_header_of_an_unknown_encoding(tmp_path):
    path = write_picture(tmp_path / "i.jp2", np.ones((8, 9), np.uint8), "jpeg2k")
    add_header(path, {"CRPIX1": 1})
    path.write_bytes(path.read_bytes().replace(b"UTF-8", b"UTF-7"))
    assert open_image(path).header is None


def test_letters_that_no_card_may_have_in_a_solar_header(tmp_path):
    path = write_picture(tmp_path / "i.jp2", np.ones((8, 9), np.uint8), "jpeg2k")
    add_header(path, {"CRPIX1": "8.\x7f3", "TELESCOP": "SDO", "NAXIS1": 9, "NAXIS2": 8})
    header = open_image(path).header
    assert header["TELESCOP"] == "SDO"
    assert "CRPIX1" not in header


@pytest.mark.parametrize("name", [b"SCI", b"WHT"])
def test_a_type_of_numbers_that_fits_does_not_know(name, tmp_path):
    """In the image, or in the weight map that is read with it."""
    data = fits_files.hst_drizzle(tmp_path / "a.fits").read_bytes()
    header = data.rindex(b"XTENSION", 0, data.index(b"'" + name))
    at = data.index(b"-32", header)
    (tmp_path / "a.fits").write_bytes(data[:at] + b"-30" + data[at + 3 :])
    with pytest.raises(InputError, match="BITPIX = -30"):
        open_image(tmp_path / "a.fits")


@pytest.mark.parametrize("keep", [100, 2800, 5000])
def test_a_file_that_is_cut_off_in_the_header_of_its_mask(keep, tmp_path):
    """The mask was left out without a word."""
    path = tmp_path / "a.fits"
    hdus = [fits.PrimaryHDU(), fits.ImageHDU(np.ones((9, 9), "f4"), name="SCI")]
    flags = fits.ImageHDU(np.ones((9, 9), "i2"), name="DQ")
    flags.header.extend([("COMMENT", str(i)) for i in range(60)], end=True)
    fits.HDUList([*hdus, flags]).writeto(path)
    with fits.open(path) as found:
        begin = found["DQ"].fileinfo()["hdrLoc"]
    path.write_bytes(path.read_bytes()[: begin + keep])
    with pytest.raises(InputError, match="header of HDU 2"):
        open_image(path)


@pytest.mark.parametrize(("rest", "told"), [(b"\0" * 5000, False), (b"tape", True)])
def test_what_stands_behind_the_last_extension_is_told(rest, told, tmp_path, caplog):
    path = fits_files.plain(tmp_path / "a.fits")
    path.write_bytes(path.read_bytes() + rest)
    open_image(path)
    assert ("behind HDU 0" in caplog.text) == told


@pytest.mark.parametrize("samples", ["many", 0, -4])
def test_a_file_by_stpsf_whose_sampling_makes_no_sense(samples, tmp_path):
    path = write_stpsf(tmp_path / "a.fits", side=15)
    fits.setval(path, "DET_SAMP", value=samples, extname="OVERDIST")
    with pytest.raises(InputError, match="DET_SAMP"):
        read_psf(path, open_image(np.ones((8, 8))))
