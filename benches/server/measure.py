"""The report server under load, beside a bare HTTP server, in one run on this machine.

Usage: measure.py [--only NAME] [--seconds S] [--pairs N] [--ids N] PROGRAMS_DIR OUT_FILE
PROGRAMS_DIR holds hubbub-aggregator, bare-server and load. Prints tables of figures beside their targets and writes them
to OUT_FILE. Exit 1 when a count is wrong: figures alone fail nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
# Slow connections begin within three seconds; by then they are all there.
SLOW_BEGIN_S = 5


class Wrong(Exception):
    """A count that does not add up."""


@dataclass
class Server:
    process: subprocess.Popen[str]
    address: str
    started_s: float

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory_kib(self, name: str) -> int:
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))

    def forget_peak(self) -> None:
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")


@dataclass
class Export:
    wall_s: float
    peak_kib: int


@contextlib.contextmanager
def server(command: list[str]) -> Iterator[Server]:
    """A server process that is told to end, and waited for."""
    begin = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        if not line.startswith("listening on "):
            raise Wrong(f"{command[0]} does not listen: {process.stderr.read()}")
        yield Server(process, line.split("://")[1].strip(), time.monotonic() - begin)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=120)


class Bench:
    def __init__(self, programs: Path, place: Path, seconds: float, pairs: int) -> None:
        self.programs, self.place, self.seconds, self.pairs = programs, place, seconds, pairs
        self.seed = 0
        self.tables: list[str] = []

    def program(self, name: str, *arguments: object) -> list[str]:
        return [str(self.programs / name), *map(str, arguments)]

    def run(self, *arguments: object, given: str = "") -> dict:
        command = self.program("load", *arguments)
        return json.loads(subprocess.run(command, input=given, stdout=subprocess.PIPE, text=True, check=True).stdout)

    def aggregator(self, name: str, *registry: object) -> Path:
        """A fresh place for a report server: its registry and its configuration, whose path is given."""
        place = self.place / name
        (place / "registry").mkdir(parents=True)
        subprocess.run(self.program("load", "registry", place / "registry", *registry), check=True)
        config = place / "aggregator.toml"
        config.write_text(
            f'listen = "127.0.0.1:0"\nstore = "{place}/store.redb"\nregistry = "{place}/registry"\n'
            f'export_dir = "{place}/counters"\nnode = "a"\n'
        )
        return config

    def report_server(self, config: Path) -> contextlib.AbstractContextManager[Server]:
        return server(self.program("hubbub-aggregator", "run", "--config", config))

    def export(self, config: Path) -> Export:
        begin = time.monotonic()
        command = self.program("hubbub-aggregator", "export", "--config", config)
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise Wrong(f"{command} ended with {process.returncode}")
        return Export(time.monotonic() - begin, usage.ru_maxrss)

    def offer(self, target: Server, registry: Path, connections: int, *metrics: object) -> dict:
        """One run of the load, with the server's own use of the processor."""
        self.seed += 1
        before = target.cpu_s()
        same = ("--registry", registry, "--seed", self.seed, *metrics)
        outcome = self.run(
            "offer", target.address, "--connections", connections, "--seconds", self.seconds, *same
        )
        outcome["options"] = same
        outcome["cpu_us"] = (target.cpu_s() - before) * 1e6 / max(1, sum(outcome["answers"].values()))
        return outcome

    def check_counted(self, target: Server, config: Path, offered: list[dict]) -> str:
        """Exports, and holds the counters against the answers: to those that were answered 202, the ones they get now."""
        for run in offered:
            given = json.dumps(run["pending"])
            run["counted_later"] = self.run("repeat", target.address, *run["options"], given=given)["counted"]
        self.export(config)
        counted = self.run("counted", config.parent / "counters")["reports"]
        answered = sum(run["answers"].get("200", 0) + run["counted_later"] for run in offered)
        lost = sum(run["lost"] for run in offered)
        if lost or counted != answered:
            raise Wrong(f"{counted} reports are in the counters, {answered} were answered 200, {lost} got no answer")
        return f"All {answered:,} reports answered 200, and no others, are in the exported counters."

    def table(self, title: str, rows: list[list[str]], note: str = "") -> None:
        head, *body = rows
        lines = ["| " + " | ".join(row) + " |" for row in body]
        rule = "|---|" + "--:|" * (len(head) - 1)
        text = "\n".join([f"### {title}", "", "| " + " | ".join(head) + " |", rule, *lines, "", note]).rstrip() + "\n"
        print(text, flush=True)
        self.tables.append(text)

    def load(self, connections: int, title: str, *, busy: bool) -> None:
        """Bare and real by turns. Targets are a busy server's: a quiet one waits for a group, and 202 is its honest answer."""
        config = self.aggregator(f"load-{connections}")
        registry = config.parent / "registry"
        bare_runs, real_runs = [], []
        with server(self.program("bare-server")) as bare, self.report_server(config) as real:
            idle_kib = real.memory_kib("VmRSS")
            for _ in range(self.pairs):
                bare_runs.append(self.offer(bare, registry, connections))
                real_runs.append(self.offer(real, registry, connections))
            peak_kib, bare_kib = real.memory_kib("VmHWM"), bare.memory_kib("VmHWM")
            note = self.check_counted(real, config, real_runs)
        note += f" The store has {(config.parent / 'store.redb').stat().st_size / 1e6:,.1f} MB."
        answers = {status: sum(run["answers"].get(status, 0) for run in real_runs) for status in ("200", "202")}
        all_answers = sum(sum(run["answers"].values()) for run in real_runs)
        counted_s = [run["answers_per_s"] * run["answers"].get("200", 0) / sum(run["answers"].values()) for run in real_runs]
        median = statistics.median
        of = lambda runs, key: median(run[key] for run in runs)  # noqa: E731
        bare_s = of(bare_runs, "answers_per_s")
        ids = answers["200"] + sum(run["counted_later"] for run in real_runs)
        allowed_kib = (64 << 10) + 40 * ids / 1024
        rows = [
            ["figure (medians of the runs)", "bare", "hubbub", "target"],
            ["answers a second", f"{bare_s:,.0f}", f"{of(real_runs, 'answers_per_s'):,.0f}", ""],
            ["durable, counted reports a second", "", f"{median(counted_s):,.0f}", ""],
            ["counted / bare", "", f"{median(counted_s) / bare_s:.2f}", "at least 0.7" if busy else ""],
            ["each run", *(" ".join(f"{run['answers_per_s']:,.0f}" for run in runs) for runs in (bare_runs, real_runs)), ""],
            ["CPU a report", f"{of(bare_runs, 'cpu_us'):.1f} us", f"{of(real_runs, 'cpu_us'):.1f} us", "at most 20 us" if busy else ""],
            ["p50", *(f"{of(runs, 'p50_ms'):.1f} ms" for runs in (bare_runs, real_runs)), ""],
            ["p99", *(f"{of(runs, 'p99_ms'):.1f} ms" for runs in (bare_runs, real_runs)), ""],
            ["memory, after the start", "", f"{idle_kib / 1024:,.1f} MiB", ""],
            ["memory, peak", f"{bare_kib / 1024:,.1f} MiB", f"{peak_kib / 1024:,.1f} MiB", f"at most {allowed_kib / 1024:,.1f} MiB"],
            ["ids remembered", "", f"{ids:,}", ""],
            ["answered 200 / 202", "", " / ".join(f"{count / all_answers:.4%}" for count in answers.values()), ""],
        ]
        self.table(f"{title}: {connections:,} connections, 60 metrics", rows, note)

    def slow(self, connections: int = 10_000, honest: int = 256) -> None:
        """An honest load by turns without and with slow connections."""
        config = self.aggregator("slow")
        # So few metrics that the groups of so few connections fill: otherwise everyone waits for the hold's end.
        few = (config.parent / "registry", honest, "--metrics", 4)
        alone, beside, trickles = [], [], []
        with self.report_server(config) as real:
            for _ in range(self.pairs):
                alone.append(self.offer(real, *few))
                # Longer than the honest run, and ended with it.
                command = self.program("load", "slow", real.address, "--connections", connections, "--seconds", 600)
                with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as trickle:
                    time.sleep(SLOW_BEGIN_S)
                    if trickle.poll() is not None:
                        raise Wrong("the slow connections could not be held")
                    held = len(os.listdir(f"/proc/{real.process.pid}/fd"))
                    beside.append(self.offer(real, *few))
                    trickle.terminate()
                trickles.append(held)
            peak_kib = real.memory_kib("VmHWM")
            note = self.check_counted(real, config, alone + beside)
        of = lambda runs, key: statistics.median(run[key] for run in runs)  # noqa: E731
        times = of(beside, "p99_ms") / of(alone, "p99_ms")
        self.table(
            f"{honest} honest connections beside {connections:,} slow ones",
            [
                ["figure (medians of the runs)", "alone", "beside the slow", "target"],
                ["answers a second", *(f"{of(runs, 'answers_per_s'):,.0f}" for runs in (alone, beside)), ""],
                ["p50", *(f"{of(runs, 'p50_ms'):.1f} ms" for runs in (alone, beside)), ""],
                ["p99", *(f"{of(runs, 'p99_ms'):.1f} ms" for runs in (alone, beside)), f"at most doubled: {times:.2f}x"],
                ["each run's p99", *(" ".join(f"{run['p99_ms']:.1f}" for run in runs) for runs in (alone, beside)), ""],
                ["open files of the server", "", f"{min(trickles):,}", f"all {connections:,} connections"],
                ["memory, peak", "", f"{peak_kib / 1024:,.1f} MiB", "at most 256 MiB"],
            ],
            note,
        )

    def exports(self) -> None:
        """A million counters, from a store that no server has open."""
        config = self.aggregator("export", "--metrics", 16, "--values", 16_000)
        with self.report_server(config) as real:
            run = self.offer(real, config.parent / "registry", 2_048)
            note = self.check_counted(real, config, [run])
        runs = [self.export(config) for _ in range(5)]
        counters = self.run("counted", config.parent / "counters")["counters"]
        self.table(
            f"Export of {counters:,} counters, process start and registry included",
            [
                ["figure", "fastest of 5", "median", "target"],
                ["export", *(f"{f(run.wall_s for run in runs):.2f} s" for f in (min, statistics.median)), "1,000,000 in at most 1 s"],
                ["memory, peak", "", f"{max(run.peak_kib for run in runs) / 1024:,.1f} MiB", ""],
            ],
            note,
        )

    def restart(self, ids: int = 10_000_000) -> None:
        """A store of many ids, made by as many reports, opened again."""
        config = self.aggregator("restart")
        runs: list[dict] = []
        with self.report_server(config) as real:
            held = 0
            while held < ids:
                runs.append(self.offer(real, config.parent / "registry", 4_096))
                held += runs[-1]["answers"].get("200", 0)
            grown_kib = real.memory_kib("VmHWM")
            note = self.check_counted(real, config, runs)
            held += sum(run["counted_later"] for run in runs)
        times = []
        for _ in range(3):
            with self.report_server(config) as real:
                times.append(real.started_s)
                peak_kib = real.memory_kib("VmHWM")
        size = (config.parent / "store.redb").stat().st_size
        target_kib = (64 << 10) + 40 * held / 1024
        self.table(
            f"Restart with {held:,} remembered ids, from exec to `listening on`",
            [
                ["figure", "value", "target"],
                ["fastest of 3", f"{min(times):.2f} s", "10,000,000 in at most 2 s"],
                ["median", f"{statistics.median(times):.2f} s", ""],
                ["memory, peak, after the start", f"{peak_kib / 1024:,.0f} MiB", f"at most {target_kib / 1024:,.0f} MiB"],
                ["memory, peak, while they came", f"{grown_kib / 1024:,.0f} MiB", f"at most {target_kib / 1024:,.0f} MiB"],
                ["store", f"{size / 1e6:,.0f} MB", ""],
            ],
            note,
        )

    def largest(self) -> None:
        """The largest metric that a registry can have."""
        config = self.aggregator("largest", "--metrics", 1, "--values", 1 << 20, "--epsilon", 4)
        with self.report_server(config) as real:
            idle_kib = real.memory_kib("VmRSS")
            real.forget_peak()
            run = self.offer(real, config.parent / "registry", 256)
            peak_kib = real.memory_kib("VmHWM")
            note = self.check_counted(real, config, [run])
            export_kib = real.memory_kib("VmHWM")
        exported = self.export(config)
        counters = self.run("counted", config.parent / "counters")["counters"]
        self.table(
            f"The largest metric: 1,048,576 values at epsilon 4, {counters:,} counters",
            [
                ["figure", "value"],
                ["answers a second, 256 connections", f"{run['answers_per_s']:,.0f}"],
                ["p99", f"{run['p99_ms']:,.1f} ms"],
                ["start, reading the registry", f"{real.started_s:.1f} s"],
                ["memory, idle", f"{idle_kib / 1024:,.0f} MiB"],
                ["memory, peak, counting", f"{peak_kib / 1024:,.0f} MiB"],
                ["memory, peak, the server's while it exports", f"{export_kib / 1024:,.0f} MiB"],
                ["export without a server", f"{exported.wall_s:.1f} s"],
                ["its memory, peak", f"{exported.peak_kib / 1024:,.0f} MiB"],
            ],
            note,
        )


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("programs", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--ids", type=int, default=10_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hubbub-bench-") as place:
        bench = Bench(options.programs, Path(place), options.seconds, options.pairs)
        parts = {
            "busy": lambda: bench.load(4_096, "Busy", busy=True),
            "quiet": lambda: bench.load(64, "Quiet", busy=False),
            "slow": bench.slow,
            "export": bench.exports,
            "largest": bench.largest,
            "restart": lambda: bench.restart(options.ids),
        }
        try:
            for name, part in parts.items():
                if options.only in ("", name):
                    part()
        except Wrong as wrong:
            print(f"measure.py: {wrong}", file=sys.stderr)
            return 1
        options.out.write_text("\n".join(bench.tables))
    return 0


if __name__ == "__main__":
    sys.exit(main())
