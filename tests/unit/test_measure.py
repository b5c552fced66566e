"""`sciup measure`: the same numbers from stored, repeated and lazy draws, and words where none."""

import json
import logging
import sys

import numpy as np
import pytest
import tifffile
from astropy.io import fits
from astropy.table import Table

import sciup
from sciup import cli
from sciup.errors import InputError, OptionError
from sciup.geometry import Box
from sciup.io import open_image
from sciup.results.draws import Draws
from sciup.results.tables import write_table
from sciup.science.measure import groups
from sciup.science.measure.own import COLUMNS, ENDS
from sciup.testing.toy_images import cells, star, star_field
from sciup.testing.toy_model import write_toy_model

SHAPE, K = (64, 90), 4
STATED = {"psf_fwhm": 2.3, "background": 100.0, "noise_sigma": 5.0, "gain": 10.0}
FIXED = {"samples": K, "device": "cpu", "precision": "fp32"}
STARS = np.array([[20.3, 20.6], [21.1, 68.2], [50.4, 33.0]])
CIRCLES = "image\n" + "\n".join(f"circle({x + 1},{y + 1},4)" for y, x in STARS)
QUANTITIES = ["photometry", "centroid", "size", "length", "count", "intensity"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_toy_model(
        tmp_path_factory.mktemp("models") / "toy", scale=2, channels=4, head_channels=4
    )


@pytest.fixture(scope="module")
def field(tmp_path_factory):
    """Three stars of 20 000 electrons, and a masked corner."""
    header = fits.Header({"BUNIT": "electron", "CRPIX1": 1, "CRPIX2": 1, "CDELT1": -1e-4})
    header["CDELT2"], header["CTYPE1"], header["CTYPE2"] = 1e-4, "RA---TAN", "DEC--TAN"
    header["CRVAL1"], header["CRVAL2"] = 150.0, 2.0
    image = star_field(SHAPE, stars=0) + sum(20000 * star(SHAPE, *p, 2.3) for p in STARS)
    image[60:, 86:] = np.nan
    path = tmp_path_factory.mktemp("field") / "field.fits"
    fits.PrimaryHDU(image.astype(np.float32), header).writeto(path)
    return path


def lazy(model, field, **more):
    return sciup.upscale(field, model=model, **STATED | FIXED | more)


@pytest.fixture(scope="module")
def kept(model, field, tmp_path_factory):
    """A result that holds its draws."""
    path = tmp_path_factory.mktemp("kept") / "kept.fits"
    return lazy(model, field, keep_samples=K + 1).save(path)


def same(one, two):
    assert one.colnames == two.colnames
    for name in one.colnames:
        np.testing.assert_array_equal(np.asarray(one[name]), np.asarray(two[name]), name)


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_lazy_stored_and_repeated_draws_give_the_same(model, field, kept, tmp_path, quantity):
    result = lazy(model, field)
    plain = result.save(tmp_path / "plain.fits")
    first = sciup.measure(kept, quantity, regions=CIRCLES, samples=K + 1)
    assert len(first) == 3
    assert set(first["draws"]) == {K + 1}
    for source in (result, plain, Draws.of_result(result)):
        same(
            sciup.measure(source, quantity, regions=CIRCLES, samples=K + 1, model=str(model)), first
        )


def test_the_numbers_are_those_of_the_draws(kept):
    table = sciup.measure(kept, lambda image, mask: image[mask].sum(), regions="box(21,21,6,4,0)",
                          samples=K + 1)  # fmt: skip
    part = Box((37, 35), (45, 47))
    sums = Draws.open(kept).window((), part).sum((1, 2))
    row = table[0]
    name = table.colnames[table.colnames.index("snr") + 1]
    assert row[name] == pytest.approx(sums.mean())
    assert row[f"{name}_std"] == pytest.approx(sums.std(ddof=1))
    assert row[f"{name}_lo95"] < sums.min()
    assert row[f"{name}_hi95"] > sums.max()


def test_photometry_of_stars(kept, model):
    """An untrained network takes some of their light for wings."""
    table = sciup.measure(kept, "photometry", regions=CIRCLES, model=str(model))
    assert table.meta["draws"] == 64
    np.testing.assert_allclose(table["flux"], 20000, rtol=0.1)
    assert (table["flux_lo95"] <= table["flux_lo68"]).all()
    assert (table["flux_hi68"] <= table["flux_hi95"]).all()
    assert table["flux"].unit == "electron"
    np.testing.assert_allclose(np.stack([table["y"], table["x"]], -1), STARS, atol=1e-9)
    np.testing.assert_allclose(table["dec"], 2 + STARS[:, 0] * 1e-4, atol=1e-7)
    ring = sciup.measure(kept, "photometry", regions=CIRCLES, samples=5, background="ring")
    np.testing.assert_allclose(ring["flux"], 20000, rtol=0.1)
    assert ring.meta["background"] == "local ring"
    assert table.meta["background"] == "100 in input units"


def test_light_counts_above_the_sky_as_the_run_believed_it(model, tmp_path):
    """On a slope from 100 to 400 a single level would add thousands of electrons."""
    places, shape = [(100.3, 90.6), (101.1, 710.2)], (200, 800)
    image = np.random.default_rng(0).normal(0, 5, shape) + np.linspace(100, 400, 800)
    image += sum(20000 * star(shape, *p, 2.3) for p in places)
    given = {k: STATED[k] for k in ("psf_fwhm", "gain")}
    result = sciup.upscale(image.astype(np.float32), model=model, **given | FIXED)
    catalog = Table({"y": [p[0] for p in places], "x": [p[1] for p in places]})
    table = sciup.measure(result, "photometry", catalog=catalog, radius=5, samples=3)
    np.testing.assert_allclose(table["flux"], 20000, rtol=0.15)
    assert table.meta["background"].startswith("sky as the run believed it, in blocks")


def test_centroids_have_places_on_the_sky(kept):
    table = sciup.measure(kept, "centroid", regions=CIRCLES, samples=5)
    found = np.stack([table["centroid_y"], table["centroid_x"]], -1)
    np.testing.assert_allclose(found, STARS, atol=0.15)
    np.testing.assert_allclose(table["centroid_dec"], 2 + found[:, 0] * 1e-4, atol=1e-7)


@pytest.mark.parametrize("values", [2**26, 4000 * 5])
@pytest.mark.parametrize("side", [8, 512])
def test_grouping_changes_nothing_and_draws_each_part_once(kept, monkeypatch, side, values):
    catalog = Table({"y": np.repeat(STARS[:, 0], 3), "x": np.repeat(STARS[:, 1], 3)})
    catalog["x"] += np.tile([0.0, 1.0, 2.0], 3)
    expected = sciup.measure(kept, "photometry", catalog=catalog, radius=3, samples=5)
    monkeypatch.setattr(groups, "SIDE", side)
    monkeypatch.setattr(groups, "VALUES", values)
    boxes, window = [], Draws.window
    monkeypatch.setattr(Draws, "window", lambda s, p, b, c: boxes.append(b) or window(s, p, b, c))
    same(sciup.measure(kept, "photometry", catalog=catalog, radius=3, samples=5), expected)
    assert len(boxes) == (1 if side == 512 and values == 2**26 else len(set(boxes)))
    assert len(boxes) < 9
    assert max(b.size for b in boxes) * 5 <= max(values, 1)


def test_objects_that_cannot_be_measured_have_words(kept, monkeypatch):
    monkeypatch.setattr(groups, "VALUES", 4000 * 5)
    table = sciup.measure(
        kept,
        "photometry",
        regions="circle(21,21,4)\ncircle(2,21,4)\ncircle(400,21,4)\ncircle(87,61,2)\n"
        "circle(40,30,20)\ncircle(40.5,30.5,0.1)",
        samples=5,
    )
    assert list(table["flag"]) == [
        "",
        "sticks out of the result",
        "outside the result",
        "on masked pixels",
        "too large: at most 4000 px with 5 draws",
        "holds no pixel centre",
    ]
    assert np.isfinite(table["flux"][0])
    for name in ("flux", "flux_std", "flux_lo95", "flux_hi68"):
        assert np.isnan(table[name][1:]).all()
    assert list(table["draws"]) == [5, 0, 0, 0, 0, 0]
    only = sciup.measure(kept, "size", regions="circle(400,21,4)", samples=5)
    assert np.isnan(only["diameter"][0])


def test_rows_of_a_catalogue_without_a_place_stay(kept):
    catalog = Table({"id": ["a", "b"], "ra": [150.0, 330.0], "dec": [2.003, -2.0]})
    catalog["ra"][0] = np.nan
    table = sciup.measure(kept, "centroid", catalog=catalog, radius=3, samples=5)
    assert list(table["id"]) == ["a", "b"]
    assert set(table["flag"]) == {"outside the result"}
    assert np.isnan(table["y"]).all()
    assert np.isnan(table["centroid_ra"]).all()


def test_lazy_and_finished_results_say_the_same_of_themselves(model, field, kept):
    one, two = Draws.of_result(lazy(model, field)), Draws.open(kept)
    assert one.about == two.about
    assert set(one.about) == {"model", "weights", "source", "seed", "samples", "sciup"}
    assert one.input_shape == two.input_shape == SHAPE


def test_what_some_draws_do_not_tell(kept):
    def sometimes(image, mask):
        sometimes.calls += 1
        return float("nan") if sometimes.calls % 5 < sometimes.bad else 1.0

    for bad, known in ((2, True), (3, False)):
        sometimes.calls, sometimes.bad = -1, bad
        table = sciup.measure(kept, sometimes, regions="circle(21,21,4)", samples=5)
        assert table["flag"][0] == f"not measurable in {bad} of 5 draws"
        assert bool(np.isfinite(table["sometimes"][0])) == known


def test_without_the_input_the_stored_draws_are_measured(model, field, tmp_path, caplog):
    own = tmp_path / "field.fits"
    own.write_bytes(field.read_bytes())
    kept = lazy(model, own, keep_samples=K + 1).save(tmp_path / "out.fits")
    own.unlink()
    with caplog.at_level(logging.WARNING, "sciup"):
        table = sciup.measure(kept, "photometry", regions=CIRCLES)
    assert table.meta["draws"] == 5
    assert set(table["draws"]) == {5}
    assert "Student" in table.meta["interval_95"]
    assert "only the 5 stored draws are measured" in caplog.text
    with pytest.raises(InputError, match="cannot be made again"):
        sciup.measure(kept, "photometry", regions=CIRCLES, samples=6)


def test_draws_that_come_out_otherwise_are_never_measured(model, field, tmp_path):
    """Fewer of them are as wrong; stored ones are right."""
    for keep in (0, K + 1):
        out = lazy(model, field, keep_samples=keep).save(tmp_path / f"{keep}.fits")
        with fits.open(out, mode="update") as hdus:
            hdus["SAMPLE"].data += 3
        given = {"regions": CIRCLES, "model": str(model)}
        if keep:
            assert sciup.measure(out, "photometry", **given).meta["draws"] == K + 1
        else:
            with pytest.raises(InputError, match="differs from the stored one"):
                sciup.measure(out, "photometry", **given)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"samples": 1}, "2 to 1024"),
        ({"plane": "1"}, "--plane 1"),
        ({"plane": "x"}, "--plane x"),
        ({"background": "none"}, "known or ring"),
    ],
)
def test_options_that_are_not_possible(kept, options, message):
    with pytest.raises(OptionError, match=message):
        sciup.measure(kept, "photometry", regions=CIRCLES, **options)


def test_planes_of_a_micrograph_with_its_pixel_size(tmp_path):
    model = write_toy_model(
        tmp_path / "toy", scale=2, channels=4, head_channels=4, domain="fluorescence"
    )
    stack = np.stack([cells((40, 48), seed=i) for i in range(2)])
    image = open_image(stack)
    image.grid = type(image.grid)((0.1, 0.1), "micrometer")
    result = sciup.upscale(image, model=model, psf_fwhm=2.0, **FIXED)
    with pytest.raises(OptionError, match=r"2 planes.*--plane"):
        sciup.measure(result, "size", samples=3)
    labels = np.zeros((40, 48), np.int32)
    labels[10:20, 12:30] = 4
    both = sciup.measure(result, "size", labels=labels, samples=3, plane="all")
    assert list(both["plane"]) == ["0", "1"]
    assert both["diameter"].unit == "um"
    plain = sciup.upscale(stack, model=model, psf_fwhm=2.0, **FIXED)
    pixels = sciup.measure(plain, "size", labels=labels, samples=3, plane="all")["diameter"]
    np.testing.assert_allclose(both["diameter"].value, pixels.value * 0.1, rtol=1e-6)
    np.testing.assert_allclose(both["x_physical"], 20.5 * 0.1)
    one = sciup.measure(result, "size", labels=labels, samples=3, plane=(1,))
    seen = result.job.instruments
    assert seen[0].background.value != seen[1].background.value
    for table, plane in ((both, 0), (one, 1)):
        assert table.meta["instrument_of"] == f"plane {plane}"
        assert table.meta["instrument_background"].startswith(f"{seen[plane].background.value} ")
    for index, words in (("1", ""), ("all", " (plane 0)")):
        told = sciup.measure(
            result, "size", labels=labels, samples=3, plane=index, background="known"
        ).meta["background"]
        believed = seen[int(index == "1")].background.value
        assert told == f"{believed:g} in input units{words}"
    assert one["diameter"][0] == both["diameter"][1] != both["diameter"][0]
    light = sciup.measure(result, "photometry", labels=labels, samples=3, plane="0")
    assert light.meta["background"] == "local ring"


@pytest.mark.parametrize("suffix", [None, "fits", "ome.zarr"])
def test_pixels_that_are_not_square(tmp_path, suffix):
    model = write_toy_model(
        tmp_path / "toy", scale=2, channels=4, head_channels=4, domain="fluorescence"
    )
    image = open_image(cells((40, 48)))
    image.grid = type(image.grid)((0.4, 0.1), "micrometer")
    result = sciup.upscale(image, model=model, psf_fwhm=2.0, **FIXED | {"keep_samples": 5})
    if suffix:
        result = result.save(tmp_path / f"out.{suffix}")
    for table in (
        sciup.measure(result, "intensity", regions="circle(21,11,4)", samples=3),
        sciup.detect(result, "nucleus", samples=4),
    ):
        np.testing.assert_allclose(table["y_physical"], 0.4 * table["y"])
        np.testing.assert_allclose(table["x_physical"], 0.1 * table["x"])


def test_counts_have_whole_intervals(kept):
    table = sciup.measure(kept, "count", samples=5)
    assert list(table["id"]) == ["all"] or table["flag"][0]
    found = sciup.measure(kept, "count", regions="box(40,30,70,50,0)", samples=5)
    assert found["sources"][0] >= 3
    assert found["sources_lo95"][0] == int(found["sources_lo95"][0])


def test_the_table_says_how_it_was_made(kept):
    meta = sciup.measure(kept, "size", regions=CIRCLES, samples=5).meta
    assert meta["quantity"] == "size"
    assert meta["result_model"] == "toy"
    assert len(meta["result_weights"]) == 64
    assert meta["result_seed"] == 0
    assert meta["result_source"].endswith("field.fits")
    assert meta["instrument_psf_fwhm"].startswith("2.3 (given")
    assert "one more draw" in meta["interval_assumes"]
    assert "intervals are those of the draws as such" in meta["coverage"]
    json.dumps(meta)


def run(capsys, *arguments):
    """Exit code and what was printed."""
    try:
        cli.main(["measure", *map(str, arguments)])
    except SystemExit as done:
        captured = capsys.readouterr()
        return done.code or 0, captured.out + captured.err
    return 0, capsys.readouterr().out


@pytest.mark.parametrize("suffix", ["ecsv", "csv", "fits"])
def test_tables_in_files(kept, tmp_path, capsys, suffix):
    (tmp_path / "a.reg").write_text(CIRCLES)
    out = tmp_path / f"t.{suffix}"
    arguments = (kept, "--with", "photometry", "--regions", tmp_path / "a.reg", "--samples", 5)
    code, text = run(capsys, *arguments, "--out", out)
    assert code == 0
    words = " ".join(text.split())
    assert "95 % intervals: Student t of 5 draws" in words
    assert "flux [electron]" in words
    assert "coverage: intervals are those of the draws as such" in words
    form = {"ecsv": "ascii.ecsv", "csv": "ascii.csv", "fits": "fits"}[suffix]
    table = Table.read(out, format=form)
    expected = sciup.measure(kept, "photometry", regions=CIRCLES, samples=5)
    np.testing.assert_allclose(table["flux"], expected["flux"])
    if suffix == "ecsv":
        assert table.meta["result_seed"] == 0
        assert table["flux"].unit == "electron"
    if suffix == "fits":
        assert any("result_seed: 0" in line for line in table.meta["comments"])
    code, text = run(capsys, *arguments, "--out", out)
    assert code == 2
    assert "exists already" in " ".join(text.split())
    assert run(capsys, *arguments, "--out", out, "--overwrite")[0] == 0


def test_what_is_read_is_never_replaced(model, field, tmp_path, capsys, monkeypatch):
    (tmp_path / "field.fits").write_bytes(field.read_bytes())
    kept = lazy(model, tmp_path / "field.fits", keep_samples=K + 1).save(tmp_path / "kept.fits")
    Table({"y": [20.0], "x": [20.0]}).write(tmp_path / "a.csv")
    Table({"y": [20.0], "x": [20.0]}).write(tmp_path / "a.fits")
    fits.PrimaryHDU(np.ones(SHAPE, np.uint8)).writeto(tmp_path / "l.fits")
    (tmp_path / "link.csv").symlink_to("a.csv")
    monkeypatch.chdir(tmp_path)
    before = {p: p.read_bytes() for p in tmp_path.iterdir()}
    for more in (
        ("--catalog", "a.csv", "--out", "a.csv"),
        ("--catalog", "a.csv", "--out", tmp_path / "link.csv"),
        ("--catalog", "a.fits", "--out", "./a.fits"),
        ("--regions", "a.csv", "--out", "a.csv"),
        ("--labels", "l.fits", "--out", "l.fits"),
        ("--catalog", "a.csv", "--out", "field.fits"),
        ("--catalog", "a.csv", "--dq", "a.fits[1]", "--out", "a.fits"),
        ("--catalog", "a.csv", "--out", "kept.fits"),
    ):
        for overwrite in ((), ("--overwrite",)):
            code, text = run(
                capsys, kept, "--with", "photometry", "--radius", 3, "--samples", 5, *more,
                *overwrite,
            )  # fmt: skip
            assert code == 2
            assert "is what is measured, or read or written here" in " ".join(text.split())
    assert {p: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_fits_tables_of_other_letters(tmp_path):
    table = Table({"id": ["Grün", "b"], "größe": [1.0, 2.0]}, meta={"result": "/home/jürgen"})
    write_table(tmp_path / "t.fits", table)
    found = Table.read(tmp_path / "t.fits")
    assert list(found["id"]) == ["Gr?n", "b"]
    assert found.colnames == ["id", "gr??e"]
    assert list(table["id"]) == ["Grün", "b"]

    class Odd(Table):
        def write(self, path, **_):
            path.write_text("half")
            raise UnicodeEncodeError("ascii", "ü", 0, 1, "no")

    with pytest.raises(UnicodeEncodeError):
        write_table(tmp_path / "o.csv", Odd({"id": ["ü"]}))
    assert [p.name for p in tmp_path.iterdir()] == ["t.fits"]


def test_json(kept, capsys):
    code, text = run(
        capsys, kept, "--with", "size", "--samples", 5, "--json", "--regions",
        "circle(21,21,4)\ncircle(2,21,4)",
    )  # fmt: skip
    assert code == 0
    told = json.loads(text)
    assert told["rows"][1]["diameter"] is None
    assert told["rows"][0]["diameter"] > 0
    assert told["meta"]["draws"] == 5


OWN = '''
def brightest(image, mask):
    image -= 100
    return image[mask].max()

def named(image, mask, context):
    """Two numbers."""
    return {"light": context.light(image)[mask].sum(), "pixels": int(mask.sum())}

def whole(image, mask): return int(mask.sum())
def breaks(image, mask):
    return image.no_such_thing
def three(image, mask): return image[:3, 0]
def nothing(image, mask): pass
def word(image, mask): return "bright"
def empty(image, mask): return {}
def odd(image, mask): return {"a b": 1.0}
def endless(image, mask): return float("inf")
def changing(image, mask): return {f"at_{image.max():.3f}".replace(".", "_").replace("-", "m"): 1.0}
def leaves(image, mask): raise SystemExit(3)
def alone(image): return 1.0
constant = 3
'''


@pytest.fixture
def own(tmp_path):
    (tmp_path / "own.py").write_text(OWN)
    return tmp_path / "own.py"


def test_own_functions(kept, own):
    bright = sciup.measure(kept, f"{own}:brightest", regions=CIRCLES, samples=5)
    # every draw and every row gets pixels of its own, which it may change
    again = sciup.measure(kept, lambda i, m: i[m].max() - 100, regions=CIRCLES, samples=5)
    np.testing.assert_allclose(bright["brightest"], again["own"])
    assert bright.meta["quantity"] == f"{own}:brightest"
    named = sciup.measure(kept, f"{own}:named", regions=CIRCLES, samples=5)
    assert named.meta["definition"] == "Two numbers."
    assert (named["light"] > 0).all()
    assert (named["pixels_lo95"] == named["pixels_hi95"]).all()
    assert sciup.measure(kept, f"{own}:whole", regions=CIRCLES, samples=5)["whole"][0] > 100


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("breaks", r"has no attribute 'no_such_thing'.*line 12: return image.no_such_thing"),
        ("three", r"returned an array of shape \(3,\)"),
        ("nothing", "returned None as nothing.*a number, or a dict"),
        ("word", "returned 'bright'"),
        ("empty", "an empty dict"),
        ("odd", "a number named 'a b'"),
        ("endless", "returned inf.*return NaN"),
        ("changing", "for one draw and .* for another"),
        ("leaves", r"SystemExit: 3 .*line 20"),
        ("alone", r"takes other arguments. Allowed: \(image, mask\)"),
        ("constant", "no function constant.*brightest, "),
        ("missing", "no function missing"),
    ],
)
def test_own_functions_that_fail(kept, own, capsys, name, message):
    regions = ("--regions", "circle(21,21,4)\ncircle(60,21,4)")
    code, text = run(capsys, kept, "--with", f"{own}:{name}", "--samples", 5, *regions)
    assert code == 2
    assert "Traceback" not in text
    with pytest.raises(OptionError, match=f"(?s){message}"):
        sciup.measure(kept, f"{own}:{name}", regions=regions[1], samples=5)


@pytest.mark.parametrize(
    "name",
    ["y", "X", "id", "flag", "draws", "plane", "ra", "dec", "y_output", "x_physical", "a_std",
     "flux_lo95", "flux_hi68"],
)  # fmt: skip
def test_names_that_are_columns_already(kept, name):
    with pytest.raises(OptionError, match=f"a number named '{name}', which is a column"):
        sciup.measure(kept, lambda i, m: {name: 1.0}, regions="circle(21,21,4)", samples=5)


def test_every_column_of_a_table_is_a_name_nobody_else_may_use(kept):
    table = sciup.measure(kept, lambda i, m: {"a": 1.0}, regions="circle(21,21,4)", samples=5)
    taken = (*COLUMNS, "a", *(f"a{end}" for end in ENDS))
    assert set(table.colnames) <= set(taken)


def test_centroids_of_own_functions_have_no_place_on_the_sky(kept):
    own = lambda i, m: {"centroid_y": 1.0}  # noqa: E731
    table = sciup.measure(kept, own, regions="circle(21,21,4)", samples=5)
    assert "centroid_y" in table.colnames
    assert "centroid_ra" not in table.colnames
    with pytest.raises(OptionError, match="more than capital letters"):
        sciup.measure(kept, lambda i, m: {"a": 1.0, "A": 2.0}, regions=CIRCLES, samples=5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("def f(:\n", r"SyntaxError.*bad.py, line 1"),
        ("import no_such_package\n", "No module named 'no_such_package'.*line 1"),
        ("x = 1\ny = x / 0\n", r"ZeroDivisionError.*line 2: y = x / 0"),
        ("exit(1)\n", "SystemExit"),
        (None, "no file"),
    ],
)
def test_files_that_cannot_be_loaded(kept, tmp_path, content, message):
    if content is not None:
        (tmp_path / "bad.py").write_text(content)
    with pytest.raises(OptionError, match=message):
        sciup.measure(kept, f"{tmp_path / 'bad.py'}:f")


def test_a_module_of_the_working_folder(kept, tmp_path, monkeypatch):
    (tmp_path / "my_own_measures.py").write_text("def one(image, mask):\n    return 1.0\n")
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    table = sciup.measure(kept, "my_own_measures:one", regions="circle(21,21,4)", samples=5)
    assert list(table["one"]) == [1.0]
    assert sys.path == before


@pytest.mark.parametrize("name", ["brightness", "no_such_module_here:f", ":f", "a.py:"])
def test_no_such_quantity(kept, name):
    with pytest.raises(OptionError, match=r"photometry, centroid|cannot be loaded"):
        sciup.measure(kept, name)


def test_the_function_of_the_guide(kept, tmp_path, capsys):
    """docs/how-to/measure.md shows five lines: they run as they stand."""
    from pathlib import Path

    page = (Path(__file__).parents[2] / "docs/how-to/measure.md").read_text()
    code = page.split("```python\n")[1].split("```")[0]
    assert len([line for line in code.splitlines() if line.strip()]) <= 6
    (tmp_path / "my.py").write_text(code)
    tifffile.imwrite(
        tmp_path / "stars.tif", np.pad(np.ones((9, 9), np.uint8), ((16, 39), (16, 65)))
    )
    out = tmp_path / "own.ecsv"
    status, text = run(
        capsys, kept, "--with", f"{tmp_path / 'my.py'}:elongation", "--labels",
        tmp_path / "stars.tif", "--samples", 5, "--out", out,
    )  # fmt: skip
    assert status == 0, text
    table = Table.read(out, format="ascii.ecsv")
    assert 1 <= table["elongation"][0] < 1.3
