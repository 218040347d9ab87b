"""Every page of every role in a real Chromium: axe finds nothing, nothing is wider than the screen, no script is
needed, pictures can be read, and paper keeps the marking."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from features.clocks import parse_as_of
from features.home import Home
from features.linkage import store
from features.nominals import PAIRS
from risk.priority import publish
from tests.browsing import faults, running
from tests.reporting import document, home_with, measured
from tests.sheet_force import make
from tests.signing import client_of

pytest_plugins = ("tests.browsing",)
pytestmark = pytest.mark.browser

P1 = "/persons/P1"
PAGES = {
    "proactive": ("/", "/lists", "/lists/latest", "/lists/latest/export", P1, f"{P1}/decide", f"{P1}/action",
                  f"{P1}/hold", f"{P1}/nominate", "/persons/P7", "/actions", "/search", "/purpose", "/account",
                  "/account/password", "/persons/none", "/nowhere"),
    "dalo": ("/", "/search", "/calls", "/calls?reference=none", "/calls/C1/sheet", "/calls/C3/sheet", f"{P1}/sheet",
             "/persons/P7/sheet", f"{P1}/video", f"{P1}/visits", "/breakglass/open?person=P8"),
    "supervisor": ("/supervise", "/supervise/places", "/supervise/agreement", "/breakglass", "/models"),
    "analyst": ("/", "/models", "/lists", "/lists/latest", "/lists/latest/changes"),
    "records": ("/", "/linkage", "/linkage/P2/P3", "/quarantine"),
    "auditor": ("/", "/audit", "/audit?why=lawfulness", "/audit/unusual"),
    "administrator": ("/", "/accounts", "/accounts/test.dalo", "/options"),
}  # fmt: skip
FORMS = {  # a form sent empty, by the words of its button: the page that says what is missing
    ("proactive", f"{P1}/decide"): "Record the decision",
    ("proactive", f"{P1}/hold"): "Place the hold",
    ("proactive", "/lists/latest/export"): "Take the copy",
    ("dalo", f"{P1}/video"): "Record the answers",
    ("records", "/linkage/P2/P3"): "Decide",
}
Open = Callable[..., Any]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, dict[str, str]]]:
    """The service with something on every page, and the cookie of an account a role."""
    from api.app import create_app

    home = make(tmp_path_factory.mktemp("pages"))
    publish(Home(home), parse_as_of("2025-06-08"))  # a second list, so that there is something that changed
    linked(home)
    home_with(home, document("tables"), measured())
    app = create_app(home)
    cookies = {}
    for role in PAGES:
        client = client_of(home, role, app=app, duties=("legal",), purpose=_purpose(role))
        cookies[role] = client.cookies["doorstep"]
        if role == "supervisor":
            client.post(
                "/persons/P7/hold", data={"doubt": "role", "reason": "She called us first, he is hurt"}
            )
    with running(app) as address:
        yield address, cookies


def _purpose(role: str) -> str:
    return {"auditor": "audit", "records": "review", "analyst": "review"}.get(role, "investigation")


def linked(home: Path) -> None:
    """One uncertain pair, as a link run leaves it."""
    place = Home(home)
    load = place.require()
    shown = pl.DataFrame(
        {"person_id_a": ["P2"], "person_id_b": ["P3"], "probability": [0.6], "known_from": [None],
         "unique_id_l": ["P2#1"], "unique_id_r": ["P3#1"], "mw_given": [-2.0], "mw_family": [1.5], "mw_born": [3.0],
         "mw_sex": [0.5], "mw_address": [6.0]},
        schema_overrides={"known_from": pl.Datetime("us", "UTC")},
    )  # fmt: skip
    known = load.records().table("person").select("person_id", "known_from")
    frames = {"shown": shown, "pairs": shown.select(list(PAIRS)).head(0), "persons": known}
    store.write_run(
        home, load.load_id, frames, {"run_id": "r1", "prior": 0.0005, "threshold": 0.9, "counts": {}}
    )


@pytest.fixture
def tab(chromium: Any, service: tuple[str, dict[str, str]]) -> Iterator[Open]:
    """A page of the service as a role sees it: ``tab("dalo", width=390, script=False)``."""
    address, cookies = service
    opened = []

    def one(role: str, width: int = 1280, script: bool = True) -> Any:
        context = chromium.new_context(
            viewport={"width": width, "height": 800}, java_script_enabled=script, base_url=address
        )
        if role != "nobody":
            context.add_cookies([{"name": "doorstep", "value": cookies[role], "url": address}])
        opened.append(context)
        return context.new_page()

    yield one
    for context in opened:
        context.close()


@pytest.mark.parametrize("role", [*PAGES, "nobody"])
def test_axe_finds_nothing_and_nothing_is_wider_than_the_screen(tab: Open, role: str) -> None:
    for width in (320, 1280):
        page = tab(role, width)
        said: list[str] = []
        page.on("console", lambda message, said=said: said.append(message.text))
        for path in PAGES.get(role, ("/sign-in",)):
            page.goto(path)
            assert not faults(page), f"{path} at {width}"
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, f"{path} is {wide} px wide at {width}"
        assert [text for text in said if "404" not in text] == [], "nothing is refused by the content policy"


@pytest.mark.parametrize(("role", "path"), list(FORMS))
def test_a_form_sent_empty_says_what_is_missing_and_axe_finds_nothing(
    tab: Open, role: str, path: str
) -> None:
    page = tab(role, 390)
    page.goto(path)
    page.get_by_role("button", name=FORMS[role, path], exact=True).click()
    assert page.get_by_role("heading", name="There is a problem").is_visible()
    assert not faults(page)
    first = page.locator(".govuk-error-summary__list a").first
    first.click()
    assert page.evaluate("document.activeElement.tagName") in ("INPUT", "SELECT", "TEXTAREA"), (
        "leads to the field"
    )


@pytest.mark.parametrize("width", [390, 768, 1920])
def test_other_widths_hold_every_page(tab: Open, width: int) -> None:
    for role, paths in PAGES.items():
        page = tab(role, width)
        for path in paths:
            page.goto(path)
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, f"{path} is {wide} px wide at {width}"


def test_a_person_is_read_without_script(tab: Open) -> None:
    page = tab("proactive", 390, script=False)
    page.goto("/lists/latest")
    page.get_by_role("link", name="Adam Quillmark", exact=True).click()
    assert page.get_by_role("img", name="What raises and what lowers the score").count() == 1
    page.get_by_role("link", name="REF-E04").first.click()
    assert page.url.endswith("#event-E04")


def test_letters_in_pictures_stay_legible_on_a_phone(tab: Open) -> None:
    page = tab("proactive", 390)
    page.goto(P1)
    heights = page.eval_on_selector_all(
        "svg text", "all => all.map(one => one.getBoundingClientRect().height).filter(one => one > 0)"
    )
    assert heights
    assert min(heights) >= 10


def test_headings_go_down_by_one_and_pictures_have_names(tab: Open) -> None:
    for role, paths in PAGES.items():
        page = tab(role)
        for path in paths:
            page.goto(path)
            levels = page.eval_on_selector_all("h1,h2,h3,h4", "all => all.map(one => Number(one.tagName[1]))")
            assert levels.count(1) == 1, path
            assert all(after <= before + 1 for before, after in pairwise(levels)), path
            unnamed = page.eval_on_selector_all(
                "svg", "all => all.filter(one => !one.querySelector('title,desc')).length"
            )
            assert unnamed == 0, path


def test_on_paper_the_marking_stays_and_the_buttons_go(tab: Open) -> None:
    page = tab("dalo")
    page.goto(f"{P1}/sheet")
    page.emulate_media(media="print")
    assert page.locator(".marking:visible").count() == 2
    assert not page.locator(".top").is_visible()
    assert page.get_by_text("This does not replace your assessment.").first.is_visible()
