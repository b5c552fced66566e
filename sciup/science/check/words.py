"""What a check means, in plain words, and its picture."""

from __future__ import annotations

from pathlib import Path

from sciup.science.check.run import Check

NEAR = 0.1
"""A deviation that is 1 within this is called right."""


def verdict(found: Check) -> list[str]:
    """Sentences about a check.

    Parameters
    ----------
    found : Check
    """
    f = found.fit
    out = []
    off = abs(f.gain - 1) > 3 * f.gain_error and abs(f.gain - 1) > 0.01
    if off:
        out.append(
            f"The other image is {f.gain:.3f} +- {f.gain_error:.3f} times as bright: another"
            " exposure, or flux that was lost or made. What follows is after that factor."
        )
    for row in found.rows:
        size = "pixels" if row["side"] == 1 else f"means over {row['side']} x {row['side']} px"
        d = row["deviation"]
        if d > 1 + NEAR:
            out.append(f"{size}: differences are {d:.2f} times what noise and draws allow.")
        elif d < 1 - NEAR:
            out.append(f"{size}: differences are only {d:.2f} of what is allowed: cautious.")
        else:
            out.append(f"{size}: differences are as large as they should be ({d:.2f}).")
    if found.kind == "repeat":
        out.append("A repeat at the input's resolution says nothing about finer detail.")
    return out


def draw(found: Check, path: Path) -> None:
    """Ours, the other image, and the difference in units of what it should be, as PNG."""
    import numpy as np
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.5, 3.9), layout="constrained")
    axes = figure.subplots(1, 3)
    other = found.pictures["other"]
    level = np.nanmedian(other)
    width = 1.4826 * float(np.nanmedian(np.abs(other - level))) or 1.0
    images = {n: found.pictures[n] for n in ("ours", "other")}
    if found.night_sky:
        images = {n: np.arcsinh((image - level) / (3 * width)) for n, image in images.items()}
    low, high = np.nanpercentile(images["other"], [1, 99.7])
    for ax, image in zip(axes, images.values(), strict=False):
        ax.imshow(image, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
    shown = axes[2].imshow(
        found.pictures["z"], cmap="RdBu_r", vmin=-4, vmax=4, interpolation="nearest"
    )
    figure.colorbar(shown, ax=axes[2], shrink=0.9)
    words = {"repeat": "predicted, mean of draws", "reference": "mean of draws"}
    titles = (words[found.kind], found.kind, "difference / expected")
    for ax, title in zip(axes, titles, strict=True):
        ax.set_title(title, fontsize=10)
        ax.set_xticks([])
        ax.set_yticks([])
    figure.savefig(path, dpi=120, metadata={"Software": None})


__all__ = ["draw", "verdict"]
