"""The window mechanism: ordered values, of which a mean or quantiles are wanted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import exp

from exact import TwoLevel, bounded, exp_lower, least


def sum_of_squares(n: int) -> int:
    """0^2 + 1^2 + ... + (n-1)^2."""
    return (n - 1) * n * (2 * n - 1) // 6


@dataclass(frozen=True)
class Window:
    """Reports are 0..d+w-2; the w of them from the truth upwards are E times as likely as the others."""

    epsilon: str
    d: int
    w: int

    @property
    def K(self) -> int:
        return self.d + self.w - 1

    @cached_property
    def law(self) -> TwoLevel:
        return TwoLevel(self.epsilon, self.w, self.d - 1)

    @property
    def threshold(self) -> int:
        return self.law.threshold

    @property
    def ratio(self) -> Fraction:
        return self.law.ratio

    @property
    def counters(self) -> int:
        return self.K

    @property
    def line(self) -> tuple[Fraction, Fraction]:
        """a and b of E[y | x] = a x + b."""
        return line(self.d, self.w, self.law.p)

    @property
    def variance(self) -> Fraction:
        """Largest variance of (y - b) / a over the truths, in squared indices."""
        return mean_variance(self.d, self.w, self.law.p)

    def sample(self, value: int, words: Iterator[int]) -> int:
        inside = self.law.is_inside(words)
        t1, t0 = bounded(self.w, words), bounded(self.d - 1, words)
        if inside:
            return value + t1
        return t0 if t0 < value else t0 + self.w


def line(d: int, w: int, p):
    K = d + w - 1
    a = p - (1 - p) * w / (d - 1)
    return a, p * (w - 1) / 2 + (1 - p) * (K * (K - 1) - w * (w - 1)) / (2 * (d - 1))


def mean_variance(d: int, w: int, p):
    """Largest Var(y | x) / a^2; in floats or in fractions."""
    a, b = line(d, w, p)
    K = d + w - 1

    def variance(x: int):
        own = sum_of_squares(x + w) - sum_of_squares(x)
        square = p * own / w + (1 - p) * (sum_of_squares(K) - own) / (d - 1)
        return (square - (a * x + b) ** 2) / a**2

    # In x the variance is a parabola with leading coefficient a - a^2 > 0, so it is largest at an end.
    return max(variance(0), variance(d - 1))


def best_window(epsilon: str, d: int, goal: str) -> Window:
    e = exp_lower(epsilon)
    if goal == "quantiles":
        x = Fraction(epsilon)
        share = (x * e - e + 1) / (e * (e - 1 - x))
        return Window(epsilon, d, max(1, int((share * (d - 1) + Fraction(1, 2)) // 1)))
    e_float = exp(float(epsilon))
    candidates = (w for w in range(1, 2 * d + 1) if Window(epsilon, d, w).line[0] > 0)

    def approximate(w: int) -> float:
        return mean_variance(d, w, e_float * w / (e_float * w + d - 1))

    return Window(epsilon, d, least(candidates, approximate, lambda w: Window(epsilon, d, w).variance))
