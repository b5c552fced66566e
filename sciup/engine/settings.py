"""What a run is asked to do, checked once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

from sciup.errors import OptionError

MAPS = ("sample", "mean", "std", "risk_raw", "support")
"""All maps, in the order in which they are written."""

Precision = Literal["auto", "fp32", "bf16"]


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far the delivered image may be from the truth without being called wrong.

    Attributes
    ----------
    value : float
        Number of noise sigmas of the input pixel, or per cent.
    unit : {"sigma", "%"}
        ``sigma``: of the *input* noise. ``%``: of the local 9 px mean above background, and at
        least one sigma, so that empty sky does not get a tolerance of 0.
    """

    value: float = 3.0
    unit: Literal["sigma", "%"] = "sigma"

    @classmethod
    def parse(cls, text: str) -> Tolerance:
        """Read ``3sigma`` or ``5%``.

        Examples
        --------
        >>> Tolerance.parse("5%")
        Tolerance(value=5.0, unit='%')
        """
        match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*(sigma|%)\s*", text)
        if match is None or not 0 < float(match[1]) < 1000:
            raise OptionError(f"--tolerance {text!r} cannot be read", "for example 3sigma or 5%")
        return cls(float(match[1]), "sigma" if match[2] == "sigma" else "%")

    def __str__(self) -> str:
        return f"{self.value:g}{self.unit}"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything besides input, model and instrument that decides the values of the output.

    Attributes
    ----------
    samples : int
        Voting samples K; K + 1 are drawn, sample 0 is delivered.
    seed : int
        Seed of the noise field.
    maps : tuple of str
        Maps to write, from `MAPS`.
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
    maps: tuple[str, ...] = MAPS
    keep: int = 0
    tolerance: Tolerance = Tolerance()
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
        unknown = set(self.maps) - set(MAPS)
        if unknown or not self.maps:
            raise OptionError(
                f"unknown map {', '.join(sorted(unknown)) or '(none)'}", ", ".join(MAPS)
            )
        if not 0 <= self.seed < 2**63:
            raise OptionError(f"--seed {self.seed}", "0 to 2^63 - 1")

    def as_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "samples": self.samples,
            "seed": self.seed,
            "maps": list(self.maps),
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
