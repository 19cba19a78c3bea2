"""How long the peers' clients take for one report. Writes JSON lines to stdout, what was left out to stderr.

Each figure is the fastest of several batches: other work on the machine slows a batch down and never speeds it up.
Building the client and compiling it (numba) are not counted.
"""

from __future__ import annotations

import json
import sys
import time
from itertools import cycle, islice

import numpy as np

from oracles import ORACLES, Randomize, seed_peers

EPSILON = 1.0
DOMAINS = (2, 16, 256, 1024, 65536)
BATCHES = 5
BATCH_S = 0.06  # long enough for the clock, short enough that all cells together stay far below three minutes
SEED = 3


def ns_per_report(randomize: Randomize, values: list[int]) -> float:
    randomize(values[0])
    started = time.perf_counter()
    randomize(values[1])
    once_s = max(time.perf_counter() - started, 1e-7)
    batch = list(islice(cycle(values), max(1, int(BATCH_S / once_s))))
    fastest_s = float("inf")
    for _ in range(BATCHES):
        started = time.perf_counter()
        for value in batch:
            randomize(value)
        fastest_s = min(fastest_s, time.perf_counter() - started)
    return fastest_s / len(batch) * 1e9


def main() -> None:
    for d in DOMAINS:
        values = np.random.default_rng(SEED).integers(d, size=4096).tolist()
        for oracle in ORACLES:
            seed_peers(SEED)
            randomize, _ = oracle.pair(d, EPSILON)
            row = {"peer": oracle.peer, "mechanism": oracle.mechanism, "d": d, "epsilon": EPSILON}
            print(json.dumps(row | {"ns_per_report": round(ns_per_report(randomize, values), 1)}), flush=True)
    print("speed: means left out: neither package has Duchi's, the piecewise or the hybrid mechanism", file=sys.stderr)


if __name__ == "__main__":
    main()
