"""Cases of the mechanisms whose report is an index: cyclotomic, window, folded geometric."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from cyclotomic import Cyclotomic, best_cyclotomic
from exact import WORD, exp_lower
from folded_geometric import FoldedGeometric
from samples import Case, exact, refused, sample, stubborn, word_for
from window import Window, best_window

CYCLOTOMIC = (
    [(d, epsilon) for d in (257, 300, 1024, 5000, 16384) for epsilon in ("0.25", "1.0", "2.0", "4.0")]
    + [(65536, epsilon) for epsilon in ("0.25", "0.5", "1.0", "2.0", "3.0", "4.0", "8.0")]
    + [(257, "8.0"), (1000, "0.1"), (2000, "6.0")]
)
# Small enough to check by hand, and parameters that nobody would choose.
CYCLOTOMIC_WITH = ((2, 2, 1, "1.0"), (5, 2, 1, "1.0"), (5, 4, 3, "0.5"), (7, 3, 2, "2.0"), (7, 6, 1, "4.0"))
CYCLOTOMIC_WITH += ((10, 5, 3, "1.0"), (13, 4, 2, "1.0"), (100, 7, 6, "0.25"), (300, 7, 3, "8.0"), (65536, 2, 1, "8.0"))

WINDOW = (2, 3, 5, 16, 51, 100, 256, 1000)
WINDOW_EPSILONS = ("0.25", "1.0", "2.0", "4.0", "8.0")
WINDOW_WITH = ((2, 1, "1.0"), (2, 4, "0.5"), (10, 1, "1.0"), (10, 20, "2.0"), (4096, 3000, "1.0"), (65536, 1, "4.0"))

COUNT_MAXIMA = (1, 2, 5, 20, 100, 255)
COUNT_EPSILONS = ("0.25", "1.0", "2.0", "4.0")
COUNTS_ABOVE_CEILING = ((1, "8.0"), (20, "8.0"), (255, "8.0"), (5, "16.0"), (100, "16.0"), (255, "16.0"))


def number_refused(outputs: int) -> list[Case]:
    return refused(
        [
            ("out of range", outputs),
            ("negative", -1),
            ("array instead of number", [0]),
            ("text instead of number", "0"),
            ("not an integer", 0.5),
            ("null", None),
        ]
    )


def two_level_samples(law: Cyclotomic | Window, ranges: list[int], rng: random.Random) -> list[Case]:
    """The coin's edges, the ends of every range, and refusals in all of them."""
    coins = [law.threshold - 1, law.threshold, law.threshold + 1, 0, WORD - 1]
    firsts = [[coin] for coin in coins]
    for coin in (0, WORD - 1):
        firsts.append([coin] + [word_for(0, n) for n in ranges])
        firsts.append([coin] + [word_for(min(1, n - 1), n) for n in ranges])
        firsts.append([coin] + [word_for(n - 1, n) for n in ranges])
        firsts.append([coin] + stubborn(ranges, rng))
    firsts += [[], [], []]
    spread = [law.d * i // (len(firsts) - 3) for i in range(1, len(firsts) - 2)]
    values = [0, law.d - 1] + [min(value, law.d - 1) for value in spread]
    return [sample(law.sample, value, first, rng) for value, first in zip(values, firsts)]


def cyclotomic_case(law: Cyclotomic, best: bool, rng: random.Random) -> Case:
    assert law.ratio <= exp_lower(law.epsilon)
    whys: list[tuple[str, Any]] = [
        ("empty", []),
        ("one index", [0]),
        ("three indices", [0, 0, 0]),
        ("j out of range", [law.e, 0]),
        ("y out of range", [0, law.K]),
        ("negative", [0, -1]),
        ("number instead of array", 0),
        ("text instead of array", "[0,0]"),
        ("not an integer", [0, 0.5]),
        ("null", None),
    ]
    return {
        "epsilon": law.epsilon,
        "d": law.d,
        "e": law.e,
        "c": law.c,
        "auto": best,
        "K": law.K,
        "g": law.g,
        "r": law.r,
        "threshold": str(law.threshold),
        "pi1": exact(law.pi1),
        "pi0": exact(law.pi0),
        "ratio": exact(law.ratio),
        "samples": two_level_samples(law, [law.e, law.r, law.K - law.r], rng),
        "refused": refused(whys),
    }


def cyclotomic_cases() -> Iterator[Case]:
    rng = random.Random(4)
    for d, epsilon in CYCLOTOMIC:
        yield cyclotomic_case(best_cyclotomic(epsilon, d), True, rng)
    for d, e, c, epsilon in CYCLOTOMIC_WITH:
        yield cyclotomic_case(Cyclotomic(epsilon, d, e, c), False, rng)


def window_case(law: Window, goal: str | None, rng: random.Random) -> Case:
    assert law.ratio <= exp_lower(law.epsilon)
    a, b = law.line
    return {
        "epsilon": law.epsilon,
        "d": law.d,
        "w": law.w,
        "goal": goal,
        "threshold": str(law.threshold),
        "a": exact(a),
        "b": exact(b),
        "ratio": exact(law.ratio),
        "samples": two_level_samples(law, [law.w, law.d - 1], rng),
        "refused": number_refused(law.K),
    }


def window_cases() -> Iterator[Case]:
    rng = random.Random(5)
    for d in WINDOW:
        for epsilon in WINDOW_EPSILONS:
            for goal in ("mean", "quantiles"):
                yield window_case(best_window(epsilon, d, goal), goal, rng)
    for d, w, epsilon in WINDOW_WITH:
        yield window_case(Window(epsilon, d, w), None, rng)


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
    return {
        "epsilon": epsilon,
        "max": maximum,
        "alpha": str(int(law.alpha * WORD)),
        "digest": law.digest,
        "ratio": exact(law.ratio),
        "first_row": [str(weight) for weight in law.table[0]],
        "samples": folded_samples(law, rng),
        "refused": number_refused(maximum + 1),
    }


def folded_cases() -> Iterator[Case]:
    rng = random.Random(2)
    for maximum in COUNT_MAXIMA:
        for epsilon in COUNT_EPSILONS:
            yield folded_case(epsilon, maximum, rng)
    for maximum, epsilon in COUNTS_ABOVE_CEILING:
        yield folded_case(epsilon, maximum, rng)
