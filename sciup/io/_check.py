"""What every reader refuses, in the same words, and how foreign errors become ours."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from sciup.errors import InputError, SciupError
from sciup.geometry import Box
from sciup.image import Plane

AXES = "tczyx"


def check_pixels(shape: tuple[int, ...], dtype: np.dtype[Any], where: str) -> None:
    """Refuse arrays that are not images of real numbers.

    Parameters
    ----------
    shape : tuple of int
        Length of every axis, the plane (y, x) last.
    dtype : numpy.dtype
        Data type as stored.
    where : str
        Path or word that the message names.

    Raises
    ------
    InputError
        For fewer than two axes, an empty axis, a plane thinner than 2 px, or values that are not
        real numbers.
    """
    if dtype.kind not in "iuf":
        fix = {
            "c": "give the real part, the imaginary part or the modulus",
            "b": "a mask is not an image: give the intensities, or convert it to uint8",
        }.get(dtype.kind, "convert the array to numbers first")
        raise InputError(
            f"{where} holds values of type {dtype}", "integers or floating point numbers", fix
        )
    if len(shape) < 2:
        raise InputError(
            f"{where} has {len(shape)} axis and shape {shape}", "images with axes y and x"
        )
    if 0 in shape:
        raise InputError(f"{where} is empty: its shape is {shape}", "at least one plane of pixels")
    if min(shape[-2:]) < 2:
        raise InputError(
            f"{where} is {shape[-2]} x {shape[-1]} px in y and x",
            "planes of at least 2 x 2 px",
            "check that the last two axes are y and x",
        )


def default_axes(ndim: int, where: str) -> str:
    """Axes of an array that does not name them: the last `ndim` of ``tczyx``.

    Examples
    --------
    >>> default_axes(3, "array")
    'zyx'
    """
    if not 2 <= ndim <= len(AXES):
        raise InputError(f"{where} has {ndim} axes", f"2 to {len(AXES)} axes out of {AXES}")
    return AXES[-ndim:]


def index_of(plane: Plane, box: Box) -> tuple[int | slice, ...]:
    """Index of a box of one plane in an array of shape (..., y, x)."""
    return (*plane, *box.slices)


@contextlib.contextmanager
def input_errors(what: str, fix: str = "") -> Iterator[None]:
    """Turn whatever a library raises on a damaged file into one `InputError`.

    Libraries raise anything from KeyError to zlib.error on broken bytes; a list of types would
    always miss one. Lack of memory is not the file's fault and passes through.
    """
    try:
        yield
    except (SciupError, MemoryError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{what} ({type(error).__name__}: {reason[:200]})", "", fix) from error


__all__ = ["AXES", "check_pixels", "default_axes", "index_of", "input_errors"]
