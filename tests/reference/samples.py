"""What the cases of all families share: samples with exactly the words they take, and words made to order."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from itertools import chain
from typing import Any

from exact import WORD

Case = dict[str, Any]


def exact(fraction: Fraction) -> str:
    return f"{fraction.numerator}/{fraction.denominator}"


def sample(draw: Callable[[Any, Iterator[int]], Any], value: Any, first: Iterable[int], rng: random.Random) -> Case:
    """One sample fed the words `first` and random ones after them, with exactly the words it took."""
    taken: list[int] = []

    def words() -> Iterator[int]:
        for word in chain(first, iter(lambda: rng.getrandbits(64), None)):
            taken.append(word)
            yield word

    payload = draw(value, words())
    return {"value": value, "words": [f"0x{word:016x}" for word in taken], "payload": payload}


def refused(whys: Iterable[tuple[str, Any]]) -> list[Case]:
    return [{"payload": payload, "why": why} for why, payload in whys]


def word_with_low_half(n: int, low: int) -> int:
    """A word w with w * n = low modulo 2^64; low must be a multiple of the power of two in n."""
    two_power = n & -n
    modulus = WORD // two_power
    return low // two_power * pow(n // two_power, -1, modulus) % modulus


def refusals(n: int) -> list[int] | None:
    """The last word that Lemire refuses for a range of n, a zero, and the first he accepts; None if he takes all."""
    reject_below = WORD % n
    if reject_below == 0:
        return None
    return [word_with_low_half(n, reject_below - (n & -n)), 0, word_with_low_half(n, reject_below)]


def stubborn(ranges: Iterable[int], rng: random.Random) -> list[int]:
    """Words for draws from the ranges one after the other, each refused twice where that can be."""
    return list(chain.from_iterable(refusals(n) or [rng.getrandbits(64)] for n in ranges))


def word_for(choice: int, n: int) -> int:
    """A word that Lemire turns into `choice` of n."""
    return (choice * WORD + WORD // 2) // n
