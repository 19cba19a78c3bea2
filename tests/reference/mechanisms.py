"""A second implementation of two mechanisms, in integers and fractions only.

Written from the specification, not from the Rust code, so that a mistake would have to be made twice to go unseen.
Words are uniform integers below 2^64. `words` arguments are iterators; a sampler takes exactly the words it needs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

WORD = 1 << 64
EXP_SCALE = 1 << 128
ALPHA_NUDGE = 1 << 14  # alpha is raised by 2^-50: towards more noise, and room for the flooring of the weights


def exp_enclosure(x: Fraction, terms: int) -> tuple[Fraction, Fraction]:
    """Bounds on e^x for x >= 0 from `terms` terms of the Taylor series; needs terms >= 2x."""
    if x < 0 or terms < 2 * x:
        raise ValueError(f"{terms} terms do not bound e^{x}")
    total, term = Fraction(0), Fraction(1)
    for n in range(1, terms + 1):
        total += term
        term = term * x / n
    # From here on every term is at most half the one before, so the tail is at most twice its first term.
    return total, total + 2 * term


def floor_exp(x: Fraction, scale: int) -> int:
    """floor(scale * e^x) for any rational x."""
    terms = max(16, 2 * -(-abs(x).numerator // x.denominator))
    while True:
        low, high = exp_enclosure(abs(x), terms)
        if x < 0:
            low, high = 1 / high, 1 / low
        if (floor := scale * low // 1) == scale * high // 1:
            return int(floor)
        terms *= 2


def exp_lower(epsilon: str) -> Fraction:
    """E_lo: e^epsilon rounded down to a multiple of 2^-128."""
    return Fraction(floor_exp(Fraction(epsilon), EXP_SCALE), EXP_SCALE)


def bounded(n: int, words: Iterator[int]) -> int:
    """A uniform integer below n by Lemire's multiplication with rejection."""
    product = next(words) * n
    if product % WORD < n:
        reject_below = (WORD - n) % n
        while product % WORD < reject_below:
            product = next(words) * n
    return product // WORD


@dataclass(frozen=True)
class Subset:
    """Reports are k-subsets of d values; the subsets that hold the truth are E times as likely as the others."""

    epsilon: str
    d: int
    k: int

    @cached_property
    def threshold(self) -> int:
        weight = exp_lower(self.epsilon) * self.k
        return int(WORD * weight / (self.d - self.k + weight) // 1)

    @property
    def pi1(self) -> Fraction:
        """Chance that a report holds the true value."""
        return Fraction(self.threshold, WORD)

    @property
    def pi0(self) -> Fraction:
        """Chance that a report holds one given value that is not the true one."""
        return (self.pi1 * (self.k - 1) + (1 - self.pi1) * self.k) / (self.d - 1)

    @property
    def ratio(self) -> Fraction:
        """The largest likelihood ratio of one report between two truths."""
        return Fraction(self.threshold * (self.d - self.k), self.k * (WORD - self.threshold))

    @property
    def variance(self) -> Fraction:
        """Variance of a share times the number of reports, averaged over values."""
        noise = self.pi1 * (1 - self.pi1) + (self.d - 1) * self.pi0 * (1 - self.pi0)
        return noise / (self.d * (self.pi1 - self.pi0) ** 2)

    def sample(self, value: int, words: Iterator[int]) -> list[int]:
        inside = next(words) < self.threshold
        others = list(range(self.d - 1))
        for i in range(self.k):
            j = i + bounded(self.d - 1 - i, words)
            others[i], others[j] = others[j], others[i]
        chosen = [other + (other >= value) for other in others[: self.k]]
        if inside:
            chosen[-1] = value
        return sorted(chosen)


def auto_k(epsilon: str, d: int) -> int:
    """The subset size of least variance, the smaller one of equals."""
    return min(range(1, max(1, d // 2) + 1), key=lambda k: (Subset(epsilon, d, k).variance, k))


@dataclass(frozen=True)
class FoldedGeometric:
    """Counts 0..C with two-sided geometric noise; what would fall outside lands on the nearer end."""

    epsilon: str
    max: int

    @cached_property
    def alpha(self) -> Fraction:
        decay = floor_exp(-Fraction(self.epsilon) / self.max, WORD)
        return Fraction(decay + ALPHA_NUDGE, WORD)

    @cached_property
    def table(self) -> list[list[int]]:
        """table[x][y]: how many of the 2^64 words turn the truth x into the report y."""
        powers = [self.alpha**n for n in range(self.max + 1)]
        end = [int(WORD * power / (1 + self.alpha) // 1) for power in powers]
        inner = [int(WORD * power * (1 - self.alpha) / (1 + self.alpha) // 1) for power in powers]
        rows = []
        for x in range(self.max + 1):
            row = [inner[abs(y - x)] for y in range(self.max + 1)]
            row[0], row[self.max] = end[x], end[self.max - x]
            row[x] += WORD - sum(row)
            rows.append(row)
        return rows

    @cached_property
    def ratio(self) -> Fraction:
        """The largest likelihood ratio of one report between two truths."""
        return max(Fraction(max(column), min(column)) for column in zip(*self.table))

    @property
    def digest(self) -> str:
        weights = b"".join(weight.to_bytes(8, "big") for row in self.table for weight in row)
        return "sha256:" + hashlib.sha256(weights).hexdigest()

    def cumulative(self, value: int) -> Sequence[int]:
        """Sums of the weights of reports 0..y, for y below C."""
        sums, total = [], 0
        for weight in self.table[value][:-1]:
            total += weight
            sums.append(total)
        return sums

    def sample(self, value: int, words: Iterator[int]) -> int:
        word = next(words)
        return sum(bound <= word for bound in self.cumulative(value))
