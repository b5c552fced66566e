"""Which way of finding out the instrument is in use: what is learned with one fails with another.

A calibration is learned on fields whose PSF, noise and background the program found out. Once it
finds them out in another way, runs believe other things than those fields did.
"""

from __future__ import annotations

from sciup.image import Domain

BELIEFS: dict[Domain, int] = {"fluorescence": 3, "night-sky": 2}
"""Raised whenever estimates of a domain change; ``tests/golden`` notices that they do.

fluorescence 3: the PSF comes from scenes like those of training (docs/design/0051).
fluorescence 2: the noise where it is darkest is what was measured (docs/design/0049).
night-sky 2: sources are masked before the sky is taken (docs/design/0032).
"""

__all__ = ["BELIEFS"]
