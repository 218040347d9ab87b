"""The shell and the list in a real Chromium: the key that hides the screen, script off, keyboard, widths, paper."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browsing import faults, running
from tests.signing import client_of

pytest_plugins = ("tests.browsing",)
pytestmark = pytest.mark.browser

LIST = "/lists/latest"
PAGES = (
    "/",
    "/lists",
    LIST,
    f"{LIST}?only=overdue",
    f"{LIST}/apart",
    f"{LIST}/changes",
    f"{LIST}/why?person=P2",
)


@pytest.fixture(scope="module")
def address(small_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The service with somebody on hold: its address, and the cookie of a supervisor."""
    from api.app import create_app

    home = Path(shutil.copytree(small_home, tmp_path_factory.mktemp("shell") / "home"))
    app = create_app(home)
    client = client_of(home, "supervisor", app=app)
    client.post("/persons/P7/hold", data={"doubt": "role", "reason": "She called us first, he is hurt"})
    with running(app) as place:
        yield place, client.cookies["doorstep"]


@pytest.fixture
def tab(chromium: Any, address: tuple[str, str]) -> Iterator[Any]:
    """Opens a page of the service, signed in: ``tab(path, width=..., script=...)``."""
    opened = []

    def one(path: str, width: int = 1280, script: bool = True) -> Any:
        context = chromium.new_context(
            viewport={"width": width, "height": 800}, java_script_enabled=script, base_url=address[0]
        )
        context.add_cookies([{"name": "doorstep", "value": address[1], "url": address[0]}])
        opened.append(context)
        page = context.new_page()
        page.goto(path)
        return page

    yield one
    for context in opened:
        context.close()


def all_words(page: Any) -> str:
    """Everything that can be read on a page."""
    return " ".join(page.locator("body").inner_text().split())


def test_escape_hides_name_and_title_at_once_and_only_the_button_shows_them_again(tab: Any) -> None:
    page = tab(LIST)
    page.get_by_label("Find on this list").fill("Garn")
    page.keyboard.press("Escape")
    assert page.title() == "Screen hidden"
    assert all_words(page) == "Screen hidden. Show the page again"
    page.keyboard.press("Escape")
    assert page.title() == "Screen hidden", "pressing it twice in haste must not show the page"
    page.emulate_media(media="print")
    assert "Quillmark" not in page.locator("body").inner_text()
    page.emulate_media(media="screen")
    page.get_by_role("button", name="Show the page again").click()
    assert page.get_by_label("Find on this list").input_value() == "Garn", "nothing typed is lost"
    assert page.get_by_role("link", name="Gus Garnleigh", exact=True).is_visible()
    assert page.title() == "List of 1 June 2025, whole force – Doorstep"


def test_without_script_the_screen_hides_the_list_narrows_and_a_row_opens(tab: Any) -> None:
    page = tab(LIST, 390, script=False)
    page.get_by_role("button", name="Hide screen").click()
    assert all_words(page) == "Screen hidden. Show the page again"
    page.get_by_role("button", name="Show the page again").click()
    page.get_by_label("Show").select_option("wanted")
    page.get_by_label("In the order of").select_option("count")
    page.get_by_role("button", name="Show", exact=True).click()
    assert "only=wanted" in page.url
    assert page.locator(".row").count() == 1
    page.get_by_role("link", name="Adam Quillmark", exact=True).click()
    assert page.url.endswith("/persons/P1")


def test_finding_on_the_list_hides_rows_and_keeps_ranks_and_says_how_many(tab: Any) -> None:
    page = tab(LIST)
    page.get_by_label("Find on this list").fill("d2 garn")
    shown = page.locator(".row:visible")
    assert shown.count() == 1
    assert shown.get_attribute("value") == "2"
    assert page.get_by_role("status").inner_text() == "1 of 5 shown"
    page.get_by_label("Find on this list").fill("")
    assert page.locator(".row:visible").count() == 5


def test_the_whole_list_can_be_walked_by_keyboard_with_the_focus_always_seen(tab: Any) -> None:
    page = tab(LIST, 390)
    seen = []
    for _ in range(80):
        page.keyboard.press("Tab")
        found = page.evaluate(
            "(() => { const one = document.activeElement, style = getComputedStyle(one);"
            " return [one.textContent.trim().slice(0, 40), style.outlineStyle + style.boxShadow]; })()"
        )
        if found[0] == "" and seen and "OpenAPI" in seen[-1]:
            break
        assert found[1] != "nonenone", f"{found[0]!r} has the focus and does not show it"
        seen.append(found[0])
        if "Why not on the list?" in found[0]:
            break
    assert seen[0] == "Skip to the page"
    assert any("Adam Quillmark" in text for text in seen)
    assert "Why not on the list?" in seen[-1]


@pytest.mark.parametrize("width", [320, 390, 768, 1280, 1920])
def test_no_page_is_wider_than_the_screen_or_complains_or_fails_axe(tab: Any, width: int) -> None:
    page = tab("/", width)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    for path in PAGES:
        page.goto(path)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{path} is {wide} px wide at {width}"
        if width in (320, 1280):
            assert not faults(page), f"{path} at {width}: {faults(page)}"
    assert said == [], "nothing is refused by the content policy"


def test_a_hidden_screen_passes_axe_and_a_row_on_hold_is_grey_and_says_so(tab: Any) -> None:
    page = tab(LIST)
    held = page.locator(".row-held")
    assert held.get_attribute("value") == "2"
    assert "On hold: identity or role in doubt" in held.inner_text()
    assert held.evaluate("one => getComputedStyle(one).backgroundColor") == "rgb(231, 231, 231)"
    page.keyboard.press("Escape")
    assert not faults(page)


def test_on_paper_the_marking_and_the_reasons_stay_and_what_is_pressed_goes(tab: Any) -> None:
    page = tab(LIST)
    page.emulate_media(media="print")
    assert page.locator(".marking:visible").count() == 2
    assert page.get_by_text("Latest risk assessment graded high").first.is_visible()
    for gone in (".top", ".filters", ".sign-out", ".row-links", ".heads"):
        assert not page.locator(gone).first.is_visible(), gone
