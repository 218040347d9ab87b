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
# # Is it fair?
#
# A small force that never was, a model, and the question an equality officer would put: does the list treat groups of
# people differently, how sure can anybody be, and what can the records not show? The simulated force has groups that
# report less, officers who see more in some places, and victims who hit back and are recorded as suspects: what a real
# force has, with the difference that here the truth is known.

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

pl.Config.set_tbl_rows(40)
pl.Config.set_tbl_hide_dataframe_shape(True)
pl.Config.set_fmt_str_lengths(60)
folder = Path(os.environ.get("DOORSTEP_NOTEBOOK_DIR") or tempfile.mkdtemp())
events_a_year = int(os.environ.get("DOORSTEP_NOTEBOOK_EVENTS", "3000"))

# %%
simulate(folder / "force", events_per_year=events_a_year, years=4, seed=11)
home = Home(folder / "home")
ingest(folder / "force" / "extract", home)
load = home.require()

# %% [markdown]
# ## 1. A model, and dates it could not have learnt from
#
# The model knows nothing after 31 March 2024. What it said on six later dates is set beside what was then recorded.

# %%
from features.labels import reporting_delay
from models import compare
from models.dataset import Source
from models.training import Recipe, fit_until

records = load.records()
until = parse_as_of("2024-03-31")
doc = fit_until(records, until, Recipe("elastic_net", 1))
source = Source(records, home.path / "cache" / records.state, reporting_delay(records, until))
dates = [parse_as_of(f"2024-{month:02d}-01") for month in range(5, 11)]
occasions = [compare.occasion(doc, source.frame_at(t), t) for t in dates]
pl.DataFrame(
    [{"T": f"{o.t:%Y-%m-%d}", "persons": o.n, "serious": int(o.outcomes["serious"].sum())} for o in occasions]
)

# %% [markdown]
# ## 2. Who belongs to which group
#
# Sex and ethnicity are in a store that no score can open; this comparison opens it. Groups are as known on the day, and
# who has nothing on record is a group as well: a model that is worse for people the force knows little about must not
# be able to hide it.

# %%
from models import groups

people = groups.groups_of(load)(dates[-1])
cohort = people.filter(pl.col("person_id").is_in(occasions[-1].persons.implode()))
cohort.group_by("sex", "ethnicity_self").len().sort("sex", "len", descending=[False, True])

# %% [markdown]
# ## 3. Every group beside everyone
#
# One call. `list_over_harm` is the share of the list over the share of the harm recorded afterwards; `fnr` the share of
# serious harm that the list missed; `observed_over_expected` harm days recorded over harm days foretold, 1 being right.
# The same draws of persons serve every figure. A count below ten is never shown, nor what one could be
# worked out from.

# %%
from models import fairness

made = fairness.of_load(load, doc, occasions, draws=100, cache=source.cache)
rows = pl.DataFrame(made["fairness"], infer_schema_length=None)
shown = [
    "grouping",
    "group",
    "persons",
    "serious_persons",
    "list_share",
    "harm_share",
    "list_over_harm",
    "assessable",
]
rows.select(shown)

# %% [markdown]
# Do the figures come true for each group? An interval that leaves out 1 is a question; one that lies wholly outside .8 to
# 1.25 is what stops a promotion, where the group has outcomes enough (`assessable`).

# %%
ratio = "observed_over_expected"
rows.filter(pl.col(f"{ratio}_low").is_not_null()).select(
    "grouping", "group", ratio, f"{ratio}_low", f"{ratio}_high", "slope", "fnr_ratio"
)

# %% [markdown]
# ## 4. What the records cannot show
#
# Had a fifth of one group's domestic events never been reported, how many of its places on the list would it lose? Read
# backwards: a group that is reported a fifth less than others today is short of about as many. No figure of the model
# can tell, because the model knows only what was recorded.

# %%
from models import moves

what_if = pl.DataFrame(made["fairness_sensitivity"], infer_schema_length=None)
what_if.filter(pl.col("what") == moves.LESS).select("grouping", "group", "places", "places_then").sort(
    pl.col("places_then") - pl.col("places")
).head(8)

# %% [markdown]
# The same list without the records that police action makes, and with the events that police set going themselves put
# back (the records that models learn from never hold those):

# %%
what_if.filter(pl.col("grouping") == "everyone").select("what", "overlap")

# %% [markdown]
# ## 5. Likely victims recorded as suspects
#
# Someone who hit back once after years of abuse stands on record as a suspect. Where the records show the two roles, the
# pair is found; who has nothing else against them is taken off the list and held for a person to review.

# %%
pl.DataFrame(made["dual_role"], infer_schema_length=None).filter(pl.col("t") == pl.col("t").max())

# %% [markdown]
# ## 6. In plain words
#
# What a report prints as evidence for the Equality duty. The words follow from the rows; whether a difference is
# justified is for a named person.

# %%
from models.fairness_words import render

print(render(made))

# %% [markdown]
# ## 7. Against the truth
#
# Only on a simulated force can it be asked how much was never recorded: of what the people of the last date did, the
# share that reached the records. None of the figures above could have said so. (Few people stand behind most rows, and
# those of whom nothing was ever reported are in no group at all.)

# %%
truth = folder / "force" / "truth"
who = (
    pl.read_parquet(truth / "clusters.parquet")
    .join(cohort, on="person_id")
    .unique("true_person", keep="first", maintain_order=True)
)
known = who.join(pl.read_parquet(truth / "offenders.parquet"), on="true_person")
known.group_by("ethnicity_self").agg(
    persons=pl.len(),
    reported=(pl.col("reported_events").sum() / pl.col("true_events").sum()).round(3),
).filter(pl.col("persons") >= 10).sort("reported")
