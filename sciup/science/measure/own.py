"""Functions of users as quantities: loaded from a file or module, called, and not trusted."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from sciup.errors import OptionError
from sciup.science.measure.interval import LEVELS
from sciup.science.measure.quantities import QUANTITIES, Quantity

EXAMPLE = "def my(image, mask): return float(image[mask].max())"
COLUMNS = (
    *("id", "plane", "y", "x", "y_output", "x_output", "ra", "dec", "y_physical", "x_physical"),
    *("snr", "draws", "flag"),
)
"""What every table has; a number of a user cannot be called like this."""

SIDES = ("lo", "hi", "covered")
ENDS = ("_std", *(f"_{side}{level * 100:.0f}" for level in LEVELS for side in SIDES))
"""And what is added to the names of numbers."""

RETURNS = "a number, or a dict of numbers by name; NaN where it cannot tell"


def find_quantity(wanted: str | Callable[..., Any]) -> Quantity:
    """A quantity by its name, by the place of a function, or a function itself.

    Parameters
    ----------
    wanted : str or callable
        A name of `QUANTITIES`, ``FILE.py:FUNCTION`` or ``MODULE:FUNCTION``, or the function:
        ``f(image, mask)`` or ``f(image, mask, context)``.

    Raises
    ------
    OptionError
        If there is no such quantity, file or function, with the line where a file breaks.

    Examples
    --------
    >>> find_quantity("count").whole, find_quantity(lambda image, mask: 1.0).kinds
    (True, {})
    """
    if callable(wanted):
        return _own(wanted, f"the function {getattr(wanted, '__name__', wanted)}")
    if wanted in QUANTITIES:
        return QUANTITIES[wanted]
    place, colon, name = str(wanted).rpartition(":")
    if not (colon and place and name):
        raise OptionError(
            f"--with {wanted}",
            ", ".join(QUANTITIES) + ", FILE.py:FUNCTION or MODULE:FUNCTION",
            f"for example --with my.py:my, with {EXAMPLE}",
        )
    module = _load(place)
    function = getattr(module, name, None)
    if not callable(function):
        raise OptionError(
            f"--with {wanted}: there is no function {name} in {place}",
            ", ".join(_functions(module)) or f"functions such as {EXAMPLE}",
        )
    return _own(function, str(wanted))


def _load(place: str) -> ModuleType:
    """A module by its file or its name, with all that it runs on import."""
    try:
        if not place.endswith(".py"):
            return _module(place)
        if not Path(place).is_file():
            raise OptionError(f"--with: there is no file {place}", "a Python file")
        spec = importlib.util.spec_from_file_location(f"_sciup_own_{Path(place).stem}", place)
        if spec is None or spec.loader is None:
            raise OptionError(f"--with: {place} cannot be loaded", "a Python file")
        module = importlib.util.module_from_spec(spec)
        # what a function defines may look itself up by this name
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        return module
    except OptionError:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a user's module may raise anything
        raise OptionError(
            f"--with: {place} cannot be loaded: {where(error)}", "a file that Python can import"
        ) from None


def _module(name: str) -> ModuleType:
    """An installed module, or one of the working folder, as for ``python -m``."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(here)


def _functions(module: ModuleType) -> list[str]:
    found = inspect.getmembers(module, inspect.isfunction)
    return [name for name, f in found if f.__module__ == module.__name__]


def _own(function: Callable[..., Any], given: str) -> Quantity:
    """A user's function as a quantity; it always gets copies, so that it may change them."""
    takes = _takes(function, given)
    name = str(getattr(function, "__name__", "own"))
    label = name if name.isidentifier() else "own"

    def measure(image: Any, mask: Any, context: Any) -> Any:
        arguments = (image.copy(), mask.copy(), context)[:takes]
        try:
            returned = function(*arguments)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a user's function raises
            raise OptionError(
                f"{given} failed on an image of {image.shape[0]} x {image.shape[1]} px:"
                f" {where(error)}",
                fix="mend it, or return float('nan') where it cannot tell",
            ) from None
        return _numbers(returned, label, given)

    text = (inspect.getdoc(function) or "").split("\n\n")[0]
    words = " ".join(text.split()) or "A function of the user."
    return Quantity(label, measure, words, {}, given=given)


def _takes(function: Callable[..., Any], given: str) -> int:
    """Whether it takes two arguments or three."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return 2
    for count in (3, 2):
        try:
            signature.bind(*range(count))
        except TypeError:
            continue
        return count
    raise OptionError(
        f"{given}{signature} takes other arguments", "(image, mask) or (image, mask, context)"
    )


def _numbers(returned: Any, label: str, given: str) -> dict[str, Any]:
    """What a function returned, by name; whole numbers stay whole."""
    named = returned if isinstance(returned, Mapping) else {label: returned}
    if not named:
        raise OptionError(f"{given} returned an empty dict", RETURNS)
    found = {_name(key, given): _number(value, key, given) for key, value in named.items()}
    if len({key.lower() for key in found}) < len(found):
        raise OptionError(
            f"{given} returned {', '.join(found)}", "names that differ by more than capital letters"
        )
    return found


def _name(key: Any, given: str) -> str:
    names = "names such as flux or width_2"
    if not (isinstance(key, str) and key.isidentifier()):
        raise OptionError(f"{given} returned a number named {key!r}", names)
    # capital letters are the same: FITS does not tell them apart
    if key.lower() in COLUMNS or key.lower().endswith(ENDS):
        raise OptionError(
            f"{given} returned a number named {key!r}, which is a column of every table",
            f"{names}; not {', '.join(COLUMNS)}, or an end of {', '.join(ENDS)}",
            "return {'another_name': value}",
        )
    return key


def _number(value: Any, key: str, given: str) -> int | float:
    array = np.asarray(value) if value is not None else np.empty(0)
    if array.ndim or array.dtype.kind not in "biuf":
        got = f"an array of shape {array.shape}" if array.ndim and array.size else repr(value)[:60]
        raise OptionError(f"{given} returned {got} as {key}", RETURNS)
    if np.isinf(array):
        raise OptionError(
            f"{given} returned {array} as {key}", RETURNS, "return NaN where it cannot tell"
        )
    return int(array) if array.dtype.kind in "biu" else float(array)


def where(error: BaseException) -> str:
    """What went wrong, and the last line of the user's that was reached.

    Examples
    --------
    >>> where(ValueError("no light"))
    'ValueError: no light'
    """
    what = f"{type(error).__name__}: {getattr(error, 'msg', None) or error}".rstrip(": ")
    if isinstance(error, SyntaxError) and error.filename:
        return f"{what} ({error.filename}, line {error.lineno})"
    frames = traceback.extract_tb(error.__traceback__)
    mine = [f for f in frames if not any(p in f.filename for p in ("site-packages", "<frozen"))]
    mine = [f for f in mine if Path(f.filename) != Path(__file__)]
    if not mine:
        return what
    last = mine[-1]
    return f"{what} ({last.filename}, line {last.lineno}: {last.line})"


__all__ = ["find_quantity", "where"]
