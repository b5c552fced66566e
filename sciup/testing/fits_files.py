"""Small made FITS files that imitate what instruments and pipelines write.

Every builder takes a path, writes a file there and returns the path. `GOOD` are files that can be
upscaled, `BAD` are files that must be refused with a clear message. The values are a smooth ramp,
so that a shifted or transposed read is noticed.

Examples
--------
>>> import tempfile
>>> with tempfile.TemporaryDirectory() as folder:
...     hst_flt(Path(folder) / "a.fits").name
'a.fits'
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Builder = Callable[[Path], Path]
SHAPE = (30, 40)
SCALE = 0.05 / 3600

SIP_CARDS = {
    "A_ORDER": 3, "B_ORDER": 3, "A_2_0": 8e-6, "A_1_1": -5e-6, "A_0_3": 2e-9, "B_0_2": 7e-6,
    "B_1_1": 3e-6, "B_3_0": -1e-9, "AP_ORDER": 2, "BP_ORDER": 2, "AP_1_0": 1e-6, "BP_0_1": 1e-6,
    "A_DMAX": 1.5, "B_DMAX": 1.2,
}  # fmt: skip
TPV_CARDS = {
    "PV1_0": 1e-4, "PV1_1": 1.01, "PV1_2": 0.002, "PV1_4": 0.3, "PV1_7": 2.0,
    "PV2_0": -1e-4, "PV2_1": 0.99, "PV2_2": 0.001, "PV2_5": 0.2, "PV2_10": -3.0,
}  # fmt: skip


def ramp(shape: tuple[int, ...] = SHAPE) -> NDArray[np.float64]:
    """Values that differ at every pixel of an array of this shape, from 100 on."""
    return 100 + np.arange(np.prod(shape), dtype=float).reshape(shape) * 0.25


def celestial(**more: Any) -> dict[str, Any]:
    """Cards of a rotated gnomonic projection with a CD matrix; `more` adds or replaces some."""
    return {
        "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CUNIT1": "deg", "CUNIT2": "deg",
        "CRVAL1": 150.1, "CRVAL2": 2.2, "CRPIX1": 13.25, "CRPIX2": -7.5,
        "CD1_1": -SCALE * 0.8, "CD1_2": SCALE * 0.6, "CD2_1": SCALE * 0.6, "CD2_2": SCALE * 0.8,
        **more,
    }  # fmt: skip


def rotated_cdelt(**more: Any) -> dict[str, Any]:
    """The same kind of projection with CDELT and no matrix."""
    cards = celestial(CDELT1=-SCALE, CDELT2=1.5 * SCALE, **more)
    return {key: value for key, value in cards.items() if not key.startswith("CD1_")
            and not key.startswith("CD2_")}  # fmt: skip


def _header(cards: dict[str, Any]) -> Any:
    from astropy.io import fits

    header = fits.Header()
    for key, value in cards.items():
        header[key] = value
    return header


def _write(path: Path, *hdus: Any) -> Path:
    from astropy.io import fits

    fits.HDUList(list(hdus)).writeto(path, overwrite=True)
    return path


def _primary(data: Any = None, **cards: Any) -> Any:
    from astropy.io import fits

    return fits.PrimaryHDU(data, _header(cards))


def _image(name: str, data: Any, **cards: Any) -> Any:
    from astropy.io import fits

    hdu = fits.ImageHDU(data, _header(cards), name=name)
    if "EXTVER" in cards:
        hdu.ver = cards["EXTVER"]
    return hdu


def plain(path: Path) -> Path:
    """One float image in the primary HDU."""
    return _write(path, _primary(ramp().astype("f4"), BUNIT="ELECTRONS/S", EXPTIME=50.0,
                                 **celestial()))  # fmt: skip


def hst_flt(path: Path) -> Path:
    """SCI, ERR and DQ with SIP; the exposure time stands in the primary only."""
    dq = np.zeros(SHAPE, "i2")
    dq[3, 4], dq[5, 6] = 16, 64
    sip = celestial(CTYPE1="RA---TAN-SIP", CTYPE2="DEC--TAN-SIP", **SIP_CARDS)
    return _write(
        path,
        _primary(EXPTIME=1200.0, CCDGAIN=2.5, READNSEA=20.0, READNSEB=22.0, TELESCOP="HST"),
        _image("SCI", ramp().astype("f4"), BUNIT="ELECTRONS/S", INHERIT=True, LTV1=0.0, **sip),
        _image("ERR", np.full(SHAPE, 0.5, "f4"), BUNIT="ELECTRONS/S"),
        _image("DQ", dq),
    )


def hst_drizzle(path: Path) -> Path:
    """SCI with a relative weight map that is zero in a corner."""
    weight = np.full(SHAPE, 900.0, "f4")
    weight[:2, :3] = 0
    return _write(
        path,
        _primary(EXPTIME=900.0),
        _image("SCI", ramp().astype("f4"), BUNIT="ELECTRONS/S", **celestial()),
        _image("WHT", weight, BUNIT="UNITLESS"),
    )


def stis_raw(path: Path) -> Path:
    """Unsigned counts, two exposures; ERR and DQ are constants that take no space."""
    from astropy.io import fits

    hdus = [_primary(ATODGAIN=0.0, CCDGAIN=4)]
    for version in (1, 2):
        data = (ramp() + 40000 * (version - 1)).astype("u2")
        hdus.append(_image("SCI", data, BUNIT="COUNTS", EXTVER=version, EXPTIME=30.0,
                           INHERIT=False))  # fmt: skip
        for name in ("ERR", "DQ"):
            constant = fits.ImageHDU(name=name, ver=version)
            constant.header.update({"NPIX1": 40, "NPIX2": 30, "PIXVALUE": 0.0})
            hdus.append(constant)
    return _write(path, *hdus)


def decam(path: Path) -> Path:
    """Row-compressed float image with TPV, two amplifiers, and cards inherited from the primary."""
    from astropy.io import fits

    cards = celestial(CTYPE1="RA---TPV", CTYPE2="DEC--TPV", **TPV_CARDS)
    header = _header({"INHERIT": True, "GAINA": 4.0, "GAINB": 4.5, "RDNOISEA": 6.0,
                      "RDNOISEB": 7.0, "SATURATE": 390.0, "SATURATA": 390.0, "SATURATB": 380.0,
                      "FWHM": 4.2, "LTV1": -1.0, "LTM1_1": 1.0,
                      "DATASEC": "[1:40,1:30]", **cards})  # fmt: skip
    header.comments["GAINA"] = "[electrons/adu] Gain for amp A"
    image = fits.CompImageHDU(ramp().astype("f4"), header, name="N15", quantize_level=0,
                              compression_type="GZIP_1", tile_shape=(1, 40))  # fmt: skip
    return _write(path, _primary(BUNIT="adu", EXPTIME=60.0, INSTRUME="DECam"), image)


def compressed_integers(path: Path) -> Path:
    """Rice-compressed unsigned integers in square tiles, with blank pixels."""
    from astropy.io import fits

    data = ramp().astype("i2")
    data[0, 0] = -999
    image = fits.CompImageHDU(data, _header({"BLANK": -999, **rotated_cdelt()}), name="SCI",
                              compression_type="RICE_1", tile_shape=(8, 8))  # fmt: skip
    return _write(path, _primary(), image)


def radio_cube(path: Path) -> Path:
    """Stokes, frequency, Dec, RA in Jy/beam."""
    cards = rotated_cdelt(CTYPE1="RA---SIN", CTYPE2="DEC--SIN", CTYPE3="FREQ", CRVAL3=1.4e9,
                          CDELT3=1e6, CRPIX3=1.0, CTYPE4="STOKES", CRVAL4=1.0, CDELT4=1.0,
                          CRPIX4=1.0)  # fmt: skip
    return _write(path, _primary(ramp((1, 3, *SHAPE)).astype(">f8"), BUNIT="JY/BEAM", **cards))


def spectral_cube(path: Path) -> Path:
    """A CD matrix over three axes, as integral-field spectrographs write it."""
    cards = celestial(CTYPE3="AWAV", CUNIT3="Angstrom", CRVAL3=4750.0, CRPIX3=1.0, CD3_3=1.25)
    return _write(path, _primary(), _image("DATA", ramp((2, *SHAPE)).astype("f4"), **cards,
                                           BUNIT="10**(-20)*erg/s/cm**2/Angstrom"))  # fmt: skip


def solar(path: Path) -> Path:
    """Helioprojective coordinates with PC, an alternate WCS, and BLANK beside floats."""
    cards = {
        "CTYPE1": "HPLN-TAN", "CTYPE2": "HPLT-TAN", "CUNIT1": "arcsec", "CUNIT2": "arcsec",
        "CRVAL1": 12.0, "CRVAL2": -30.0, "CRPIX1": 20.0, "CRPIX2": 15.0, "CDELT1": 2.5,
        "CDELT2": 2.5, "PC1_1": 0.99, "PC1_2": -0.14, "PC2_1": 0.14, "PC2_2": 0.99,
        "CTYPE1A": "RA---TAN", "CTYPE2A": "DEC--TAN", "CUNIT1A": "deg", "CUNIT2A": "deg",
        "CRVAL1A": 210.0, "CRVAL2A": -12.0, "CRPIX1A": 20.0, "CRPIX2A": 15.0,
        "CDELT1A": -7e-4, "CDELT2A": 7e-4, "PC1_1A": 0.9, "PC1_2A": -0.43, "PC2_1A": 0.43,
        "PC2_2A": 0.9, "EXPTIME": 16.0, "BUNIT": "DN", "CROTA": 6.8,
    }  # fmt: skip
    return _write(path, _primary(ramp().astype(">f8"), **cards))


def crota(path: Path) -> Path:
    """The old style: CDELT and CROTA2; scaled integers with blank pixels."""
    from astropy.io import fits

    data = np.round(ramp() * 4).astype("i2")
    data[2, 3] = -32768
    hdu = fits.PrimaryHDU(data, _header({"BLANK": -32768, **rotated_cdelt(CROTA2=25.0)}))
    path = _write(path, hdu)
    with fits.open(path, mode="update", do_not_scale_image_data=True) as hdus:
        hdus[0].header["BSCALE"], hdus[0].header["BZERO"] = 0.25, 7.0
    return path


def lookup_tables(path: Path) -> Path:
    """Distortion tables CPDIS in extensions WCSDVARR."""
    primary = _primary(ramp().astype("f4"), **celestial())
    return _write(path, primary, *_tables(primary.header, "CPDIS", "DP", "WCSDVARR"))


def hst_acs(path: Path) -> Path:
    """All distortions of a camera of Hubble: SIP, tables CPDIS, and D2IM of the detector."""
    sip = celestial(CTYPE1="RA---TAN-SIP", CTYPE2="DEC--TAN-SIP", **SIP_CARDS)
    science = _image("SCI", ramp().astype("f4"), BUNIT="ELECTRONS", **sip)
    tables = _tables(science.header, "CPDIS", "DP", "WCSDVARR")
    tables += _tables(science.header, "D2IMDIS", "D2IM", "D2IMARR")
    return _write(path, _primary(TELESCOP="HST", INSTRUME="ACS", EXPTIME=500.0), science, *tables)


def _tables(header: Any, card: str, record: str, name: str) -> list[Any]:
    """Two distortion tables, one for each axis, and the cards that name them."""
    cards: dict[str, Any] = {}
    for axis in (1, 2):
        cards |= {f"{card}{axis}": "LOOKUP", f"{record}{axis}.EXTVER": float(axis)}
        cards |= {f"{record}{axis}.NAXES": 2.0, f"{record}{axis}.AXIS.1": 1.0}
        cards[f"{record}{axis}.AXIS.2"] = 2.0
    header.update(_header(cards))
    y, x = np.mgrid[:5, :6]
    return [
        _image(name, (0.3 * np.sin(x + len(card) * n) * np.cos(0.5 * y)).astype("f4"), EXTVER=n,
               CRPIX1=1.0, CRPIX2=1.0, CRVAL1=1.0, CRVAL2=1.0, CDELT1=8.0, CDELT2=8.0)
        for n in (1, 2)
    ]  # fmt: skip


def with_psf(path: Path) -> Path:
    """An image with its PSF in an extension, packed with gzip, without a WCS."""
    y, x = np.mgrid[-4:5, -4:5]
    psf = 7 * np.exp(-(y**2 + x**2) / 4.0)
    inner = _write(
        path.with_suffix(".tmp"),
        _primary(ramp().astype("f4"), BUNIT="electron/s", EXPTIME=100.0, PIXSCALE=0.06),
        _image("PSF", psf.astype("f4")),
    )
    with gzip.open(path, "wb") as stream:
        stream.write(inner.read_bytes())
    inner.unlink()
    return path


def odd_header(path: Path) -> Path:
    """Line breaks, letters outside ASCII and a value that cannot be read in the header."""
    path = plain(path)
    data = bytearray(path.read_bytes())
    at = data.index(b"EXPTIME")
    cards = [b"OBSERVER= 'line\nbreak'", b"NAME    = 'Universit\xe4t'", b"BADVALUE= 1.0.0 nonsense"]
    end = data.index(b"END" + b" " * 77)
    text = b"".join(card.ljust(80) for card in cards)
    if end + len(text) + 80 > 2880 or at > end:
        raise RuntimeError("no room left in the header")
    data[end : end + len(text) + 80] = text + b"END".ljust(80)
    path.write_bytes(bytes(data))
    return path


def table_only(path: Path) -> Path:
    """An event list: no image at all."""
    from astropy.io import fits

    column = fits.Column(name="X", format="E", array=np.zeros(3))
    return _write(path, _primary(), fits.BinTableHDU.from_columns([column], name="EVENTS"))


def spectrum(path: Path) -> Path:
    """One axis."""
    return _write(path, _primary(np.arange(50, dtype="f4")))


def single_pixel(path: Path) -> Path:
    """An image of 1 x 1 px."""
    return _write(path, _primary(np.ones((1, 1), "f4")))


def no_data(path: Path) -> Path:
    """NAXIS = 0 everywhere."""
    from astropy.io import fits

    return _write(path, _primary(), fits.ImageHDU(name="SCI"))


def random_groups(path: Path) -> Path:
    """Interferometer visibilities."""
    from astropy.io import fits

    data = fits.GroupData(np.ones((2, 1, 3), "f4"), bitpix=-32, parnames=["UU"], pardata=[[1, 2]])
    return _write(path, fits.GroupsHDU(data))


def complex_axis(path: Path) -> Path:
    """Complex numbers along the first axis."""
    return _write(path, _primary(np.ones((9, 8, 2), "f4"), CTYPE1="COMPLEX"))


def magnitudes(path: Path) -> Path:
    """Surface brightness in magnitudes."""
    return _write(path, _primary(ramp().astype("f4"), BUNIT="mag/arcsec2"))


def cut_off(path: Path) -> Path:
    """A download that broke off."""
    path = plain(path)
    path.write_bytes(path.read_bytes()[:4000])
    return path


def cut_off_gzip(path: Path) -> Path:
    """A packed file that broke off."""
    path = with_psf(path)
    path.write_bytes(path.read_bytes()[:1500])
    return path


def error_page(path: Path) -> Path:
    """What some servers send under the name of a file."""
    path.write_text("<html>404 not found</html>")
    return path


GOOD: dict[str, Builder] = {
    f.__name__: f
    for f in (
        plain, hst_flt, hst_drizzle, stis_raw, decam, compressed_integers, radio_cube,
        spectral_cube, solar, crota, lookup_tables, hst_acs, with_psf, odd_header,
    )
}  # fmt: skip
BAD: dict[str, Builder] = {
    f.__name__: f
    for f in (
        table_only, spectrum, single_pixel, no_data, random_groups, complex_axis, magnitudes,
        cut_off, cut_off_gzip, error_page,
    )
}  # fmt: skip
