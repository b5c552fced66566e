"""From an image and options to a job: models, maps, and what is believed of every plane."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sciup.engine.calibrated import Calibrated
from sciup.engine.channels import channel_of, of_channel, tell_colour
from sciup.engine.job import Chosen, Job
from sciup.engine.settings import (
    ADDED,
    CALIBRATED,
    KEYPOINTS,
    MAPS,
    PROGRESSIVE,
    STEPS,
    USUAL,
    USUAL_RAW,
    Settings,
)
from sciup.errors import ModelError, OptionError
from sciup.generators.lessons import Lessons
from sciup.generators.registry import ModelFacts, TextureFacts
from sciup.geometry import Box
from sciup.image import Image
from sciup.io._salvage import Salvaged
from sciup.physics.given import Given
from sciup.physics.resolve import resolve

log = logging.getLogger(__name__)


def make_job(
    image: Image,
    models: Sequence[ModelFacts],
    settings: Settings,
    given: Sequence[Given],
    *,
    region: Box | None = None,
    device: str = "cpu",
    tile: int = 512,
    threads: int | None = None,
    strict: bool = False,
    texture: bool | str | Path = False,
) -> Job:
    """Resolve the instrument of every plane and put the job together.

    `models`, `given`: per channel; one for an image without channels. `texture`: add that map, by
    the usual model (True) or the one named.

    Raises
    ------
    ModelError
        If channels have models that cannot share a result.
    """
    whole = Box.of_shape(image.plane_shape)
    if region is not None and not (region.size and whole.contains(region)):
        raise OptionError(
            f"the region {region} is empty or sticks out of the image", f"boxes inside {whole}"
        )
    image = image if strict else Salvaged.of(image)
    texture = texture or bool(set(ADDED) & set(settings.maps or ()))
    chosen = _choose(models, settings, texture)
    first = chosen[0]
    maps = _chosen_maps(settings, first.model, first.calibration)
    if texture and not set(ADDED) <= set(maps):
        maps = (*maps, *ADDED)
    settings = replace(settings, maps=maps)
    domain: Any = first.model.domain
    channels = [channel_of(image, plane) for plane in image.planes]
    found = [
        resolve(of_channel(image, plane), plane, domain, given[channel])
        for plane, channel in zip(image.planes, channels, strict=True)
    ]
    tell_colour(image)
    for against in dict.fromkeys(f.instrument.contradiction for f in found):
        if against:
            log.warning("%s: neither result nor risk can be trusted", against)
    several = any(one.model != first.model for one in chosen)
    return Job(
        image=image,
        model=first.model,
        region=region or whole,
        settings=settings,
        instruments=tuple(f.instrument for f in found),
        digests=tuple(f.digest for f in found),
        known=_known(image, [models[c] for c in channels], [f.pixels for f in found]),
        device=device,
        tile=tile,
        threads=threads,
        calibration=first.calibration,
        texture=first.texture,
        chosen=tuple(chosen[c] for c in channels) if several else (),
    )


def _choose(
    models: Sequence[ModelFacts], settings: Settings, texture: bool | str | Path
) -> list[Chosen]:
    """The models with their calibrations; all have one, or none has.

    A map of risk means one thing in all channels.
    """
    _check_alike(models)
    found = {model.folder: Calibrated.find(model, settings) for model in models}
    reason = next((why for why in found.values() if isinstance(why, str)), None)
    named = None if texture is True else texture
    return [
        Chosen(
            model,
            reason or found[model.folder],
            TextureFacts.beside(model, named or None) if texture else None,
        )
        for model in models
    ]


def _check_alike(models: Sequence[ModelFacts]) -> None:
    """Refuse models of several channels whose maps cannot lie in one result."""
    first = models[0]
    for model in models:
        for what in ("scale", "domain", "target_fwhm", "architecture"):
            one, other = getattr(first, what), getattr(model, what)
            if one != other:
                said = {"target_fwhm": "FWHM of the output PSF"}.get(what, what)
                raise ModelError(
                    f"the models of two channels differ in {said}: {first.name} has {one},"
                    f" {model.name} has {other}",
                    "models of one scale, domain, output PSF and architecture",
                    "choose others (`sciup models` lists them), or run each channel by itself with"
                    " --channel",
                )


def _known(image: Image, models: Sequence[ModelFacts], pixels: Sequence[str]) -> tuple[str, ...]:
    """Names of planes that their model was trained on, told once for each model."""
    lessons = {model.folder: Lessons.read(model.folder) for model in models}
    known = tuple(
        lessons[model.folder].planes.get(p, "") for model, p in zip(models, pixels, strict=True)
    )
    for folder, name in {model.folder: model.name for model in models}.items():
        own = [k for k, model in zip(known, models, strict=True) if model.folder == folder]
        if near := lessons[folder].near(image):
            log.warning("the image lies where training images of %s are from: %s", name, near)
        if seen := sorted(set(own) - {""}):
            log.warning(
                "%s of %d planes are in the training data of %s (%s): quality and risk look better"
                " here than they are",
                sum(map(bool, own)),
                len(own),
                name,
                ", ".join(seen[:3]) + (" ..." if len(seen) > 3 else ""),
            )
    return known


def _chosen_maps(
    settings: Settings, model: ModelFacts, calibration: Calibrated | str
) -> tuple[str, ...]:
    """The maps asked for, if they can be made, or the usual ones."""
    domain: Any = model.domain
    keypoints = KEYPOINTS[domain] if model.architecture == "progressive" else ()
    if settings.maps is None:
        return (*(USUAL_RAW if isinstance(calibration, str) else USUAL), *keypoints)
    own = (*STEPS, *keypoints) if keypoints else ()
    if others := [name for name in settings.maps if name in PROGRESSIVE and name not in own]:
        raise OptionError(
            f"{model.name} cannot make the map {others[0]!r}", ", ".join((*MAPS, *ADDED, *own))
        )
    refused = [name for name in settings.maps if name in CALIBRATED]
    if isinstance(calibration, str) and refused:
        raise OptionError(
            f"the map {refused[0]!r} cannot be made: {calibration}",
            ", ".join(m for m in MAPS if m not in CALIBRATED),
            "ask for risk_raw, or change the options",
        )
    return settings.maps


__all__ = ["make_job"]
