"""PSF images as a camera takes them, from formulas."""

import numpy as np

from sciup.physics.psf import airy, gaussian, moffat

FINE = 12
SHAPES = {
    "gaussian": gaussian,
    "moffat 2.5": lambda side, fwhm, *e: moffat(side, fwhm, 2.5, *e),
    "moffat 4": lambda side, fwhm, *e: moffat(side, fwhm, 4.0, *e),
    "airy": airy,
}


def observed(shape, fwhm, side=33, at=(0.0, 0.0), e=(0.0, 0.0)):
    """A PSF image: integrated over input pixels, its centre `at` off the middle (in 1 / FINE)."""
    wide = SHAPES[shape]((side + 4) * FINE + 1, fwhm * FINE, *e)
    y0, x0 = (2 * FINE - round(a * FINE) for a in at)
    cut = wide[y0 : y0 + side * FINE + 1, x0 : x0 + side * FINE + 1]
    # the middle of a pixel lies on a sample: half weights at both ends of its box
    ends = (cut[:-1] + cut[1:]) / 2
    ends = (ends[:, :-1] + ends[:, 1:]) / 2
    return ends.reshape(side, FINE, side, FINE).sum((1, 3))


def observed_between(shape, fwhm, scale, side):
    """The same centred, at every 1 / scale of an input pixel, integrated over input pixels."""
    step, half = FINE // scale, side // 2
    wide = SHAPES[shape](2 * (half * step + FINE) + 1, fwhm * FINE)
    box = np.full(FINE + 1, 1.0)
    box[[0, -1]] = 0.5
    for axis in (0, 1):
        wide = np.apply_along_axis(np.convolve, axis, wide, box, "same")
    out = wide[FINE:-FINE:step, FINE:-FINE:step]
    return out / out.sum()


def distance(a, b):
    return np.sqrt(((a - b) ** 2).sum() / (b**2).sum())
