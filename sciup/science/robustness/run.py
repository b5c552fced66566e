"""One measurement under every variation, in one table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sciup.api import Result
from sciup.science.measure.run import measure
from sciup.science.robustness.vary import variations

if TYPE_CHECKING:
    from astropy.table import Table

SHIFT = 1.0
"""A shift by more standard deviations than this is called one."""


def robustness(
    result: Result,
    with_: str | Callable[..., Any],
    *,
    models: Sequence[str | Path] = (),
    progress: Callable[[str], None] | None = None,
    **places: Any,
) -> Table:
    """Measure a quantity as it is and with one belief changed at a time.

    Parameters
    ----------
    result : Result
        A lazy result of `sciup.upscale`.
    with_ : str or callable
        As for `sciup.measure`.
    models : sequence of str or path, optional
        Other models of the same scale and domain to try.
    progress : callable, optional
        Called with the name of each variation before it is measured.
    **places
        ``regions``, ``catalog``, ``labels``, ``radius``, ``samples``, ``plane``, ``background``: as
        for `sciup.measure`.

    Returns
    -------
    astropy.table.Table
        One row for each region, number and variation: ``value``, ``std``, ``lo95``, ``hi95``,
        ``shift`` (value minus that of the run as it is), ``shift_std`` (in standard deviations of
        the draws of that run), ``inside`` (whether its 95 % interval holds the value).

    Examples
    --------
    >>> import numpy as np, sciup
    >>> image = np.random.default_rng(0).poisson(20.0, (32, 48)).astype("float32")
    >>> image[10:20, 10:30] += 100
    >>> result = sciup.upscale(image, psf_fwhm=2.0)
    >>> box = "image; box(20.5,15.5,20,10,0)"
    >>> table = sciup.robustness(result, "intensity", regions=box, samples=3)
    >>> table["variation"].tolist()
    ['as it is', 'PSF -10 %', 'PSF +10 %', 'noise x 1.2', 'seed 1', 'seed 2']
    """
    found = []
    for name, varied in variations(result, tuple(models)):
        if progress is not None:
            progress(name)
        found.append((name, measure(varied, with_, **places)))
    return _table(found)


def _table(found: list[tuple[str, Table]]) -> Table:
    from astropy.table import Table

    base = found[0][1]
    values = [name.removesuffix("_lo95") for name in base.colnames if name.endswith("_lo95")]
    rows = [
        _row(_place(base[i]), value, name, table[i], base[i])
        for i in range(len(base))
        for value in values
        for name, table in found
    ]
    keep = ("result", "quantity", "definition", "background", "draws", "interval_95")
    meta = {k: v for k, v in base.meta.items() if k in keep or k.startswith(("result_", "instr"))}
    meta["shift_std"] = "shift in standard deviations of the draws of the run as it is"
    table = Table(rows=rows, meta=meta) if rows else Table(names=list(_NAMES), meta=meta)
    for name, unit in (("value", base[values[0]].unit),) if len(values) == 1 else ():
        for column in (name, "std", "lo95", "hi95", "shift"):
            table[column].unit = unit
    return table


_NAMES = ("id", "quantity", "variation", "value", "std", "lo95", "hi95", "shift", "shift_std",
          "inside", "flag")  # fmt: skip


def _place(row: Any) -> str:
    """Name of a region, with its plane where there are several."""
    plane = f" (plane {row['plane']})" if "plane" in row.colnames else ""
    return f"{row['id']}{plane}"


def _row(where: str, value: str, name: str, row: Any, base: Any) -> dict[str, Any]:
    number, spread = float(row[value]), float(base[f"{value}_std"])
    low, high = float(base[f"{value}_lo95"]), float(base[f"{value}_hi95"])
    shift = number - float(base[value])
    with np.errstate(invalid="ignore", divide="ignore"):
        moved = float(np.divide(shift, spread)) if shift else 0.0
    ends = [float(row[f"{value}_{end}"]) for end in ("std", "lo95", "hi95")]
    judged = (shift, moved, bool(low <= number <= high), str(row["flag"]))
    return dict(zip(_NAMES, (where, value, name, number, *ends, *judged), strict=True))


def summary(table: Table) -> list[dict[str, Any]]:
    """For every variation: how far values move, over all that could be measured.

    A value that changes where the draws agreed exactly has moved infinitely far.
    """
    names = list(dict.fromkeys(table["variation"]))
    out = []
    for name in names[1:]:
        part = table[table["variation"] == name]
        known = np.isfinite(np.asarray(part["value"], float))
        known &= ~np.isnan(np.asarray(part["shift_std"], float))
        part = part[known]
        moved = np.abs(np.asarray(part["shift_std"], float))
        out.append(
            {
                "variation": name,
                "values": len(moved),
                "median": float(np.median(moved)) if len(moved) else float("nan"),
                "largest": float(moved.max()) if len(moved) else float("nan"),
                "shifted": float((moved > SHIFT).mean()) if len(moved) else float("nan"),
                "inside": float(np.mean(np.asarray(part["inside"], float)))
                if len(moved)
                else float("nan"),
            }
        )
    return out


__all__ = ["robustness", "summary"]
