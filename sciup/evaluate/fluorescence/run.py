"""Evaluation of fluorescence models: every method on every case, and what comes of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciup.errors import InputError
from sciup.evaluate.fluorescence import real_noise
from sciup.evaluate.fluorescence.data import Item, items
from sciup.evaluate.fluorescence.methods import Method, Options, methods
from sciup.evaluate.fluorescence.progressive import (
    heatmap_score,
    keypoint_scores,
    one_after_another,
)
from sciup.evaluate.fluorescence.protocol import RIM, Case, Condition, degraded, reference
from sciup.evaluate.fluorescence.scores import Estimate, score
from sciup.generators.registry import ModelFacts, TextureFacts

Array = NDArray[np.float64]
Progress = Callable[[int, int], None]

CROP = 128
"""Fine px per side of the pictures on a sheet."""


@dataclass
class Findings:
    """Everything that was measured.

    Attributes
    ----------
    rows : list of dict
        One per condition, image and method: names and scores.
    curves : dict
        By (condition, set) and name of the curve: those of the model's first row, image by image.
    sheets : dict
        By (condition, set): pictures of the first image by title, in scores' units.
    skipped : list of dict
        Files that could not be used, and why.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    curves: dict[tuple[str, str], dict[str, list[Array]]] = field(default_factory=dict)
    sheets: dict[tuple[str, str], dict[str, Array]] = field(default_factory=dict)
    skipped: list[dict[str, Any]] = field(default_factory=list)

    def skip(self, item: Item, reason: str) -> None:
        """Note an image that cannot be used, once."""
        # reports are passed on: no folders of this machine
        words = reason.replace(f"{item.path.parent}/", "")
        row = {"set": item.dataset, "image": item.name, "reason": words}
        if row not in self.skipped:
            self.skipped.append(row)


@dataclass(frozen=True)
class Plan:
    """What to evaluate.

    Attributes
    ----------
    model : ModelFacts
    data : Path
        See `sciup.evaluate.fluorescence.data`.
    conditions : sequence of Condition
    split, every
        ``test`` to report, anything else to develop; every n-th image.
    options : Options
    twin : ModelFacts, optional
        Same trunk trained with squared errors.
    real : bool
        Real noise too, where the data have it.
    textures : sequence of TextureFacts
        Texture models of `model`, the baseline of the others first.
    """

    model: ModelFacts
    data: Path
    conditions: Sequence[Condition]
    split: str = "test"
    every: int = 1
    options: Options = field(default_factory=Options)
    twin: ModelFacts | None = None
    real: bool = True
    textures: Sequence[TextureFacts] = ()


def evaluate(plan: Plan, progress: Progress = lambda _done, _all: None) -> Findings:
    """Run every method on every case.

    Parameters
    ----------
    plan : Plan
    progress : callable
        Gets the number of cases done and of all.

    Raises
    ------
    InputError
        If no image can be used.
    """
    found = Findings()
    scale = plan.model.scale
    images = items(plan.data, plan.split, plan.every)
    pairs = real_noise.pairs(plan.data, scale, plan.split, plan.every) if plan.real else []
    total = len(plan.conditions) * len(images) + len(pairs)

    def every_case() -> Iterator[Case]:
        for condition in plan.conditions:
            yield from degraded(images, condition, found.skip)
        yield from real_noise.cases(pairs, scale, found.skip)

    for done, case in enumerate(every_case()):
        compared = methods(case, plan.model, plan.options, plan.twin, plan.textures)
        if plan.model.architecture == "progressive":
            compared.append(one_after_another(plan.options))
        run_case(case, compared, found, plan)
        progress(done + 1, total)
    progress(total, total)
    if not found.rows:
        first = found.skipped[0]
        raise InputError(
            f"none of the {len(images)} images in {plan.data} can be used; the first, "
            f"{first['image']}: {first['reason'].rstrip('.')}",
            f"readable images with contrast, {max(32 * scale, 64)} px and more per side",
        )
    return found


def run_case(case: Case, compared: Sequence[Method], found: Findings, plan: Plan) -> None:
    """Score all methods on one case; the first is the one whose curves and pictures are kept."""
    place = (case.label, case.dataset)
    sheet: dict[str, Array] = {}
    for number, method in enumerate(compared):
        start = time.perf_counter()
        estimate, more = method.run(case)
        seconds = time.perf_counter() - start
        scored = score(estimate, case, plan.options.seed)
        if plan.model.architecture == "progressive":
            more |= keypoint_scores(estimate, case)
            if method.belief is not None:
                score_of = heatmap_score(case, plan.model, plan.options, method.belief)
                more["keypoints_map"] = score_of
        about: dict[str, Any] = {
            "condition": case.label,
            "method": method.name,
            "kind": method.kind,
            "set": case.dataset,
            "unit": case.unit,
            "image": case.name,
        }
        found.rows.append(about | scored.numbers | more | {"seconds": seconds})
        if number == 0:
            kept = found.curves.setdefault(place, {})
            for name, curve in scored.curves.items():
                kept.setdefault(name, []).append(curve)
            sheet |= {"sample": estimate.stretched[0], "mean": estimate.stretched.mean(0)}
            sheet["std"] = estimate.stretched.std(0, ddof=1)
        elif method.kind in ("baseline", "texture"):
            sheet[method.name] = estimate.stretched.mean(0)
    if place not in found.sheets:
        found.sheets[place] = _cropped(case, sheet)


def _cropped(case: Case, sheet: dict[str, Array]) -> dict[str, Array]:
    """The square with most structure of all pictures of a case."""
    from scipy.ndimage import uniform_filter

    truth = case.light.forward(case.truth)
    side = min(CROP, *truth.shape)
    local = uniform_filter(truth**2, side) - uniform_filter(truth, side) ** 2
    half = side // 2
    middle = local[half : local.shape[0] - half + 1, half : local.shape[1] - half + 1]
    # on whole input pixels, so that the picture of the input shows them whole
    y, x = (n // case.scale * case.scale for n in divmod(int(middle.argmax()), middle.shape[1]))
    base = Estimate.of_stretched(case, reference(case)[None]).stretched[0]
    pictures = {"bicubic": base, "truth": truth} | sheet
    return {name: p[y : y + side, x : x + side] for name, p in pictures.items()}


def unique(values: Iterable[object]) -> list[str]:
    """Distinct values in the order in which they appear."""
    return list(dict.fromkeys(str(v) for v in values))


__all__ = ["RIM", "Findings", "Plan", "evaluate", "run_case", "unique"]
