"""What one PSF makes of a window: the projection on the data, and what the trunk is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Lock

import torch
from torch import Tensor

from sciup.generators.spec import GeneratorSpec
from sciup.physics.instrument import Instrument
from sciup.physics.projection import Projection, kernel_side
from sciup.physics.psf import moments
from sciup.physics.psf_error import at_node, node_of


@dataclass(frozen=True)
class Optics:
    """One PSF, as a window uses it.

    Attributes
    ----------
    projection : Projection
    psf : Tensor (1, 3)
        FWHM [input px] and ellipticities of the relative kernel.
    """

    projection: Projection
    psf: Tensor

    @classmethod
    def of(
        cls, instrument: Instrument, spec: GeneratorSpec, side: int, device: torch.device
    ) -> Optics:
        """From the instrument, for windows of `side` input pixels."""
        kernel = instrument.relative_kernel(spec.scale, spec.target_fwhm, kernel_side(spec.scale))
        fwhm, e1, e2 = moments(kernel)
        return cls(
            Projection.build([kernel], spec.scale, side, spec.trust).to(device),
            torch.tensor([[fwhm / spec.scale, e1, e2]], device=device),
        )


@dataclass
class Nodes:
    """The optics of every width that samples are drawn with, made when the first one asks.

    Attributes
    ----------
    instrument : Instrument
        Its `psf_error` says whether there are three widths or one.
    spec, side, device
        See `Optics.of`.
    """

    instrument: Instrument
    spec: GeneratorSpec
    side: int
    device: torch.device
    _made: dict[int, Optics] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def node(self, k: int) -> int:
        """Node of sample k; see `sciup.physics.psf_error`."""
        return node_of(k) if self.instrument.psf_error.value else 0

    def __getitem__(self, node: int) -> Optics:
        """The optics of a node."""
        with self._lock:  # windows are made in several threads
            if node not in self._made:
                instrument = at_node(self.instrument, node)
                self._made[node] = Optics.of(instrument, self.spec, self.side, self.device)
            return self._made[node]
