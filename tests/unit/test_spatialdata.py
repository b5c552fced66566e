"""Images of SpatialData: where they are in coordinate systems, on disk and in memory."""

import logging

import numpy as np
import pytest

from sciup.errors import InputError
from sciup.geometry import Box
from sciup.image import PixelGrid
from sciup.io import open_image
from sciup.testing.microscopy_files import write_spatialdata

IMAGE = np.arange(2 * 8 * 9, dtype=np.uint16).reshape(2, 8, 9)
TURN = [[1, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0]]
FLIP = [[1, 0, 0, 0], [0, -1, 0, 8], [0, 0, 1, 0]]
SHEAR = [[1, 0, 0, 0], [0, 2, 0.5, 0], [0, 0, 2, 0]]
SCALE = {"type": "scale", "scale": [1, 0.5, 0.25]}
SHIFT = {"type": "translation", "translation": [0, 10, 20]}
SWAP = {"type": "mapAxis", "mapAxis": {"c": "c", "y": "x", "x": "y"}}


def system(name, unit="unit"):
    """A coordinate system as SpatialData writes it."""
    space = [{"name": a, "type": "space", "unit": unit} for a in "yx"]
    return {"name": name, "axes": [{"name": "c", "type": "channel"}, *space]}


def sequence(*steps):
    return {"type": "sequence", "transformations": list(steps)}


def affine(rows, **more):
    return {"type": "affine", "affine": rows, **more}


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize(
    ("way", "size", "origin"),
    [
        ({"type": "identity"}, (1, 1), (0.5, 0.5)),
        (SCALE, (0.5, 0.25), (0.25, 0.125)),
        (SHIFT, (1, 1), (10.5, 20.5)),
        (sequence(SCALE, SHIFT), (0.5, 0.25), (10.25, 20.125)),
        (sequence(SHIFT, sequence(SCALE)), (0.5, 0.25), (5.25, 5.125)),
        (affine([[1, 0, 0, 0], [0, 2, 0, 7], [0, 0, 3, -1]]), (2, 3), (8, 0.5)),
        (sequence(affine(TURN), affine(TURN), affine(TURN), affine(TURN)), (1, 1), (0.5, 0.5)),
        (sequence(SWAP, SCALE, SWAP), (0.25, 0.5), (0.125, 0.25)),
        ({"type": "rotation", "rotation": np.eye(3).ravel().tolist()}, (1, 1), (0.5, 0.5)),
    ],
)
def test_a_transformation_along_the_axes_is_pixel_size_and_origin(
    way, size, origin, version, tmp_path
):
    path = write_spatialdata(tmp_path / "a.zarr", {"he": IMAGE}, [way], version)
    image = open_image(path / "images" / "he")
    assert image.grid == PixelGrid(size, None, origin)
    np.testing.assert_array_equal(image.read((1,), Box((0, 0), (8, 9)))[0], IMAGE[1])


def test_rows_of_an_affine_matrix_go_by_the_names_of_its_axes(tmp_path):
    xy = {"axes": [{"name": "x"}, {"name": "y"}]}
    way = affine([[3, 0, -1], [0, 2, 7]], input=xy, output={"name": "global", **xy})
    path = write_spatialdata(tmp_path / "a.zarr", {"he": IMAGE}, [way])
    assert open_image(path).grid == PixelGrid((2, 3), None, (8, 0.5))


@pytest.mark.parametrize("way", [affine(TURN), affine(FLIP), affine(SHEAR), SWAP])
def test_what_turns_mirrors_or_shears_is_not_applied_which_is_said(way, tmp_path, caplog):
    path = write_spatialdata(tmp_path / "a.zarr", {"he": IMAGE}, [way])
    assert open_image(path).grid == PixelGrid()
    assert "not applied" in caplog.text


def test_a_system_with_a_unit_is_taken_before_the_usual_one(tmp_path, caplog):
    caplog.set_level(logging.INFO, "sciup")
    ways = [
        {**SHIFT, "output": system("other")},
        {"type": "identity", "output": system("global")},
        {**SCALE, "output": system("stage", "micrometer")},
    ]
    path = write_spatialdata(tmp_path / "a.zarr", {"he": IMAGE}, ways)
    assert open_image(path).grid == PixelGrid((0.5, 0.25), "micrometer", (0.25, 0.125))
    assert "'other', 'global', 'stage' 'stage' is taken" in caplog.text
    path = write_spatialdata(tmp_path / "b.zarr", {"he": IMAGE}, ways[:2])
    assert open_image(path).grid == PixelGrid((1, 1), None, (0.5, 0.5))


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_folder_opens_at_its_only_image_else_names_them(version, tmp_path, caplog):
    caplog.set_level(logging.INFO, "sciup")
    one = write_spatialdata(tmp_path / "a.zarr", {"he": IMAGE}, [SCALE], version)
    for path in (one, one / "images"):
        assert open_image(path).source == str(one / "images" / "he")
    assert "only image 'he'" in caplog.text
    two = write_spatialdata(tmp_path / "b.zarr", {"he": IMAGE, "dapi": IMAGE}, [SCALE], version)
    with pytest.raises(InputError, match="2 images") as error:
        open_image(two)
    for name in ("he", "dapi"):
        assert str(two / "images" / name) in error.value.fix


@pytest.mark.parametrize(
    "way",
    [
        {"type": "wavelet"},
        {"type": "scale", "scale": [1, 2]},
        affine([[1, 2], [3]]),
        {"type": "scale"},
        sequence({"type": "mapAxis", "mapAxis": {"y": "q"}}),
        {"type": "identity", "output": {"name": "global", "axes": [3]}},
    ],
)
def test_damaged_transformations_are_refused(way, tmp_path):
    path = write_spatialdata(tmp_path / "a.zarr", {"he": IMAGE}, [way])
    with pytest.raises(InputError, match="cannot be understood"):
        open_image(path)


# -- in memory -----------------------------------------------------------------------------------


class Way:
    """What a transformation of the package spatialdata can do, for a matrix of (y, x)."""

    def __init__(self, matrix):
        self.matrix = np.asarray(matrix, float)

    def to_affine_matrix(self, input_axes, output_axes):
        if input_axes != ("y", "x") or output_axes != ("y", "x"):
            raise ValueError("no such axes")
        return self.matrix


def element(ways, coords=True, **more):
    """An image as SpatialData has it: centres of pixels at 0.5, 1.5, ..."""
    xarray = pytest.importorskip("xarray")
    places = {"y": np.arange(8) + 0.5, "x": np.arange(9) + 0.5} if coords else {}
    dims = ("c", "y", "x")
    return xarray.DataArray(IMAGE, dims=dims, coords=places, attrs={"transform": ways, **more})


@pytest.mark.parametrize("coords", [True, False])
def test_a_transformation_of_an_element_is_pixel_size_and_origin(coords):
    ways = {"global": Way([[2, 0, 7], [0, 3, -1], [0, 0, 1]]), "other": Way(np.eye(3))}
    assert open_image(element(ways, coords)).grid == PixelGrid((2, 3), None, (8, 0.5))


def test_scales_of_an_element_keep_its_transformation():
    xarray = pytest.importorskip("xarray")
    fine = element({"global": Way([[2, 0, 7], [0, 3, -1], [0, 0, 1]])})
    coarse = fine.coarsen(x=3, y=2).mean(keep_attrs=True)
    for one, step in ((fine, (1, 1)), (coarse, (2, 3))):
        tree = xarray.DataTree.from_dict({"scale0": one.to_dataset(name="image")})
        grid = open_image(tree).grid
        assert grid.size == (2 * step[0], 3 * step[1])
        assert np.subtract(grid.origin, np.divide(grid.size, 2)).tolist() == [7, -1]


@pytest.mark.parametrize("matrix", [[[0, -1, 0], [1, 0, 0], [0, 0, 1]], np.eye(2)])
def test_what_turns_an_element_is_not_applied_which_is_said(matrix, caplog):
    assert open_image(element({"global": Way(matrix)})).grid == PixelGrid()
    assert "not applied" in caplog.text


def test_other_attributes_of_that_name_mean_nothing():
    assert open_image(element("sqrt")).grid == PixelGrid()
    assert open_image(element({})).grid == PixelGrid()
