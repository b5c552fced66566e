"""What TIFF files say of themselves: pixel size, channels and optics."""

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from sciup.io._tiff import open_tiff
from sciup.io._tiff_metadata import from_baseline, from_imagej, from_ome
from sciup.testing.microscopy_files import write_tiff

STACK = np.random.default_rng(0).integers(0, 60000, (3, 2, 70, 90), np.uint16)
PLANE = STACK[0, 0]


def test_ome_metadata(tmp_path):
    metadata = {
        "axes": "CZYX", "PhysicalSizeX": 65.0, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.13,
        "PhysicalSizeZ": 0.3, "Channel": {"Name": ["DAPI", "GFP"], "Color": [65535, -16776961]},
    }  # fmt: skip
    image = open_tiff(write_tiff(tmp_path / "i.tif", STACK[:2], "ome", metadata=metadata))
    assert image.grid.size == pytest.approx((0.13, 0.065))
    assert (image.grid.unit, image.grid.origin) == ("micrometer", (0.0, 0.0))
    assert [c["label"] for c in image.metadata["channels"]] == ["DAPI", "GFP"]
    assert [c["color"] for c in image.metadata["channels"]] == ["0000FF", "FF0000"]
    assert image.metadata["axes"] == {"z": {"unit": "micrometer", "scale": 0.3, "translation": 0.0}}


def ome_xml(channels, objective='<ObjectiveSettings ID="Objective:0"/>', size="0.1"):
    return f"""<?xml version="1.0"?>
    <OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">
      <Instrument ID="Instrument:0"><Objective ID="Objective:0" LensNA="1.4"/></Instrument>
      <Image ID="Image:0">{objective}<Pixels PhysicalSizeX="{size}" PhysicalSizeY="{size}">
      {channels}</Pixels></Image></OME>"""


def test_the_width_of_the_psf_follows_from_wavelength_and_aperture():
    about = from_ome(ome_xml('<Channel EmissionWavelength="520"/>'))
    fact = about.facts["psf_fwhm"]
    assert fact.value == pytest.approx(0.51 * 520 / 1.4 / 100)
    assert fact.origin == "header"
    assert "520 nm" in fact.note
    assert "NA" in fact.note


@pytest.mark.parametrize(
    "xml",
    [
        ome_xml("<Channel/>"),
        ome_xml('<Channel EmissionWavelength="520"/>', objective=""),
        ome_xml('<Channel EmissionWavelength="520"/>', size="0"),
        ome_xml('<Channel EmissionWavelength="520"/><Channel EmissionWavelength="620"/>'),
        "<OME/>",
        ome_xml('<Channel EmissionWavelength="many"/>'),
    ],
)
def test_without_all_three_or_with_two_colours_nothing_is_said_of_the_psf(xml):
    assert not from_ome(xml).facts


def test_one_channel_of_two_colours_knows_its_psf(tmp_path):
    from sciup.io import open_image

    path = write_tiff(tmp_path / "i.tif", STACK[:2, 0], "ome", metadata={"axes": "CYX"})
    text = ome_xml(
        '<Channel Name="a" EmissionWavelength="520" SamplesPerPixel="1"/>'
        '<Channel Name="b" EmissionWavelength="620" SamplesPerPixel="1"/><TiffData/>'
    ).replace("<Pixels ", '<Pixels DimensionOrder="XYCZT" Type="uint16" SizeX="90" SizeY="70" '
              'SizeC="2" SizeZ="1" SizeT="1" ')  # fmt: skip
    tifffile.tiffcomment(path, text.encode())
    assert not open_image(path).facts
    fact = open_image(path, channel="b").facts["psf_fwhm"]
    assert fact.value == pytest.approx(0.51 * 620 / 1.4 / 100)


@pytest.mark.parametrize(
    ("unit", "micrometers"), [("um", 1), ("\\u00B5m", 1), ("nm", 1e-3), ("inch", 25400)]
)
def test_imagej_pixel_size(unit, micrometers, tmp_path):
    path = write_tiff(tmp_path / "i.tif", STACK[0], "imagej", resolution=(10.0, 5.0),
                      metadata={"unit": unit, "spacing": 0.5, "axes": "ZYX"})  # fmt: skip
    image = open_tiff(path)
    assert image.grid.size == pytest.approx((0.2 * micrometers, 0.1 * micrometers))
    assert image.metadata["axes"]["z"]["scale"] == pytest.approx(0.5 * micrometers)


@pytest.mark.parametrize("unit", ["pixel", "", None, "bananas"])
def test_imagej_without_a_length(unit):
    assert from_imagej({"unit": unit}, (10.0, 10.0)).size is None
    assert from_imagej({"unit": "um"}, None).size is None


def test_imagej_lookup_tables_give_colours(tmp_path):
    ramp = np.arange(256, dtype=np.uint8)
    zero = np.zeros(256, np.uint8)
    luts = [np.stack([ramp, zero, zero]), np.stack([zero, ramp, ramp])]
    path = write_tiff(tmp_path / "i.tif", STACK[0].astype("u1"), "imagej",
                      metadata={"axes": "CYX", "LUTs": luts, "mode": "composite"})  # fmt: skip
    assert [c["color"] for c in open_tiff(path).metadata["channels"]] == ["FF0000", "00FFFF"]


@pytest.mark.parametrize("dpi", [72, 96, 150, 300, 600, 1200])
@pytest.mark.parametrize("unit", ["inch", "centimeter"])
def test_printing_resolutions_are_no_pixel_size(dpi, unit, tmp_path):
    resolution = dpi if unit == "inch" else dpi / 2.54
    path = write_tiff(tmp_path / "i.tif", PLANE, resolution=(resolution,) * 2, resolutionunit=unit,
                      metadata=None)  # fmt: skip
    assert open_tiff(path).grid.size is None


def test_baseline_resolution_of_a_microscope(tmp_path):
    path = write_tiff(tmp_path / "i.tif", PLANE, resolution=(1e5, 5e4), resolutionunit=3,
                      metadata=None)  # fmt: skip
    assert open_tiff(path).grid.size == pytest.approx((0.2, 0.1))
    assert open_tiff(write_tiff(tmp_path / "j.tif", PLANE, metadata=None)).grid.size is None


@given(st.floats(0.01, 8.0), st.sampled_from([2, 3]))
def test_baseline_sizes_survive_the_tags(size, unit):
    per_unit = {2: 25400.0, 3: 10000.0}[unit] / size
    found = from_baseline((per_unit, per_unit), unit)
    printed = any(abs(25400 / size / dpi - 1) < 0.006 for dpi in (4800,))
    assert printed or found == pytest.approx((size, size))


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("WideField", "520 nm / 1.4 / 100 nm"),
        ("SpinningDiskConfocal", "open pinhole"),
        ("LaserScanningConfocalMicroscopy", "open pinhole"),
        ("STED", None),
        ("StructuredIllumination", None),
        ("MultiPhotonMicroscopy", None),
    ],
)
def test_not_every_microscope_has_the_width_of_its_aperture(mode, words):
    channel = f'<Channel EmissionWavelength="520" AcquisitionMode="{mode}"/>'
    facts = from_ome(ome_xml(channel)).facts
    assert bool(facts) == bool(words)
    assert not words or facts["psf_fwhm"].note.endswith(words)
