"""Where spots, nuclei, ends and forks of filaments, stars and galaxies are: rules, not a network.

In the place of the face landmarks of Kim et al. [1]_ they teach a network which places matter, and
they count how many of them a restored image has kept. Thresholds were chosen by eye on training
images.

References
----------
.. [1] Kim, Kim, Kwon, Kim (2019), "Progressive face super-resolution via attention to facial
   landmark", BMVC, arXiv:1908.08239.
"""

from __future__ import annotations

from sciup.keypoints._find import find
from sciup.keypoints._heatmaps import heatmap, peaks
from sciup.keypoints._maxima import APART
from sciup.keypoints._places import KINDS, Keypoints
from sciup.keypoints._scores import Score, compare
from sciup.keypoints._sky import noise_for

__all__ = [
    "APART",
    "KINDS",
    "Keypoints",
    "Score",
    "compare",
    "find",
    "heatmap",
    "noise_for",
    "peaks",
]
