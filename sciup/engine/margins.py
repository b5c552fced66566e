"""How windows lie on the image: the core that they own, and what they need around it."""

from __future__ import annotations

from sciup.generators.posterior import PosteriorSampler
from sciup.physics.projection import REACH_A, REACH_U

CORE = 128
"""Side of the core of every window in input pixels; divides every shard."""

RIM = REACH_A + REACH_U + 1
"""Input pixels that the projection needs around the core, and one more for 3 px means."""


def halo_of(net: PosteriorSampler) -> int:
    """Input pixels around the core that decide its values."""
    return net.spec.margin + RIM + 1  # one more for the local mean of the noise plane
