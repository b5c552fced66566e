"""Recipes in YAML files, checked to the last key."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_type_hints

import yaml
from pydantic import TypeAdapter, ValidationError

from sciup.errors import ModelError
from sciup.train.recipe import Recipe


def load_recipe(path: Path) -> Recipe:
    """Read and check a recipe.

    Raises
    ------
    ModelError
        For a missing file, an unknown key (naming the nearest valid one) or a wrong value.
    """
    try:
        data = yaml.safe_load(Path(path).read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ModelError(
            f"the recipe {path} cannot be read: {error}", fix="check its name and its indentation"
        ) from None
    if not isinstance(data, dict):
        raise ModelError(
            f"the recipe {path} is not a mapping of keys to values",
            fix="`sciup train --new NAME` writes one to begin with",
        )
    return check_recipe(data, str(path))


def check_recipe(data: Mapping[str, Any], where: str) -> Recipe:
    """A recipe from plain data; `where` is for the messages."""
    for place, key, allowed in _unknown(Recipe, data, ""):
        near = difflib.get_close_matches(key, allowed, n=1) or difflib.get_close_matches(
            key, _all_keys(), n=1
        )
        fix = f"did you mean {near[0]!r}?" if near else "remove it"
        raise ModelError(f"recipe {where}: unknown key {place + key!r}", ", ".join(allowed), fix)
    try:
        return _adapter().validate_python(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "recipe"
        message = first["msg"].removeprefix("Value error, ")
        got = f", got {first['input']!r}" if not isinstance(first["input"], dict) else ""
        raise ModelError(f"recipe {where}: {place}: {message}{got}") from None


@cache
def _adapter() -> TypeAdapter[Recipe]:
    return TypeAdapter(Recipe)


def _parts(kind: type[Any]) -> dict[str, type[Any]]:
    """Keys of a part of a recipe that hold parts themselves, alone or in a list."""
    inner = [(key, k) for key, h in get_type_hints(kind).items() for k in (h, *get_args(h))]
    return {key: k for key, k in inner if isinstance(k, type) and is_dataclass(k)}


def _unknown(kind: type[Any], data: Any, place: str) -> Iterator[tuple[str, str, list[str]]]:
    """(place, key, what is allowed there) of every key that no part of a recipe has."""
    if isinstance(data, list | tuple):
        for i, item in enumerate(data):
            yield from _unknown(kind, item, f"{place}{i}.")
    elif isinstance(data, Mapping):
        allowed = [f.name for f in fields(kind)]
        yield from ((place, str(key), allowed) for key in data if key not in allowed)
        for key, part in _parts(kind).items():
            yield from _unknown(part, data.get(key), f"{place}{key}.")


@cache
def _all_keys() -> list[str]:
    kinds: list[type[Any]] = [Recipe, *_parts(Recipe).values()]
    return [f.name for kind in kinds for f in fields(kind)]
