#!/usr/bin/env python3
"""Writes the test vectors of the randomizer, or with --check says whether those on disk are what it would write."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from choice import auto, family, parameters
from index_cases import cyclotomic_cases, folded_cases, window_cases
from samples import Case
from subset_cases import sets_cases, subset_cases

GENERATOR = "tests/reference/make_vectors.py"
VECTORS = Path(__file__).resolve().parents[2] / "randomizer" / "tests" / "vectors"

CHOICE_EPSILONS = ("0.1", "0.25", "0.5", "1.0", "2.0", "3.0", "4.0", "8.0", "16.0")
CHOICE_DOMAINS = (
    [("boolean", 2, None, None)]
    + [("categorical", d, None, None) for d in (2, 3, 5, 8, 16, 50, 128, 256, 257, 300, 1024, 5000, 16384)]
    + [("set", d, m, None) for d, m in ((2, 1), (5, 5), (10, 3), (50, 1), (50, 5), (300, 60), (500, 16), (5000, 4))]
    + [("ordered", d, None, goal) for d in (2, 3, 8, 50, 101, 1000) for goal in ("mean", "quantiles")]
    + [("count", d, None, None) for d in (2, 3, 6, 11, 51, 101, 256)]
)


def choice_cases() -> Iterator[Case]:
    for kind, d, m, goal in CHOICE_DOMAINS:
        for epsilon in CHOICE_EPSILONS:
            chosen = auto(kind, d, m, goal, epsilon)
            yield {
                "kind": kind,
                "d": d,
                "m": m,
                "goal": goal,
                "epsilon": epsilon,
                "family": family(chosen),
                "parameters": parameters(chosen, goal),
                "counters": chosen.counters,
                "V": f"{float(chosen.variance):.11e}",
            }


def render(cases: Iterable[Case]) -> str:
    """One case a line, so that a change shows as the cases it touches."""
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    return f'{{"generator":{json.dumps(GENERATOR)},"cases":[\n{lines}\n]}}\n'


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file would change")
    check = parser.parse_args().check
    files = {
        "subset": subset_cases,
        "sets": sets_cases,
        "cyclotomic": cyclotomic_cases,
        "window": window_cases,
        "folded_geometric": folded_cases,
        "choices": choice_cases,
    }
    stale = 0
    for name, cases in files.items():
        path, text = VECTORS / f"{name}.json", render(cases())
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        if check:
            stale = 1
            print(f"{name}.json differs from what this program writes", file=sys.stderr)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return stale


if __name__ == "__main__":
    sys.exit(main())
