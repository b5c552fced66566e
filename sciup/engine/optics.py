"""What a PSF makes of a window: the projection on the data, and what the trunk is told."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from threading import Lock

import torch
from torch import Tensor

from sciup.generators.spec import GeneratorSpec
from sciup.geometry import Box
from sciup.physics.instrument import Instrument
from sciup.physics.projection import Projection, kernel_side
from sciup.physics.psf import moments
from sciup.physics.psf_cells import Cell, cell_of, in_cell
from sciup.physics.psf_error import at_node, node_of

KEPT = 12
"""PSFs that are kept ready: of four cells, where each is drawn with three widths."""


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
class PlaneOptics:
    """All PSFs of a plane: of every cell of the field, and every width that samples are drawn with.

    Each is made when the first window asks for it; the latest are kept.

    Attributes
    ----------
    instrument : Instrument
        Its `psf_error` says whether there are three widths or one, its `psf_cells` whether the PSF
        varies over the field.
    spec, side, device
        See `Optics.of`.
    """

    instrument: Instrument
    spec: GeneratorSpec
    side: int
    device: torch.device
    _made: OrderedDict[tuple[Cell | None, int], Optics] = field(default_factory=OrderedDict)
    _lock: Lock = field(default_factory=Lock)

    def node(self, k: int) -> int:
        """Node of sample k; see `sciup.physics.psf_error`."""
        return node_of(k) if self.instrument.psf_error.value else 0

    def cell(self, core: Box) -> Cell | None:
        """The cell that holds the core of a window; None where there is one PSF."""
        return cell_of(self.instrument, core.start)

    def at(self, cell: Cell | None = None, node: int = 0) -> Optics:
        """The optics of a cell, or of the one PSF that must do elsewhere, at a node."""
        key = cell, node
        with self._lock:  # windows are made in several threads
            if key not in self._made:
                instrument = at_node(in_cell(self.instrument, cell), node)
                self._made[key] = Optics.of(instrument, self.spec, self.side, self.device)
            self._made.move_to_end(key)
            while len(self._made) > KEPT:
                self._made.popitem(last=False)
            return self._made[key]
