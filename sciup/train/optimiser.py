"""Muon for the convolutions, Adam for what is left.

On the first 500 steps of fluorescence-x4 Muon reached in 150 steps the loss that Adam, at its best
rate, reached in 250 (docs/design/0006).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from sciup.errors import MissingPackageError

if not hasattr(torch.optim, "Muon"):
    raise MissingPackageError(
        f"torch {torch.__version__} has no Muon optimiser", "torch 2.9 or newer", "update torch"
    )

LEAST = 16
"""Matrices with a shorter side are left to Adam: there is nothing to orthogonalise."""

ADAM_RATE = 0.25
"""Learning rate of Adam relative to that of Muon."""


def _flat(weight: Tensor) -> Tensor:
    """(out, in, 3, 3) to (out, in 9)."""
    return weight.detach().flatten(1)


class ConvMuon(torch.optim.Muon):
    """`torch.optim.Muon`, which takes matrices, for convolutions.

    References
    ----------
    Jordan et al. (2024), Muon; scaling of the update: Liu et al. (2025), arXiv 2502.16982, eq. 4.
    """

    def __init__(self, weights: Iterable[nn.Parameter], lr: float) -> None:
        self.weights = list(weights)
        matrices = [nn.Parameter(_flat(w).clone()) for w in self.weights]
        super().__init__(matrices, lr=lr, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update the weights from their gradients."""
        matrices = self.param_groups[0]["params"]
        for weight, matrix in zip(self.weights, matrices, strict=True):
            matrix.copy_(_flat(weight))
            matrix.grad = None if weight.grad is None else _flat(weight.grad).clone()
        super().step(closure)  # type: ignore[no-untyped-call]
        for weight, matrix in zip(self.weights, matrices, strict=True):
            weight.copy_(matrix.view_as(weight))


class Optimiser:
    """Both optimisers behind one rate.

    Parameters
    ----------
    net : nn.Module
        Its parameters are updated.
    """

    def __init__(self, net: nn.Module) -> None:
        wide = [p for p in net.parameters() if p.dim() == 4 and min(_flat(p).shape) >= LEAST]
        chosen = {id(p) for p in wide}
        rest = [p for p in net.parameters() if id(p) not in chosen]
        self.parts: list[torch.optim.Optimizer] = [
            torch.optim.Adam(rest, lr=ADAM_RATE, betas=(0.9, 0.99))
        ]
        if wide:
            self.parts.append(ConvMuon(wide, lr=1.0))

    def step(self, rate: float) -> None:
        """Update the weights with a learning rate."""
        for part, share in zip(self.parts, (ADAM_RATE, 1.0), strict=False):
            for group in part.param_groups:
                group["lr"] = rate * share
            part.step()

    def state_dict(self) -> list[dict[str, Any]]:
        """What a resumed run needs."""
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        """Go on from `state_dict`."""
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict(state)
