"""The task in DuckDB, NumPy and pandas, each in the idiom that suits it best. Each imports its library when called."""

from __future__ import annotations

import polars as pl

from benchmarks.asof.task import CATEGORIES, WINDOWS, columns


def duckdb(folder: str, out: str) -> None:
    """One statement, from Parquet to Parquet; the join keeps rows without events, which count for nothing."""
    import duckdb as library

    cells = []
    for w in WINDOWS:
        inside = f"FILTER (t - date <= {w})"
        cells += [
            f"count(date) {inside} AS count_{w}",
            f"coalesce(sum(amount) {inside}, 0)::BIGINT AS sum_{w}",
            f"max(amount) {inside} AS max_{w}",
            f"min(t - date - 1) {inside} AS days_since_{w}",
            *(
                f"count(*) FILTER (t - date <= {w} AND category = {c}) AS cat{c}_{w}"
                for c in range(CATEGORIES)
            ),
        ]
    library.sql("SET threads = 2; SET preserve_insertion_order = false")
    library.sql(
        f"""COPY (
        SELECT r.person, r.t, {", ".join(cells)}
        FROM read_parquet('{folder}/rows.parquet') r LEFT JOIN read_parquet('{folder}/events.parquet') e
        ON r.person = e.person AND e.date < r.t AND e.date >= r.t - {max(WINDOWS)}
        GROUP BY r.person, r.t) TO '{out}' (FORMAT parquet)"""
    )


def numpy(events: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Sort, binary searches, running totals: the sorted plan written by hand, in one thread."""
    import numpy as np

    first = events["date"].to_physical().min()
    span = 4_096
    key = events["person"].to_numpy() * span + (events["date"].to_physical().to_numpy() - first)
    order = np.argsort(key, kind="stable")
    key, amount = key[order], events["amount"].to_numpy()[order]
    category = events["category"].to_numpy()[order]
    person, day = rows["person"].to_numpy(), rows["t"].to_physical().to_numpy().astype(np.int64) - first
    order = np.argsort(person * span + day)
    person, day = person[order], day[order]
    end = np.searchsorted(key, person * span + day)
    padded = np.append(amount, 0)
    running = [
        np.concatenate(([0], np.cumsum(v))) for v in (amount, *(category == c for c in range(CATEGORIES)))
    ]
    since = day - 1 - key[end - 1] % span
    out: dict[str, pl.Series] = {}
    for w in WINDOWS:
        begin = np.searchsorted(key, person * span + np.maximum(day - w, 0))
        some = end > begin
        sums = [r[end] - r[begin] for r in running]
        greatest = np.zeros(end.size, dtype=np.int64)
        bounds = np.column_stack((begin[some], end[some])).ravel()
        greatest[some] = np.maximum.reduceat(padded, bounds)[::2] if bounds.size else 0
        null = pl.Series(~some)
        out[f"count_{w}"] = pl.Series(end - begin)
        out[f"sum_{w}"] = pl.Series(sums[0])
        out[f"max_{w}"] = pl.Series(greatest).set(null, None)
        out[f"days_since_{w}"] = pl.Series(since).set(null, None)
        out |= {f"cat{c}_{w}": pl.Series(sums[c + 1]) for c in range(CATEGORIES)}
    return pl.DataFrame({"person": person, "t": rows["t"].gather(order), **out})


def pandas(folder: str, out: str) -> None:
    """Merge, then one group-by a window over what a mask leaves."""
    import pandas as library

    events = library.read_parquet(f"{folder}/events.parquet")
    rows = library.read_parquet(f"{folder}/rows.parquet")
    epoch = library.Timestamp(0)
    for frame, column in ((events, "date"), (rows, "t")):
        frame["n"] = (library.to_datetime(frame[column]) - epoch).dt.days.astype("int32")
    for c in range(CATEGORIES):
        events[f"cat{c}"] = (events["category"] == c).astype("int32")
    asked = rows[["person", "n"]].rename(columns={"n": "t_n"}).reset_index(names="r")
    keep = ["person", "n", "amount", *(f"cat{c}" for c in range(CATEGORIES))]
    pairs = asked.merge(events[keep], on="person")
    pairs["gap"] = pairs["t_n"] - pairs["n"] - 1
    pairs = pairs[(pairs["gap"] >= 0) & (pairs["gap"] < max(WINDOWS))].drop(columns=["person", "n", "t_n"])
    whole = [rows[["person", "t"]]]
    for w in WINDOWS:
        inside = pairs[pairs["gap"] < w].groupby("r", sort=False)
        made = inside.agg(
            **{
                f"count_{w}": ("gap", "size"),
                f"sum_{w}": ("amount", "sum"),
                f"max_{w}": ("amount", "max"),
                f"days_since_{w}": ("gap", "min"),
                **{f"cat{c}_{w}": (f"cat{c}", "sum") for c in range(CATEGORIES)},
            }
        ).reindex(rows.index)
        zero = [c for c in made if not c.startswith(("max", "days"))]
        made[zero] = made[zero].fillna(0).astype("int64")
        whole.append(made)
    answer = library.concat(whole, axis=1)
    answer[["person", "t", *columns()]].to_parquet(out)
