"""Hypothesis strategies for the words of the house: boxes, regions and tile plans."""

from __future__ import annotations

from hypothesis import strategies as st

from sciup.geometry import Box, TilePlan, plan_tiles


def boxes(
    ndim: int = 2, low: int = -100, high: int = 100, max_side: int = 60
) -> st.SearchStrategy[Box]:
    """Boxes anywhere, with sides from 0 to `max_side` pixels.

    Parameters
    ----------
    ndim : int
        Number of axes.
    low, high : int
        Range of the first pixel on every axis, both included.
    max_side : int
        Longest side.
    """
    starts = st.tuples(*[st.integers(low, high)] * ndim)
    sides = st.tuples(*[st.integers(0, max_side)] * ndim)
    return st.builds(
        lambda start, side: Box(start, tuple(a + n for a, n in zip(start, side, strict=True))),
        starts,
        sides,
    )


def plans(
    max_core: int = 40, max_halo: int = 12, max_scale: int = 4
) -> st.SearchStrategy[TilePlan]:
    """Tile plans of small regions of the plane, which may begin anywhere."""
    return st.builds(
        plan_tiles,
        boxes(),
        core=st.integers(1, max_core),
        halo=st.integers(0, max_halo),
        scale=st.integers(1, max_scale),
    )
