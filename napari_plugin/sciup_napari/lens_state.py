"""What of a set of draws is shown, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Show = Literal["sample", "mean", "blend", "mix"]
Overlay = Literal["nothing", "risk", "invented and missed", "std", "support"]

OVERLAYS: tuple[Overlay, ...] = ("nothing", "risk", "invented and missed", "std", "support")


@dataclass(frozen=True)
class LensState:
    """What the trust lens shows.

    Attributes
    ----------
    show : {"sample", "mean", "blend", "mix"}
        One draw; the mean of all; a draw that fades to the mean where it is risky; a fixed mixture.
    draw : int
        Which draw; 0 is the one that is delivered.
    mix : float
        Share of the draw in the mixture, 0 (mean) to 1.
    overlay : str
        From `OVERLAYS`.
    contour : bool
        A line around what is flagged.
    tolerance : float, optional
        In sigmas of the input noise; that of the order unless given.
    alarm : float, optional
        Risk from which a pixel is flagged; the calibrated level unless given.
    chosen : str
        How the draw was chosen, if it was: what is chosen is certified by nothing.
    swipe : float
        Share of the view, from the left, that shows the input.
    """

    show: Show = "sample"
    draw: int = 0
    mix: float = 0.5
    overlay: Overlay = "risk"
    contour: bool = False
    tolerance: float | None = None
    alarm: float | None = None
    chosen: str = ""
    swipe: float = 0.0

    def tolerance_or(self, ordered: str) -> str:
        """The tolerance in words, such as ``3sigma``; the ordered one unless there is another.

        Examples
        --------
        >>> LensState(tolerance=2.5).tolerance_or("3sigma"), LensState().tolerance_or("3sigma")
        ('2.5sigma', '3sigma')
        """
        return ordered if self.tolerance is None else f"{self.tolerance:g}sigma"
