"""Which fields of a plate of results were made with other options than most."""

import json

import pytest

from sciup.results.plate import DECIDE, Plate

TWO = [{"psf_fwhm": {"origin": "given", "value": v}} for v in (1.8, 2.7)]


def plate_of(folder, *instruments):
    """A plate whose fields differ in what was said of their planes."""
    names = [f"A/1/{n}" for n in range(len(instruments))]
    for name, instrument in zip(names, instruments, strict=True):
        (folder / name).mkdir(parents=True)
        prints = dict.fromkeys(DECIDE) | {"instrument": instrument}
        ours = {"sciup": {"provenance": {"fingerprint": prints}}}
        (folder / name / "zarr.json").write_text(json.dumps({"attributes": ours}))
    return Plate(folder, "source", names, [])


@pytest.mark.parametrize(("other", "same"), [
    (TWO * 3, True),  # times
    (TWO[::-1], False),  # of each channel what belongs to the other
    (TWO[:1], False),
    ([{**TWO[0], "gain": {"origin": "header", "value": 2}}, TWO[1]], True),
    (None, True),  # damaged, which verify tells
])  # fmt: skip
def test_options_are_compared_channel_by_channel(other, same, tmp_path):
    plate = plate_of(tmp_path, TWO, other, TWO)
    assert plate.otherwise == ([] if same else ["A/1/1"])
