"""What the trust lens says."""

from __future__ import annotations

from typing import Any

import numpy as np

from sciup_napari.readout import summary
from sciup_napari.shown import Shown


def domain_words(strange: int, windows: int) -> str:
    """What the badge says of the windows on the screen.

    Examples
    --------
    >>> domain_words(0, 6)
    ''
    """
    if not strange:
        return ""
    return (
        f"Out of domain: {strange} of {windows} windows here look unlike the fields of the"
        " calibration. Their risk is not certified."
    )


FOREIGN = "calibrated, but out of domain here"


def tolerance_words(shown: Shown) -> str:
    """The tolerance, whose risk it is, and whether that is certified."""
    return f"{shown.tolerance.replace('sigma', ' sigma')} — {_standing(shown)}"


def _standing(shown: Shown) -> str:
    lens, foreign = shown.lens, bool(shown.strange[0])
    if shown.risk_of_mean:
        return f"of the mean: {FOREIGN if foreign else 'certified'}"
    calibrated = is_calibrated(shown) and not lens.chosen
    if lens.show != "sample":
        vote = "" if calibrated else "exploratory: not certified; "
        return f"{vote}of draw {lens.draw}, not of what is shown"
    if calibrated and foreign:
        return FOREIGN
    return "certified" if calibrated else "exploratory: not certified"


def alarm_words(shown: Shown) -> str:
    """The alarm, where it is from, and how much of the screen it flags."""
    own = shown.lens.alarm is not None
    level = "calibrated level" if is_certified(shown) and not own else "exploratory"
    share = shown.flagged_share
    flags = "" if share is None else f"; {100 * share:.0f}\u00a0% of the screen flagged"
    return f"risk {shown.alarm:.2f} — {level}{flags}"


def shown_words(shown: Shown) -> str:
    """What must be known of a picture that is no fair draw."""
    if shown.lens.chosen:
        return f"{shown.lens.chosen} draw of this screen — chosen, not typical of a result"
    return "sharpness set by hand — not calibrated" if shown.lens.show == "mix" else ""


def is_certified(shown: Shown) -> bool:
    """Whether the risk of what is on the screen is certified."""
    lens = shown.lens
    fair = shown.risk_of_mean or (
        lens.show == "sample" and not lens.chosen and is_calibrated(shown)
    )
    return fair and not shown.strange[0]


def is_calibrated(shown: Shown) -> bool:
    """Whether the risk of a draw is calibrated at the tolerance that is shown."""
    facts = shown.facts
    if facts is None or shown.tolerance in shown.judge.certified:
        return facts is not None
    # as the engine found it
    return facts.calibrated and shown.lens.draw == 0 and shown.tolerance == facts.tolerance


def place_words(facts: Any) -> str:
    """Which pixel is told of.

    Examples
    --------
    >>> place_words({"place": (90.25, 125.75), "of": "input"}), place_words(None)
    ('<b>Pixel</b> y 90.25, x 125.75 of the input', '<b>Pixel</b>')
    """
    if facts is None:
        return "<b>Pixel</b>"
    y, x = (round(float(v), 2) for v in facts["place"])
    return f"<b>Pixel</b> y {y:g}, x {x:g} of the {facts['of']}"


def pixel_words(facts: Any) -> str:
    """One pixel in words."""
    said = summary(facts)
    lines = [said[:1].upper() + said[1:]]
    lines.append(
        f"Value {facts['shown']:.4g}, spread {facts['std']:.3g}, input S/N {facts['snr']:.1f}."
    )
    if np.isfinite(facts["support"]):
        lines.append(
            f"{100 * facts['support']:.0f} % of the detail here was measured, the rest drawn."
        )
    if facts["chi_squared"] is not None and np.isfinite(facts["chi_squared"]):
        surprise = facts["chi_squared"]
        said = "as expected"
        if surprise >= 2:
            said = f"strange (1 in {10**surprise:.0f})" if surprise < 7 else "very strange"
        lines.append(f"Chi squared of this window: {said}.")
    return "\n".join(lines)
