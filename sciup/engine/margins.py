"""How windows lie on the image: the core that they own, and what they need around it."""

from __future__ import annotations

from sciup.generators.posterior import PosteriorSampler
from sciup.physics.projection import REACH_A, REACH_U

CORE = 128
"""Side of the core of every window in input pixels; divides every shard."""

SEEN = 2
"""Input pixels around the core on which draws are exact, too: what the mean's low-pass looks at."""

RIM = REACH_A + REACH_U + SEEN
"""Input pixels around the core that draws are made on: the projection spoils the outer ones."""


def halo_of(net: PosteriorSampler) -> int:
    """Input pixels around the core that decide its values."""
    return net.spec.margin + RIM + 1  # one more for the local mean of the noise plane
