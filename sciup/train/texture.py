"""Training a texture head: a frozen sampler, a critic, and terms that start with equal voices."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from sciup.errors import ModelError
from sciup.generators.texture import TextureHead
from sciup.physics.projection import Projection
from sciup.train import texture_losses as terms
from sciup.train.degrade import Batch
from sciup.train.kernels import RIM
from sciup.train.made import Made, Seen, frozen, head_of, made_of
from sciup.train.objective import gain
from sciup.train.pack import STANDS_ON, Pack
from sciup.train.state import Row, State, fill

SURE = 0.8
"""Accuracy above which the critic waits for the head."""

MEMORY = 0.9
"""Of the running mean of the accuracy."""

LAZY = 8
"""Steps between two penalties of the critic's slope, which count as often."""

CRITIC_RATE = 4e-4

HEARD = 8
"""Steps of the head whose gradients are measured: those of single batches differ tenfold."""

LOUDEST = 10.0
"""Largest factor of a term: one that is nearly 0 where it is measured must not drown the others."""

NEEDS_NOISE = ("texture", "statistics", "adversarial")


class TextureState(State):
    """What changes while a texture head is trained.

    Attributes
    ----------
    sampler : PosteriorSampler
        Frozen.
    critic : Critic
    voices : dict
        Factor of every term, set at the start: its gradient in the image has the wished size.
    heard : int
        Steps whose gradients decided the voices.
    accuracy : float
        Running mean of the critic's.
    """

    net: TextureHead

    def __init__(self, pack: Pack, device: str) -> None:
        self.sampler = frozen(pack).to(device)
        super().__init__(pack, device)
        if device == "cuda" or torch.backends.mkldnn.is_available():
            self.sampler.to(torch.bfloat16)
        self.critic = terms.Critic().to(device)
        self.critic.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.critic_optimiser = torch.optim.Adam(
            self.critic.parameters(), lr=CRITIC_RATE, betas=(0.5, 0.99)
        )
        self.voices: dict[str, float] = {}
        self.heard = 0
        self.accuracy = 0.5
        self._pool: dict[int, Seen] = {}

    @property
    def margin(self) -> int:
        """Of the sampler."""
        return self.sampler.spec.margin

    def build(self, pack: Pack) -> TextureHead:
        """The head before training."""
        torch.manual_seed(pack.recipe.seed)
        head = head_of(pack.recipe, self.sampler)
        own = {k: v for k, v in pack.start.items() if not k.startswith(STANDS_ON)}
        if own:
            fill(head, own, pack.recipe.start)
        return head

    def learn(self, batch: Batch, bank: Projection, rng: torch.Generator, tell: bool) -> Row | None:
        """One step of critic and head; what is to be told of it, if it is."""
        recipe = self.recipe.texture
        made = made_of(self.net, self.sampler, batch, bank, self.look(batch), rng)
        fresh = torch.randn(made.u.shape, generator=rng, device=made.u.device)
        rivals = self.recipe.texture.adversarial > 0
        if rivals:
            with torch.no_grad():
                noisy = made.judged(made.u + fresh * made.noise)
            self._teach(made, noisy)
        if rivals and self.step < recipe.warm:
            self.step += 1
            return None
        if self.heard < HEARD:
            self._balance(made, fresh)
        values = self._terms(made, made.u, fresh)
        loss = torch.stack([self.voices[k] * v for k, v in values.items()]).sum()
        norm = self.update(loss)
        if not tell:
            return None
        row = {"norm": norm, "loss": float(loss.detach())}
        row |= {k: self.voices.get(k, 0.0) * float(v.detach()) for k, v in values.items()}
        row |= {"accuracy": self.accuracy} if rivals else {}
        return row | self._diagnosis(made, fresh)

    def look(self, batch: Batch) -> Seen:
        """What the sampler sees of the batch of this step; kept where batches come back."""
        pool = self.recipe.texture.pool
        key = self.step % pool if pool else -1
        if key in self._pool:
            return self._pool[key]
        seen = self.see(batch)
        if pool:
            self._pool[key] = seen
        return seen

    @torch.no_grad()
    def see(self, batch: Batch) -> Seen:
        """Features and mean of the frozen sampler."""
        planes = batch.planes.to(memory_format=torch.channels_last)
        features = self.sampler.see(planes)
        return Seen(features, self.sampler.encode(planes, features).mean)

    def _terms(self, made: Made, u: Tensor, fresh: Tensor) -> dict[str, Tensor]:
        """All terms that have a voice; `u` is the image of `made`, or a leaf like it."""
        share = self.recipe.texture
        plain, truth = made.normalised(u), made.normalised(made.truth)
        values = {
            "pixels": terms.content(plain, truth, (1,)),
            "means": terms.content(plain, truth, terms.BLOCKS),
        }
        if share.imprint:
            values["imprint"] = terms.grid(plain, self.recipe.scale)
        if any(getattr(share, name) for name in NEEDS_NOISE):
            noisy = made.judged(u + fresh * made.noise)
            values |= self._judged(made, noisy, made.judged(made.truth))
        return {k: v for k, v in values.items() if getattr(share, k)}

    def _judged(self, made: Made, noisy: Tensor, truth: Tensor) -> dict[str, Tensor]:
        """The terms that compare with a noisy truth."""
        share = self.recipe.texture
        features, wanted = terms.bands(noisy), terms.bands(truth)
        opinion = noisy.new_zeros(1)
        if share.adversarial:
            self.critic.requires_grad_(False)
            guide = made.normalised(made.guide)
            with torch.autocast(noisy.device.type, torch.bfloat16):
                opinion, layers = self.critic(noisy, guide)
                with torch.no_grad():
                    _, theirs = self.critic(truth, guide)
            self.critic.requires_grad_(True)
            features, wanted = features + layers, wanted + theirs
        return {
            "texture": terms.texture(features, wanted) if share.texture else opinion.sum() * 0,
            "statistics": terms.statistics(noisy, truth),
            "adversarial": terms.adversarial(opinion),
        }

    def _balance(self, made: Made, fresh: Tensor) -> None:
        """Factors with which the gradients of all terms in the image have the wished sizes.

        The unit is the gradient of the squared error of the pixels. Geometric mean over the first
        `HEARD` steps of the head. The imprint's share is its factor: a logarithm of power has the
        steepest gradient where there is hardly any, as at the start.
        """
        leaf = made.u.detach().requires_grad_()
        error = terms.content(made.normalised(leaf), made.normalised(made.truth), (1,))
        (unit,) = torch.autograd.grad(error, leaf)
        for name, value in self._terms(made, leaf, fresh).items():
            (slope,) = torch.autograd.grad(value, leaf, retain_graph=True)
            size = min(float(unit.norm() / slope.norm().clamp(min=1e-12)), LOUDEST)
            voice = getattr(self.recipe.texture, name) * (1.0 if name == "imprint" else size)
            before = self.voices.get(name, voice)
            self.voices[name] = (before**self.heard * voice) ** (1 / (self.heard + 1))
        self.heard += 1

    def _teach(self, made: Made, noisy: Tensor) -> None:
        """One step of the critic, unless it is too sure already."""
        truth, guide = made.judged(made.truth), made.normalised(made.guide)
        self.critic.requires_grad_(True)
        with torch.autocast(noisy.device.type, torch.bfloat16):
            both, _ = self.critic(torch.cat([truth, noisy]), torch.cat([guide, guide]))
        real, false = both.chunk(2)
        now = terms.accuracy(real.detach(), false.detach())
        self.accuracy = MEMORY * self.accuracy + (1 - MEMORY) * now
        if self.accuracy > SURE:
            return
        loss = terms.critic_loss(real, false)
        if self.step % LAZY == 0:
            loss = loss + LAZY * self.recipe.texture.r1 / 2 * terms.r1(self.critic, truth, guide)
        self.critic.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.critic.parameters(), 10.0)
        if not torch.isfinite(norm):
            raise ModelError(
                f"training diverged at step {self.step}: the critic's gradient is not finite",
                "finite numbers",
                "raise r1 or change seed, and train into a new folder",
            )
        self.critic_optimiser.step()

    @torch.no_grad()
    def _diagnosis(self, made: Made, fresh: Tensor) -> Row:
        """Gain over bicubic, of the head and of the sampler's mean, and what spectra say.

        `spectrum`: root mean square of the logarithm of the ratio of powers, dB.
        """
        noisy = made.judged(made.u + fresh * made.noise)
        apart = terms.levels(noisy) - terms.levels(made.judged(made.truth))
        return {
            "gain": gain(made.u, made.truth, made.guide),
            "spectrum": float(apart.square().mean().sqrt()) * 4.343,
        }

    @torch.no_grad()
    def shown(
        self, batch: Batch, bank: Projection, rng: torch.Generator
    ) -> tuple[dict[str, Tensor], Row]:
        """Titles and pictures (n, h, w) in network units, of the averaged weights; scores."""
        seen = self.see(batch)
        head = head_of(self.recipe, self.sampler).to(self.device)
        head.load_state_dict(self.average)
        made = made_of(head, self.sampler, batch, bank, seen, rng)
        fresh = torch.randn(made.u.shape, generator=rng, device=made.u.device)
        edge = RIM * self.recipe.scale
        y = batch.stretch.forward(batch.measured)[..., RIM:-RIM, RIM:-RIM]
        panels = {
            "input": F.interpolate(y, scale_factor=self.recipe.scale)[:, 0],
            "bicubic": made.guide[:, 0],
            "sampler's mean": seen.mean[..., edge:-edge, edge:-edge][:, 0].float(),
            "texture": made.u[:, 0],
            "texture + truth's noise": (made.u + fresh * made.noise)[:, 0],
            "truth": made.truth[:, 0],
        }
        return panels, self._diagnosis(made, fresh)

    def extra(self) -> dict[str, Any]:
        """What a resumed run needs besides the head."""
        return {
            "critic": self.critic.state_dict(),
            "critic_optimiser": self.critic_optimiser.state_dict(),
            "voices": self.voices,
            "heard": self.heard,
            "accuracy": self.accuracy,
        }

    def take(self, saved: dict[str, Any]) -> None:
        """Inverse of `extra`."""
        self.critic.load_state_dict(saved["critic"])
        self.critic_optimiser.load_state_dict(saved["critic_optimiser"])
        self.voices, self.accuracy = dict(saved["voices"]), float(saved["accuracy"])
        self.heard = int(saved["heard"])
