"""The subset mechanism: one of d values, and sets of at most m of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import accumulate
from math import comb, exp, inf

from exact import TwoLevel, bounded, least, share_variance

MAX_SET_K = 448  # a report of more indices would not fit the 4 KiB body


@dataclass(frozen=True)
class Subset:
    """Reports are k-subsets of d values; the subsets that hold the truth are E times as likely as the others."""

    epsilon: str
    d: int
    k: int

    @cached_property
    def law(self) -> TwoLevel:
        return TwoLevel(self.epsilon, self.k, self.d - self.k)

    @property
    def threshold(self) -> int:
        return self.law.threshold

    @property
    def ratio(self) -> Fraction:
        return self.law.ratio

    @property
    def pi1(self) -> Fraction:
        """Chance that a report holds the true value."""
        return self.law.p

    @property
    def pi0(self) -> Fraction:
        """Chance that a report holds one given value that is not the true one."""
        return (self.pi1 * (self.k - 1) + (1 - self.pi1) * self.k) / (self.d - 1)

    @property
    def variance(self) -> Fraction:
        return share_variance(self.d, self.pi1, self.pi1 - self.pi0)

    @property
    def counters(self) -> int:
        return self.d

    def sample(self, value: int, words: Iterator[int]) -> list[int]:
        inside = self.law.is_inside(words)
        others = list(range(self.d - 1))
        for i in range(self.k):
            j = i + bounded(self.d - 1 - i, words)
            others[i], others[j] = others[j], others[i]
        chosen = [other + (other >= value) for other in others[: self.k]]
        if inside:
            chosen[-1] = value
        return sorted(chosen)


def best_subset(epsilon: str, d: int, largest_k: int) -> Subset:
    """The subset mechanism of least variance with k up to `largest_k`, the smaller k of equals."""
    e = exp(float(epsilon))

    def approximate(k: int) -> float:
        total = d - k + e * k
        return share_variance(d, e * k / total, (e - 1) * k * (d - k) / (total * (d - 1)))

    return Subset(epsilon, d, least(range(1, largest_k + 1), approximate, lambda k: Subset(epsilon, d, k).variance))


def auto_k(epsilon: str, d: int) -> int:
    return best_subset(epsilon, d, max(1, d // 2)).k


@dataclass(frozen=True)
class Sets:
    """Truths are m-subsets of D = d + m values, the last m of them dummies that fill up smaller sets. Reports are
    k-subsets; those that meet the truth are E times as likely as the others."""

    epsilon: str
    d: int
    m: int
    k: int

    @property
    def size(self) -> int:
        """D."""
        return self.d + self.m

    @cached_property
    def law(self) -> TwoLevel:
        missing = comb(self.size - self.m, self.k)
        return TwoLevel(self.epsilon, comb(self.size, self.k) - missing, missing)

    @property
    def threshold(self) -> int:
        return self.law.threshold

    @property
    def ratio(self) -> Fraction:
        return self.law.ratio

    @property
    def pi1(self) -> Fraction:
        """Chance that a report holds one given value of the true set."""
        return self.law.p * Fraction(comb(self.size - 1, self.k - 1), self.law.inside)

    @property
    def pi0(self) -> Fraction:
        """Chance that a report holds one given value outside the true set."""
        meets = comb(self.size - 1, self.k - 1) - comb(self.size - self.m - 1, self.k - 1)
        p = self.law.p
        return p * Fraction(meets, self.law.inside) + (1 - p) * Fraction(self.k, self.size - self.m)

    @property
    def variance(self) -> Fraction:
        return share_variance(self.size, self.pi1, self.pi1 - self.pi0)

    @property
    def counters(self) -> int:
        return self.size

    @property
    def largest_overlap(self) -> int:
        return min(self.m, self.k)

    @cached_property
    def cumulative(self) -> Sequence[int]:
        """For j = 1 upwards: how many reports share 1 to j values with the truth."""
        ways = [comb(self.m, i) * comb(self.size - self.m, self.k - i) for i in range(1, self.largest_overlap + 1)]
        return list(accumulate(ways))

    @property
    def size_bits(self) -> int:
        return (self.law.inside - 1).bit_length()

    @property
    def size_words(self) -> int:
        """Words in one attempt at the overlap's size."""
        return max(1, -(-self.size_bits // 64))

    def overlap(self, words: Iterator[int]) -> int:
        """How many values a report that meets the truth shares with it."""
        while True:
            drawn = sum(next(words) << (64 * i) for i in range(self.size_words))
            u = drawn % (1 << self.size_bits)
            if u < self.law.inside:
                return 1 + sum(bound <= u for bound in self.cumulative[:-1])

    def pad(self, items: Sequence[int], words: Iterator[int]) -> list[int]:
        """Exactly m values: a uniform choice of a larger set, dummies for what a smaller one lacks."""
        padded = list(items)
        for i in range(self.m):
            pick = i + bounded(max(len(items) - i, 1), words)
            if i < len(items):
                padded[i], padded[pick] = padded[pick], padded[i]
        padded = padded[: self.m]
        return padded + list(range(self.d, self.d + self.m - len(padded)))

    def sample(self, value: Sequence[int], words: Iterator[int]) -> list[int]:
        members = self.pad(value, words)
        inside = self.law.is_inside(words)
        size = self.overlap(words)
        strangers = [index for index in range(self.size) if index not in members]
        for pool, draws in ((members, self.largest_overlap), (strangers, self.k)):
            for i in range(draws):
                pick = i + bounded(len(pool) - i, words)
                pool[i], pool[pick] = pool[pick], pool[i]
        shared = size if inside else 0
        return sorted(members[:shared] + strangers[: self.k - shared])


def best_sets(epsilon: str, d: int, m: int) -> Sets:
    """The mechanism of least variance, the smaller k of equals."""
    e, size = exp(float(epsilon)), d + m
    missing = [1.0]  # C(D-m, k) / C(D, k) for k = 0, 1, ...
    for k in range(min(d, MAX_SET_K)):
        missing.append(missing[-1] * (d - k) / (size - k))

    def approximate(k: int) -> float:
        total = missing[k] + e * (1 - missing[k])
        gap = (e - 1) * missing[k] * k / d / total
        # Nearly every report meets the truth: hopeless, and the square would not fit a float.
        return inf if gap < 1e-150 else share_variance(size, e * k / size / total, gap)

    return Sets(epsilon, d, m, least(range(1, len(missing)), approximate, lambda k: Sets(epsilon, d, m, k).variance))
