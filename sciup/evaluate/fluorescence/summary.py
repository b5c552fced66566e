"""From scores of images to tables over sets, with bootstrap intervals over units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sciup.evaluate.fluorescence.run import Findings, Plan, unique
from sciup.evaluate.fluorescence.scores import BLOCKS, GLOSSARY, LEVELS
from sciup.evaluate.intervals import Estimated, mean_of_sets, ratio
from sciup.evaluate.tables import Table

Row = dict[str, Any]

ALL = "mean of sets"
REFERENCE = tuple(f"{name}{block}" for name in ("skill", "cover") for block in BLOCKS[:3])
QUALITY = (
    "gain_mean",
    "gain_average",
    "gain_draw",
    "crps",
    "ssim",
    "nrmse",
    "frc",
    "flux",
    "chi2",
    "seconds",
)
KEYPOINTS = ("keypoints_mean", "keypoints_draw", "keypoints_map")
SPECTRA = ("lsd_mean", "lsd_draw", "pyramid_mean", "pyramid_draw")
HONEST = ("p_crps", "p_energy", "p_ece", "brier", "auroc", "wrong", "ause")
"""Scores of draws besides those by size of block."""


def pooled(rows: Sequence[Row], key: str, seed: int = 0) -> Estimated:
    """A score over the images of one set.

    Mean over images; spread/skill of perturbed draws is the root of the ratio of sums, and
    imprints, which are logarithms, become a geometric mean.
    """
    units = [str(r["unit"]) for r in rows]

    def column(name: str) -> list[float]:
        return [float(r.get(name, np.nan)) for r in rows]

    if key.startswith("p_skill"):
        block = key.removeprefix("p_skill")
        found = ratio(column(f"p_spread{block}"), column(f"p_error{block}"), units, seed)
        return found.mapped(np.sqrt)
    found = ratio(column(key), [1.0] * len(rows), units, seed)
    return found.mapped(np.exp) if key.startswith("imprint") else found


def groups(rows: Sequence[Row]) -> list[tuple[str, list[list[Row]]]]:
    """Name of every set with its rows, and all sets together where there are several."""
    sets = sorted(unique(r["set"] for r in rows))
    parts = [(name, [[r for r in rows if r["set"] == name]]) for name in sets]
    if len(sets) > 1:
        parts.append((ALL, [group[0] for _, group in parts]))
    return parts


def over(group: Sequence[Sequence[Row]], key: str) -> Estimated:
    """A score over one set, or its mean over sets."""
    parts = [pooled(rows, key, seed) for seed, rows in enumerate(group)]
    return parts[0] if len(parts) == 1 else mean_of_sets(parts)


def _sections(found: Findings, kinds: Sequence[str]) -> list[tuple[Row, list[list[Row]]]]:
    """Condition, set and method of every row of a table, with the images that it sums up."""
    out = []
    for condition in unique(r["condition"] for r in found.rows):
        here = [r for r in found.rows if r["condition"] == condition and r["kind"] in kinds]
        for name, group in groups(here):
            for method in unique(r["method"] for r in here):
                part = [[r for r in rows if r["method"] == method] for rows in group]
                part = [rows for rows in part if rows]
                if part:
                    about = {"condition": condition, "set": name, "method": method}
                    out.append((about, part))
    return out


def _counts(group: Sequence[Sequence[Row]]) -> Row:
    return {
        "images": sum(len(rows) for rows in group),
        "units": sum(len({r["unit"] for r in rows}) for rows in group),
    }


def _ends(name: str, found: Estimated) -> Row:
    low, high = found.ends
    return {name: found.value, "low": low, "high": high}


def quality(found: Findings, title: str) -> Table:
    """What every method is worth."""
    rows = []
    for about, group in _sections(found, ("model", "twin", "rival", "texture", "baseline")):
        gain = _ends("gain_mean", over(group, "gain_mean"))
        keys = (*QUALITY[1:], *SPECTRA, *(k for k in KEYPOINTS if any(k in r for r in found.rows)))
        others = {key: over(group, key).value for key in keys}
        rows.append(about | _counts(group) | gain | others)
    return Table("quality", f"What every method is worth. {title}", rows, GLOSSARY)


def honesty(found: Findings, title: str) -> Table:
    """Whether the spread of the draws is right."""
    keys = [f"{name}{b}" for name in ("p_skill", "p_cover") for b in BLOCKS]
    keys += [f"p_{name}{level}" for level in LEVELS for name in ("inside", "length")]
    keys = [k for k in keys if k.startswith("p_skill") or any(k in r for r in found.rows)]
    rows = [
        about
        | _counts(group)
        | {key: over(group, key).value for key in (*REFERENCE, "ece", *keys, *HONEST)}
        for about, group in _sections(found, ("model",))
    ]
    return Table("honesty", f"Whether the spread of the draws is right. {title}", rows, GLOSSARY)


def patterns(found: Findings, title: str) -> Table:
    """Spectra of samples and means, and the imprint of the grid."""
    sources = ("std", "draw", "truth")
    rows = []
    for about, group in _sections(found, ("model",)):
        row = about | {key: over(group, key).value for key in ("lsd_draw", "lsd_mean")}
        row["draw / mean"] = row["lsd_draw"] / row["lsd_mean"]
        keys = unique(k for g in group for r in g for k in r if k.startswith("imprint_std "))
        for source in sources:
            row[f"imprint_{source}"] = over(group, f"imprint_{source}").value
            each = {k.split()[1]: over(group, k.replace("std", source)).value for k in keys}
            worst = max(each, key=lambda k: abs(np.log(each[k])), default="")
            row[f"worst_{source}"] = f"{each[worst]:.3f} at {worst}" if worst else ""
        rows.append(row)
    return Table("patterns", f"Spectra, and the imprint of the grid. {title}", rows, GLOSSARY)


def imprints(found: Findings, title: str) -> Table:
    """The imprint at every frequency, with its interval."""
    rows = []
    for about, group in _sections(found, ("model",)):
        keys = unique(k for g in group for r in g for k in r if k.startswith("imprint_std "))
        for key in keys:
            row = about | {"frequency": key.split()[1]}
            for source in ("std", "draw", "truth"):
                value = over(group, key.replace("std", source))
                row |= {source: value.value}
                row |= dict(zip((f"{source}_low", f"{source}_high"), value.ends, strict=True))
            rows.append(row)
    return Table("imprint", f"Power at the frequencies of the grid. {title}", rows)


def textures(found: Findings, title: str) -> Table:
    """What texture costs and brings: each texture model beside the first of them."""
    rows = []
    sections = _sections(found, ("texture",))
    first = {(a["condition"], a["set"]): group for a, group in reversed(sections)}
    for about, group in sections:
        base = first[about["condition"], about["set"]]
        row = about | _counts(group)
        for key in ("gain_mean", "lsd_mean", "pyramid_mean"):
            value, own = over(group, key).value, over(base, key).value
            row[key.removesuffix("_mean")] = value
            change = "loss" if key == "gain_mean" else f"{key.removesuffix('_mean')} / first"
            row[change] = own - value if key == "gain_mean" else value / own
        spots = [r for part in group for r in part if "false_spots" in r]
        empty = sum(r["empty_pixels"] for r in spots) / 1e6
        row["false_per_Mpx"] = sum(r["false_spots"] for r in spots) / empty if empty else np.nan
        rows.append(row | {"imprint": over(group, "imprint_texture").value})
    notes = [
        "loss: PSNR given away, dB. The first is trained with squared errors alone. false: spots of"
        " S/N 5 in 10^6 pixels where the truth has none; instrument known."
    ]
    return Table("texture", f"What texture costs and brings. {title}", rows, [*notes, *GLOSSARY])


def paired(found: Findings, title: str) -> Table:
    """The model's gain less that of the best baseline of each set, of the twin, and of the rival.

    The best baseline of a set is chosen on the very images that are reported: it can only look
    better than it is.
    """
    rows = []
    for condition in unique(r["condition"] for r in found.rows):
        here = [r for r in found.rows if r["condition"] == condition]
        ours = unique(r["method"] for r in here if r["kind"] in ("model", "texture"))
        for name in ours:
            for rival in ("baseline", "twin", "rival"):
                rows += _differences(here, condition, name, rival)
    notes = [
        "difference: gain of the model's mean less that of the rival on the same image, dB; 95 % "
        "bootstrap interval over units. The best rival of each set is chosen on these images."
    ]
    return Table("paired", f"The model against the best of the others. {title}", rows, notes)


def _differences(here: Sequence[Row], condition: str, ours: str, kind: str) -> list[Row]:
    rows: list[Row] = []
    parts: list[Estimated] = []
    for name, (group, *_) in ((n, g) for n, g in groups(here) if n != ALL):
        rival = best(group, kind)
        if rival is None:
            continue
        differences = subtract(group, ours, rival)
        value = pooled(differences, "difference", len(parts))
        parts.append(value)
        about: Row = {"condition": condition, "set": name, "model": ours, "rival": rival}
        rows.append(about | _counts([differences]) | _ends("difference", value))
    if len(parts) > 1:
        about = {"condition": condition, "set": ALL, "model": ours, "rival": f"best {kind} of each"}
        count: Row = {key: sum(r[key] for r in rows) for key in ("images", "units")}
        rows.append(about | count | _ends("difference", mean_of_sets(parts)))
    return rows


def best(rows: Sequence[Row], kind: str) -> str | None:
    """The method of a kind with the highest gain on these images."""
    names = unique(r["method"] for r in rows if r["kind"] == kind)

    def gain(name: str) -> float:
        return float(np.mean([r["gain_mean"] for r in rows if r["method"] == name]))

    return max(names, key=gain, default=None)


def subtract(rows: Sequence[Row], ours: str, rival: str) -> list[Row]:
    """Differences in gain, image by image."""
    other = {r["image"]: r["gain_mean"] for r in rows if r["method"] == rival}
    return [
        {"unit": r["unit"], "image": r["image"], "difference": r["gain_mean"] - other[r["image"]]}
        for r in rows
        if r["method"] == ours
    ]


def tables(found: Findings, plan: Plan) -> list[Table]:
    """All tables, the short ones first."""
    o = plan.options
    title = (
        f"{plan.model.name} (weights {plan.model.weights[:12]}), {plan.split} images, every "
        f"{plan.every}, {o.draws} draws, seed {o.seed}."
    )
    out = [f(found, title) for f in (textures, paired, quality, honesty, patterns, imprints)]
    if found.skipped:
        count = f"{len(found.skipped)} images could not be used."
        out.append(Table("skipped", count, found.skipped))
    return [t for t in (*out, Table("images", "Every image.", found.rows)) if t.rows]
