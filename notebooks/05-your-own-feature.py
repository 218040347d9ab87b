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
# # Your own feature
#
# An analyst who knows the force has an idea: *a man whose victims call at night is on his way up*. This notebook takes
# such an idea from a few lines in a file to a term of the next model, with nothing changed in the package: declared,
# checked, tested by its own example, documented, computed as of any day, trained, explained.

# %%
import os
import tempfile
from pathlib import Path

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import polars as pl

from features.clocks import parse_as_of
from features.home import Home
from features.ingest import ingest
from features.simulate import simulate

pl.Config.set_tbl_rows(12)
pl.Config.set_tbl_hide_dataframe_shape(True)
pl.Config.set_fmt_str_lengths(90)
folder = Path(os.environ.get("DOORSTEP_NOTEBOOK_DIR") or tempfile.mkdtemp())
events_a_year = int(os.environ.get("DOORSTEP_NOTEBOOK_EVENTS", "2000"))

simulate(folder / "force", events_per_year=events_a_year, years=4, seed=11)
home = Home(folder / "home")
report = ingest(folder / "force" / "extract", home)

# %% [markdown]
# ## 1. What is there already?
#
# `doorstep features list` prints all of it; here is one family. A family with a flag serves lists and pages, but no model
# may take it.

# %%
from api.explaining import explained, in_words
from features.own import catalogue_here

catalogue = catalogue_here(home.path)
pl.DataFrame([{"family": f.name, "flags": ", ".join(f.flags), "what": f.text} for f in catalogue.families])

# %%
print(in_words(explained(catalogue, "calls_as_suspect")[0]))

# %% [markdown]
# ## 2. Declare it
#
# A feature is data: which facts it counts, which of them, what it does with them, over which windows; its unit, its name
# in plain English, the direction one expects; and a worked example, a few rows with what must come out. Two features: a
# count of emergency calls by or for a victim, and what share of domestic events had one.

# %%
own = folder / "calls.toml"
own.write_text(
    """
[[family]]
name = "calls for service"
text = "what was asked of the control room, before anything was recorded as a crime"

[[offender]]
name = "victim_emergency_calls"
family = "calls for service"
text = "emergency calls by the victim naming this person as suspect {window}"
unit = "calls"
source = "call_as_suspect"
where = { grade = 1, caller_role = "victim" }
aggregate = "count"
windows = [60, 365]
direction = 1
given = [
  "event E1 2024-05-20 P>V",
  "call C1 2024-05-20T23:10 suspect_id=P grade=1 caller_role=victim",
  "call C2 2024-05-21T08:00 suspect_id=P grade=3 caller_role=victim",       # not an emergency
  "call C3 2024-05-22T22:00 suspect_id=P grade=1 caller_role=professional", # not by the victim
  "call C4 2023-09-20T22:00 suspect_id=P grade=1 caller_role=victim",       # out of 60 days, in 365
]
expect = { victim_emergency_calls_60d = 2, victim_emergency_calls_365d = 2 }

[[offender]]
name = "calls_per_event"
family = "calls for service"
text = "emergency calls by the victim for each domestic-abuse event {window}"
unit = "ratio"
aggregate = "formula"
formula = "share"
of = ["victim_emergency_calls_{w}", "domestic_events_{w}"]
windows = [365]
direction = 0
given = [
  "event E1 2024-05-20 P>V",
  "event E2 2024-02-20 P>V",
  "call C1 2024-05-20T23:10 suspect_id=P grade=1 caller_role=victim",
]
expect = { calls_per_event_365d = 0.5 }
""",
    encoding="utf-8",
)

# %% [markdown]
# ## 3. See it checked
#
# The example says two calls in 60 days. Each engine computes one: the declaration counts what it should, the example
# was wrong. Nothing is kept until both agree.

# %%
from features.errors import InputError
from features.own_check import add, check

try:
    check(own, home.path)
except InputError as problem:
    print(problem)

# %%
own.write_text(own.read_text(encoding="utf-8").replace("calls_60d = 2", "calls_60d = 1"), encoding="utf-8")
checked, what = add(own, home.path)
print(what, checked.columns)

# %% [markdown]
# The same from the shell: `doorstep features check calls.toml`, `doorstep features add calls.toml`. It is documented at
# once, beside the home's other own features:

# %%
print((home.path / "features" / "dictionary.md").read_text(encoding="utf-8")[:900])

# %% [markdown]
# ## 4. As of any day, by the same rules
#
# Nothing recorded after T can change a cell; the slow, plain engine and the fast one give the same bits.

# %%
from features.histories import histories

records = home.require().records()
day = parse_as_of("2025-04-01")
columns = ["victim_emergency_calls_60d", "victim_emergency_calls_365d", "calls_per_event_365d"]
known = histories(records, "offender", day, columns=columns)
some = known.head(50).select("person_id")
slow = histories(records, "offender", day, subjects=some, columns=columns, engine="reference")
assert slow.equals(histories(records, "offender", day, subjects=some, columns=columns))
known.sort("victim_emergency_calls_365d", "person_id", descending=[True, False]).head(6)

# %% [markdown]
# ## 5. In the next training run
#
# It enters with every window it declares. The model's document names the file and its digest, so that the number can be
# made again; a model is refused where the feature has since come to mean something else.

# %%
from models.training import train

trained = train(home, parse_as_of("2025-12-31"), seed=1, track=False)
print(trained.render())
pl.DataFrame(trained.doc["own_features"])

# %% [markdown]
# What weight the model gave it, in log-odds per standard deviation. A weight of nothing is an answer too: the other
# columns, which stand in the same model, already said as much.

# %%
weights = [(term, term["weight"]) for term in trained.doc["heads"]["serious"]["terms"]]
mine = [{"column": t["column"], "kind": t["kind"], "coef": c} for t, c in weights if t["column"] in columns]
pl.DataFrame(mine)

# %% [markdown]
# ## 6. In reasons, with the records behind them
#
# What the feature adds to one person's score, the words a list uses for it, and the records it counts: for the person
# with most such calls on the day of the list.

# %%
from features.evidence import evidence_frame
from models.store import champion
from risk.reasons import tell
from risk.score import score_cohort

load, today = home.require(), parse_as_of("2025-12-31")
cohort_now = histories(load.records(), "offender", today, columns=columns)
person = cohort_now.sort("victim_emergency_calls_365d", "person_id", descending=[True, False])["person_id"][0]
scored = score_cohort(load, champion(home.path), today, [person])
scored.contributions().filter(pl.col("column").is_in(columns))

# %%
column = load.records().declared.column("offender", "victim_emergency_calls_365d")
values = cohort_now.filter(pl.col("person_id") == person).row(0, named=True)
print(tell(column.feature, values, column, up=True))
evidence_frame(load.records(), {"person_id": person}, today, column.name).select(
    "reference", "at", "says"
).head(5)

# %% [markdown]
# ## 7. What may not go in
#
# A family can be flagged. This one says the feature moves with the force's own activity: it is computed and shown, and
# the next model leaves it out with the reason. To ask for it by name is refused.

# %%
from models.dataset import model_columns

patrol = folder / "attention.toml"
patrol.write_text(
    """
[[offender]]
name = "circulations"
family = "enforcement"
text = "times the force circulated this person as wanted {window}"
unit = "times"
source = "wanted"
aggregate = "count"
windows = [180]
direction = 1
given = ["event E1 2024-05-20 P>V", "wanted P 2024-05-21"]
expect = { circulations_180d = 1 }
""",
    encoding="utf-8",
)
kept, _ = add(patrol, home.path)
print(model_columns(records.missing, catalogue=kept.catalogue).left_out["circulations"])

patrol.write_text(patrol.read_text(encoding="utf-8") + "model = true\n", encoding="utf-8")
try:
    check(patrol, home.path)
except InputError as problem:
    print(problem)
