"""One stamp, its features and its noise: images as a differentiable function of the noise.

The trunk has run once; an image is what the engine would draw from the noise at hand: draw head,
flux lock, projection. With the noise that belongs to the pixels (seed, digest, sample) it is the
engine's sample; with other noise of the same statistics it is another image that agrees with the
data.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from sciup.engine.block import PlaneSampler, Window
from sciup.engine.margins import RIM, halo_of
from sciup.engine.window import EXACT_ROUNDS
from sciup.generators.noise import COARSE_STEP, _tap, noise_key, normal_field
from sciup.generators.posterior import crop
from sciup.geometry import Box, Tile
from sciup.physics.projection import REACH_A

BLOCK = 8
"""Input pixels per side of the blocks in which noise keeps its length, and chi^2 is judged."""

STEP = 8
"""Windows grow by so many input pixels: lengths that Fourier transforms like."""

EXACT_ENOUGH = 3e-4
"""Relative error at which exact data count as met."""

EXACT_TURNS = 60

ROOM = 2
"""Input pixels around a region that its window is exact on, too."""


class Latents(NamedTuple):
    """The noise of B images, each site standard normal.

    Attributes
    ----------
    fine : Tensor (B, s^2, m, m)
        Of the draw head.
    nodes : Tensor (B, 1, a, b)
        Of the coarse noise of the draw head, every `COARSE_STEP` input pixels.
    error : Tensor (B, 1, n + 2, n + 2)
        Of the instrument, before it is correlated: what the image says was noise.
    """

    fine: Tensor
    nodes: Tensor
    error: Tensor

    def map(self, function: object, *others: Latents) -> Latents:
        """Apply a function of one tensor (and those of others) to every site."""
        return Latents(*(function(*parts) for parts in zip(self, *others, strict=True)))  # type: ignore[operator]

    def dot(self, other: Latents) -> Tensor:
        """Inner product of each image's noise with another's, (B,)."""
        parts = [(a * b).flatten(1).sum(1) for a, b in zip(self, other, strict=True)]
        return torch.stack(torch.broadcast_tensors(*parts)).sum(0)

    def repeated(self, count: int) -> Latents:
        """The same noise `count` times."""
        return Latents(*(t.repeat(count, 1, 1, 1) for t in self))

    def one(self, index: int) -> Latents:
        """One of the B."""
        return Latents(*(t[index : index + 1] for t in self))

    @classmethod
    def cat(cls, parts: list[Latents]) -> Latents:
        """Several as one batch."""
        return cls(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))


@dataclass
class Stamp:
    """One region of one plane, ready to be drawn from any noise.

    Attributes
    ----------
    sampler : PlaneSampler
        In float32: gradients of bfloat16 numbers would be too coarse. Its windows cover one stamp
        instead of a tile of the engine's grid.
    roi : Box
        Input pixels asked for.
    window : Window
        The engine's window of the square around them.
    """

    sampler: PlaneSampler
    roi: Box
    window: Window

    @classmethod
    @torch.no_grad()
    def read(cls, sampler: PlaneSampler, roi: Box) -> Stamp:
        """Read the window around a region and run the trunk."""
        core = square(roi, sampler.side)
        tile = Tile((0, 0), core, core.grown(halo_of(sampler.net)))
        return cls(sampler, roi, Window.read(sampler, tile))

    @property
    def scale(self) -> int:
        """Fine pixels per input pixel."""
        return self.sampler.net.spec.scale

    @torch.no_grad()
    def latents(self, k: int) -> Latents:
        """The noise with which the engine draws sample k here."""
        w, s = self.window, self.sampler
        key, plane = noise_key(s.settings.seed, s.digest, k), s.plane_number
        fine = normal_field(key, plane, w.noise_box, s.net.spec.fine_noise)
        nodes = normal_field(key, plane + (1 << 24), self._node_box, 1)
        error = normal_field(key, plane + (2 << 24), w.box.grown(1), 1)
        return Latents(*(self._tensor(t) for t in (fine, nodes, error)))

    def _tensor(self, values: NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values))[None].to(self.sampler.device)

    @property
    def _node_box(self) -> Box:
        box = self.window.noise_box
        return Box(
            tuple(a // COARSE_STEP for a in box.start),
            tuple(b // COARSE_STEP + 2 for b in box.stop),
        )

    def _coarse(self, nodes: Tensor) -> Tensor:
        """`sciup.generators.noise.coarse_field` of any nodes."""
        box, first = self.window.noise_box, self._node_box.start
        rows, cols = (
            torch.from_numpy(joints(a, b, f, n)).to(nodes)
            for a, b, f, n in zip(box.start, box.stop, first, nodes.shape[-2:], strict=True)
        )
        return rows @ nodes @ cols.T

    def noise_field(self, error: Tensor) -> Tensor:
        """What an image says was noise of the instrument, working units, (B, 1, n, n)."""
        s = self.sampler
        return correlated(error, s.correlation) * self.window.sigma

    def whole(self, z: Latents) -> Tensor:
        """Images on the whole window, (B, 1, s n, s n) working units; exact on the core."""
        s, w = self.sampler, self.window
        noise = torch.cat([z.fine, self._coarse(z.nodes)], 1)
        v = s.units.stretch.inverse(s.net.draw(w.features, noise))
        free = s.settings.noise_free
        y = w.measured if free else w.measured - self.noise_field(z.error)
        background = s.units.background
        if not free:
            return s.projection.agree(v.contiguous(), y, w.mask, w.lock, background)
        x = s.projection.lock_flux(v.contiguous(), y, w.mask, w.lock, background)
        for _ in range(EXACT_ROUNDS):
            x = s.projection.project(x, y, w.mask, None)
        # the gradient is that of the image before, which differs by a per cent
        return x + (self._exact(x.detach()) - x).detach()

    @torch.enable_grad()
    def _exact(self, x: Tensor) -> Tensor:
        """The images nearest to these that give exact data: conjugate gradients on A A^T.

        The engine's rounds leave a per cent where A lets little through.
        """
        w, observe = self.window, self.sampler.projection.observe
        probe = torch.zeros_like(x).requires_grad_()
        seen = w.mask * observe(probe)

        def back(v: Tensor) -> Tensor:
            (out,) = torch.autograd.grad(seen, probe, v, retain_graph=True)
            return out

        def length(v: Tensor) -> Tensor:
            return (v * v).flatten(1).sum(1).clamp(min=1e-30).view(-1, 1, 1, 1)

        with torch.no_grad():
            residual = w.mask * (w.measured - observe(x))
            enough = EXACT_ENOUGH**2 * float((w.mask * w.measured).square().sum())
        direction, old, total = residual, length(residual), torch.zeros_like(residual)
        for _ in range(EXACT_TURNS):
            if float(old.max()) <= enough:
                break
            with torch.no_grad():
                change = w.mask * observe(back(direction).detach())
                step = old / (direction * change).flatten(1).sum(1).clamp(min=1e-30).view(
                    -1, 1, 1, 1
                )
                total, residual = total + step * direction, residual - step * change
                new = length(residual)
                direction, old = residual + new / old * direction, new
        return x + back(total).detach()

    def residual(self, whole: Tensor) -> Tensor:
        """(y - A x) / sigma where data are judged, else 0; (B, 1, n, n) on the window."""
        w = self.window
        return w.mask * (w.measured - self.sampler.projection.observe(whole)) / w.sigma

    def cut(self, field: Tensor) -> Tensor:
        """The region's part of a field on the window's input grid."""
        rows, cols = self.roi.relative_to(self.window.box).slices
        return field[..., rows, cols]

    def cut_fine(self, whole: Tensor) -> Tensor:
        """The region's part of a field on the window's fine grid."""
        rows, cols = self.roi.relative_to(self.window.box).scaled(self.scale).slices
        return whole[..., rows, cols]

    def values(self, whole: Tensor) -> NDArray[np.float32]:
        """One image as output values of the region, NaN where masked; (s h, s w)."""
        x = self.cut_fine(whole)[0, 0].detach().cpu().numpy()
        out = self.sampler.units.inverse(x, self.roi, self.scale)
        keep = self.footprint.repeat(self.scale, 0).repeat(self.scale, 1)
        return np.where(keep, out, np.float32(np.nan))

    @property
    def footprint(self) -> NDArray[np.bool_]:
        """Where the region has data, (h, w)."""
        return np.asarray(self.cut(self.window.mask)[0, 0].cpu().numpy() > 0)

    @property
    def unlit(self) -> float:
        """Where there is no light, working units: the sky, or the pedestal."""
        return 0.0

    @cached_property
    def pixel_psf(self) -> Tensor:
        """What a source of one fine pixel's width looks like in the input, of norm 1."""
        n, s, reach = self.sampler.projection.side, self.scale, 3
        point = torch.zeros(1, 1, n * s, n * s, device=self.sampler.device)
        first, last = n // 2 * s + (s - 1) // 2, n // 2 * s + s // 2
        point[..., first : last + 1, first : last + 1] = 1
        seen = self.sampler.projection.observe(point)
        cut = slice(n // 2 - reach, n // 2 + reach + 1)
        kernel: Tensor = seen[..., cut, cut]
        return kernel.div(kernel.norm())


def square(roi: Box, side: int) -> Box:
    """The square of a side around a region.

    Examples
    --------
    >>> square(Box((0, 4), (8, 8)), 8)
    Box(start=(0, 2), stop=(8, 10))
    """
    start = tuple(a + (n - side) // 2 for a, n in zip(roi.start, roi.shape, strict=True))
    return Box(start, tuple(a + side for a in start))


def side_for(roi: Box) -> int:
    """Side of the core that a region needs; with its rim it is a multiple of `STEP`.

    Examples
    --------
    >>> (side_for(Box((0, 0), (20, 33))) + 2 * RIM) % STEP
    0
    """
    return -(-(max(roi.shape) + 2 * (ROOM + RIM)) // STEP) * STEP - 2 * RIM


def joints(start: int, stop: int, first: int, count: int) -> NDArray[np.float32]:
    """Weights (stop - start, count) of nodes at pixels, as in `coarse_field`."""
    position = np.arange(start, stop)
    left = position // COARSE_STEP - first
    weight = ((position % COARSE_STEP + 0.5) / COARSE_STEP).astype(np.float32)
    norm = np.sqrt(weight**2 + (1 - weight) ** 2)
    out = np.zeros((len(position), count), np.float32)
    rows = np.arange(len(position))
    out[rows, left] = (1 - weight) / norm
    out[rows, left + 1] = weight / norm
    return out


def correlated(white: Tensor, neighbour: float) -> Tensor:
    """`sciup.generators.noise.correlate` of tensors (B, 1, h, w); loses 1 pixel a side."""
    if neighbour <= 0:
        return crop(white, 1)
    a = _tap(neighbour)
    taps = torch.tensor([a, 1, a], dtype=white.dtype, device=white.device) / (1 + 2 * a * a) ** 0.5
    return F.conv2d(F.conv2d(white, taps.view(1, 1, 3, 1)), taps.view(1, 1, 1, 3))


def on_sphere(z: Latents, like: Latents) -> Latents:
    """The same directions with, in every block, the length that `like` has there.

    Blocks are `BLOCK` x `BLOCK` pixels with all their channels (2 x 2 for the nodes): the noise
    keeps its variance everywhere and cannot gather where it pays.
    """
    return z.map(_block_lengths, like)


def _block_lengths(x: Tensor, like: Tensor) -> Tensor:
    side = BLOCK if x.shape[-1] > 2 * BLOCK else 2
    have, want = (_block_energy(t, side) for t in (x, like))
    factor = (want / have.clamp(min=1e-12)).sqrt()
    wide = factor.repeat_interleave(side, -1).repeat_interleave(side, -2)
    return x * wide[..., : x.shape[-2], : x.shape[-1]]


def _block_energy(x: Tensor, side: int) -> Tensor:
    energy = (x * x).sum(1, keepdim=True)
    return F.avg_pool2d(energy, side, ceil_mode=True, count_include_pad=False)


__all__ = ["BLOCK", "REACH_A", "Latents", "Stamp", "on_sphere", "side_for"]
