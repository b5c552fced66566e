"""What is known of every format that is read, each fact with the test that shows it.

The table in ``docs/reference/formats.md`` is made of this: ``python tests/helpers/format_facts.py``
writes it, and ``tests/unit/test_format_facts.py`` fails where page, facts and tests differ.
"""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reference" / "formats.md"
BEGIN, END = "<!-- facts of the tests: begin -->\n", "<!-- facts of the tests: end -->\n"

Facts = dict[str, str]


@dataclass(frozen=True)
class Format:
    """One row: readers of the shared suite, and facts with the names of their tests."""

    name: str
    readers: str  # of tests/unit/test_readers_shared.py, by the start of their names
    kept: Facts
    changed: Facts
    refused: Facts


FORMATS = [
    Format(
        "FITS, `.fz`, `.gz`, `.bz2`, `.xz`",
        "fits",
        {
            "WCS with distortions and alternates": "test_coordinates_stay",
            "unit": "test_units",
            "gain, read noise, saturation, seeing": "test_electrons_per_unit",
            "noise, weight and mask, also of other files":
                "test_science_weight_and_mask_in_separate_compressed_files",
            "PSF extension": "test_psf_extension",
            "cards that stay true": "test_cards_of_the_input_are_carried_and_its_gain_is_renamed",
        },
        {
            "scaled integers become physical values": "test_every_type_of_number",
            "blank, infinite and saturated pixels are masked":
                "test_saturated_pixels_are_left_out_where_the_level_is_in_their_unit",
            "zeros that fill a border are masked": "test_zeros_around_a_mosaic_are_no_data",
            "broken cards are mended or dropped": "test_clean_header_repairs_what_it_can",
        },
        {
            "magnitudes and other logarithms": "test_logarithms_are_refused",
            "tables, spectra, complex numbers, files cut off":
                "test_every_bad_file_is_refused_with_its_name",
            "noise or mask of another size or chip": "test_a_file_of_other_chips_is_not_guessed_at",
        },
    ),
    Format(
        "FITS at an address",
        "fits",
        {
            "all of the above": "test_every_good_file_reads_the_same_from_afar",
            "only the rows of a window are fetched":
                "test_windows_of_remote_fits_fetch_their_rows_only",
            "of compressed images only the tiles":
                "test_windows_of_remote_compressed_fits_fetch_their_tiles_only",
            "`s3://` with credentials or without": "test_credentials_of_the_environment_are_used",
        },
        {
            "packed files are copied first":
                "test_packed_files_and_servers_without_parts_are_copied",
        },
        {"what is not there or cut off": "test_what_is_not_there_or_was_cut_off"},
    ),
    Format(
        "OME-Zarr 0.4 and 0.5, folder or address",
        "ome-zarr",
        {
            "axes": "test_every_legal_combination_of_axes",
            "pixel size and origin":
                "test_pixel_size_and_origin_of_data_set_and_image_are_combined",
            "names and colours of channels": "test_channels",
            "width of the PSF from the OME-XML of bioformats2raw, in local folders":
                "test_the_psf_follows_from_what_the_microscope_wrote_beside_the_images",
            "only the chunks of a window are fetched":
                "test_windows_of_remote_zarr_fetch_their_chunks_only",
            "`s3://` with credentials or without":
                "test_without_credentials_s3_is_asked_anonymously_which_is_said",
        },
        {
            "the finest level is read": "test_the_full_resolution_is_read_whatever_its_name",
            "chunks that are missing with fill NaN are masked":
                "test_missing_chunks_with_fill_nan_are_masked",
            "a container opens at its first image":
                "test_a_container_opens_at_its_first_image_and_names_the_others",
        },
        {
            "axes in another order": "test_axes_in_another_order_are_refused",
            "damaged metadata or chunks": "test_truncated_data",
        },
    ),
    Format(
        "OME-Zarr plates",
        "ome-zarr",
        {
            "`PLATE/B/3/0` opens a field": "test_a_plate_names_fields_and_how_to_run_all",
            "`sciup batch PLATE` runs all": "test_a_plate_in_a_zip_runs_field_by_field",
            "`--out NAME.ome.zarr` makes a plate of it":
                "test_plate_and_wells_say_what_the_source_says",
        },
        {"wells that were never written are left out":
            "test_wells_that_were_never_written_are_left_out"},
        {"a whole plate as one image": "test_a_plate_names_fields_and_how_to_run_all"},
    ),
    Format(
        "SpatialData, folder, address or image of it in Python",
        "ome-zarr",
        {
            "scale and translation to a coordinate system, with its unit":
                "test_a_transformation_along_the_axes_is_pixel_size_and_origin",
            "`DATA.zarr/images/NAME`, or `DATA.zarr` with one image":
                "test_a_folder_opens_at_its_only_image_else_names_them",
        },
        {
            "of several systems one with a unit is taken, else `global`":
                "test_a_system_with_a_unit_is_taken_before_the_usual_one",
            "rotation, mirror and shear are not applied, which is said; size unknown":
                "test_what_turns_mirrors_or_shears_is_not_applied_which_is_said",
        },
        {
            "several images": "test_a_folder_opens_at_its_only_image_else_names_them",
            "transformations that make no sense": "test_damaged_transformations_are_refused",
        },
    ),
    Format(
        "Zarr in a zip file",
        "ome-zarr in a zip",
        {"as in a folder; `FILE.zip/A/1/0` opens what is inside":
            "test_a_zarr_in_a_zip_is_found_at_the_root_or_in_a_folder"},
        {},
        {
            "several images side by side": "test_a_zip_with_several_images_names_them",
            "damaged files and chunks": "test_a_chunk_that_was_damaged_in_a_zip_is_noticed",
        },
    ),
    Format(
        "Zarr without OME metadata",
        "zarr",
        {"names of dimensions": "test_plain_arrays"},
        {
            "else axes by their number; pixel size unknown, which is said":
                "test_the_only_array_of_a_group_is_taken_with_a_warning",
        },
        {"groups with several arrays": "test_several_arrays_are_named_with_their_shapes"},
    ),
    Format(
        "TIFF, OME-TIFF, ImageJ TIFF",
        "tiff",
        {
            "pixel sizes and units": "test_imagej_pixel_size",
            "axes and channels": "test_ome_metadata",
            "width of the PSF from wavelength and aperture":
                "test_the_width_of_the_psf_follows_from_wavelength_and_aperture",
        },
        {
            "printing resolutions are no pixel size":
                "test_printing_resolutions_are_no_pixel_size",
            "tiles that are left out are masked": "test_tiles_that_are_left_out_are_masked",
            "files in one strip are unpacked first": "test_one_strip_files_are_unpacked_once",
        },
        {
            "interleaved colours": "test_colour_pictures_are_refused",
            "files cut off": "test_truncated_files_are_refused",
        },
    ),
    Format(
        "PNG, JPEG, JPEG 2000",
        "png",
        {
            "grey values, 8 or 16 bits": "test_grey_is_read_as_it_is_with_a_warning",
            "place on the sky of solar JPEG 2000":
                "test_a_solar_header_gives_the_place_on_the_sky_and_no_unit",
        },
        {
            "a warning: 8 bits, lossy, not proportional to light":
                "test_grey_is_read_as_it_is_with_a_warning",
            "colours become channels": "test_colours_are_channels_by_name",
            "pixels that are not wholly opaque are masked":
                "test_what_is_partly_transparent_is_masked_and_told",
        },
        {
            "files cut off": "test_pictures_that_were_cut_off_are_refused",
            "2^28 pixels and more": "test_large_pictures_are_refused_by_their_header",
        },
    ),
    Format(
        "numpy, dask, zarr in Python",
        "numpy",
        {
            "masks of masked arrays": "test_a_masked_array_brings_its_mask",
            "laziness": "test_a_dask_array_is_computed_window_by_window",
        },
        {"axes by their number": "test_axes_without_names"},
        {"what is not real numbers": "test_what_is_not_an_image_is_refused"},
    ),
    Format(
        "xarray DataArray, Dataset, DataTree",
        "xarray",
        {
            "axes, pixel size, origin, unit, channels":
                "test_a_data_array_says_axes_size_origin_unit_and_channels",
            "laziness": "test_a_data_array_stays_lazy",
        },
        {"uneven coordinates or such without unit give no size":
            "test_sizes_that_are_not_known_are_said"},
        {
            "dimensions that do not end in y, x":
                "test_dimensions_that_end_otherwise_are_refused_with_the_way_out",
            "several images": "test_data_sets_and_scales_open_at_their_image",
        },
    ),
    Format(
        "astropy NDData, CCDData",
        "nddata",
        {
            "WCS, unit, mask, gain": "test_ccd_data_keep_wcs_unit_mask_gain_and_noise",
            "uncertainty of every kind": "test_every_kind_of_uncertainty_is_one_sigma",
        },
        {"unknown uncertainties are not used":
            "test_an_unknown_uncertainty_is_not_used_and_told"},
        {"masks of another shape": "test_a_mask_of_another_shape_is_refused"},
    ),
    Format(
        "image layers of napari",
        "numpy",
        {"axes, scale, place, units": "test_a_layer_says_axes_scale_and_place"},
        {"of a pyramid the finest level": "test_a_layer_without_units_and_a_pyramid"},
        {"labels, shapes, RGB": "test_other_layers_are_refused"},
    ),
]  # fmt: skip


def table() -> str:
    """The table in Markdown."""
    lines = ["| read | kept | changed | refused |", "|---|---|---|---|"]
    lines += [
        f"| {f.name} | {'; '.join(f.kept)} | {'; '.join(f.changed)} | {'; '.join(f.refused)} |"
        for f in FORMATS
    ]
    return "\n".join(lines) + "\n"


def page_with_table(page: str) -> str:
    """The page with the table between its marks."""
    return re.sub(f"{BEGIN}.*?{END}", lambda _: BEGIN + table() + END, page, flags=re.DOTALL)


if __name__ == "__main__":
    PAGE.write_text(page_with_table(PAGE.read_text()))
