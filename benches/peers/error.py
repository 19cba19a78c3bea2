"""Realized and predicted errors of Hubbub, of its peers, and of published mechanisms, in one table.

usage: error.py --hubbub PROGRAM --out DIRECTORY [--only TEXT] [--limit SECONDS]

Writes error.md and error.json. Everything is seeded: two runs of the same programs give the same figures.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

import filters
import oracles
import published
from populations import skewed, uniform, zipf, zipf_sets

EPSILONS = ("0.5", "1", "2", "4")
OURS, OWN, FORMULA = "ours", "own implementation", "formula"
CHECK_FAILED, BAD_USAGE, INPUT_OUTPUT, UNAVAILABLE = 1, 2, 3, 4
LIMIT_S = 570  # what is not begun by then is left out with a word, so that the whole stays below ten minutes

SHARE_PREDICTIONS = {
    oracles.KRR: published.krr,
    oracles.SUE: published.symmetric_unary,
    oracles.OUE: published.optimized_unary,
    oracles.OLH: published.local_hashing,
    oracles.SUBSET: published.subset_selection,
    oracles.HADAMARD: published.hadamard,
}


@dataclass(frozen=True)
class Shares:
    """One value of d per device. `left_out`: mechanisms whose packages are too slow at this d, with the reason."""

    d: int
    n: int
    runs: int
    left_out: dict[tuple[str, str], str]


PURE, MULTI = oracles.PURE_LDP, oracles.MULTI_FREQ
TWICE = "the same law is measured with the other package, faster"
SLOW = "some 60 microseconds a report"
ADAPTED = {(MULTI, oracles.OLH): "adapted from pure-ldp's, which is measured"}
UNARY_ONCE = ADAPTED | {(PURE, oracles.SUE): TWICE, (PURE, oracles.OUE): TWICE}
OPTIMIZED_ONCE = UNARY_ONCE | {(MULTI, oracles.SUE): "some 20 microseconds a report, and never better than OUE here"}
CHEAP_ONLY = (
    ADAPTED
    | {(peer, mechanism): SLOW for peer in (PURE, MULTI) for mechanism in (oracles.SUE, oracles.OUE)}
    | {(MULTI, oracles.SUBSET): SLOW, (MULTI, oracles.KRR): TWICE}
    | {(PURE, oracles.OLH): "the server hashes every value for every report: 100 million hashes a run"}
)
SHARES = (
    # Errors of two shares that sum to one are equal, so a run gives one figure: more runs, and fewer reports in each.
    Shares(2, 2_000, 120, ADAPTED),
    Shares(16, 20_000, 20, UNARY_ONCE),
    Shares(256, 20_000, 20, UNARY_ONCE),
    Shares(1024, 20_000, 20, OPTIMIZED_ONCE),
    Shares(5_000, 20_000, 20, CHEAP_ONLY),
)

# A mean too is one figure a run.
MEAN_N, MEAN_RUNS = 2_000, 120
OWN_REPEATS = 10  # our implementations of published mechanisms are fast enough to meet each population several times
UNIT_TOP = 100  # values on [0, 1] are multiples of 1/100, so that nobody rounds
COUNT_TOP = 50
POPULATIONS: dict[str, Callable[[int, int, int], np.ndarray]] = {"skewed": skewed, "uniform": uniform}

SETS = ((20, 4), (500, 16))
SET_N, SET_RUNS = 20_000, 20


@dataclass(frozen=True)
class Row:
    """One line of the table. The ratios are to Hubbub's error in the same case, realized and predicted."""

    case: str
    epsilon: float
    mechanism: str
    who: str
    mean_squared_error: float | None
    standard_error: float | None
    predicted: float | None
    ratio_to_ours: float | None = None
    predicted_ratio: float | None = None


@dataclass
class Table:
    """The rows so far, and what is not among them."""

    hubbub: Path
    only: str
    limit_s: float
    started: float = field(default_factory=time.monotonic)
    rows: list[Row] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def wants(self, case: str) -> bool:
        return self.only in case

    def skip(self, what: str, reason: str) -> None:
        self.left_out.append(f"{what}: {reason}")
        print(f"error: left out: {self.left_out[-1]}", file=sys.stderr, flush=True)

    def late(self, what: str) -> bool:
        if time.monotonic() - self.started <= self.limit_s:
            return False
        self.skip(what, f"not begun within {self.limit_s:.0f} s")
        return True

    def measure(
        self, case: str, epsilon: str, mechanism: str, who: str, errors: Iterator[float], predicted: float | None
    ) -> None:
        """`errors` yields the squared error of each run, averaged over values; it is not begun after the limit."""
        if self.late(f"{case}, epsilon {epsilon}, {mechanism} ({who})"):
            return
        squared = np.fromiter(errors, dtype=float)
        standard = float(squared.std(ddof=1) / np.sqrt(len(squared)))
        self.rows.append(Row(case, float(epsilon), mechanism, who, float(squared.mean()), standard, predicted))
        note = f"{case}, epsilon {epsilon}, {mechanism} ({who}): {squared.mean():.3g}"
        print(f"error: {time.monotonic() - self.started:4.0f} s  {note}", file=sys.stderr, flush=True)

    def formula(self, case: str, epsilon: str, mechanism: str, who: str, predicted: float) -> None:
        self.rows.append(Row(case, float(epsilon), mechanism, who, None, None, predicted))

    def ours(
        self,
        case: str,
        epsilon: str,
        data: filters.Data,
        runs: Callable[[], Iterator[list[str]]],
        judge: Callable[[int, list[dict]], tuple[float, float]],
    ) -> None:
        """`judge` tells a run's squared error and the program's own prediction of it."""
        what = f"{case}, epsilon {epsilon}, {OURS}"
        if self.late(what):
            return
        try:
            answers = filters.estimate(self.hubbub, data, epsilon, runs(), seed_of(case, epsilon))
        except filters.Refused as refusal:
            self.skip(what, str(refusal))
            return
        judged = [judge(run, answer) for run, answer in enumerate(answers)]
        predicted = float(np.mean([prediction for _, prediction in judged]))
        mechanism = answers[0][0]["mechanism"]
        self.measure(case, epsilon, mechanism, OURS, iter([error for error, _ in judged]), predicted)

    def with_ratios(self) -> list[Row]:
        ours = {(row.case, row.epsilon): row for row in self.rows if row.who == OURS}
        return [compared(row, ours.get((row.case, row.epsilon))) for row in self.rows]


def compared(row: Row, ours: Row | None) -> Row:
    if ours is None:
        return row
    realized = quotient(row.mean_squared_error, ours.mean_squared_error)
    return replace(row, ratio_to_ours=realized, predicted_ratio=quotient(row.predicted, ours.predicted))


def quotient(theirs: float | None, ours: float | None) -> float | None:
    return theirs / ours if theirs is not None and ours else None


def seed_of(*parts: str) -> int:
    """The same seeds whatever else is measured; runs count up from it."""
    return zlib.crc32("/".join(parts).encode()) << 16


# --- shares -----------------------------------------------------------------------------------------------------------


def share_error(rows: list[dict], truth: np.ndarray) -> tuple[float, float]:
    """The squared error averaged over values, and its prediction from the chances that the program prints."""
    shares = np.full(len(truth), np.nan)
    for row in rows:
        if row["statistic"] == "share":
            shares[row["value_index"]] = row["estimate"]
    if np.isnan(shares).any():
        raise filters.Failed(f"hubbub estimate gave {len(rows)} rows for {len(truth)} values")
    predicted = published.support_error(rows[0]["pi1"], rows[0]["pi0"], float(truth.mean())) / rows[0]["reports"]
    return float(np.mean((shares - truth) ** 2)), predicted


def compare_shares(table: Table, cell: Shares) -> None:
    case = f"shares of {cell.d} values, n {cell.n}"
    if not table.wants(case):
        return
    populations = [zipf(cell.d, cell.n, seed_of(case) + run) for run in range(cell.runs)]
    truths = [np.bincount(population, minlength=cell.d) / cell.n for population in populations]
    names = np.array(filters.labels(cell.d))
    for (peer, mechanism), reason in cell.left_out.items():
        table.skip(f"{case}, {mechanism} ({peer})", reason)
    measured = [oracle for oracle in oracles.ORACLES if (oracle.peer, oracle.mechanism) not in cell.left_out]
    for epsilon in EPSILONS:
        table.ours(
            case,
            epsilon,
            filters.categorical(cell.d),
            lambda: (names[population].tolist() for population in populations),
            lambda run, rows: share_error(rows, truths[run]),
        )
        for oracle in measured:
            seed = seed_of(case, epsilon, oracle.peer, oracle.mechanism)
            errors = peer_errors(oracle, cell, float(epsilon), populations, truths, seed)
            predicted = SHARE_PREDICTIONS[oracle.mechanism](cell.d, float(epsilon)) / cell.n
            table.measure(case, epsilon, oracle.mechanism, oracle.peer, errors, predicted)
        table.formula(
            case,
            epsilon,
            "OUE and OLH, 4E/(E-1)^2",
            FORMULA,
            published.published_limit(cell.d, float(epsilon)) / cell.n,
        )


def peer_errors(
    oracle: oracles.Oracle,
    cell: Shares,
    epsilon: float,
    populations: list[np.ndarray],
    truths: list[np.ndarray],
    first_seed: int,
) -> Iterator[float]:
    for run, (population, truth) in enumerate(zip(populations, truths)):
        oracles.seed_peers(first_seed + run)
        randomize, shares = oracle.pair(cell.d, epsilon)
        estimates = shares([randomize(value) for value in population.tolist()])
        yield float(np.mean((estimates - truth) ** 2))


# --- means ------------------------------------------------------------------------------------------------------------


def mean_error(rows: list[dict], truth: float, scale: float) -> tuple[float, float]:
    (row,) = (row for row in rows if row["statistic"] == "mean")
    return ((row["estimate"] / scale - truth) ** 2, (row["noise_std_error"] / scale) ** 2)


def compare_means(table: Table, what: str, top: int, data: filters.Data, scale: float) -> None:
    """Values are 0..top; errors are in units of `scale`."""
    for name, draw in POPULATIONS.items():
        case = f"mean of {what}, {name}, n {MEAN_N}"
        if not table.wants(case):
            continue
        populations = [draw(top, MEAN_N, seed_of(case) + run) for run in range(MEAN_RUNS)]
        truths = [float(population.mean()) / scale for population in populations]
        for epsilon in EPSILONS:
            table.ours(
                case,
                epsilon,
                data,
                lambda: (list(map(str, population)) for population in populations),
                lambda run, rows: mean_error(rows, truths[run], scale),
            )
            for mechanism in published.MEANS:
                seed = seed_of(case, epsilon, mechanism.name)
                errors, predicted = own_means(mechanism, populations, top, scale, epsilon, seed)
                table.measure(case, epsilon, mechanism.name, OWN, errors, predicted)


def own_means(
    mechanism: published.MeanMechanism,
    populations: list[np.ndarray],
    top: int,
    scale: float,
    epsilon: str,
    first_seed: int,
) -> tuple[Iterator[float], float]:
    """Squared errors of the runs, and the published variance averaged over the populations."""
    half = top / 2 / scale
    centred = [2 * population / top - 1 for population in populations]

    def errors() -> Iterator[float]:
        for run, x in enumerate(centred * OWN_REPEATS):
            rng = np.random.default_rng(first_seed + run)
            yield float(half * (mechanism.report(x, float(epsilon), rng).mean() - x.mean())) ** 2

    variance = float(np.mean([mechanism.variance(x, float(epsilon)).mean() for x in centred]))
    return errors(), variance * half**2 / MEAN_N


def compare_largest(table: Table) -> None:
    """By formula: the variance of one report at the value where it is largest."""
    for what, width, ours in (("[0, 1]", 1, largest_on_unit), (f"counts 0..{COUNT_TOP}", COUNT_TOP, largest_of_counts)):
        case = f"largest variance of a mean of {what}, times n"
        if not table.wants(case):
            continue
        for epsilon in EPSILONS:
            mechanism, variance = ours(float(epsilon))
            table.formula(case, epsilon, f"{mechanism}, by its law", OURS, variance)
            for published_one in published.MEANS:
                variance = published_one.largest(float(epsilon)) * width**2 / 4
                table.formula(case, epsilon, f"{published_one.name}, as published", FORMULA, variance)


def largest_on_unit(epsilon: float) -> tuple[str, float]:
    return "window", published.window_largest(UNIT_TOP + 1, epsilon) / UNIT_TOP**2


def largest_of_counts(epsilon: float) -> tuple[str, float]:
    """As `auto` chooses: the smaller one, and the folded geometric mechanism of equals."""
    folded = published.folded_largest(COUNT_TOP, epsilon)
    window = published.window_largest(COUNT_TOP + 1, epsilon)
    return ("folded_geometric", folded) if folded <= window else ("window", window)


# --- sets -------------------------------------------------------------------------------------------------------------


def compare_sets(table: Table, d: int, m: int) -> None:
    case = f"sets of up to {m} of {d} values, n {SET_N}"
    if not table.wants(case):
        return
    populations = [zipf_sets(d, m, SET_N, seed_of(case) + run) for run in range(SET_RUNS)]
    truths = [member.mean(axis=0) for member in populations]
    names = filters.labels(d)
    for epsilon in EPSILONS:
        table.ours(
            case,
            epsilon,
            filters.sets(d, m),
            lambda: ([json.dumps([names[v] for v in np.flatnonzero(row)]) for row in member] for member in populations),
            lambda run, rows: share_error(rows, truths[run]),
        )
        for padding in published.PADDING:
            seed = seed_of(case, epsilon, padding.name)
            errors = (
                float(np.mean((padding.shares(member, m, float(epsilon), np.random.default_rng(seed + run)) - truth) ** 2))
                for run, (member, truth) in enumerate(zip(populations, truths))
            )
            mean_share = float(np.mean([truth.mean() for truth in truths]))
            predicted = padding.variance(d, m, float(epsilon), mean_share) / SET_N
            table.measure(case, epsilon, padding.name, OWN, errors, predicted)
        for name, variance in (
            ("padding and sampling, k-RR, as published", published.published_padding_krr),
            ("padding and sampling, OUE and OLH, as published", published.published_padding_unary),
        ):
            table.formula(case, epsilon, name, FORMULA, variance(d, m, float(epsilon)) / SET_N)


# --- output -----------------------------------------------------------------------------------------------------------


def markdown(rows: list[Row], left_out: list[str]) -> str:
    def figure(value: float | None) -> str:
        return "" if value is None else f"{value:.4g}"

    lines = [
        "# Errors beside those of peers",
        "",
        "Mean squared error of unbiased estimates for a fixed set of devices, averaged over values and runs; its",
        "standard error over runs; what theory predicts; the ratios to Hubbub's realized and predicted error in the same",
        "case. Above 1: Hubbub is better. Errors of means and of two shares come from few figures; where the standard",
        "error is large, the ratio of the predictions says more.",
        "",
        "| case | epsilon | mechanism | who | mean squared error | standard error | predicted | ratio to ours | predicted ratio |",
        "|---|---:|---|---|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        errors = (row.mean_squared_error, row.standard_error, row.predicted)
        figures = (*errors, row.ratio_to_ours, row.predicted_ratio)
        cells = [row.case, f"{row.epsilon:g}", row.mechanism, row.who, *map(figure, figures)]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", *agreement(rows), "", "## Left out", "", *(f"- {text}" for text in left_out or ["nothing"])]
    return "\n".join(lines) + "\n"


def agreement(rows: list[Row]) -> list[str]:
    """Realized over predicted errors: 1 where theory and programs agree."""
    lines = []
    for who in dict.fromkeys(row.who for row in rows):
        ratios = [
            row.mean_squared_error / row.predicted
            for row in rows
            if row.who == who and row.mean_squared_error is not None and row.predicted
        ]
        if len(ratios) > 1:
            error = np.std(ratios, ddof=1) / np.sqrt(len(ratios))
            lines.append(
                f"- Realized over predicted, {who}: mean {np.mean(ratios):.3f} with standard error {error:.3f} over "
                f"{len(ratios)} rows, from {min(ratios):.2f} to {max(ratios):.2f}."
            )
    return lines


def compare(table: Table) -> None:
    compare_largest(table)
    compare_means(table, "[0, 1]", UNIT_TOP, filters.ordered(UNIT_TOP + 1), float(UNIT_TOP))
    compare_means(table, f"counts 0..{COUNT_TOP}", COUNT_TOP, filters.count(COUNT_TOP), 1.0)
    for d, m in SETS:
        compare_sets(table, d, m)
    for cell in SHARES:
        compare_shares(table, cell)


def main() -> int:
    parser = argparse.ArgumentParser(description="Errors of Hubbub beside those of its peers.")
    parser.add_argument("--hubbub", type=Path, required=True, help="the built program")
    parser.add_argument("--out", type=Path, required=True, help="directory for error.md and error.json")
    parser.add_argument("--only", default="", help="only cases whose name contains this")
    parser.add_argument("--limit", type=float, default=LIMIT_S, help="begin nothing after so many seconds")
    arguments = parser.parse_args()
    if not arguments.hubbub.is_file():
        print(f"error: no program {arguments.hubbub}; build it with `make build`", file=sys.stderr)
        return UNAVAILABLE
    table = Table(arguments.hubbub.resolve(), arguments.only, arguments.limit)
    try:
        compare(table)
    except filters.Failed as failure:
        print(f"error: {failure}", file=sys.stderr)
        return CHECK_FAILED
    except OSError as failure:
        print(f"error: {failure}", file=sys.stderr)
        return INPUT_OUTPUT
    if not table.rows and not table.left_out:
        print(f"error: no case contains {arguments.only!r}", file=sys.stderr)
        return BAD_USAGE
    rows = table.with_ratios()
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "error.json").write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    (arguments.out / "error.md").write_text(markdown(rows, table.left_out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
