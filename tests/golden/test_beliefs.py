"""What the program finds out of an instrument is what the calibrations were learned with."""

import json
from pathlib import Path

import pytest

from sciup.io._array import open_array
from sciup.physics.beliefs import BELIEFS
from sciup.physics.given import Given
from sciup.physics.resolve import resolve
from sciup.testing.toy_images import cells, star_field

FILE = Path(__file__).parent / "beliefs.json"
SIDE = 256
FACTS = ("psf_fwhm", "noise_sigma", "background", "correlation", "electrons_per_unit", "psf_beta")


def found(domain):
    """Estimates of one fixed image, and the version that they belong to."""
    sky = domain == "night-sky"
    values = star_field((SIDE, SIDE), stars=60) if sky else cells((SIDE, SIDE))
    image = open_array(values, domain=domain, flux_per_pixel=sky)
    instrument = resolve(image, next(iter(image.planes)), domain, Given()).instrument
    facts = {name: getattr(instrument, name).value for name in FACTS}
    return {"beliefs": BELIEFS[domain]} | {k: v and round(float(v), 6) for k, v in facts.items()}


@pytest.mark.parametrize("domain", BELIEFS)
def test_estimates_are_those_of_the_calibrations(domain):
    """If this fails and the change was meant: raise BELIEFS, calibrate the models again.

    Then ``python tests/golden/test_beliefs.py`` writes the new estimates.
    """
    before, now = json.loads(FILE.read_text())[domain], found(domain)
    assert now == {k: v and pytest.approx(v, rel=2e-3) for k, v in before.items()}


if __name__ == "__main__":
    FILE.write_text(json.dumps({domain: found(domain) for domain in BELIEFS}, indent=1) + "\n")
