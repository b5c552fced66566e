"""What a run is asked to do, checked once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from sciup.errors import OptionError
from sciup.image import KEYPOINT_KINDS
from sciup.risk.tolerance import Tolerance

VALUES = ("sample", "mean", "std", "lower", "upper", "tolerance")
"""Maps in the unit of the image."""

CALIBRATED = (
    "risk", "risk_bound", "risk_invented", "risk_missed", "risk_mean", "alarm", "lower", "upper",
    "ood",
)  # fmt: skip
"""Maps that need a calibration of the model."""

RISKS = ("risk_raw", "risk", "risk_bound", "risk_invented", "risk_missed", "risk_mean", "alarm")
"""Maps for which the votes of the draws are counted."""

MAPS = ("sample", "mean", "std", "risk_raw", *CALIBRATED, "support", "tolerance", "snr")
"""All maps, in the order in which they are written."""

ADDED = ("texture",)
"""Maps that another model adds to those of a sampler."""

KEYPOINTS = {
    domain: tuple(f"keypoints_{kind}" for kind in kinds) for domain, kinds in KEYPOINT_KINDS.items()
}
"""Maps of a progressive sampler by domain: where it expects keypoints of a kind."""

STEPS = {"step_2x": 2, "step_4x": 4}
"""Maps of a progressive sampler, and the scale of their pixels, each of which is repeated."""

PROGRESSIVE = (*STEPS, *sum(KEYPOINTS.values(), ()))
"""All maps that only a progressive sampler makes."""

USUAL = ("sample", "mean", "std", "risk", "risk_bound", "ood", "support")
USUAL_RAW = ("sample", "mean", "std", "risk_raw", "support")
"""Maps that are written unless others are asked for, with and without a calibration."""

Precision = Literal["auto", "fp32", "bf16"]


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything besides input, model and instrument that decides the values of the output.

    Attributes
    ----------
    samples : int
        Voting samples K; K + 1 are drawn, sample 0 is delivered.
    seed : int
        Seed of the noise field.
    maps : tuple of str, optional
        Maps to write, from `MAPS`, `ADDED` and `PROGRESSIVE`; the usual ones unless given.
    keep : int
        Number of samples to store as well.
    tolerance : Tolerance
        Of the risk map.
    precision : {"fp32", "bf16"}
        Of the convolutions.
    noise_free : bool
        Treat the input as exact.
    """

    samples: int = 16
    seed: int = 0
    maps: tuple[str, ...] | None = None
    keep: int = 0
    tolerance: Tolerance = field(default_factory=Tolerance)
    precision: Literal["fp32", "bf16"] = "fp32"
    noise_free: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.samples <= 1024:
            raise OptionError(
                f"--samples {self.samples}", "1 to 1024 (16 or more for a fair risk map)"
            )
        if not 0 <= self.keep <= self.samples + 1:
            raise OptionError(
                f"--keep-samples {self.keep} with {self.samples} + 1 samples",
                f"0 to {self.samples + 1}",
            )
        allowed = (*MAPS, *ADDED, *PROGRESSIVE)
        unknown = set(self.maps or ()) - set(allowed)
        if unknown or self.maps == ():
            raise OptionError(
                f"unknown map {', '.join(sorted(unknown)) or '(none)'}", ", ".join(allowed)
            )
        if not 0 <= self.seed < 2**63:
            raise OptionError(f"--seed {self.seed}", "0 to 2^63 - 1")

    def as_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "samples": self.samples,
            "seed": self.seed,
            "maps": list(self.maps or ()),
            "keep": self.keep,
            "tolerance": str(self.tolerance),
            "precision": self.precision,
            "noise_free": self.noise_free,
        }


def choose_precision(precision: str, device: str) -> Literal["fp32", "bf16"]:
    """``auto``: bf16 where the machine has matrix units for it, else fp32."""
    if precision in ("fp32", "bf16"):
        return "fp32" if precision == "fp32" else "bf16"
    if precision != "auto":
        raise OptionError(f"--precision {precision!r}", "auto, fp32, bf16")
    import torch

    if device == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    has_amx = getattr(torch.backends.cpu, "get_cpu_capability", lambda: "")() and _amx()
    return "bf16" if has_amx else "fp32"


def _amx() -> bool:
    import torch

    check = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return bool(check and check())


def choose_device(device: str) -> str:
    """``auto``: a GPU where there is one."""
    import torch

    if device not in ("auto", "cpu", "cuda"):
        raise OptionError(f"--device {device!r}", "auto, cpu, cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise OptionError(
            "--device cuda, but torch sees no GPU", "cpu or auto", "install a CUDA build of torch"
        )
    return "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"
