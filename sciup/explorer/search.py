"""The search: gradient descent on the noise, which stays noise; the best image seen is returned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from sciup.explorer.fit import Fit, judge
from sciup.explorer.latents import Latents, Stamp, on_sphere

RATE = 0.05
"""Step of a number of the noise, in its standard deviations, at the start; falls to a tenth."""

REACH = 5.0
"""Length, in its standard deviations, by which the noise of an image may be moved at no cost."""

PULL = 10.0
"""Weight of what is beyond."""

COUPLING = 0.05
"""Weight of what keeps neighbouring noise uncorrelated."""

Step = Callable[[], None]


class Goal(Protocol):
    """What is asked of the images besides agreement with the data."""

    def loss(self, stamp: Stamp, whole: Tensor) -> Tensor:
        """What is made small, (B,); about 1 matters."""

    def joint(self) -> bool:
        """Whether the B images are one answer, to be kept together."""


@dataclass
class Found:
    """The best images that were seen; the same that were scored.

    Attributes
    ----------
    latents : Latents
        Of all B images.
    images : Tensor (B, 1, s n, s n)
        On the window, working units.
    accepted : Tensor (B,) bool
    score : Tensor (B,)
        Goal of accepted images, else infinity.
    badness : Tensor (B,)
        See `Fit.badness`.
    """

    latents: Latents
    images: Tensor
    accepted: Tensor
    score: Tensor
    badness: Tensor
    history: list[float] = field(default_factory=list)

    def keep(self, better: Tensor, z: Latents, images: Tensor, fit: Fit, score: Tensor) -> None:
        """Replace those of the B images that got better."""
        pick = better.view(-1, 1, 1, 1)
        self.latents = self.latents.map(lambda old, new: torch.where(pick, new, old), z)
        self.images = torch.where(pick, images, self.images)
        self.accepted = torch.where(better, fit.accepted, self.accepted)
        self.score = torch.where(better, score, self.score)
        self.badness = torch.where(better, fit.badness, self.badness)


@torch.enable_grad()
def search(
    stamp: Stamp,
    start: Latents,
    goal: Goal | None,
    steps: int,
    *,
    step: Step | None = None,
    reach: float = REACH,
) -> Found:
    """Look for images that agree with the data and serve a goal.

    Parameters
    ----------
    stamp : Stamp
    start : Latents
        Noise of B images to start from; its length in every block is kept.
    goal : Goal, optional
        None to ask for agreement only; the search then ends as soon as all agree.
    steps : int
        Evaluations of the images, at least 1.
    step : callable, optional
        Called after each, for progress; what it raises ends the search.
    reach : float
        How far the noise may be moved from where it started, in its standard deviations along the
        direction of the move. Without a limit, noise of a thousand numbers hides a source of any
        brightness, each number moved by a tenth.

    Returns
    -------
    Found
        The best images seen, the start included: accepted before rejected, then the smaller goal,
        or, as long as none is accepted, the better agreement.
    """
    raw = start.map(lambda t: t.detach().clone().requires_grad_())
    optimiser = torch.optim.Adam(list(raw), lr=RATE, betas=(0.8, 0.95))
    found: Found | None = None
    for i in range(max(steps, 1)):
        for group in optimiser.param_groups:
            group["lr"] = RATE * (1 - 0.9 * i / max(steps, 1))
        z = on_sphere(raw, start)
        images = stamp.whole(z)
        fit = judge(stamp, images)
        asked = goal.loss(stamp, images) if goal else torch.zeros_like(fit.chi2)
        found = _keep(found, z, images, fit, asked, goal)
        found.history.append(float(fit.badness.detach().mean()))
        if step is not None:
            step()
        if goal is None and bool(found.accepted.all()):
            break
        far = torch.relu(moved(z, start) / reach - 1) ** 2
        loss = fit.loss + asked + COUPLING * torch.relu(neighbours(z) - 1) + PULL * far
        if not torch.isfinite(loss).all():
            break
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss.sum())
        optimiser.step()
    if found is None:  # pragma: no cover - there is at least one step
        raise RuntimeError("no step was made")
    return found


@torch.no_grad()
def _keep(
    found: Found | None, z: Latents, images: Tensor, fit: Fit, asked: Tensor, goal: Goal | None
) -> Found:
    """Remember these images where they are the best so far."""
    z, images = z.map(torch.clone), images.detach().clone()
    score = torch.where(fit.accepted, asked.detach(), torch.inf)
    if found is None:
        return Found(z, images, fit.accepted, score, fit.badness.detach())
    if goal is not None and goal.joint():
        now, before = (
            (-int(a.sum()), float(torch.where(a, 0, b).sum()), float(s.mean()))
            for a, b, s in (
                (fit.accepted, fit.badness, asked),
                (found.accepted, found.badness, found.score),
            )
        )
        better = torch.full_like(fit.accepted, now < before)
        found.keep(better, z, images, fit, asked.detach())
        return found
    closer = ~found.accepted & (fit.accepted | (fit.badness < found.badness))
    better = closer | (fit.accepted & (score < found.score))
    found.keep(better, z, images, fit, score)
    return found


def moved(z: Latents, start: Latents) -> Tensor:
    """How far the noise is from where it started, in its standard deviations, (B,)."""
    change = z.map(torch.sub, start)
    return change.dot(change).add(1e-12).sqrt()


def neighbours(z: Latents) -> Tensor:
    """Squared correlation of neighbouring noise, in its expected variances, (B,).

    Noise whose variance is right can still be made of waves or clouds; white noise gives about 1
    per site and axis (the idea of the noise regularisation of Karras et al. 2020, arXiv
    1912.04958, eq. 3).
    """
    total = torch.zeros_like(z.fine[:, 0, 0, 0])
    for site in (z.fine, z.error):
        for axis in (-1, -2):
            n = site.shape[axis] - 1
            a, b = site.narrow(axis, 0, n), site.narrow(axis, 1, n)
            total = total + (a * b).flatten(1).sum(1) ** 2 / a[0].numel()
    return total / 4


__all__ = ["REACH", "Found", "Goal", "moved", "neighbours", "search"]
