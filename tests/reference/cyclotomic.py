"""The cyclotomic mechanism: one of many values, reported as an index into one of e shifted families of residues."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from itertools import count, groupby
from math import exp, isqrt

from exact import NEAR, TwoLevel, bounded, exp_lower, least, share_variance
from subset import best_subset

MAX_COUNTERS = 1 << 26
ACCEPTABLE = Fraction(1005, 1000)  # variance beside the optimum's that is worth saving counters for


def prime_factors(n: int) -> list[int]:
    factors, divisor = [], 2
    while divisor * divisor <= n:
        if n % divisor == 0:
            factors.append(divisor)
            while n % divisor == 0:
                n //= divisor
        divisor += 1
    return factors + [n] * (n > 1)


def primitive_root(prime: int) -> int:
    """The least one."""
    orders = [(prime - 1) // factor for factor in prime_factors(prime - 1)]
    return next(g for g in count(2) if all(pow(g, order, prime) != 1 for order in orders))


@lru_cache(maxsize=None)
def composites() -> bytearray:
    """composites()[n] is 0 for the primes n up to the largest K that the counters allow (e is at least 2)."""
    limit = MAX_COUNTERS // 2
    marks = bytearray(limit + 1)
    marks[0] = marks[1] = 1
    for n in range(2, isqrt(limit) + 1):
        if not marks[n]:
            marks[n * n :: n] = b"\1" * len(range(n * n, limit + 1, n))
    return marks


@lru_cache(maxsize=None)
def modulus(d: int, e: int) -> int | None:
    """K: the least prime that is at least d and 1 modulo e; None if e K counters would be too many."""
    first = e * max(1, -(-(d - 1) // e)) + 1
    return next((k for k in range(first, MAX_COUNTERS // e + 1, e) if not composites()[k]), None)


@dataclass(frozen=True)
class Cyclotomic:
    """Reports are (j, y): j uniform below e, y in x + g^j B with chance p, otherwise uniform outside. B is the union
    of the first c cosets of the e-th powers modulo K."""

    epsilon: str
    d: int
    e: int
    c: int

    @cached_property
    def K(self) -> int:
        prime = modulus(self.d, self.e)
        if prime is None:
            raise ValueError(f"d {self.d}, e {self.e}: more than {MAX_COUNTERS} counters")
        return prime

    @cached_property
    def g(self) -> int:
        return primitive_root(self.K)

    @property
    def r(self) -> int:
        return self.c * (self.K - 1) // self.e

    @cached_property
    def law(self) -> TwoLevel:
        return TwoLevel(self.epsilon, self.r, self.K - self.r)

    @property
    def threshold(self) -> int:
        return self.law.threshold

    @property
    def ratio(self) -> Fraction:
        return self.law.ratio

    @property
    def pi1(self) -> Fraction:
        return self.law.p

    @property
    def pi0(self) -> Fraction:
        overlap = Fraction(self.r * (self.r - 1), self.K - 1)
        return self.pi1 * overlap / self.r + (1 - self.pi1) * (self.r - overlap) / (self.K - self.r)

    @property
    def variance(self) -> Fraction:
        return share_variance(self.d, self.pi1, self.pi1 - self.pi0)

    @property
    def counters(self) -> int:
        return self.e * self.K

    def sample(self, value: int, words: Iterator[int]) -> list[int]:
        inside = self.law.is_inside(words)
        j = bounded(self.e, words)
        t1, t0 = bounded(self.r, words), bounded(self.K - self.r, words)
        if inside:
            power = self.e * (t1 // self.c) + t1 % self.c
        else:
            u, s = divmod(t0 - 1, self.e - self.c)
            power = self.e * u + self.c + s
        # Outside there is one difference more than cosets hold: none at all.
        delta = pow(self.g, power, self.K) if inside or t0 > 0 else 0
        return [j, (value + pow(self.g, j, self.K) * delta) % self.K]


def best_cyclotomic(epsilon: str, d: int) -> Cyclotomic:
    """Of the mechanisms within half a percent of the optimum the one with the fewest counters, else the best."""
    bound, e_float = exp_lower(epsilon), exp(float(epsilon))
    limit = ACCEPTABLE * best_subset(epsilon, d, d - 1).variance
    candidates = []
    for e in range(2, MAX_COUNTERS // d + 1):
        if modulus(d, e) is not None:
            floor = int(e / (1 + bound) // 1)
            choices = {min(max(c, 1), e - 1) for c in (floor, floor + 1)}
            candidates += [Cyclotomic(epsilon, d, e, c) for c in sorted(choices)]

    def approximate(law: Cyclotomic) -> float:
        K = law.K
        r = law.c * (K - 1) // law.e
        total = K - r + e_float * r
        return share_variance(d, e_float * r / total, (e_float - 1) * r * (K - r) / (total * (K - 1)))

    candidates.sort(key=lambda law: law.counters)
    perhaps = [law for law in candidates if approximate(law) <= float(limit) * (1 + NEAR)]
    for _, equals in groupby(perhaps, key=lambda law: law.counters):
        if acceptable := [law for law in equals if law.variance <= limit]:
            return min(acceptable, key=lambda law: (law.variance, law.e))
    return least(candidates, approximate, lambda law: law.variance)
