#!/usr/bin/env python3
"""Writes the test vectors of the randomizer, or with --check says whether those on disk are what it would write."""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

from mechanisms import WORD, FoldedGeometric, Subset, auto_k, exp_lower

GENERATOR = "tests/reference/make_vectors.py"
VECTORS = Path(__file__).resolve().parents[2] / "randomizer" / "tests" / "vectors"

SUBSET_SIZES = (2, 3, 5, 16, 64, 256)
SUBSET_EPSILONS = ("0.1", "0.5", "1.0", "2.0", "4.0")
SUBSET_WITH_K_1 = ((5, "0.5"), (16, "1.0"), (64, "1.0"), (256, "2.0"))
LARGE_K = 20  # above it a sample takes so many words that fewer samples keep the file readable
COUNT_MAXIMA = (1, 2, 5, 20, 100, 255)
COUNT_EPSILONS = ("0.25", "1.0", "2.0", "4.0")

Case = dict[str, Any]


def exact(fraction: Fraction) -> str:
    return f"{fraction.numerator}/{fraction.denominator}"


def word_with_low_half(n: int, low: int) -> int:
    """A word w with w * n = low modulo 2^64; low must be a multiple of the power of two in n."""
    two_power = n & -n
    modulus = WORD // two_power
    return low // two_power * pow(n // two_power, -1, modulus) % modulus


def sample(draw: Callable[[int, Iterator[int]], Any], value: int, first: Iterable[int], rng: random.Random) -> Case:
    """One sample fed the words `first` and random ones after them, with exactly the words it took."""
    taken: list[int] = []

    def words() -> Iterator[int]:
        for word in chain(first, iter(lambda: rng.getrandbits(64), None)):
            taken.append(word)
            yield word

    payload = draw(value, words())
    return {"value": value, "words": [f"0x{word:016x}" for word in taken], "payload": payload}


def rejected_then_accepted(law: Subset, rng: random.Random) -> list[int] | None:
    """Words that reach the first range Lemire can reject in: the last word refused, a zero, and the first accepted."""
    words = [rng.randrange(WORD)]
    for i in range(law.k):
        n = law.d - 1 - i
        reject_below = WORD % n
        if reject_below:
            last_refused, first_accepted = reject_below - (n & -n), reject_below
            return words + [word_with_low_half(n, last_refused), 0, word_with_low_half(n, first_accepted)]
        words.append(rng.randrange(WORD))
    return None


def subset_samples(law: Subset, rng: random.Random) -> list[Case]:
    edges = [law.threshold - 1, law.threshold]
    if law.k <= LARGE_K:
        edges += [law.threshold + 1, 0, WORD - 1]
    firsts = [[word] for word in edges]
    if rejecting := rejected_then_accepted(law, rng):
        firsts.append(rejecting)
    firsts.append([WORD - 1] * (law.k + 1))
    values = [0, law.d - 1] + [rng.randrange(law.d) for _ in firsts[2:]]
    return [sample(law.sample, value, first, rng) for value, first in zip(values, firsts)]


def subset_refused(law: Subset) -> list[Case]:
    good = list(range(law.k))
    refused = [
        ("empty", []),
        ("too long", list(range(law.k + 1))),
        ("number instead of array", 0),
        ("text instead of array", "0"),
        ("out of range", good[:-1] + [law.d]),
        ("negative", [-1] + good[1:]),
        ("not an integer", good[:-1] + [law.k - 0.5]),
    ]
    if law.k > 1:
        refused += [
            ("too short", good[:-1]),
            ("not ascending", [1, 0] + good[2:]),
            ("duplicate", [0, 0] + good[2:]),
        ]
    return [{"payload": payload, "why": why} for why, payload in refused]


def subset_case(epsilon: str, d: int, k: int, best_k: int, rng: random.Random) -> Case:
    law = Subset(epsilon, d, k)
    assert law.ratio <= exp_lower(epsilon)
    return {
        "epsilon": epsilon,
        "d": d,
        "k": k,
        "auto_k": best_k,
        "threshold": str(law.threshold),
        "pi1": exact(law.pi1),
        "pi0": exact(law.pi0),
        "ratio": exact(law.ratio),
        "samples": subset_samples(law, rng),
        "refused": subset_refused(law),
    }


def subset_cases() -> Iterator[Case]:
    rng = random.Random(1)
    for d in SUBSET_SIZES:
        for epsilon in SUBSET_EPSILONS:
            best_k = auto_k(epsilon, d)
            yield subset_case(epsilon, d, best_k, best_k, rng)
            if (d, epsilon) in SUBSET_WITH_K_1 and best_k != 1:
                yield subset_case(epsilon, d, 1, best_k, rng)


def folded_samples(law: FoldedGeometric, rng: random.Random) -> list[Case]:
    samples = []
    for value in sorted({0, law.max // 2, law.max}):
        bounds = law.cumulative(value)
        near = rng.choice(bounds)
        words = [0, WORD - 1, rng.randrange(WORD), rng.randrange(WORD)]
        words += [bound + step for bound in sorted({bounds[0], near, bounds[-1]}) for step in (-1, 0, 1)]
        samples += [sample(law.sample, value, [word], rng) for word in words]
    return samples


def folded_case(epsilon: str, maximum: int, rng: random.Random) -> Case:
    law = FoldedGeometric(epsilon, maximum)
    assert law.ratio <= exp_lower(epsilon)
    refused = [
        ("out of range", maximum + 1),
        ("negative", -1),
        ("array instead of number", [0]),
        ("text instead of number", "0"),
        ("not an integer", 0.5),
        ("null", None),
    ]
    return {
        "epsilon": epsilon,
        "max": maximum,
        "alpha": str(int(law.alpha * WORD)),
        "digest": law.digest,
        "ratio": exact(law.ratio),
        "first_row": [str(weight) for weight in law.table[0]],
        "samples": folded_samples(law, rng),
        "refused": [{"payload": payload, "why": why} for why, payload in refused],
    }


def folded_cases() -> Iterator[Case]:
    rng = random.Random(2)
    for maximum in COUNT_MAXIMA:
        for epsilon in COUNT_EPSILONS:
            yield folded_case(epsilon, maximum, rng)


def render(cases: Iterable[Case]) -> str:
    """One case a line, so that a change shows as the cases it touches."""
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    return f'{{"generator":{json.dumps(GENERATOR)},"cases":[\n{lines}\n]}}\n'


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file would change")
    check = parser.parse_args().check
    stale = 0
    for name, cases in (("subset", subset_cases()), ("folded_geometric", folded_cases())):
        path, text = VECTORS / f"{name}.json", render(cases)
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
