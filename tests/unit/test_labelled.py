"""Arrays of other libraries: what they say of axes, pixel size, noise and mask is kept."""

import logging
import pickle

import dask.array as da
import numpy as np
import pytest
import zarr
from astropy import units as u
from astropy.io import fits
from astropy.nddata import CCDData, NDData, StdDevUncertainty, UnknownUncertainty
from astropy.nddata import InverseVariance as Ivar
from astropy.nddata import VarianceUncertainty as Variance
from astropy.wcs import WCS
from astropy.wcs.wcsapi import SlicedLowLevelWCS

from sciup.errors import InputError
from sciup.geometry import Box
from sciup.image import PixelGrid
from sciup.io import open_image
from sciup.testing.microscopy_files import write_ome_zarr

CUBE = np.arange(3 * 8 * 9.0).reshape(3, 8, 9)
PLANE = CUBE[0]
WHOLE = Box((0, 0), (8, 9))
SEEN = []


# -- xarray ------------------------------------------------------------------------------------


def data_array(data=CUBE, y=("µm", 0.5, 1.0), x=("nm", 250.0, 0.0), **more):
    """A DataArray with coordinates (unit, step, first) along y and x."""
    xarray = pytest.importorskip("xarray")
    coords = {
        name: (name, first + step * np.arange(n), {"units": unit})
        for name, n, (unit, step, first) in (("y", 8, y), ("x", 9, x))
    }
    dims = ("channel", "y", "x")[-data.ndim :]
    return xarray.DataArray(data, dims=dims, coords=coords | more, attrs={"units": "adu"})


def test_a_data_array_says_axes_size_origin_unit_and_channels():
    image = open_image(data_array(channel=["DAPI", "GFP", "RFP"]), channel="GFP")
    assert (image.axes, image.shape, image.unit) == ("cyx", (1, 8, 9), "adu")
    assert image.grid == PixelGrid((0.5, 0.25), "micrometer", (1.0, 0.0))
    np.testing.assert_array_equal(image.read((0,), WHOLE)[0], CUBE[1])


def seen_block(block_info=None):
    """A block that notes that it was computed."""
    SEEN.append(block_info[None]["chunk-location"])
    return np.ones((1, 8, 9))


def test_a_data_array_stays_lazy():
    lazy = da.map_blocks(
        seen_block, chunks=((1,) * 3, (8,), (9,)), dtype=float, meta=np.ones((0,) * 3)
    )
    image = pickle.loads(pickle.dumps(open_image(data_array(lazy))))
    SEEN.clear()
    image.read((2,), WHOLE)
    assert SEEN == [(2, 0, 0)]


def test_times_and_depths_keep_their_steps():
    xarray = pytest.importorskip("xarray")
    coords = {"z": ("z", [3.0, 5.0, 7.0], {"units": "micrometer"})}
    image = open_image(xarray.DataArray(CUBE, dims=("z", "y", "x"), coords=coords))
    assert image.metadata["axes"]["z"] == {"scale": 2.0, "translation": 3.0, "unit": "micrometer"}
    assert image.grid.size is None


def test_angles_make_a_field_of_the_sky():
    image = open_image(data_array(PLANE, y=("deg", 1e-4, 0), x=("arcsec", -0.36, 3)))
    assert image.domain == "night-sky"
    assert image.grid.size == pytest.approx((0.36, 0.36))
    assert image.grid.unit == "arcsec"


def test_right_ascension_counts_less_far_from_the_equator(caplog):
    with caplog.at_level(logging.INFO, "sciup"):
        image = open_image(data_array(PLANE, y=("deg", 1e-4, 60), x=("deg", -2e-4, 150)))
    assert image.grid.size == pytest.approx((0.36, 0.36), rel=1e-4)
    assert "deg) = 0.5, the declination" in caplog.text
    assert open_image(data_array(PLANE, y=("deg", 1e-4, 150), x=("deg", 1, 2))).grid.size is None
    assert "no declination" in caplog.text


@pytest.mark.parametrize(
    ("y", "words"),
    [(("px", 1, 0), "units px and nm"), (("nm", np.arange(8) ** 2, 0), "not even")],
)
def test_sizes_that_are_not_known_are_said(y, words, caplog):
    with caplog.at_level(logging.INFO, "sciup"):
        assert open_image(data_array(PLANE, y=y)).grid.size is None
    assert words in caplog.text


def test_coordinates_that_fall_give_a_size_only(caplog):
    assert open_image(data_array(PLANE, y=("µm", -0.5, 9))).grid.size == (0.5, 0.25)
    assert "origin is not kept" in caplog.text


def test_dimensions_that_end_otherwise_are_refused_with_the_way_out():
    with pytest.raises(InputError, match="dimensions channel, x, y") as error:
        open_image(data_array().transpose("channel", "x", "y"))
    assert "transpose" in error.value.fix


def test_data_sets_and_scales_open_at_their_image():
    xarray = pytest.importorskip("xarray")
    one = data_array().to_dataset(name="image")
    assert open_image(one).shape == (3, 8, 9)
    tree = xarray.DataTree.from_dict({"scale0": one, "scale1": one.isel(x=slice(0, 9, 2))})
    assert open_image(tree).shape == (3, 8, 9)
    with pytest.raises(InputError, match="2 images") as error:
        open_image(xarray.Dataset({"a": data_array(), "b": data_array()}))
    assert "dataset['b'] (3, 8, 9)" in error.value.fix


def test_a_spatialdata_object_names_its_images():
    class SpatialData:
        images, labels, coordinate_systems = {"cells": 1}, {}, []

    with pytest.raises(InputError, match="SpatialData") as error:
        open_image(SpatialData())
    assert "sdata.images['cells']" in error.value.fix


# -- napari ------------------------------------------------------------------------------------


def test_a_layer_says_axes_scale_and_place():
    layers = pytest.importorskip("napari.layers")
    layer = layers.Image(
        CUBE, scale=(1, 0.5, 250), translate=(0, 1, 2000), axis_labels=("t", "y", "x"),
        units=("second", "micrometer", "nanometer"), name="cells",
    )  # fmt: skip
    image = open_image(layer)
    assert (image.axes, image.source) == ("tyx", "layer cells")
    assert image.grid == PixelGrid((0.5, 0.25), "micrometer", (1.0, 2.0))
    np.testing.assert_array_equal(image.read((1,), WHOLE)[0], CUBE[1])


def test_a_layer_without_units_and_a_pyramid(caplog):
    layers = pytest.importorskip("napari.layers")
    with caplog.at_level(logging.INFO, "sciup"):
        image = open_image(layers.Image([PLANE, PLANE[::2, ::2]], multiscale=True))
    assert (image.axes, image.shape, image.grid.size) == ("yx", (8, 9), None)
    assert "pixel size unknown" in caplog.text


def test_other_layers_are_refused():
    layers = pytest.importorskip("napari.layers")
    with pytest.raises(InputError, match="type Labels"):
        open_image(layers.Labels(PLANE.astype(int)))
    with pytest.raises(InputError, match="RGB"):
        open_image(layers.Image(np.zeros((8, 9, 3), "u1"), rgb=True))


# -- astropy -----------------------------------------------------------------------------------


def sky():
    """World coordinates of 0.36 arcsec per pixel."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ("RA---TAN", "DEC--TAN"), (10, 20), (3, 4)
    wcs.wcs.cdelt = -1e-4, 1e-4
    return wcs


def test_ccd_data_keep_wcs_unit_mask_gain_and_noise():
    mask = np.zeros((8, 9), bool)
    mask[2, 3] = True
    meta = {"GAIN": 2.0, "RDNOISE": 3.0, "CD1_1": 7.0, "odd": object()}
    ccd = CCDData(PLANE, Variance(PLANE + 4), mask, unit="adu", wcs=sky(), meta=meta)
    image = pickle.loads(pickle.dumps(open_image(ccd)))
    values, footprint = image.read((), WHOLE)
    np.testing.assert_array_equal(footprint, ~mask)
    np.testing.assert_array_equal(values[~mask], PLANE[~mask])
    np.testing.assert_allclose(image.load_sigma((), WHOLE), np.sqrt(PLANE + 4), rtol=1e-6)
    assert (image.unit, image.domain, image.dtype) == ("adu", "night-sky", np.float64)
    assert image.grid.size == pytest.approx((0.36, 0.36))
    assert (image.facts["electrons_per_unit"].value, image.facts["read_noise"].value) == (2, 3)
    assert "CD1_1" not in image.header
    assert WCS(image.header).wcs.crval.tolist() == [10, 20]


@pytest.mark.parametrize(
    "uncertainty",
    [StdDevUncertainty(PLANE + 2), Variance((PLANE + 2) ** 2), Ivar((PLANE + 2) ** -2.0),
     StdDevUncertainty((PLANE + 2) / 1000, unit=u.Unit(1000 * u.electron))],
)  # fmt: skip
def test_every_kind_of_uncertainty_is_one_sigma(uncertainty):
    data = NDData(PLANE, uncertainty=uncertainty, unit="electron")
    sigma = open_image(data).load_sigma((), WHOLE)
    np.testing.assert_allclose(sigma, PLANE + 2, rtol=1e-5)


def test_one_uncertainty_for_all_pixels_is_spread():
    sigma = open_image(NDData(PLANE, uncertainty=StdDevUncertainty(3.0))).load_sigma((), WHOLE)
    np.testing.assert_array_equal(sigma, np.full((8, 9), 3.0))


def test_an_unknown_uncertainty_is_not_used_and_told(caplog):
    image = open_image(NDData(PLANE, uncertainty=UnknownUncertainty(PLANE)))
    assert image.load_sigma((), WHOLE) is None
    assert "unknown type" in caplog.text


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(InputError, match=r"mask of the NDData has the shape \(2, 9\)"):
        open_image(NDData(PLANE, mask=np.zeros((2, 9), bool)))


def test_what_is_no_plane_or_no_wcs_is_refused():
    with pytest.raises(InputError, match="complex"):
        open_image(NDData(PLANE + 1j))
    with pytest.raises(InputError, match=r"astropy\.wcs\.WCS"):
        open_image(NDData(PLANE, wcs=SlicedLowLevelWCS(sky(), [slice(0, 8), slice(0, 9)])))


def test_a_quantity_keeps_its_unit():
    assert open_image(PLANE * u.electron).unit == "electron"


# -- all containers ----------------------------------------------------------------------------


def in_fits(unit, path):
    fits.writeto(path / "a.fits", PLANE, fits.Header({"BUNIT": unit}))
    return path / "a.fits"


def in_zarr(unit, path):
    written = write_ome_zarr(path / "a.zarr", PLANE, "yx")
    zarr.open_group(written).attrs["sciup"] = {"map": "mean", "unit": unit}
    return written


CONTAINERS = {
    "FITS": in_fits,
    "OME-Zarr of sciup": in_zarr,
    "quantity": lambda unit, _: PLANE * u.Unit(unit),
    "NDData": lambda unit, _: NDData(PLANE, unit=unit),
    "CCDData": lambda unit, _: CCDData(PLANE, unit=unit),
    "DataArray": lambda unit, _: data_array(PLANE).assign_attrs(units=unit),
}


@pytest.mark.parametrize(("unit", "flux"), [("Jy", True), ("adu", True), ("MJy / sr", False)])
@pytest.mark.parametrize("container", CONTAINERS)
def test_the_unit_says_in_every_container_whether_sums_are_kept(container, unit, flux, tmp_path):
    image = open_image(CONTAINERS[container](unit, tmp_path))
    assert u.Unit(image.unit) == u.Unit(unit)
    assert image.flux_per_pixel is flux
