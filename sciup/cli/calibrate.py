"""``sciup calibrate``: what the risk map of a model promises, and whether it keeps it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from sciup.cli.calibrate_tasks import TASKS, Order, Task
from sciup.cli.options import grouped
from sciup.errors import OptionError

Opt = typer.Option


@dataclass
class What:
    """What is calibrated or checked; the risk map is calibrated without any of these."""

    check: Annotated[
        bool, Opt("--check", help="do not calibrate: see what the calibration is worth on a split")
    ] = False
    stress: Annotated[
        bool, Opt("--stress", help="see what risk and badge say of fields spoilt in many ways")
    ] = False
    existence: Annotated[
        bool, Opt("--existence", help="calibrate the chances of `sciup detect` instead of the risk")
    ] = False
    measurements: Annotated[
        bool,
        Opt(
            "--measurements",
            help="calibrate the intervals of `sciup measure` instead; --check: see their coverage",
        ),
    ] = False
    known: Annotated[bool, Opt("--known", help="with --check: tell the runs PSF and noise")] = False

    def task(self) -> Task:
        """The task that these flags ask for."""
        flags = frozenset(f"--{name}" for name, on in asdict(self).items() if on)
        if "--known" in flags and not self.check:
            raise OptionError(
                "--known was given without --check",
                fix="a calibration must know no more than a user's run",
            )
        if flags not in TASKS:
            raise OptionError(
                f"{', '.join(sorted(flags))} were given together",
                "one of them, or --check with --measurements or --known",
            )
        return TASKS[flags]


@dataclass
class Fields:
    """Which fields of known truth, and how runs on them draw."""

    limit: Annotated[
        float, Opt("--limit", help="with --existence: S/N of the faintest source that counts")
    ] = 5.0
    split: Annotated[
        str | None,
        Opt("--split", help="of MANIFEST.tsv; default: calibrate; with --check, --stress: test"),
    ] = None
    scenes: Annotated[
        Path | None, Opt("--scenes", help="night sky: pack of rendered scenes (.npy with .json)")
    ] = None
    every: Annotated[int, Opt("--every", help="take every n-th image", min=1)] = 1
    samples: Annotated[
        int | None, Opt("--samples", help="voting samples; default: 16, --existence: 64", min=4)
    ] = None
    seed: Annotated[int, Opt("--seed", help="of draws and folds", min=0)] = 0
    precision: Annotated[str, Opt("--precision", help="auto, fp32 or bf16")] = "auto"


@grouped
def calibrate(
    model: Annotated[str, typer.Argument(help="model name or folder", metavar="MODEL")],
    data: Annotated[
        Path,
        typer.Argument(
            help="folder of images, with MANIFEST.tsv or without; night sky: GalSim COSMOS folder",
            metavar="DATA",
        ),
    ],
    what: What,
    fields: Fields,
    out: Annotated[
        Path, Opt("--out", help="folder for evidence and tables; a stopped run goes on from it")
    ] = Path("calibration"),
) -> None:
    """Learn from fields of known truth how often MODEL is wrong, and certify it.

    Every image is made coarse and noisy and restored; the instrument is estimated by the program,
    as in use. One part of the independent units shapes the risk map, the other certifies it. The
    result is calibration.json in the folder of the model; with --existence it is existence.json,
    how often what `sciup detect` finds in draws is true; with --measurements it is
    measurements.json, how far off the values of `sciup measure` are.

    [bold]Examples[/bold]

      sciup calibrate fluorescence-x4 microscopy --out calibration

      sciup calibrate fluorescence-x4 microscopy --check --out check

      sciup calibrate fluorescence-x4 microscopy --stress --every 6 --out stress

      sciup calibrate night-sky-x2 cosmos_galsim --scenes sky_calibrate.npy

      sciup calibrate fluorescence-x4 microscopy --existence --limit 5 --out existence

      sciup calibrate night-sky-x2 cosmos_galsim --scenes sky_calibrate.npy --measurements
    """
    from sciup.calibrate.fields import Source
    from sciup.generators.facts import ModelFacts
    from sciup.resources import find_model

    task, f = what.task(), fields
    facts, number = ModelFacts.read(find_model(model)), f.samples or task.samples
    source = Source(facts, data, f.scenes, number, f.every, f.precision, f.seed)
    task.run(Order(source, out, f.split or task.split, f.limit))
