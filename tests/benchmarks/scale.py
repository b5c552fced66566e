"""A job of 10^12 output pixels on a cluster that does not exist: how long, how many, how much.

``python tests/benchmarks/scale.py --workers 320 --rate 1.4`` plays the waves of
`sciup.engine.cluster` event by event: every worker process makes one shard at a time in a time
drawn about what ``sciup bench`` measured, dies now and then, and comes back; the scheduler hands
out one order after the other. Prints makespan, share of the ideal, scheduler load, input and
output per second, sizes of journal and orders.
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
import sys
from dataclasses import asdict, dataclass

from sciup.engine.cluster import AHEAD
from sciup.io._writer import SHARD

RECORD = 1000
"""Bytes of a journal line with seven maps and 16 blocks, measured."""
ORDER = 350
"""Bytes of an order on the wire, measured."""


@dataclass(frozen=True)
class Plan:
    """What was played."""

    pixels: float
    workers: int
    rate: float
    spread: float
    lifetime: float
    restart: float
    handling: float
    maps: int
    scale: int


@dataclass(frozen=True)
class Played:
    """What came of it; times in hours, rates in MB/s."""

    shards: int
    hours: float
    ideal_hours: float
    share_of_ideal: float
    deaths: int
    shards_lost: int
    orders_in_flight: int
    scheduler_load: float
    read: float
    written: float
    journal_mb: float
    orders_mb: float


def play(plan: Plan, seed: int = 0) -> Played:
    """Event by event: a worker is free, takes the next shard, finishes or dies."""
    rng = random.Random(seed)
    per_shard = SHARD**2 / (plan.rate * 1e6)
    shards = left = round(plan.pixels / SHARD**2)
    again = deaths = 0
    desk = 0.0  # until when the scheduler is busy
    busy = 0.0
    end = 0.0
    alive = [rng.expovariate(1 / plan.lifetime) for _ in range(plan.workers)]
    free = [(0.0, worker) for worker in range(plan.workers)]
    heapq.heapify(free)
    while left or again:
        now, worker = heapq.heappop(free)
        desk = max(desk, now) + plan.handling
        busy += plan.handling
        took = per_shard * rng.lognormvariate(-(plan.spread**2) / 2, plan.spread)
        if again:
            again -= 1
        else:
            left -= 1
        if desk + took > alive[worker]:
            deaths += 1
            again += 1
            back = max(alive[worker], desk) + plan.restart
            alive[worker] = back + rng.expovariate(1 / plan.lifetime)
            heapq.heappush(free, (back, worker))
            continue
        end = max(end, desk + took)
        heapq.heappush(free, (desk + took, worker))
    ideal = shards * per_shard / plan.workers
    made = shards + deaths
    return Played(
        shards=shards,
        hours=end / 3600,
        ideal_hours=ideal / 3600,
        share_of_ideal=ideal / end,
        deaths=deaths,
        shards_lost=deaths,
        orders_in_flight=AHEAD * plan.workers,
        scheduler_load=busy / end,
        read=4 * plan.pixels / plan.scale**2 * made / shards / end / 1e6,
        written=4 * plan.pixels * plan.maps * 4 / 3 * made / shards / end / 1e6,
        journal_mb=shards * RECORD / 1e6,
        orders_mb=made * ORDER / 1e6,
    )


def main() -> int:
    """Play one plan."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pixels", type=float, default=1e12, help="output pixels")
    parser.add_argument("--workers", type=int, default=320, help="processes")
    parser.add_argument("--rate", type=float, default=1.4, help="output Mpx/s of a process")
    parser.add_argument("--spread", type=float, default=0.2, help="of log durations")
    parser.add_argument("--lifetime", type=float, default=24 * 3600, help="mean, seconds")
    parser.add_argument("--restart", type=float, default=300, help="seconds until a worker is back")
    parser.add_argument("--handling", type=float, default=0.003, help="scheduler, s per order")
    parser.add_argument("--maps", type=int, default=6)
    parser.add_argument("--scale", type=int, default=4)
    parser.add_argument("--json", action="store_true")
    options = vars(parser.parse_args())
    as_json = options.pop("json")
    found = asdict(play(Plan(**options)))
    if as_json:
        print(json.dumps(options | found, indent=2))
        return 0
    for name, value in found.items():
        shown = f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"
        print(f"{name.replace('_', ' '):18} {shown}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
