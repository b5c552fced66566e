"""What a run is: what must not change when it goes on, and how its output was made."""

from __future__ import annotations

import datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from sciup.engine.channels import names_of_planes
from sciup.engine.job import Job
from sciup.generators.facts import TextureFacts
from sciup.geometry import Box
from sciup.io import OutputFormat
from sciup.io._version import version_of
from sciup.io._writer import ILLUSTRATIVE
from sciup.risk.words import widths

METHOD = 3
"""Raised whenever the same settings give other pixels: 3 is the sky of docs/design/0032."""


def fingerprint(job: Job, kind: OutputFormat) -> dict[str, Any]:
    """What must not change between an interrupted run and its continuation."""
    size, modified = version_of(job.image)
    return {
        "method": METHOD,
        "input": job.image.source,
        "input_size": size,
        "input_modified": modified,
        "shape": list(job.image.shape),
        "flux_per_pixel": job.image.flux_per_pixel,
        "noise_map": _has_noise_map(job),
        "digests": list(job.digests),
        **job.covers,
        "model": job.model.name,
        "weights": job.model.weights,
        "settings": job.settings.as_json(),
        "texture": job.texture.weights if job.texture else None,
        "calibration": job.calibrated.calibration.digest if job.calibrated else None,
        "format": kind,
        "instrument": [
            {n: v for n, v in i.as_json().items() if v["origin"] in ("given", "header")}
            for i in job.instruments
        ],
    }


def _has_noise_map(job: Job) -> bool:
    """Whether the file brings the noise of its pixels."""
    plane = next(iter(job.image.planes))
    return job.image.load_sigma(plane, Box((0, 0), (0, 0))) is not None


def provenance(job: Job, kind: OutputFormat) -> dict[str, Any]:
    """Everything needed to say how the output was made, JSON-ready."""
    return {
        "sciup": _version(),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "model": job.model.name,
        "weights": job.model.weights,
        "scale": job.model.scale,
        "seed": job.settings.seed,
        "samples": job.settings.samples,
        "source": job.image.source,
        "device": job.device,
        "output_psf_fwhm_px": job.model.target_fwhm,
        "values": "flux per pixel (block sum kept)"
        if job.image.flux_per_pixel
        else "intensity (block mean kept)",
        "risk": _risk_facts(job),
        **({"texture": _texture_facts(job.texture)} if job.texture else {}),
        "std": "spread of one pixel over the samples; not an error to add in quadrature",
        "instrument": [i.as_json() for i in job.instruments],
        **({"channels": names} if (names := names_of_planes(job.image)) else {}),
        **({"in_training": list(job.known)} if any(job.known) else {}),
        "fingerprint": fingerprint(job, kind),
    }


def _risk_facts(job: Job) -> dict[str, Any]:
    """What the risk maps mean."""
    facts = _usual_risk_facts(job)
    if any(i.psf_error.value for i in job.instruments):
        facts["words"] = f"{facts['words'].rstrip('.')}. {widths(bool(job.calibrated))}"
    return facts


def _usual_risk_facts(job: Job) -> dict[str, Any]:
    event = (
        f"the 3 px mean of the sample differs from the truth by more than"
        f" {job.settings.tolerance.words}"
    )
    found = job.calibrated
    if found is None:
        return {
            "event": event,
            "calibrated": False,
            "words": f"risk_raw: share of {job.settings.samples} other samples that differ from the"
            f" shown one by more than {job.settings.tolerance.words} in a 3 px mean; not"
            f" calibrated, because {job.calibration}",
        }
    return {"event": event, "calibrated": True} | found.facts


def _texture_facts(texture: TextureFacts) -> dict[str, Any]:
    """What the map `texture` is, and what it is not."""
    return {
        "label": ILLUSTRATIVE,
        "model": texture.name,
        "weights": texture.weights,
        "words": "texture: one plausible image, made to look like a measured one; the risk maps"
        " are about sample and mean, and say of texture where the data leave details open",
    }


def _version() -> str:
    try:
        return version("sciup")
    except PackageNotFoundError:
        return "unknown"


__all__ = ["fingerprint", "provenance"]
