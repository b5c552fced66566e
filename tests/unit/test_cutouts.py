"""Stamps around the positions of a catalogue."""

import json

import numpy as np
import pandas
import pytest
import zarr
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.table import Table
from astropy.wcs import WCS
from hypothesis import given
from hypothesis import strategies as st

import sciup
from sciup.engine.cutouts import CutoutWorker
from sciup.errors import InputError, InterruptedRunError, OptionError, ResumeError
from sciup.geometry import Box
from sciup.results.about import about
from sciup.results.recognise import check_result
from sciup.results.verify import verify
from sciup.testing.toy_images import star_field
from sciup.testing.toy_model import write_toy_model

SHAPE, SIZE, SCALE = (300, 400), 21, 2
MAPS = ("sample", "mean", "std")
# the first three share windows; then one over four windows, two at the rims, outside, nowhere
PLACES = [(40.0, 50.0), (45.5, 60.25), (20.0, 90.0), (127.6, 128.2), (3.0, 200.0), (296.0, 398.0),
          (-50.0, 20.0), (np.nan, 7.0)]  # fmt: skip
FLAGS = ["", "", "", "", "rim", "rim", "outside", "no position"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cutouts")
    header = fits.Header({"CRPIX1": 200.0, "CRPIX2": 150.0, "CTYPE1": "RA---TAN",
                          "CTYPE2": "DEC--TAN", "CRVAL1": 150.1, "CRVAL2": 2.2,
                          "CDELT1": -1 / 3600, "CDELT2": 1 / 3600, "BUNIT": "adu",
                          "FILTER": "r", "CRPIX1A": 1.0, "CTYPE1A": "LINEAR"})  # fmt: skip
    values = star_field(SHAPE, stars=60)
    values[44:46, 52:58] = np.nan
    fits.PrimaryHDU(values, header).writeto(folder / "in.fits")
    fits.ImageHDU(np.stack([values, values[::-1]])).writeto(folder / "cube.fits")
    write_toy_model(folder / "toy", channels=4, head_channels=4)
    return folder


def options(folder, **more):
    given = {"model": folder / "toy", "samples": 1, "maps": MAPS, "psf_fwhm": 2.4, "device": "cpu",
             "precision": "fp32", "keep_samples": 2}  # fmt: skip
    return given | more


def catalogue(places=PLACES):
    y, x = np.array(places).T
    return Table({"id": [f"s{i}" for i in range(len(places))], "y": y, "x": x})


def lazy(folder, places=PLACES, size=SIZE, **more):
    return sciup.cutouts(folder / "in.fits", catalogue(places), size, **options(folder, **more))


@pytest.fixture(scope="module")
def stamps(folder):
    return lazy(folder).save(folder / "stamps.fits")


@pytest.fixture(scope="module")
def whole(folder):
    path = sciup.upscale(folder / "in.fits", **options(folder)).save(folder / "whole.fits")
    with fits.open(path) as hdus:
        return {hdu.name: hdu.data.copy() for hdu in hdus if hdu.name.lower() in (*MAPS, "samples")}


def expected(image, corner):
    """The pixels of a stamp of a whole plane, NaN outside."""
    margin = 2 * SCALE * SIZE
    padded = np.pad(image, margin, constant_values=np.nan)
    y, x = (SCALE * a + margin for a in corner)
    return padded[y : y + SCALE * SIZE, x : x + SCALE * SIZE]


def test_pixels_are_those_of_the_whole(stamps, whole):
    with fits.open(stamps) as hdus:
        table = hdus["CUTOUTS"].data
        assert table["flag"].tolist() == FLAGS
        assert table["id"].tolist() == [f"s{i}" for i in range(len(PLACES))]
        for name in ("SAMPLE", "MEAN", "STD"):
            assert hdus[name].shape == (len(PLACES), SCALE * SIZE, SCALE * SIZE)
            for row, stamp in zip(table, hdus[name].data, strict=True):
                if row["flag"] in ("", "rim"):
                    want = expected(whole[name], (row["y0"], row["x0"]))
                    assert np.array_equal(stamp, want, equal_nan=True), (name, row["id"])
                    assert np.isfinite(stamp).any()
                else:
                    assert np.isnan(stamp).all()
        for k in range(2):
            want = expected(whole["SAMPLES"][k], (table["y0"][3], table["x0"][3]))
            assert np.array_equal(hdus["SAMPLES"].data[k, 3], want)


def test_pixels_are_those_of_a_roi(folder, stamps):
    roi = Box((35, 50), (35 + SIZE, 50 + SIZE))
    path = sciup.upscale(folder / "in.fits", roi=roi, **options(folder)).save(folder / "roi.fits")
    with fits.open(stamps) as many, fits.open(path) as one:
        table = many["CUTOUTS"].data
        assert (table["y0"][1], table["x0"][1]) == roi.start
        assert np.array_equal(many["MEAN"].data[1], one["MEAN"].data, equal_nan=True)


def test_every_stamp_has_its_place_on_the_sky(stamps):
    with fits.open(stamps) as hdus:
        whole_sky = WCS(fits.getheader(stamps.parent / "in.fits"))
        header = hdus["FIELD"].header
        assert header["FILTER"] == "r"
        assert not any(key.endswith("A") and key.startswith("C") for key in header)
        for row in hdus["CUTOUTS"].data[:6]:
            own = header.copy(strip=True)
            own["CRPIX1"], own["CRPIX2"] = row["crpix1"], row["crpix2"]
            y, x = ((row[a] - row[f"{a}0"] + 0.5) * SCALE - 0.5 for a in "yx")
            there, want = (
                WCS(own).pixel_to_world(x, y),
                whole_sky.pixel_to_world(row["x"], row["y"]),
            )
            assert there.separation(want).arcsec < 1e-3
            assert abs(row["ra"] - want.ra.deg) < 1e-7
            assert abs(row["dec"] - want.dec.deg) < 1e-7
        assert "CRVAL1" not in hdus["MEAN"].header or hdus["MEAN"].header["CTYPE1"] == "LINEAR"


@given(y=st.floats(5, 290), x=st.floats(5, 390), size=st.integers(1, 9))
def test_the_pixels_chosen_are_those_of_astropy(folder, y, x, size):
    from sciup.science.cutouts.run import first_pixels

    ours = first_pixels(np.array([[y, x]]), size)[0]
    theirs = Cutout2D(np.zeros(SHAPE), (x, y), size, mode="partial")
    assert ours == tuple(a for a, _ in theirs.bbox_original)


def test_positions_on_the_sky_mean_the_same(folder, stamps):
    rows = Table.read(stamps, hdu="CUTOUTS")[:6]
    sky = Table({"RA": rows["ra"], "Dec": rows["dec"]})
    made = sciup.cutouts(folder / "in.fits", sky, "21arcsec", **options(folder))
    assert made.job.size == SIZE
    assert made.table["y0"].tolist() == rows["y0"].tolist()
    assert made.table["x0"].tolist() == rows["x0"].tolist()
    assert made.table["id"].tolist() == ["1", "2", "3", "4", "5", "6"]


def test_shared_windows_run_once(folder, monkeypatch):
    ran = []
    paste = CutoutWorker.submit

    def submit(self, function, *arguments):
        ran.append(arguments[0].index)
        return paste(self, function, *arguments)

    monkeypatch.setattr(CutoutWorker, "submit", submit)
    rng = np.random.default_rng(0)
    made = lazy(folder, rng.uniform(20, 230, (60, 2)), keep_samples=0, maps=("mean",))
    seen = []
    made.save(folder / "many.fits", progress=lambda *count: seen.append(count))
    assert sorted(ran) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert seen[-1] == (4, 4)
    assert made.job.windows == 4


def test_memory_bounds_what_is_made_together(folder, monkeypatch):
    made = lazy(folder, [(100.0, 100.0)] * 50)
    assert sorted(map(len, made.job.groups)) == [50]
    monkeypatch.setattr("sciup.engine.cutouts.TOGETHER", 7 * 4 * 5 * (SIZE * SCALE) ** 2)
    made = lazy(folder, [(100.0, 100.0)] * 50)
    assert sorted(map(len, made.job.groups)) == [1, *[7] * 7]
    assert sorted(i for group in made.job.groups for i in group) == list(range(50))


def test_a_stopped_run_goes_on(folder, stamps, monkeypatch):
    monkeypatch.setattr("sciup.engine.cutouts.TOGETHER", 1)
    out = folder / "again.fits"

    def stop(done, total):
        if done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(InterruptedRunError):
        lazy(folder).save(out, progress=stop)
    with pytest.raises(InputError, match=r"--resume: sciup cutouts .*in.fits .*again.fits"):
        check_result(out)
    with pytest.raises(ResumeError, match="cutouts"):
        lazy(folder, PLACES[:-1]).save(out, resume=True)
    lazy(folder).save(out, resume=True)
    with fits.open(out) as a, fits.open(stamps) as b:
        assert [hdu.name for hdu in a] == [hdu.name for hdu in b]
        for name in ("SAMPLE", "MEAN", "STD", "SAMPLES"):
            assert np.array_equal(a[name].data, b[name].data, equal_nan=True)
        assert a["CUTOUTS"].data.tobytes() == b["CUTOUTS"].data.tobytes()
    assert lazy(folder).save(out, resume=True) == out


def test_a_whole_file_is_verified_and_damage_found(folder, stamps):
    good = verify(stamps)
    assert not good.damage
    assert good.shards == 5 * len(PLACES)
    bad = folder / "bad.fits"
    with fits.open(stamps) as hdus:
        places = [hdus[name].fileinfo()["datLoc"] + 40 for name in ("MEAN", "CUTOUTS")]
    for place, name in zip(places, ("mean", "cutouts"), strict=True):
        data = bytearray(stamps.read_bytes())
        data[place] ^= 1
        bad.write_bytes(data)
        assert any(name in damage.where for damage in verify(bad).damage)


def test_what_needs_a_whole_result_refuses(stamps):
    with pytest.raises(InputError, match="holds cut-outs"):
        about(stamps)


def test_zarr_has_the_same(folder, stamps):
    path = lazy(folder).save(folder / "stamps.ome.zarr")
    with fits.open(stamps) as hdus:
        for name in MAPS:
            array = zarr.open_array(str(path / name / "0"), mode="r")
            assert array.metadata.dimension_names == ("stamp", "y", "x")
            assert np.array_equal(array[...], hdus[name.upper()].data, equal_nan=True)
        table = Table.read(path / "cutouts.ecsv")
        assert table["y0"].tolist() == hdus["CUTOUTS"].data["y0"].tolist()
    header = fits.Header.fromstring(table.meta["field_header"], sep="\n")
    assert header["CRPIX1"] == fits.getheader(stamps, "FIELD")["CRPIX1"]
    assert not verify(path).damage
    text = (path / "cutouts.ecsv").read_text()
    (path / "cutouts.ecsv").write_text(text.replace("rim", "rum"))
    assert [d.where for d in verify(path).damage] == ["cutouts.ecsv"]


def test_planes_of_a_cube(folder):
    job = options(folder, keep_samples=0, maps=("mean",))
    made = sciup.cutouts(folder / "cube.fits", catalogue(PLACES[:4]), SIZE, **job)
    path = made.save(folder / "cubes.fits")
    one = sciup.upscale(folder / "cube.fits", **job).save(folder / "whole_cube.fits")
    with fits.open(path) as hdus, fits.open(one) as want:
        assert hdus["MEAN"].shape == (4, 2, SCALE * SIZE, SCALE * SIZE)
        for row, stamp in zip(hdus["CUTOUTS"].data, hdus["MEAN"].data, strict=True):
            for p in range(2):
                place = expected(want["MEAN"].data[p], (row["y0"], row["x0"]))
                assert np.array_equal(stamp[p], place, equal_nan=True)


@pytest.mark.parametrize(("places", "size", "words"), [
    (PLACES, "0", "--size 0"), (PLACES, "5parsec", "5 parsec"), (PLACES, 5000, "--size 5000"),
    (PLACES[6:], 9, "none of the 2"),
])  # fmt: skip
def test_what_cannot_be_is_told(folder, places, size, words):
    with pytest.raises((OptionError, InputError), match=words):
        lazy(folder, places, size)


def test_places_as_pairs_or_columns(folder):
    corners = [tuple(row) for row in lazy(folder).table["y0", "x0"]]
    y, x = np.transpose(PLACES)
    # as pairs, the order of the columns of a frame would decide which one is y
    frame = pandas.DataFrame({"x": x, "y": y})
    for places in (PLACES, np.array(PLACES), {"y": y, "x": x}, frame):
        table = sciup.cutouts(folder / "in.fits", places, SIZE, **options(folder)).table
        assert [tuple(row) for row in table["y0", "x0"]] == corners
    for wrong in ([1.0, 2.0], [(1, 2, 3)], len, [("a", "b")]):
        with pytest.raises(InputError, match="pairs"):
            sciup.cutouts(folder / "in.fits", wrong, SIZE, **options(folder))
    with pytest.raises(InputError, match=r"out of dict: .*length"):
        sciup.cutouts(folder / "in.fits", {"y": [1.0, 2.0], "x": [1.0]}, SIZE, **options(folder))


def test_a_roi_beside_positions_is_refused(folder):
    with pytest.raises(OptionError, match="roi"):
        lazy(folder, roi="0:9,0:9")


def test_command_line(folder, stamps, capsys):
    from sciup.cli import main

    catalogue().write(folder / "places.csv", format="ascii.csv", overwrite=True)
    given = ["--positions", str(folder / "places.csv"), "--size", str(SIZE), "--model",
             str(folder / "toy"), "--samples", "1", "--maps", "mean", "--psf-fwhm", "2.4",
             "--precision", "fp32", "--device", "cpu"]  # fmt: skip
    out = folder / "cli.fits"
    with pytest.raises(SystemExit) as done:
        main(["cutouts", str(folder / "in.fits"), str(out), *given])
    assert done.value.code == 0
    assert "8 stamps" in " ".join(capsys.readouterr().err.split())
    with fits.open(out) as a, fits.open(stamps) as b:
        assert np.array_equal(a["MEAN"].data, b["MEAN"].data, equal_nan=True)
        assert json.loads(a["PROVENANCE"].data["JSON"][0])["fingerprint"]["cutouts"]["size"] == SIZE
