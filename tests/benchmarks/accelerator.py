"""Throughput of a GPU (or of CPUs), and what share of the machine the networks use.

``python tests/benchmarks/accelerator.py --device cuda`` prints, for every model and for 1 and 16
draws,

- output Mpx/s of the networks alone and of all maps, memory to memory (150 at 4x with 16 draws is
  the aim on a GPU);
- the multiplications of the network per second as a share of what one large matrix product
  reaches, and the bytes that its layers read and write, each once, as a share of what a large copy
  reaches. A layer that is fused with another moves less, so this share may exceed 1;
- the largest difference between the network on overlapping windows and on all of them at once, in
  units of the last place of bf16 of the largest value (at most 1 is allowed on a GPU, 0 on a CPU).

``--device cpu`` runs the same.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from sciup.bench import measure
from sciup.engine.margins import CORE, halo_of
from sciup.engine.settings import choose_device, choose_precision
from sciup.generators.fused import fuse, rounded
from sciup.generators.registry import ModelFacts, load_generator
from sciup.generators.spec import PLANES
from sciup.resources import find_model

MATRIX, COPY = {"cuda": 8192, "cpu": 2048}, {"cuda": 1 << 30, "cpu": 1 << 26}
"""Side of the product, and bytes of the copy, that tell what the machine can do."""


def best(action: Callable[[], Any], device: str, repeats: int = 5) -> float:
    """Seconds of the quickest of several calls."""
    times = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        action()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return min(times[1:])


def machine(device: str, dtype: torch.dtype) -> tuple[float, float]:
    """Operations per second of a matrix product, and bytes per second of a copy (both ways)."""
    n, count = MATRIX[device], COPY[device]
    a, b = (torch.randn(n, n, device=device, dtype=dtype) for _ in range(2))
    rate = 2 * n**3 / best(lambda: a @ b, device)
    source = torch.empty(count, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return rate, 2 * count / best(lambda: target.copy_(source), device)


def inputs(net: Any, extra: int, device: str, dtype: torch.dtype) -> tuple[Any, Any]:
    """Planes and noise of a window that is so many pixels wider than usual."""
    spec = net.spec
    side = CORE + 2 * halo_of(net) - 2 + extra
    inner = side - 2 * (spec.margin - net.head_margin)
    made = torch.Generator().manual_seed(0)
    planes = torch.rand((1, len(PLANES), side, side), generator=made)
    noise = torch.randn((1, spec.fine_noise + 1, inner, inner), generator=made)
    return tuple(x.to(device, dtype).to(memory_format=torch.channels_last) for x in (planes, noise))


@torch.inference_mode()
def work(folder: Any) -> dict[str, tuple[float, float]]:
    """Operations and bytes of trunk and head for one window; bytes for numbers of two bytes."""
    net = load_generator(folder)
    moved = [0]

    def count(module: Any, given: Any, made: Any) -> None:
        tensors = [t for t in (*given, made) if isinstance(t, torch.Tensor)]
        moved[0] += 2 * sum(t.numel() for t in tensors)

    for module in net.modules():
        if not list(module.children()):
            module.register_forward_hook(count)
    planes, noise = inputs(net, 0, "cpu", torch.float32)
    out = {}
    with FlopCounterMode(display=False) as flops:
        features = net.encode(planes)
    out["trunk"] = float(flops.get_total_flops()), float(moved[0])
    moved[0] = 0
    with FlopCounterMode(display=False) as flops:
        net.draw(features, noise)
    out["head"] = float(flops.get_total_flops()), float(moved[0])
    return out


@torch.inference_mode()
def seam(folder: Any, device: str, dtype: torch.dtype) -> float:
    """Windows against all at once, in last places of bf16 of the largest value."""
    net = fuse(load_generator(folder))
    net = (rounded(net) if dtype == torch.bfloat16 else net).to(device)
    planes, noise = inputs(net, CORE, device, dtype)
    whole = net.draw(net.encode(planes), noise)
    side, inner = (x.shape[-1] - CORE for x in (planes, noise))
    made = net.spec.scale * (side - 2 * net.spec.margin)
    worst = 0.0
    for y in (0, CORE):
        for x in (0, CORE):
            part = net.draw(
                net.encode(planes[..., y : y + side, x : x + side]),
                noise[..., y : y + inner, x : x + inner],
            )
            top, left = net.spec.scale * y, net.spec.scale * x
            same = whole[..., top : top + made, left : left + made]
            worst = max(worst, float((part.float() - same.float()).abs().max()))
    return worst / (float(whole.float().abs().max()) * 2**-8)


def one(name: str, samples: int, options: Any, limits: tuple[float, float]) -> dict[str, Any]:
    """All figures of one model with so many draws."""
    facts = ModelFacts.read(find_model(name))
    steps = {
        step.name: step
        for step in measure(
            facts, samples=samples, side=options.side, precision=options.precision,
            device=options.device, threads=options.threads,
        )
    }  # fmt: skip
    windows = (options.side / CORE) ** 2
    (f0, b0), (f1, b1) = (work(facts.folder)[part] for part in ("trunk", "head"))
    width = 1 if options.precision == "bf16" else 2  # times two bytes
    draws, seconds = samples + 1, steps["forward"].seconds
    return {
        "model": name,
        "samples": samples,
        "forward_mpx_s": steps["forward"].rate,
        "maps_mpx_s": steps["maps"].rate,
        "matrix_share": windows * (f0 + draws * f1) / seconds / limits[0],
        "bandwidth_share": windows * width * (b0 + draws * b1) / seconds / limits[1],
    }


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--precision", default="auto", choices=["auto", "bf16", "fp32"])
    parser.add_argument("--models", nargs="+", default=["fluorescence-x2", "fluorescence-x4"])
    parser.add_argument("--samples", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--side", type=int, default=1024, help="input px, a multiple of 128")
    parser.add_argument("--threads", type=int, default=None, help="windows at a time")
    options = parser.parse_args()
    options.device = choose_device(options.device)
    options.precision = choose_precision(options.precision, options.device)
    dtype = torch.bfloat16 if options.precision == "bf16" else torch.float32
    limits = machine(options.device, dtype)
    where = torch.cuda.get_device_name() if options.device == "cuda" else "CPU"
    print(
        f"{where}, {options.precision}: matrix product {limits[0] / 1e12:.3g} Tflop/s,"
        f" copy {limits[1] / 1e9:.3g} GB/s"
    )
    rows = []
    for name in options.models:
        error = seam(ModelFacts.read(find_model(name)).folder, options.device, dtype)
        for samples in options.samples:
            row = one(name, samples, options, limits) | {"seam_bf16_ulp": error}
            rows.append(row)
            print(
                f"{name}, {samples} + 1 draws: network {row['forward_mpx_s']:.3g}, all maps"
                f" {row['maps_mpx_s']:.3g} output Mpx/s; network uses {row['matrix_share']:.0%} of"
                f" the matrix rate, {row['bandwidth_share']:.0%} of the bandwidth; seam"
                f" {error:.2g} ulp",
                flush=True,
            )
    print(json.dumps({"device": where, "precision": options.precision, "rows": rows}))
    allowed = 1.0 if options.device == "cuda" else 0.0
    return int(any(row["seam_bf16_ulp"] > allowed for row in rows))


if __name__ == "__main__":
    sys.exit(main())
