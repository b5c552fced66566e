"""What the report says, in plain words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from sciup.report.survey import SIGNAL, Survey
from sciup.results.finished import Finished
from sciup.risk.calibration import EVERYTHING
from sciup.risk.words import widths
from sciup.show import UNITS

STRANGE = {
    "chi_squared": "the data differ from what the network expects by more, or by less, than the"
    " stated noise allows",
    "whiteness": "what the network does not explain has a structure of its own: the PSF or the"
    " noise is perhaps not as stated",
    "spikes": "single pixels are sharper than the PSF allows: hot pixels or cosmic rays",
    "appearance": "contrast and grey values are unlike those of the training",
    "features": "the structures look unlike those of the training",
}
"""Why a field is out of domain, by statistic."""

STRANGE_FROM = 2.0
"""Surprise from which a statistic is named beside the strangest one."""

READING = (
    "A risk of 0.2 means: of all pixels that look like this one in fields like those of the"
    " calibration, about one in five differs from the truth by more than the tolerance. It is a"
    " statement about many pixels, not about this one. A raw vote of 0.2 (risk_raw) means only that"
    " one in five of the other samples differs from the shown one; it becomes a risk by a"
    " calibration.",
    "The std is the spread of one pixel over the samples. Neighbouring pixels move together, so it"
    " is not an error to add in quadrature over an area: measure on each sample and take the spread"
    " of the results.",
    "Every sample agrees with the measurement within its noise. Detail finer than the PSF of the"
    " input is drawn from what the network has learnt; where samples 0, 1 and 2 differ, it is"
    " invented. Where they agree they can still share a mistake, for example of a PSF that was"
    " stated too broad.",
    "The mean has the smallest error and no invented texture, but looks smoother than the scene."
    " A sample has the texture of a real image and is one possibility among many.",
    "Out of domain means: the field looks unlike those of the calibration, so its promises do not"
    " hold here, however small the risk looks. In domain means that nothing strange was seen, not"
    " that nothing strange is there.",
)


@dataclass(frozen=True)
class Verdict:
    """How far the risk of the result can be trusted.

    Attributes
    ----------
    mood : {"good", "warn", "bad"}
    headline : str
        One sentence.
    details : tuple of str
    """

    mood: Literal["good", "warn", "bad"]
    headline: str
    details: tuple[str, ...] = ()


def judge(done: Finished) -> Verdict:
    """The verdict that stands on top of the page."""
    if trained := [name for name in done.facts.get("in_training", []) if name]:
        return Verdict(
            "bad",
            f"The model was trained on {len(trained)} of {len(done.planes)} planes of this image:"
            " quality and risk look better here than they are.",
            tuple(sorted(set(trained))[:5]),
        )
    risk = done.facts["risk"]
    if not risk.get("calibrated"):
        _, because, why = str(risk.get("words", "")).partition(", because ")
        return Verdict(
            "warn",
            f"The risk of this result is not calibrated{because}{why.rstrip('.')}.",
            ("It is a vote among samples: it shows where they differ, and promises nothing.",),
        )
    about = f"on {risk['about'].get('units', '?')} independent fields"
    planes = list(done.facts.get("domain") or [])
    outside = [p for p in planes if p.get("outside")]
    unknown = [p for p in planes if not outside and _missing(p.get("p"))]
    if outside:
        which = "" if len(planes) == 1 else f" ({len(outside)} of {len(planes)} planes)"
        return Verdict(
            "bad",
            f"Out of domain{which}: the risk was calibrated {about}, but this image looks unlike"
            " them, so its promises do not hold here.",
            tuple(line for p in outside[:5] for line in _reasons(p)),
        )
    if not planes or unknown:
        return Verdict(
            "warn",
            f"The risk was calibrated {about}; whether this image is like them could not be"
            " judged.",
        )
    fired = 100 * float(np.nanmax([_number(p.get("fired")) for p in planes]))
    strange = f"Up to {fired:.0f} % of the windows of a plane look strange."
    several = _several_widths(done)
    return Verdict(
        "warn" if several else "good",
        f"The risk of this result is calibrated {about}, and nothing says that this image is unlike"
        " them.",
        (*([strange] if fired >= 0.5 else []), *([widths(calibrated=True)] if several else [])),
    )


def _missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")


def _reasons(plane: dict[str, Any]) -> list[str]:
    """What is strange about a plane, strangest first."""
    lines = [
        f"Plane {plane.get('plane')}: p = {_number(plane.get('p')):.3g};"
        f" {100 * _number(plane.get('fired')):.0f} % of {plane.get('blocks')} windows are strange."
    ]
    if plane.get("contradiction"):
        lines.append(f"Reason: {plane['contradiction']}.")
    scores = {name: _number(value) for name, value in (plane.get("scores") or {}).items()}
    known = sorted((n for n in scores if not math.isnan(scores[n])), key=lambda n: -scores[n])
    for rank, name in enumerate(known):
        if rank == 0 or scores[name] >= STRANGE_FROM:
            lines.append(
                f"Reason: {STRANGE.get(name, name)} ({name}, surprise {scores[name]:.2g}; 2 means"
                " that one in a hundred blocks of the training is as strange)."
            )
    return lines


def shares(done: Finished, found: Survey) -> list[str]:
    """What the risk says of the image as a whole."""
    if done.risk_map is None or not found.pixels:
        return ["No risk map is stored with this result."]
    flagged = f"{100 * found.share(found.flagged):.2f} %"
    if done.risk_map == "risk_raw":
        return [
            f"{flagged} of the pixels have a raw vote of {found.threshold:g} or more; its mean is"
            f" {found.share(found.total):.3f}."
        ]
    alarm = done.facts["risk"]["alarm"]
    lines = [
        f"{flagged} of the pixels are flagged (risk {found.threshold:.3g} or more). On average over"
        f" fields the flag misses at most {100 * alarm['alpha']:.0f} % of the wrong pixels of a"
        " field like those of the calibration.",
        f"The mean risk is {found.share(found.total):.3f}.",
    ]
    if found.unbounded:
        part = 100 * found.share(found.unbounded)
        lines.append(
            f"{part:.2f} % of the pixels have no certified bound (grey): the badge fired there."
        )
    return lines


def unit(name: str) -> str:
    """Unit of a value of the instrument, in a sentence."""
    return "" if name == "correlation" else UNITS.get(name, "")


def methods(done: Finished, found: Survey) -> str:
    """A paragraph for the methods section of a paper."""
    facts, tolerance = done.facts, done.tolerance
    output = float(facts.get("output_psf_fwhm_px", 0.0))
    pixel = done.pixel
    length = f", {output / done.scale * pixel[0]:.3g} {pixel[1]}" if pixel else ""
    text = (
        f"Images were restored on a {done.scale} times finer grid with sciup {facts.get('sciup')},"
        f" model {facts['model']} (SHA-256 of the weights {facts['weights']}), seed"
        f" {facts['seed']}, {facts['samples']} voting samples and one delivered sample. The"
        f" instrument was taken as: {_instrument(done)}. The output has a declared Gaussian PSF"
        f" with a FWHM of {output:g} output px ({output / done.scale:g} input px{length}). A pixel"
        f" counts as wrong"
        f" where the mean of the sample over 3 x 3 output px differs from the truth by more than"
        f" {tolerance.words}. "
    )
    more = f" {widths(bool(facts['risk'].get('calibrated')))}" if _several_widths(done) else ""
    return text + _methods_risk(done, found) + more


def _several_widths(done: Finished) -> bool:
    return any(i.psf_error.value for i in done.instruments)


def _instrument(done: Finished) -> str:
    """Values of the first plane, or of the first of each of several channels."""
    names = done.facts.get("channels") or [""]
    first = {name: done.instruments[names.index(name)].rows() for name in dict.fromkeys(names)}
    said = {
        name: "; ".join(
            f"{n.replace('_', ' ')} {value} {unit(n)}".rstrip() + f" ({origin})"
            for n, value, origin, _ in rows
        )
        for name, rows in first.items()
    }
    if len(said) == 1:
        return next(iter(said.values()))
    return " -- ".join(f"in channel {name}: {values}" for name, values in said.items())


def _methods_risk(done: Finished, found: Survey) -> str:
    risk = done.facts["risk"]
    if not risk.get("calibrated"):
        return (
            "The risk map is the share of voting samples that differ from the delivered one by more"
            " than this tolerance; it was not calibrated."
        )
    outside = sum(bool(p.get("outside")) for p in done.facts.get("domain") or [])
    text = (
        f"The risk was calibrated on {risk['about'].get('units', '?')} independent fields"
        f" ({risk['about'].get('data', 'unknown data')}); {_bounds(risk)}. "
    )
    if found.pixels:
        text += (
            f"{100 * found.share(found.flagged):.2f} % of the pixels were flagged (risk of"
            f" {found.threshold:.3g} or more). "
        )
    judged = f"{outside} of {len(done.facts.get('domain') or [])} planes were out of domain."
    return text + judged


def _bounds(risk: Mapping[str, Any]) -> str:
    """What is certified."""
    if "models" in risk:
        return "each channel by the calibration of its own model, and no bound holds for all"
    units = risk["units"].get(EVERYTHING, "?") if isinstance(risk["units"], dict) else risk["units"]
    return (
        f"its bounds were certified on {units} of them and hold together with"
        f" {100 * (1 - float(risk['delta'])):.3g} % confidence"
    )


def exposure(found: Survey) -> str:
    """What the list of places is."""
    what = f"risk of {found.least:.3g} or more and a signal of {SIGNAL:g} sigma or more"
    if not found.places:
        return f"There is no place with a {what}."
    return (
        f"Connected places with a {what}, those with the largest sum of risk first: more exposure"
        " would decide most here. Positions are in input pixels, counted from 0."
    )
