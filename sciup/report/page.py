"""The sections of the page, in their order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from sciup.engine.channels import COMPARED, channel_rows
from sciup.report import curves, html, plots, words
from sciup.report.cutout import Cutout
from sciup.report.drawing import uri
from sciup.report.places import COLUMNS
from sciup.report.survey import Survey
from sciup.results.finished import Finished
from sciup.risk.calibration import Calibration
from sciup.risk.words import percent, sentence
from sciup.show import UNITS


@dataclass(frozen=True)
class Content:
    """Everything that the page shows.

    Attributes
    ----------
    done : Finished
    found : Survey
    cutout : Cutout
    calibration : Calibration or str
        Or why there is none.
    rows : list of dict
        Places where more exposure would help.
    files : tuple of str
        Names of what lies beside the page.
    """

    done: Finished
    found: Survey
    cutout: Cutout
    calibration: Calibration | str
    rows: list[dict[str, Any]]
    files: tuple[str, ...]

    @property
    def verdict(self) -> words.Verdict:
        """What stands on top."""
        return words.judge(self.done)

    @property
    def region(self) -> str:
        """The region that is shown, as ``--roi`` takes it."""
        (y0, x0), (y1, x1) = self.cutout.region.start, self.cutout.region.stop
        return f"{y0}:{y1},{x0}:{x1}"


def render(c: Content) -> str:
    """The page."""
    sections: tuple[tuple[str, Callable[[Content], list[str]]], ...] = (
        ("What went in", _input),
        ("Three samples, not selected", _samples),
        ("Risk", _risk),
        ("Residual", _residual),
        ("PSF", _psf),
        ("Calibration of the model", _calibration),
        ("How to read this", lambda _: [html.bullets(words.READING)]),
        ("Methods, to paste", lambda c: [html.copyable(words.methods(c.done, c.found))]),
        ("Where more exposure would help most", _places),
    )
    v = c.verdict
    title = f"Report of {c.done.path.name}"
    body = [html.heading(title, 1), html.verdict(v.mood, v.headline, v.details)]
    for name, make in sections:
        body += [html.heading(name), *make(c)]
    return html.page(title, body)


def _bare(text: str) -> str:
    """A reason without its full stop."""
    return text.rstrip(". ")


def _input(c: Content) -> list[str]:
    done, facts = c.done, c.done.facts
    prints, pixel = facts["fingerprint"], done.pixel
    (y0, x0), (y1, x1) = done.region.start, done.region.stop
    rows = [
        ("input", facts["source"]),
        ("shape", f"{' x '.join(map(str, prints['shape']))} ({done.image.axes})"),
        ("region", f"{y0}:{y1},{x0}:{x1} input px"),
        ("pixel size", f"{pixel[0]:.5g} {pixel[1]}" if pixel else "not known"),
        ("unit", done.image.unit or "no unit in the file"),
        ("values", facts.get("values", "")),
        ("model", f"{facts['model']}, {done.scale}x"),
        ("weights", facts["weights"]),
        ("samples", f"{facts['samples']} voting, 1 delivered"),
        ("seed", facts["seed"]),
        ("tolerance", f"{done.tolerance} ({done.tolerance.words})"),
        ("made", f"{facts.get('created', '?')}, sciup {facts.get('sciup', '?')},"
                 f" {facts.get('device', '?')}, {done.settings['precision']}"),
    ]  # fmt: skip
    many = len(done.instruments)
    instrument = [
        (name, value, UNITS.get(name, ""), origin, note)
        for name, value, origin, note in done.instruments[0].rows()
    ]
    return [
        html.table((), rows),
        html.paragraph("Assumed instrument" + (f", of the first of {many} planes" * (many > 1))),
        html.table(("", "value", "unit", "origin", "how"), instrument),
        *_channels(done),
    ]


def _channels(done: Finished) -> list[str]:
    """What was assumed of every channel, where there are several."""
    models = [told["model"] for told in done.facts.get("models", ())]
    rows = channel_rows(done.facts.get("channels", ()), done.instruments, models)
    if not rows:
        return []
    return [
        html.paragraph("Channels, each in its first plane"),
        html.table(("channel", *COMPARED.values(), *(["model"] if models else [])), rows),
    ]


def _samples(c: Content) -> list[str]:
    maps, cutout = c.cutout.maps, c.cutout
    if not any(name in maps for name in ("input", "mean", "sample_0")):
        return [html.paragraph("Neither samples nor the mean are stored with this result.")]
    plane = " of the first plane" if len(c.done.planes) > 1 else ""
    caption = (
        f"Input pixels {c.region}{plane}, all at one stretch. The region is the middle of the"
        " result unless --roi asks for another; samples 0, 1 and 2 are always the first ones."
    )
    out = [html.picture(uri(plots.samples(c.done, cutout)), caption)]
    if cutout.problem:
        out.append(
            html.paragraph(f"Only what is stored is shown: {_bare(cutout.problem)}.", "quiet")
        )
    if cutout.drawn:
        listed = ", ".join(map(str, cutout.drawn))
        out.append(
            html.paragraph(f"Drawn again from input, seed and model: sample {listed}.", "quiet")
        )
    if cutout.agreement is not None:
        out.append(
            html.paragraph(
                f"Sample 0, drawn again as a check, differs from the stored one by at most"
                f" {cutout.agreement:.2g} sigma of the background noise.",
                "quiet",
            )
        )
    return out


def _risk(c: Content) -> list[str]:
    done = c.done
    out = [html.paragraph(f"Event: {done.facts['risk'].get('event', '')}.")]
    out += [html.paragraph(line) for line in words.shares(done, c.found)]
    if done.risk_map is None:
        return out
    grey = " Grey: no bound, or no data." if "risk_bound" in done.maps else ""
    out += [
        html.picture(
            uri(plots.overview(done, c.found, c.cutout)),
            f"The whole plane as means over {c.found.factor} x {c.found.factor} output px; the"
            f" frame is the region shown below. Scale of the risk: 0 to 1, always.{grey}",
        ),
        html.picture(uri(plots.risk(done, c.cutout)), f"Input pixels {c.region}.{grey}"),
    ]
    return out + _bins(c)


def _bins(c: Content) -> list[str]:
    """Bins of the risk, with what is certified of each."""
    found, risk = c.found, c.done.facts["risk"]
    ends = (0.0, *found.edges, 1.0)
    ranges = [f"{a:.3g} to {b:.3g}" for a, b in pairwise(ends)]
    share = [f"{100 * found.share(n):.2f} %" for n in found.binned]
    if c.done.risk_map != "risk":
        rows = list(zip(ranges, share, strict=True))
        return [html.table(("raw vote", "pixels of this image"), rows)]
    bounds = [float("nan") if b is None else float(b) for b in risk["bounds"]]
    table = html.table(
        ("risk", "pixels of this image", "certified: wrong at most"),
        list(zip(ranges, share, map(percent, bounds), strict=True)),
    )
    if "models" in risk:
        return [table, html.paragraph("Channels have models of their own: no bound holds for all.")]
    delta = float(risk["delta"])
    useful = [i for i, b in enumerate(bounds) if b < 1]
    example = useful[int(np.argmax([found.binned[i] for i in useful]))] if useful else 0
    return [
        table,
        html.paragraph(f"For example, risk {ranges[example]}: {sentence(bounds[example], delta)}"),
    ]


def _residual(c: Content) -> list[str]:
    values = c.cutout.maps.get("residual")
    if values is None or not np.isfinite(values).any():
        why = c.cutout.problem or "the mean is not stored, or has no data in this region"
        return [html.paragraph(f"Not shown: {_bare(why)}.")]
    known = values[np.isfinite(values)]
    text = (
        f"Residual (y - A x) / sigma of the mean x, input pixels {c.region}: mean"
        f" {known.mean():+.3f}, standard deviation {known.std():.3f}; near 0 and 1 where PSF and"
        " noise are as stated. Below 1 the mean follows some of the noise; structure in the map"
        " means that PSF, noise or background are not as stated. Grey: no data, or the PSF reaches"
        " beyond the result."
    )
    note = (
        "Consistency with the input is no evidence for resolution: every sample is made to agree"
        " with the input, a wrong one too."
    )
    return [
        html.picture(uri(plots.residual(c.done, c.cutout)), text),
        html.paragraph(note),
    ]


def _psf(c: Content) -> list[str]:
    plane = " of the first plane" if len(c.done.planes) > 1 else ""
    caption = (
        f"PSF of the input{plane} as the run believed it, before integration over its pixels (a"
        " measured image as it is, in its own pixels), and the declared Gaussian PSF of the output,"
        " at the"
        " same scale. Sources that are sharper than the output PSF are shown at its width."
    )
    return [html.picture(uri(curves.psfs(c.done)), caption)]


def _calibration(c: Content) -> list[str]:
    if isinstance(c.calibration, str):
        return [html.paragraph(f"Not shown: {_bare(c.calibration)}.")]
    promise = c.calibration.promise("sample", c.done.tolerance)
    if promise is None:
        return [html.paragraph(f"Not shown: there is none for {c.done.tolerance}.")]
    about = c.calibration.about
    caption = (
        f"Fitted on one part of {about.get('units', '?')} independent fields ({about.get('data')}),"
        f" certified on the other. Left: what a score of the draws means, by local"
        " S/N. Right: the certified bound of every bin of the risk."
    )
    return [html.picture(uri(curves.calibration(promise)), caption)]


def _places(c: Content) -> list[str]:
    out = [html.paragraph(words.exposure(c.found))]
    if c.rows:
        used = [n for n in COLUMNS if any(str(row[n]) for row in c.rows)]
        out.append(html.table(used, [[row[n] for n in used] for row in c.rows]))
    return [*out, html.paragraph(f"Beside this page: {', '.join(c.files)}.", "quiet")]
