"""Damaged files beside images, damaged results, and stores that do not do as they are asked.

    python tests/faults/fuzz_beside.py --count 8000 --seed 1

Weights, masks, noise, PSFs, regions and catalogues: as in `fuzz_readers`, a `SciupError` is
allowed, or an answer. What is asked of results and stores stands in `fuzz_results` and
`fuzz_stores`.
"""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from fuzz_readers import Check, Subject, answered, main
from fuzz_results import result, results
from fuzz_stores import stores

from sciup.geometry import Box
from sciup.io import open_image
from sciup.io._array import open_array
from sciup.physics.given import Given
from sciup.physics.psf_source import read_psf
from sciup.physics.resolve import resolve
from sciup.results.draws import Draws
from sciup.science.cutouts.run import cutouts
from sciup.science.measure.places import find_regions
from sciup.science.measure.roi import region_of
from sciup.testing import fits_files
from sciup.testing.psf_files import bead_stack, gaussian_pixels, write_psfex, write_stpsf
from sciup.testing.toy_images import star_field

SIDE = 48
REGIONS = """# Region file format: DS9 version 4.1
global color=green dashlist=8 3 width=1
{system}
{shapes}
"""
IMAGE_SHAPES = """circle(20,20,5) # text={one}
ellipse(24,20,8,4,30)
box(24,24,10,6,0)
polygon(10,10,30,12,25,30)
"""
SKY_SHAPES = 'circle({lon},{lat},3")\nbox({lon},{lat},5",0.05\',20)\n'
NAPARI = "index,shape-type,vertex-index,axis-0,axis-1\n" + "".join(
    f"{i},{kind},{v},{10 + 9 * y + i},{12 + 8 * x}\n"
    for i, kind in enumerate(("rectangle", "ellipse", "polygon"))
    for v, (y, x) in enumerate(((0, 0), (0, 1), (1, 1), (1, 0)))
)


# -- beside an image ---------------------------------------------------------------------------


def companions(folder: Path) -> dict[str, Subject]:
    """Weights, masks and noise in files of their own."""
    image = folder / "image.fits"
    cards = fits.Header(fits_files.celestial())
    fits.HDUList(
        [fits.PrimaryHDU(), fits.ImageHDU(np.ones((SIDE, SIDE), "f4"), cards, name="SCI")]
    ).writeto(image)
    plane = np.arange(SIDE * SIDE, dtype="f4").reshape(SIDE, SIDE)
    made = {
        "plain": fits.HDUList([fits.PrimaryHDU(plane)]),
        "packed": fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(plane, name="SCI")]),
        "flags": fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(plane.astype("i2"), name="DQ")]),
    }
    subjects = {}
    for name, hdus in made.items():
        seed = folder / f"{name}_beside.fits"
        hdus.writeto(seed)
        for option in ("weight", "err", "dq", "ivar", "var"):
            subjects[f"beside {name} {option}"] = Subject(seed, _beside(image, option))
    return subjects


def _beside(image: Path, option: str) -> Check:
    def check(path: Path, *_: Any) -> str:
        stated = f"{option}:{path}" if option in ("ivar", "var") else str(path)
        name = "err" if option in ("ivar", "var") else option

        def ask() -> None:
            opened, box = open_image(image, **{name: stated}), Box((0, 0), (SIDE, SIDE))
            values, footprint = opened.read((), box)
            assert values.shape == footprint.shape == (SIDE, SIDE)
            sigma = opened.load_sigma((), box)
            assert sigma is None or sigma.shape == (SIDE, SIDE)
            good = None if sigma is None else sigma[footprint & np.isfinite(sigma)]
            assert good is None or (good >= 0).all(), "noise below zero"

        return answered(ask)

    return check


def psfs(folder: Path) -> dict[str, Subject]:
    """PSF files of every kind, up to the instrument that they make."""
    image = open_array(star_field((96, 96), stars=9), domain="night-sky", pixel_size=0.031)
    plain = folder / "plain_psf.fits"
    fits.PrimaryHDU(gaussian_pixels((25, 25), (12, 12), 2.4).astype("f4")).writeto(plain)
    beads = folder / "beads.tif"
    tifffile.imwrite(beads, bead_stack([3, 2.4, 3]), metadata={"axes": "ZYX"}, ome=True)
    seeds = {
        "psfex": write_psfex(folder / "a.psf", slope=0.3),
        "stpsf": write_stpsf(folder / "stpsf.fits", side=15),
        "plain": plain,
        "beads": beads,
    }

    def check(path: Path, *_: Any) -> str:
        def ask() -> None:
            psf = read_psf(path, image)
            believed = resolve(image, (), "night-sky", Given(psf=psf)).instrument
            assert np.isfinite(believed.psf_fwhm.value), believed.psf_fwhm
            assert believed.psf_fwhm.value > 0

        return answered(ask)

    return {f"psf {name}": Subject(seed, check) for name, seed in seeds.items()}


def places(folder: Path) -> dict[str, Subject]:
    """Region files and catalogues, for --roi, --regions, --catalog and --positions."""
    source = folder / "field.fits"
    draws = Draws.open(result(folder, "for_places", ".fits"))
    model = folder / "model"
    seeds = {}
    middle = WCS(fits.getheader(source)).pixel_to_world(SIDE // 2, SIDE // 2)
    for system in ("image", "fk5", "galactic"):
        place = middle.transform_to("fk5" if system == "image" else system).spherical
        shapes = SKY_SHAPES.format(lon=place.lon.deg, lat=place.lat.deg)
        shapes = IMAGE_SHAPES if system == "image" else shapes
        seeds[f"{system}.reg"] = REGIONS.format(system=system, shapes=shapes)
        first = shapes.splitlines()[0]
        seeds[f"{system}_one.reg"] = REGIONS.format(system=system, shapes=first)
    seeds["napari.csv"] = NAPARI
    seeds["xy.csv"] = "id,y,x,radius\na,12,13,3\nb,30.5,20.25,4\n"
    seeds["sky.csv"] = f"id,ra,dec\na,{middle.ra.deg},{middle.dec.deg}\n"
    for name, text in seeds.items():
        (folder / name).write_text(text)
    table = Table({"id": ["a", "b"], "y": [12.0, 30.5], "x": [13.0, 20.25], "radius": [3.0, 4.0]})
    for suffix in (".ecsv", ".fits"):
        table.write(folder / f"table{suffix}")
    found = sorted({*seeds, "table.ecsv", "table.fits"})

    def check(path: Path, *_: Any) -> str:
        def ask() -> None:
            image = open_image(source)
            if path.suffix == ".reg":
                box = region_of(str(path), image)
                assert Box.of_shape(image.plane_shape).contains(box)
            else:
                options = {"model": model, "psf_fwhm": 2.4, "samples": 1, "device": "cpu"}
                cutouts(source, path, 16, **options)

        def measured() -> None:
            kind = "regions" if path.suffix in (".reg", ".csv") else "catalog"
            for region in find_regions(draws, (), 10**7, radius=3.0, **{kind: path}):
                region.shape.box  # noqa: B018

        return min(answered(ask), answered(measured))

    return {f"places {name}": Subject(folder / name, check) for name in found}


def subjects(folder: Path) -> dict[str, Subject]:
    """All of them."""
    kinds = (companions, psfs, places, results, stores)
    found: dict[str, Subject] = {}
    for kind in kinds:
        with contextlib.redirect_stderr(io.StringIO()):
            found |= kind(folder)
    return found


if __name__ == "__main__":
    sys.exit(main(subjects))
