"""The peers' mechanisms for shares, behind one door: a client call, and what their server estimates from the reports.

Every report comes from the packages' own client code, one call a report, and every estimate from their own formula.
Two things are changed, neither of which touches a formula:

- multi-freq-ldpy clips and rescales its estimates, which biases them; its inversion is replaced by the same one
  without those two steps, because errors of unbiased estimators are compared here.
- pure-ldp hashes every value for every report in a Python loop; the same support counts come from a compiled loop.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import xxhash
from multi_freq_ldpy.pure_frequency_oracles import GRR, LH, SS, UE
from numba import njit
from pure_ldp.frequency_oracles.direct_encoding import DEClient, DEServer
from pure_ldp.frequency_oracles.hadamard_response import HadamardResponseClient, HadamardResponseServer
from pure_ldp.frequency_oracles.local_hashing import LHClient, LHServer
from pure_ldp.frequency_oracles.unary_encoding import UEClient, UEServer

PURE_LDP = f"pure-ldp {version('pure-ldp')}"
MULTI_FREQ = f"multi-freq-ldpy {version('multi-freq-ldpy')}"

Randomize = Callable[[int], Any]
Estimate = Callable[[list[Any]], np.ndarray]


@dataclass(frozen=True)
class Oracle:
    """One peer's implementation of one mechanism; `pair(d, epsilon)` is a client call and its server's estimator."""

    peer: str
    mechanism: str
    pair: Callable[[int, float], tuple[Randomize, Estimate]]


def invert(count_report: np.ndarray, n: int, p: float, q: float) -> np.ndarray:
    return (np.asarray(count_report) - n * q) / (n * (p - q))


for protocol in (GRR, SS, UE):
    protocol.MI = invert


@njit
def seed_compiled_code(seed: int) -> None:
    np.random.seed(seed)


def seed_peers(seed: int) -> None:
    """Their three generators: Python's, NumPy's, and the one of NumPy calls inside compiled code."""
    # NumPy's old generators take 32 bits; this mixes all of a longer seed into them.
    mixed = int(np.random.SeedSequence(seed).generate_state(1)[0])
    random.seed(mixed)
    np.random.seed(mixed)
    seed_compiled_code(mixed)


def same(value: int) -> int:
    return value


def pure_estimator(server: Any, d: int) -> Estimate:
    def shares(reports: list[Any]) -> np.ndarray:
        server.aggregate_all(reports)
        return np.asarray(server.estimate_all(range(d), suppress_warnings=True)) / server.n

    return shares


def pure_krr(d: int, epsilon: float) -> tuple[Randomize, Estimate]:
    client = DEClient(epsilon, d, index_mapper=same)
    server = DEServer(epsilon, d, index_mapper=same)
    return client.privatise, pure_estimator(server, d)


def pure_unary(optimal: bool) -> Callable[[int, float], tuple[Randomize, Estimate]]:
    def pair(d: int, epsilon: float) -> tuple[Randomize, Estimate]:
        client = UEClient(epsilon, d, use_oue=optimal, index_mapper=same)
        return client.privatise, pure_estimator(UEServer(epsilon, d, use_oue=optimal, index_mapper=same), d)

    return pair


def pure_hadamard(d: int, epsilon: float) -> tuple[Randomize, Estimate]:
    server = HadamardResponseServer(epsilon, d, index_mapper=same)
    client = HadamardResponseClient(epsilon, d, server.get_hash_funcs(), index_mapper=same)
    return client.privatise, pure_estimator(server, d)


def pure_local_hashing(d: int, epsilon: float) -> tuple[Randomize, Estimate]:
    client = LHClient(epsilon, d, use_olh=True, index_mapper=same)
    return client.privatise, pure_estimator(CompiledLHServer(epsilon, d, use_olh=True, index_mapper=same), d)


class CompiledLHServer(LHServer):
    """pure-ldp's server with a compiled count of the values that each report supports."""

    def aggregate_all(self, data_list: list[tuple[int, int]]) -> None:
        texts = [str(value).encode() for value in range(self.d)]
        letters = np.zeros((self.d, max(map(len, texts))), dtype=np.uint64)
        for row, text in zip(letters, texts):
            row[: len(text)] = list(text)
        lengths = np.array([len(text) for text in texts], dtype=np.uint64)
        # xxh32 takes 32 bits of a seed; the package below version 4 cuts longer ones to the low bits.
        seeds = np.array([seed & 0xFFFFFFFF for _, seed in data_list], dtype=np.uint64)
        outputs = np.array([output for output, _ in data_list], dtype=np.uint64)
        for value in (0, self.d - 1):
            expected = xxhash.xxh32(str(value), seed=data_list[0][1]).intdigest()
            if xxh32(letters[value], lengths[value], seeds[0]) != expected:
                raise RuntimeError(f"the compiled hash of {value} differs from that of xxhash {xxhash.VERSION}")
        self.aggregated_data += supports(letters, lengths, seeds, outputs, np.uint64(self.g))
        self.n += len(data_list)


LOW_32 = np.uint64(0xFFFFFFFF)
XXH32_PRIMES = tuple(np.uint64(p) for p in (2654435761, 2246822519, 3266489917, 668265263, 374761393))


@njit
def xxh32(letters, length, seed):  # type: ignore[no-untyped-def]
    """xxHash's 32-bit function for texts below 16 bytes, where it is this short."""
    prime_1, prime_2, prime_3, prime_4, prime_5 = XXH32_PRIMES
    h = (seed + prime_5 + length) & LOW_32
    at = 0
    while at + 4 <= length:
        word = letters[at] | letters[at + 1] << np.uint64(8) | letters[at + 2] << np.uint64(16)
        word |= letters[at + 3] << np.uint64(24)
        h = (h + word * prime_3) & LOW_32
        h = (((h << np.uint64(17)) | (h >> np.uint64(15))) & LOW_32) * prime_4 & LOW_32
        at += 4
    while at < length:
        h = (h + letters[at] * prime_5) & LOW_32
        h = (((h << np.uint64(11)) | (h >> np.uint64(21))) & LOW_32) * prime_1 & LOW_32
        at += 1
    h = (h ^ (h >> np.uint64(15))) * prime_2 & LOW_32
    h = (h ^ (h >> np.uint64(13))) * prime_3 & LOW_32
    return h ^ (h >> np.uint64(16))


@njit
def supports(letters, lengths, seeds, outputs, g):  # type: ignore[no-untyped-def]
    counts = np.zeros(len(lengths))
    for report in range(len(seeds)):
        for value in range(len(lengths)):
            if xxh32(letters[value], lengths[value], seeds[report]) % g == outputs[report]:
                counts[value] += 1
    return counts


def multi_krr(d: int, epsilon: float) -> tuple[Randomize, Estimate]:
    return (lambda value: GRR.GRR_Client(value, d, epsilon)), (lambda reports: GRR.GRR_Aggregator_MI(reports, d, epsilon))


def multi_unary(optimal: bool) -> Callable[[int, float], tuple[Randomize, Estimate]]:
    def pair(d: int, epsilon: float) -> tuple[Randomize, Estimate]:
        def randomize(value: int) -> Any:
            return UE.UE_Client(value, d, epsilon, optimal)

        return randomize, lambda reports: UE.UE_Aggregator_MI(reports, epsilon, optimal)

    return pair


def multi_subset(d: int, epsilon: float) -> tuple[Randomize, Estimate]:
    return (lambda value: SS.SS_Client(value, d, epsilon)), (lambda reports: SS.SS_Aggregator_MI(reports, d, epsilon))


def multi_local_hashing(d: int, epsilon: float) -> tuple[Randomize, Estimate]:
    def refuse(_: list[Any]) -> np.ndarray:
        raise NotImplementedError("pure-ldp's local hashing, which this one is adapted from, stands for both")

    return (lambda value: LH.LH_Client(value, d, epsilon)), refuse


KRR, SUE, OUE, OLH = "k-ary randomized response", "unary, symmetric (SUE)", "unary, optimized (OUE)", "local hashing (OLH)"
SUBSET, HADAMARD = "subset selection", "Hadamard response"

ORACLES = (
    Oracle(PURE_LDP, KRR, pure_krr),
    Oracle(PURE_LDP, SUE, pure_unary(optimal=False)),
    Oracle(PURE_LDP, OUE, pure_unary(optimal=True)),
    Oracle(PURE_LDP, OLH, pure_local_hashing),
    Oracle(PURE_LDP, HADAMARD, pure_hadamard),
    Oracle(MULTI_FREQ, KRR, multi_krr),
    Oracle(MULTI_FREQ, SUE, multi_unary(optimal=False)),
    Oracle(MULTI_FREQ, OUE, multi_unary(optimal=True)),
    Oracle(MULTI_FREQ, OLH, multi_local_hashing),
    Oracle(MULTI_FREQ, SUBSET, multi_subset),
)
