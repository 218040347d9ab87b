"""Write the extract's contract out for the person who exports it: ``python -m features.contract``.

The tables are read off ``features.schema``, so the page cannot say one thing and the front door do another.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from features.schema import REQUIRED_TABLES, SPECS, TableSpec

PAGE = Path(__file__).parent.parent / "docs" / "records-extract.md"

INTRODUCTION = """\
# The records extract

What a force hands over: a folder with one file a table, `TABLE.parquet` or `TABLE.csv` (UTF-8, a header
row). Try it with `doorstep check FOLDER`, which writes nothing and says what is wrong, where, and what
that costs.

- The tables {required} are required. Of the rest, leave out what you do not have: it is reported once
  and the features that need it are left out by name. Nothing is made up in its place.
- **Bold** columns are required. A fault in one puts the row in quarantine; a fault elsewhere blanks the
  cell. Both are logged with table, line, column and value, and the counts add up to the rows read.
- Identifiers are text, compared as they are. A list in a CSV cell is a JSON array.
- Times are ISO 8601. Without a zone they are London time (the autumn hour that comes twice is the first;
  an hour the spring skips moves forward; both are counted). A date alone is the last second of that day.
- Any table may carry `recorded_at` (when the row was first entered) and `withdrawn` (true or false). A
  correction is a further row with the same key and a later `recorded_at`; `withdrawn` ends the key from
  that row's `recorded_at`.
- A column marked *clock: x* was filled in later and counts only from the time in `x`; without it, it
  feeds nothing.
- † is the row's own time. As of T a row is there only when its own time and its `recorded_at` have both
  passed.
- Columns we do not know are ignored and listed.
- `extract.json` beside the tables may say `{{"nature": "simulated"}}` or `"public"`; without it the
  extract is taken to hold a force's own persons.
"""

KINDS = {
    pl.Boolean: "true or false",
    pl.Int64: "whole number",
    pl.Float64: "number",
    pl.Date: "date",
    pl.Datetime: "time",
    pl.List: "list of codes",
    pl.String: "text",
}


def describe(spec: TableSpec) -> str:
    """One table as Markdown: its key, and a row a column."""
    required = " (required table)" if spec.name in REQUIRED_TABLES else ""
    said = (spec.schema.__doc__ or "").split("\n")[0].rstrip()
    lines = [
        f"## `{spec.name}`{required}",
        "",
        said,
        "",
        f"Key: {', '.join(f'`{c}`' for c in spec.key)}.",
        "",
    ]
    lines += ["| column | holds | notes |", "|---|---|---|"]
    columns = spec.schema.columns()
    for name, dtype in spec.dtypes.items():
        facts = columns[name].metadata or {}
        notes = []
        if values := facts.get("values"):
            notes.append(", ".join(f"`{v}`" for v in values))
        elif says := facts.get("says"):
            notes.append(
                says if facts.get("says", "").startswith("an outcome") or "ethnicity" in says else ""
            )
        if name in spec.parents:
            notes.append("points to `{}.{}`".format(*spec.parents[name]))
        if name in spec.later:
            notes.append("clock: itself" if spec.later[name] == name else f"clock: `{spec.later[name]}`")
        shown = f"**`{name}`**" if name in spec.required else f"`{name}`"
        shown += " †" if name == spec.own_time else ""
        lines.append(f"| {shown} | {KINDS[dtype.base_type()]} | {'; '.join(n for n in notes if n)} |")
    return "\n".join(lines)


def page() -> str:
    """The whole page."""
    introduction = INTRODUCTION.format(required=", ".join(f"`{t}`" for t in REQUIRED_TABLES))
    return "\n\n".join([introduction.rstrip(), *(describe(spec) for spec in SPECS.values())]) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"{PAGE.name}: {len(SPECS)} tables")
