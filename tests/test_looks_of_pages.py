"""What every page keeps to: the marking, no inline style or script, nothing from elsewhere, light, one heading."""

from __future__ import annotations

import gzip
import hashlib
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from api.templates import MENU, STATIC
from tests.signing import client_of

VENDOR = STATIC / "vendor"
MOST_PACKED = 150_000  # bytes of a page with its styles and scripts, compressed, at first load
PAGES = {
    "supervisor": (
        "/",
        "/lists",
        "/lists/latest",
        "/lists/latest?only=held",
        "/lists/latest/apart",
        "/lists/latest/changes",
        "/lists/latest/why?person=P2",
        "/lists/none",
    ),
    "analyst": ("/", "/lists/latest"),
    "administrator": ("/",),
}


class Seen(HTMLParser):
    """The parts of a page that are asked about."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep every tag with its attributes."""
        self.tags.append((tag, dict(attrs)))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of every such tag."""
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope="module")
def service(small_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A service over a copy of the hand-made force, and its home."""
    from api.app import create_app

    home = Path(shutil.copytree(small_home, tmp_path_factory.mktemp("looks") / "home"))
    return home, create_app(home)


@pytest.fixture(scope="module")
def texts(service: Any) -> dict[str, str]:
    """Every page of ``PAGES`` and the one before sign-in, by role and path."""
    home, app = service
    found = {}
    for role, paths in PAGES.items():
        client = client_of(home, role, purpose="review", app=app)
        found |= {f"{role} {path}": client.get(path).text for path in paths}
        client.cookies.clear()
        found["nobody /sign-in"] = client.get("/sign-in").text
    return found


def test_no_page_has_an_inline_style_or_script_or_asks_anything_of_anyone_else(texts: dict[str, str]) -> None:
    for name, text in texts.items():
        page = Seen(text)
        for tag, attrs in page.tags:
            assert "style" not in attrs, f"{name}: {tag} has a style of its own"
            assert not [key for key in attrs if key.startswith("on")], (
                f"{name}: {tag} has a script of its own"
            )
            for key in ("src", "href", "action"):
                assert not re.match(r"(\w+:)?//", attrs.get(key) or ""), f"{name}: {attrs[key]} is elsewhere"
        assert not page.of("style")
        assert all(script.get("src") for script in page.of("script")), name


def test_every_page_is_marked_top_and_bottom_and_has_one_heading_a_way_to_skip_and_a_way_to_hide(
    texts: dict[str, str],
) -> None:
    for name, text in texts.items():
        page = Seen(text)
        classes = [(tag, (attrs.get("class") or "").split()) for tag, attrs in page.tags]
        assert sum("marking" in found for _, found in classes) == 2, name
        assert text.count("OFFICIAL-SENSITIVE") >= 2
        assert len(page.of("h1")) == 1, name
        assert page.of("html")[0]["lang"] == "en"
        assert any("govuk-skip-link" in found for _, found in classes)
        assert any("hide-screen" in found for _, found in classes)
        title = re.search(r"<title>(.+?) – Doorstep</title>", text)
        assert title
        assert title.group(1).strip(), f"{name} has no title of its own"


def test_every_field_has_a_label_and_every_table_head_a_scope(texts: dict[str, str]) -> None:
    for name, text in texts.items():
        page = Seen(text)
        labels = {label.get("for") for label in page.of("label")}
        for field in (*page.of("input"), *page.of("select"), *page.of("textarea")):
            if field.get("type") != "hidden":
                assert field.get("id") in labels, f"{name}: {field}"
        assert all(head.get("scope") for head in page.of("th")), name
        ids = [attrs["id"] for _, attrs in page.tags if attrs.get("id")]
        assert len(ids) == len(set(ids)), f"{name}: an id stands twice"


def test_who_is_signed_in_for_what_and_how_old_the_records_are_is_on_every_page(
    texts: dict[str, str],
) -> None:
    for name, text in texts.items():
        if name.startswith("nobody"):
            assert "Sign out" not in text
            continue
        assert "Sign out" in text
        assert "Test " + name.split()[0] in text
        assert name.endswith("/none") or "Records up to" in text, (
            "an error may be about the records themselves"
        )
        assert "Your look at this page is logged." in text
    assert "Task: <strong>Review</strong>, TEST until" in texts["supervisor /lists/latest"]


def test_the_menu_offers_what_a_role_may_open_and_nothing_else(service: Any, texts: dict[str, str]) -> None:
    home, app = service
    for role in ("proactive", "dalo", "supervisor", "analyst", "records", "auditor", "administrator"):
        client = client_of(
            home, role, purpose="review", app=app, duties=("legal",) if role == "auditor" else ()
        )
        shown = {one["href"] for one in Seen(client.get("/").text).of("a")}
        for _, address, *_ in MENU:
            status = client.get(address).status_code
            assert (address in shown) == (status == 200), f"{role} {address}: {status}"
    assert '<a href="/lists/latest" aria-current="page">' in texts["supervisor /lists/latest"]


def test_a_page_with_all_it_needs_is_light(service: Any, texts: dict[str, str]) -> None:
    text = texts["supervisor /lists/latest"]
    page = Seen(text)
    asked = [one["href"] for one in page.of("link")] + [one["src"] for one in page.of("script")]
    files = [STATIC / str(address).removeprefix("/static/").partition("?")[0] for address in asked]
    files += [STATIC / "list.js", VENDOR / "govuk-frontend-6.3.0.min.js"]
    row = text.index('<li class="row')
    hundred = text + text[row : text.index("</ol>\n\n", row)] * 20
    packed = [
        len(gzip.compress(part, 5)) for part in (hundred.encode(), *(file.read_bytes() for file in files))
    ]
    assert sum(packed) < MOST_PACKED, packed


def test_addresses_of_styles_change_with_their_content_and_may_be_kept(
    service: Any, texts: dict[str, str]
) -> None:
    home, app = service
    client = client_of(home, "proactive", app=app)
    for link in Seen(texts["supervisor /lists/latest"]).of("link"):
        path, _, digest = str(link["href"]).partition("?v=")
        got = client.get(path)
        assert hashlib.sha256(got.content).hexdigest().startswith(digest)
        assert "immutable" in got.headers["cache-control"]
        assert client.get("/lists").headers["cache-control"] == "no-store"


def test_the_vendored_files_are_those_that_were_built_and_hold_no_licensed_typeface() -> None:
    lines = (VENDOR / "SHA256SUMS").read_text().split("\n")
    sums = dict(reversed(line.split("  ")) for line in lines if line)
    assert set(sums) == {path.name for path in VENDOR.iterdir() if path.suffix in {".css", ".js"}}
    for name, digest in sums.items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == digest, name
    css = (VENDOR / "govuk.css").read_text()
    assert "6.3.0" in css
    assert not re.search(r"GDS Transport|@font-face|crest|crown", css, re.IGNORECASE)
    assert "MIT License" in (VENDOR / "LICENSE").read_text()


@pytest.mark.slow
def test_the_vendored_files_can_be_built_again(tmp_path: Path) -> None:
    import subprocess

    if shutil.which("npm") is None:
        pytest.skip("no npm on this machine")
    done = subprocess.run([str(VENDOR / "build.sh"), "--check"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
