"""The Python interface: open an image, upscale it lazily, save it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sciup.engine.channels import stated
from sciup.engine.job import Job, Task, Worker
from sciup.engine.make import make_job
from sciup.engine.run import Progress, run
from sciup.engine.settings import MAPS, Settings, choose_device, choose_precision
from sciup.errors import ModelError, OptionError
from sciup.generators.facts import TEXTURE
from sciup.generators.registry import ModelFacts, read_recipe
from sciup.geometry import Box
from sciup.image import Domain, Image
from sciup.io import open_image
from sciup.io._channels import spread
from sciup.io._sky_roi import find_roi
from sciup.physics.instrument import Instrument
from sciup.resources import find_model, model_folders
from sciup.risk.tolerance import Tolerance

USUAL_SCALE: dict[Domain, int] = {"night-sky": 2, "fluorescence": 4}
"""Scale of the model that is taken where neither is asked for, if there is one."""

Stated = float | Mapping[str | int, float] | None
"""A value of the instrument; of each channel by name or number, of the others under ``*``."""

Named = str | Path | Mapping[str | int, str | Path] | None
"""A model by name or folder; of each channel in the same way."""


def choose_model(image: Image, model: str | Path | None, scale: int | None) -> ModelFacts:
    """The model asked for, or the first one by name of the image's domain with this scale.

    Raises
    ------
    ModelError
        If there is none, or the one asked for has another scale.
    """
    if model is not None:
        facts = ModelFacts.read(find_model(model)).sampler()
        if scale is not None and facts.scale != scale:
            raise ModelError(
                f"scale {scale} was asked of {facts.name!r}",
                str(facts.scale),
                f"use --scale {facts.scale} or another --model (`sciup models` lists them)",
            )
        return facts
    recipes = {folder: read_recipe(folder) for folder in model_folders()}
    recipes = {f: r for f, r in recipes.items() if r.get("architecture", "posterior") != TEXTURE}
    fits = [
        (recipe["scale"] != USUAL_SCALE[image.domain], recipe["name"], folder)
        for folder, recipe in recipes.items()
        if recipe["domain"] == image.domain and scale in (None, recipe["scale"])
    ]
    if not fits:
        have = ", ".join(f"{r['name']} ({r['domain']}, {r['scale']}x)" for r in recipes.values())
        raise ModelError(
            f"no model for {image.domain}" + (f" at scale {scale}" if scale else ""),
            have or "none",
            "choose with --model and --scale",
        )
    return ModelFacts.read(min(fits)[-1])


def choose_models(image: Image, model: Named, scale: int | None) -> list[ModelFacts]:
    """The model of every channel; one for an image without channels.

    Channels without one of their own get the first of the domain, with the scale of the others.
    """
    asked: Sequence[Any] = spread(image, "--model", model)
    named = {one: choose_model(image, one, scale) for one in asked if one is not None}
    if None in asked:
        wanted = scale or next((facts.scale for facts in named.values()), None)
        named |= {None: choose_model(image, None, wanted)}
    return [named[one] for one in asked]


@dataclass(frozen=True)
class Result:
    """A lazy result: nothing is computed before it is asked for.

    Attributes
    ----------
    job : Job
        What would be computed; ``job.instruments`` holds what is believed about the instrument.
    """

    job: Job

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of every map."""
        return self.job.layout.shape

    @property
    def instrument(self) -> Instrument:
        """Instrument of the first plane."""
        return self.job.instruments[0]

    @property
    def mean(self) -> Any:
        """Mean of all samples, a Dask array (…, y, x), float32, in the input's unit."""
        return self._map("mean")

    @property
    def std(self) -> Any:
        """Standard deviation of all samples per pixel."""
        return self._map("std")

    @property
    def risk(self) -> Any:
        """How often sample 0 is wrong by more than the tolerance where it looks like this.

        Where the model is not calibrated for the settings, `Job.calibration` says why, and this is
        ``risk_raw``: the share of the other samples that differ.
        """
        return self._map("risk" if self.job.calibrated else "risk_raw")

    @property
    def texture(self) -> Any:
        """One plausible image that looks like a measured one: illustrative, not calibrated.

        Raises
        ------
        OptionError
            If the result was not asked for it.
        """
        if self.job.texture is None:
            raise OptionError(
                "the result was made without texture", fix="use sciup.upscale(..., texture=True)"
            )
        return self._map(TEXTURE)

    @property
    def support(self) -> Any:
        """Share of the local detail of sample 0 that was measured above the noise."""
        return self._map("support")

    def sample(self, k: int = 0) -> Any:
        """Sample k, a Dask array (…, y, x); sample 0 is the one that is delivered."""
        if not 0 <= k <= 2**31:
            raise OptionError(f"sample {k}", "0 and above")
        return self._dask(partial(_one_sample, self.job, k), ())

    def _map(self, name: str) -> Any:
        job = _with(self.job, name)
        return Result(job)._dask(partial(_all_maps, job), (name,))

    def _dask(self, compute: Any, key: tuple[str, ...]) -> Any:
        """One delayed call per shard; maps of the same shard share it."""
        import dask.array as da
        from dask.base import tokenize
        from dask.delayed import delayed

        layout = self.job.layout
        planes: dict[tuple[int, ...], list[list[Any]]] = {}
        for task in self.job.tasks():
            token = tokenize(compute.func.__name__, self.token, compute.args[1:], task)
            block = delayed(compute, pure=True)(task, dask_key_name=f"sciup-{token}")
            for part in key:
                block = block[part]
            piece = da.from_delayed(block, task.box.shape, np.float32)
            rows = planes.setdefault(task.plane, [])
            if task.index[1] == 0:
                rows.append([])
            rows[-1].append(piece)
        stacked = da.stack([da.block(rows) for rows in planes.values()])
        return stacked.reshape(layout.shape)

    @property
    def token(self) -> str:
        """Digest of all that decides the pixels: input, weights, instrument, settings."""
        import hashlib
        import json

        from sciup.engine.provenance import fingerprint

        instruments = [i.as_json() for i in self.job.instruments]
        text = json.dumps([fingerprint(self.job, "fits"), instruments], sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def save(
        self,
        path: str | Path,
        *,
        resume: bool = False,
        overwrite: bool = False,
        progress: Progress | None = None,
        client: Any = None,
    ) -> Path:
        """Compute everything and write it as FITS or OME-Zarr, by the suffix of `path`.

        Parameters
        ----------
        path : str or Path
        resume : bool
            Start, go on after an interruption, or return at once if complete.
        overwrite : bool
            Replace an existing output.
        progress : callable, optional
            Called with the number of windows done and in all.
        client : dask.distributed.Client, optional
            Whose workers compute; they must see input, output and model under the same paths.
        """
        return run(
            self.job,
            Path(path),
            resume=resume,
            overwrite=overwrite,
            progress=progress,
            client=client,
        )


def _with(job: Job, name: str) -> Job:
    """The job, making this map too."""
    if name in job.maps:
        return job
    return replace(job, settings=replace(job.settings, maps=(*job.maps, name)))


def _all_maps(job: Job, task: Task) -> dict[str, Any]:
    return Worker(job).compute(task)


def _one_sample(job: Job, k: int, task: Task) -> Any:
    return Worker(job).compute(task, (k,))[f"sample_{k}"]


def upscale(
    image: Any,
    *,
    model: Named = None,
    scale: int | None = None,
    samples: int = 16,
    seed: int = 0,
    keep_samples: int = 0,
    maps: Sequence[str] | None = None,
    tolerance: str = "3sigma",
    psf_fwhm: Stated = None,
    psf: Any = None,
    gain: Stated = None,
    read_noise: Stated = None,
    background: Stated = None,
    noise_sigma: Stated = None,
    psf_error: float | str | Mapping[str | int, float | str] | None = None,
    roi: str | Box | None = None,
    device: str = "auto",
    precision: str = "auto",
    noise_free: bool = False,
    tile: int = 512,
    threads: int | None = None,
    strict: bool = False,
    texture: bool | str | Path = False,
) -> Result:
    """Draw sharp images that agree with the measurement, lazily.

    Parameters
    ----------
    image : path, ndarray, Dask or Zarr array, or Image
        What to upscale. Arrays count as fluorescence; use `open_image` to say more.
    model : str, path or mapping, optional
        Name of a model or a model folder; default by domain and scale. May differ by channel, as
        what is stated of the instrument: ``{"DAPI": "fluorescence-x4", "GFP": "runs/mine"}``;
        scale, domain, output PSF and architecture must be the same.
    scale : {1, 2, 4, 8}, optional
        Output pixels per input pixel along each axis; 1 removes noise and blur only.
    samples : int
        Voting samples; one more is drawn and delivered.
    seed : int
        Seed of the noise; the same seed gives the same result on any region and machine.
    keep_samples : int
        Number of samples that `Result.save` stores.
    maps : sequence of str, optional
        Maps that `Result.save` stores, from `MAPS`, ``texture``, and for a progressive sampler
        ``step_2x``, ``step_4x`` and ``keypoints_KIND``; the usual ones unless given.
    tolerance : str
        ``3sigma`` (of the input noise) or ``5%``.
    psf_fwhm : float or mapping, optional
        Total instrument PSF before pixel integration, FWHM in input px. This and what follows up to
        `noise_sigma` may differ by channel: ``{"DAPI": 2.1, "*": 2.4}``, by name or number, with
        ``*`` for all others.
    psf : ndarray, path or mapping, optional
        PSF image on the input grid; or a file: a PSF image, beads, by STPSF, by PSFEx. See
        `sciup.physics.psf_source.read_psf`.
    gain : float or mapping, optional
        Electrons per unit.
    read_noise : float or mapping, optional
        Electrons.
    background, noise_sigma : float or mapping, optional
        Level (kept in the output) and noise of the background, input units.
    psf_error : float, str or mapping, optional
        Standard deviation of the width of the PSF as a share of it, ``0.1`` or ``10%``: samples are
        drawn with three widths then. Default: the width counts as known.
    roi : str or Box, optional
        ``Y0:Y1,X0:X1`` in input pixels, or ``RA DEC SIZE`` on the sky: ``150.1 2.2 30arcsec``.
    device : {"auto", "cpu", "cuda"}
    precision : {"auto", "fp32", "bf16"}
    noise_free : bool
        Treat the input as exact.
    tile : int
        Input pixels per side read at a time; memory only.
    threads : int, optional
        Windows computed at a time; memory only. Default: torch's number of threads, one on a GPU.

    strict : bool
        Fail where a part of the input cannot be read. Otherwise it is masked, told, and listed as
        ``unreadable`` in the provenance of the result.
    texture : bool, str or path
        Add the map ``texture``, an illustration: by the model made for this sampler, or by the one
        named.

    Returns
    -------
    Result
        ``.sample(k) .mean .std .risk .support`` as Dask arrays, and ``.save(path)``.

    Raises
    ------
    SciupError
        With what was wrong, what is allowed and how to fix it.

    Examples
    --------
    >>> import numpy as np, sciup
    >>> image = np.random.default_rng(0).poisson(20.0, (32, 48)).astype("float32")
    >>> image[10:20, 10:30] += 100
    >>> result = sciup.upscale(image, samples=1, psf_fwhm=2.0)
    >>> result.mean.shape
    (128, 192)
    """
    opened = open_image(image)
    models = choose_models(opened, model, scale)
    if tile < 1:
        raise OptionError(f"--tile {tile}", "1 input pixel or more")
    if threads is not None and threads < 1:
        raise OptionError(f"--threads {threads}", "1 or more")
    chosen = choose_device(device)
    settings = Settings(
        samples=samples,
        seed=seed,
        maps=None if maps is None else tuple(maps),
        keep=keep_samples,
        tolerance=Tolerance.parse(tolerance),
        precision=choose_precision(precision, chosen),
        noise_free=noise_free,
    )
    region = find_roi(roi, opened) if isinstance(roi, str) else roi
    given = stated(
        opened,
        region,
        psf_fwhm=psf_fwhm,
        psf=psf,
        electrons_per_unit=gain,
        read_noise=read_noise,
        background=background,
        noise_sigma=noise_sigma,
        psf_error=psf_error,
    )
    job = make_job(
        opened,
        models,
        settings,
        given,
        region=region,
        device=chosen,
        tile=tile,
        threads=threads,
        strict=strict,
        texture=texture,
    )
    return Result(job)


__all__ = ["MAPS", "Result", "choose_model", "open_image", "upscale"]
