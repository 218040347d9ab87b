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
# # Published numbers: the NIJ recidivism challenge
#
# Anyone can beat a straw man. In 2021 the US National Institute of Justice gave out the records of people released on
# parole in Georgia and asked who would be arrested in the first, second and third year; teams from all over took part, and
# what the best of them reached is known. The same learners that make a force's list are put to that task here.
#
# It is not domestic abuse, and not a force. It answers one question: are the plain models of this toolkit as good as
# what others publish, when all look at the same kind of rows?
#
# The rows are public but not part of this repository. Where they are not at hand, invented rows of the same layout stand in:
# the cells run, the figures mean nothing, and the next cell says so.

# %%
import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
sys.path[:0] = [str(p) for p in (Path.cwd(), Path.cwd().parent) if (p / "benchmarks").is_dir()]

import numpy as np
import polars as pl

from benchmarks import nij_data
from benchmarks.nij_data import brier, encode, facts, fair_and_accurate
from benchmarks.nij_made_up import made_up
from models import families
from models.scorecard import card

pl.Config.set_tbl_rows(20)
pl.Config.set_tbl_hide_dataframe_shape(True)
pl.Config.set_fmt_str_lengths(70)
file = nij_data.default_data() / "nij_train.parquet"
real = file.is_file()
rows = encode(nij_data.read(file) if real else made_up(4000, seed=1))
if real:
    print(f"{rows.frame.height:,} persons of the challenge's training rows")
else:
    print(
        "The challenge's rows are not here (set DOORSTEP_DATA): these are INVENTED rows, the figures mean nothing."
    )

# %% [markdown]
# ## 1. The task and its yardstick
#
# Each year is judged among those not arrested before it. The error is the mean squared error of a probability, for men and
# women apart, then averaged; so women, an eighth of the persons, weigh as much as men.

# %%
pl.DataFrame(
    [
        {
            "year": year,
            "persons": int(rows.at_risk[year].sum()),
            "arrested": f"{100 * rows.outcome[year][rows.at_risk[year]].mean():.1f} %",
            "each sex's rate for everyone": round(
                brier(
                    nij_data.constant(
                        y := rows.outcome[year][rows.at_risk[year]], f := rows.female[rows.at_risk[year]], f
                    ),
                    y,
                    f,
                ),
                4,
            ),
            "winners, small team (other rows, second-hand)": facts()["winners"]["small"][year - 1],
        }
        for year in nij_data.YEARS
    ]
)

# %% [markdown]
# ## 2. Four families, one split
#
# The full comparison takes five folds and three years (`python -m benchmarks.nij`, [its page](../docs/results-nij.md)). Here
# is Year 2 with one person in five held out, twice: with what is known at release, and with the columns that were written
# during the whole of the parole.

# %%
YEAR = 2
at = np.flatnonzero(rows.at_risk[YEAR])
held = np.random.default_rng(1).random(len(at)) < 0.2
learn, judge = at[~held], at[held]
y, female, black = rows.outcome[YEAR], rows.female, rows.black

fitted = {}
table = []
for what, supervision in (("known at release", False), ("and during parole", True)):
    shapes = rows.shapes(supervision, sex=True)
    for family in families.NAMES:
        model = families.make(family, shapes).fit(rows.frame[learn], y[learn])
        p = model.predict_proba(rows.frame[judge])[:, 1]
        fitted[what, family] = (model, p)
        table.append(
            {
                "columns": what,
                "family": model.title,
                "Brier": round(brier(p, y[judge], female[judge]), 4),
                "fair and accurate": round(fair_and_accurate(p, y[judge], female[judge], black[judge]), 4),
            }
        )
pl.DataFrame(table)

# %% [markdown]
# ## 3. Why the second half of that table is no forecast
#
# Days in work and jobs a year were counted until the parole ended, and for those arrested early it ended early. The length
# of a job alone tells how long the parole lasted. The challenge allows these columns in Years 2 and 3; a force that makes a
# forecast at release does not have them. A model that looks this good for such a reason is what the leak check of
# `doorstep evaluate` is for.

# %%
work = rows.frame[at].with_columns(arrested=pl.Series(y[at]))
work.group_by(
    pl.col("Percent_Days_Employed").cut([0.001, 0.25, 0.5, 0.75, 0.999]).alias("share of days in work")
).agg(persons=pl.len(), arrested_in_year_2=pl.col("arrested").mean().round(3)).sort(
    "persons", descending=True
)

# %% [markdown]
# ## 4. The card
#
# What an officer could add up on paper, from what is known at release, and what the total means. The gap to the best model is
# the price of being able to do so.

# %%
points = card(fitted["known at release", "scorecard"][0].head())
pl.DataFrame(
    [
        {
            "line": item["column"],
            "when": f"at least {item['at_least']:g}"
            if "at_least" in item
            else f"less than {item['below']:g}"
            if "below" in item
            else "not recorded",
            "points": item["points"],
        }
        for item in points["items"]
    ]
)

# %%
totals = points["totals"]
pl.DataFrame(
    [
        {"points": t["points"], "in 100": round(100 * t["probability"])}
        for t in totals[:: max(len(totals) // 12, 1)]
    ]
)

# %% [markdown]
# ## 5. A yardstick can be gamed
#
# "Fair and accurate" takes off the difference in false positives between Black and white people, counted at p >= 0.5. Cut every
# chance off just below a half, and nobody is ever counted: perfect by that rule, and no fairer to anyone. That is why promotion
# here asks for several figures at once, and why nothing is cut off in the results.

# %%
p = fitted["and during parole", "boosted"][1]
clipped = np.minimum(p, 0.499)
for name, q in (("as forecast", p), ("cut off below a half", clipped)):
    print(
        f"{name:22} Brier {brier(q, y[judge], female[judge]):.4f}   fair and accurate "
        f"{fair_and_accurate(q, y[judge], female[judge], black[judge]):.4f}"
    )
