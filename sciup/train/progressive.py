"""What a progressive sampler learns beside its draws: images of its steps, keypoints, attention."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sciup.generators.posterior import crop
from sciup.generators.spec import Steps
from sciup.train.kernels import RIM
from sciup.train.recipe import Recipe
from sciup.train.recipe_parts import Progressive

if TYPE_CHECKING:
    from sciup.train.degrade import Batch

AROUND = 24
"""Output px around the loss region that the teacher sees, too."""


def taught(recipe: Recipe, truth: Tensor, noise: Tensor, outer: int) -> Tensor:
    """Heatmaps of the keypoints that classical detectors find in the truths.

    Parameters
    ----------
    recipe : Recipe
    truth : Tensor (B, 1, h, w)
        Working units.
    noise : Tensor (B, 1, 1, 1)
        One sigma of the truths themselves.
    outer : int
        What lies around the loss region.

    Returns
    -------
    Tensor (B, kinds, s core, s core), float32
        0 to 1.
    """
    from sciup.keypoints import find, heatmap

    around = min(AROUND, outer)
    seen = crop(truth, outer - around)[:, 0].numpy()
    maps = [
        heatmap(
            find(image, recipe.domain, float(sigma), recipe.target_fwhm),
            recipe.domain,
            (image.shape[0], image.shape[1]),
        )
        for image, sigma in zip(seen, noise.flatten(), strict=True)
    ]
    return crop(torch.from_numpy(np.stack(maps)), around)


def attended(
    steps: Steps | None, batch: Batch, recipe: Recipe
) -> tuple[Tensor | float, dict[str, Tensor]]:
    """Where errors count more, and the terms of the steps and of the keypoints.

    Attention follows the keypoints that the sampler *expects*, a function of the measurement, and
    not those of the truth as in Kim et al. (2019): weighted by the truth, a proper score teaches
    the image given that there is a keypoint, and they would be painted everywhere. Its mean is 1.

    Parameters
    ----------
    steps : Steps or None
        None for a plain sampler, which has none of this.
    batch : Batch
    recipe : Recipe
    """
    if steps is None:
        return 1.0, {}
    weights, f, s = recipe.progressive, batch.stretch.forward, recipe.scale
    errors = [
        (crop(image, RIM * k) - f(F.avg_pool2d(batch.truth, s // k))).square().mean()
        for image, k in ((steps.two, 2), (steps.four, 4))
    ]
    terms = {"steps": weights.steps * torch.stack(errors).mean()}
    if batch.keypoints is None:
        return 1.0, terms
    logits = crop(steps.keypoints, RIM * s)
    entropy = F.binary_cross_entropy_with_logits(logits, batch.keypoints, reduction="none")
    terms["heatmaps"] = weights.heatmaps * entropy.sum(1).mean()
    expected = logits.detach().sigmoid().amax(1, keepdim=True)
    attention = 1 + weights.attention * expected
    return attention / attention.mean(), terms


def fade(progressive: Progressive, done: float) -> tuple[float, float]:
    """Weights of what the second and the third step add after a share `done` of the training.

    Examples
    --------
    >>> fade(Progressive(fade=0.5), 0.125), fade(Progressive(fade=0.5), 0.375)
    ((0.5, 0.0), (1.0, 0.5))
    """
    if not progressive.fade:
        return 1.0, 1.0
    grown = 2 * done / progressive.fade
    return min(grown, 1.0), float(np.clip(grown - 1, 0.0, 1.0))
