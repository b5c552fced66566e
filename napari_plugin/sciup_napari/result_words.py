"""How far the risk of a result can be trusted, in plain words.

The report has longer ones, but needs torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Verdict:
    """How far the risk can be trusted.

    Attributes
    ----------
    fine : bool
        Whether its promises hold as far as can be told.
    tag : str
        For the names of layers; empty if fine.
    words : str
        One sentence.
    """

    fine: bool
    tag: str
    words: str


def verdict_of(facts: Mapping[str, Any]) -> Verdict:
    """What the provenance says of calibration and domain.

    Examples
    --------
    >>> verdict_of({"risk": {"calibrated": False, "words": "a vote, because no file fits"}}).words
    'The risk of this result is not calibrated, because no file fits.'
    """
    risk = facts.get("risk") or {}
    if not risk.get("calibrated"):
        _, because, why = str(risk.get("words", "")).partition(", because ")
        return Verdict(
            False,
            "not calibrated",
            f"The risk of this result is not calibrated{because}{why.rstrip('.')}.",
        )
    planes = list(facts.get("domain") or [])
    outside = sum(bool(plane.get("outside")) for plane in planes)
    if outside:
        which = "" if len(planes) == 1 else f" in {outside} of {len(planes)} planes"
        return Verdict(
            False,
            "out of domain",
            f"Out of domain{which}: this image looks unlike those of the calibration, so the"
            " promises of its risk do not hold here.",
        )
    if not planes or any(not isinstance(p.get("p"), int | float) for p in planes):
        return Verdict(
            True,
            "",
            "The risk is calibrated; whether this image is like those could not be judged.",
        )
    return Verdict(True, "", "The risk is calibrated, and nothing says that this image is unlike.")


__all__ = ["Verdict", "verdict_of"]
