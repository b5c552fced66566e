"""The models that there are: what they are, their cards, and whether their files are whole."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sciup.errors import ModelError
from sciup.generators.facts import (
    CHECKSUM,
    TEXTURE,
    ModelFacts,
    TextureFacts,
    checked_weights,
    read_recipe,
)
from sciup.resources import WEIGHTS, find_model, model_folders
from sciup.risk.calibration import FILE, Calibration

CARD = "card.md"


@dataclass(frozen=True, slots=True)
class Entry:
    """One model of the catalogue.

    Attributes
    ----------
    name, domain : str
    folder : Path
    scale : int
    target_fwhm : float
        FWHM of the declared output PSF, output px.
    size : int
        Size of the weights in bytes.
    weights : str
        sha256 of the weights; empty if they are damaged.
    calibrated : bool
        Whether its risk is calibrated.
    description : str
        First paragraph of its card.
    architecture : str
        ``texture`` for models that add a map to those of a sampler.
    """

    name: str
    folder: Path
    domain: str
    scale: int
    target_fwhm: float
    size: int
    weights: str
    calibrated: bool
    description: str
    architecture: str = "posterior"

    @property
    def risk(self) -> str:
        """What can be said of the risk of its images, in a word."""
        if self.architecture == TEXTURE:
            return "illustrative"
        return "calibrated" if self.calibrated else "raw"

    @classmethod
    def read(cls, folder: Path) -> Entry:
        """Read a model folder with weights; damage of the weights is noted, not raised."""
        recipe = read_recipe(folder)
        try:
            digest = checked_weights(folder)
        except ModelError:
            digest = ""
        return cls(
            str(recipe["name"]),
            folder,
            str(recipe["domain"]),
            recipe["scale"],
            float(recipe["target_fwhm"]),
            (folder / WEIGHTS).stat().st_size,
            digest,
            (folder / FILE).is_file(),
            first_paragraph(folder),
            str(recipe.get("architecture", "posterior")),
        )


def catalogue() -> list[Entry]:
    """All models that come with sciup and have weights, sorted by name."""
    return [Entry.read(folder) for folder in model_folders()]


def read_card(folder: Path) -> str:
    """The card of a model, Markdown.

    Raises
    ------
    ModelError
        If it has none.
    """
    path = folder / CARD
    if not path.is_file():
        raise ModelError(
            f"the model folder {folder} has no {CARD}",
            fix=f"write {path}: what the model is for, its data, its limits, what was measured",
        )
    return path.read_text()


def first_paragraph(folder: Path) -> str:
    """What the first lines of a card below its title say, in one line; empty without a card."""
    try:
        text = read_card(folder)
    except ModelError:
        return ""
    paragraphs = (p.strip() for p in text.split("\n\n"))
    return next((" ".join(p.split()) for p in paragraphs if p and not p.startswith("#")), "")


def verify(folder: Path) -> str:
    """Check that weights are as published, fit the recipe, and are those of the calibration.

    Returns
    -------
    str
        What was found, in words.

    Raises
    ------
    ModelError
        If a file is missing, damaged, or does not fit.
    """
    from sciup.generators.registry import load_generator, load_texture

    facts = ModelFacts.read(folder)
    if facts.architecture == TEXTURE:
        base = ModelFacts.read(find_model(TextureFacts.read(folder).sampler))
        head = TextureFacts.beside(base, folder)
        load_texture(head, load_generator(base.folder))
        return f"weights {facts.weights[:12]} fit the recipe and the weights of {base.name}"
    load_generator(folder)
    words = (
        f"weights {facts.weights[:12]} as published, fit the recipe"
        if (folder / CHECKSUM).is_file()
        else f"weights {facts.weights[:12]} fit the recipe; no {CHECKSUM} to compare them with"
    )
    if not (folder / FILE).is_file():
        return f"{words}; not calibrated"
    calibration = Calibration.read(folder / FILE)
    calibration.belongs(facts.key, facts.name)
    return f"{words}; calibrated for {calibration.samples} samples at {calibration.tolerances}"


__all__ = ["Entry", "catalogue", "read_card", "verify"]
