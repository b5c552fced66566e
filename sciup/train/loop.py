"""The training loop: exact resume, moving average of the weights, live curves, sample sheets."""

from __future__ import annotations

import csv
import json
import logging
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sciup.generators.noise import COARSE_STEP, correlate
from sciup.generators.posterior import PosteriorSampler
from sciup.physics.projection import lock_weight
from sciup.train.data import load_truths
from sciup.train.degrade import RIM, Batch, Degrader, Kernels
from sciup.train.losses import total
from sciup.train.optimiser import Optimiser
from sciup.train.recipe import Recipe

log = logging.getLogger("sciup")

DECAY = 0.999


def build(recipe: Recipe) -> PosteriorSampler:
    """A network of a recipe, before training.

    Its weights depend on the seed, and on those of the model that the recipe starts from wherever
    names and shapes agree: the trunk of a model of another scale fits.
    """
    torch.manual_seed(recipe.seed)
    net = PosteriorSampler(
        recipe.name,
        recipe.scale,
        recipe.domain,
        recipe.target_fwhm,
        recipe.trust,
        **recipe.network.model_dump(),
    )
    if recipe.start is not None:
        from safetensors.torch import load_file

        own = net.state_dict()
        given = load_file(Path(recipe.start) / "weights.safetensors")
        fitting = {k: v for k, v in given.items() if k in own and own[k].shape == v.shape}
        net.load_state_dict(own | fitting)
        log.info("%d of %d layers start from %s", len(fitting), len(own), recipe.start)
    return net


def random_noise(rng: np.random.Generator, count: int, channels: int, side: int) -> Tensor:
    """Noise like that of `sciup.generators.noise`, without its addresses.

    Shape (count, channels + 1, side, side); the last channel is the coarse one.
    """
    fine = rng.standard_normal((count, channels, side, side), np.float32)
    nodes = rng.standard_normal(
        (count, side // COARSE_STEP + 3, side // COARSE_STEP + 3), np.float32
    )
    mats = []
    for phase in rng.integers(0, COARSE_STEP, 2):
        position = np.arange(side) + phase
        weight = (position % COARSE_STEP + 0.5) / COARSE_STEP
        norm = np.sqrt(weight**2 + (1 - weight) ** 2)
        mat = np.zeros((side, nodes.shape[-1]), np.float32)
        mat[np.arange(side), position // COARSE_STEP] = (1 - weight) / norm
        mat[np.arange(side), position // COARSE_STEP + 1] = weight / norm
        mats.append(mat)
    coarse = np.einsum("yi,kij,xj->kyx", mats[0], nodes, mats[1])
    return torch.from_numpy(np.concatenate([fine, coarse[:, None].astype(np.float32)], 1))


def draws_of(
    net: PosteriorSampler, batch: Batch, count: int, rng: np.random.Generator, device: str
) -> tuple[Tensor, Tensor]:
    """Projected draws (B, M, h, w) in working units on the loss region, and the internal mean."""
    with torch.autocast(device, torch.bfloat16):
        features = net.encode(batch.planes)
        repeated = type(features)(*(t.repeat_interleave(count, 0) for t in features))
        side = features.shared.shape[-1] + 2
        noise = random_noise(rng, len(repeated.shared), net.spec.fine_noise, side)
        pre = net.draw(repeated, noise.to(batch.planes.device))
    pre = pre.unflatten(0, (-1, count)).flatten(1, 2)
    v = batch.stretch.inverse(pre)
    n = batch.measured.shape[-1]
    white = rng.standard_normal((len(v), count, n + 2, n + 2), np.float32)
    fields = [correlate(w, float(c)) for w, c in zip(white, batch.correlation, strict=True)]
    error = torch.from_numpy(np.stack(fields)).to(v.device) * batch.sigma
    signal = batch.signal - batch.background
    lock = lock_weight(signal, batch.sigma, batch.projection.trust.lock)
    y = batch.measured - error
    locked = batch.projection.lock_flux(v, y, batch.mask, lock, batch.background)
    projected = batch.projection.project(locked, y, batch.mask, lock)
    edge = RIM * net.spec.scale
    return projected[..., edge:-edge, edge:-edge], features.mean[..., edge:-edge, edge:-edge]


def objective(
    net: PosteriorSampler, batch: Batch, recipe: Recipe, rng: np.random.Generator, device: str
) -> tuple[Tensor, dict[str, float], Tensor]:
    """Loss, its terms, and the draws in network units."""
    v, mean = draws_of(net, batch, recipe.draws, rng, device)
    f = batch.stretch.forward
    u, truth = f(v), f(batch.truth)
    if (batch.truth_noise > 0).any():
        # a noisy truth is compared with draws that carry fresh noise of the same size
        e = torch.from_numpy(rng.standard_normal(tuple(u.shape), np.float32)).to(u.device)
        u_noisy = u + e * batch.truth_noise * batch.stretch.slope(v.detach())
    else:
        u_noisy = u
    s = recipe.scale
    signal, sigma = (x[..., RIM:-RIM, RIM:-RIM] for x in (batch.signal, batch.sigma))
    size = (sigma**2 + (0.05 * (signal - batch.background)) ** 2) ** 0.5 * s
    size = size.repeat_interleave(s, -1).repeat_interleave(s, -2)
    loss, terms = total(u_noisy, truth, mean, v, batch.truth, size, s, recipe.loss)
    return loss, terms, u.detach()


def diagnose(u: Tensor, batch: Batch) -> dict[str, float]:
    """Gain in dB over bicubic of the mean, and spread/skill at 1, 4, 16 px, in network units."""
    truth = batch.stretch.forward(batch.truth)
    m = u.shape[1]
    s = truth.shape[-1] // (batch.measured.shape[-1] - 2 * RIM)
    y = batch.stretch.forward(batch.measured)
    edge = RIM * s
    up = torch.nn.functional.interpolate(y, scale_factor=s, mode="bicubic")
    base = up[..., edge:-edge, edge:-edge]
    mse = float((u.mean(1, keepdim=True) - truth).square().mean())
    out = {"gain": 10 * np.log10(float((base - truth).square().mean()) / mse)}
    for k in (1, 4, 16):
        d, t = (torch.nn.functional.avg_pool2d(x, k) for x in (u, truth))
        error = float((d.mean(1, keepdim=True) - t).square().mean())
        out[f"skill{k}"] = float((d.var(1).mean() * (m + 1) / m / max(error, 1e-12)) ** 0.5)
    return out


def _save(path: Path, payload: Any) -> None:
    part = path.with_suffix(".part")
    torch.save(payload, part)
    os.replace(part, path)


def train(
    recipe: Recipe,
    data: Path,
    run: Path,
    *,
    minutes: float | None = None,
    device: str = "cpu",
    report: int = 50,
) -> Path:
    """Train a generator, or go on where a run stopped.

    Parameters
    ----------
    recipe : Recipe
        What to train.
    data : Path
        Folder of the training images.
    run : Path
        Folder of the run: checkpoint, curves, sample sheets, rendered scenes.
    minutes : float, optional
        Stop (resumable) after this time.
    device : str
        ``cpu`` or ``cuda``.
    report : int
        Steps between two lines of the curves.

    Returns
    -------
    Path
        ``weights.safetensors`` of the moving average, written at every checkpoint.
    """
    run.mkdir(parents=True, exist_ok=True)
    net = build(recipe).to(device)
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = {k: v.detach().clone().float() for k, v in net.state_dict().items()}
    optimiser = Optimiser(net)
    checkpoint, step = run / "checkpoint.pt", 0
    if checkpoint.is_file():
        saved = torch.load(checkpoint, map_location=device, weights_only=True)
        net.load_state_dict(saved["net"])
        optimiser.load_state_dict(saved["optimiser"])
        average, step = saved["average"], int(saved["step"])
        log.info("resumed at step %d", step)
    degrader = Degrader(
        recipe, load_truths(recipe, data, run), Kernels.draw(recipe), net.spec.margin
    )
    began = saved_at = time.monotonic()
    while step < recipe.steps:
        batch = degrader.batch(step)
        loss, terms, u = objective(
            net, batch, recipe, np.random.default_rng([recipe.seed, 9, step]), device
        )
        net.zero_grad(set_to_none=True)
        loss.backward()
        norm = float(torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0))
        if np.isfinite(norm):
            optimiser.step(_rate(recipe, step))
        step += 1
        decay = min(DECAY, (1 + step) / (10 + step))
        for k, v in net.state_dict().items():
            average[k].lerp_(v.float(), 1 - decay)
        if step % report == 0 or step == recipe.steps:
            row = {"step": step, "seconds": round(time.monotonic() - began, 1), "norm": norm}
            _log(
                run / "curves.csv",
                row | {"loss": float(loss.detach())} | terms | diagnose(u, batch),
            )
        out_of_time = minutes is not None and time.monotonic() - began > 60 * minutes
        if time.monotonic() - saved_at > 180 or step == recipe.steps or out_of_time:
            saved_at = time.monotonic()
            state = {"net": net.state_dict(), "optimiser": optimiser.state_dict()}
            _save(checkpoint, state | {"average": average, "step": step})
            export(recipe, average, run, step)
        if out_of_time:
            break
    return run / "weights.safetensors"


def _rate(recipe: Recipe, step: int) -> float:
    warm = min(1.0, (step + 1) / 100)
    return (
        recipe.learning_rate * warm * (0.5 + 0.5 * float(np.cos(np.pi * step / recipe.steps)))
        + 1e-7
    )


def _log(path: Path, row: dict[str, Any]) -> None:
    fresh = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        if fresh:
            writer.writeheader()
        writer.writerow({k: f"{v:.5g}" if isinstance(v, float) else v for k, v in row.items()})
    log.info(" ".join(f"{k} {v:.4g}" for k, v in row.items()))


def export(recipe: Recipe, average: dict[str, Tensor], run: Path, step: int) -> None:
    """Write the averaged weights as safetensors with what they are in the metadata."""
    from safetensors.torch import save_file

    meta = {"recipe": json.dumps(recipe.model_dump(mode="json")), "step": str(step)}
    part = run / "weights.part"
    save_file({k: v.contiguous().cpu() for k, v in average.items()}, part, metadata=meta)
    os.replace(part, run / "weights.safetensors")
