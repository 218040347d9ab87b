"""The task in plain Polars, in every form we know. Each takes the two frames and returns the answer."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from benchmarks.asof.task import CATEGORIES, WINDOWS, columns

Form = Callable[[pl.DataFrame, pl.DataFrame], pl.DataFrame]
LONGEST = max(WINDOWS)


def _pairs(events: pl.LazyFrame, rows: pl.LazyFrame, longest_first: bool = False) -> pl.LazyFrame:
    """(row, event) pairs: r, days from the event to T (gap, 0 or more), amount, category."""
    seen = pl.col("date") < pl.col("t")
    if longest_first:
        seen &= pl.col("date") >= pl.col("t") - pl.duration(days=LONGEST)
    return (
        rows.with_row_index("r")
        .join(events, on="person")
        .filter(seen)
        .select(
            "r",
            ((pl.col("t") - pl.col("date")).dt.total_days() - 1).cast(pl.Int32).alias("gap"),
            "amount",
            "category",
        )
    )


def _finish(rows: pl.LazyFrame, made: pl.LazyFrame) -> pl.LazyFrame:
    """Every row once, with 0 where nothing was counted."""
    zero = [c for c in columns() if not c.startswith(("max", "days"))]
    whole = rows.with_row_index("r").join(made, on="r", how="left", maintain_order="left")
    return whole.select("person", "t", *(pl.col(c).fill_null(0) if c in zero else c for c in columns()))


def _filtered() -> list[pl.Expr]:
    out: list[pl.Expr] = []
    for w in WINDOWS:
        inside = pl.col("gap") < w
        out += [
            inside.sum().alias(f"count_{w}"),
            pl.col("amount").filter(inside).sum().alias(f"sum_{w}"),
            pl.col("amount").filter(inside).max().alias(f"max_{w}"),
            pl.col("gap").filter(inside).min().alias(f"days_since_{w}"),
            *((inside & (pl.col("category") == c)).sum().alias(f"cat{c}_{w}") for c in range(CATEGORIES)),
        ]
    return out


def join(events: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """One join, one group-by with filtered aggregates."""
    made = _pairs(events.lazy(), rows.lazy()).group_by("r").agg(_filtered())
    return _finish(rows.lazy(), made).collect()


def streaming(events: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """The same by the streaming engine."""
    made = _pairs(events.lazy(), rows.lazy()).group_by("r").agg(_filtered())
    return _finish(rows.lazy(), made).collect(engine="streaming")


def _wide(events: pl.DataFrame, rows: pl.DataFrame, longest_first: bool) -> pl.DataFrame:
    category = [(pl.col("category") == c).alias(f"is{c}") for c in range(CATEGORIES)]
    inside = [(pl.col("gap") < w).alias(f"count_{w}") for w in WINDOWS]
    flags, sums = [], []
    for w in WINDOWS:
        within = pl.col(f"count_{w}")
        flags += [
            pl.when(within).then("amount").alias(f"max_{w}"),
            pl.when(within).then("gap").alias(f"days_since_{w}"),
            *((within & pl.col(f"is{c}")).alias(f"cat{c}_{w}") for c in range(CATEGORIES)),
        ]
        sums += [
            within.sum(),
            pl.col(f"max_{w}").sum().alias(f"sum_{w}"),
            pl.col(f"max_{w}").max(),
            pl.col(f"days_since_{w}").min(),
            *(pl.col(f"cat{c}_{w}").sum() for c in range(CATEGORIES)),
        ]
    pairs = _pairs(events.lazy(), rows.lazy(), longest_first)
    made = pairs.with_columns(*inside, *category).with_columns(flags).group_by("r").agg(sums)
    return _finish(rows.lazy(), made).collect()


def wide(events: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Flag columns first, then plain sums in one group-by."""
    return _wide(events, rows, longest_first=False)


def wide_longest(events: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """The same, the longest window filtered first."""
    return _wide(events, rows, longest_first=True)


def per_window(events: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """One join, then one group-by a window."""
    pairs = _pairs(events.lazy(), rows.lazy()).collect()
    made = rows.lazy().with_row_index("r").select("r")
    for w in WINDOWS:
        one = (
            pairs.lazy()
            .filter(pl.col("gap") < w)
            .group_by("r")
            .agg(
                pl.len().alias(f"count_{w}"),
                pl.col("amount").sum().alias(f"sum_{w}"),
                pl.col("amount").max().alias(f"max_{w}"),
                pl.col("gap").min().alias(f"days_since_{w}"),
                *((pl.col("category") == c).sum().alias(f"cat{c}_{w}") for c in range(CATEGORIES)),
            )
        )
        made = made.join(one, on="r", how="left")
    return _finish(rows.lazy(), made).collect()


def rolling(events: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """``rolling`` by person over events with the as-of rows mixed in (marked, and counting for nothing)."""
    asked = rows.lazy().with_row_index("r")
    mixed = pl.concat(
        [
            events.lazy().select("person", "date", "amount", "category", r=pl.lit(None, pl.UInt32)),
            asked.select("person", pl.col("t").alias("date"), amount=None, category=None, r="r"),
        ],
        how="vertical_relaxed",
    ).sort("person", "date")
    mixed = mixed.with_columns(when=pl.when(pl.col("r").is_null()).then("date")).collect().lazy()
    made = asked.select("r", "t")
    for w in WINDOWS:
        one = (
            mixed.rolling("date", period=f"{w}d", closed="left", group_by="person")
            .agg(
                pl.col("r").last().alias("dropped"),
                pl.col("amount").count().alias(f"count_{w}"),
                pl.col("amount").sum().alias(f"sum_{w}"),
                pl.col("amount").max().alias(f"max_{w}"),
                pl.col("when").max().alias("latest"),
                *((pl.col("category") == c).sum().alias(f"cat{c}_{w}") for c in range(CATEGORIES)),
            )
            .drop("dropped", "person", "date")
        )
        one = pl.concat([mixed.select("r"), one], how="horizontal").filter(pl.col("r").is_not_null())
        made = made.join(one, on="r", how="left").with_columns(
            ((pl.col("t") - pl.col("latest")).dt.total_days() - 1).alias(f"days_since_{w}")
        )
        made = made.drop("latest")
    return _finish(rows.lazy(), made.drop("t")).collect()


def prefix(events: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """Running totals joined ``asof`` at both ends of each window; the maximum by the join (it has no running form)."""
    is_in = [(pl.col("category") == c).cast(pl.Int64).alias(f"cat{c}") for c in range(CATEGORIES)]
    totals = ["count", "sum", *(f"cat{c}" for c in range(CATEGORIES))]
    running = (
        events.lazy()
        .sort("person", "date")
        .with_columns(is_in)
        .with_columns(pl.lit(1, pl.Int64).alias("count"), pl.col("amount").alias("sum"))
        .select("person", "date", *(pl.col(c).cum_sum() for c in totals), latest="date")
        .group_by("person", "date", maintain_order=True)
        .last()
        .sort("person", "date")
    )
    running = running.collect().lazy()
    asked = rows.lazy().with_row_index("r")

    def at(shift: int, suffix: str) -> pl.LazyFrame:
        """Running totals of the events before t - shift, within the person."""
        when = asked.select("r", "person", when=pl.col("t") - pl.duration(days=shift + 1)).sort(
            "person", "when"
        )
        return when.join_asof(
            running, left_on="when", right_on="date", by="person", check_sortedness=False
        ).select("r", *(pl.col(c).alias(c + suffix) for c in (*totals, "latest")))

    ends = at(0, "_end")
    own = events.lazy().sort("person", "date").with_columns(is_in)
    own = own.with_columns(pl.lit(1, pl.Int64).alias("count"), pl.col("amount").alias("sum"))
    before = (
        own.group_by("person")
        .agg(*(pl.col(c).sum() for c in totals))
        .sort("person")
        .select("person", *((pl.col(c).cum_sum() - pl.col(c)).alias(f"{c}_before") for c in totals))
    )
    table = asked.select("r", "person", "t").join(ends, on="r").join(before, on="person", how="left")
    for w in WINDOWS:
        table = table.join(at(w, "_start"), on="r")
        inside = pl.col("count_end") - pl.coalesce("count_start", "count_before")
        table = table.with_columns(
            *(
                (pl.col(f"{c}_end") - pl.coalesce(f"{c}_start", f"{c}_before")).fill_null(0).alias(f"{c}_{w}")
                for c in totals
            ),
            pl.when(inside > 0)
            .then((pl.col("t") - pl.col("latest_end")).dt.total_days() - 1)
            .alias(f"days_since_{w}"),
        ).drop(f"{c}_start" for c in (*totals, "latest"))
    greatest = (
        _pairs(events.lazy(), rows.lazy(), longest_first=True)
        .group_by("r")
        .agg(pl.col("amount").filter(pl.col("gap") < w).max().alias(f"max_{w}") for w in WINDOWS)
    )
    made = table.drop("person", "t").join(greatest, on="r", how="left")
    return _finish(rows.lazy(), made).collect()


FORMS: dict[str, Form] = {
    "polars join": join,
    "polars streaming": streaming,
    "polars wide": wide,
    "polars wide, longest first": wide_longest,
    "polars per window": per_window,
    "polars rolling": rolling,
    "polars prefix": prefix,
}
