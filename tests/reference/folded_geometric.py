"""The folded geometric mechanism: counts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from exact import WORD, exp_lower, floor_exp

# alpha is raised by 2^-50 at least: towards more noise, and room for the flooring of the weights.
ALPHA_NUDGES = [1 << bits for bits in range(14, 41)]


@dataclass(frozen=True)
class FoldedGeometric:
    """Counts 0..C with two-sided geometric noise; what would fall outside lands on the nearer end."""

    epsilon: str
    max: int

    @cached_property
    def alpha_and_table(self) -> tuple[Fraction, list[list[int]]]:
        """The least nudge whose table keeps the bound, and that table."""
        decay = floor_exp(-Fraction(self.epsilon) / self.max, WORD)
        for nudge in ALPHA_NUDGES:
            alpha = Fraction(decay + nudge, WORD)
            table = weights(alpha, self.max)
            if largest_ratio(table) <= exp_lower(self.epsilon):
                return alpha, table
        raise ValueError(f"no table keeps epsilon {self.epsilon} for counts up to {self.max}")

    @property
    def alpha(self) -> Fraction:
        return self.alpha_and_table[0]

    @property
    def table(self) -> list[list[int]]:
        """table[x][y]: how many of the 2^64 words turn the truth x into the report y."""
        return self.alpha_and_table[1]

    @cached_property
    def ratio(self) -> Fraction:
        """The largest likelihood ratio of one report between two truths."""
        return largest_ratio(self.table)

    @property
    def digest(self) -> str:
        flat = b"".join(weight.to_bytes(8, "big") for row in self.table for weight in row)
        return "sha256:" + hashlib.sha256(flat).hexdigest()

    @property
    def counters(self) -> int:
        return self.max + 1

    @property
    def variance(self) -> Fraction:
        """Largest variance over the truths x of g(y) with mean x: y inside, alpha / (1 - alpha) beyond the ends."""
        alpha = int(self.alpha * WORD)
        beta = WORD - alpha
        g = [y * beta for y in range(self.max + 1)]  # all in units of 1 / beta
        g[0], g[-1] = -alpha, self.max * beta + alpha

        def variance(row: list[int]) -> int:
            first, second = (sum(weight * value**n for weight, value in zip(row, g)) for n in (1, 2))
            return second * WORD - first**2

        return Fraction(max(map(variance, self.table)), (WORD * beta) ** 2)

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


def weights(alpha: Fraction, maximum: int) -> list[list[int]]:
    powers = [alpha**n for n in range(maximum + 1)]
    end = [int(WORD * power / (1 + alpha) // 1) for power in powers]
    inner = [int(WORD * power * (1 - alpha) / (1 + alpha) // 1) for power in powers]
    rows = []
    for x in range(maximum + 1):
        row = [inner[abs(y - x)] for y in range(maximum + 1)]
        row[0], row[maximum] = end[x], end[maximum - x]
        row[x] += WORD - sum(row)
        rows.append(row)
    return rows


def largest_ratio(table: list[list[int]]) -> Fraction:
    return max(Fraction(max(column), min(column)) for column in zip(*table))
