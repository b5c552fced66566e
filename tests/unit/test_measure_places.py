"""Regions, catalogues, labels and shapes of napari: where they lie on a result."""

import numpy as np
import pytest
import tifffile
from astropy import units
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS

import sciup
from sciup.errors import InputError, OptionError
from sciup.geometry import Box
from sciup.results.draws import Draws
from sciup.science.measure import labels as labelling
from sciup.science.measure.frame import Frame
from sciup.science.measure.places import find_regions
from sciup.testing.toy_images import star_field
from sciup.testing.toy_model import write_toy_model

SHAPE = (50, 60)
ROI, START = "8:48,10:60", np.array([8, 10])
PLAIN = {"psf_fwhm": 2.3, "background": 100.0, "noise_sigma": 5.0, "gain": 10.0, "device": "cpu"}
TURNED = np.array([[-0.8, 0.6], [0.6, 0.8]]) * 1e-4
"""CD matrix: north 36.9 degrees off, east to the left; 0.36 arcsec px."""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_toy_model(
        tmp_path_factory.mktemp("models") / "toy", scale=2, channels=4, head_channels=4
    )


@pytest.fixture(scope="module")
def field(tmp_path_factory):
    header = fits.Header({"BUNIT": "electron", "CRPIX1": 30, "CRPIX2": 20})
    header.update({f"CD{i + 1}_{j + 1}": TURNED[i, j] for i in (0, 1) for j in (0, 1)})
    header.update(CTYPE1="RA---TAN", CTYPE2="DEC--TAN", CRVAL1=150.0, CRVAL2=42.0)
    path = tmp_path_factory.mktemp("field") / "field.fits"
    fits.PrimaryHDU(star_field(SHAPE, stars=5), header).writeto(path)
    return path


@pytest.fixture(scope="module")
def draws(model, field):
    """Of a part of a field of the sky; nothing is ever drawn here."""
    return Draws.of_result(sciup.upscale(field, model=model, samples=2, roi=ROI, **PLAIN))


def sky(field, y, x):
    """Place on the sky of input px, counted from 0."""
    return WCS(fits.getheader(field)).pixel_to_world(x, y)


def found(draws, **given):
    return find_regions(draws, (), 10**6, **given)


def only(draws, **given):
    (region,) = found(draws, **given)
    return region.shape


def at_input(shape):
    """Centre of a shape in input px of the whole field."""
    return (np.array(shape.centre) + 0.5) / 2 - 0.5 + START


def weights(shape):
    return shape.weights(Box((0, 0), (80, 100)))


def overlap(one, two):
    """Common share of two shapes, of all of them."""
    a, b = weights(one), weights(two)
    return np.minimum(a, b).sum() / np.maximum(a, b).sum()


@pytest.mark.parametrize(
    "words",
    [
        "circle(31,26,4)",
        "image;circle(31,26,4)",
        "image\ncircle 31 26 4 # text={a b}",
        "+circle(31, 26, 4)",
    ],
)
def test_pixels_of_ds9_count_from_1(draws, words):
    shape = only(draws, regions=words)
    np.testing.assert_allclose(at_input(shape), [25, 30])
    assert weights(shape).sum() == pytest.approx(np.pi * 8**2)


def test_names_and_numbers(draws):
    text = """# Region file format: DS9
global color=green font="x"
image
circle(31,26,4) # text={NGC 1} color=red
circle(33,26,4); box(33,26,4,2,0) # text="b"
point(40,30) # point=x
"""
    regions = found(draws, regions=text, radius=2)
    assert [r.id for r in regions] == ["NGC 1", "b", "b", "4"]


@pytest.mark.parametrize(
    ("pixels", "on_sky"),
    [
        ("circle(31,26,4)", 'circle({ra},{dec},1.44")'),
        ("circle(31,26,4)", "circle({ra}d,{dec}d,0.0004)"),
        ("circle(31,26,4)", "circle({hms},{dms},0.024')"),
        ("ellipse(31,26,6,3,{turn})", 'ellipse({ra},{dec},2.16",1.08",20)'),
        ("box(31,26,12,5,{turn})", 'box({hms},{dms},4.32",1.8",20)'),
    ],
)
def test_the_sky_and_pixels_select_the_same(draws, field, pixels, on_sky):
    """East is to the left here: on the sky angles run from west to north, against the clock."""
    place = sky(field, 25, 30).icrs
    words = {
        "ra": place.ra.deg,
        "dec": place.dec.deg,
        "hms": place.ra.to_string(units.hourangle, sep=":", precision=5),
        "dms": place.dec.to_string(units.deg, sep=":", precision=4, alwayssign=True),
    }
    west = place.directional_offset_by(270 * units.deg, 1 * units.arcsec)
    x, y = WCS(fits.getheader(field)).world_to_pixel(west)
    turn = np.degrees(np.arctan2(y - 25, x - 30)) + 20
    one = only(draws, regions=pixels.format(turn=turn))
    two = only(draws, regions="icrs;" + on_sky.format(**words))
    assert overlap(one, two) > 0.99
    # and not only because the shape is round
    if "circle" not in pixels:
        assert overlap(one, only(draws, regions=pixels.format(turn=-turn))) < 0.8


def test_polygons_on_the_sky(draws, field):
    corners = [(20.0, 22.0), (20.0, 40.0), (33.0, 31.0)]
    pixels = ",".join(f"{x + 1},{y + 1}" for y, x in corners)
    degrees = ",".join(f"{p.ra.deg},{p.dec.deg}" for p in (sky(field, *c).fk5 for c in corners))
    one = only(draws, regions=f"polygon({pixels})")
    two = only(draws, regions=f"fk5\npolygon({degrees})")
    assert overlap(one, two) > 0.995
    assert weights(one).sum() == pytest.approx(4 * 18 * 13 / 2, rel=0.01)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("image\nannulus(3,4,5,6)", "line 2.*no region that can be measured"),
        ("image\n-circle(3,4,5)", "to leave out"),
        ("circle(3,4)", "2 numbers"),
        ("circle(3,4,-5)", "not above 0"),
        ("circle(a,4,5)", "could not convert"),
        ("point(3,4)", "give --radius"),
        ("icrs;circle(330,-42,0.001)", "not on this part of the sky"),
        ("icrs;circle(33,142,0.001)", "line 1"),
        ("fk4;circle(3,4,5)", "no region"),
        ("physical\ncircle(3,4,5)", "line 2.*physical coordinates may be binned"),
        ("circle(3p,4p,5)", "physical coordinates"),
        ("image;circle(3,4,5p)", "physical coordinates"),
        ("# nothing\n", "holds nothing to measure"),
    ],
)
def test_regions_that_cannot_be_used(draws, words, message):
    with pytest.raises(InputError, match=f"(?s){message}"):
        found(draws, regions=words)


def test_files_of_regions(draws, tmp_path):
    (tmp_path / "a.reg").write_text("image\ncircle(31,26,4)\n")
    assert only(draws, regions=tmp_path / "a.reg").a == 8
    (tmp_path / "b.reg").write_bytes(b"\xff\xfe\x00")
    for name in ("b.reg", "c.reg"):
        with pytest.raises(InputError, match="cannot be read"):
            found(draws, regions=str(tmp_path / name))


def test_no_sky_no_places_on_it(model):
    flat = sciup.upscale(star_field(SHAPE), model=model, samples=2, **PLAIN)
    with pytest.raises(InputError, match="no world coordinates"):
        found(Draws.of_result(flat), regions="fk5;circle(1,2,3)")
    with pytest.raises(OptionError, match="no pixel size"):
        found(Draws.of_result(flat), regions="circle(9,9,3)", radius="2arcsec")


@pytest.mark.parametrize("suffix", ["csv", "ecsv", "fits"])
def test_catalogues_on_the_sky_and_in_pixels(draws, field, tmp_path, suffix):
    places = np.array([[25.0, 30.0], [12.3, 44.7]])
    on_sky = [sky(field, *p).icrs for p in places]
    one = Table(
        {"ID": [7, 9], "RA": [p.ra.deg for p in on_sky], "Dec": [p.dec.deg for p in on_sky]}
    )
    two = Table({"y": places[:, 0], "x": places[:, 1], "radius": [2.0, 3.0]})
    for name, table in (("one", one), ("two", two)):
        table.write(tmp_path / f"{name}.{suffix}", overwrite=True)
    first = found(draws, catalog=tmp_path / f"one.{suffix}", radius="1.08arcsec")
    second = found(draws, catalog=tmp_path / f"two.{suffix}")
    assert [r.id for r in first] == ["7", "9"]
    assert [r.id for r in second] == ["1", "2"]
    assert [r.shape.a for r in first] == pytest.approx([6, 6])
    assert [r.shape.a for r in second] == [4, 6]
    for regions in (first, second):
        np.testing.assert_allclose([at_input(r.shape) for r in regions], places, atol=1e-5)


def test_units_of_a_catalogue(draws):
    table = Table({"y": [25.0], "x": [30.0], "radius": [0.72] * units.arcsec})
    assert only(draws, catalog=table).a == pytest.approx(4)
    turned = SkyCoord(150 * units.deg, 42 * units.deg)
    hours = Table({"ra": [turned.ra.hourangle] * units.hourangle, "dec": [42.0]})
    np.testing.assert_allclose(at_input(only(draws, catalog=hours, radius=1)), [19, 29], atol=1e-4)


def test_rows_without_a_place_are_kept(draws):
    table = Table({"y": np.ma.array([25.0, 1.0], mask=[0, 1]), "x": [30.0, np.nan]})
    regions = found(draws, catalog=table, radius=2)
    assert len(regions) == 2
    assert regions[1].shape.centre[0] < -1e5


@pytest.mark.parametrize(
    ("table", "options", "error", "message"),
    [
        ({"a": [1]}, {"radius": 1}, InputError, "has the columns a"),
        ({"y": ["north"], "x": [1]}, {"radius": 1}, InputError, "holds no numbers"),
        ({"y": [1], "x": [1]}, {}, OptionError, "--radius"),
        ({"ra": [1], "dec": [95]}, {"radius": 1}, InputError, "beyond 90"),
        ({"y": [1], "x": [1]}, {"radius": "0"}, OptionError, "above 0"),
        ({"y": [1], "x": [1]}, {"radius": "big"}, OptionError, "above 0"),
        ({"y": [1], "x": [1]}, {"radius": "2micrometer"}, OptionError, "pixels in arcsec"),
        ({"y": [1], "x": [1]}, {"radius": "2furlongs"}, OptionError, "with a unit"),
        ({"y": [], "x": []}, {"radius": 1}, InputError, "holds nothing"),
    ],
)
def test_catalogues_that_cannot_be_used(draws, table, options, error, message):
    with pytest.raises(error, match=message):
        found(draws, catalog=Table(table), **options)


def test_files_that_are_no_tables(draws, tmp_path):
    (tmp_path / "a.csv").write_text('"x,y\n')
    (tmp_path / "a.fits").write_text("no FITS")
    for name, message in (("a.csv", "cannot be read|columns"), ("a.fits", "cannot be read"),
                          ("b.csv", "no file"), ("a.xls", "no table by its name")):  # fmt: skip
        with pytest.raises(InputError, match=message):
            found(draws, catalog=tmp_path / name, radius=1)


def objects(shape):
    """Three labels, one of them in two parts and one beyond the part that was upscaled."""
    labels = np.zeros(shape, np.uint16)
    labels[20:26, 30:35], labels[40:42, 12:15], labels[44:46, 20:21] = 5, 300, 300
    labels[2:4, 2:4] = 9
    return labels


def write_zarr(path, labels):
    import zarr

    group = zarr.open_group(path, mode="w", zarr_format=2)
    group.create_array("0", data=labels, chunks=(16, 16))
    axes = [{"name": n, "type": "space"} for n in "yx"]
    scale = [{"type": "scale", "scale": [1.0, 1.0]}]
    sets = [{"path": "0", "coordinateTransformations": scale}]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": sets}]
    return path


@pytest.mark.parametrize("side", [7, 2048])
def test_labels_on_both_grids(draws, tmp_path, monkeypatch, side):
    monkeypatch.setattr(labelling, "SIDE", side)
    whole = objects(SHAPE)
    part = whole[8:48, 10:60]
    tifffile.imwrite(tmp_path / "whole.tif", whole)
    np.save(tmp_path / "part.npy", part)
    write_zarr(tmp_path / "fine.zarr", part.repeat(2, 0).repeat(2, 1))
    for source in (tmp_path / "whole.tif", tmp_path / "part.npy", tmp_path / "fine.zarr", part):
        regions = found(draws, labels=source)
        assert [r.id for r in regions] == ["5", "300"]
        assert regions[0].shape.box == Box((24, 40), (36, 50))
        np.testing.assert_allclose(at_input(regions[0].shape), [22.5, 32])
        for region in regions:
            expected = (part == int(region.id)).repeat(2, 0).repeat(2, 1)
            np.testing.assert_array_equal(weights(region.shape), expected)
            box = region.shape.box
            np.testing.assert_array_equal(region.shape.weights(box), expected[box.slices])


def test_a_label_image_is_read_once_and_then_object_by_object(model, field, monkeypatch):
    labels = np.zeros(SHAPE, np.int32)
    for number, (y, x) in enumerate(np.ndindex(6, 8), 1):
        labels[9 + 6 * y : 12 + 6 * y, 11 + 6 * x : 14 + 6 * x] = number
    read, pixels = labelling.Labels.read, []
    monkeypatch.setattr(
        labelling.Labels, "read", lambda s, box: pixels.append(box.size) or read(s, box)
    )
    result = sciup.upscale(field, model=model, samples=2, roi=ROI, **PLAIN)
    table = sciup.measure(result, "photometry", labels=labels, samples=3)
    assert len(table) == 48
    assert pixels[0] == 40 * 50
    # a window is the object and its ring: never the whole, and not once for each draw
    assert len(pixels) == 1 + int((table["draws"] > 0).sum())
    assert max(pixels[1:]) < 40 * 50 / 5


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros(SHAPE, np.int32), "holds nothing"),
        (np.zeros(SHAPE), "whole numbers"),
        (np.zeros((7, 9), int), "7 x 9 px"),
        (np.full(SHAPE, 2**24, np.int32), "relabel_sequential"),
        (np.ones((3, *SHAPE), int), "3 planes"),
    ],
)
def test_labels_that_cannot_be_used(draws, labels, message):
    with pytest.raises(InputError, match=message):
        found(draws, labels=labels)


@pytest.mark.parametrize("roi", ["10:40,10:40", "0:30,0:30", "30:60,30:60"])
def test_labels_that_fit_input_and_result_are_refused(model, roi):
    """60 x 60 input px, and 30 x 30 of them upscaled to as many."""
    image = star_field((60, 60), stars=3)
    part = Draws.of_result(sciup.upscale(image, model=model, samples=2, roi=roi, **PLAIN))
    with pytest.raises(InputError, match=r"those of the input and of the result: .* ambiguous"):
        found(part, labels=np.ones((60, 60), int))
    assert only(part, labels=np.ones((30, 30), int)).box == Box((0, 0), (60, 60))


def test_labels_at_scale_1_fit_everything(tmp_path):
    same = write_toy_model(tmp_path / "toy", scale=1, channels=4, head_channels=4)
    image = star_field(SHAPE, stars=3)
    draws = Draws.of_result(sciup.upscale(image, model=same, samples=2, **PLAIN))
    assert only(draws, labels=np.ones(SHAPE, int)).box == Box((0, 0), SHAPE)


def test_points_of_napari_on_other_planes_are_left_out(draws, tmp_path):
    path = tmp_path / "points.csv"
    path.write_text("index,axis-0,axis-1,axis-2\n0,0,20,30\n1,2,25,31\n2,1.9,26,40\n")
    for given in ({"regions": path}, {"catalog": path}):
        for plane, ids in (((0,), ["1"]), ((2,), ["2", "3"]), ((), ["1", "2", "3"])):
            regions = find_regions(draws, plane, 10**6, radius=2, **given)
            assert [r.id for r in regions] == ids
        np.testing.assert_allclose(at_input(regions[1].shape), [25, 31])


def test_a_damaged_file_of_labels(draws, tmp_path):
    (tmp_path / "a.npy").write_bytes(b"no numbers")
    with pytest.raises(InputError, match=r"cannot be read as \.npy"):
        found(draws, labels=tmp_path / "a.npy")


NAPARI = """index,shape-type,vertex-index,axis-0,axis-1
0,rectangle,0,20,30
0,rectangle,1,20,40
0,rectangle,2,26,40
0,rectangle,3,26,30
1,ellipse,0,20,30
1,ellipse,1,20,40
1,ellipse,2,26,40
1,ellipse,3,26,30
2,polygon,0,12,12
2,polygon,1,12,20
2,polygon,2,20,12
"""


def test_shapes_of_napari(draws, tmp_path):
    (tmp_path / "shapes.csv").write_text(NAPARI)
    regions = found(draws, regions=tmp_path / "shapes.csv")
    assert [r.id for r in regions] == ["0", "1", "2"]
    areas = [weights(r.shape).sum() for r in regions]
    assert areas == pytest.approx([240, np.pi * 60, 128], rel=0.01)
    for region in regions[:2]:
        np.testing.assert_allclose(at_input(region.shape), [23, 35])


def test_points_of_napari(draws, tmp_path):
    (tmp_path / "points.csv").write_text("index,axis-0,axis-1\n0.0,25,30\n1.0,12,13\n")
    for option in ("regions", "catalog"):
        regions = found(draws, radius=2, **{option: tmp_path / "points.csv"})
        np.testing.assert_allclose([at_input(r.shape) for r in regions], [[25, 30], [12, 13]])


def test_shapes_on_another_plane_are_left_out(draws, tmp_path):
    lines = [line.split(",") for line in NAPARI.splitlines()]
    stacked = ["index,shape-type,vertex-index,axis-0,axis-1,axis-2"]
    stacked += [",".join([*c[:3], "1" if c[0] == "0" else "0", *c[3:]]) for c in lines[1:]]
    (tmp_path / "s.csv").write_text("\n".join(stacked))
    ids = [r.id for r in find_regions(draws, (1,), 10**6, regions=tmp_path / "s.csv")]
    assert ids == ["0"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("polygon", "path"), "has no area"),
        (("2,polygon,2,20,12\n", ""), "has 2 corners"),
        (("axis-0,axis-1", "y,x"), "a shapes layer as napari saves it"),
        (("index,", "number,"), "a shapes layer as napari saves it"),
    ],
)
def test_shapes_that_cannot_be_used(draws, tmp_path, change, message):
    (tmp_path / "shapes.csv").write_text(NAPARI.replace(*change, 3))
    with pytest.raises(InputError, match=message):
        found(draws, regions=tmp_path / "shapes.csv")


def test_the_whole_result_is_one_region_if_it_is_small(draws):
    (region,) = found(draws)
    assert weights(region.shape).min() == 1
    assert region.shape.box == Box((0, 0), (80, 100))
    with pytest.raises(OptionError, match=r"too many for one region.*--regions FILE"):
        find_regions(draws, (), 7999)


def test_one_kind_of_places(draws):
    with pytest.raises(OptionError, match="--regions and --labels were given"):
        found(draws, regions="circle(1,2,3)", labels=np.ones(SHAPE, int))


def test_there_and_back(draws):
    frame, places = Frame(draws), np.array([[0.0, 0.0], [13.7, 52.1]])
    np.testing.assert_allclose(frame.to_input(frame.from_input(places)), places)
    np.testing.assert_allclose(frame.to_input([[-0.5, -0.5]]), [START - 0.5])
