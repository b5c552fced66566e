"""What a run is: what must not change when it goes on, and how its output was made."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from sciup.engine.calibrated import Calibrated
from sciup.engine.channels import names_of_planes
from sciup.engine.job import Job
from sciup.errors import ResumeError
from sciup.generators.facts import TextureFacts
from sciup.geometry import Box
from sciup.io import OutputFormat
from sciup.io._version import version_of
from sciup.io._writer import ILLUSTRATIVE
from sciup.physics.packed import digest
from sciup.risk.words import together, widths

METHOD = 5
"""Raised whenever the same settings give other pixels: 5 is PSF images of docs/design/0055.

Calibrations do not know it: where what the draws are worth has changed, too, not rounding alone,
raise `sciup.physics.beliefs.BELIEFS` of the domain.
"""


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
        "noise_map": has_noise_map(job),
        "digests": list(job.digests),
        **job.covers,
        **_decided(job),
        "settings": job.settings.as_json(),
        "format": kind,
        "instrument": [
            {
                name: fact | {"value": digest(fact["value"])}
                for name, fact in i.as_json().items()
                if fact["origin"] in ("given", "header")
            }
            for i in job.instruments
        ],
    }


def compare(stored: Mapping[str, Any], wanted: Mapping[str, Any], where: Path) -> None:
    """Refuse to go on with what was made with another fingerprint.

    Raises
    ------
    ResumeError
        Naming the first difference.
    """
    wanted = json.loads(json.dumps(wanted))
    for key, value in wanted.items():
        if stored.get(key) != value:
            part, *both = _difference(stored.get(key), value)
            before, now = (str(v)[:80] for v in both)
            other = "other" if key.endswith("s") else "another"
            raise ResumeError(
                f"{where} was made with {other} {key.replace('_', ' ')}: {part}{before}, now {now}",
                fix="repeat the first command with --resume, or start anew with --overwrite",
            )


def _difference(before: Any, now: Any) -> tuple[str, Any, Any]:
    """Where two JSON values differ first, and what stands there.

    Examples
    --------
    >>> _difference([{"seed": 1}, {"seed": 1, "keep": 2}], [{"seed": 1}, {"seed": 1, "keep": 0}])
    ('1 keep ', 2, 0)
    """
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        before, now = dict(enumerate(before)), dict(enumerate(now))
    if not (isinstance(before, dict) and isinstance(now, dict)):
        return "", before, now
    first = next(k for k in {**before, **now} if before.get(k) != now.get(k))
    part, *both = _difference(before.get(first), now.get(first))
    return f"{first} {part}", *both


def _decided(job: Job) -> dict[str, Any]:
    """What a model decides; lists, one entry a plane, where channels have models of their own."""
    if job.chosen:
        planes = [_decided(job.at(number)) for number in range(len(job.chosen))]
        return {key: [plane[key] for plane in planes] for key in planes[0]}
    return {
        "model": job.model.name,
        "weights": job.model.weights,
        "texture": job.texture.weights if job.texture else None,
        "calibration": job.calibrated.calibration.digest if job.calibrated else None,
    }


def has_noise_map(job: Job) -> bool:
    """Whether the file brings the noise of its pixels."""
    plane = next(iter(job.image.planes))
    return job.image.load_sigma(plane, Box((0, 0), (0, 0))) is not None


def provenance(job: Job, kind: OutputFormat) -> dict[str, Any]:
    """Everything needed to say how the output was made, JSON-ready."""
    return {
        "sciup": _version(),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **_models(job),
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


def _models(job: Job) -> dict[str, Any]:
    """Names and weights; ``models`` lists them by plane where there are several."""
    each = {model.weights: model.name for model in job.models}
    found: dict[str, Any] = {"model": " + ".join(each.values()), "weights": " + ".join(each)}
    if job.chosen:
        found["models"] = [{"model": m.name, "weights": m.weights} for m in job.models]
    return found


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
    facts = {"event": event, "calibrated": True} | found.facts
    return facts | (_of_several(job, facts) if job.chosen else {})


def _of_several(job: Job, facts: dict[str, Any]) -> dict[str, Any]:
    """What is promised where each channel's model has a calibration of its own.

    The bins are those of the first plane, and no bound holds for all. The lowest threshold of an
    alarm flags all that the own one of each channel does, and misses no more. Intervals stand with
    each model only.
    """
    own = {c.model.folder: (c.model.name, c.calibration.facts) for c in job.chosen
           if isinstance(c.calibration, Calibrated)}  # fmt: skip
    every = [told for _, told in own.values()]
    return {
        "bounds": [None] * len(facts["bounds"]),
        "alarm": {
            "threshold": min(told["alarm"]["threshold"] for told in every),
            "alpha": max(told["alarm"]["alpha"] for told in every),
        },
        "about": together([told["about"] for told in every]),
        "words": f"{facts['words'].rstrip('.')}; by the calibration of each channel's own model",
        "models": dict(own.values()),
        "interval": None,
    }


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


__all__ = ["compare", "fingerprint", "has_noise_map", "provenance"]
