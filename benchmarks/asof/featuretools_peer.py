"""The task in featuretools, run by the Python of its own environment: ``featuretools_peer.py FOLDER OUT SHARE``.

Only the persons asked for are given to it, and only a ``SHARE`` of the rows: whole dates drawn at random, since it pays
by the date, until there are enough rows. Prints a line of JSON: rows done, seconds for loading and for computing.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path

WINDOWS = (30, 90, 180, 365, 730)
CATEGORIES = 5


def main() -> None:
    """Read, compute the sample, write it."""
    folder, out, share = sys.argv[1], sys.argv[2], float(sys.argv[3])
    warnings.filterwarnings("ignore")
    import featuretools
    import pandas

    ready, ready_cpu = time.perf_counter(), time.process_time()
    rows = pandas.read_parquet(f"{folder}/rows.parquet").sample(frac=1, random_state=1)
    wanted = max(1, round(len(rows) * share))
    dates = rows["t"].drop_duplicates()
    kept = rows[rows["t"].isin(set(dates.head(max(1, round(len(dates) * share)))))].head(wanted)
    events = pandas.read_parquet(f"{folder}/events.parquet")
    events = events[events["person"].isin(set(kept["person"]))].copy()
    events["date"] = pandas.to_datetime(events["date"])
    for c in range(CATEGORIES):
        events[f"cat{c}"] = (events["category"] == c).astype("int64")
    events = events.drop(columns="category").reset_index(names="event")
    entities = featuretools.EntitySet("task")
    entities.add_dataframe(dataframe_name="events", dataframe=events, index="event", time_index="date")
    people = pandas.DataFrame({"person": sorted(set(kept["person"]))})
    entities.add_dataframe(dataframe_name="persons", dataframe=people, index="person")
    entities.add_relationship("persons", "person", "events", "person")
    t = pandas.to_datetime(kept["t"]) - pandas.Timedelta(seconds=1)
    cutoff = pandas.DataFrame({"person": kept["person"].to_numpy(), "time": t.to_numpy()})
    loaded, loaded_cpu = time.perf_counter(), time.process_time()
    made = {"person": cutoff["person"].to_numpy(), "t": pandas.to_datetime(kept["t"]).to_numpy()}
    features = featuretools.dfs(
        entityset=entities,
        target_dataframe_name="persons",
        agg_primitives=["count", "sum", "max", "time_since_last"],
        trans_primitives=[],
        max_depth=1,
        features_only=True,
    )
    for w in WINDOWS:
        matrix = featuretools.calculate_feature_matrix(
            features, entities, cutoff_time=cutoff, training_window=f"{w} days", cutoff_time_in_index=True
        )
        matrix = matrix.reindex(pandas.MultiIndex.from_frame(cutoff))
        some = matrix["COUNT(events)"].to_numpy() > 0
        made[f"count_{w}"] = matrix["COUNT(events)"].fillna(0).to_numpy()
        made[f"sum_{w}"] = matrix["SUM(events.amount)"].fillna(0).to_numpy()
        made[f"max_{w}"] = pandas.Series(matrix["MAX(events.amount)"].to_numpy()).where(some).to_numpy()
        seconds = pandas.Series(matrix["TIME_SINCE_LAST(events.date)"].to_numpy()).where(some)
        made[f"days_since_{w}"] = (seconds // 86_400).to_numpy()
        for c in range(CATEGORIES):
            made[f"cat{c}_{w}"] = matrix[f"SUM(events.cat{c})"].fillna(0).to_numpy()
    done, done_cpu = time.perf_counter(), time.process_time()
    answer = pandas.DataFrame(made)
    numbers = [c for c in answer if c not in ("person", "t")]
    answer[numbers] = answer[numbers].astype("float64").round().astype("Int64")
    answer.to_parquet(out)
    held = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmHWM"))
    note = {
        "total": time.perf_counter() - ready,
        "cpu": time.process_time() - ready_cpu,
        "compute": done - loaded,
        "compute_cpu": done_cpu - loaded_cpu,
        "megabytes": int(held.split()[1]) / 1024,
        "rows": len(kept),
        "version": f"featuretools {featuretools.__version__}, pandas {pandas.__version__}",
    }
    print(json.dumps(note))


if __name__ == "__main__":
    main()
