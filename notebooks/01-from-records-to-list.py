# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # From records to a list
#
# A small force that never was, its records through the front door, histories as they stood on a day, a model that has
# seen nothing after a day, the same persons judged by the rules forces use today, and the list. Every step is one call;
# the command line makes the same ones.

# %%
import os
import tempfile
from pathlib import Path

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import polars as pl

from features.clocks import parse_as_of
from features.histories import histories
from features.home import Home
from features.ingest import ingest
from features.simulate import simulate

pl.Config.set_tbl_rows(12)
pl.Config.set_tbl_hide_dataframe_shape(True)
folder = Path(os.environ.get("DOORSTEP_NOTEBOOK_DIR") or tempfile.mkdtemp())
events_a_year = int(os.environ.get("DOORSTEP_NOTEBOOK_EVENTS", "3000"))

# %% [markdown]
# ## 1. An extract
#
# Four years of records of a force with a few thousand domestic events a year, in the tables a force would export. The
# truth about every person is written apart, and no step below looks at it.

# %%
summary = simulate(folder / "force", events_per_year=events_a_year, years=4, seed=7)
pl.DataFrame({"table": list(summary["rows"]), "rows": list(summary["rows"].values())})

# %% [markdown]
# ## 2. Through the front door
#
# Each row is kept, or quarantined with the reason; nothing is dropped silently.

# %%
home = Home(folder / "home")
report = ingest(folder / "force" / "extract", home)
print(report.render())

# %% [markdown]
# ## 3. What was known on a day
#
# The histories of every suspect as they stood at 06:00 on 1 April 2025: nothing recorded later can change a cell.

# %%
records = home.require().records()
day = parse_as_of("2025-04-01")
shown = [
    "domestic_events_90d",
    "domestic_events_365d",
    "harm_days_365d",
    "days_since_domestic",
    "distinct_victims_1095d",
]
known = histories(records, "offender", day, columns=shown)
known.sort("harm_days_365d", "person_id", descending=[True, False]).head(8)

# %% [markdown]
# ## 4. A model that has seen nothing after a day
#
# Trained until 31 December 2025: the newest date it learns from is the last whose outcomes were complete by then. Before
# it is kept it is tested on dates it could not have learnt from, beside the simple rules.

# %%
from models.training import train

trained = train(home, parse_as_of("2025-12-31"), seed=1)
print(trained.render())

# %% [markdown]
# What it adds up: the largest coefficients, per standard deviation of the history.

# %%
from models.report_learnt import coefficients

pl.DataFrame([{k: row[k] for k in ("text", "coef")} for row in coefficients(trained.doc)[:10]])

# %% [markdown]
# ## 5. Beside the rules a force has today
#
# Same persons, same dates. The model in use has seen the future of these dates, so it is made again as it would have
# been made then; the first line says so.

# %%
from models.evaluate import evaluate

found = evaluate(home, [parse_as_of(f"2024-{month:02d}-01") for month in (7, 8, 9)], draws=60)
print(found.facts["how"])
pooled = [r for r in found.tables["ranking"] if r["t"] == "pooled" and r["cohort"] == "active_365"]
pl.DataFrame(pooled).select("score", "auc", "auc_low", "auc_high", "capture_100", "capture_1pc", "ppv_100")

# %% [markdown]
# How much of the harm no list could have reached, because those who did it were not on record as suspects:

# %%
pl.DataFrame([{"T": r["t"][:10], "harm out of reach": r["harm_unreachable"]} for r in found.tables["reach"]])

# %% [markdown]
# ## 6. The list
#
# Frozen, with the load, the model and the harm edition it came from, and reasons that cite records.

# %%
from risk.priority import publish

published = publish(home, parse_as_of("2025-12-31"))
published.list_id

# %% [markdown]
# "x in 100" always means: recorded for serious harm within 365 days. The list is advice; a named person decides.
