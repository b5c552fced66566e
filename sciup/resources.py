"""Where the models are: in the checkout's ``models/``, or in the installed data package.

A model is a folder with a ``recipe.yaml``; the folder's name is the model's name. It is offered
once it has weights.
"""

from __future__ import annotations

from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path

from sciup.errors import ModelError

RECIPE = "recipe.yaml"
"""The file that makes a folder a model."""

WEIGHTS = "weights.safetensors"
"""The file that makes a model ready for use."""

DATA_PACKAGE = "sciup_zoo"
"""Name under which ``models/`` and ``datasets/`` are installed."""


def model_folders(*, untrained: bool = False) -> list[Path]:
    """Folders of all models that come with sciup, sorted by name.

    Parameters
    ----------
    untrained : bool
        Also models that have no weights yet.

    Returns
    -------
    list of Path
        A model of the checkout hides an installed one of the same name.
    """
    found = {
        folder.name: folder
        for root in reversed(_roots())
        for folder in root.glob("*/")
        if is_model(folder) and (untrained or is_trained(folder))
    }
    return [found[name] for name in sorted(found)]


def find_model(name_or_path: str | Path) -> Path:
    """Folder of a model.

    Parameters
    ----------
    name_or_path : str or Path
        Name of a model that comes with sciup, or path of a model folder of one's own. A plain
        name always means a model that comes with sciup; write ``./name`` for a folder here.

    Returns
    -------
    Path
        A folder that holds a ``recipe.yaml``; whether there are weights is for the reader to see.

    Raises
    ------
    ModelError
        If there is no such model; the message lists the models that there are.
    """
    text = str(name_or_path)
    known = {folder.name: folder for folder in model_folders()}
    unfinished = {folder.name: folder for folder in model_folders(untrained=True)}
    if text in unfinished:
        return (unfinished | known)[text]
    if is_model(path := Path(name_or_path).expanduser()):
        return path
    if path.is_dir():
        raise ModelError(
            f"the folder {text!r} is not a model: it holds no {RECIPE}",
            _listed(known),
            f"give the folder that holds {RECIPE}",
        )
    nearest = get_close_matches(text, known, n=1, cutoff=0.4)
    fix = f"did you mean {nearest[0]!r}" if nearest else "give one of these, or a model folder"
    raise ModelError(f"there is no model {text!r}", _listed(known), fix)


def is_model(folder: Path) -> bool:
    """Whether a folder holds a model."""
    return (folder / RECIPE).is_file()


def is_trained(folder: Path) -> bool:
    """Whether a model folder has weights."""
    return (folder / WEIGHTS).is_file()


def _listed(names: dict[str, Path]) -> str:
    return (
        ", ".join([*names, f"or a folder with a {RECIPE}"]) if names else f"a folder with {RECIPE}"
    )


def _roots() -> list[Path]:
    """Folders that hold model folders, the first hiding the others."""
    checkout = Path(__file__).resolve().parents[1]
    roots = [checkout / "models"] if (checkout / "pyproject.toml").is_file() else []
    spec = find_spec(DATA_PACKAGE)
    places = spec.submodule_search_locations if spec else None
    return roots + [Path(place) / "models" for place in places or ()]
