"""The demo's Parquet, read and recomputed by other people's programs.

HUBBUB_DEMO names a directory that `hubbub demo` made. Every figure is derived again here from the published counters,
with nothing of Hubbub but its files.
"""

import datetime
import math
import os
import re
from pathlib import Path
from statistics import NormalDist

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

COLUMNS = {
    "metric": pa.string(),
    "metric_id": pa.int64(),
    "metric_version": pa.int64(),
    "category": pa.string(),
    "period_start": pa.date32(),
    "period_end": pa.date32(),
    "statistic": pa.string(),
    "value_index": pa.int64(),
    "value": pa.string(),
    "reports": pa.int64(),
    "noisy_count": pa.int64(),
    "estimate": pa.float64(),
    "std_error": pa.float64(),
    "noise_std_error": pa.float64(),
    "ci95_low": pa.float64(),
    "ci95_high": pa.float64(),
    "consistent": pa.float64(),
    "mechanism": pa.string(),
    "epsilon": pa.float64(),
    "pi1": pa.float64(),
    "pi0": pa.float64(),
    "poisoning_shift_1pct": pa.float64(),
    "suppressed": pa.bool_(),
    "suppression_reason": pa.string(),
}
Z = NormalDist().inv_cdf(0.975)
ESTIMATES = "estimates/period=*/*.parquet"
COUNTERS = "counters/metric=*/version=*/period=*/node=*.parquet"
# A study that is right fails these bounds less than once in a million runs.
ALPHA = 1e-6


@pytest.fixture(scope="session")
def demo() -> Path:
    if not (named := os.environ.get("HUBBUB_DEMO")):
        pytest.fail("set HUBBUB_DEMO to a directory that `hubbub demo` made")
    return Path(named)


def files(demo: Path, pattern: str) -> list[Path]:
    found = sorted(demo.glob(pattern))
    assert found, f"no {pattern} in {demo}"
    return found


@pytest.fixture(scope="session")
def rows(demo: Path) -> list[dict]:
    return [row for file in files(demo, ESTIMATES) for row in pq.ParquetFile(file).read().to_pylist()]


@pytest.fixture(scope="session")
def sums(demo: Path) -> dict:
    """(metric, version, Monday) -> counts by index, reports, parameters."""
    added: dict = {}
    for file in files(demo, COUNTERS):
        metric, version, year, week = re.fullmatch(
            r"metric=(.+)/version=(\d+)/period=(\d{4})-W(\d{2})/node=.+\.parquet",
            file.relative_to(demo / "counters").as_posix(),
        ).groups()
        table = pq.ParquetFile(file).read()
        metadata = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
        counts = dict(zip(table["index"].to_pylist(), table["count"].to_pylist(), strict=True))
        key = (metric, int(version), datetime.date.fromisocalendar(int(year), int(week), 1))
        so_far, reports, _ = added.get(key, ({}, 0, None))
        for index, count in counts.items():
            so_far[index] = so_far.get(index, 0) + count
        added[key] = (so_far, reports + int(metadata["hubbub.reports"]), metadata)
    return added


def behind(row: dict, sums: dict) -> tuple[dict, int, dict]:
    return sums[row["metric"], row["metric_version"], row["period_start"]]


def close(found: float, expected: float, tolerance: float = 1e-12) -> bool:
    return math.isclose(found, expected, rel_tol=tolerance, abs_tol=tolerance)


def test_every_file_has_the_documented_columns(demo):
    for file in files(demo, ESTIMATES):
        schema = pq.ParquetFile(file).schema_arrow
        assert dict(zip(schema.names, schema.types, strict=True)) == COLUMNS, file
        assert schema.names == list(COLUMNS), file
    for file in files(demo, COUNTERS):
        schema = pq.ParquetFile(file).schema_arrow
        assert dict(zip(schema.names, schema.types, strict=True)) == {"index": pa.int64(), "count": pa.int64()}, file


def test_three_readers_agree_on_the_estimates(demo, rows):
    by = ["metric", "metric_version", "period_start", "statistic", "value_index"]
    glob = str(demo / ESTIMATES)
    polars = pl.read_parquet(glob, hive_partitioning=False).sort(by, nulls_last=True)
    duck = duckdb.sql(
        f"SELECT * FROM read_parquet('{glob}', hive_partitioning = false) ORDER BY {', '.join(by)} NULLS LAST"
    )
    arrow = sorted(rows, key=lambda row: [(row[key] is None, row[key]) for key in by])
    assert polars.columns == duck.columns == list(COLUMNS)
    assert polars.to_dicts() == arrow
    assert [dict(zip(duck.columns, row, strict=True)) for row in duck.fetchall()] == arrow


def test_three_readers_agree_on_the_counters(demo, sums):
    glob = str(demo / COUNTERS)
    by = ["metric", "version", "period", "index"]
    polars = (
        pl.scan_parquet(glob, hive_partitioning=True, try_parse_hive_dates=False)
        .group_by(by)
        .agg(pl.col("count").sum())
        .sort(by)
        .collect()
    )
    duck = duckdb.sql(
        f"SELECT {', '.join(by)}, sum(count)::BIGINT AS count FROM read_parquet('{glob}', hive_partitioning = true)"
        f" GROUP BY {', '.join(by)} ORDER BY {', '.join(by)}"
    ).fetchall()
    week = lambda monday: "{0}-W{1:02}".format(*monday.isocalendar())
    arrow = [
        (metric, version, week(monday), index, count)
        for (metric, version, monday), (counts, _, _) in sums.items()
        for index, count in counts.items()
    ]
    same_types = lambda found: [(metric, int(version), str(period), *rest) for metric, version, period, *rest in found]
    assert sorted(same_types(polars.rows())) == sorted(arrow)
    assert sorted(same_types(duck)) == sorted(arrow)


def test_counters_tell_what_they_are(demo):
    for file in files(demo, COUNTERS):
        metadata = pq.ParquetFile(file).metadata.metadata
        assert metadata[b"hubbub.format"] == b"hubbub-counters/1", file
        assert re.fullmatch(rb"sha256:[0-9a-f]{64}", metadata[b"hubbub.registry_digest"]), file
        assert float(metadata[b"hubbub.epsilon"]) > 0, file
        for key in (b"hubbub.reports", b"hubbub.dropped_remainder", b"hubbub.commit_group", b"hubbub.metric_id"):
            assert metadata[key].isdigit(), (file, key)
        assert int(metadata[b"hubbub.dropped_remainder"]) < int(metadata[b"hubbub.commit_group"]), file


def test_estimates_tell_what_they_are(demo, sums):
    for file in files(demo, ESTIMATES):
        metadata = {key.decode(): value.decode() for key, value in pq.ParquetFile(file).metadata.metadata.items()}
        row = pq.ParquetFile(file).read().to_pylist()[0]
        assert metadata["hubbub.format"] == "hubbub-estimates/1", file
        assert metadata["hubbub.registry_digest"] == behind(row, sums)[2]["hubbub.registry_digest"], file
        assert float(metadata["hubbub.epsilon"]) == row["epsilon"], file
        assert metadata["hubbub.periods"] == "{0}-W{1:02}".format(*row["period_start"].isocalendar()), file


def test_every_counter_has_its_estimate(rows, sums):
    estimated = {(row["metric"], row["metric_version"], row["period_start"]) for row in rows}
    assert estimated == {key for key, (_, reports, _) in sums.items() if reports > 0}
    assert {"share", "mean", "total"} == {row["statistic"] for row in rows}


def test_shares_follow_from_counters(rows, sums):
    for row in (row for row in rows if row["statistic"] == "share"):
        counts, n, _ = behind(row, sums)
        pi1, pi0 = row["pi1"], row["pi0"]
        count = counts[row["value_index"]]
        mu, gain = count / n, pi1 - pi0
        assert (row["noisy_count"], row["reports"]) == (count, n), row
        assert close(row["estimate"], (mu - pi0) / gain), row
        assert close(row["std_error"], math.sqrt(mu * (1 - mu) / n) / gain), row
        f = min(max(row["estimate"], 0.0), 1.0)
        noise = f * pi1 * (1 - pi1) + (1 - f) * pi0 * (1 - pi0)
        assert close(row["noise_std_error"], math.sqrt(noise / n) / gain), row
        centre = (count + Z * Z / 2) / (n + Z * Z)
        half = Z * math.sqrt(n * mu * (1 - mu) + Z * Z / 4) / (n + Z * Z)
        assert close(row["ci95_low"], (centre - half - pi0) / gain, 1e-9), row
        assert close(row["ci95_high"], (centre + half - pi0) / gain, 1e-9), row
        assert close(row["poisoning_shift_1pct"], 0.01 * (1 - pi0) / gain), row


def test_consistent_shares_are_a_distribution(rows):
    groups: dict = {}
    for row in (row for row in rows if row["statistic"] == "share"):
        groups.setdefault((row["metric"], row["metric_version"], row["period_start"]), []).append(row)
    for shares in groups.values():
        consistent = [row["consistent"] for row in shares]
        assert min(consistent) >= 0 and close(sum(consistent), 1.0), shares[0]["metric"]
        # The nearest distribution takes the same from every share that it leaves above zero.
        taken = {round(row["estimate"] - row["consistent"], 9) for row in shares if row["consistent"] > 0}
        assert len(taken) == 1, shares[0]["metric"]


def test_means_and_totals_follow_from_counters(rows, sums):
    for row in (row for row in rows if row["mechanism"] == "folded_geometric"):
        counts, n, metadata = behind(row, sums)
        alpha = int(re.search(r'"alpha_2_64":"(\d+)"', metadata["hubbub.parameters"])[1]) / 2**64
        top = max(counts)
        unbiased = [float(y) for y in range(top + 1)]
        unbiased[0] -= alpha / (1 - alpha)
        unbiased[top] += alpha / (1 - alpha)
        mean = sum(counts[y] * g for y, g in enumerate(unbiased)) / n
        spread = sum(counts[y] * (g - mean) ** 2 for y, g in enumerate(unbiased)) / n
        scale = {"mean": 1, "total": n}[row["statistic"]]
        assert close(row["estimate"], scale * mean, 1e-9), row
        assert close(row["std_error"], scale * math.sqrt(spread / n), 1e-9), row
        assert close(row["ci95_high"] - row["ci95_low"], 2 * Z * row["std_error"], 1e-9), row
        assert close(row["consistent"], scale * min(max(mean, 0), top), 1e-9), row
        assert 0 <= row["noise_std_error"], row


def test_periods_are_whole_weeks(rows):
    for row in rows:
        assert row["period_start"].isoweekday() == 1
        assert row["period_end"] - row["period_start"] == datetime.timedelta(days=7)


def at_most(successes: int, n: int, chance: float) -> float:
    """The probability of at most so many successes in n independent trials."""
    log_chance, log_rest = math.log(chance), math.log1p(-chance)
    ways = lambda k: math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return sum(math.exp(ways(k) + k * log_chance + (n - k) * log_rest) for k in range(successes + 1))


def test_intervals_cover_the_truth(demo, rows, capsys):
    truth = {
        (fact["metric"], fact["statistic"], fact["value"]): fact["truth"]
        for fact in pq.read_table(demo / "truth.parquet").to_pylist()
    }
    # The two shares of a boolean mirror each other, so one of them says it all.
    pairs = [
        (row, truth[key])
        for row in rows
        if (key := (row["metric"], row["statistic"], row["value"])) in truth and row["value"] != "false"
    ]
    missing = {metric for metric, _, _ in truth} - {row["metric"] for row, _ in pairs}
    assert not missing, f"no estimates of {sorted(missing)}"
    covered = sum(row["ci95_low"] <= true <= row["ci95_high"] for row, true in pairs)
    with capsys.disabled():
        print(f"\n{covered} of {len(pairs)} intervals cover the truth ({covered / len(pairs):.1%})")
    assert at_most(covered, len(pairs), 0.95) > ALPHA, "the intervals are too narrow"
    assert at_most(len(pairs) - covered, len(pairs), 0.05) > ALPHA, "the intervals are too wide"
