"""Hubbub through its shipped filters: many seeded populations of one metric, estimated in one go.

Each run is a period of its own, so that one fold and one estimate serve all runs of a metric.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

NAMESPACE = "org.example.Peers"
METRIC = f"{NAMESPACE}.asked"
BAD_INPUT = 2
FIRST_WEEK = date(2001, 1, 1)  # a Monday, long closed
INLINE_VALUES = 64  # longer lists go into a file beside the registry


class Refused(Exception):
    """The program knows no mechanism for the metric, or no estimates."""


class Failed(Exception):
    """The program stopped where it should not."""


@dataclass(frozen=True)
class Data:
    """The `data` table of a draft metric, and the values that its list file holds, if it has one."""

    lines: tuple[str, ...]
    listed: tuple[str, ...] = ()


def labels(d: int) -> tuple[str, ...]:
    return tuple(f"v{value}" for value in range(d))


def value_list(d: int) -> Data:
    names = labels(d)
    if d <= INLINE_VALUES:
        return Data((f"values = {json.dumps(names)}",))
    digest = hashlib.sha256("".join(f"{name}\n" for name in names).encode()).hexdigest()
    return Data(('values_file = "values.txt"', f'values_sha256 = "{digest}"'), names)


def categorical(d: int) -> Data:
    listed = value_list(d)
    return Data(('kind = "categorical"', *listed.lines, 'absent = "v0"', 'other = "v1"'), listed.listed)


def sets(d: int, max_items: int) -> Data:
    listed = value_list(d)
    return Data(('kind = "set"', *listed.lines, f"max_items = {max_items}"), listed.listed)


def count(top: int) -> Data:
    return Data(('kind = "count"', f"max = {top}"))


def ordered(d: int) -> Data:
    """d buckets one unit wide, asked for their mean."""
    return Data(('kind = "ordered"', f"edges = {list(range(d + 1))}", 'goal = "mean"', "absent = 0"))


def registry_text(data: Data, epsilon: str) -> str:
    head = ['schema = "hubbub-registry/1"', f'namespace = "{NAMESPACE}"', "[metric.asked]", "id = 1", "version = 1"]
    privacy = [
        "[metric.asked.privacy]",
        f'epsilon = "{epsilon}"',
        'mechanism = "auto"',
        'ask_probability = "1"',
        "max_reports = 1",
        f'lifetime_epsilon = "{epsilon}"',
    ]
    return "\n".join([*head, 'status = "draft"', "[metric.asked.data]", *data.lines, *privacy]) + "\n"


def week(run: int) -> tuple[str, str]:
    """The run's period as the filters take it, and its first day as the rows give it."""
    monday = FIRST_WEEK + timedelta(weeks=run)
    year, number, _ = monday.isocalendar()
    return f"{year}-W{number:02}", monday.isoformat()


def finished(name: str, process: subprocess.Popen[bytes], messages: bytes) -> None:
    if process.returncode != 0:
        raise Failed(f"hubbub {name} ended with {process.returncode}: {messages.decode(errors='replace').strip()}")


def estimate(
    hubbub: Path, data: Data, epsilon: str, runs: Iterable[Sequence[str]], first_seed: int
) -> list[list[dict[str, Any]]]:
    """For each run (the lines of true values of its devices) the rows that `hubbub estimate --json` prints."""
    with tempfile.TemporaryDirectory(prefix="hubbub-peers-") as place:
        root = Path(place)
        registry = root / "registry"
        registry.mkdir()
        (registry / "asked.toml").write_text(registry_text(data, epsilon))
        if data.listed:
            (registry / "values.txt").write_text("".join(f"{name}\n" for name in data.listed))
        common = ["--registry", str(registry)]
        randomize = [str(hubbub), "randomize", *common, "--metric", METRIC]
        probe = subprocess.run(randomize, input=b"", capture_output=True)
        if probe.returncode == BAD_INPUT:
            raise Refused(probe.stderr.decode(errors="replace").strip().replace("\n", " "))

        counters, said = root / "counters", root / "fold.txt"
        first_days = []
        with said.open("w+b") as messages:
            fold = subprocess.Popen(
                [str(hubbub), "fold", *common, "--out", str(counters)],
                stdin=subprocess.PIPE,
                stdout=messages,
                stderr=messages,
            )
            if fold.stdin is None:
                raise Failed("hubbub fold has no standard input")
            for run, lines in enumerate(runs):
                period, first_day = week(run)
                first_days.append(first_day)
                draw = subprocess.Popen(
                    [*randomize, "--period", period, "--seed", str(first_seed + run)],
                    stdin=subprocess.PIPE,
                    stdout=fold.stdin,
                    stderr=subprocess.PIPE,
                )
                _, complaint = draw.communicate("".join(f"{line}\n" for line in lines).encode())
                finished("randomize", draw, complaint)
            fold.stdin.close()
            fold.wait()
            messages.seek(0)
            finished("fold", fold, messages.read())

        request = [str(hubbub), "estimate", *common, "--counters", str(counters), "--out", str(root / "out"), "--json"]
        answer = subprocess.Popen(request, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        output, complaint = answer.communicate()
        finished("estimate", answer, complaint)
        by_day: dict[str, list[dict[str, Any]]] = {first_day: [] for first_day in first_days}
        for row in json.loads(output):
            by_day[row["period_start"]].append(row)
        if not all(by_day.values()):
            raise Refused(f"no estimates: {complaint.decode(errors='replace').strip().splitlines()[:1]}")
        return [by_day[first_day] for first_day in first_days]
