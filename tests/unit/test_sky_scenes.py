"""Scenes of the night sky: light is conserved, sources lie where they say, roles share nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

galsim = pytest.importorskip("galsim")

from astropy.io import fits  # noqa: E402

from sciup.errors import InputError, MissingPackageError, OptionError, OutputError  # noqa: E402
from sciup.train.sky import contents, diffuse  # noqa: E402
from sciup.train.sky import scenes as sky_scenes  # noqa: E402
from sciup.train.sky import stamps as sky_stamps  # noqa: E402
from sciup.train.sky.scenes import (  # noqa: E402
    add_stamp,
    add_star,
    pack_scenes,
    render_scenes,
)
from sciup.train.sky.stamps import OVERSAMPLING, TARGET_SIGMA, Stamp, build_library  # noqa: E402
from sciup.train.sky.target import at_target  # noqa: E402

Array = NDArray[np.float64]


def centroid(image: Array) -> tuple[float, float]:
    rows, cols = np.indices(image.shape)
    return float((rows * image).sum() / image.sum()), float((cols * image).sum() / image.sum())


def second_moments(image: Array) -> tuple[float, float]:
    y, x = centroid(image)
    rows, cols = np.indices(image.shape)
    total = image.sum()
    return (
        float(((rows - y) ** 2 * image).sum() / total),
        float(((cols - x) ** 2 * image).sum() / total),
    )


@pytest.fixture(scope="module")
def library() -> tuple[list[Stamp], list[Stamp]]:
    return build_library(None, "train", 7, count=30, lenses=1)


# --- stars -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("y", "x"), [(20.0, 20.0), (19.5, 20.5), (20.31, 18.77), (15.01, 25.49)])
def test_star_keeps_its_flux_and_place(y: float, x: float) -> None:
    image = np.zeros((41, 43))
    add_star(image, y, x, 1234.5)
    assert image.sum() == pytest.approx(1234.5, rel=1e-5)
    assert centroid(image) == pytest.approx((y, x), abs=1e-4)


@pytest.mark.parametrize("phase", [0.0, 0.25, 0.5])
def test_star_has_the_target_width(phase: float) -> None:
    image = np.zeros((41, 41))
    add_star(image, 20 + phase, 20 - phase, 1.0)
    fwhm = 2.0 * np.sqrt(2.0 * np.log(2.0) * np.array(second_moments(image)))
    assert fwhm == pytest.approx([2.0, 2.0], rel=0.005)


def test_star_at_half_maximum() -> None:
    image = np.zeros((41, 41))
    add_star(image, 20, 20, 1.0)
    # FWHM 2 px, sampled and not integrated over pixels: one pixel off centre is exactly half.
    assert image[20, 21] / image[20, 20] == pytest.approx(0.5, rel=1e-9)


@pytest.mark.parametrize(("y", "x"), [(-30.0, 5.0), (5.0, 90.0), (-9.0, -9.0)])
def test_star_outside_leaves_no_light(y: float, x: float) -> None:
    image = np.zeros((32, 32))
    add_star(image, y, x, 1e5)
    assert image.max() < 1e-6


def test_star_on_the_corner_leaves_a_quarter() -> None:
    image = np.zeros((32, 32))
    add_star(image, -0.5, -0.5, 8.0)
    assert image.sum() == pytest.approx(2.0, rel=1e-5)


def test_star_adds() -> None:
    image = np.ones((32, 32))
    add_star(image, 16, 16, 5.0)
    add_star(image, 17.2, 16, 6.0)
    assert image.sum() - 1024 == pytest.approx(11.0, rel=1e-5)


def test_block_sums_are_the_integral_over_an_input_pixel() -> None:
    """Block sums of the sampled scene keep flux and place on the coarse grid."""
    image = np.zeros((64, 64))
    add_star(image, 31.3, 32.1, 1.0)
    coarse = image.reshape(32, 2, 32, 2).sum(axis=(1, 3))
    assert coarse.sum() == pytest.approx(1.0, rel=1e-5)
    # Centre of input pixel j lies at 2 j + 1/2.
    assert [2 * c + 0.5 for c in centroid(coarse)] == pytest.approx([31.3, 32.1], abs=0.03)


# --- stamps ----------------------------------------------------------------------------------


def test_stamps_have_unit_flux_and_end_at_zero(library: tuple[list[Stamp], list[Stamp]]) -> None:
    for stamp in library[0] + library[1]:
        pixels = stamp.pixels
        assert pixels.shape[0] == pixels.shape[1]
        assert pixels.dtype == np.float32
        assert pixels.sum(dtype=np.float64) == pytest.approx(1.0, rel=1e-5)
        assert pixels.min() >= 0.0
        rim = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
        assert rim.max() == 0.0
        assert abs(stamp.y - pixels.shape[0] // 2) <= 0.5
        assert abs(stamp.x - pixels.shape[0] // 2) <= 0.5


def test_brightest_stamp_fades_below_the_noise_before_its_edge(
    library: tuple[list[Stamp], list[Stamp]],
) -> None:
    for stamp in library[0] + library[1]:
        half = stamp.pixels.shape[0] // 2
        rows, cols = np.indices(stamp.pixels.shape) - half
        ring = stamp.pixels[np.hypot(rows, cols) > 0.97 * half]
        assert ring.max() * sky_scenes.FLUX_RANGE[1] < 1e-3


def test_library_has_every_size_in_order(library: tuple[list[Stamp], list[Stamp]]) -> None:
    sizes = [stamp.hlr for stamp in library[0]]
    assert sizes == sorted(sizes)
    assert sizes[0] < 0.5
    assert sizes[-1] > 20.0
    assert len(library[0]) == 30
    assert len(library[1]) == 1
    assert {"sersic", "bulge-disc", "knots", "spiral"} <= {s.morphology for s in library[0]}


def test_galaxies_and_stars_share_one_psf() -> None:
    star = np.zeros((41, 41))
    add_star(star, 20.2, 19.7, 1.0)
    drawn = sky_stamps._draw(galsim.DeltaFunction(), 20, (0.2, -0.3))
    assert np.abs(drawn - star).max() < 2e-5 * star.max()


def test_finely_sampled_pictures_share_it_too() -> None:
    star = np.zeros((41, 41))
    add_star(star, 20.25, 19.5, 1.0)
    fine = np.zeros((40 * OVERSAMPLING + 1,) * 2)
    fine[81, 78] = OVERSAMPLING**2
    drawn = sky_stamps._sample(fine)
    assert np.abs(drawn - star).max() < 2e-3 * star.max()


def test_profile_width_adds_to_the_psf_in_quadrature() -> None:
    drawn = sky_stamps._draw(galsim.Gaussian(sigma=2.0), 25, (0.0, 0.3))
    assert second_moments(drawn) == pytest.approx([4 + TARGET_SIGMA**2] * 2, rel=2e-3)
    assert centroid(drawn) == pytest.approx((25.0, 25.3), abs=1e-3)


def test_symmetric_galaxies_are_centred_where_they_say() -> None:
    rng = np.random.default_rng(3)
    for maker in (sky_stamps._sersic, sky_stamps._bulge_disc):
        stamp = maker(rng, 3.0, (0.37, -0.21))
        assert centroid(stamp.pixels.astype(float)) == pytest.approx((stamp.y, stamp.x), abs=0.02)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_turned_stamps_take_their_centre_along(turns: int, mirrored: bool) -> None:
    image = np.zeros((31, 31))
    add_star(image, 12.3, 18.9, 1.0)
    turned = Stamp(image.astype(np.float32), 12.3, 18.9, 0.3, "sersic").turned(turns, mirrored)
    assert centroid(turned.pixels.astype(float)) == pytest.approx((turned.y, turned.x), abs=1e-3)


def test_eight_orientations_differ() -> None:
    pixels = np.arange(9, dtype=np.float32).reshape(3, 3)
    stamp = Stamp(pixels, 1, 1, 1, "sersic")
    seen = {stamp.turned(k, m).pixels.tobytes() for k in range(4) for m in (False, True)}
    assert len(seen) == 8


@pytest.mark.parametrize(("y", "x"), [(100.0, 100.0), (99.62, 101.3)])
def test_pasted_galaxy_keeps_its_flux(
    y: float, x: float, library: tuple[list[Stamp], list[Stamp]]
) -> None:
    stamp = min(library[0], key=lambda s: abs(s.hlr - 3.0))
    image = np.zeros((200, 200))
    at = add_stamp(image, stamp, y, x, 321.0)
    assert image.sum() == pytest.approx(321.0, rel=1e-3)
    assert at == pytest.approx((y, x), abs=0.5)


def test_galaxy_cut_by_the_frame_is_the_cut_of_the_whole(
    library: tuple[list[Stamp], list[Stamp]],
) -> None:
    stamp = library[0][-1]
    whole, cut = np.zeros((300, 300)), np.zeros((100, 100))
    add_stamp(whole, stamp, 103.0, 190.0, 50.0)
    add_stamp(cut, stamp, 3.0, 90.0, 50.0)
    np.testing.assert_array_equal(cut, whole[100:200, 100:200])
    add_stamp(cut, stamp, 3000.0, 90.0, 50.0)
    np.testing.assert_array_equal(cut, whole[100:200, 100:200])


def test_library_is_cached_and_read_back(tmp_path: Path) -> None:
    first = build_library(None, "test", 1, count=6, lenses=1, cache=tmp_path)
    (path,) = tmp_path.glob("*.npz")
    stamp = path.stat().st_mtime_ns
    second = build_library(None, "test", 1, count=6, lenses=1, cache=tmp_path)
    assert path.stat().st_mtime_ns == stamp
    for a, b in zip(first[0] + first[1], second[0] + second[1], strict=True):
        np.testing.assert_array_equal(a.pixels, b.pixels)
        assert (a.y, a.x, a.hlr, a.morphology) == (b.y, b.x, b.hlr, b.morphology)
    build_library(None, "test", 2, count=6, lenses=1, cache=tmp_path)
    assert len(list(tmp_path.glob("*.npz"))) == 2


# --- the COSMOS sample -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def cosmos_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue of ten galaxies in the layout of GalSim's parametric COSMOS fits."""
    folder = tmp_path_factory.mktemp("cosmos")
    n = 10
    sersic = np.zeros((n, 8))
    sersic[:, 1], sersic[:, 3] = 12.0, 0.7
    # Index 6 needs an enormous FFT unless the folding threshold is coarse.
    sersic[:, 0], sersic[:, 2] = 1.0, np.where(np.arange(n) % 2, 1.0, 6.0)
    bulge = np.zeros((n, 16))
    bulge[:, [0, 8]], bulge[:, [1, 9]] = 1.0, [18.0, 6.0]
    bulge[:, [2, 10]], bulge[:, [3, 11]] = [1.0, 4.0], 0.8
    disc_and_bulge = np.arange(n) == 3
    hlr = np.where(disc_and_bulge[:, None], [0.0, 0.2, 0.5], [0.36, 0.0, 0.0])
    columns = [
        fits.Column("IDENT", "J", array=np.arange(n)),
        fits.Column("mag_auto", "D", array=np.full(n, 22.0)),
        fits.Column("flux_radius", "D", array=np.full(n, 10.0)),
        fits.Column("zphot", "D", array=np.full(n, 0.7)),
        fits.Column("sersicfit", "8D", array=sersic),
        fits.Column("bulgefit", "16D", array=bulge),
        fits.Column("fit_status", "5J", array=np.ones((n, 5))),
        fits.Column("fit_mad_s", "D", array=np.zeros(n)),
        fits.Column("fit_mad_b", "D", array=np.zeros(n)),
        fits.Column("fit_dvc_btt", "D", array=np.full(n, 0.3)),
        fits.Column("use_bulgefit", "J", array=disc_and_bulge.astype(int)),
        fits.Column("viable_sersic", "J", array=np.ones(n)),
        fits.Column("hlr", "3D", array=hlr),
        fits.Column("flux", "4D", array=np.ones((n, 4))),
    ]
    table = fits.BinTableHDU.from_columns(columns)
    table.writeto(folder / "real_galaxy_catalog_1_fits.fits")
    table.writeto(folder / "real_galaxy_catalog_1.fits")
    return folder


def test_no_galaxy_serves_two_roles(cosmos_folder: Path) -> None:
    used = {role: set(sky_stamps.Cosmos(cosmos_folder, role).index) for role in sky_stamps.ROLES}
    assert used == {"train": {0, 1, 2, 5, 6, 7}, "calibrate": {3, 8}, "test": {4, 9}}


@pytest.mark.parametrize("role", ["train", "calibrate", "test"])
def test_cosmos_stamps_are_of_the_size_asked_for(
    cosmos_folder: Path, role: sky_stamps.Role
) -> None:
    cosmos = sky_stamps.Cosmos(cosmos_folder, role)
    rng = np.random.default_rng(0)
    for _ in range(3):
        stamp = cosmos.stamp(rng, 8.0, (0.1, -0.4))
        rows, cols = np.indices(stamp.pixels.shape)
        inside = np.hypot(rows - stamp.y, cols - stamp.x) < 8.5
        # Half the light, but for the ellipticity, the PSF and wings that no stamp can hold.
        assert 0.3 < stamp.pixels[inside].sum() < 0.75
        assert stamp.morphology == "cosmos"


def test_library_uses_the_sample(cosmos_folder: Path) -> None:
    galaxies, lenses = build_library(cosmos_folder, "calibrate", 1, count=12, lenses=0)
    assert "cosmos" in {stamp.morphology for stamp in galaxies}
    assert lenses == []


def test_folder_without_a_sample_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="galsim_download_cosmos"):
        build_library(tmp_path, "train", 1, count=1, lenses=0)


# --- scenes ----------------------------------------------------------------------------------


def scenes(count: int = 3, **options: object) -> list[tuple[NDArray[np.float32], list[dict]]]:
    facts = {"side": 128, "role": "train", "seed": 3, "stamps": 5} | options
    return list(render_scenes(None, count=count, **facts))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def cached(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stamps")


def test_scenes_are_finite_positive_and_listed(cached: Path) -> None:
    for image, sources in scenes(8, cache=cached):
        assert image.shape == (128, 128)
        assert image.dtype == np.float32
        assert np.isfinite(image).all()
        assert image.min() >= 0.0
        for source in sources:
            assert source["kind"] in {"star", "galaxy"}
            assert -0.5 <= source["y"] < 127.5
            assert -0.5 <= source["x"] < 127.5
            assert 0.04 < source["flux"] <= 1e5  # companions have a tenth at least
            assert (source["hlr"] == 0.0) == (source["kind"] == "star")
        json.dumps(sources)


def test_listed_stars_are_there(cached: Path) -> None:
    """No pixel at a listed star is fainter than the star alone."""
    for image, sources in scenes(4, cache=cached):
        for star in (s for s in sources if s["kind"] == "star"):
            y, x = round(star["y"]), round(star["x"])
            off = (y - star["y"]) ** 2 + (x - star["x"]) ** 2
            peak = star["flux"] / (2 * np.pi * TARGET_SIGMA**2)
            assert image[y, x] >= 0.999 * peak * np.exp(-0.5 * off / TARGET_SIGMA**2)


def test_scene_depends_on_its_index_only(cached: Path) -> None:
    (late,) = scenes(1, start=2, cache=cached)
    third = scenes(3, cache=cached)[2]
    np.testing.assert_array_equal(late[0], third[0])
    assert late[1] == third[1]


def test_scenes_differ_by_index_seed_and_role(cached: Path) -> None:
    images = [image for image, _ in scenes(3, cache=cached)]
    images += [scenes(1, cache=cached, seed=4)[0][0], scenes(1, cache=cached, role="test")[0][0]]
    for i, a in enumerate(images):
        for b in images[:i]:
            assert not np.array_equal(a, b)


def test_a_plain_field_is_dark_between_its_sources(
    library: tuple[list[Stamp], list[Stamp]],
) -> None:
    dark = []
    for index in range(12):
        rng = np.random.default_rng([3, 0, index, 0x5CE4E])
        recipe = contents.draw_recipe(rng, 256)
        if recipe.kind == "field" and not recipe.haze:
            image, _ = sky_scenes.render_scene(library, side=256, role="train", seed=3, index=index)
            dark.append(float(np.median(image)))
    assert len(dark) > 2
    assert np.median(dark) < 0.01


def test_crowding_varies() -> None:
    recipes = [contents.draw_recipe(np.random.default_rng(i), 512) for i in range(200)]
    area = ((512 + 2 * contents.APRON) / 512) ** 2
    # stars above the flux at which densities are stated
    per_field = np.array([r.stars / area / contents.deeper(r.star_slope) for r in recipes])
    assert (per_field < 40).mean() > 0.1
    assert (per_field > 300).mean() > 0.05
    assert {recipe.kind for recipe in recipes} == set(contents.KINDS)


@pytest.mark.parametrize("slope", [0.6, 0.9])
def test_counts_follow_the_power_law(slope: float) -> None:
    fluxes = contents.draw_fluxes(np.random.default_rng(0), 200_000, slope)
    assert fluxes.min() >= 0.5
    assert fluxes.max() <= 1e5
    counted = (fluxes > contents.COUNTED).mean()
    assert 1 / counted == pytest.approx(contents.deeper(slope), rel=0.05)
    fluxes = fluxes[fluxes > contents.COUNTED]
    ratio = (fluxes > 200).sum() / (fluxes > 20).sum()
    assert ratio == pytest.approx(10**-slope, rel=0.05)
    # Sources that are barely seen, S/N 3 to 7, must be common.
    assert ((fluxes > 9) & (fluxes < 21)).mean() > 0.12


def test_pairs_are_one_to_four_pixels_apart() -> None:
    rng = np.random.default_rng(0)
    apart = [np.hypot(*contents.neighbour(rng, 0.0, 0.0, 1.0)) for _ in range(200)]
    assert 1.0 <= min(apart) < 1.2
    assert 3.8 < max(apart) <= 4.0


def test_a_zoomed_scene_holds_the_same_numbers_over_a_larger_area() -> None:
    wide = 2 * 256 + 2 * contents.APRON  # with its apron twice as wide as 256 px with theirs
    for seed in range(20):
        plain = contents.draw_recipe(np.random.default_rng(seed), 256)
        zoomed = contents.draw_recipe(np.random.default_rng(seed), wide, 2.0)
        assert (zoomed.stars, zoomed.galaxies) == (plain.stars, plain.galaxies)
        assert zoomed.r100 == 2 * plain.r100
    rng = np.random.default_rng(0)
    apart = [np.hypot(*contents.neighbour(rng, 0.0, 0.0, 2.0)) for _ in range(200)]
    assert 2.0 <= min(apart) < 2.4
    assert 7.6 < max(apart) <= 8.0


Light = Callable[[np.random.Generator, int, float], NDArray[np.float64]]


@pytest.mark.parametrize("light", [diffuse.haze, diffuse.nebula])
def test_diffuse_light_of_a_zoomed_scene_is_as_bright_in_an_input_pixel(light: Light) -> None:
    def brightest(zoom: float) -> float:
        side = round(64 * zoom)
        seeds = (np.random.default_rng(seed) for seed in range(30))
        # an input pixel covers zoom^2 times as many pixels
        return float(
            np.median([np.quantile(light(rng, side, zoom), 0.99) * zoom**2 for rng in seeds])
        )

    assert brightest(2.0) == pytest.approx(brightest(1.0), rel=0.25)


def test_star_cluster_holds_half_its_stars_within_its_half_number_radius() -> None:
    places = contents.plummer(np.random.default_rng(0), 4000, 200, 10.0)
    r = np.hypot(*(places - np.median(places, axis=0)).T)
    assert np.median(r) == pytest.approx(10.0, rel=0.08)


@pytest.mark.parametrize("seed", range(4))
def test_diffuse_light_is_smooth_and_positive(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for image in (diffuse.haze(rng, 96, 1.0), diffuse.nebula(rng, 96, 1.0)):
        assert image.shape == (96, 96)
        assert image.min() >= 0.0
        power = np.abs(np.fft.fft2((image - image.mean()) * np.outer(*[np.hanning(96)] * 2))) ** 2
        # Beyond 0.45 cycles per pixel the target PSF leaves next to nothing.
        high = np.abs(np.fft.fftfreq(96)) > 0.45
        assert power[np.ix_(high, high)].max() < 1e-6 * power.max()


# --- packs -----------------------------------------------------------------------------------


def test_pack_is_the_scenes(tmp_path: Path, cached: Path) -> None:
    out = tmp_path / "deep" / "train.npy"
    pack_scenes(None, out, count=3, side=128, role="train", seed=3, stamps=5, cache=cached)
    pack = np.load(out, mmap_mode="r")
    listed = json.loads(out.with_suffix(".json").read_text())
    assert (listed["target_fwhm_px"], listed["zoom"]) == (2.0, 1.0)
    assert (listed["role"], listed["seed"], listed["side"]) == ("train", 3, 128)
    for i, (image, sources) in enumerate(scenes(3, cache=cached)):
        np.testing.assert_array_equal(pack[i], image)
        assert listed["scenes"][i] == sources
    assert sorted(p.name for p in out.parent.iterdir()) == ["train.json", "train.npy"]


def test_pack_never_overwrites(tmp_path: Path) -> None:
    out = tmp_path / "a.npy"
    out.with_suffix(".json").write_text("mine")
    with pytest.raises(OutputError, match="exists"):
        pack_scenes(None, out, count=1, side=32, role="train", seed=1, stamps=1)
    assert out.with_suffix(".json").read_text() == "mine"
    with pytest.raises(OptionError, match="npy"):
        pack_scenes(None, tmp_path / "a.npz", count=1, side=32, role="train", seed=1)


@pytest.mark.parametrize(
    "wrong", [{"count": -1}, {"side": 8}, {"start": -1}, {"stamps": 0}, {"role": "tset"}]
)
def test_wrong_options_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(OptionError, match="Allowed"):
        scenes(**({"count": 1} | wrong))  # type: ignore[arg-type]


def test_missing_galsim_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "galsim", None)
    with pytest.raises(MissingPackageError, match=r"pip install sciup\[train\]"):
        scenes(1)


@pytest.mark.parametrize("fwhm", [2.0, 2.8, 3.0, 5.0])
def test_a_wider_target_keeps_flux_place_and_gets_its_width(fwhm: float) -> None:
    image = np.zeros((81, 81))
    add_star(image, 40.3, 39.6, 50.0)
    wide = at_target(image, fwhm)
    assert wide.sum() == pytest.approx(image.sum(), rel=1e-9)
    assert centroid(wide) == pytest.approx((40.3, 39.6), abs=1e-3)
    width = np.array(second_moments(wide)) ** 0.5 / TARGET_SIGMA * 2.0
    assert width == pytest.approx([fwhm, fwhm], rel=2e-3)
    rows, cols = np.indices(image.shape)
    sigma = TARGET_SIGMA * fwhm / 2.0
    exact = np.exp(-0.5 * ((rows - 40.3) ** 2 + (cols - 39.6) ** 2) / sigma**2)
    exact *= 50.0 / exact.sum()
    assert np.abs(wide - exact).max() < 2e-3 * exact.max()
    assert wide.min() >= 0


def test_scenes_of_a_stack_are_blurred_one_by_one() -> None:
    stack = np.random.default_rng(0).exponential(1, (2, 32, 32)).astype(np.float32)
    both = at_target(stack, 3.0)
    np.testing.assert_array_equal(both[1], at_target(stack[1], 3.0))
    assert both.dtype == np.float32


@pytest.mark.parametrize("fwhm", [0.0, 1.5, 2.3])
def test_targets_that_scenes_cannot_have_are_refused(fwhm: float) -> None:
    with pytest.raises(OptionError, match=rf"target_fwhm is {fwhm:g} px"):
        at_target(np.zeros((8, 8)), fwhm)
