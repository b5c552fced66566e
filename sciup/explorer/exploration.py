"""What `sciup.explore` gives back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sciup.api import Result
from sciup.engine.provenance import provenance
from sciup.explorer.answers import POSSIBLE, Region
from sciup.explorer.cascade import Cascade
from sciup.explorer.question import Question


@dataclass(frozen=True)
class Exploration:
    """The answers for all regions.

    Attributes
    ----------
    result : Result
        The engine's run of the first stage, from which the draws come.
    cascade : Cascade
    question : Question
    regions : tuple of Region
    """

    result: Result
    cascade: Cascade
    question: Question
    regions: tuple[Region, ...]

    @property
    def found(self) -> bool:
        """Whether every region has an answer that agrees with the data."""
        return all(region.found for region in self.regions)

    @property
    def scale(self) -> int:
        """Output pixels per input pixel."""
        return self.cascade.factor

    def as_json(self) -> dict[str, Any]:
        """Everything but pixels, JSON-ready."""
        job, q = self.result.job, self.question
        made = provenance(job, "fits")
        keys = ("sciup", "created", "source", "seed", "device", "values", "instrument")
        return {
            **{key: made[key] for key in keys},
            "scale": self.scale,
            "stages": [
                {"model": s.name, "scale": s.scale, "weights": s.weights}
                for s in self.cascade.stages
            ],
            "output_psf_fwhm_px": self.cascade.stages[-1].target_fwhm,
            "noise_free": job.settings.noise_free,
            "goal": q.goal,
            "steps": q.steps,
            "reach_sigma": q.reach,
            "meaning": POSSIBLE,
            "risk": self.cascade.risk or "no risk map: answers were chosen, not drawn",
            "regions": [region.as_json() for region in self.regions],
        }

    def save(self, out: str | Path, *, overwrite: bool = False) -> Path:
        """Write ``OUT.explore.json``, the answers, their residuals and a figure.

        Parameters
        ----------
        out : path
            Stem of all names; with ``.fits`` or ``.ome.zarr`` at its end, the format of the
            images, which else is that of the input.
        overwrite : bool
            Replace what is there.

        Returns
        -------
        Path
            Of the JSON file, which is written last.

        Raises
        ------
        OutputError
            If something of that name exists, or cannot be written.
        """
        from sciup.explorer.write import write

        return write(self, Path(out), overwrite)


__all__ = ["Exploration"]
