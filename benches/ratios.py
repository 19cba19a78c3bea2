"""Two tables from what `cargo bench` and the Python peers left: figures beside their limits, and clients side by side.

Usage: ratios.py CRITERION_DIR [SPEED_JSONL]
Exit 1 when a figure is above its limit, 2 when there is nothing to read.

A group of criterion is a figure; its function `hubbub` carries the limit ("150 ns" for one element), every other one is a
peer. What is compared is the fastest sample of each: other work on a busy machine slows a sample down and never speeds it
up. The median is printed to show how busy it was. A line of SPEED_JSONL is a Python peer's client for d categories; it
stands beside our report of as many values from the seeded generator.
"""

from __future__ import annotations

import json
import statistics
import sys
from dataclasses import dataclass, field
from pathlib import Path

UNITS_NS = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}


@dataclass
class Time:
    """Nanoseconds for one element."""

    fastest: float
    median: float


@dataclass
class Figure:
    ours: Time | None = None
    limit: str = ""
    peers: list[tuple[str, float]] = field(default_factory=list)


def time_of(folder: Path, elements: int) -> Time:
    sample = json.loads((folder / "sample.json").read_text())
    times = [time / iterations / elements for time, iterations in zip(sample["times"], sample["iters"], strict=True)]
    return Time(min(times), statistics.median(times))


def read_criterion(top: Path) -> dict[str, Figure]:
    figures: dict[str, Figure] = {}
    # In the order of the run, which is that of the source.
    for path in sorted(top.glob("**/new/benchmark.json"), key=lambda path: path.stat().st_mtime_ns):
        benchmark = json.loads(path.read_text())
        time = time_of(path.parent, benchmark["throughput"]["Elements"])
        figure = figures.setdefault(benchmark["group_id"], Figure())
        if benchmark["function_id"] == "hubbub":
            figure.ours, figure.limit = time, benchmark["value_str"]
        else:
            figure.peers.append((benchmark["function_id"], time.fastest))
    return {name: figure for name, figure in figures.items() if figure.ours}


def in_ns(limit: str) -> float:
    number, unit = limit.split()
    return float(number) * UNITS_NS[unit]


def shown(nanoseconds: float) -> str:
    unit = max((unit for unit in UNITS_NS if nanoseconds >= UNITS_NS[unit]), key=UNITS_NS.get, default="ns")
    digits = max(0, 2 - len(str(int(nanoseconds / UNITS_NS[unit]))) + 1)
    return f"{nanoseconds / UNITS_NS[unit]:.{digits}f} {unit}"


def print_figures(figures: dict[str, Figure]) -> None:
    print("| figure | fastest | median | limit | peer | its fastest | hubbub / peer |")
    print("|---|--:|--:|--:|---|--:|--:|")
    for name, figure in figures.items():
        columns = [name, shown(figure.ours.fastest), shown(figure.ours.median), figure.limit]
        for peer, time in figure.peers:
            print(f"| {' | '.join(columns)} | {peer} | {shown(time)} | {figure.ours.fastest / time:.2f} |")
            columns = [""] * len(columns)


def print_clients(figures: dict[str, Figure], speed: Path) -> None:
    ours: dict[int, float] = {}
    theirs: dict[str, dict[int, float]] = {}
    for row in map(json.loads, speed.read_text().splitlines()):
        found = [figures.get(f"randomize {family} d={row['d']}") for family in ("subset", "cyclotomic")]
        for figure in filter(None, found):
            ours[row["d"]] = figure.ours.fastest
            theirs.setdefault(f"{row['peer']}, {row['mechanism']}", {})[row["d"]] = row["ns_per_report"]
    print(f"| one report, epsilon 1 | {' | '.join(f'd = {d}' for d in ours)} |")
    print(f"|---|{'--:|' * len(ours)}")
    print(f"| hubbub | {' | '.join(shown(time) for time in ours.values())} |")
    for peer, times in theirs.items():
        cells = [f"{shown(times[d])} ({times[d] / ours[d]:,.1f}x)" if d in times else "" for d in ours]
        print(f"| {peer} | {' | '.join(cells)} |")


def main(arguments: list[str]) -> int:
    if len(arguments) not in (1, 2):
        print(__doc__.split("\n\n")[1], file=sys.stderr)
        return 2
    figures = read_criterion(Path(arguments[0]))
    if not figures:
        print(f"{arguments[0]} holds no samples; run `make bench`", file=sys.stderr)
        return 2
    print_figures(figures)
    if len(arguments) == 2:
        print()
        print_clients(figures, Path(arguments[1]))
    above = {name: figure for name, figure in figures.items() if figure.ours.fastest > in_ns(figure.limit)}
    for name, figure in above.items():
        print(f"{name}: {shown(figure.ours.fastest)} is above the limit of {figure.limit}", file=sys.stderr)
    return 1 if above else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
