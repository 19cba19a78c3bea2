"""Exact arithmetic under all mechanisms: bounds on e^epsilon, uniform integers from words, the two-level law.

Words are uniform integers below 2^64. `words` arguments are iterators; a sampler takes exactly the words it needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import TypeVar

WORD = 1 << 64
EXP_SCALE = 1 << 128
# Floats only discard candidates that are worse than the best by more than this share; near the best their own relative
# error stays below 1e-9 up to epsilon 16, so what they discard is never the exact minimum. The rest is compared in
# fractions.
NEAR = 1e-7

Candidate = TypeVar("Candidate")


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


@lru_cache(maxsize=None)
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
class TwoLevel:
    """Each truth owns `inside` of the inside + outside reports; those are E times as likely as the others."""

    epsilon: str
    inside: int
    outside: int

    @cached_property
    def threshold(self) -> int:
        weight = exp_lower(self.epsilon) * self.inside
        return int(WORD * weight / (self.outside + weight) // 1)

    @property
    def p(self) -> Fraction:
        """Chance that a report is inside."""
        return Fraction(self.threshold, WORD)

    @property
    def ratio(self) -> Fraction:
        """The largest likelihood ratio of one report between two truths."""
        return Fraction(self.threshold * self.outside, self.inside * (WORD - self.threshold))

    def is_inside(self, words: Iterator[int]) -> bool:
        return next(words) < self.threshold


def share_variance(values: int, pi1, gap):
    """Variance of a share times the number of reports, averaged over the values; gap = pi1 - pi0. For floats, which
    are too coarse to subtract the two where they nearly agree, and for fractions."""
    pi0 = pi1 - gap
    return (pi1 * (1 - pi1) + (values - 1) * pi0 * (1 - pi0)) / (values * gap**2)


def least(
    candidates: Iterable[Candidate],
    approximate: Callable[[Candidate], float],
    exact: Callable[[Candidate], Fraction],
) -> Candidate:
    """The candidate of least exact value, the first of equals."""
    rated = [(approximate(candidate), candidate) for candidate in candidates]
    limit = min(rating for rating, _ in rated) * (1 + NEAR)
    near = [candidate for rating, candidate in rated if rating <= limit]
    return near[0] if len(near) == 1 else min(near, key=exact)
