"""From a question to answers: one function for each goal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sciup.errors import OptionError
from sciup.explorer.answers import Answer, Region
from sciup.explorer.fit import ALLOWED, LOCAL, judge
from sciup.explorer.flux import RISE, Aperture, flux, flux_range
from sciup.explorer.goals import Distinct, Farthest, Held, Nearest, apart, pairs
from sciup.explorer.latents import Latents, Stamp
from sciup.explorer.points import Points, verdict
from sciup.explorer.question import Question
from sciup.explorer.search import Found, Step, moved, search
from sciup.explorer.typical import typicality
from sciup.geometry import Box


@dataclass
class Asker:
    """Answers a question about one stamp.

    Attributes
    ----------
    stamp : Stamp
    question : Question
    step : callable
        Called after each evaluation.
    """

    stamp: Stamp
    question: Question
    step: Step

    def __post_init__(self) -> None:
        with torch.no_grad():
            self.first = self.stamp.whole(self.stamp.latents(0))

    def region(self) -> Region:
        """Search, and put the findings together."""
        if not self.stamp.footprint.any():
            return self._region((), "", {}, "no pixel of the region has data")
        ask: dict[str, Callable[[], Region]] = {
            "distinct": self._distinct,
            "brightest": self._flux,
            "faintest": self._flux,
            "one-or-two": self._points,
            "farthest": self._farthest,
            "sketch": self._sketch,
        }
        return ask[self.question.goal]()

    # -- goals ---------------------------------------------------------------------------------

    def _distinct(self) -> Region:
        q = self.question
        start = self._draws(range(q.answers))
        unit = self._unit(start)
        found = self._search(start, Distinct(unit))
        answers = self._answers(found, start, [f"answer {i + 1}" for i in range(q.answers)])
        good = found.images[found.accepted]
        facts: dict[str, Any] = {"draws_apart_sigma": unit}
        if len(good) < 2:
            return self._region(answers, "fewer than two images agree with the data", facts)
        d = pairs(self.stamp, good)
        facts |= {"apart_sigma": float(d.mean()), "least_apart_sigma": float(d.min())}
        words = (
            f"{len(good)} images agree with the data and differ from one another by"
            f" {facts['apart_sigma']:.2g} sigma of the noise on average (rms of 3 px means;"
            f" ordinary draws by {unit:.2g})"
        )
        return self._region(answers, words, facts)

    def _farthest(self) -> Region:
        q, stamp = self.question, self.stamp
        start = self._draws(range(1, q.answers + 1))
        with torch.no_grad():
            unit = float(apart(stamp, stamp.whole(start), self.first).mean())
        found = self._search(start, Farthest(self.first, max(unit, 1e-6)))
        with torch.no_grad():
            far = apart(stamp, found.images, self.first)
        order = sorted(range(q.answers), key=lambda i: (not found.accepted[i], -float(far[i])))
        extra = [{"from_sample_0_sigma": float(d)} for d in far]
        titles = [f"{float(d):.2g} sigma from sample 0" for d in far]
        answers = self._answers(found, start, titles, extra, order)
        most = max((float(far[i]) for i in order if found.accepted[i]), default=float("nan"))
        facts = {"draws_from_sample_0_sigma": unit, "farthest_sigma": most}
        words = (
            f"the farthest image found that agrees with the data differs from sample 0 by"
            f" {most:.2g} sigma of the noise (rms of 3 px means; ordinary draws by {unit:.2g})"
        )
        return self._region(answers, words, facts)

    def _flux(self) -> Region:
        q, stamp = self.question, self.stamp
        weight = q.aperture.weight(stamp)
        found = flux_range(stamp, weight, step=self.step)
        bright = q.goal == "brightest"
        ends = [found.brightest, found.faintest] if bright else [found.faintest, found.brightest]
        bases = [found.bases.one(1), found.bases.one(0)]
        start, base = Latents.cat(ends), Latents.cat(bases if bright else bases[::-1])
        values = torch.tensor(
            [found.high, found.low] if bright else [found.low, found.high], device=weight.device
        )
        unit = torch.full_like(values, max(found.spread / 4, 1e-30))
        held = self._held(start, Held(weight, values, unit))
        with torch.no_grad():
            reached = flux(held.images, weight)
        # an aperture with masked pixels is refused
        masked = int((~stamp.footprint).sum()) if q.aperture.at is None else 0
        names = ["brightest", "faintest"] if bright else ["faintest", "brightest"]
        measure = self._unit_of_flux()
        extra = [{"flux": float(v)} for v in reached]
        titles = [f"{n}: {float(v):.5g} {measure}" for n, v in zip(names, reached, strict=True)]
        answers = self._answers(held, base, titles, extra)
        facts = {
            "flux_low": found.low,
            "flux_high": found.high,
            "flux_middle": found.middle,
            "flux_unit": measure,
            "flux_above": "the sky" if self._sky else self._pedestal,
            "range": f"profile: chi^2 of noise and latents rises by {RISE**2:.2f} (95 %)",
            "at": q.aperture.at,
            "radius": q.aperture.radius,
            "masked_pixels": masked,
        }
        place = "the region" if q.aperture.at is None else "the aperture"
        words = (
            f"flux of {place} between {found.low:.4g} and {found.high:.4g} {measure} (95 %),"
            f" above {facts['flux_above']}"
        )
        if masked:
            words += f"; {masked} of {stamp.footprint.size} px are masked and not counted"
        return self._region(answers, words, facts)

    def _points(self) -> Region:
        q, stamp = self.question, self.stamp
        at = q.aperture.at or (0.0, 0.0)
        fwhm = float(stamp.sampler.instrument.psf_fwhm.value)
        radius = q.aperture.radius or max(2.0 * fwhm, 3.0)
        Aperture(at, radius).mask(stamp)  # refuses what sticks out
        points = Points(stamp, at, radius)
        fits = [points.fit(1), points.fit(2)]
        disc = torch.from_numpy(Aperture(at, radius).mask(stamp))[None, None].to(self.first)
        targets = [self.first + disc * (f.image - self.first) for f in fits]
        start = self._draws([0])
        parts = [self._search(start, Nearest(t, self._unit(self._draws([0, 1])))) for t in targets]
        names = ["one point source", "two point sources"]
        answers: list[Answer] = []
        for name, fit, part, target in zip(names, fits, parts, targets, strict=True):
            with torch.no_grad():
                far = float(apart(stamp, part.images, target)[0])
            extra = {"fit": self._point_facts(fit), "from_model_sigma": far}
            title = f"nearest to {name} (fit: chi^2 {fit.chi2:.1f} for {fit.freedom})"
            answers += self._answers(part, start, [title], [extra], offset=len(answers))
        facts = {
            "at": at,
            "radius": radius,
            "chi2_one": fits[0].chi2,
            "chi2_two": fits[1].chi2,
            "freedom_one": fits[0].freedom,
            "freedom_two": fits[1].freedom,
            "verdict": verdict(*fits),
        }
        words = (
            f"{facts['verdict']}; chi^2 of one is {fits[0].chi2:.1f} for {fits[0].freedom} degrees"
            f" of freedom, of two {fits[1].chi2:.1f} for {fits[1].freedom}"
        )
        return self._region(tuple(answers), words, facts)

    def _sketch(self) -> Region:
        q, stamp = self.question, self.stamp
        if q.sketch is None:  # pragma: no cover - Question refuses it
            raise OptionError("--sketch is missing")
        target, fitted = self._drawing(q.sketch)
        drawn = judge(stamp, target)
        start = self._draws(range(q.answers))
        unit = self._unit(self._draws([0, 1]))
        found = self._search(start, Nearest(target, unit))
        with torch.no_grad():
            far = apart(stamp, found.images, target)
        order = sorted(range(q.answers), key=lambda i: (not found.accepted[i], float(far[i])))
        extra = [{"from_sketch_sigma": float(d)} for d in far]
        titles = [f"{float(d):.2g} sigma from the sketch" for d in far]
        answers = self._answers(found, start, titles, extra, order)
        least = min((float(far[i]) for i in order if found.accepted[i]), default=float("nan"))
        allowed = bool(drawn.accepted[0])
        facts = {"sketch": drawn.facts(0) | fitted, "nearest_sigma": least}
        words = (
            f"the sketch itself is {'permitted' if allowed else 'not permitted'} (chi^2"
            f" {float(drawn.chi2[0]):.0f} for {drawn.count} pixels); the nearest permitted image"
            f" found is {least:.2g} sigma of the noise away (ordinary draws differ by {unit:.2g})"
        )
        drawing = Answer(
            "sketch", "the sketch", stamp.values(target), self._residual(target), drawn.facts(0)
        )
        return replace(self._region(answers, words, facts), drawing=drawing)

    # -- parts ---------------------------------------------------------------------------------

    def _draws(self, numbers: Iterable[int]) -> Latents:
        return Latents.cat([self.stamp.latents(k) for k in numbers])

    def _unit(self, start: Latents) -> float:
        """How far ordinary draws are apart."""
        with torch.no_grad():
            return max(float(pairs(self.stamp, self.stamp.whole(start)).mean()), 1e-6)

    def _search(self, start: Latents, goal: Any) -> Found:
        q = self.question
        return search(self.stamp, start, goal, q.steps, step=self.step, reach=q.reach)

    def _held(self, start: Latents, goal: Held) -> Found:
        """The ends of a range, brought into agreement with the data where they are not."""
        with torch.no_grad():
            images = self.stamp.whole(start)
            fit = judge(self.stamp, images)
        if bool(fit.accepted.all()):
            return Found(start, images, fit.accepted, torch.zeros_like(fit.chi2), fit.badness)
        return self._search(start, goal)

    def _drawing(self, sketch: NDArray[np.float32]) -> tuple[Tensor, dict[str, Any]]:
        """A drawing on the window: level and contrast fitted to the data, sample 0 around it."""
        stamp, s = self.stamp, self.stamp.scale
        box = stamp.roi.scaled(s)
        if sketch.shape != box.shape:
            raise OptionError(
                f"the sketch has {sketch.shape[0]} x {sketch.shape[1]} px",
                f"{box.shape[0]} x {box.shape[1]} px, the region at {s}x",
            )
        if not np.isfinite(sketch).all():
            raise OptionError("the sketch has pixels that are no numbers", "finite values")
        rows, cols = stamp.roi.relative_to(stamp.window.box).scaled(s).slices
        basis = torch.zeros(3, *self.first.shape[1:]).to(self.first)
        basis[0] = self.first[0]
        basis[0, :, rows, cols] = 0
        basis[1, :, rows, cols] = torch.from_numpy(sketch).to(basis)
        basis[2, :, rows, cols] = 1
        with torch.no_grad():
            seen = stamp.sampler.projection.observe(basis)
            weight = stamp.cut(stamp.window.mask / stamp.window.sigma).flatten()
            around, *columns = (weight * stamp.cut(b).flatten() for b in seen[:, 0])
            data = weight * stamp.cut(stamp.window.measured).flatten() - around
        design = torch.stack(columns, 1).double().cpu().numpy()
        (gain, level), *_ = np.linalg.lstsq(design, data.double().cpu().numpy(), rcond=None)
        target = basis[:1] + float(gain) * basis[1:2] + float(level) * basis[2:]
        return target, {"fitted_contrast": float(gain), "fitted_level": float(level)}

    def _point_facts(self, fit: Any) -> dict[str, Any]:
        width = self.stamp.sampler.units.width
        y, x = (round(float(v)) for v in fit.places[0])
        one = float(width(np.ones((1, 1), np.float32), Box((y, x), (y + 1, x + 1)), 1)[0, 0])
        facts = {
            "places": fit.places.tolist(),
            "fluxes": (fit.fluxes * one).tolist(),
            "flux_unit": self._unit_of_flux(),
            "chi2": fit.chi2,
            "freedom": fit.freedom,
            "fits": fit.fits,
        }
        if len(fit.places) == 2:
            facts["separation_px"] = float(np.hypot(*(fit.places[0] - fit.places[1])))
        return facts

    @property
    def _sky(self) -> bool:
        return self.stamp.sampler.net.spec.domain == "night-sky"

    @property
    def _pedestal(self) -> str:
        """Its level and where that is from: a flux is wrong by as much in every pixel as it is."""
        level = self.stamp.sampler.instrument.background
        return f"the pedestal of {float(level.value):.4g} ({level.origin})"

    def _unit_of_flux(self) -> str:
        image = self.stamp.sampler.image
        unit = image.unit or "input units"
        return unit if image.flux_per_pixel else f"{unit} x input px"

    @torch.no_grad()
    def _residual(self, image: Tensor) -> NDArray[np.float32]:
        """(y - A x) / sigma of the region, NaN where masked."""
        values = self.stamp.cut(self.stamp.residual(image))[0, 0].cpu().numpy()
        return np.where(self.stamp.footprint, values, np.float32(np.nan)).astype(np.float32)

    @torch.no_grad()
    def _answers(
        self,
        found: Found,
        start: Latents,
        titles: Sequence[str],
        extra: Sequence[dict[str, Any]] | None = None,
        order: Sequence[int] | None = None,
        offset: int = 0,
    ) -> tuple[Answer, ...]:
        stamp = self.stamp
        fit = judge(stamp, found.images)
        way = moved(found.latents, start)
        numbers = order or sorted(range(len(titles)), key=lambda i: not bool(fit.accepted[i]))
        out = []
        for place, i in enumerate(numbers):
            image = found.images[i : i + 1]
            facts = fit.facts(i) | {
                "typicality": typicality(found.latents.one(i)) | {"moved_sigma": float(way[i])},
                **(extra[i] if extra else {}),
            }
            kind = "answer" if facts["accepted"] else "rejected"
            out.append(
                Answer(
                    f"{kind}_{offset + place + 1}",
                    titles[i],
                    stamp.values(image),
                    self._residual(image),
                    facts,
                )
            )
        return tuple(out)

    def _region(
        self,
        answers: tuple[Answer, ...],
        words: str,
        facts: dict[str, Any],
        failure: str = "",
    ) -> Region:
        stamp = self.stamp
        sampler = stamp.sampler
        values, footprint = sampler.image.read(sampler.plane, stamp.roi)
        measured = np.where(footprint, values, np.float32(np.nan)).astype(np.float32)
        if not failure and not any(a.accepted for a in answers):
            failure = self._reason(answers)
        return Region(
            box=stamp.roi,
            goal=self.question.goal,
            words=failure or words,
            answers=answers,
            measured=measured,
            shown=stamp.values(self.first),
            shown_residual=self._residual(self.first),
            shown_facts=judge(stamp, self.first).facts(0),
            failure=failure,
            facts=facts,
        )

    def _reason(self, answers: tuple[Answer, ...]) -> str:
        """Why no image agrees with the data."""
        best = min(answers, key=lambda a: abs(a.facts["excess_sigma"]))
        if abs(best.facts["excess_sigma"]) <= ALLOWED and not stamp_free(self.stamp):
            return (
                "no image found that agrees with the data everywhere: the worst block of 8 x 8 px"
                f" is off by {best.facts['worst_8px_block_sigma']:+.1f} sigma (allowed {LOCAL:g});"
                " there may be a defect, saturation, or what the model cannot draw"
            )
        if stamp_free(self.stamp):
            return (
                f"no image found that gives the data exactly: the relative error is"
                f" {best.facts['relative_error']:.2g} at best (allowed 0.001); the PSF may be"
                " wrong, or the data are noisy: leave out --noise-free"
            )
        n, chi2 = best.facts["pixels"], best.facts["chi2"]
        high = chi2 > n
        return (
            f"no image found that agrees with the data: chi^2 is {chi2:.0f} for {n} pixels at best,"
            f" {best.facts['excess_sigma']:+.1f} of its deviations (allowed {ALLOWED:g});"
            + (
                " the PSF or the noise is believed smaller than it is, or there is what the"
                " model cannot draw"
                if high
                else " the noise is believed larger than it is"
            )
            + ": see `sciup inspect`, and give --psf-fwhm, --gain or --noise-sigma"
        )


def stamp_free(stamp: Stamp) -> bool:
    """Whether the data count as exact."""
    return stamp.sampler.settings.noise_free


__all__ = ["Asker"]
