"""What a run is in the middle of: weights, their moving average, optimiser, step; on disk too."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from sciup.errors import ModelError, ResumeError
from sciup.generators.posterior import PosteriorSampler
from sciup.generators.progressive import MeanSteps, ProgressiveSampler
from sciup.physics.projection import Projection
from sciup.train.degrade import Batch
from sciup.train.files import write
from sciup.train.kernels import RIM
from sciup.train.objective import bicubic, diagnose, draws_of, objective
from sciup.train.optimiser import Optimiser
from sciup.train.pack import Pack
from sciup.train.progressive import fade
from sciup.train.recipe import Recipe, differing

log = logging.getLogger("sciup")

DECAY = 0.999

Row = dict[str, float]
"""A line of the curves."""

DRAWS = 8
"""Draws of which sheets show mean and standard deviation."""

CHECKPOINT, WEIGHTS = "checkpoint.pt", "weights.safetensors"


def build(recipe: Recipe, start: dict[str, Any] | None = None) -> PosteriorSampler:
    """A network of a recipe, before training.

    Its weights depend on the seed, and on `start` wherever names and shapes agree: the trunk of a
    model of another scale fits.
    """
    torch.manual_seed(recipe.seed)
    kind = ProgressiveSampler if recipe.architecture == "progressive" else PosteriorSampler
    net = kind(
        recipe.name,
        recipe.scale,
        recipe.domain,
        recipe.target_fwhm,
        recipe.trust,
        **vars(recipe.network),
    )
    if start:
        fill(net, start, recipe.start)
    return net


def fill(net: torch.nn.Module, start: dict[str, Any], where: str | None) -> None:
    """Take over weights wherever names and shapes agree."""
    own = net.state_dict()
    given = {k: torch.as_tensor(v) for k, v in start.items()}
    fitting = {k: v for k, v in given.items() if k in own and own[k].shape == v.shape}
    net.load_state_dict(own | fitting)
    log.info("%d of %d layers start from %s", len(fitting), len(own), where)


class State:
    """Everything that changes while training.

    Parameters
    ----------
    pack : Pack
        What is trained.
    device : str
        ``cpu`` or ``cuda``.

    Attributes
    ----------
    step : int
        Steps done.
    seconds : float
        Time trained, over all parts of the run.
    """

    def __init__(self, pack: Pack, device: str) -> None:
        self.recipe, self.digest, self.text = pack.recipe, pack.digest, pack.text
        self.device, self.step, self.seconds = device, 0, 0.0
        self.net = self.build(pack).to(device)
        self.net.to(memory_format=torch.channels_last)
        self.average = {k: v.detach().clone().float() for k, v in self.net.state_dict().items()}
        self.optimiser = Optimiser(self.net)

    @property
    def margin(self) -> int:
        """Input pixels that the network loses on each side."""
        return int(self.net.spec.margin)

    def build(self, pack: Pack) -> Any:
        """The network before training."""
        return build(pack.recipe, pack.start)

    def learn(self, batch: Batch, bank: Projection, rng: torch.Generator, tell: bool) -> Row | None:
        """One step; what is to be told of it, if it is.

        Parameters
        ----------
        batch : Batch
        bank : Projection
            The projections of this batch.
        rng : torch.Generator
            Of this step.
        tell : bool
            Whether a line of the curves is wanted.
        """
        if isinstance(steps := self.net.mean_head, MeanSteps):
            steps.fade = fade(self.recipe.progressive, self.step / self.recipe.steps)
        loss, terms, u = objective(self.net, batch, bank, self.recipe, rng)
        norm = self.update(loss)
        if not tell:
            return None
        about = {"norm": norm, "loss": float(loss.detach())}
        return about | terms | diagnose(u, batch, self.recipe.scale)

    @torch.no_grad()
    def shown(
        self, batch: Batch, bank: Projection, rng: torch.Generator
    ) -> tuple[dict[str, Tensor], Row]:
        """Titles and pictures (n, h, w) in network units, of the averaged weights; scores."""
        net = build(self.recipe).to(self.device)
        net.load_state_dict(self.average)
        if isinstance(net.mean_head, MeanSteps):
            net.mean_head.fade = self.net.mean_head.fade
        draws, _ = draws_of(net, batch, bank, DRAWS, rng)
        u = batch.stretch.forward(draws).float()
        s = self.recipe.scale
        y = batch.stretch.forward(batch.measured)[..., RIM:-RIM, RIM:-RIM]
        panels = {
            "input": y.repeat_interleave(s, -1).repeat_interleave(s, -2)[:, 0],
            "bicubic": bicubic(batch, s)[:, 0],
            "draw 1": u[:, 0],
            "draw 2": u[:, 1],
            "mean": u.mean(1),
            "std": u.std(1),
            "truth": batch.stretch.forward(batch.truth)[:, 0],
        }
        return panels, diagnose(u, batch, s)

    def extra(self) -> dict[str, Any]:
        """What a resumed run needs besides weights, their average and the optimiser."""
        return {}

    def take(self, saved: dict[str, Any]) -> None:
        """Inverse of `extra`."""

    def update(self, loss: Tensor) -> float:
        """One step of the optimiser; returns the norm of the gradient before it was clipped.

        Raises
        ------
        ModelError
            If loss or gradient are not finite; weights and average stay as they were.
        """
        self.net.zero_grad(set_to_none=True)
        loss.backward()
        norm = float(torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0))
        if not (math.isfinite(norm) and math.isfinite(float(loss.detach()))):
            raise ModelError(
                f"training diverged at step {self.step}: loss {float(loss.detach()):.3g}, "
                f"gradient {norm:.3g}; the weights before this step are kept",
                "finite numbers",
                f"halve learning_rate (now {self.recipe.learning_rate:g}) or change seed and train "
                "into a new folder, with `start:` naming this one",
            )
        self.optimiser.step(rate(self.recipe, self.step))
        self.step += 1
        decay = min(DECAY, (1 + self.step) / (10 + self.step))
        for k, v in self.net.state_dict().items():
            self.average[k].lerp_(v.float(), 1 - decay)
        return norm

    def save(self, run: Path) -> None:
        """Write checkpoint, averaged weights and recipe: the folder of a run is a model.

        Raises
        ------
        OutputError
            If the disk is full or the folder cannot be written; older files stay.
        """
        state = {
            "net": self.net.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "average": self.average,
            "step": self.step,
            "seconds": self.seconds,
            "recipe": json.dumps(self.recipe.as_plain()),
            "data": self.digest,
        } | self.extra()
        meta = {"recipe": json.dumps(self.recipe.as_plain()), "step": str(self.step)}
        average = {k: v.contiguous().cpu() for k, v in self.average.items()}
        write(run / CHECKPOINT, lambda part: torch.save(state, part))
        write(run / WEIGHTS, lambda part: save_file(average, part, metadata=meta))
        write(run / "recipe.yaml", lambda part: part.write_text(self.text))

    def resume(self, run: Path) -> None:
        """Go on where a checkpoint of the same recipe and data stopped, if there is one.

        Raises
        ------
        ResumeError
            If the checkpoint belongs to another recipe or other data.
        """
        path = run / CHECKPOINT
        if not path.is_file():
            return
        try:
            saved = torch.load(path, map_location=self.device, weights_only=True)
        except Exception as error:  # noqa: BLE001 - torch raises anything for a torn file
            raise ResumeError(
                f"{path} cannot be read: {str(error).splitlines()[0]}",
                fix="remove it to begin again, or train into another folder",
            ) from None
        self._check(path, saved)
        self.net.load_state_dict(saved["net"])
        self.optimiser.load_state_dict(saved["optimiser"])
        self.average, self.step = saved["average"], int(saved["step"])
        self.seconds = float(saved.get("seconds", 0))
        self.take(saved)
        log.info("resumed at step %d", self.step)

    def _check(self, path: Path, saved: dict[str, Any]) -> None:
        if "recipe" in saved:
            before = Recipe.of_plain(json.loads(saved["recipe"])).as_plain()
            now = Recipe.of_plain(json.loads(json.dumps(self.recipe.as_plain()))).as_plain()
            if keys := differing(before, now):
                raise ResumeError(
                    f"{path} was trained with another recipe: {', '.join(keys)} differ",
                    "the recipe that the run began with",
                    "train into another folder; `start:` in a recipe takes over its weights",
                )
        if saved.get("data", self.digest) != self.digest:
            raise ResumeError(
                f"{path} was trained on other images",
                "the images that the run began with",
                "train into another folder; `start:` in a recipe takes over its weights",
            )


def rate(recipe: Recipe, step: int) -> float:
    """Learning rate: 100 steps of warming up, then half a cosine."""
    warm = min(1.0, (step + 1) / 100)
    falling = 0.5 + 0.5 * math.cos(math.pi * step / recipe.steps)
    return recipe.learning_rate * warm * falling + 1e-7
