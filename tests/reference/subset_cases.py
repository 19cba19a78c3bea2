"""Cases of the subset mechanism: values and sets."""

from __future__ import annotations

import random
from collections.abc import Iterator

from exact import WORD, exp_lower
from samples import Case, exact, refusals, refused, sample, stubborn
from subset import Sets, Subset, auto_k, best_sets

SIZES = (2, 3, 5, 16, 64, 256)
EPSILONS = ("0.1", "0.5", "1.0", "2.0", "4.0")
WITH_K_1 = ((5, "0.5"), (16, "1.0"), (64, "1.0"), (256, "2.0"))
ABOVE_CEILING = ((2, "8.0"), (16, "8.0"), (256, "8.0"), (3, "16.0"), (256, "16.0"))
RANDOMIZED_RESPONSE = ((257, "4.0"), (1024, "8.0"), (16384, "16.0"))  # above 256 values only k = 1 is offered
LARGE_K = 20  # above it a sample takes so many words that fewer samples keep the file readable

SET_SIZES = ((2, 1), (2, 2), (5, 1), (5, 3), (5, 5), (20, 4), (60, 60), (100, 10), (500, 16))
SET_EPSILONS = ("0.25", "1.0", "2.0", "4.0", "8.0")
# One possible size (W = 1), every k-subset meets all or nothing, k above m, dummies in most reports, k at its ceiling.
SETS_WITH_K = ((5, 1, "1.0", 1), (5, 3, "0.5", 5), (30, 4, "2.0", 9), (3, 3, "1.0", 3), (448, 2, "1.0", 448))
SETS_AT_CEILING = ((3000, 1, "0.25"),)


def rejected_then_accepted(law: Subset, rng: random.Random) -> list[int] | None:
    """Words that reach the first range Lemire can reject in, and are refused there."""
    words = [rng.randrange(WORD)]
    for i in range(law.k):
        if unwanted := refusals(law.d - 1 - i):
            return words + unwanted
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


def lists_refused(indices: int, k: int) -> list[Case]:
    good = list(range(k))
    whys = [
        ("empty", []),
        ("too long", list(range(k + 1))),
        ("number instead of array", 0),
        ("text instead of array", "0"),
        ("out of range", good[:-1] + [indices]),
        ("negative", [-1] + good[1:]),
        ("not an integer", good[:-1] + [k - 0.5]),
    ]
    if k > 1:
        whys += [
            ("too short", good[:-1]),
            ("not ascending", [1, 0] + good[2:]),
            ("duplicate", [0, 0] + good[2:]),
        ]
    return refused(whys)


def subset_case(epsilon: str, d: int, k: int, best_k: int | None, rng: random.Random) -> Case:
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
        "refused": lists_refused(d, k),
    }


def subset_cases() -> Iterator[Case]:
    rng = random.Random(1)
    for d in SIZES:
        for epsilon in EPSILONS:
            best_k = auto_k(epsilon, d)
            yield subset_case(epsilon, d, best_k, best_k, rng)
            if (d, epsilon) in WITH_K_1 and best_k != 1:
                yield subset_case(epsilon, d, 1, best_k, rng)
    for d, epsilon in ABOVE_CEILING:
        best_k = auto_k(epsilon, d)
        yield subset_case(epsilon, d, best_k, best_k, rng)
    for d, epsilon in RANDOMIZED_RESPONSE:
        yield subset_case(epsilon, d, 1, None, rng)


def ascending(law: Sets, length: int, rng: random.Random) -> list[int]:
    return sorted(rng.sample(range(law.d), length))


def size_words(law: Sets, u: int, rng: random.Random) -> list[int]:
    """Words that are read as the integer u, with random bits above those that count."""
    drawn = u + (rng.getrandbits(64 * law.size_words) >> law.size_bits << law.size_bits)
    return [drawn >> (64 * i) & (WORD - 1) for i in range(law.size_words)]


def sets_samples(law: Sets, rng: random.Random) -> list[Case]:
    def reduction(length: int) -> list[int]:
        return [max(length - i, 1) for i in range(law.m)]

    def others(count: int) -> list[int]:
        return [rng.getrandbits(64) for _ in range(count)]

    few = law.k > LARGE_K
    longer = min(law.d, law.m + 1 + rng.randrange(law.m + 3))
    lengths = [longer, 0, law.m, min(1, law.m), law.d if law.d <= 4 * law.m else longer, rng.randrange(law.m + 1)]
    coins = [law.threshold - 1, law.threshold, law.threshold + 1, 0, WORD - 1]
    plans = [(length, others(law.m) + [coin]) for length, coin in zip(lengths, coins)][: 2 if few else None]
    # The integer that decides the size: its ends, the steps between sizes, and refused attempts before it.
    steps = sorted({0, law.law.inside - 1, *law.cumulative[:1], *law.cumulative[-2:-1]})
    integers = sorted({u for step in steps for u in (step - 1, step) if 0 <= u < law.law.inside})
    for u in integers[:: len(integers) if few else 1]:
        plans.append((rng.choice(lengths), others(law.m) + [0] + size_words(law, u, rng)))
    refuse_size = []
    if law.law.inside < 1 << law.size_bits:
        refuse_size = size_words(law, law.law.inside, rng) + [WORD - 1] * law.size_words
    accepted = size_words(law, rng.randrange(law.law.inside), rng)
    members = [law.m - i for i in range(law.largest_overlap)]
    strangers = [law.d - i for i in range(law.k)]
    for length, coin in ((longer, 0), (law.m, WORD - 1))[: 1 if few else 2]:
        before = stubborn(reduction(length), rng) + [coin] + refuse_size + accepted
        plans.append((length, before + stubborn(members, rng) + stubborn(strangers, rng)))
    return [sample(law.sample, ascending(law, length, rng), first, rng) for length, first in plans]


def sets_case(law: Sets, best: bool, rng: random.Random) -> Case:
    assert law.ratio <= exp_lower(law.epsilon)
    return {
        "epsilon": law.epsilon,
        "d": law.d,
        "m": law.m,
        "k": law.k,
        "auto": best,
        "threshold": str(law.threshold),
        "pi1": exact(law.pi1),
        "pi0": exact(law.pi0),
        "ratio": exact(law.ratio),
        "samples": sets_samples(law, rng),
        "refused": lists_refused(law.size, law.k),
    }


def sets_cases() -> Iterator[Case]:
    rng = random.Random(3)
    bests = [(d, m, epsilon) for d, m in SET_SIZES for epsilon in SET_EPSILONS]
    for d, m, epsilon in (*bests, *SETS_AT_CEILING):
        yield sets_case(best_sets(epsilon, d, m), True, rng)
    for d, m, epsilon, k in SETS_WITH_K:
        yield sets_case(law := Sets(epsilon, d, m, k), law == best_sets(epsilon, d, m), rng)
