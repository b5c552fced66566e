"""``python -m sciup.train PACKED --out RUN``: training with torch, numpy and safetensors alone."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from sciup.errors import OptionError, SciupError


def main(arguments: list[str] | None = None) -> int:
    """Train what `sciup pack` packed; returns the exit code: 0, 2 (refused), 75 (interrupted)."""
    options = _parse(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    log = logging.getLogger("sciup")
    log.setLevel(logging.INFO)
    try:
        from sciup.train.loop import Settings, train  # may find torch too old
        from sciup.train.pack import Pack

        device = _device(options.device)
        workers = options.workers
        if workers is None:
            workers = min(16, (os.cpu_count() or 1) - 1) if device == "cuda" else 0
        pack = Pack.load(options.packed).with_batch(options.batch)
        settings = Settings(minutes=options.minutes, device=device, workers=workers)
        weights = train(pack, options.out, settings)
    except SciupError as error:
        log.error("%s: %s", type(error).__name__, error)
        return error.exit_code
    log.info("weights: %s", weights)
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sciup.train", description=__doc__)
    parser.add_argument("packed", type=Path, help="file of `sciup pack`")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--minutes", type=float, help="stop (resumable) after this")
    parser.add_argument("--workers", type=int, help="processes that make batches")
    parser.add_argument("--batch", type=int, help="crops per step; default: the recipe's")
    return parser.parse_args(arguments)


def _device(wanted: str) -> str:
    import torch

    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise OptionError("--device cuda, but torch sees no GPU", "cpu or auto")
    return "cuda" if there and wanted != "cpu" else "cpu"


if __name__ == "__main__":
    sys.exit(main())
