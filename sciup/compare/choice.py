"""From names of methods to what makes their pictures, checked before anything is computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from math import prod
from pathlib import Path

from sciup.compare.methods import METHODS, OURS, Entry, classical, ours
from sciup.compare.others import EXPLORE, GOALS, Again, Explored, Other, Sampler, Texture
from sciup.compare.seen import Seen
from sciup.engine.calibrated import calibration_of
from sciup.errors import ModelError, OptionError
from sciup.explorer.where import LARGEST
from sciup.generators.facts import TEXTURE, ModelFacts, TextureFacts, read_recipe
from sciup.resources import RECIPE, find_model, is_trained, model_folders


@dataclass(frozen=True)
class Chosen:
    """The methods of one image.

    Attributes
    ----------
    usual : tuple of str
        From `METHODS`, in that order.
    others : tuple of Other
        In the order in which they were asked for.
    """

    usual: tuple[str, ...]
    others: tuple[Other, ...] = ()

    def entries(self, seen: Seen, again: Again, progress: Callable[[str], None]) -> list[Entry]:
        """What all methods make of the region; the usual ones take seconds, others minutes each."""
        if self.usual:
            progress(", ".join(self.usual))
        made = [classical(seen, name) for name in self.usual if name not in OURS]
        made += ours(seen, [name for name in self.usual if name in OURS])
        for other in self.others:
            progress(other.name)
            made += other.entries(seen, again)
        return made


def choose(names: Sequence[str] | None, model: ModelFacts, shape: tuple[int, ...]) -> Chosen:
    """The methods of these names; the usual ones unless given.

    Parameters
    ----------
    names : sequence of str, optional
        From `METHODS`, without regard to case; ``explore:GOAL``; names or folders of models of the
        same domain, scale and output PSF, or of several whose scales multiply to it: ``A+B``.
    model : ModelFacts
        Of the sampler that says what is compared: mean, sample, and the output grid.
    shape : tuple of int
        Of the region, input px.

    Raises
    ------
    OptionError
        For an unknown or unfitting name, with the nearest one and all that there are; for two
        models that call themselves the same.
    ModelError
        For a damaged model, for one whose calibration is damaged or of other weights, and for a
        texture model without its sampler.
    """
    calibration_of(model)
    if names is None:
        return Chosen(METHODS)
    if not names:
        raise OptionError("--methods (none)", _listed(model))
    usual = {name.lower(): name for name in METHODS}
    asked = dict.fromkeys(name.strip() for name in names)
    wanted = {usual[name.lower()] for name in asked if name.lower() in usual}
    others: dict[str, Other] = {}
    for name in asked:
        if name.lower() not in usual:
            _add(_other(name, model), name, others)
    if max(shape) > LARGEST and (few := [n for n in others if n.startswith(EXPLORE)]):
        raise OptionError(
            f"--methods {few[0]} in a region of {shape[0]} x {shape[1]} px",
            f"up to {LARGEST} x {LARGEST} input px",
            "give a smaller --roi, or leave it out",
        )
    return Chosen(tuple(name for name in METHODS if name in wanted), tuple(others.values()))


def _add(other: Other, name: str, others: dict[str, Other]) -> None:
    """Refuse another model of the same name: its pictures would go to the same place."""
    if others.setdefault(other.name, other) != other:
        raise OptionError(
            f"--methods: {name} is a second model named {other.name}",
            "models of different names",
            f"change name in its {RECIPE}",
        )


def _other(name: str, model: ModelFacts) -> Other:
    """The method of a name that is not one of the usual ones."""
    goal = name.lower().removeprefix(EXPLORE)
    if name.lower().startswith(EXPLORE) and goal in GOALS:
        return Explored(goal)
    folders = [_folder(part.strip(), name, model) for part in name.split("+")]
    stages = tuple(ModelFacts.read(folder) for folder in folders)
    drawn = len(stages) == 1 or all(s.architecture != TEXTURE and s.scale > 1 for s in stages)
    scale, last = prod(stage.scale for stage in stages), stages[-1]
    fits = scale == model.scale and all(stage.domain == model.domain for stage in stages)
    if not (drawn and fits and last.target_fwhm == model.target_fwhm):
        raise OptionError(
            f"--methods {name} is {scale}x for {last.domain} with an output PSF of"
            f" {last.target_fwhm:g} px, the comparison with {model.name} is {model.scale}x for"
            f" {model.domain} with {model.target_fwhm:g} px",
            _listed(model),
            "name samplers whose scales multiply to that of the comparison, or change --scale",
        )
    if last.architecture == TEXTURE:
        return _texture(folders[0], model)
    calibration_of(stages[0])  # later ones draw without
    return Sampler(stages)


def _texture(folder: Path, model: ModelFacts) -> Texture:
    """A texture model on its own sampler, which need not be the one of the comparison."""
    facts = TextureFacts.read(folder)
    own = facts.sampler_weights == model.weights
    sampler = model if own else ModelFacts.read(find_model(facts.sampler))
    calibration_of(sampler)
    return Texture(TextureFacts.beside(sampler, folder), sampler.folder)


def _folder(part: str, name: str, model: ModelFacts) -> Path:
    """The folder of a trained model."""
    try:
        folder = find_model(part)
    except ModelError:
        lower = {known.lower(): known for known in _known(model)}
        near = get_close_matches(part.lower(), lower, n=1, cutoff=0.4)
        fix = f"did you mean {lower[near[0]]!r}" if near else ""
        raise OptionError(f"--methods {name}: there is no {part!r}", _listed(model), fix) from None
    if not is_trained(folder):
        raise OptionError(
            f"--methods {name}: {part} has no weights",
            _listed(model),
            f"its card says why, or how to train it: {folder / 'card.md'}",
        )
    return folder


def _known(model: ModelFacts) -> list[str]:
    """Names of all methods that fit beside a model."""
    same = [
        folder.name
        for folder in model_folders()
        if (recipe := read_recipe(folder))["domain"] == model.domain
        and (recipe["scale"], recipe["target_fwhm"]) == (model.scale, model.target_fwhm)
    ]
    return [*METHODS, *(EXPLORE + goal for goal in GOALS), *same]


def _listed(model: ModelFacts) -> str:
    return ", ".join(_known(model)) + ", a model folder, or several models joined by +"
