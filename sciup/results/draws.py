"""The draws of a result, window by window: read where they are stored, drawn again elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciup.api import Result
from sciup.engine.job import Job, Task, Worker
from sciup.engine.provenance import provenance
from sciup.errors import InputError, OptionError
from sciup.generators.facts import ModelFacts
from sciup.geometry import Box
from sciup.image import Plane
from sciup.io import open_image
from sciup.physics.instrument import Instrument
from sciup.results.again import Opener, find_facts, find_input, result_of
from sciup.results.finished import Finished
from sciup.results.sky import Sky

Array = NDArray[np.float64]

SAME = 0.02
"""Largest difference of a draw that is repeated, in sigmas of the input noise.

Another processor rounds differently, by less than this; another input or model does not stay below.
"""

MADE_BY = ("model", "weights", "source", "seed", "samples", "sciup")


@dataclass
class Draws:
    """What may have been there: images that all agree with the measurement.

    Draw 0 is the delivered sample, the others voted on it. All positions are output pixels of the
    result, counted from 0, pixel centres at integers.

    Attributes
    ----------
    scale : int
        Output pixels per input pixel along each axis.
    region : Box
        Input pixels that the result covers.
    plane_shape : (int, int)
        Height and width in output pixels.
    planes : list of tuple of int
        All planes, row-major.
    instruments : tuple of Instrument
        What is believed of the instrument, per plane.
    samples : int
        Number of draws that the result is about, the delivered one included.
    unit : str or None
        Of the values.
    flux : int
        Value of an input pixel over that of an output pixel of the same brightness.
    pixel : (float, str) or None
        Size of an *output* pixel and its unit; where it is not square, of a square as large.
    sky : Sky or None
        World coordinates.
    target_fwhm : float
        Of the declared output PSF, output px.
    name : str
        For people: the path of the result, or of the input.
    about : dict
        What made them: ``model``, ``weights``, ``source``, ``seed``, ``samples``, ``sciup``.
    input_shape : (int, int)
        Height and width of the input plane, of which `region` is a part.
    pixel_axes : (float, float) or None
        Height and width of an *output* pixel in the unit of `pixel`; None: it is square.
    """

    scale: int
    region: Box
    plane_shape: tuple[int, int]
    planes: list[Plane]
    instruments: tuple[Instrument, ...]
    samples: int
    unit: str | None
    flux: int
    pixel: tuple[float, str] | None
    sky: Sky | None
    target_fwhm: float
    name: str
    about: dict[str, Any] = field(default_factory=dict)
    input_shape: tuple[int, int] = (0, 0)
    pixel_axes: tuple[float, float] | None = None
    _job: Job | str = field(repr=False, default="")
    _done: Finished | None = field(repr=False, default=None)
    _checked: set[Plane] = field(repr=False, default_factory=set)
    _refused: InputError | None = field(repr=False, default=None)

    @classmethod
    def of_result(cls, result: Result) -> Draws:
        """The draws of a lazy result, none of which is stored.

        Examples
        --------
        >>> import numpy as np, sciup
        >>> image = np.random.default_rng(0).poisson(20.0, (32, 48)).astype("float32")
        >>> image[10:20, 10:30] += 100
        >>> draws = Draws.of_result(sciup.upscale(image, samples=3, psf_fwhm=2.0))
        >>> draws.window((), Box((0, 0), (8, 12))).shape
        (4, 8, 12)
        """
        job = result.job
        image, s = job.image, job.model.scale
        size, unit = image.grid.size, image.grid.unit
        return cls(
            scale=s,
            region=job.region,
            plane_shape=job.layout.plane_shape,
            planes=list(image.planes),
            instruments=job.instruments,
            samples=job.settings.samples + 1,
            unit=image.unit,
            flux=s**2 if image.flux_per_pixel else 1,
            pixel=None
            if size is None or unit is None
            else (float(np.sqrt(size[0] * size[1])) / s, unit),
            sky=Sky.of_layout(job.layout),
            target_fwhm=job.model.target_fwhm,
            name=image.source,
            about=about(provenance(job, "fits")),
            input_shape=image.plane_shape,
            pixel_axes=None if size is None else (size[0] / s, size[1] / s),
            _job=job,
        )

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        source: str | None = None,
        model: str | None = None,
        opener: Opener = open_image,
    ) -> Draws:
        """The draws of a finished result; nothing is drawn yet.

        Parameters
        ----------
        path : path
            FITS file or OME-Zarr folder of `sciup upscale`.
        source : str, optional
            Where the input is now, if it was moved.
        model : str, optional
            Model folder, if it is not one of sciup's.
        opener : callable
            Opens the input as the run did.
        """
        done = Finished.open(path)
        facts = find_facts(done, model)
        result = result_of(done, facts, find_input(done, opener, source))
        size = done.image.grid.size
        return cls(
            scale=done.scale,
            region=done.region,
            plane_shape=done.plane_shape,
            planes=done.planes,
            instruments=done.instruments,
            samples=int(done.settings["samples"]) + 1,
            unit=done.image.unit,
            flux=done.flux,
            pixel=None if done.pixel is None else (done.pixel[0] / done.scale, done.pixel[1]),
            sky=Sky.of(done),
            target_fwhm=float(done.facts["output_psf_fwhm_px"]),
            name=str(done.path),
            about=about(done.facts),
            input_shape=tuple(done.facts["fingerprint"]["shape"][-2:]),
            pixel_axes=None if size is None else (size[0], size[1]),
            _job=result if isinstance(result, str) else result.job,
            _done=done,
        )

    @property
    def night_sky(self) -> bool:
        """Whether this is an image of the sky: only micrographs have a bright end."""
        return self.instruments[0].bright.value is None

    @property
    def pixel_sizes(self) -> tuple[float, float]:
        """Height and width of an output pixel in the unit of `pixel`; NaN if that is not known."""
        size = float("nan") if self.pixel is None else self.pixel[0]
        return self.pixel_axes or (size, size)

    def noise(self, plane: Plane) -> float:
        """Noise of the background of an input pixel, spread over its output pixels: output units.

        A value that all output pixels of an input pixel would have if it were one sigma too high.
        """
        return float(self._instrument(plane).noise_sigma.value) / self.flux

    def background(self, plane: Plane) -> float:
        """Level of the background per output pixel: sky, or the pedestal of a camera."""
        return float(self._instrument(plane).background.value) / self.flux

    def model_of(self, planes: Sequence[Plane]) -> ModelFacts | str:
        """The model that made these planes, or why there is no such one."""
        if isinstance(self._job, str):
            return f"the model cannot be asked: {self._job}"
        found = [self._job.at(self.planes.index(plane)).model for plane in planes]
        if any(model != found[0] for model in found):
            return "the planes are of several models: choose one with --plane"
        return found[0]

    def _instrument(self, plane: Plane) -> Instrument:
        return self.instruments[self.planes.index(plane)]

    def window(self, plane: Plane, box: Box, count: int | None = None) -> Array:
        """Draws 0 to `count` - 1 of a box.

        Parameters
        ----------
        plane : tuple of int
        box : Box
            Output pixels, inside the result.
        count : int, optional
            Number of draws; those of the result by default. More than these can be drawn, too.

        Returns
        -------
        ndarray (count, h, w), float64
            NaN where masked.

        Raises
        ------
        InputError
            If draws are needed that are not stored and cannot be made again, with the reason.
        """
        count = count or self.samples
        if not Box.of_shape(self.plane_shape).contains(box):
            raise OptionError(f"the box {box} is not inside the result", f"0 to {self.plane_shape}")
        stored = None if self._done is None else self._stored(plane, box, count)
        return self._drawn(plane, box, count) if stored is None else stored

    def holds(self, count: int) -> bool:
        """Whether so many draws are stored, so that nothing is needed to read them."""
        return self._done is not None and int(self._done.settings["keep"]) >= count

    def _stored(self, plane: Plane, box: Box, count: int) -> Array | None:
        """The draws as stored, if all of them are."""
        if self._done is None or not self.holds(count):
            return None
        found = [self._done.sample(k, plane, box) for k in range(count)]
        return np.stack([f for f in found if f is not None])

    def _drawn(self, plane: Plane, box: Box, count: int) -> Array:
        if self._refused is not None:
            raise self._refused
        job, inner = self._part(box)
        task = Task(self.planes.index(plane), plane, (0, 0), Box.of_shape(inner[0]))
        drawn = Worker(job).compute(task, tuple(range(count)))
        out = np.stack([drawn[f"sample_{k}"][inner[1]] for k in range(count)]).astype(np.float64)
        self._check(plane, box, out[0])
        return out

    def _part(self, box: Box) -> tuple[Job, tuple[tuple[int, ...], Any]]:
        """The job on the input pixels under a box; shape of its output, and the box in it."""
        if isinstance(self._job, str):
            raise InputError(
                f"the draws of {self.name} are not all stored, and cannot be made again:"
                f" {self._job}",
                fix="name the input (--input) and the model (--model), or make the result again"
                f" with --keep-samples {self.samples}",
            )
        coarse = box.coarsened(self.scale)
        fine = coarse.scaled(self.scale)
        job = replace(self._job, region=coarse.shifted(self.region.start))
        return job, (fine.shape, box.relative_to(fine).slices)

    def _check(self, plane: Plane, box: Box, drawn: Array) -> None:
        """Until it is known of a plane: the delivered sample must come out as it is stored.

        Where all is masked nothing is known, and what differs once is refused for good.
        """
        if self._done is None or plane in self._checked:
            return
        stored = self._done.sample(0, plane, box)
        if stored is None:
            return
        apart = float(np.nanmax(np.abs(stored - drawn), initial=0.0)) / self.noise(plane)
        if apart > SAME or (np.isnan(stored) != np.isnan(drawn)).any():
            self._refused = InputError(
                f"the delivered sample of {self.name} drawn again differs from the stored one,"
                f" by up to {apart:.3g} sigma",
                "less than 0.02 sigma",
                "open the input with the options of the run, or make the result again",
            )
            raise self._refused
        if np.isfinite(stored).any():
            self._checked.add(plane)

    @cached_property
    def domain(self) -> str:
        """``night-sky`` or ``fluorescence``."""
        return "night-sky" if self.night_sky else "fluorescence"


def about(facts: dict[str, Any]) -> dict[str, Any]:
    """What of a provenance belongs into every table made of the draws."""
    return {key: facts[key] for key in MADE_BY if key in facts}


__all__ = ["Draws"]
