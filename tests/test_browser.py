"""The pages in a real Chromium: no script, no error, nothing wider than a phone, readable by keyboard and on paper."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from shutil import which
from typing import Any

import pytest

pytestmark = pytest.mark.browser

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
PAGES = (
    "/",
    "/lists",
    "/lists/latest",
    "/lists/latest?team=D1",
    "/persons/P1",
    "/persons/P1/sheet",
    "/persons/none",
)


@pytest.fixture(scope="module")
def address(small_home: Path) -> Iterator[str]:
    """The service, running on a free loopback port."""
    import uvicorn

    from api.app import create_app

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = uvicorn.Server(
        uvicorn.Config(create_app(small_home), host="127.0.0.1", port=port, log_level="error")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium as the system packages it."""
    path = which("chromium") or which("chromium-browser") or which("google-chrome")
    if path is None:
        pytest.skip("no Chromium on this machine; .ci/run installs one")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, headless=True, args=FLAGS)
        yield opened
        opened.close()


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_no_page_is_wider_than_the_screen_or_complains(browser: Any, address: str, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800})
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("request", lambda request: asked.append(request.url))
    for path in PAGES:
        page.goto(address + path)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{path} is {wide} px wide"
    page.close()
    assert [text for text in said if "404" not in text] == [], "nothing is refused by the content policy"
    assert [url for url in asked if not url.startswith(address)] == [], "nothing is asked of anyone else"


def test_everything_is_there_without_script_and_within_reach_of_the_keyboard(
    browser: Any, address: str
) -> None:
    context = browser.new_context(java_script_enabled=False, viewport={"width": 390, "height": 800})
    page = context.new_page()
    page.goto(f"{address}/lists/latest")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.url.endswith("#main"), "the first stop skips to the page"
    page.get_by_label("Team").select_option("D1")
    page.get_by_role("button", name="Show").click()
    assert page.get_by_role("heading", level=1).inner_text() == "Priority list: Team D1"
    page.get_by_role("link", name="Adam Quillmark").click()
    assert page.get_by_role("img", name="What raises and what lowers the score").is_visible()
    assert page.get_by_role("img", name="People around P1").count() == 1
    page.get_by_role("link", name="REF-E04").first.click()
    assert page.url.endswith("#event-E04")
    assert page.locator("#event-E04").is_visible()
    page.get_by_role("link", name="Before attending").click()
    assert page.get_by_text("This does not replace your assessment.").is_visible()
    context.close()


def test_letters_in_pictures_stay_legible_on_a_phone(browser: Any, address: str) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.goto(f"{address}/persons/P1")
    heights = page.eval_on_selector_all(
        "svg text", "all => all.map(one => one.getBoundingClientRect().height)"
    )
    page.close()
    assert heights
    assert min(heights) >= 10


def test_headings_go_down_by_one_and_pictures_have_names(browser: Any, address: str) -> None:
    page = browser.new_page()
    for path in PAGES:
        page.goto(address + path)
        levels = page.eval_on_selector_all("h1,h2,h3,h4", "all => all.map(one => Number(one.tagName[1]))")
        assert levels.count(1) == 1, path
        assert all(after <= before + 1 for before, after in pairwise(levels)), path
        unnamed = page.eval_on_selector_all(
            "svg", "all => all.filter(one => !one.querySelector('title,desc')).length"
        )
        assert unnamed == 0
        assert page.evaluate("document.documentElement.lang") == "en"
    page.close()


def test_on_paper_the_marking_stays_and_the_buttons_go(browser: Any, address: str) -> None:
    page = browser.new_page()
    page.goto(f"{address}/persons/P1/sheet")
    page.emulate_media(media="print")
    assert page.locator(".marking").count() == 2
    assert page.locator(".marking").first.is_visible()
    assert not page.locator(".top").is_visible()
    page.close()
