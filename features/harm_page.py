"""The page docs/harm.md, written from the data files it explains: ``python -m features.harm_page``."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from features.harm import SERIOUS, TABLE, load_scheme, serious_keys

PAGE = Path(__file__).parent.parent / "docs" / "harm.md"

INTRO = """# Harm

Written by `python -m features.harm_page` from `features/data/harm/offences-da.toml` and
`features/data/serious.v1.toml`; change those, not this page.

An offence's harm is a number of days: the starting point a court would reach in the sentencing guideline for a first
offender, as the Cambridge Crime Harm Index takes it. A person's harm is the sum over offences. It ranks; it is not a
forecast of a sentence and says nothing about what one victim went through. Inside the code days are whole hundredths
(`harm_cd`), so that sums are exact.

## How an offence gets its days

By the first of these that matches, and the answer says which it was (`harm_basis`):

1. `athena_urn`;
2. `cjs_code`;
3. `ho_code`, with the description where rows share the code (`008/06`, `8/6` and `00806` are one code);
4. the class (`8N`): the days of the commonest offence of that class, unless the description names another.

- **Several weights share an identifier**: the lowest counts and the row is marked `harm_shared`.
- **Nothing matches**: the lowest weight of the same Home Office number, marked `harm_assumed`. It never makes an event
  serious, and `doorstep check` lists the codes. Never a median over the rows of a sheet: the median row of 'violence
  with injury' is a year, yet nine in ten of its recorded crimes are actual bodily harm at ten days.
- **Nothing known at all**: 0 days, marked `harm_assumed`.
- **Attempts** are priced as the full offence, except an attempt on a life. The official sheet has its own rows.
- **Non-crime incidents** are 0 days. They count as events.
- **Breach of a DVPN or DVPO** is a civil matter: no offence, 0 days. It counts as a breach.

## The official sheet, and other schemes

The Cambridge sheet is not ours to hand on. Download it, export it as CSV with the columns `athena_urn`,
`full_offence_title`, `cchi_days`, `classification_code`, `home_office_classification` and `cjs_codes`, and load it:

```python
from pathlib import Path
from features.harm import load_scheme, price

scheme = load_scheme("cchi", sheet=Path("cchi.csv"))   # the sheet, completed by our table
priced = price(offences, scheme)   # adds harm_cd, harm_assumed, serious, harm_basis, harm_shared, tags
```

`load_scheme("css")` weighs by the ONS Crime Severity Score instead. We ship only the few weights whose label we could
establish; offences of domestic abuse are mostly not among them, so most prices come back assumed and it is not fit for
a list until you give it a CSV with `ho_code` and `weight` from the ONS data tool:
`load_scheme("css", sheet=Path("css.csv"))`. What counts as serious stays the same under every scheme.

Scheme, edition and a digest of the data are part of every score (`HarmScheme.provenance()`).

## What days do not see

Starting points underrate a course of conduct: a stalker with forty contacts can total less than one burglary. Two
weights deserve a second look before they are quoted: controlling or coercive behaviour stands at 84 days beside the
words 'medium community order', which is 10 days elsewhere in the sheet; and non-fatal strangulation has no row in the
2020 edition: 365 days is ours.
"""


def render() -> str:
    """The page as Markdown."""
    rows = tomllib.loads(TABLE.read_text(encoding="utf-8"))["offence"]
    groups = tomllib.loads(SERIOUS.read_text(encoding="utf-8"))["group"]
    about = load_scheme().provenance()
    return "\n".join(
        [
            INTRO,
            "## Serious harm (`serious.v1`)",
            "",
            "What an offence is decides, never its days. A bare class that mixes serious and other offences (8N, 8Q,",
            "20A, 5E) is serious only when a URN, a CJS code, a sub-code or the description says which it was.",
            "",
            *_serious(groups, {row["key"]: row["title"] for row in rows}),
            "",
            "## The table",
            "",
            f"Edition: {about['edition']}. Source: {about['source']}.",
            "*published*: read off the 2020 sheet; *near*: a near offence of the sheet; *own*: our reasoning, no",
            "published value.",
            "",
            *_table(rows),
            "",
        ]
    )


def _serious(groups: list[dict[str, Any]], titles: dict[str, str]) -> list[str]:
    lines = []
    for group in groups:
        classes = f" Classes {', '.join(group['classes'])}." if group["classes"] else ""
        note = f" {group['note']}" if "note" in group else ""
        lines.append(
            f"- **{group['title']}**: {'; '.join(titles[key] for key in group['keys'])}.{classes}{note}"
        )
    return lines


def _table(rows: list[dict[str, Any]]) -> list[str]:
    serious = serious_keys()
    lines = [
        "| offence | class | codes | days | serious | confidence | where from |",
        "|---|---|---|---:|---|---|---|",
    ]
    for row in rows:
        title = f"{row['title']} \\*" if row.get("commonest") else row["title"]
        mark = "yes" if row["key"] in serious else ""
        codes = ", ".join(row["codes"])
        facts = (title, row["class"], codes, f"{row['days']:g}", mark, row["confidence"], row["source"])
        lines.append("| " + " | ".join(facts) + " |")
    return [*lines, "", "\\* stands for its class when the record gives the class alone."]


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
    print(f"wrote {PAGE.name}")
