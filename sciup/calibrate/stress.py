"""What risk and badge say of fields in which something is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from sciup.calibrate.check import Progress, pixels_of, risk_of, score, verdict_of
from sciup.calibrate.fields import Source, none_left
from sciup.calibrate.observe import Observation, observe
from sciup.calibrate.scenes import scenes
from sciup.calibrate.spoil import SPOILS, Spoilt
from sciup.evaluate.tables import Table
from sciup.risk.calibration import Calibration
from sciup.risk.evidence import TOLERANCES
from sciup.risk.familiar import strangest
from sciup.risk.innovation import BLOCK

Row = dict[str, Any]

RAISED = 0.2
"""Risk from which on a place counts as marked."""
LEAST = 3
"""Output pixels that an artefact has at least."""


def stress(
    source: Source,
    calibration: Calibration,
    *,
    split: str = "test",
    progress: Progress = lambda _what, _done: None,
    skipped: Callable[[str], None] = lambda _: None,
) -> list[Table]:
    """Tables of fields spoilt in every way of `SPOILS`, at the first tolerance.

    The truth of a field stays what it is; ``said`` and ``wrong`` are the mean risk and the share of
    wrong pixels where S/N > 2, so that their difference is the price of a badge that does not fire.
    InputError if no field can be used.
    """
    fields: list[Row] = []
    artefacts: list[Row] = []
    found = list(scenes(source, split, skipped))
    if not found:
        raise none_left(split)
    for name, spoil in SPOILS.items():
        rows, pixels, marks = [], [], []
        for done, scene in enumerate(found):
            progress(name, done + 1)
            rng = np.random.default_rng([source.seed, crc32(f"{name}/{scene.name}".encode())])
            spoilt = spoil(scene, rng)
            result = scene.upscale(source, spoilt.observed, spoilt.facts)
            seen = observe(result, source.samples + 1)
            said = verdict_of(seen, calibration)
            against = bool(result.instrument.contradiction)
            rows.append(said | {"outside": said["outside"] or against, "contradicted": against})
            pixels.append(pixels_of(seen, spoilt.truth, calibration, TOLERANCES[0])[0])
            marks += judge_sites(seen, spoilt, calibration, scene.scale)
        scores = score(pixels)
        fields.append(
            {"spoilt": name, "fields": len(rows)}
            | {"outside": float(np.mean([row["outside"] for row in rows]))}
            | {"contradicted": float(np.mean([row["contradicted"] for row in rows]))}
            | {"blocks_fired": float(np.nanmean([row["fired"] for row in rows]))}
            | {key: scores.get(key, float("nan")) for key in ("said", "wrong", "ece", "auroc")}
        )
        if marks:
            artefacts.append({"spoilt": name} | summary(marks))
    return [
        Table("stress", "Badge and risk on spoilt fields", fields),
        Table(
            "artefacts", "What is painted where a field was spoilt, and marked", artefacts, [NOTE]
        ),
    ]


NOTE = (
    f"artefacts: sites with {LEAST} connected px or more that are wrong by more than the tolerance;"
    f" risky: of these, share with a risk of {RAISED:g} and more in most of the wrong px; raised:"
    " or the badge fires on the block; elsewhere: share of all px with that risk."
)


def judge_sites(
    seen: Observation, spoilt: Spoilt, calibration: Calibration, scale: int
) -> list[Row]:
    """One row per site: whether an artefact is there, and whether it is marked."""
    if not spoilt.sites:
        return []
    risk, event = risk_of(seen, spoilt.truth, calibration, TOLERANCES[0])
    high, wrong = risk >= RAISED, np.nan_to_num(event) != 0
    fires = _fired(seen, calibration, BLOCK * scale)[: risk.shape[0], : risk.shape[1]]
    rows = []
    for site in spoilt.sites:
        parts, count = label(wrong & site)
        sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
        rows.append({"artefact": bool((sizes >= LEAST).any()), "elsewhere": float(high.mean())})
        here = wrong & site
        if rows[-1]["artefact"]:
            risky = bool(high[here].mean() >= 0.5)
            rows[-1] |= {"risky": risky, "raised": risky or bool(fires[here].any())}
    return rows


def _fired(seen: Observation, calibration: Calibration, side: int) -> NDArray[np.bool_]:
    """Where the badge fires; blocks have `side` output px."""
    blocks = calibration.domain.fires(strangest(calibration.familiar.scores(seen.statistics)))
    return np.asarray(blocks.repeat(side, 0).repeat(side, 1))


def summary(marks: list[Row]) -> Row:
    """Shares over all sites."""
    bad = [m for m in marks if m["artefact"]]
    share = {
        key: float(np.mean([m[key] for m in bad])) if bad else float("nan")
        for key in ("risky", "raised")
    }
    return (
        {"sites": len(marks), "artefacts": len(bad)}
        | share
        | {"elsewhere": float(np.mean([m["elsewhere"] for m in marks]))}
    )
