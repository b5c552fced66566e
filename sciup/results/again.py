"""Input and model of a finished result, found again, so that its draws can be repeated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from sciup.api import Result
from sciup.engine.job import Chosen, Job
from sciup.engine.settings import Settings
from sciup.errors import ModelError, SciupError
from sciup.generators.facts import ModelFacts
from sciup.geometry import Box
from sciup.image import Image
from sciup.io._detect import plain_path, url_of
from sciup.io._zipped import zipped
from sciup.resources import find_model
from sciup.results.finished import Finished
from sciup.risk.calibration import FILE, Calibration

Opener = Callable[[str], Image]


Models = tuple[ModelFacts, ...]
"""The model of every plane, where channels have models of their own; else the one model."""


def find_facts(done: Finished, model: str | None = None) -> Models | str:
    """The models that made the result, or why they cannot be used.

    Parameters
    ----------
    done : Finished
    model : str, optional
        Name or folder, where a recorded name is not enough; of several, ``FIRST,SECOND``.
    """
    recorded = done.facts.get("models") or [done.facts]
    given = model.split(",") if model and len(recorded) > 1 else [model] if model else []
    found: dict[str, ModelFacts] = {}
    for weights, name in {str(one["weights"]): str(one["model"]) for one in recorded}.items():
        # of several that are given, any may be the one; the name may do, too
        tried = [*given, name] if len(recorded) > 1 else given or [name]
        facts = [_find_one(one, weights) for one in tried]
        fits = next((one for one in facts if isinstance(one, ModelFacts)), facts[-1])
        if isinstance(fits, str):
            return fits
        found[weights] = fits
    return tuple(found[str(one["weights"])] for one in recorded)


def _find_one(model: str, weights: str) -> ModelFacts | str:
    """A model by name or folder, or why it is not that of the result."""
    try:
        facts = ModelFacts.read(find_model(model))
    except SciupError as error:
        return f"the model cannot be read: {error} For a model folder of your own, give --model."
    if facts.weights != weights:
        return (
            f"the weights of {facts.name} are not those of the result: {facts.weights[:12]} here,"
            f" {weights[:12]} then"
        )
    return facts


def find_calibration(done: Finished, models: Models | str) -> Calibration | str:
    """The calibration that the result used, or why there is none to show."""
    if not done.facts["risk"].get("calibrated"):
        return "the result was made without a calibration"
    if isinstance(models, str):
        return models
    if len(models) > 1:
        return "channels have models of their own, each with its own calibration"
    facts = models[0]
    try:
        found = Calibration.read(facts.folder / FILE)
    except ModelError as error:
        return str(error)
    if found.digest != done.facts["fingerprint"].get("calibration"):
        return f"the calibration of {facts.name} has changed since"
    return found


def find_input(done: Finished, opener: Opener, source: str | None = None) -> Image | str:
    """The input as it was, or why it cannot be used.

    Parameters
    ----------
    done : Finished
    opener : callable
        Opens a path as the run did.
    source : str, optional
        Where it is now; else the recorded place, and then beside the result.
    """
    recorded = str(done.facts["source"])
    tried = (
        [plain_path(source)] if source else [recorded, str(done.path.parent / Path(recorded).name)]
    )
    try:
        place = next((p for p in tried if _is_there(p)), None)
        if place is None:
            return f"the input {tried[0]} is no longer there"
        image = opener(place)
        return _different(done, image) or image
    except SciupError as error:
        return f"the input cannot be read: {error}"


def _is_there(place: str) -> bool:
    """Whether a file, a folder or a place in a zip file is there; addresses are asked later."""
    path = Path(place).expanduser()
    return bool(url_of(place)) or path.exists() or zipped(path) is not None


def _different(done: Finished, image: Image) -> str:
    """What is not as it was, or nothing."""
    from sciup.physics.estimate import probe

    prints = done.facts["fingerprint"]
    if list(image.shape) != list(prints["shape"]):
        now, then = (" x ".join(map(str, s)) for s in (image.shape, prints["shape"]))
        alike = list(image.plane_shape) == list(prints["shape"][-2:])
        return (
            f"the input {image.source} opens with shape {now}, the result was made of {then}: "
            + (
                "give --channel, --time or --z as in the run"
                if alike
                else "give --hdu as in the run, if it had one; else it is another image"
            )
        )
    if probe(image, next(image.planes)).digest != prints["digests"][0]:
        return (
            f"the pixels of the input {image.source} are not those of the result: give --hdu,"
            " --channel, --time and --z as in the run, if it had any; else they have changed"
        )
    return ""


def result_of(done: Finished, models: Models | str, image: Image | str) -> Result | str:
    """The run once more, lazily, with the instrument as recorded; or why not."""
    if isinstance(image, str):
        return image
    if isinstance(models, str):
        return models
    image.flux_per_pixel = bool(done.facts["fingerprint"]["flux_per_pixel"])
    stored = done.settings
    settings = Settings(
        samples=int(stored["samples"]),
        seed=int(stored["seed"]),
        maps=tuple(stored["maps"]) or None,
        keep=int(stored["keep"]),
        tolerance=done.tolerance,
        precision=stored["precision"],
        noise_free=bool(stored["noise_free"]),
    )
    return Result(
        Job(
            image=image,
            model=models[0],
            region=done.region,
            settings=settings,
            instruments=done.instruments,
            digests=tuple(done.facts["fingerprint"]["digests"]),
            chosen=tuple(map(Chosen, models)) if len(models) > 1 else (),
        )
    )


def on(result: Result, region: Box) -> Result:
    """The same run on other input pixels."""
    return Result(replace(result.job, region=region))


__all__ = ["find_calibration", "find_facts", "find_input", "on", "result_of"]
