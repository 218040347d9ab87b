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
# # Retraining: from a month's new data to a promoted model
#
# A force has a model in use. A month of records has come in. This notebook takes the month in, asks whether anything has
# changed, trains again, lets the gates judge, and shows what a named person then signs; and how it is taken back. Every
# step is one call; the command line makes the same ones (`doorstep ingest`, `drift`, `train`, `promote`, `rollback`).

# %%
import os
import tempfile
from pathlib import Path

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import polars as pl

from features.clocks import parse_as_of
from features.errors import InputError
from features.home import Home
from features.ingest import ingest
from features.simulate import simulate
from models import promote, store
from models.promote import Signature
from models.training import train

pl.Config.set_tbl_rows(40)
pl.Config.set_tbl_hide_dataframe_shape(True)
pl.Config.set_fmt_str_lengths(110)
folder = Path(os.environ.get("DOORSTEP_NOTEBOOK_DIR") or tempfile.mkdtemp())
events_a_year = int(os.environ.get("DOORSTEP_NOTEBOOK_EVENTS", "3000"))

# %% [markdown]
# ## 1. Where we stand at the end of November
#
# A simulated force of four years. Its extract as it stood on 30 November is everything recorded by then; the whole one
# is December's. (A real force simply exports twice.)

# %%
simulate(folder / "force", events_per_year=events_a_year, years=4, seed=11)
december = folder / "force" / "extract"
november = folder / "november"
november.mkdir(exist_ok=True)
end = parse_as_of("2025-11-30")
for table in sorted(december.glob("*.parquet")):
    rows = pl.read_parquet(table)
    known = rows.filter(pl.col("recorded_at") <= end) if "recorded_at" in rows.columns else rows
    known.write_parquet(november / table.name)
(november / "extract.json").write_text('{"nature": "simulated", "made_by": "a notebook"}')

home = Home(folder / "home")
ingest(november, home)
first = train(home, end, seed=1)
print(first.render())

# %% [markdown]
# The last line says it: the first model of a *simulated* force is tried without an approval. With records of real people
# it would wait, and no list could be made, until somebody had signed for it. So let us do that.

# %% [markdown]
# ## 2. What the gates say
#
# They are in `models/data/gates.toml`. Judging takes a while: the model is fitted again from the same load and seed, to
# see that it comes out the same to the bit.


# %%
def verdicts(change: promote.Change) -> pl.DataFrame:
    """The gates as a table."""
    rows = [{"gate": v.gate, "outcome": v.outcome, "what was found": v.words} for v in change.verdicts]
    return pl.DataFrame(rows)


verdicts(promote.check(home, first.doc["version"]))

# %% [markdown]
# ## 3. A named person decides
#
# A small force has few outcomes, so it is no wonder when gates stand against the model: an interval that should lie above
# nought is wide. The refusal says which gates and by how much, and changes nothing. Groups with fewer than 50 outcomes
# cannot be assessed; whoever approves signs for them by name.

# %%
plain = Signature("A. Approver", "first model of this force", sign=True)


def decide(version: str, signature: Signature, why_all_the_same: str) -> promote.Change:
    """Promote; if the gates refuse, show the refusal and put it in use all the same, by an override."""
    try:
        return promote.promote(home, version, signature)
    except InputError as refusal:
        print("REFUSED:", refusal.what, "\n", refusal.cure, "\n")
        loud = Signature(signature.by, signature.reason, sign=True, override=why_all_the_same)
        return promote.promote(home, version, loud)


done = decide(first.doc["version"], plain, "a notebook on a force that never was; never do this with people")
print(done.render())

# %% [markdown]
# An override is loud on purpose: it is the first line of every list made with the model.

# %%
from risk.priority import publish
from risk.published import shown

listed = publish(home, end)
print(listed.summary())
print(shown(listed, home, team=None, top=5).note)

# %% [markdown]
# ## 4. December's records come in
#
# The extract is whole each time. First the question that comes before any training: do these records still mean what they
# meant? `drift` sets each month beside what the months before it promise.

# %%
from models.drift import drift

ingest(december, home)
print(drift(home, months=2).render())

# %% [markdown]
# ## 5. Train again
#
# Nothing recorded after the last day of December. The model in use stays in use: the new one is a challenger.

# %%
second = train(home, parse_as_of("2025-12-31"), seed=1)
print(second.render())

# %% [markdown]
# ## 6. Beside the model in use
#
# Now there is a champion to hold. Both are judged on the same persons and dates; each is made again as it would have been
# made before them, so that neither has seen the answers. Two models made the same way differ little there, and should:
# the gate keeps out a new one that is worse, not one that is only newer.

# %%
judged = promote.check(home, second.doc["version"])
verdicts(judged).filter(pl.col("gate").is_in(["holds the champion", "beats rules: AUC", "reproducible"]))

# %%
again = Signature("A. Approver", "December's records; same figures", sign=True)
done = decide(second.doc["version"], again, "a notebook on a force that never was; never do this with people")
print(done.render().splitlines()[-1])
publish(home, parse_as_of("2025-12-31")).list_id

# %% [markdown]
# ## 7. And back
#
# If the new one turns out wrong, one call puts the last champion back. What happened, and who did it, is a file anyone can
# read.

# %%
print(promote.rollback(home.path, "B. Chief", "the teams report names that make no sense").render())
pl.DataFrame(
    [{k: entry[k] for k in ("at", "kind", "version", "by", "reason")} for entry in store.history(home.path)]
)

# %% [markdown]
# ## 8. The record
#
# Each training run is an MLflow run with its load and digest, settings, figures, tables, plots, the model itself and
# every decision about it. The registry's alias follows the pointer that scoring reads.

# %%
from models import tracking

with tracking.recording(home.path) as client:
    held = client.get_model_version_by_alias(tracking.REGISTERED, "champion")
    run = client.get_run(held.run_id)
    kept = sorted(f.path for f in client.list_artifacts(held.run_id))
assert held.tags["doorstep.version"] == first.doc["version"]
print("champion in the registry:", held.tags["doorstep.version"], "load", run.data.params["load_id"])
print("AUC of model and best rule:", run.data.metrics["auc.model"], run.data.metrics["auc.rfgv"])
print("kept with the run:", ", ".join(kept))
