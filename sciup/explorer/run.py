"""`sciup.explore`: from an image and a question to answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciup.api import Result, upscale
from sciup.engine.block import PlaneSampler
from sciup.engine.settings import choose_device
from sciup.engine.units import working_units
from sciup.errors import OptionError
from sciup.explorer.answers import Answer, Region
from sciup.explorer.ask import Asker
from sciup.explorer.cascade import Cascade, sharpen
from sciup.explorer.exploration import Exploration
from sciup.explorer.flux import Aperture
from sciup.explorer.latents import Stamp, side_for
from sciup.explorer.question import ANSWERS, STEPS, Question
from sciup.explorer.search import REACH
from sciup.explorer.where import Place, places_of, regions
from sciup.generators.posterior import PosteriorSampler
from sciup.generators.registry import load_generator
from sciup.geometry import Box
from sciup.image import Image, Plane
from sciup.io import open_image
from sciup.io._channels import spread
from sciup.io._sky_roi import find_roi
from sciup.physics.psf_cells import cell_of, in_cell

Progress = Callable[[int, int], None]


def explore(
    image: Any,
    *,
    roi: str | Box | Sequence[str | Box] | None = None,
    goal: str = "distinct",
    answers: int = ANSWERS,
    at: Place | Sequence[Place] | None = None,
    radius: float | None = None,
    sketch: NDArray[Any] | None = None,
    steps: int = STEPS,
    reach: float = REACH,
    model: str | Path | None = None,
    scale: int | None = None,
    seed: int = 0,
    psf_fwhm: float | None = None,
    psf: Any = None,
    gain: float | None = None,
    read_noise: float | None = None,
    background: float | None = None,
    noise_sigma: float | None = None,
    device: str = "auto",
    noise_free: bool = False,
    progress: Progress | None = None,
) -> Exploration:
    """Look for images that the data permit and that answer a question.

    Draws of a posterior sampler are the start; the noise from which they were drawn is changed,
    and stays noise, until the image serves the goal and its chi^2 is that of the noise.

    Parameters
    ----------
    image : path, ndarray of shape (M, N), Dask or Zarr array, or Image
        One plane. Arrays count as fluorescence; use `open_image` to say more.
    roi : str, Box or several
        ``Y0:Y1,X0:X1`` in input pixels, or ``RA DEC SIZE``; at most 128 x 128 px. 33 x 33 around
        `at` unless given.
    goal : {"distinct", "brightest", "faintest", "one-or-two", "farthest", "sketch"}
        Images as different from one another as the data allow; the ends of the range of a flux;
        whether an object is one point source or two; images as far as possible from sample 0;
        images near a drawing.
    answers : int
        Images to look for (distinct, farthest, sketch).
    at : (float, float) or several
        Centre (y, x) of the aperture or object, input px, pixel centres at integers; one for each
        region. Without one the flux is that of the region.
    radius : float, optional
        Of the aperture, input px.
    sketch : ndarray of shape (s M, s N), optional
        A drawing of the region at the output's scale; its level and contrast are fitted.
    steps : int
        Evaluations of each search.
    reach : float
        How far the noise may be moved from a draw, in its standard deviations.
    model, psf_fwhm, psf, gain, read_noise, background, noise_sigma, device : optional
        As in `sciup.upscale`.
    scale : {1, 2, 4, 8, 16, 32, 64}, optional
        Above 4 by several samplers one after the other: nearly everything is then invented.
    seed : int
        The same seed gives the same answers, and starts from the samples of `sciup.upscale`.
    noise_free : bool
        Treat the input as exact: an answer reproduces it to 0.1 %.
    progress : callable, optional
        Called with the evaluations done and in all.

    Returns
    -------
    Exploration
        ``.regions[i].answers[j].image`` in the unit of the input, ``.save(out)``.

    Raises
    ------
    SciupError
        With what was wrong, what is allowed and how to fix it.

    References
    ----------
    Menon et al. (2020), PULSE, CVPR, arXiv 2003.03808.

    Examples
    --------
    >>> import sciup
    >>> from sciup.testing.toy_images import cells
    >>> image = cells((40, 40))
    >>> options = {"psf_fwhm": 2.0, "gain": 1.0, "background": 0.0, "device": "cpu"}
    >>> found = sciup.explore(image, goal="brightest", at=(20, 20), radius=3, scale=2, **options)
    >>> found.regions[0].words
    'flux of the aperture between ... (95 %), above the pedestal of 0 (given)'
    """
    opened = open_image(image)
    cascade = Cascade.choose(opened, spread(opened, "--model", model)[0], scale)
    if sum(1 for _ in opened.planes) != 1:
        raise OptionError(
            f"the image has {'x'.join(map(str, opened.shape[:-2]))} planes",
            "one plane",
            "choose with --channel, --time and --z",
        )
    places = places_of(at)
    boxes = regions(_boxes(roi, opened), places, opened.plane_shape)
    apertures: list[Place | None] = [*places] or [None for _ in boxes]
    questions = [
        Question(goal, answers, Aperture(place, radius), _sketch(sketch), steps, reach)
        for place in apertures
    ]
    chosen = choose_device(device)
    result = upscale(
        opened,
        model=cascade.stages[0].folder,
        samples=1,
        maps=("sample",),
        seed=seed,
        psf_fwhm=psf_fwhm,
        psf=psf,
        gain=gain,
        read_noise=read_noise,
        background=background,
        noise_sigma=noise_sigma,
        device=chosen,
        precision="fp32",
        noise_free=noise_free,
    )
    later = len(cascade.stages) - 1
    steps_in_all = sum(q.work() + (later and (q.answers + 1)) for q in questions)
    counter = _Counter(progress, steps_in_all)
    found = []
    for i, (box, question) in enumerate(zip(boxes, questions, strict=True)):
        stamp = open_stamp(result, box)
        region = Asker(stamp, question, counter.step).region()
        if later:
            region = _cascaded(region, stamp, cascade, seed, chosen, counter.step)
        found.append(region)
        counter.reach(sum(q.work() + (later and (q.answers + 1)) for q in questions[: i + 1]))
    return Exploration(result, cascade, questions[0], tuple(found))


def _boxes(roi: str | Box | Sequence[str | Box] | None, image: Image) -> list[Box] | None:
    """The regions in pixels, not checked."""
    asked = [roi] if isinstance(roi, str | Box) else roi
    if asked is None:
        return None
    return [find_roi(r, image) if isinstance(r, str) else r for r in asked]


def _sketch(sketch: NDArray[Any] | None) -> NDArray[np.float32] | None:
    if sketch is None:
        return None
    values = np.asarray(sketch, np.float32)
    if values.ndim != 2:
        raise OptionError(f"the sketch has {values.ndim} axes", "2: y and x")
    return values


@lru_cache(maxsize=2)
def _network(folder: Path, weights: str, device: str) -> PosteriorSampler:
    """A network through which gradients pass, once per process."""
    del weights
    return load_generator(folder).to(device)


def open_stamp(result: Result, box: Box) -> Stamp:
    """The stamp of one region of the first plane of a run.

    Parameters
    ----------
    result : Result
        From `sciup.upscale`; its seed, instrument and ``noise_free`` count.
    box : Box
        Input pixels.
    """
    job = result.job
    plane: Plane = next(job.image.planes)
    instrument = job.instruments[0]
    middle = tuple((a + b - 1) / 2 for a, b in zip(box.start, box.stop, strict=True))
    instrument = in_cell(instrument, cell_of(instrument, middle))
    sampler = PlaneSampler(
        net=_network(job.model.folder, job.model.weights, job.device),
        image=job.image,
        plane=plane,
        instrument=instrument,
        settings=job.settings,
        units=working_units(job.image, plane, job.model.domain, instrument),
        digest=job.digests[0],
        plane_number=job.image.in_whole(plane)[2],
        side=side_for(box),
    )
    return Stamp.read(sampler, box)


def _cascaded(
    region: Region,
    stamp: Stamp,
    cascade: Cascade,
    seed: int,
    device: str,
    step: Callable[[], None],
) -> Region:
    """The region with every image drawn through the later stages."""
    flux = stamp.sampler.image.flux_per_pixel
    make = partial(
        sharpen,
        cascade=cascade,
        instrument=stamp.sampler.instrument,
        flux_per_pixel=flux,
        device=device,
    )

    def one(answer: Answer, k: int) -> Answer:
        made = make(answer.image, seed=seed + k)
        step()
        change = made.backward - answer.image
        scatter = float(np.nanstd(answer.image)) or 1.0
        facts = {"later_stages_relative_error": float(np.nanstd(change)) / scatter}
        return replace(answer, image=made.image, facts={**answer.facts, **facts})

    shown = make(region.shown, seed=seed)
    step()
    # a sketch is one of the first stage only
    region = replace(region, drawing=None)
    answers = tuple(one(answer, k) for k, answer in enumerate(region.answers))
    return replace(region, answers=answers, shown=shown.image)


class _Counter:
    """Evaluations done, of all."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self.progress, self.total, self.done = progress, total, 0

    def step(self) -> None:
        """One more."""
        self.reach(self.done + 1)

    def reach(self, done: int) -> None:
        """So many, though some were not needed."""
        self.done = min(done, self.total)
        if self.progress is not None:
            self.progress(self.done, self.total)


__all__ = ["Exploration", "explore", "open_stamp"]
