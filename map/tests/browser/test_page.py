"""The saved page in a browser: its picture, details, tables, keyboard, colours and widths."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page

from mesh_map.accesses import derive
from mesh_map.model import Application, Map, Name, Snapshot
from mesh_map.page.file import save
from tests.browser.conftest import OpenPage
from tests.example import CALLS, MODELS, example, model
from tests.test_picture import HOSTILE, many

SCREENS = pytest.mark.parametrize(
    ("width", "dark"), [(1280, False), (1280, True), (390, False), (390, True)]
)


def shown(page: Page, selector: str) -> list[str]:
    """Return the words of the visible elements."""
    found = page.locator(f"{selector}:visible").all_text_contents()
    return sorted(re.sub(r"\s+", " ", text).strip() for text in found)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return save(tmp_path, example(), CALLS, "Saved by a test.").as_uri()


@SCREENS
def test_nodes_and_edges_are_there_on_every_screen(
    open_page: OpenPage, url: str, width: int, dark: bool
):
    page = open_page(url, width, dark=dark)

    assert page.locator(".application:visible").count() == 4
    states = page.locator(".access[role=button]:visible")
    assert sorted(
        each.split()[1] for each in states.evaluate_all("e => e.map(x => x.className.baseVal)")
    ) == [
        "allowed",
        "allowed",
        "denied",
        "denied",
        "waiting",
    ]
    assert page.evaluate("document.documentElement.scrollWidth") <= width


_OUTSIDE = """
boxes => boxes.flatMap(box => {
  const rim = box.querySelector(".box, .lane").getBoundingClientRect();
  return [...box.querySelectorAll("text")].filter(text => {
    const place = text.getBoundingClientRect();
    return place.left < rim.left || place.right > rim.right || place.bottom > rim.bottom;
  }).map(text => text.textContent);
})
"""


@SCREENS
def test_no_word_leaves_its_box(open_page: OpenPage, url: str, width: int, dark: bool):
    page = open_page(url, width, dark=dark)

    boxes = page.locator(".map .application:visible, .map .access[role=button]:visible")
    assert boxes.evaluate_all(_OUTSIDE) == []


_CONTRAST = """
elements => elements.map(element => {
  const light = colour => {
    const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255)
      .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const style = getComputedStyle(element);
  const group = element.closest(".application, .access");
  const box = group && group.querySelector(".box");
  const under = box ? getComputedStyle(box).fill : getComputedStyle(document.body).backgroundColor;
  const ink = element.tagName === "text" ? style.fill : style.color;
  const [dim, bright] = [light(under), light(ink)].sort((a, b) => a - b);
  return (bright + 0.05) / (dim + 0.05);
})
"""


@SCREENS
def test_words_have_the_contrast_of_wcag_aa(open_page: OpenPage, url: str, width: int, dark: bool):
    page = open_page(url, width, dark=dark)

    words = page.locator(
        ".map text:visible, td:visible, strong:visible, p:visible, caption:visible"
    )

    assert min(words.evaluate_all(_CONTRAST)) >= 4.5


def test_a_chosen_access_shows_policies_calls_and_a_command(open_page: OpenPage, url: str):
    page = open_page(url)
    assert shown(page, "#details") == []

    page.locator(".access.allowed[role=button]:visible").first.click()

    (details,) = shown(page, "#details")
    assert "scraper of demo may call GET :8080 /data of producer" in details
    assert "juju remove-relation -m demo producer:data scraper:data" in details


def test_a_denied_access_shows_the_reason_of_the_mesh(open_page: OpenPage, url: str):
    page = open_page(url)

    page.get_by_role("button", name="no relation allows it").locator("visible=true").click()

    (details,) = shown(page, "#details")
    assert "no relation allows it: producer has no policy for outsider" in details
    assert "juju integrate -m demo producer:data outsider:data" in details


@pytest.mark.parametrize("width", [1280, 390])
def test_the_details_do_not_cover_the_chosen_access(open_page: OpenPage, url: str, width: int):
    page = open_page(url, width)
    box = page.locator(".access.waiting[role=button]:visible")

    box.click()

    chosen, details = box.bounding_box(), page.locator("#details").bounding_box()
    assert chosen
    assert details
    assert chosen["y"] + chosen["height"] <= details["y"]


def test_details_name_nothing_that_is_empty(open_page: OpenPage, url: str):
    page = open_page(url)

    page.locator(".access.waiting[role=button]:visible").click()

    assert shown(page, "#details dt") == ["Command", "From", "Requests", "State", "To"]


def test_the_keyboard_chooses_closes_and_returns(open_page: OpenPage, url: str):
    page = open_page(url)
    box = page.locator(".access.waiting[role=button]:visible")
    box.focus()

    page.keyboard.press("Enter")
    (details,) = shown(page, "#details")
    page.keyboard.press("Escape")

    assert "juju integrate -m demo-remote scraper producer:provide-cmr-mesh" in details
    assert shown(page, "#details") == []
    assert box.evaluate("e => e === document.activeElement")


def test_the_tab_key_reaches_every_node_and_edge(open_page: OpenPage, url: str):
    page = open_page(url)
    reached: list[str] = []
    for _ in range(9):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.getAttribute('aria-label')") or "")

    assert len(set(reached)) == 9
    assert all(" of demo" in each for each in reached)


def test_an_application_shows_its_accesses_alone(open_page: OpenPage, url: str):
    page = open_page(url)

    page.locator("[data-app='demo/outsider']:visible").click()

    lit = page.locator(".access[role=button]:not(.dim):visible")
    assert [
        each.partition(":")[0] for each in shown(page, ".access[role=button]:not(.dim) .title")
    ] == ["denied"]
    page.locator("[data-app='demo/outsider']:visible").click()
    assert lit.count() == 5


@pytest.mark.parametrize("width", [1280, 390])
def test_the_tables_have_the_content_of_the_picture(open_page: OpenPage, url: str, width: int):
    page = open_page(url, width)

    assert page.get_by_role("table").count() == 2
    assert page.locator("tr[data-access]").count() == 5
    (table,) = shown(page, "table:first-of-type")
    for each in shown(page, ".access[role=button] .mono"):
        assert each in table


def test_names_cannot_run_scripts(open_page: OpenPage, tmp_path: Path):
    name = Name(HOSTILE, HOSTILE)
    app = Application(name, HOSTILE, 1, on_mesh=True, status="blocked", message=HOSTILE)
    page = open_page(save(tmp_path, Map((model(HOSTILE, app),), ()), (), HOSTILE).as_uri())

    assert page.locator("script").count() == 1
    assert "alert(1)" in page.locator("#note").inner_text()


def test_a_hundred_applications_are_on_the_page(open_page: OpenPage, tmp_path: Path):
    page = open_page(save(tmp_path, many(100), (), "Many.").as_uri())

    assert page.locator(".application:visible").count() == 100
    boxes = page.locator(".map .application:visible, .map .access[role=button]:visible")
    assert boxes.evaluate_all(_OUTSIDE) == []


def test_an_empty_map_is_a_page(open_page: OpenPage, tmp_path: Path):
    page = open_page(save(tmp_path, derive(Snapshot(MODELS[:0])), (), "Nothing yet.").as_uri())

    assert page.get_by_text("Nothing yet.").is_visible()
