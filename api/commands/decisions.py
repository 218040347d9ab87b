"""What people decided, for those who audit and evaluate."""

from __future__ import annotations

from api.commands.shared import HomeOption, JsonOption, app, home_folder, take, trail
from api.console import say


@app.command()
def exposure(home: HomeOption = None, json: JsonOption = False) -> None:
    """Write who was exposed to which list and decision, apart from what scores. Publish and train do it too."""
    take(home, json)
    from risk.agreement import agreement
    from risk.exposure import write_exposure
    from risk.published import lists
    from risk.words import count

    place = home_folder()
    place.require()
    with trail(place) as one:
        found = write_exposure(place, one.database)
        told = agreement(one.database, lists(place))
        decided = found.height - found["choice"].null_count()
        detail = f"{count(found.height, 'row')} of {count(len(told), 'list')}, {decided:,} with a decision"
        one.write("combination", "exposure", detail=detail)
    say(
        {"rows": found.height, "decided": decided, "lists": told},
        f"{count(found.height, 'row')} of {count(len(told), 'list')}, {decided:,} with a decision, written to "
        "exposure.parquet: for audits and evaluation, in no feature, label or score.",
    )
